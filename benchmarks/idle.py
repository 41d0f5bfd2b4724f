"""What do many connections cost that do nothing? Server CPU with, and without, their heartbeats.

A heartbeat that comes alone costs more than one among many: the server is asleep, its caches are
cold. The bare engine shows how much of that is the machine's.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, Program, Service
from benchmarks.harness.goals import at_most
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import CPU, CPU_SHARE
from benchmarks.rosters import OUR_ENGINE, OUR_SERVER, RAW_SERVER, SERVER_PEERS

HEARTBEAT = 30.0  # seconds, the phoenix client's interval
CONNECTIONS = 10_000
# Those that speak the plain dialect, in which a heartbeat is a message that is echoed.
PEERS = [program for program in SERVER_PEERS if program.speaks == "plain"]
PROGRAMS = [OUR_ENGINE, RAW_SERVER, OUR_SERVER, *PEERS]


def ask(options: Options) -> list[Result]:
    count = options.count(CONNECTIONS)
    return [
        hold(
            f"{count:,} idle connections, in silence",
            _services([OUR_SERVER], count, options, heartbeat_every=0.0),
            options,
            figure=CPU_SHARE,
            goals=(at_most(2.0),),
            rounds=2,
        ),
        hold(
            f"{count:,} idle connections, a heartbeat each {HEARTBEAT:g} s",
            _services(PROGRAMS, count, options, heartbeat_every=HEARTBEAT),
            options,
            figure=CPU_SHARE,
            others=(CPU,),
            goals=(at_most(2.0),),
            rounds=2,
        ),
    ]


def _services(
    programs: Sequence[Program], count: int, options: Options, *, heartbeat_every: float
) -> list[Service]:
    def measure(server: Server, load: Remote) -> Figures:
        return load.request(
            "idle", server=server.pid, seconds=options.seconds(2.0), heartbeat_every=heartbeat_every
        )

    return [Service(program, measure, count) for program in programs]
