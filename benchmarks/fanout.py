"""What does a broadcast cost? One message to every member of a room of 500 and of 1,000.

Four messages are in flight, so the server is never without work; the latencies are of single
rounds, from the publisher's send until the last member has the message.
"""

from __future__ import annotations

from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures
from benchmarks.harness.goals import ahead_of_every_peer, of_limit
from benchmarks.harness.lines import Remote
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server
from benchmarks.harness.units import CPU, LATENCIES, RATE
from benchmarks.rosters import RAW_SERVER, services

IN_FLIGHT = 4


def ask(options: Options) -> list[Result]:
    return [_with(options.count(members), options) for members in (500, 1_000)]


def _with(members: int, options: Options) -> Result:
    def measure(server: Server, load: Remote) -> Figures:
        order = {"server": server.pid, "seconds": options.seconds(0.5)}
        busy = load.request("fan_out", in_flight=IN_FLIGHT, **order)
        single = load.request("fan_out", in_flight=1, **order)
        return {**single, "rate": busy["rate"], "cpu_us": busy["cpu_us"]}

    return hold(
        f"fan-out to {members:,} connections",
        services([RAW_SERVER], measure, members),
        options,
        figure=RATE,
        others=(CPU, *LATENCIES),
        goals=(of_limit(0.6), ahead_of_every_peer),
        rounds=3,
    )
