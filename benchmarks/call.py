"""What does a call cost? A round trip to a GenServer, with a timeout; one caller and 50."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.goals import (
    ahead_of_every_peer,
    at_least,
    at_the_plans_pace,
    of_limit,
    times,
)
from benchmarks.harness.options import Options
from benchmarks.harness.units import CPU, LATENCIES, RATE
from benchmarks.rosters import actors

ROUNDS = 9


def ask(options: Options) -> list[Result]:
    seconds = options.seconds(0.15)
    return [
        hold(
            "call, 1 caller",
            actors("call", callers=1, seconds=seconds),
            options,
            figure=RATE,
            others=(CPU, *LATENCIES),
            goals=(of_limit(0.75), ahead_of_every_peer),
            rounds=ROUNDS,
        ),
        hold(
            "call, 50 callers of one server",
            actors("call", callers=50, seconds=seconds),
            options,
            figure=RATE,
            others=(CPU,),
            goals=(at_least(200_000), at_the_plans_pace(200_000), times(2.0, "asyncio")),
            rounds=ROUNDS,
        ),
    ]
