"""What does a process cost to keep? Resident memory of an idle GenServer, in a fresh OS process."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.goals import at_most
from benchmarks.harness.options import Options
from benchmarks.harness.units import BYTES
from benchmarks.rosters import actors


def ask(options: Options) -> list[Result]:
    return [
        hold(
            "memory of an idle process",
            actors("memory", fresh=True, count=options.count(5_000)),
            options,
            figure=BYTES,
            warm_up=False,
            goals=(at_most(5 * 1024),),
            rounds=2,
        )
    ]
