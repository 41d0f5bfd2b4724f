"""The raw limits: what bare Trio and bare Python can do, without an actor in sight.

`call` with one caller: two tasks waking each other. With more: tasks that append to one deque and
park, and one task that pops and wakes them. `cast`: append, one wake for a burst of 1,000, popleft
and one awaited coroutine for each message: what `async def handle_cast` costs at least.
`spawn`: `start_soon` of an empty task, run to its end. `memory`: a task that is parked.
`restart`: a task ends, another one starts the next, which says that it is there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable

import trio
import trio.testing
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import LATENCY_SAMPLES, Figures, Scales, Stopwatch, latencies

BURST = 1_000
PACE_SECONDS = 0.15


def _abort(_raise_cancel: object) -> Abort:
    return Abort.SUCCEEDED


class _Answerer:
    """One task that pops callers from a deque and wakes each; at most 64 between checkpoints."""

    def __init__(self) -> None:
        self._callers: deque[Task] = deque()
        self._parked: Task | None = None

    async def call(self) -> None:
        self._callers.append(current_task())
        if self._parked is not None:
            task, self._parked = self._parked, None
            reschedule(task)
        await wait_task_rescheduled(_abort)

    async def run(self) -> None:
        callers = self._callers
        while True:
            budget = 64
            while callers and budget:
                reschedule(callers.popleft())
                budget -= 1
            if callers:
                await trio.lowlevel.checkpoint()
            else:
                self._parked = current_task()
                await wait_task_rescheduled(_abort)


def call(callers: int, seconds: float) -> Figures:
    async def main() -> Figures:
        answerer = _Answerer()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answerer.run)
            figures = await measure_calls(answerer.call, callers, seconds)
            nursery.cancel_scope.cancel()
        return figures

    figures = trio.run(main)
    return {**figures, "pace": figures["rate"] if callers == 1 else _pace()}


def _pace() -> float:
    """How quick the machine is just now: the rate of `call` with one caller."""
    return call(1, PACE_SECONDS)["rate"]


async def measure_calls(
    one_call: Callable[[], Awaitable[object]], callers: int, seconds: float
) -> Figures:
    """`callers` tasks call as fast as they can; used by every contestant that runs on Trio."""
    watch = Stopwatch()
    counts = [0] * callers

    async def caller(index: int) -> None:
        count = 0
        while watch.running(seconds):
            for _ in range(10):
                await one_call()
            count += 10
        counts[index] = count

    with watch:
        async with trio.open_nursery() as nursery:
            for index in range(callers):
                nursery.start_soon(caller, index)
    times = []
    for _ in range(LATENCY_SAMPLES):
        start = time.perf_counter_ns()
        await one_call()
        times.append(time.perf_counter_ns() - start)
    return {**watch.figures(sum(counts)), **(latencies(times) if callers == 1 else {})}


class _Inbox:
    """A deque, the one task that is parked on it, and a coroutine called for each message."""

    def __init__(self) -> None:
        self._messages: deque[int] = deque()
        self._parked: Task | None = None
        self.handled = 0

    def send(self, message: int) -> None:
        self._messages.append(message)
        if self._parked is not None:
            task, self._parked = self._parked, None
            reschedule(task)

    async def handle(self, _message: int) -> None:
        self.handled += 1

    async def run(self, when_empty: Callable[[], None]) -> None:
        messages = self._messages
        while True:
            while messages:
                await self.handle(messages.popleft())
            when_empty()
            self._parked = current_task()
            await wait_task_rescheduled(_abort)


def cast(seconds: float) -> Figures:
    async def main() -> Figures:
        inbox = _Inbox()
        waiting: list[Task] = []

        def wake_the_sender() -> None:
            if waiting:
                reschedule(waiting.pop())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(inbox.run, wake_the_sender)
            await trio.testing.wait_all_tasks_blocked()
            with Stopwatch() as watch:
                while watch.running(seconds):
                    for message in range(BURST):
                        inbox.send(message)
                    waiting.append(current_task())
                    await wait_task_rescheduled(_abort)
            nursery.cancel_scope.cancel()
        return watch.figures(inbox.handled)

    return trio.run(main)


def spawn(count: int) -> Figures:
    async def empty() -> None:
        pass

    async def main() -> Figures:
        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(empty)
        return watch.figures(count)

    return trio.run(main)


def memory(count: int) -> Figures:
    async def parked() -> None:
        await wait_task_rescheduled(_abort)

    async def main() -> Figures:
        async with trio.open_nursery() as nursery:
            scales = Scales()
            for _ in range(count):
                nursery.start_soon(parked)
            await trio.testing.wait_all_tasks_blocked()
            figures = scales.figures(count)
            nursery.cancel_scope.cancel()
        return figures

    return trio.run(main)


def restart(count: int) -> Figures:
    async def main() -> Figures:
        send, receive = trio.open_memory_channel[int](1)

        async def worker(generation: int) -> None:
            send.send_nowait(generation)

        times = []
        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                for generation in range(count):
                    start = time.perf_counter_ns()
                    nursery.start_soon(worker, generation)
                    await receive.receive()
                    times.append(time.perf_counter_ns() - start)
        return {**watch.figures(count), **latencies(times)}

    return {**trio.run(main), "pace": _pace()}


if __name__ == "__main__":
    serve(
        {"call": call, "cast": cast, "spawn": spawn, "memory": memory, "restart": restart},
        ["trio"],
    )
