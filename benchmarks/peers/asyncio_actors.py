"""A GenServer as one would write it on asyncio: a queue, a future and a timeout for each call."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import LATENCY_SAMPLES, Figures, Scales, Stopwatch, latencies

BURST = 1_000


class Server:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[asyncio.Future[object] | None, object]] = asyncio.Queue()
        self.casts = 0

    async def run(self) -> None:
        while True:
            future, message = await self._queue.get()
            if future is None:
                await self.handle_cast(message)
            elif not future.done():
                future.set_result(await self.handle_call(message))

    async def handle_call(self, message: object) -> object:
        return message

    async def handle_cast(self, _message: object) -> None:
        self.casts += 1

    async def call(self, message: object) -> object:
        future = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((future, message))
        async with asyncio.timeout(5.0):
            return await future

    def cast(self, message: object) -> None:
        self._queue.put_nowait((None, message))


def call(callers: int, seconds: float) -> Figures:
    async def main() -> Figures:
        server = Server()
        running = asyncio.create_task(server.run())
        watch = Stopwatch()

        async def caller() -> int:
            count = 0
            while watch.running(seconds):
                for _ in range(10):
                    await server.call(count)
                count += 10
            return count

        with watch:
            counts = await asyncio.gather(*(caller() for _ in range(callers)))
        times = []
        for _ in range(LATENCY_SAMPLES):
            start = time.perf_counter_ns()
            await server.call(0)
            times.append(time.perf_counter_ns() - start)
        running.cancel()
        return {**watch.figures(sum(counts)), **(latencies(times) if callers == 1 else {})}

    return asyncio.run(main())


def cast(seconds: float) -> Figures:
    async def main() -> Figures:
        server = Server()
        running = asyncio.create_task(server.run())
        with Stopwatch() as watch:
            while watch.running(seconds):
                for message in range(BURST):
                    server.cast(message)
                await server.call("done")
        running.cancel()
        return watch.figures(server.casts)

    return asyncio.run(main())


def spawn(count: int) -> Figures:
    async def main() -> Figures:
        with Stopwatch() as watch:
            servers = [Server() for _ in range(count)]
            tasks = [asyncio.create_task(server.run()) for server in servers]
            for server in servers:
                await server.call("started")
        for task in tasks:
            task.cancel()
        return watch.figures(count)

    return asyncio.run(main())


def memory(count: int) -> Figures:
    async def main() -> Figures:
        scales = Scales()
        tasks = [asyncio.create_task(Server().run()) for _ in range(count)]
        await asyncio.sleep(0.1)
        figures = scales.figures(count)
        for task in tasks:
            task.cancel()
        return figures

    return asyncio.run(main())


if __name__ == "__main__":
    serve({"call": call, "cast": cast, "spawn": spawn, "memory": memory})
