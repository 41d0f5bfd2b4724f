"""triotp: OTP on Trio; a GenServer is a module, its mailbox a memory channel of capacity zero."""
# mypy: disable-error-code="import-not-found,misc"
# (triotp is installed in an environment of its own, on Python 3.13.)

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import trio
import trio.testing
from triotp import dynamic_supervisor, gen_server, mailbox, supervisor

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import Figures, Scales, Stopwatch, latencies
from benchmarks.peers.trio_limits import measure_calls

BURST = 1_000
SELF = sys.modules[__name__]


# ------------------------------------------------------------------- the server, as triotp wants it
async def init(_argument: object) -> dict[str, int]:
    _started.append(time.perf_counter_ns())
    return {"casts": 0}


async def handle_call(
    _message: object, _caller: object, state: dict[str, int]
) -> tuple[object, dict[str, int]]:
    return gen_server.Reply(payload=state["casts"]), state


async def handle_cast(message: object, state: dict[str, int]) -> tuple[object, dict[str, int]]:
    if message == "crash":
        return gen_server.Stop(reason=RuntimeError("asked to crash")), state
    state["casts"] += 1
    return gen_server.NoReply(), state


async def handle_info(_message: object, state: dict[str, int]) -> tuple[object, dict[str, int]]:
    return gen_server.NoReply(), state


async def terminate(_reason: object, _state: object) -> None:
    pass


_started: list[int] = []  # when each server came up; triotp's start_child does not wait for it


# ------------------------------------------------------------------------------------ measurements
def _with_server(measure: Callable[[], Awaitable[Figures]]) -> Figures:
    async def main() -> Figures:
        mailbox._init()  # what triotp's node does before its applications
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gen_server.start, SELF, None, "echo")
            await trio.testing.wait_all_tasks_blocked()
            figures = await measure()
            nursery.cancel_scope.cancel()
        return figures

    return trio.run(main)


def call(callers: int, seconds: float) -> Figures:
    async def one_call() -> object:
        return await gen_server.call("echo", "call", timeout=5.0)

    return _with_server(lambda: measure_calls(one_call, callers, seconds))


def cast(seconds: float) -> Figures:
    async def measure() -> Figures:
        casts = 0
        with Stopwatch() as watch:
            while watch.running(seconds):
                for _ in range(BURST):
                    await gen_server.cast("echo", "cast")
                casts = await gen_server.call("echo", "count", timeout=5.0)
        return watch.figures(casts)

    return _with_server(measure)


def _with_supervisor(measure: Callable[[object], Awaitable[Figures]], **options: object) -> Figures:
    async def main() -> Figures:
        mailbox._init()
        async with trio.open_nursery() as nursery:
            pool = await nursery.start(dynamic_supervisor.start, supervisor.options(**options))
            figures = await measure(pool)
            nursery.cancel_scope.cancel()
        return figures

    return trio.run(main)


def _spec(identity: str, name: str | None = None) -> object:
    return supervisor.child_spec(
        id=identity,
        task=gen_server.start,
        args=[SELF, None, name],
        restart=supervisor.restart_strategy.TRANSIENT,
    )


def spawn(count: int) -> Figures:
    async def measure(pool: object) -> Figures:
        _started.clear()
        with Stopwatch() as watch:
            for index in range(count):
                await dynamic_supervisor.start_child(pool, _spec(str(index)))
            while len(_started) < count:
                await trio.lowlevel.checkpoint()
        return watch.figures(count)

    return _with_supervisor(measure)


def memory(count: int) -> Figures:
    async def measure(pool: object) -> Figures:
        scales = Scales()
        for index in range(count):
            await dynamic_supervisor.start_child(pool, _spec(str(index)))
        await trio.testing.wait_all_tasks_blocked()
        return scales.figures(count)

    return _with_supervisor(measure)


def restart(count: int) -> Figures:
    async def measure(pool: object) -> Figures:
        await dynamic_supervisor.start_child(pool, _spec("echo", "echo"))
        await trio.testing.wait_all_tasks_blocked()
        times = []
        with Stopwatch() as watch:
            for _ in range(count):
                seen = len(_started)
                start = time.perf_counter_ns()
                await gen_server.cast("echo", "crash")
                while len(_started) == seen:
                    await trio.lowlevel.checkpoint()
                times.append(time.perf_counter_ns() - start)
        return {**watch.figures(count), **latencies(times)}

    return _with_supervisor(measure, max_restarts=count + 1, max_seconds=1)


if __name__ == "__main__":
    serve(
        {"call": call, "cast": cast, "spawn": spawn, "memory": memory, "restart": restart},
        ["triotp", "trio"],
    )
