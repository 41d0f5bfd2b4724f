"""Locks by key: one holder at a time, first come first served (Elixir: `Registry.lock/3`).

A lock is there while somebody holds it. Owner: one registry. A holder that dies without leaving its
block (killed, and declared dead while it still unwinds) loses the lock in the death procedure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from actors.exceptions import NoProcessError
from actors.exits import NOPROC
from actors.pid import Pid
from actors.process import current_process
from actors.waiter import Waiter

__all__ = ("KeyLocks",)


class _Turn(Waiter):
    """One holder of a lock, or one who waits to be it."""

    __slots__ = ("pid",)

    def __init__(self, pid: Pid) -> None:
        super().__init__()
        self.pid = pid


class KeyLocks:
    """The locks of one registry."""

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._turns: dict[Hashable, deque[_Turn]] = {}  # the holder first, then who waits

    def lock(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """Hold the lock of `key` for the length of an `async with` block."""
        return self._hold(key)

    def process_ended(self, pid: Pid) -> None:
        """Part of the death procedure of `pid`."""
        for key, turns in list(self._turns.items()):
            if turns[0].pid is pid:
                self._leave(key, turns[0])

    def close(self) -> None:
        """There are no locks any more."""
        for key, turns in self._turns.items():
            for turn in turns:
                turn.fail(NoProcessError(NOPROC, self._owner, ("lock", key)))
        self._turns.clear()

    @asynccontextmanager
    async def _hold(self, key: Hashable) -> AsyncIterator[None]:
        pid = current_process().pid
        turns = self._turns.setdefault(key, deque())
        if turns and turns[0].pid is pid:
            raise RuntimeError(
                f"{pid!r} holds the lock of {key!r} already and would wait for itself"
            )
        turn = _Turn(pid)
        turns.append(turn)
        if turns[0] is turn:
            turn.resolve(None)
        try:
            await turn.wait()
            yield
        finally:
            self._leave(key, turn)

    def _leave(self, key: Hashable, turn: _Turn) -> None:
        """Leave the queue, and give the lock to the next who is alive if it was held; twice is
        fine.
        """
        turns = self._turns.get(key)
        if turns is None or turn not in turns:
            return
        held = turns[0] is turn
        turns.remove(turn)
        if not held:
            return
        while turns and not (turns[0].pid.is_alive() and turns[0].resolve(None)):
            turns.popleft()
        if not turns:
            del self._turns[key]
