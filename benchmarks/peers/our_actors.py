"""Understudy's own actors, through the public API only."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import trio

from actors import From, GenServer, Pid, run, whereis
from actors import call as call_by_name
from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import Figures, Scales, Stopwatch, latencies
from benchmarks.peers.trio_limits import BURST, measure_calls
from examples.chat.log import configure_logging
from supervisors import DynamicSupervisor, Restart, Supervisor


class Echo(GenServer):
    def init(self) -> None:
        self.casts = 0

    async def handle_call(self, request: Any, sender: From) -> Any:
        del request, sender
        return self.casts

    async def handle_cast(self, message: Any) -> None:
        self.casts += 1
        if message == "crash":
            raise RuntimeError("asked to crash")


def call(callers: int, seconds: float) -> Figures:
    async def main() -> Figures:
        echo = await Echo.start_link()
        return await measure_calls(partial(echo.call, "count"), callers, seconds)

    return run(main)


def cast(seconds: float) -> Figures:
    async def main() -> Figures:
        echo = await Echo.start_link()
        casts = 0
        with Stopwatch() as watch:
            while watch.running(seconds):
                for message in range(BURST):
                    echo.cast(message)
                casts = await echo.call("count")
        return watch.figures(casts)

    return run(main)


def spawn(count: int) -> Figures:
    async def main() -> Figures:
        supervisor = await DynamicSupervisor.start_link()
        with Stopwatch() as watch:
            for _ in range(count):
                await DynamicSupervisor.start_child(supervisor, Echo)
        return watch.figures(count)

    return run(main)


def memory(count: int) -> Figures:
    async def main() -> Figures:
        supervisor = await DynamicSupervisor.start_link()
        scales = Scales()
        for _ in range(count):
            await DynamicSupervisor.start_child(supervisor, Echo)
        return scales.figures(count)

    return run(main)


def restart(count: int) -> Figures:
    async def main() -> Figures:
        child = Echo.child_spec(name="echo", restart=Restart.PERMANENT)
        await Supervisor.start_link([child], max_restarts=count, max_seconds=0.001)
        times = []
        with Stopwatch() as watch:
            for _ in range(count):
                start = time.perf_counter_ns()
                await _crash()
                times.append(time.perf_counter_ns() - start)
                await call_by_name("echo", "count")
        return {**watch.figures(count), **latencies(times)}

    return run(main)


async def _crash() -> Pid:
    """Crash the server called "echo" and wait until another one has its name."""
    before = whereis("echo")
    assert before is not None
    before.cast("crash")
    while (now := whereis("echo")) is None or now == before:
        await trio.lowlevel.checkpoint()
    return now


if __name__ == "__main__":
    configure_logging(debug=False)  # as the chat does; stderr is no terminal
    serve(
        {"call": call, "cast": cast, "spawn": spawn, "memory": memory, "restart": restart},
        ["trio"],
    )
