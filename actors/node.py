"""A node: one running instance of the runtime, with its process table, names and deadlines.

Several nodes can live in one OS process. Nothing outlives `async with open_node()`: leaving it ends
the processes that the body started, newest first and in order, then whatever is left. That holds
for every way of leaving, an exception, a cancellation from outside and Ctrl-C included: processes
run in a nursery that is shielded from what surrounds the node.
"""

from __future__ import annotations

import contextvars
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeGuard, TypeVar, cast

import attrs
import trio

from actors import reports
from actors.bounded import Bounded, bound, check_bounded
from actors.context import current
from actors.dead import Dead
from actors.deadlines import Deadlines, check_seconds
from actors.deadlocks import DetectingProcess
from actors.exceptions import NameTakenError, NodeExitedError, ProcessExit, call_error, reason_of
from actors.exits import ALIVE, KILL, KILLED, NOPROC, NORMAL, SHUTDOWN, Crash, is_orderly
from actors.failures import concerns_trio, interrupt_in
from actors.fence import Fence
from actors.long_schedule import watch_schedule
from actors.pid import Pid
from actors.process import Process, current_process
from actors.snapshot import snapshot
from actors.telemetry import Handlers
from actors.waker import Waker

__all__ = ("Node", "NodeStatistics", "current_node", "open_node", "run")

T = TypeVar("T")

KILL_GRACE = 1.0
"""Seconds that a killed process has to unwind its `finally` blocks before it is declared dead."""
SHUTDOWN_TIMEOUT = 5.0
"""Seconds that a process started by the node's body has to end when the body is left."""


@attrs.frozen
class NodeStatistics:
    """A snapshot: living processes, registered names, pending deadlines, processes ever started,
    zombies.
    """

    processes: int
    names: int
    deadlines: int
    started: int
    zombies: int


