"""What does a push with its reply cost? 100 connections ask, wait for the reply, ask again.

The limit is a bare echo on the engine that we use by default; the others are there to compare.
"""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures
from benchmarks.harness.goals import of_limit
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import CPU, LATENCIES, RATE
from benchmarks.rosters import OTHER_ENGINES, OUR_ENGINE, RAW_SERVER, services

CONNECTIONS = 100


def ask(options: Options) -> list[Result]:
    def measure(server: Server, load: Remote) -> Figures:
        return load.request(
            "echo", server=server.pid, seconds=options.seconds(0.8), active=CONNECTIONS
        )

    return [
        hold(
            f"push and reply, {CONNECTIONS} connections",
            services([OUR_ENGINE, *OTHER_ENGINES, RAW_SERVER], measure, CONNECTIONS),
            options,
            figure=RATE,
            others=(CPU, *LATENCIES),
            goals=(of_limit(0.7),),
            rounds=3,
        )
    ]
