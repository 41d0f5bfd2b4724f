"""Waking many processes without holding the loop.

Trio runs all tasks that may run before it looks at its sockets and timers again. A room of ten
thousand that is told something at once must not make everybody else wait for all of them, so the
processes that a message wakes get their tasks a few at a time; so does whoever has work to do that
can wait, and asks for its `turn`. How many at a time follows from how long the loop then takes for
one step: many of those that do little, one alone of those that do much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

import trio
from trio.lowlevel import checkpoint

from actors import turns

__all__ = ("FIRST", "MOST", "Waker", "next_pace")

FIRST: Final = 2
"""So many are woken at once before anybody has to wait."""
MOST: Final = 16
"""In one step of the loop."""
TURNS_PER_STEP: Final = 3
"""So many turns of a busy server is what one step of the loop may take (`actors.turns`)."""


def next_pace(pace: int, seconds: float, enough: float) -> int:
    """How many to wake in the next step of the loop, if the last one woke `pace` and took so many
    `seconds`; `enough` is what it may take.
    """
    if seconds > enough:
        return max(1, pace // 2)
    return min(MOST, pace + 1)


class Waker:
    """Who waits for a task, or for a turn. One for each node."""

    __slots__ = ("_called", "_pace", "_start", "_waiting")

    def __init__(self, start: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        """`start(function)` runs `function` in a task of the node."""
        self._start = start
        self._called = 0  # since the others last had a turn, at most
        self._pace = FIRST
        self._waiting: deque[Callable[[], object]] = deque()

    def __repr__(self) -> str:
        return f"<Waker waiting={len(self._waiting)}>"

    def call(self, wake: Callable[[], object]) -> None:
        """Call `wake()`, which gives a process its task: now, or when those before it have had a
        turn; by then the process may have been woken otherwise. It must not raise.
        """
        if self._called == FIRST:
            self._waiting.append(wake)
            return
        self._called += 1
        wake()
        if self._called == FIRST:
            self._start(self._go_on)

    async def turn(self) -> None:
        """Let the others have their turns, and wait for one of one's own. A checkpoint."""
        mine = trio.Event()
        self.call(mine.set)
        await mine.wait()

    async def _go_on(self) -> None:
        waiting = self._waiting
        while waiting:
            began = perf_counter()
            for _ in range(min(self._pace, len(waiting))):
                waiting.popleft()()
            await checkpoint()
            enough = TURNS_PER_STEP * turns.SECONDS_PER_TURN
            self._pace = next_pace(self._pace, perf_counter() - began, enough)
        self._called = 0
