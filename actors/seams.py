"""The seams of a process: what it needs of its node, its starter and its timers."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from actors.deadlines import Deadlines
from actors.waker import Waker

__all__ = ("Cancellable", "ProcessNode", "Starting")


class ProcessNode(Protocol):
    """What a process needs of its node."""

    deadlines: Deadlines
    kill_grace: float
    waker: Waker
    fenced: bool
    """Is the code that runs a zombie's? See `fence`."""

    def forget(self, process: Any) -> None:
        """A process has ended: free its names, drop it from the table, tell the death listeners."""

    def report_crash(self, process: Any, reason: Any) -> None:
        """A process ended for a reason that is not orderly."""

    def start_task(
        self,
        process: Any,
        main: Callable[..., Awaitable[Any]],
        args: Iterable[Any],
        context: contextvars.Context | None,
        *,
        owed: bool = False,
    ) -> None:
        """Run `main(*args)` as `process` in a Trio task; see `Process.run`."""

    def start_helper(self, owner: Any, function: Callable[[], Awaitable[Any]]) -> None:
        """Run `function` in a Trio task that belongs to `owner`."""

    def report_zombie(self, process: Any) -> None:
        """A killed process does not unwind: from now on it is a zombie."""

    def zombie_unwound(self, process: Any) -> None:
        """The task of a process has ended long after the process."""

    def dead_letter(self, process: Any, message: Any) -> None:
        """A message reached a process that has begun to exit."""

    def interrupt(self, error: BaseException) -> None:
        """`KeyboardInterrupt` or `SystemExit` was raised in a process: end the node."""


class Cancellable(Protocol):
    """A timer, or something else under way, that ends with a process."""

    def cancel(self) -> object:
        """It has ended."""


class Starting(Protocol):
    """A starter that waits for a process; see `start.Start`."""

    def child_ends(self) -> None:
        """The child is dying; its links have not heard of it yet."""

    def child_ended(self, reason: Any) -> None:
        """The child is completely dead."""
