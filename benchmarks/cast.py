"""What does a cast cost? Bursts of 1,000 casts to one GenServer, each burst closed by a call."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.goals import ahead_of_every_peer, of_limit
from benchmarks.harness.options import Options
from benchmarks.harness.units import CPU, RATE
from benchmarks.rosters import actors


def ask(options: Options) -> list[Result]:
    return [
        hold(
            "cast, bursts of 1,000",
            actors("cast", seconds=options.seconds(0.15)),
            options,
            figure=RATE,
            others=(CPU,),
            goals=(of_limit(0.4), ahead_of_every_peer),
        )
    ]
