"""Waking many processes without holding the loop.

Trio runs all tasks that may run before it looks at its sockets and timers again. A room of ten
thousand that is told something at once must not make everybody else wait for all of them, so the
processes that a message wakes get their tasks a few at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from trio.lowlevel import checkpoint

__all__ = ("AT_ONCE", "Waker")

AT_ONCE: Final = 4


class Waker:
    """Who waits for a task. One for each node."""

    __slots__ = ("_called", "_start", "_waiting")

    def __init__(self, start: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        """`start(function)` runs `function` in a task of the node."""
        self._start = start
        self._called = 0  # since the others last had a turn, at most
        self._waiting: deque[Callable[[], None]] = deque()

    def __repr__(self) -> str:
        return f"<Waker waiting={len(self._waiting)}>"

    def call(self, wake: Callable[[], None]) -> None:
        """Call `wake()`, which gives a process its task: now, or when those before it have had a
        turn; by then the process may have been woken otherwise. It must not raise.
        """
        if self._called >= AT_ONCE:
            self._waiting.append(wake)
            return
        self._called += 1
        wake()
        if self._called == AT_ONCE:
            self._start(self._go_on)

    async def _go_on(self) -> None:
        waiting = self._waiting
        while waiting:
            for _ in range(min(AT_ONCE, len(waiting))):
                waiting.popleft()()
            await checkpoint()
        self._called = 0
