"""How long is a crashed process away? From the crash until its replacement has the name."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.goals import ahead_of_every_peer, at_most, at_the_plans_pace
from benchmarks.harness.options import Options
from benchmarks.harness.units import CPU, P50, P95, P99
from benchmarks.rosters import actors


def ask(options: Options) -> list[Result]:
    return [
        hold(
            "restart, crash to replacement",
            actors("restart", count=options.count(300)),
            options,
            figure=P50,
            others=(P95, P99, CPU),
            goals=(at_most(200.0), at_the_plans_pace(200.0), ahead_of_every_peer),
        )
    ]