class Node:
    """The process table and what goes with it. Made by `open_node`."""

    def __init__(
        self,
        name: str,
        nursery: trio.Nursery,
        *,
        kill_grace: float,
        shutdown_timeout: float,
        process_class: type[Process] = Process,
    ) -> None:
        self.name = name
        self._process_class = process_class
        self.kill_grace = kill_grace
        self.deadlines = Deadlines(self.interrupt)
        self.waker = Waker(lambda wake: self._start_soon(None, wake, name=f"{name}: waker"))
        self.processes: dict[Pid, Process] = {}  # in the order in which they started
        self.names: dict[str, Pid] = {}
        self._nursery = nursery
        self._shutdown_timeout = shutdown_timeout
        self._serial = 0
        self._zombies = 0
        self.fenced = False
        """Is the code that runs a zombie's, so that what it sends is ignored (K1)?"""
        self._fence = Fence(self)
        self._exit_listeners: list[Callable[[Pid], None]] = []
        self.telemetry: Handlers | None = None
        """Who listens to events; None while nobody does."""
        self._dead = Dead(self)
        self.interruption: BaseException | None = None
        """`KeyboardInterrupt` or `SystemExit` of a process; raised when the node has ended."""
        # Processes start with the context of the node, not with that of whoever starts them.
        self._context = contextvars.Context()
        self.main = self._new_process("main", None, trap_exit=False)

    def __repr__(self) -> str:
        return f"<Node {self.name!r} processes={len(self.processes)}>"

    def statistics(self) -> NodeStatistics:
        """Numbers for tests, telemetry and the dashboard."""
        return NodeStatistics(
            len(self.processes), len(self.names), len(self.deadlines), self._serial, self._zombies
        )

    # -- processes -------------------------------------------------------------------------------

    def spawn(
        self,
        main: Callable[..., Awaitable[Any]],
        args: Iterable[Any],
        *,
        label: str,
        parent: Process | None = None,
        link: bool = False,
        trap_exit: bool = False,
        mailbox: Bounded | None = None,
    ) -> Process:
        """Start a process that runs `main(*args)`; `parent` is linked to it if `link`, in the same
        step.
        """
        process = self.prepare(
            label, parent=parent, link=link, trap_exit=trap_exit, mailbox=mailbox
        )
        self.start_task(process, main, args)
        return process

    def prepare(
        self,
        label: str,
        *,
        parent: Process | None = None,
        link: bool = False,
        trap_exit: bool = False,
        mailbox: Bounded | None = None,
    ) -> Process:
        """Enter a process into the table that has no task yet: `start_task` gives it one.

        Raises TypeError if `mailbox` is no `Bounded`.
        """
        if mailbox is not None:
            check_bounded(mailbox)
        process = self._new_process(label, parent, trap_exit=trap_exit)
        if mailbox is not None:
            bound(process, mailbox)
        if parent is not None:
            if link:
                parent.link(process.pid)
            else:
                process.parent = process.pid
        return process

    def context_of(self, process: Process) -> contextvars.Context:
        """A context in which code runs as `process`."""
        context = self._context.copy()
        context.run(current.set, process)
        return context

    def start_task(
        self,
        process: Process,
        main: Callable[..., Awaitable[Any]],
        args: Iterable[Any],
        context: contextvars.Context | None = None,
        *,
        owed: bool = False,
    ) -> None:
        """Let a prepared process run `main(*args)`; see `Process.run`."""
        self._start_soon(context, process.run, main, args, owed, name=process.label)

    def _start_soon(
        self,
        context: contextvars.Context | None,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
        name: str,
    ) -> None:
        # Not in a lambda: this is done for each process.
        (context or self._context).run(self._nursery.start_soon, function, *args, name=name)

    def _new_process(self, label: str, parent: Process | None, *, trap_exit: bool) -> Process:
        self._serial += 1
        process = self._process_class(
            self, label, parent, node_name=self.name, serial=self._serial, trap_exit=trap_exit
        )
        self.processes[process.pid] = process
        if self.telemetry is not None:
            started = {"pid": process.pid, "label": label, "parent": process.parent}
            started["ancestors"] = process.ancestors
            self.telemetry.execute("process.started", {}, started)
        return process

    def on_exit(self, listener: Callable[[Pid], None]) -> None:
        """Call `listener(pid)` for each process that ends, before its links and monitors hear of
        it.
        """
        self._exit_listeners.append(listener)

    def remove_exit_listener(self, listener: Callable[[Pid], None]) -> None:
        """Undo `on_exit`; a listener may do it while it is called."""
        self._exit_listeners = [kept for kept in self._exit_listeners if kept != listener]

    def start_helper(self, owner: Process, function: Callable[[], Awaitable[Any]]) -> None:
        """Run `function` in a Trio task of its own that belongs to `owner`.

        If it raises, `owner` dies of that. It must end by itself soon after its owner has; the node
        waits for nobody.
        """

        async def help_owner() -> None:
            current.set(owner)
            try:
                await function()
            except Exception as error:
                owner.begin_exit(reason_of(error))
            except GeneratorExit:  # the interpreter ends
                raise
            except BaseException as error:  # noqa: ASYNC103  # it ends as an exit reason
                owner.begin_exit(owner.reason_of_escaped(error))

        self._start_soon(None, help_owner, name=f"helper of {owner.pid!r}")

    def forget(self, process: Process) -> None:
        """Part of the death procedure."""
        pid, name = process.pid, process.name
        if name is not None:
            del self.names[name]
            process.name = None
        self.processes.pop(pid, None)
        pid.target = self._dead
        if self.telemetry is not None:
            ended = {"pid": pid, "label": process.label, "name": name}
            ended["reason"] = process.exit_reason
            self.telemetry.execute("process.exited", {}, ended)
        for listener in self._exit_listeners:
            try:
                listener(pid)
            except BaseException as error:  # noqa: ASYNC103  # links and monitors must hear of it
                interrupt = interrupt_in(error)
                if interrupt is not None:
                    self.interrupt(interrupt)
                elif concerns_trio(error):
                    raise
                else:
                    reports.listener_failed(listener, error)

    # -- names -----------------------------------------------------------------------------------

    def register(self, name: str, pid: Pid) -> None:
        """Give a living process its one name (P1)."""
        process = self.processes.get(pid)
        if process is None or not process.alive:
            raise call_error(NOPROC, pid, ("register", name))
        if name in self.names:
            raise NameTakenError(f"{name!r} is the name of {self.names[name]!r}")
        if process.name is not None:
            raise NameTakenError(f"{pid!r} has a name already; a process has one")
        self.names[name] = pid
        process.name = name

    def unregister(self, name: str) -> None:
        """Free a name. Raises `NoProcessError` if nobody has it."""
        pid = self.names.pop(name, None)
        if pid is None:
            raise call_error(NOPROC, name, "unregister")
        self.processes[pid].name = None

    # -- what processes report -------------------------------------------------------------------

    def report_crash(self, process: Process, reason: Any) -> None:
        """Log the end of a process unless it was orderly, a kill, or has been reported."""
        if not process.silent and not is_orderly(reason) and reason is not KILLED:
            try:
                reports.process_crashed(process, reason, snapshot(process))
            except (KeyboardInterrupt, SystemExit) as error:  # out of the program's log
                self.interrupt(error)

    def report_zombie(self, process: Process) -> None:
        """Log a killed process that does not unwind, with the place where it is stuck."""
        self._zombies += 1
        self._fence.add(process)
        reports.zombie(process.pid, self.kill_grace, _stack(process.task))

    def zombie_unwound(self, process: Process) -> None:
        """It does no harm any more."""
        self._fence.remove(process)

    def dead_letter(self, process: Process, message: Any) -> None:
        """A message reached a process that has begun to exit: dropped, as in OTP (P3)."""
        self.tell_dead_letter(process.pid, message)

    def tell_dead_letter(self, pid: Pid | None, message: Any) -> None:
        """Tell whoever listens; `pid` is None if the process had ended before."""
        if self.telemetry is not None:
            letter = {"pid": pid, "message": message}
            self.telemetry.execute("message.dead_letter", {}, letter)

    def interrupt(self, error: BaseException) -> None:
        """Ctrl-C or `sys.exit()` hit the code of a process: end the body, then all in order."""
        if self.interruption is None:
            self.interruption = error
        if self.main.cancel_scope is not None:
            self.main.cancel_scope.cancel()

    # -- the end ---------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End what has no parent but the body, newest first, then everything that is left.

        Each has `shutdown_timeout` to end; its exit signal comes in its parent's name, so that a
        server runs `terminate`.
        """
        main = self.main
        roots = [p for p in self.processes.values() if p.parent in (main.pid, p.pid)]
        for process in reversed(roots):
            if process is not main:
                process.receive_exit(process.parent, SHUTDOWN, linked=False)
                with trio.move_on_after(self._shutdown_timeout):
                    await process.wait_exited()
        while len(self.processes) > 1:
            rest = [p for p in self.processes.values() if p is not main]
            for process in reversed(rest):
                process.receive_exit(main.pid, KILL, linked=False)
            for process in rest:
                await process.wait_exited()


@asynccontextmanager
async def open_node(
    name: str = "node",
    *,
    kill_grace: float = KILL_GRACE,
    shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    detect_deadlocks: bool = False,
    long_schedule: float | None = None,
) -> AsyncIterator[Node]:
    """Run a node for the length of the block; the block's code is the node's main process.

    `kill_grace` and `shutdown_timeout` are seconds. For tests and development: `detect_deadlocks`
    lets a call that would close a circle of waiting calls raise `DeadlockError`, `long_schedule`
    is the seconds after which a callback that holds the loop is reported. Raises `NodeExitedError`
    when an exit signal ended the main process (a linked process crashed, say).
    """
    check_seconds(kill_grace)
    check_seconds(shutdown_timeout)
    failure: BaseException | None = None
    with trio.CancelScope() as surroundings:
        async with trio.open_nursery() as outer:
            nursery = await outer.start(_hold_nursery_open)
            node = Node(
                name,
                nursery,
                kill_grace=kill_grace,
                shutdown_timeout=shutdown_timeout,
                process_class=DetectingProcess if detect_deadlocks else Process,
            )
            main = node.main
            main.cancel_scope = trio.CancelScope()
            token = current.set(main)
            nursery.start_soon(node.deadlines.run, name=f"{name}: deadlines")  # runs as main
            try:
                with watch_schedule(node, long_schedule), main.cancel_scope:
                    yield node
            except BaseException as error:  # noqa: ASYNC103  # raised below, when all have ended
                failure = error
            surroundings.shield = True  # from now on only a second Ctrl-C hurries the end
            reason = main.exit_reason
            try:
                main.silent = True
                main.begin_exit(SHUTDOWN)  # the links of what ends now do not concern the body
                await node.stop()
            except KeyboardInterrupt as error:
                failure = error
            finally:
                current.reset(token)
                main.end(SHUTDOWN)
                nursery.cancel_scope.cancel()
    if node.interruption is not None and failure is not node.interruption:
        raise node.interruption from failure
    if _is_exit(failure):
        reason, failure = reason_of(failure), None
    if failure is not None:
        raise failure
    if reason is not ALIVE and reason is not NORMAL:
        cause = reason.exception if isinstance(reason, Crash) else None
        raise NodeExitedError(reason) from cause


def _is_exit(error: BaseException | None) -> TypeGuard[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return error.split(ProcessExit)[1] is None
    return isinstance(error, ProcessExit)


async def _hold_nursery_open(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """A nursery for the processes that a cancellation around the node does not reach (K2)."""
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await trio.sleep_forever()


def run(
    main: Callable[..., Awaitable[T]],
    *args: Any,
    name: str = "node",
    node_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> T:
    """Run `main(*args)` as the main process of a node, on Trio, and return its result.

    `node_options` go to `open_node`, `options` to `trio.run` (`clock`, `instruments`, ...). Ctrl-C
    ends `main` at its next checkpoint, then the node in order, and `KeyboardInterrupt` is raised; a
    second one hurries.
    """

    async def in_node() -> T:
        async with open_node(name, **(node_options or {})):
            return await main(*args)
        return cast("T", None)  # main said ProcessExit(NORMAL): there is no result

    # Otherwise Ctrl-C could hit the kernel in the middle of a step.
    options.setdefault("restrict_keyboard_interrupt_to_checkpoints", True)
    return trio.run(in_node, **options)


def current_node() -> Node:
    """The node whose process is running. Raises `NoNodeError` outside one."""
    process = current.get(None) or current_process()  # a zombie too may ask
    return cast("Node", process.node)


def _stack(task: trio.lowlevel.Task | None) -> str:
    if task is None:
        return ""
    frames = [(frame, line) for frame, line in task.iter_await_frames()]
    return "".join(traceback.StackSummary.extract(frames).format())
