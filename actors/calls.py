"""Requests that wait for their answer: `Call` (also the `sender` that `handle_call` is given) and
`System`.

Both stand among the pending requests of the server until they are answered, so that a dying server
fails every one of them, in the order in which they came. A reply goes to the record, not to a
mailbox: a late or second reply finds the record closed and is dropped, and a call costs the same
however many messages the caller has queued.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec
from trio.lowlevel import Task, reschedule

from actors import telemetry
from actors.deadlines import Place
from actors.exceptions import call_error
from actors.exits import TIMEOUT
from actors.pid import Pid
from actors.waiter import Waiter, Waiting
from actors.woken import WOKEN

__all__ = ("NO_CALLS", "Call", "ExitWaiter", "System")


NO_CALLS: Final[dict[Any, None]] = MappingProxyType({})  # type: ignore[assignment]  # of who was never asked


class Call(Waiting, msgspec.Struct, eq=False):
    """One request and whoever waits for its reply (OTP: `From`).

    A Struct, because one is made for each call. `Process.ask` delivers it.
    """

    caller: Pid
    server: Any
    request: Any
    pending: dict[Any, None] = NO_CALLS
    """The requests to the server that have no reply yet, this one among them."""
    on_answer: Callable[[Call], None] | None = None
    """Called with the record when it has its answer, for callers without a task that waits."""
    task: Task | None = None
    deadlines: Place | None = None
    done: bool = False
    value: Any = None
    error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request!r} from {self.caller!r}>"

    @property
    def pid(self) -> Pid:
        """Who asked."""
        return self.caller

    def resolve(self, value: Any) -> bool:
        """Give the reply; False if it is too late, or the second one."""
        # Waiter.resolve and finish in one piece: this is half of what a call costs the server.
        if self.done:
            return False
        self.done = True
        self.value = value
        self.pending.pop(self, None)
        if self.deadlines is not None:
            del self.deadlines[self]
            self.deadlines = None
        task = self.task
        if task is not None:
            self.task = None
            reschedule(task, WOKEN)
        if self.on_answer is not None:
            self.on_answer(self)
        return True

    def finish(self) -> None:
        """Leave the server's pending requests too."""
        self.pending.pop(self, None)
        Waiting.finish(self)
        if self.on_answer is not None:
            self.on_answer(self)

    def expire(self) -> None:
        """Time is up for the caller; the request stays queued and will be handled (G23)."""
        asked = {"caller": self.caller, "server": self.server, "request": self.request}
        telemetry.execute("call.timeout", {}, asked)
        self.fail_with(TIMEOUT)

    def fail_with(self, reason: Any) -> bool:
        """Let the caller's call raise, for `reason`."""
        return self.fail(call_error(reason, self.server, self.request))


class System(Call):
    """A request to the loop of a process rather than to its user code (OTP: `sys`).

    `request` is the verb with its arguments, as a tuple.
    """


class ExitWaiter(Waiter):
    """A task that waits for the end of a process."""

    __slots__ = ("joiners", "request", "server")

    def __init__(self, server: Pid, request: Any, joiners: dict[ExitWaiter, None]) -> None:
        super().__init__()
        self.server = server
        self.request = request
        self.joiners = joiners
        joiners[self] = None

    def finish(self) -> None:
        """Leave the process's joiners too."""
        self.joiners.pop(self, None)
        super().finish()

    def expire(self) -> None:
        """The process is still there."""
        self.fail(call_error(TIMEOUT, self.server, self.request))
