"""What do many connections cost that do nothing? Server CPU with, and without, their heartbeats.

A heartbeat that comes alone costs more than one among many: the server is asleep, its caches are
cold. The bare engine shows how much of that is the machine's.
"""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, FreshService, Program
from benchmarks.harness.goals import ahead_of_every_peer, at_most, of_limit
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import CPU, CPU_SHARE
from benchmarks.rosters import OUR_ENGINE, OUR_SERVER, RAW_SERVER, SERVER_PEERS

HEARTBEAT = 30.0  # seconds, the phoenix client's interval
CONNECTIONS = 10_000
SETTLE = 1.0  # seconds after the last connection was opened
# In the plain dialect a heartbeat is a message that is echoed. Daphne takes a minute to open.
PEERS = [each for each in SERVER_PEERS if each.name == "Node ws"]
PROGRAMS = [OUR_ENGINE, RAW_SERVER, OUR_SERVER, *PEERS]


def ask(options: Options) -> list[Result]:
    count = options.count(CONNECTIONS)
    return [
        hold(
            f"{count:,} idle connections, in silence",
            [_service(OUR_SERVER, count, options, heartbeat_every=0.0)],
            options,
            figure=CPU_SHARE,
            warm_up=False,
            goals=(at_most(2.0),),
            rounds=1,
        ),
        hold(
            f"{count:,} idle connections, a heartbeat each {HEARTBEAT:g} s",
            [_service(each, count, options, heartbeat_every=HEARTBEAT) for each in PROGRAMS],
            options,
            figure=CPU_SHARE,
            warm_up=False,
            others=(CPU,),
            goals=(at_most(2.0), of_limit(1.0), ahead_of_every_peer),
            rounds=1,
        ),
    ]


def _service(
    program: Program, count: int, options: Options, *, heartbeat_every: float
) -> FreshService:
    def measure(server: Server, load: Remote) -> Figures:
        load.request("open", port=server.port, speaks=program.speaks, connections=count)
        return load.request(
            "idle",
            server=server.pid,
            seconds=options.seconds(5.0),
            heartbeat_every=heartbeat_every,
            settle=options.seconds(SETTLE),
        )

    return FreshService(program, measure)
