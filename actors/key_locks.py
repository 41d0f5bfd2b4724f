"""Locks by key: one holder at a time, first come first served (Elixir: `Registry.lock/3`).

A lock is there while somebody holds it. Owner: one registry. A holder that dies without leaving its
block (killed, and declared dead while it still unwinds) loses the lock in the death procedure.
"""

from __future__ import annotations

from collections import OrderedDict
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
        # The holder first, then who waits. Ordered dictionaries, because any may leave at any time,
        # and finding the first of a plain one costs as much as many have left before it.
        self._turns: dict[Hashable, OrderedDict[_Turn, None]] = {}
        self._held: dict[Pid, dict[Hashable, _Turn]] = {}  # what to free when the process ends

    def lock(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """Hold the lock of `key` for the length of an `async with` block."""
        return self._hold(key)

    def process_ended(self, pid: Pid) -> None:
        """Part of the death procedure of `pid`."""
        for key, turn in tuple(self._held.get(pid, {}).items()):
            self._leave(key, turn)

    def close(self) -> None:
        """There are no locks any more."""
        for key, turns in self._turns.items():
            for turn in turns:
                turn.fail(NoProcessError(NOPROC, self._owner, ("lock", key)))
        self._turns.clear()
        self._held.clear()

    @asynccontextmanager
    async def _hold(self, key: Hashable) -> AsyncIterator[None]:
        pid = current_process().pid
        if key in self._held.get(pid, ()):
            raise RuntimeError(
                f"{pid!r} holds the lock of {key!r} already and would wait for itself"
            )
        turn = _Turn(pid)
        turns = self._turns.setdefault(key, OrderedDict())
        turns[turn] = None
        if len(turns) == 1:
            self._give(key, turn)
        try:
            await turn.wait()
            yield
        finally:
            self._leave(key, turn)

    def _give(self, key: Hashable, turn: _Turn) -> bool:
        """Let `turn` hold the lock; False if nobody waits for that any more."""
        if not turn.resolve(None):
            return False
        self._held.setdefault(turn.pid, {})[key] = turn
        return True

    def _leave(self, key: Hashable, turn: _Turn) -> None:
        """Leave the queue, and give the lock to the next who is alive if it was held; twice is
        fine.
        """
        turns = self._turns.get(key)
        if turns is None or turn not in turns:
            return
        del turns[turn]
        held = self._held.get(turn.pid, {})
        if held.get(key) is not turn:
            return
        del held[key]
        if not held:
            del self._held[turn.pid]
        self._pass_on(key, turns)

    def _pass_on(self, key: Hashable, turns: OrderedDict[_Turn, None]) -> None:
        while turns:
            first = next(iter(turns))
            if first.pid.is_alive() and self._give(key, first):
                return
            del turns[first]
        del self._turns[key]
