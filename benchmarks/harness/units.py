"""What a figure is called, how it is written, and which way is better."""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.frozen
class Figure:
    """One measured quantity."""

    key: str
    heading: str
    show: Callable[[float], str]
    higher_is_better: bool = False


def _rate(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M/s"
    return f"{value / 1e3:.1f} k/s" if value >= 1e3 else f"{value:.0f} /s"


def _micros(value: float) -> str:
    if value >= 1e4:
        return f"{value / 1e3:.1f} ms"
    return f"{value:.1f} µs" if value < 1e3 else f"{value:.0f} µs"


def _bytes(value: float) -> str:
    return f"{value / 1024:.2f} KiB"


def _times(value: float) -> str:
    return f"{value:.2f} x"


def _percent(value: float) -> str:
    return f"{value:.2f} %"


RATE = Figure("rate", "rate", _rate, higher_is_better=True)
CPU = Figure("cpu_us", "CPU each", _micros)
P50 = Figure("p50_us", "p50", _micros)
P95 = Figure("p95_us", "p95", _micros)
P99 = Figure("p99_us", "p99", _micros)
QUIET_P99 = Figure("quiet_p99_us", "p99 in the pauses", _micros)
BYTES = Figure("bytes", "RSS each", _bytes)
TIMES = Figure("times", "p99, times that in the pauses", _times)
CPU_SHARE = Figure("cpu_percent", "of one core", _percent)

LATENCIES = (P50, P95, P99)
