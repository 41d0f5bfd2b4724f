"""The requests of others to a process: calls, system messages, waits for its end (G21 to G27, PL5).

All of it is run by whoever asks, in its own task; the process answers through the record.
"""

from __future__ import annotations

from typing import Any

import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from actors.calls import NO_CALLS, Call, ExitWaiter, System
from actors.context import current, running_process
from actors.deadlines import check_seconds
from actors.exceptions import call_error
from actors.exits import CALLING_SELF
from actors.pid import Pid
from actors.seams import ProcessNode
from actors.ties import Tied

__all__ = ("Asked",)


class Asked(Tied):
    """What can be asked: the part of `Process` that takes requests."""

    __slots__ = ("joiners", "pending")

    node: ProcessNode
    task: trio.lowlevel.Task | None
    pending: dict[Any, None]
    """Requests to this process that have no reply yet, in the order in which they came."""
    joiners: dict[ExitWaiter, None] | None
    """Who waits for its end."""

    def ask(self, call: Call, timeout: float | None = None) -> None:
        """Take a request: it gets an answer, or fails when this process ends, or after `timeout`
        seconds.
        """
        pending = self.pending
        if pending is NO_CALLS:
            pending = self.pending = {}
        call.pending = pending
        if timeout is not None:
            self.node.deadlines.add(call, timeout)  # may refuse
        pending[call] = None
        self.deliver(call)

    async def call(self, server: Pid, request: Any, timeout: float | None, name: Any) -> Any:
        """`Pid.call` of this process, run by the caller."""
        caller = current.get(None)
        if caller is None or caller.dead:
            caller = running_process()
        if caller is self and self.task in (None, current_task()):
            raise call_error(CALLING_SELF, name, request)
        pending = self.pending
        if pending is NO_CALLS:
            pending = self.pending = {}
        call = Call(caller.pid, name, request, pending)
        if timeout is not None:
            self.node.deadlines.add(call, timeout)  # may refuse
        pending[call] = None
        self.deliver(call)
        if not call.done:
            call.task = current_task()  # what `call.wait()` does, without its frame
            await wait_task_rescheduled(call.give_up)
        elif caller.takes_a_turn():  # it was answered in this step
            await trio.lowlevel.checkpoint()
        return call.value if call.error is None else await call.wait()

    async def asend(self, message: Any) -> None:
        """`Pid.asend` of this process, run by the sender."""
        waiter = None
        if self.node.fenced:
            pass  # the sender is a zombie
        elif self.deliver == self.mailbox.put:
            waiter = self.mailbox.offer(message)
        else:  # it handles in place, or has begun to exit
            self.deliver(message)
        if waiter is None:
            await trio.lowlevel.checkpoint()
        else:
            await waiter.wait()

    async def system(self, server: Pid, verb: tuple[Any, ...], timeout: float | None) -> Any:
        """Ask the loop of this process (OTP: `sys`); see `introspection`."""
        caller = running_process()
        if caller is self:
            raise call_error(CALLING_SELF, server, verb)
        call = System(caller.pid, server, verb)
        self.ask(call, timeout)
        return await call.wait()

    async def stop(self, server: Pid, reason: Any, timeout: float | None) -> None:
        """`Pid.stop` of this process, run by the caller (PL5)."""
        caller = running_process()
        if caller is self:
            raise call_error(CALLING_SELF, server, ("stop", reason))
        if timeout is not None:
            check_seconds(timeout)  # so that a refusal leaves no waiter behind
        waiter = self.join(("stop", reason))
        if timeout is not None:
            self.node.deadlines.add(waiter, timeout)
        self.ask(System(caller.pid, server, ("terminate", reason)))
        actual = await waiter.wait()
        if actual != reason:
            raise call_error(actual, server, ("stop", reason))

    async def wait_exited(self) -> Any:
        """The exit reason, when the process has ended."""
        return await self.join(("wait_exited",)).wait()

    def join(self, request: Any) -> ExitWaiter:
        """A record that is resolved with the exit reason."""
        if self.joiners is None:
            self.joiners = {}
        waiter = ExitWaiter(self.pid, request, self.joiners)
        if self.dead:
            waiter.resolve(self.exit_reason)
        return waiter
