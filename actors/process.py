"""A process: one Trio task with a mailbox, links, monitors and an exit reason.

- *exit*: the end of a process, with a reason that is written once (first cause wins);
- *link*: two processes that hear of each other's exit, and by default die of it;
- *monitor*: one process hears of another's exit, as a `Down` message;
- *trap*: a process that traps exits gets `Exit` messages where it would have died;
- *kill*: the exit signal that cannot be trapped.

Everything here but waiting is synchronous, so each step is atomic in the Trio thread: signals
between two processes arrive in the order sent, and whoever sees a DOWN finds the name free and the
registries clean (OTP rules P1–P13, L, M). Owner of all of it: the process itself; others reach it
through its `Pid`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import trio
from trio.lowlevel import current_task

from actors.calls import Call, System
from actors.context import current
from actors.deadlines import Deadlines
from actors.exceptions import CallError, NoNodeError, ProcessExit, StartError, call_error
from actors.exits import CALLING_SELF, KILL, KILLED, NOPROC, NORMAL, SHUTDOWN, TIMEOUT, Crash
from actors.mailbox import Mailbox
from actors.messages import Down, Exit
from actors.pid import MonitorRef, Pid
from actors.waiter import Waiter

__all__ = ("ExitWaiter", "Process", "ProcessNode", "Start", "current_process")


def current_process() -> Process:
    """The process whose code is running. Raises `NoNodeError` outside `run()` and `open_node()`."""
    try:
        process: Process = current.get()
    except LookupError:
        message = "not in a process: call this inside actors.run(main) or `async with open_node()`"
        raise NoNodeError(message) from None
    return process


class ProcessNode(Protocol):
    """What a process needs of its node."""

    deadlines: Deadlines
    kill_grace: float

    def forget(self, process: Process) -> None:
        """A process has ended: free its names, drop it from the table, tell the death listeners."""

    def report_crash(self, process: Process, reason: Any) -> None:
        """A process ended for a reason that is not orderly."""

    def report_zombie(self, process: Process) -> None:
        """A killed process does not unwind."""

    def dead_letter(self, process: Process, message: Any) -> None:
        """A message reached a process that has begun to exit."""


class ExitWaiter(Waiter):
    """A task that waits for the end of a process."""

    __slots__ = ("request", "server")

    def __init__(self, server: Any, request: Any) -> None:
        super().__init__()
        self.server = server
        self.request = request

    def expire(self) -> None:
        """The process is still there."""
        self.fail(call_error(TIMEOUT, self.server, self.request))


class Start(Waiter):
    """A starter that waits until its child has initialised itself (OTP: `proc_lib:start_link`,
    PL1–PL3).
    """

    __slots__ = ("child", "failure", "starter")

    def __init__(self, starter: Process, child: Process) -> None:
        super().__init__()
        self.starter = starter
        self.child = child
        self.failure: StartError | None = None
        """What the starter's start shall raise, when that is not simply the exit reason."""
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
        self.child.silent = True
        self._give_up()

    def abandon(self) -> None:
        """The starter does not wait any more, so nobody would ever know the child's pid."""
        super().abandon()
        self._give_up()

    def _give_up(self) -> None:
        self.starter.unlink(self.child.pid)
        self.child.begin_exit(KILLED)


