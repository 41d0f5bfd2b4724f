"""Locks by key in the chaos run. Promise: a lock has one holder, and that one lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trio

from actors import Pid, self_pid, whereis
from actors.process import Process
from tests.chaos.world import KEYS, REGISTRY, World, order

__all__ = ("Locks", "lock")


class Locks:
    """Who holds which lock. A registry that was restarted has new locks."""

    def __init__(self) -> None:
        self.holders: dict[tuple[Pid | None, Any], Pid] = {}
        self.broken: list[str] = []

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        yield from self.broken
        self.broken.clear()
        for (_, key), holder in self.holders.items():
            if not isinstance(holder.target, Process):
                yield f"{holder!r} died with the lock of {key!r}, and never left its block"

    async def hold(self, key: Any, seconds: float) -> None:
        """Hold the lock of `key`."""
        lock = (whereis(REGISTRY.name), key)  # it may be another one by the time that it is ours
        async with REGISTRY.lock(key):
            if lock in self.holders:
                self.broken.append(f"{self_pid()!r} and {self.holders[lock]!r} hold {key!r}")
            self.holders[lock] = self_pid()
            try:
                await trio.sleep(seconds)
            finally:
                del self.holders[lock]


def lock(world: World, process: Process) -> None:
    """Wait for a lock, hold it for a while."""
    key, seconds = world.chance.choice(KEYS[:2]), world.chance.random() * 15
    locks = world.book(Locks)

    async def act() -> None:
        await world.ask(f"lock {key}", lambda: locks.hold(key, seconds))

    order(world, process, act)
