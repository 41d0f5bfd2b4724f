"""Understudy's cost per message while there is much of something else: for `flatness`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from actors import From, GenServer, Pid, receive, run, self_pid, spawn
from actors import call as call_by_name
from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import Figures, Stopwatch
from benchmarks.peers.our_actors import Echo
from channels import PubSub
from supervisors import Supervisor

BATCH = 100
SUBSCRIBERS = 10


class Idle(GenServer):
    async def init(self) -> None:
        pass


class Member(GenServer):
    """A subscriber that counts what it gets."""

    async def init(self, pubsub: PubSub) -> None:
        self.count = 0
        pubsub.subscribe("busy")

    async def handle_info(self, message: Any) -> None:
        del message
        self.count += 1

    async def handle_call(self, request: Any, sender: From) -> int:
        del request, sender
        return self.count


async def _repeat(seconds: float, step: Callable[[], Awaitable[object]]) -> Figures:
    count = 0
    with Stopwatch() as watch:
        while watch.running(seconds):
            await step()
            count += 1
    return watch.figures(count)


def processes(size: int, seconds: float) -> Figures:
    """Calls of one server, while `size` others are idle."""

    async def main() -> Figures:
        for _ in range(size):
            await Idle.start()
        echo = await Echo.start()
        return await _repeat(seconds, partial(echo.call, "count"))

    return run(main)


def names(size: int, seconds: float) -> Figures:
    """Calls by name, among `size` names."""

    async def main() -> Figures:
        for index in range(size):
            await Idle.start(name=f"idle-{index}")
        await Echo.start(name="echo")
        return await _repeat(seconds, partial(call_by_name, "echo", "count"))

    return run(main)


def queued_elsewhere(size: int, seconds: float) -> Figures:
    """Calls of one server, while `size` messages wait in the mailbox of another process."""

    async def main() -> Figures:
        busy = spawn(trio.sleep_forever)
        for number in range(size):
            busy.send(number)
        echo = await Echo.start()
        return await _repeat(seconds, partial(echo.call, "count"))

    return run(main)


def queued_here(size: int, seconds: float) -> Figures:
    """Messages of a burst of `size`, each, from the first cast until the last is handled."""

    async def main() -> Figures:
        echo = await Echo.start()
        count = 0
        with Stopwatch() as watch:
            while watch.running(seconds):
                for number in range(size):
                    echo.cast(number)
                await echo.call("count", timeout=None)
                count += size
        return watch.figures(count)

    return run(main)


class Wanted:
    """What the receive looks for. By type: a closure would be shown every message again."""


def selective_receive(size: int, seconds: float) -> Figures:
    """A receive that picks the newest of `size` messages in the mailbox."""

    async def pick(me: Pid) -> None:
        me.send(Wanted())
        await receive(Wanted)

    async def main() -> Figures:
        me = self_pid()
        for number in range(size):
            me.send(number)
        await pick(me)  # the first one looks at everything, once
        return await _repeat(seconds, partial(pick, me))

    return run(main)


def topics(size: int, seconds: float) -> Figures:
    """Deliveries of broadcasts to a topic of ten, while `size` other topics have a subscriber."""

    async def main() -> Figures:
        pubsub = PubSub()
        await Supervisor.start_link([pubsub])
        for index in range(size):
            pubsub.subscribe(f"other-{index}")
        members = [await Member.start(pubsub) for _ in range(SUBSCRIBERS)]

        async def broadcast() -> None:
            for number in range(BATCH):
                pubsub.broadcast("busy", number)
            for member in members:
                await member.call("count")

        figures = await _repeat(seconds, broadcast)
        deliveries = BATCH * SUBSCRIBERS
        return {"rate": figures["rate"] * deliveries, "cpu_us": figures["cpu_us"] / deliveries}

    return run(main)


if __name__ == "__main__":
    serve(
        {
            "processes": processes,
            "names": names,
            "queued_elsewhere": queued_elsewhere,
            "queued_here": queued_here,
            "selective_receive": selective_receive,
            "topics": topics,
        },
        ["trio"],
    )
