"""What the pids of the dead point at: one object per node."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from actors.exceptions import call_error
from actors.exits import NOPROC
from actors.pid import MonitorRef, Pid

__all__ = ("Dead",)


class Mourner(Protocol):
    """What it needs of its node."""

    fenced: bool

    def tell_dead_letter(self, pid: Pid | None, message: Any) -> None:
        """A message reached nobody."""


class Dead:
    """Drops messages and knows nobody."""

    name = None
    alive = False

    def __init__(self, node: Mourner) -> None:
        self.node = node

    def deliver(self, message: Any) -> None:
        """Sending to the dead is not an error (P3)."""
        self.node.tell_dead_letter(None, message)

    def receive_exit(self, sender: Pid, reason: Any, *, linked: bool) -> None:
        """Nor is an exit signal."""

    async def asend(self, message: Any) -> None:
        """Nor is that."""
        self.deliver(message)
        await trio.lowlevel.checkpoint()

    async def call(self, server: Pid, request: Any, timeout: float | None, name: Any) -> Any:
        """Calling them is."""
        raise call_error(NOPROC, name, request)

    async def system(self, server: Pid, verb: tuple[Any, ...], timeout: float | None) -> Any:
        """So is asking their loop."""
        raise call_error(NOPROC, server, verb)

    async def stop(self, server: Pid, reason: Any, timeout: float | None) -> None:
        """So is stopping them."""
        raise call_error(NOPROC, server, ("stop", reason))

    async def wait_exited(self) -> Any:
        """They have."""
        return NOPROC

    def link_to(self, other: Pid) -> bool:
        """Nobody to link to."""
        return False

    def unlink_from(self, other: Pid) -> None:
        """There are no links."""

    def add_monitor(self, ref: MonitorRef) -> bool:
        """Nobody to watch."""
        return False

    def remove_monitor(self, ref: MonitorRef) -> bool:
        """There are no monitors."""
        return False

    def remove_own_monitor(self, ref: MonitorRef) -> bool:
        """It watches nobody."""
        return False
