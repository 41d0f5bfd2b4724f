"""The machine room of DynamicSupervisor: a GenServer whose book is a dict from pid to
specification.

`start_child` is a hot path (a connection or a joined channel each): no row object per child, no
closure, and the start arguments of a temporary child are not kept (S31). A child that does not come
back stays in the book under its old pid until a retry succeeds (D4).
"""

from __future__ import annotations

import random
import weakref
from typing import Any

import attrs
import trio

from actors.calls import Call
from actors.context import current
from actors.exceptions import StartError
from actors.exits import SHUTDOWN, BadReturn, Shutdown, is_orderly
from actors.gen_server import GenServer
from actors.messages import Exit
from actors.pid import Pid
from actors.results import Ignore, NoReply, Stop
from supervisors.backoff import Delays
from supervisors.child_spec import ChildSpec, ChildType, Restart, Start, without_arguments
from supervisors.children import RESTARTING, ChildCount, ChildInfo
from supervisors.exceptions import ChildNotFoundError, MaxChildrenError
from supervisors.exits import REACHED_MAX_RESTART_INTENSITY
from supervisors.flags import DynamicSupervisorFlags
from supervisors.intensity import RestartWindow
from supervisors.reports import Reporter
from supervisors.retries import Retries, Retry
from supervisors.starting import (
    Unfinished,
    begin_process,
    finish_process,
    pid_of,
    start_process,
)
from supervisors.strategies import AfterExit, after_exit
from supervisors.supervisor_server import Refusal, UserInit, ask
from supervisors.termination import (
    by_kind_and_reason,
    has_ended,
    is_expected,
    stop_all,
    stop_process,
)

__all__ = ("DynamicSupervisorServer",)


@attrs.frozen
class _Begun:
    """A child whose start was begun in the step of who asked for it."""

    call: Call
    spec: ChildSpec
    start: Unfinished


