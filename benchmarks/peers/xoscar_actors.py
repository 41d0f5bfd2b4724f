"""xoscar: actors on asyncio with a Cython core; one pool in one process."""
# mypy: disable-error-code="import-not-found,misc"
# (xoscar is installed in an environment of its own.)

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import xoscar

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import LATENCY_SAMPLES, Figures, Scales, Stopwatch, latencies

BURST = 1_000


class Echo(xoscar.Actor):
    def __init__(self) -> None:
        self.casts = 0

    async def call(self, message: object) -> object:
        return message

    async def cast(self, _message: object) -> None:
        self.casts += 1

    async def count(self) -> int:
        return self.casts


async def _in_pool(measure: Callable[[str], Awaitable[Figures]]) -> Figures:
    with socket.create_server(("127.0.0.1", 0)) as free:  # xoscar wants to be told a port
        address = f"127.0.0.1:{free.getsockname()[1]}"
    pool = await xoscar.create_actor_pool(address, n_process=0)
    async with pool:
        return await measure(pool.external_address)


async def _start(address: str, uid: str) -> Any:
    return await xoscar.create_actor(Echo, address=address, uid=uid)


def call(callers: int, seconds: float) -> Figures:
    async def measure(address: str) -> Figures:
        echo = await _start(address, "echo")
        watch = Stopwatch()

        async def caller() -> int:
            count = 0
            while watch.running(seconds):
                await xoscar.wait_for(echo.call(count), 5.0)
                count += 1
            return count

        with watch:
            counts = await asyncio.gather(*(caller() for _ in range(callers)))
        times = []
        for _ in range(LATENCY_SAMPLES if callers == 1 else 0):
            start = time.perf_counter_ns()
            await xoscar.wait_for(echo.call(0), 5.0)
            times.append(time.perf_counter_ns() - start)
        return {**watch.figures(sum(counts)), **(latencies(times) if times else {})}

    return asyncio.run(_in_pool(measure))


def cast(seconds: float) -> Figures:
    async def measure(address: str) -> Figures:
        echo = await _start(address, "echo")
        casts = 0
        with Stopwatch() as watch:
            while watch.running(seconds):
                for message in range(BURST):
                    await echo.cast.tell(message)
                casts = await echo.count()
        return watch.figures(casts)

    return asyncio.run(_in_pool(measure))


def spawn(count: int) -> Figures:
    async def measure(address: str) -> Figures:
        with Stopwatch() as watch:
            for index in range(count):
                await _start(address, f"echo-{index}")
        return watch.figures(count)

    return asyncio.run(_in_pool(measure))


def memory(count: int) -> Figures:
    async def measure(address: str) -> Figures:
        await _start(address, "first")
        scales = Scales()
        for index in range(count):
            await _start(address, f"echo-{index}")
        return scales.figures(count)

    return asyncio.run(_in_pool(measure))


if __name__ == "__main__":
    serve({"call": call, "cast": cast, "spawn": spawn, "memory": memory}, ["xoscar"])
