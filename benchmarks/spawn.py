"""What does a process cost to start? A GenServer under a DynamicSupervisor, until it is up."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.goals import of_limit, times
from benchmarks.harness.options import Options
from benchmarks.harness.units import CPU, RATE
from benchmarks.rosters import actors


def ask(options: Options) -> list[Result]:
    return [
        hold(
            "spawn",
            actors("spawn", count=options.count(1_000)),
            options,
            figure=RATE,
            others=(CPU,),
            goals=(of_limit(0.3), times(1.0, "Pykka")),
            rounds=7,
        )
    ]