class Process:
    """The process itself; user code holds its `Pid`."""

    __slots__ = (
        "ancestors",
        "cancel_scope",
        "dead",
        "deliver",
        "exit_reason",
        "joiners",
        "label",
        "links",
        "loop",
        "mailbox",
        "monitors",
        "name",
        "node",
        "parent",
        "pending",
        "pid",
        "server",
        "silent",
        "start",
        "task",
        "trap_exit",
        "watchers",
    )

    def __init__(
        self,
        node: ProcessNode,
        label: str,
        parent: Process | None,
        *,
        node_name: str,
        serial: int,
        trap_exit: bool = False,
    ) -> None:
        self.node = node
        self.label = label
        self.pid = Pid(node_name, serial, label, self)
        self.name: str | None = None
        self.parent: Pid = parent.pid if parent else self.pid
        """Whose exit signal ends a GenServer: the starter for `start_link`, itself for `start`
        (G4).
        """
        self.ancestors: tuple[str | Pid, ...] = parent.lineage() if parent else ()
        self.mailbox = Mailbox()
        self.deliver: Callable[[Any], None] = self.mailbox.put
        self.trap_exit = trap_exit
        self.exit_reason: Any = None
        self.dead = False
        self.silent = False
        """Set when the end needs no crash report: the behaviour has made its own, or OTP makes
        none.
        """
        self.cancel_scope = trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None
        self.links: dict[Pid, None] | None = None  # in the order in which they were made
        self.watchers: dict[MonitorRef, None] | None = None  # who watches this process
        self.monitors: dict[MonitorRef, None] | None = None  # whom this process watches
        self.pending: set[Call] = _NO_CALLS
        """Requests to this process that have no reply yet."""
        self.joiners: list[Waiter] | None = None
        self.start: Start | None = None
        """The starter that waits until this process has initialised itself."""
        self.server: Any = None
        """The behaviour's instance, for introspection."""
        self.loop: Any = None
        """The behaviour's debugging state, once somebody asked for it."""

    def __repr__(self) -> str:
        state = "dead" if self.dead else "alive" if self.alive else "exiting"
        return f"<Process {self.pid!r} {state} {self.mailbox!r}>"

    @property
    def alive(self) -> bool:
        """Has it not begun to exit?"""
        return self.exit_reason is None

    def lineage(self) -> tuple[str | Pid, ...]:
        """What a child has as its ancestors: this process first, by name if it has one (P8)."""
        return (self.name or self.pid, *self.ancestors)

    # -- running ---------------------------------------------------------------------------------

    async def run(self, main: Callable[..., Awaitable[Any]], args: Iterable[Any]) -> None:
        """The Trio task of this process. Nothing but Trio's own cancellation ever leaves it."""
        current.set(self)
        self.task = current_task()
        reason: Any = NORMAL
        try:
            with self.cancel_scope:
                await main(*args)
        except ProcessExit as request:
            reason = request.reason
        except CallError as error:
            reason = error.exit_reason
        except Exception as error:
            reason = Crash(error)
        except BaseException as error:  # the node is being torn down, KeyboardInterrupt, SystemExit
            self.end(SHUTDOWN if _only_cancelled(error) else Crash(error))
            raise
        self.end(reason)

    def handle_in_place(self, handler: Callable[[Any], None]) -> None:
        """From now on call `handler(message)` in the step of whoever sends, instead of queueing.

        Messages that wait already are handled at once. A handler that raises ends this process with
        `Crash`, never the sender.
        """

        def deliver(message: Any) -> None:
            try:
                handler(message)
            except ProcessExit as request:
                self.begin_exit(request.reason)
            except Exception as error:
                self.begin_exit(Crash(error))

        waiting = self.mailbox.clear()
        self.deliver = deliver
        for message in waiting:
            self.deliver(message)

    # -- exits -----------------------------------------------------------------------------------

    def receive_exit(self, sender: Pid, reason: Any, *, linked: bool) -> None:
        """An exit signal arrives (P10)."""
        if self.exit_reason is not None:
            if reason is KILL and not linked and not self.dead:
                self._expect_end()
        elif reason is KILL and not linked:
            self.begin_exit(KILLED)
        elif self.trap_exit:
            self.deliver(Exit(sender, reason))
        elif reason is not NORMAL or sender is self.pid:
            self.begin_exit(reason)

    def begin_exit(self, reason: Any) -> None:
        """Fix the reason and cancel the task; the rest of the end follows when it has unwound."""
        if self.exit_reason is not None:
            return
        self.exit_reason = reason
        self.deliver = self._drop
        self.cancel_scope.cancel()
        if reason is KILLED:
            self._expect_end()

    def end(self, reason: Any) -> None:
        """The death procedure, once, in OTP's order (P7): names, registries, links, monitors,
        callers, report.
        """
        if self.dead:
            return
        if self.exit_reason is None:
            self.exit_reason = reason
        reason = self.exit_reason
        self.dead = True
        self.deliver = self._drop
        for message in self.mailbox.clear():
            self._drop(message)
        self.node.forget(self)
        if self.start is not None:
            self.start.child_ends()
        self._signal_links(reason)
        self._signal_watchers(reason)
        for call in list(self.pending):
            call.fail_with(reason)
        for joiner in self.joiners or ():
            joiner.resolve(reason)
        self.joiners = None
        if self.start is not None:
            self.start.child_ended(reason)
        self.node.report_crash(self, reason)
        self.server = self.loop = self.task = None

    def _signal_links(self, reason: Any) -> None:
        links, self.links = self.links, None
        for pid in links or ():
            pid.target.unlink_from(self.pid)
            pid.target.receive_exit(self.pid, reason, linked=True)

    def _signal_watchers(self, reason: Any) -> None:
        watchers, self.watchers = self.watchers, None
        for ref in watchers or ():
            ref.watcher.target.remove_own_monitor(ref)
            ref.watcher.target.deliver(Down(ref, ref.object, reason))
        monitors, self.monitors = self.monitors, None
        for ref in monitors or ():
            if ref.pid is not None:
                ref.pid.target.remove_monitor(ref)

    def _expect_end(self) -> None:
        """A killed task that does not unwind in time is declared dead and fenced off (semantics
        K1).
        """

        def declare_dead() -> None:
            if not self.dead:
                self.node.report_zombie(self)
                self.end(KILLED)

        self.node.deadlines.call_later(self.node.kill_grace, declare_dead)

    def _drop(self, message: Any) -> None:
        if isinstance(message, Call):
            message.fail_with(self.exit_reason)
        else:
            self.node.dead_letter(self, message)

    # -- links and monitors ----------------------------------------------------------------------

    def link(self, other: Pid) -> None:
        """Link this process with `other`; what happens when that is dead depends on `trap_exit`
        (L2).
        """
        if other is self.pid:
            return
        if other.target.link_to(self.pid):
            self.link_to(other)
        elif self.trap_exit:
            self.deliver(Exit(other, NOPROC))
        else:
            raise call_error(NOPROC, other, "link")

    def unlink(self, other: Pid) -> None:
        """Undo `link`, both halves; no exit signal passes any more (L3)."""
        self.unlink_from(other)
        other.target.unlink_from(self.pid)

    def watch(self, pid: Pid | None, object: Any) -> MonitorRef:  # OTP's word
        """Monitor `pid`; a dead one gives a `Down` with `NOPROC` at once (M2)."""
        ref = MonitorRef(self.pid, pid, object)
        if pid is not None and pid.target.add_monitor(ref):
            if self.monitors is None:
                self.monitors = {}
            self.monitors[ref] = None
        else:
            self.deliver(Down(ref, object, NOPROC))
        return ref

    def unwatch(self, ref: MonitorRef) -> bool:
        """Undo `watch`; False if the DOWN was delivered before."""
        if ref.pid is not None:
            ref.pid.target.remove_monitor(ref)
        return self.remove_own_monitor(ref)

    def link_to(self, other: Pid) -> bool:
        """Enter this half of a link; False when this process has begun to exit."""
        if self.exit_reason is not None:
            return False
        if self.links is None:
            self.links = {}
        self.links[other] = None
        return True

    def unlink_from(self, other: Pid) -> None:
        """Remove this half of a link."""
        if self.links is not None:
            self.links.pop(other, None)

    def add_monitor(self, ref: MonitorRef) -> bool:
        """Let `ref.watcher` hear of the end; False when this process has ended."""
        if self.dead:
            return False
        if self.watchers is None:
            self.watchers = {}
        self.watchers[ref] = None
        return True

    def remove_monitor(self, ref: MonitorRef) -> bool:
        """Forget a watcher; False if it was not there."""
        if self.watchers is None or ref not in self.watchers:
            return False
        del self.watchers[ref]
        return True

    def remove_own_monitor(self, ref: MonitorRef) -> bool:
        """This process does not watch any more; False if it did not."""
        if self.monitors is None or ref not in self.monitors:
            return False
        del self.monitors[ref]
        return True

    # -- requests --------------------------------------------------------------------------------

    async def call(self, server: Pid, request: Any, timeout: float | None, name: Any) -> Any:
        """`Pid.call` of this process, run by the caller."""
        caller = current.get(None)
        if caller is None:
            caller = current_process()
        if caller is self and self.task is current_task():
            raise call_error(CALLING_SELF, name, request)
        call = Call(caller.pid, name, request, self.pending_calls())
        if timeout is not None:
            self.node.deadlines.add(call, timeout)
        self.deliver(call)
        return await call.wait()

    async def system(self, verb: tuple[Any, ...], timeout: float | None) -> Any:
        """Ask the loop of this process (OTP: `sys`); see `introspection`."""
        call = System(current_process().pid, self.pid, verb, self.pending_calls())
        if timeout is not None:
            self.node.deadlines.add(call, timeout)
        self.deliver(call)
        return await call.wait()

    async def stop(self, server: Pid, reason: Any, timeout: float | None) -> None:
        """`Pid.stop` of this process, run by the caller (PL5)."""
        caller = current_process()
        if caller is self:
            raise call_error(CALLING_SELF, server, ("stop", reason))
        waiter = self.join(("stop", reason))
        if timeout is not None:
            self.node.deadlines.add(waiter, timeout)
        self.deliver(System(caller.pid, server, ("terminate", reason), self.pending_calls()))
        actual = await waiter.wait()
        if actual != reason:
            raise call_error(actual, server, ("stop", reason))

    async def wait_exited(self) -> Any:
        """The exit reason, when the process has ended."""
        return await self.join(("wait_exited",)).wait()

    def join(self, request: Any) -> ExitWaiter:
        """A record that is resolved with the exit reason."""
        waiter = ExitWaiter(self.pid, request)
        if self.dead:
            waiter.resolve(self.exit_reason)
        else:
            if self.joiners is None:
                self.joiners = []
            self.joiners.append(waiter)
        return waiter

    def pending_calls(self) -> set[Call]:
        if self.pending is _NO_CALLS:
            self.pending = set()
        return self.pending


_NO_CALLS: set[Call] = frozenset()  # type: ignore[assignment]  # until the first call, which makes a set


def _only_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
