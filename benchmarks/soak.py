"""Does it stay as it is? Many connections with heartbeats, joins, leaves and chat, for long.

`python -m benchmarks.soak` (ten minutes, 10,000 connections; both are flags) prints a line for each
window and ends with three verdicts: memory is level, p99 does not drift, nothing has leaked. Exit
code 1 if one of them is not met.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median

import attrs

from benchmarks.harness.contestants import Program, Role, in_house
from benchmarks.harness.goals import Verdict
from benchmarks.harness.lines import Remote
from benchmarks.harness.machine import cpu_seconds, priority, resident_bytes
from benchmarks.harness.servers import Server, load_client
from benchmarks.load.dialects import Phoenix
from benchmarks.load.swarm import Swarm
from channels import Channel

SERVER = Program("soak", Role.OURS, in_house("benchmarks.peers.our_server"), "phoenix")
LEVEL = 1.05  # memory in the last quarter, relative to the second one
DRIFT = 1.5  # p99 in the last third, relative to the first one
GREATER = 2.0  # tracked objects once all have left, relative to those before
REST = (Channel.hibernate_after or 0.0) + 2.0  # seconds after which those who spoke sleep again
SETTLE = 10.0  # seconds for the last connections to go, once all clients have left

Window = Mapping[str, float]


@attrs.frozen
class Count:
    """What lives in the server: tasks, processes, open files, tracked objects."""

    tasks: int
    processes: int
    files: int
    objects: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--window", type=float, default=15.0, help="seconds between two lines")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout at the end")
    parser.add_argument("--nice", type=int, default=0, help="priority on a busy machine, e.g. -5")
    arguments = parser.parse_args()
    with priority(arguments.nice):
        windows, verdicts = soak(arguments.connections, arguments.minutes, arguments.window)
    if arguments.json:
        json.dump({"windows": windows, "verdicts": [attrs.asdict(v) for v in verdicts]}, sys.stdout)
    for verdict in verdicts:
        met = "met" if verdict.met else "NOT met"
        print(f"{verdict.goal}: {verdict.found} ({met})", file=sys.stderr)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def soak(
    connections: int, minutes: float, seconds: float
) -> tuple[list[dict[str, float]], list[Verdict]]:
    """Gather the crowd, let it live in windows of `seconds`, send it home, judge."""
    command, directory = SERVER.make()
    server = Server(SERVER.name, command, directory)
    load = load_client(SERVER.name)
    try:
        before = count(server)
        load.request("gather", port=server.port, connections=connections)
        during, windows = count(server), []
        for number in range(max(4, round(minutes * 60.0 / seconds))):
            windows.append(one_window(server, load, seconds))
            print(line(number, windows[-1]), file=sys.stderr, flush=True)
        time.sleep(REST)
        still, _ = count(server), load.request("disperse")
        after = settled(server, before)
    finally:
        load.close()
        server.close()
    return windows, judge(windows, before, during, still, after)


def count(server: Server) -> Count:
    """Ask the server, over a connection that lives for this question only."""
    swarm = Swarm("127.0.0.1", server.port, Phoenix("node"))
    swarm.open(1)
    connection = next(iter(swarm.connections.values()))
    reply = json.loads(swarm.ask(connection))
    swarm.close()
    return Count(**reply[4]["response"])


def settled(server: Server, before: Count) -> Count:
    """The counts when the server has forgotten all clients, or when its time is up."""
    deadline = time.monotonic() + SETTLE
    while True:
        now = count(server)
        gone = now.tasks <= before.tasks and now.objects <= GREATER * before.objects
        if gone or time.monotonic() > deadline:
            return now
        time.sleep(0.5)


def one_window(server: Server, load: Remote, seconds: float) -> dict[str, float]:
    cpu, start = cpu_seconds(server.pid), time.monotonic()
    window = load.request("window", seconds=seconds)
    took = time.monotonic() - start
    return {
        **window,
        "cpu_percent": (cpu_seconds(server.pid) - cpu) / took * 100.0,
        "rss_mib": resident_bytes(server.pid) / 2**20,
    }


def line(number: int, window: Window) -> str:
    return (
        f"{number:4}  rss {window['rss_mib']:7.1f} MiB  cpu {window['cpu_percent']:5.1f} %  "
        f"p50 {window['p50_us'] / 1e3:7.2f} ms  p99 {window['p99_us'] / 1e3:7.2f} ms  "
        f"delivered {window['delivered']:7.0f}  replies {window['replies']:5.0f}  "
        f"joins {window['joins']:4.0f}  lost {window['closed']:3.0f}"
    )


def judge(
    windows: Sequence[Window], before: Count, during: Count, still: Count, after: Count
) -> list[Verdict]:
    """The verdicts, from the windows and from what lived in the server before and after."""
    quarter, third = len(windows) // 4, len(windows) // 3
    early = median(window["rss_mib"] for window in windows[quarter : 2 * quarter])
    late = median(window["rss_mib"] for window in windows[-quarter:])
    first = median(window["p99_us"] for window in windows[:third])
    last = median(window["p99_us"] for window in windows[-third:])
    lost = sum(window["closed"] for window in windows)
    return [
        Verdict(
            f"memory level (at most {LEVEL:g} of the second quarter)",
            late / early <= LEVEL,
            f"{early:.1f} -> {late:.1f} MiB",
        ),
        Verdict(
            f"p99 without drift (at most {DRIFT:g} of the first third)",
            last / first <= DRIFT,
            f"{first / 1e3:.2f} -> {last / 1e3:.2f} ms",
        ),
        Verdict("no connection lost", lost == 0, f"{lost:.0f}"),
        Verdict(
            "as many tasks and processes, when all rest, as with the crowd just gathered",
            still.tasks <= during.tasks and still.processes <= during.processes,
            f"tasks {during.tasks} -> {still.tasks}, "
            f"processes {during.processes} -> {still.processes}",
        ),
        Verdict(
            "no task, process, file or heap of objects left when all have gone",
            after.tasks <= before.tasks
            and after.processes <= before.processes
            and after.files <= before.files
            and after.objects <= GREATER * before.objects,
            f"tasks {before.tasks} -> {after.tasks}, processes {before.processes} -> "
            f"{after.processes}, files {before.files} -> {after.files}, "
            f"objects {before.objects} -> {after.objects}",
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
