"""What do many connections cost that do nothing? Server CPU with, and without, their heartbeats."""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, Service
from benchmarks.harness.goals import at_most
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import CPU, CPU_SHARE
from benchmarks.rosters import OUR_SERVER

HEARTBEAT = 30.0  # seconds, the phoenix client's interval
CONNECTIONS = 10_000


def ask(options: Options) -> list[Result]:
    count = options.count(CONNECTIONS)
    silence = _service(count, options, heartbeat_every=0.0)
    beating = _service(count, options, heartbeat_every=HEARTBEAT)
    return [
        hold(
            f"{count:,} idle connections, in silence",
            [silence],
            options,
            figure=CPU_SHARE,
            goals=(at_most(2.0),),
            rounds=3,
        ),
        hold(
            f"{count:,} idle connections, a heartbeat each {HEARTBEAT:g} s",
            [beating],
            options,
            figure=CPU_SHARE,
            others=(CPU,),
            rounds=3,
        ),
    ]


def _service(count: int, options: Options, *, heartbeat_every: float) -> Service:
    def measure(server: Server, load: Remote) -> Figures:
        return load.request(
            "idle", server=server.pid, seconds=options.seconds(4.0), heartbeat_every=heartbeat_every
        )

    return Service(OUR_SERVER, measure, count)
