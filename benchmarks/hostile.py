"""What does a client that means harm cost the others? A healthy client's latency, alone and beside
each attacker.

The node keeps its default limits. The healthy client asks 200 times a second; the attackers come
from another loopback address, in a process of their own, and come back when they are thrown out.
Goal: a p99 within twice its quiet value, which is the limit of the table; the p99 of a typical
second, because that of all seconds is made by the few in which a busy host took the core away. It
stands beside it. Each round is measured in a fresh server.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import attrs

from benchmarks.harness import environments
from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, Program, Role, in_house
from benchmarks.harness.goals import Goal, Verdict
from benchmarks.harness.machine import load_core, started_on
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server, load_client
from benchmarks.harness.units import CPU_SHARE, P50, P95, P99, SECOND_P99
from benchmarks.load.attacks import ATTACKS

SECONDS = 5.0
WARM_UP = 1.0  # seconds in which the attack may begin
INTERVAL = 0.005  # seconds between two questions of the healthy client

GUARDED = Program(
    "understudy",
    Role.OURS,
    in_house("examples.chat", "--host", "127.0.0.1", "--port", "0"),
    "phoenix",
)


def ask(options: Options) -> list[Result]:
    seconds = options.seconds(SECONDS)
    attacked = [
        Attacked(f"beside one that {words}", Role.OURS, name, seconds)
        for name, (words, _) in ATTACKS.items()
    ]
    return [
        hold(
            "a healthy client's round trip",
            [Attacked("alone", Role.LIMIT, None, seconds), *attacked],
            options,
            figure=SECOND_P99,
            others=(P50, P95, P99, CPU_SHARE),
            goals=(each_within(2.0),),
            rounds=3,
        )
    ]


@attrs.define(eq=False)
class Attacked:
    """The healthy client of one attack, or of none."""

    name: str
    role: Role
    attack: str | None
    seconds: float

    def open(self) -> Mapping[str, str]:
        """Nothing outlives a sample."""
        return {}

    def sample(self) -> Figures:
        """One round in a fresh server."""
        command, directory = GUARDED.make()
        name = f"hostile-{self.attack or 'alone'}"
        server = Server(name, command, directory)
        load = load_client(name)
        try:
            load.request("open", port=server.port, speaks=GUARDED.speaks, connections=1)
            with self._attacking(server.port):
                return load.request(
                    "paced", server=server.pid, seconds=self.seconds, interval=INTERVAL
                )
        finally:
            load.close()
            server.close()

    def close(self) -> None:
        """Nothing outlives a sample."""

    @contextmanager
    def _attacking(self, port: int) -> Iterator[None]:
        if self.attack is None:
            time.sleep(WARM_UP)
            yield
            return
        interpreter, directory = environments.house()
        command = [interpreter, "-m", "benchmarks.load.attacks", str(port), self.attack]
        with started_on(load_core()):
            attacker = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        try:
            attacker.stdout.readline()
            time.sleep(WARM_UP)
            yield
        finally:
            attacker.stdin.close()
            attacker.wait(10.0)
            attacker.stdout.close()


def each_within(factor: float) -> Goal:
    """Every attacked p99 at most so many times the quiet one."""

    def judge(result: Result) -> Verdict:
        goal = f"each within {factor:g} times the quiet value"
        quiet = result.first(Role.LIMIT)
        shares = [
            result.of(entry, quiet)
            for entry in result.entries
            if entry.role is Role.OURS and entry.figures
        ]
        known = [share for share in shares if share is not None]
        if not known:
            return Verdict(goal, None, "not measured")
        return Verdict(goal, max(known) <= factor, f"{max(known):.2f} at the most")

    return judge
