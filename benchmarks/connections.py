"""What does a connection cost to keep? Resident memory of one with one joined channel."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import weighed
from benchmarks.harness.goals import at_most
from benchmarks.harness.options import Options
from benchmarks.harness.units import BYTES
from benchmarks.rosters import OTHER_ENGINES, OUR_ENGINE, OUR_SERVER, RAW_SERVER, SERVER_PEERS


def ask(options: Options) -> list[Result]:
    count = options.count(1_000)
    programs = (OUR_ENGINE, *OTHER_ENGINES, RAW_SERVER, OUR_SERVER, *SERVER_PEERS)
    return [
        hold(
            "memory of a connection with one joined channel",
            [weighed(program, count) for program in programs],
            options,
            figure=BYTES,
            warm_up=False,
            goals=(at_most(28 * 1024),),
            rounds=2,
        )
    ]
