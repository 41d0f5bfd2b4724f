"""Starting a process and waiting until it has initialised itself (OTP: `proc_lib`, PL1 to PL3)."""

from __future__ import annotations

from typing import Any

from actors.exceptions import StartError
from actors.exits import KILLED, TIMEOUT, Crash
from actors.process import Process
from actors.waiter import Waiter

__all__ = ("Start",)


class Start(Waiter):
    """The starter's wait, until `init` has returned or failed.

    Resolved with the pid. Fails with a `StartError`, but only when the child is completely dead, so
    that its name is free by then.
    """

    __slots__ = ("begun_in_place", "child", "failure", "starter")

    def __init__(self, starter: Process, child: Process) -> None:
        super().__init__()
        self.starter = starter
        self.child = child
        self.failure: StartError | None = None
        """What the starter's start shall raise, when that is not simply the exit reason."""
        self.begun_in_place = False
        """The starter will wait for it in its loop, before it does anything else."""
        child.start = self

    def started(self) -> None:
        """The child is ready."""
        self.child.start = None
        self.resolve(self.child.pid)

    def child_ends(self) -> None:
        """A failed start leaves no `Exit` behind in a starter that traps exits."""
        if self.starter.trap_exit:
            self.starter.unlink_from(self.child.pid)
            self.child.unlink_from(self.starter.pid)  # by name: its pid reaches nobody any more

    def child_ended(self, reason: Any) -> None:
        """The child is completely dead; its name is free."""
        failure = self.failure or StartError(reason)
        if isinstance(reason, Crash):
            failure.__cause__ = reason.exception
        self.child.start = None
        self.fail(failure)

    def expire(self) -> None:
        """Too slow: unlink first, so that the starter survives, then kill."""
        self.failure = StartError(TIMEOUT)
        self._give_up()

    def abandon(self) -> None:
        """The starter does not wait any more, so nobody would ever know the child's pid. A starter
        that dies leaves the child to its link, if there is one, as in OTP.
        """
        super().abandon()
        if self.starter.alive:
            self._give_up()

    def _give_up(self) -> None:
        self.starter.unlink(self.child.pid)
        self.child.begin_exit(KILLED)
