"""What does a client that means harm cost the others? A healthy client's latency, in seconds in
which an attacker is at work and in seconds in which it pauses.

The node keeps its default limits. The healthy client asks 200 times a second; the attackers come
from another loopback address, in a process of their own, and come back when they are thrown out.
That process is stopped and continued again and again, so that each second of attack is compared to
the quiet one right before it, on the same server: a busy host takes a core away for some
milliseconds now and then, and does so ten times as often in one minute as in the next.
Goal: a p99 within twice its quiet value, for the median of these pairs. "nobody" shows what is left
of the noise.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median

import attrs

from benchmarks.harness import environments
from benchmarks.harness.contest import Result, hold
from benchmarks.harness.contestants import Figures, Program, Role, in_house
from benchmarks.harness.goals import Goal, Verdict
from benchmarks.harness.lines import Remote
from benchmarks.harness.machine import load_core, started_on
from benchmarks.harness.options import Options
from benchmarks.harness.servers import Server, load_client
from benchmarks.harness.units import CPU_SHARE, P50, P95, P99, QUIET_P99, TIMES
from benchmarks.load.attacks import ATTACKS, NOTHING

PAIRS = 6  # of a quiet second and an attacked one, in each round
SECONDS = 1.0
SETTLE = 0.3  # seconds in which an attack may get going, or a pause quiet
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
            [Attacked("beside nobody", Role.LIMIT, NOTHING, seconds), *attacked],
            options,
            figure=TIMES,
            others=(P99, QUIET_P99, P50, P95, CPU_SHARE),
            goals=(each_within(2.0),),
            rounds=1,
            warm_up=False,
        )
    ]


@attrs.define(eq=False)
class Attacked:
    """The healthy client of one attack, or of `NOTHING`."""

    name: str
    role: Role
    attack: str
    seconds: float

    def open(self) -> Mapping[str, str]:
        """Nothing outlives a sample."""
        return {}

    def sample(self) -> Figures:
        """One round in a fresh server."""
        command, directory = GUARDED.make()
        name = f"hostile-{self.attack}"
        server = Server(name, command, directory)
        load = load_client(name)
        try:
            load.request("open", port=server.port, speaks=GUARDED.speaks, connections=1)
            with self._attacker(server.port) as attacker:
                return _alternate(attacker, partial(self._second, load, server.pid))
        finally:
            load.close()
            server.close()

    def close(self) -> None:
        """Nothing outlives a sample."""

    def _second(self, load: Remote, server: int) -> Figures:
        time.sleep(SETTLE)
        return load.request("paced", server=server, seconds=self.seconds, interval=INTERVAL)

    @contextmanager
    def _attacker(self, port: int) -> Iterator[subprocess.Popen[bytes]]:
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
            yield attacker
        finally:
            attacker.stdin.close()
            attacker.wait(10.0)
            attacker.stdout.close()


def _alternate(attacker: subprocess.Popen[bytes], second: Callable[[], Figures]) -> Figures:
    """Pairs of seconds, the attacker stopped in the first of each. What is not about the pauses is
    the median of the seconds of attack.
    """
    quiet, attacked = [], []
    for _ in range(PAIRS):
        attacker.send_signal(signal.SIGSTOP)
        quiet.append(second())
        attacker.send_signal(signal.SIGCONT)
        attacked.append(second())
    return {
        **{key: median(each[key] for each in attacked) for key in attacked[0]},
        QUIET_P99.key: median(each[P99.key] for each in quiet),
        TIMES.key: median(
            beside[P99.key] / alone[P99.key] for beside, alone in zip(attacked, quiet, strict=True)
        ),
    }


def each_within(factor: float) -> Goal:
    """Beside every attack, at most so many times the quiet value."""

    def judge(result: Result) -> Verdict:
        goal = f"each within {factor:g} times the quiet value"
        attacked = [e for e in result.entries if e.role is Role.OURS and e.figures]
        if not attacked:
            return Verdict(goal, None, "not measured")
        most = max(result.headline(entry).median for entry in attacked)
        return Verdict(goal, most <= factor, f"{most:.2f} at the most")

    return judge
