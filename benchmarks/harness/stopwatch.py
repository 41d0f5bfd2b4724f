"""What every worker measures in the same way: rates, CPU time, latencies, memory.

Standard library only: it runs in the peers' environments too.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks.harness.machine import resident_bytes

Figures = dict[str, float]
LATENCY_SAMPLES = 2_000  # calls timed one by one, apart from the rate: reading the clock costs too


class Stopwatch:
    """`with Stopwatch() as watch:` around the work; `figures(operations)` afterwards.

    The collector is off while the watch runs, for every contestant alike: a collection that one
    round happens to pay for and the next does not would be noise.
    """

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu = time.process_time() - self._cpu
        gc.enable()

    def running(self, seconds: float) -> bool:
        """Whether less than `seconds` have passed since the start."""
        return time.perf_counter() - self._start < seconds

    def figures(self, operations: int) -> Figures:
        """Operations a second, and CPU microseconds of each."""
        return {"rate": operations / self.seconds, "cpu_us": self.cpu / operations * 1e6}


def latencies(nanoseconds: list[int]) -> Figures:
    """p50, p95 and p99 in microseconds."""
    ordered = sorted(nanoseconds)
    return {f"p{percent}_us": percentile(ordered, percent) / 1e3 for percent in (50, 95, 99)}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values that are already in order.

    Nearest rank, not interpolated: the answer is always a value that was really measured.
    """
    if not ordered:
        raise ValueError("a percentile needs at least one value; got none")
    if not 0.0 < percent <= 100.0:
        raise ValueError(f"a percentile is in (0, 100]; got {percent!r}")
    return ordered[math.ceil(percent / 100.0 * len(ordered)) - 1]


class Scales:
    """Resident memory before and after: `bytes` of each of `count` things."""

    def __init__(self) -> None:
        gc.collect()
        self._before = resident_bytes(os.getpid())

    def figures(self, count: int) -> Figures:
        """Bytes of resident memory for each of the `count` things made since."""
        gc.collect()
        return {"bytes": (resident_bytes(os.getpid()) - self._before) / count}
