"""Which WebSocket engine? The whole path, push to reply, and a connection's memory on each of them.

Each is compared with a bare echo on the same engine: what is left is the cost of channels.
"""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, Service, weighed
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import BYTES, CPU, LATENCIES, RATE
from benchmarks.rosters import ENGINE_PAIRS

CONNECTIONS = 100


def ask(options: Options) -> list[Result]:
    def measure(server: Server, load: Remote) -> Figures:
        return load.request(
            "echo", server=server.pid, seconds=options.seconds(0.8), active=CONNECTIONS
        )

    programs = [program for pair in ENGINE_PAIRS for program in pair]
    return [
        hold(
            f"push and reply on each engine, {CONNECTIONS} connections",
            [Service(program, measure, CONNECTIONS) for program in programs],
            options,
            figure=RATE,
            others=(CPU, *LATENCIES),
            rounds=2,
        ),
        hold(
            "memory of a connection on each engine",
            [weighed(program, options.count(1_000)) for program in programs],
            options,
            figure=BYTES,
            warm_up=False,
            rounds=1,
        ),
    ]
