"""Waking many processes without holding the loop.

Trio runs all tasks that may run before it looks at its sockets and timers again. A room of ten
thousand that is told something at once must not make everybody else wait for all of them, so the
processes that a message wakes get their tasks a few at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from trio.lowlevel import checkpoint

if TYPE_CHECKING:
    from actors.process import Process

__all__ = ("AT_ONCE", "Waker")

AT_ONCE: Final = 16


class Waker:
    """Who waits for a task. One for each node."""

    __slots__ = ("_start", "_waiting", "_woken")

    def __init__(self, start: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        """`start(function)` runs `function` in a task of the node."""
        self._start = start
        self._woken = 0  # since the others last had a turn, at most
        self._waiting: deque[Process] = deque()

    def __repr__(self) -> str:
        return f"<Waker waiting={len(self._waiting)}>"

    def wake(self, process: Process) -> None:
        """Give a process its task: now, or when those before it have had a turn.

        What wakes it meanwhile, an exit signal say, does not wait for that.
        """
        if self._woken >= AT_ONCE:
            self._waiting.append(process)
            return
        self._woken += 1
        process.wake_up()
        if self._woken == AT_ONCE:
            self._start(self._go_on)

    async def _go_on(self) -> None:
        waiting = self._waiting
        while waiting:
            for _ in range(min(AT_ONCE, len(waiting))):
                process = waiting.popleft()
                if process.mailbox.queue:  # otherwise it was awake meanwhile
                    process.wake_up()
            await checkpoint()
        self._woken = 0