class DynamicSupervisorServer(GenServer):
    """The process behind a `DynamicSupervisor`."""

    trap_exit = True

    _flags: DynamicSupervisorFlags
    _window: RestartWindow
    _report: Reporter

    def __init__(self) -> None:
        self._running: dict[Pid, ChildSpec] = {}
        self._restarting: dict[Pid, ChildSpec] = {}  # by the pid that ended
        self._temporary: dict[object, weakref.ref[ChildSpec]] = {}  # what alike children share
        self._retries = Retries(Delays(random.random))

    def __repr__(self) -> str:
        return (
            f"<DynamicSupervisor children={len(self._running) + len(self._restarting)} "
            f"restarts={len(self._window)}/{self._flags.max_restarts} "
            f"in {self._flags.max_seconds:g}s>"
        )

    # -- life ------------------------------------------------------------------------------------

    async def init(
        self, label: str, init: UserInit, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Ask the user's `init` for the flags."""
        self._process.label = self.pid.label = label
        self._report = Reporter(self._process.name or (self.pid, label))
        match await ask(init, args, options):
            case Ignore() | Stop() as result:
                return result
            case DynamicSupervisorFlags() as flags:
                self._flags = flags
                self._window = RestartWindow(flags.max_restarts, flags.max_seconds)
                self._process.deliver = self._take
                return None
            case junk:
                return Stop(BadReturn(junk, f"{label}.init"))

    async def terminate(self, reason: Any) -> None:
        """Stop all children at once (D7)."""
        children, self._running = self._running, {}
        ends = await stop_all(children)
        unexpected = [end for end in ends if not _is_expected(*end)]
        for ended_with, specs in by_kind_and_reason(unexpected):
            self._report.grouped_shutdown_error(specs[0], len(specs), ended_with)

    # -- messages --------------------------------------------------------------------------------

    def _take(self, message: Any) -> None:
        """Where messages arrive, in the step of the sender: who asks for a child while the
        supervisor has nothing to do need not wait until it wakes.
        """
        process = self._process
        mailbox = process.mailbox
        if (
            type(message) is Call
            and process.idle
            and mailbox.reader is not None
            and process.debug is None
            and type(message.request) is tuple  # anybody may ask anything (S9)
            and len(message.request) == 2
            and type(message.request[1]) is ChildSpec
            and message.request[0] == "start_child"
        ):
            self._begin_child(message, message.request[1])
        else:
            mailbox.put(message)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        """A request of the API; see `DynamicSupervisor`."""
        try:
            match request:
                case ("start_child", ChildSpec() as spec):
                    return await self._start_child(spec)
                case ("terminate_child", Pid() as pid):
                    return await self._terminate_child(pid)
                case ("which_children",):
                    return self._which()
                case ("count_children",):
                    return self._count()
        except (StartError, MaxChildrenError, ChildNotFoundError) as error:
            return Refusal(error)
        self._report.unexpected(request)
        return NoReply()

    async def handle_cast(self, message: Any) -> None:
        """Nobody casts to a supervisor (S9)."""
        self._report.unexpected(message)

    async def handle_info(self, message: Any) -> Stop | None:
        """The exit of a child, or a retry of our own."""
        match message:
            case Exit(pid, reason):
                spec = self._running.pop(pid, None) if has_ended(pid) else None
                return await self._child_exited(pid, spec, reason) if spec else None
            case Retry(key=Pid() as pid):
                if not self._retries.is_current(message):
                    return None
                return await self._restart(pid, self._restarting.pop(pid))
            case _Begun():
                await self._finish_child(message)
                return None
        self._report.unexpected(message)
        return None

    # -- children --------------------------------------------------------------------------------

    async def _start_child(self, spec: ChildSpec) -> Any:
        self._check_limit()
        return self._enter(spec, await start_process(self._with_extra(spec.start)))

    def _begin_child(self, call: Call, spec: ChildSpec) -> None:
        """Start a child in the step of the caller, as this process. If it cannot be finished there,
        the supervisor wakes and waits for it.
        """
        process = self._process
        caller = current.set(process)
        try:
            self._check_limit()
            started = begin_process(process, self._with_extra(spec.start))
            if type(started) is Unfinished:
                process.mailbox.put(_Begun(call, spec, started))
            else:
                call.resolve(self._enter(spec, started))
        except (StartError, MaxChildrenError) as error:
            call.resolve(Refusal(error))
        except BaseException as error:  # noqa: ASYNC103  # ends this process: the caller did no wrong
            process.begin_exit(process.reason_of_escaped(error))
        finally:
            current.reset(caller)

    async def _finish_child(self, begun: _Begun) -> None:
        try:
            started = await finish_process(begun.start)
        except StartError as error:
            begun.call.resolve(Refusal(error))
        else:
            begun.call.resolve(self._enter(begun.spec, started))

    def _check_limit(self) -> None:
        limit = self._flags.max_children
        if limit is not None and len(self._running) + len(self._restarting) >= limit:
            raise MaxChildrenError(limit)

    def _enter(self, spec: ChildSpec, started: Any) -> Any:
        if started is not None:
            self._running[pid_of(started)] = self._kept(spec)
        return started

    async def _terminate_child(self, pid: Pid) -> None:
        if self._restarting.pop(pid, None) is not None:
            self._retries.forget(pid)
            return
        spec = self._running.get(pid)
        if spec is None:
            raise ChildNotFoundError(pid)
        reason = await stop_process(pid, spec.shutdown)
        del self._running[pid]
        self._retries.forget(pid)
        if not _is_expected(spec, reason):
            self._report.shutdown_error(spec, pid, reason)

    async def _child_exited(self, pid: Pid, spec: ChildSpec, reason: object) -> Stop | None:
        verdict = after_exit(spec.restart, reason)
        if verdict is AfterExit.RESTART or not is_orderly(reason):
            self._report.child_terminated(spec, pid, reason)
        if verdict is not AfterExit.RESTART:
            self._retries.forget(pid)
            return None
        if spec.backoff is None:
            return await self._restart(pid, spec)
        self._retry(pid, spec)
        return None

    async def _restart(self, pid: Pid, spec: ChildSpec) -> Stop | None:
        """One restart attempt: it counts in the window, which may end us (S17, D4, D5)."""
        if not self._window.record(trio.current_time()):
            self._report.shutdown(spec, pid, REACHED_MAX_RESTART_INTENSITY)
            return Stop(SHUTDOWN)
        try:
            started = await start_process(self._with_extra(spec.start))
        except StartError as error:
            self._report.start_error(spec, pid, error.reason)
            self._retry(pid, spec)
            return None
        if started is None:
            self._retries.forget(pid)
            return None
        successor = pid_of(started)
        self._running[successor] = spec
        self._retries.rename(pid, successor)
        self._retries.started(successor)
        return None

    def _retry(self, pid: Pid, spec: ChildSpec) -> None:
        self._restarting[pid] = spec
        self._retries.begin(self._process, pid, spec.backoff)

    def _with_extra(self, start: Start) -> Start:
        extra = self._flags.extra_arguments
        return (start[0], extra + start[1], start[2]) if extra else start

    def _kept(self, spec: ChildSpec) -> ChildSpec:
        """What the book keeps: no arguments of a temporary child, which is never started again.

        Alike children share one specification, which goes with the last of them.
        """
        function, args, kwargs = spec.start
        if spec.restart is not Restart.TEMPORARY or not (args or kwargs):
            return spec
        shared = self._temporary
        alike = (spec.id, function, spec.shutdown, spec.type)
        try:
            found = shared.get(alike)
        except TypeError:  # an id or a callable object without a hash
            return without_arguments(spec)
        kept = found() if found is not None else None
        if kept is None:
            kept = without_arguments(spec)
            shared[alike] = weakref.ref(kept, lambda _: shared.pop(alike, None))
        return kept

    # -- questions -------------------------------------------------------------------------------

    def _which(self) -> list[ChildInfo]:
        running = [ChildInfo(None, pid, spec.type) for pid, spec in self._running.items()]
        return running + [
            ChildInfo(None, RESTARTING, spec.type) for spec in self._restarting.values()
        ]

    def _count(self) -> ChildCount:
        specs = [*self._running.values(), *self._restarting.values()]
        supervisors = sum(spec.type is ChildType.SUPERVISOR for spec in specs)
        return ChildCount(len(specs), len(self._running), supervisors, len(specs) - supervisors)


def _is_expected(spec: ChildSpec, reason: object) -> bool:
    """Unlike a static supervisor's, permanent children may end with `Shutdown(...)` (D7)."""
    return is_expected(spec, reason) or isinstance(reason, Shutdown)
