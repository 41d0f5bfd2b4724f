"""The machine room of Supervisor: a GenServer that keeps the book and carries out what
`strategies.py` decides.

Owner of the book and the restart window. One message at a time: a request of the API, the exit of a
child, or a retry that the supervisor sent to itself because a child did not come back (S14).
Between two retries the mailbox has its turn, so a supervisor whose child cannot start still answers
and can still be stopped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias

import trio

from actors.exceptions import AlreadyStartedError, StartError
from actors.exits import SHUTDOWN, BadReturn, Crash, Shutdown, is_orderly
from actors.gen_server import GenServer
from actors.kernel import Via
from actors.messages import Exit
from actors.results import Ignore, NoReply, Stop
from supervisors.backoff import Delays
from supervisors.child_spec import SPEC_FIELDS, ChildLike, ChildSpec, ChildType
from supervisors.children import Child, Children
from supervisors.exceptions import (
    AlreadyPresentError,
    ChildAlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    ChildStartError,
    InvalidFlagError,
    InvalidSpecError,
    SupervisorsError,
)
from supervisors.exits import REACHED_MAX_RESTART_INTENSITY, FailedToStartChild
from supervisors.flags import AutoShutdown, SupervisorFlags
from supervisors.intensity import RestartWindow
from supervisors.reports import Reporter
from supervisors.retries import Retries, Retry
from supervisors.start_failure import is_configuration_error
from supervisors.starting import pid_of, start_process
from supervisors.strategies import AfterExit, after_exit, plan_restart, shutdown_due
from supervisors.termination import has_ended, is_expected, stop_process

__all__ = (
    "Refusal",
    "SupervisorServer",
    "UserInit",
    "answered",
    "ask",
    "supervisor_child_spec",
)

UserInit: TypeAlias = Callable[..., Any]  # it may wait


class Refusal:
    """A reply that the caller's side raises."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def answered(reply: Any) -> Any:
    """The reply of a supervisor, on the caller's side. Raises what it refused with."""
    if type(reply) is Refusal:
        raise reply.error
    return reply


def supervisor_child_spec(
    cls: type[Any], args: tuple[Any, ...], options: Mapping[str, Any]
) -> dict[str, Any]:
    """How another supervisor starts `cls`, which is a kind of supervisor (S2). Its id is the name,
    of a `Via` the key, or else the class.
    """
    fields = {key: value for key, value in options.items() if key in SPEC_FIELDS}
    rest = {key: value for key, value in options.items() if key not in SPEC_FIELDS}
    name = rest.get("name")
    return {
        "id": name.key if isinstance(name, Via) else name or cls,
        "start": (cls.start_link, args, rest),
        "type": ChildType.SUPERVISOR,
        **fields,
    }


async def ask(init: UserInit, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """What the user's `init` returns; a wrong flag is refused, which only the starter hears."""
    try:
        result = init(*args, **options)
        return await result if isawaitable(result) else result
    except InvalidFlagError as error:
        raise StartError(Crash(error)) from error


class SupervisorServer(GenServer):
    """The process behind a `Supervisor`."""

    trap_exit = True

    _flags: SupervisorFlags
    _window: RestartWindow
    _report: Reporter

    def __init__(self) -> None:
        self._children = Children()
        self._retries = Retries(Delays(random.random))

    def __repr__(self) -> str:
        return (
            f"<Supervisor {self._flags.strategy} children={len(self._children)} "
            f"restarts={len(self._window)}/{self._flags.max_restarts} "
            f"in {self._flags.max_seconds:g}s>"
        )

    # -- life ------------------------------------------------------------------------------------

    async def init(
        self, label: str, init: UserInit, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Ask the user's `init` and start what it lists (S5, S7)."""
        self._process.label = self.pid.label = label
        self._report = Reporter(self._process.name or (self.pid, label))
        match await ask(init, args, options):
            case Ignore() | Stop() as result:
                return result
            case (SupervisorFlags() as flags, Iterable() as children):
                self._flags = flags
                self._window = RestartWindow(flags.max_restarts, flags.max_seconds)
                return await self._start_all(children)
            case junk:
                return Stop(BadReturn(junk, f"{label}.init"))

    async def terminate(self, reason: Any) -> None:
        """Stop the children, newest first, each in its own time (S22, S24)."""
        for child in list(reversed(self._children)):
            await self._stop(child)

    async def _start_all(self, children: Iterable[ChildLike]) -> Stop | None:
        try:
            for child in children:
                self._add(ChildSpec.of(child))
        except InvalidSpecError as error:  # refused: nothing was started, the starter is told
            raise StartError(Crash(error)) from error
        for row in list(self._children):
            try:
                await self._start(row)
            except StartError as error:
                if not is_configuration_error(error):  # the starter tells those, once
                    self._report.start_error(row.spec, None, error.reason)
                await self.terminate(SHUTDOWN)
                return Stop(Shutdown(FailedToStartChild(row.id, error.reason)))
        return None

    # -- messages --------------------------------------------------------------------------------

    async def handle_call(self, request: Any, sender: Any) -> Any:
        """A request of the API; what is refused is raised on the caller's side."""
        try:
            return await self.answer(request)
        except (StartError, SupervisorsError) as error:
            return Refusal(error)

    async def answer(self, request: Any) -> Any:
        """The reply to a request; see `Supervisor`."""
        match request:
            case ("start_child", ChildSpec() as spec):
                return await self._start_child(spec)
            case ("terminate_child", id):
                return await self._stop(self._find(id))
            case ("restart_child", id):
                return await self._restart_child(self._find_stopped(id))
            case ("delete_child", id):
                return self._delete(self._find_stopped(id))
            case ("which_children",):
                return self._children.which()
            case ("which_child", id):
                return self._children.describe(self._find(id))
            case ("count_children",):
                return self._children.count()
            case ("get_child_spec", id):
                return self._get_child_spec(id)
        self._report.unexpected(request)
        return NoReply()

    async def handle_cast(self, message: Any) -> None:
        """Nobody casts to a supervisor; unlike OTP's it survives one (S9)."""
        self._report.unexpected(message)

    async def handle_info(self, message: Any) -> Stop | None:
        """The exit of a child, or a retry of our own."""
        match message:
            case Exit(pid, reason):
                child = self._children.by_pid(pid) if has_ended(pid) else None
                return await self._child_exited(child, reason) if child else None
            case Retry(key=Child() as child):
                return await self._restart(child) if self._retries.is_current(message) else None
        self._report.unexpected(message)
        return None

    # -- a child ended ---------------------------------------------------------------------------

    async def _child_exited(self, child: Child, reason: object) -> Stop | None:
        verdict = after_exit(child.spec.restart, reason)
        if verdict is AfterExit.RESTART or not is_orderly(reason):
            self._report.child_terminated(child.spec, child.pid, reason)
        if verdict is not AfterExit.RESTART:
            self._children.set_stopped(child)
            due = shutdown_due(self._flags.auto_shutdown, child, self._children)
            return Stop(SHUTDOWN) if due else None
        if child.spec.backoff is None:
            return await self._restart(child)
        self._retry(child)
        return None

    async def _restart(self, failed: Child) -> Stop | None:
        """One restart attempt: counts in the window, and is given up or carried out (S17)."""
        if not self._window.record(trio.current_time()):
            self._report.shutdown(failed.spec, failed.pid, REACHED_MAX_RESTART_INTENSITY)
            self._children.set_stopped(failed)
            return Stop(SHUTDOWN)
        self._children.set_stopped(failed)
        plan = plan_restart(self._flags.strategy, self._children, failed)
        for child in self._rows(plan.stop):
            await self._stop(child)
        for child in self._rows(plan.start):
            try:
                await self._start(child)
            except StartError as error:
                self._report.start_error(child.spec, child.pid, error.reason)
                self._retry(child)
                break
            self._retries.started(child)
        return None

    def _retry(self, child: Child) -> None:
        """`child` did not come back: try again by way of the mailbox, after its delay (S14)."""
        self._children.set_restarting(child)
        self._retries.begin(self._process, child, child.spec.backoff)

    def _rows(self, ids: Iterable[Hashable]) -> list[Child]:
        rows = [self._children.by_id(id) for id in ids]
        return [row for row in rows if row is not None]

    # -- the API ---------------------------------------------------------------------------------

    async def _start_child(self, spec: ChildSpec) -> Any:
        present = self._children.by_id(spec.id)
        if present is not None:
            if present.pid is not None:
                raise ChildAlreadyStartedError(spec.id, present.pid)
            raise AlreadyPresentError(spec.id)
        child = self._add(spec)
        try:
            return await self._start(child, by_hand=True)
        except StartError as error:
            self._children.remove(child)
            if isinstance(error, AlreadyStartedError):
                raise
            raise ChildStartError(spec.id, error.reason) from error.__cause__

    async def _restart_child(self, child: Child) -> Any:
        try:
            return await self._start(child, by_hand=True)
        except StartError as error:
            if isinstance(error, AlreadyStartedError):
                raise
            raise ChildStartError(child.id, error.reason) from error.__cause__

    def _delete(self, child: Child) -> None:
        self._retries.forget(child)
        self._children.remove(child)

    def _get_child_spec(self, id_or_pid: Hashable) -> ChildSpec:
        child = self._children.find(id_or_pid)
        if child is None:
            raise ChildNotFoundError(id_or_pid)
        return child.spec

    def _find(self, id: Hashable) -> Child:
        child = self._children.by_id(id)
        if child is None:
            raise ChildNotFoundError(id)
        return child

    def _find_stopped(self, id: Hashable) -> Child:
        child = self._find(id)
        if child.restarting:
            raise ChildRestartingError(id)
        if child.pid is not None:
            raise ChildRunningError(id)
        return child

    # -- one child -------------------------------------------------------------------------------

    def _add(self, spec: ChildSpec) -> Child:
        if spec.significant and self._flags.auto_shutdown is AutoShutdown.NEVER:
            value = {"auto_shutdown": "never", "significant": True}
            legal = (
                "significant children only under auto_shutdown any_significant or all_significant"
            )
            raise InvalidSpecError("bad_combination", value, legal)
        return self._children.add(spec)

    async def _start(self, child: Child, *, by_hand: bool = False) -> Any:
        """Start a stopped child; what its start function gave. Raises `StartError`."""
        started = await start_process(child.spec.start)
        if started is None:
            self._children.set_ignored(child)  # forgets it if it is temporary (S6, S16)
            return None
        pid = pid_of(started)
        self._children.set_running(child, pid)
        self._report.started(child.spec, pid, by_hand=by_hand)
        return started

    async def _stop(self, child: Child) -> None:
        """Stop a child in its own time (S20), or the attempts to restart it."""
        self._retries.forget(child)
        if child.pid is not None:
            spec, pid = child.spec, child.pid
            reason = await stop_process(pid, spec.shutdown)
            if not is_expected(spec, reason):
                self._report.shutdown_error(spec, pid, reason)
        self._children.set_stopped(child)
