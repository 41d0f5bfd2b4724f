"""The controller of a node's applications (OTP: `application_controller`): which of them run, in
the order of their start, and what the end of one means.

One process per node, under the name `application_controller`; the first start of an application
starts it. It is linked to the node's main process: the end of an application that takes the program
with it stops the others in order and then reaches the main process as an exit signal.

While it stops an application it answers nobody, as OTP's; while one starts it serves the others.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, cast

import attrs
import structlog

from actors import call, current_node, reply, spawn_link, whereis
from actors.exceptions import AlreadyStartedError, StartError
from actors.exits import NORMAL, SHUTDOWN, Shutdown
from actors.gen_server import GenServer
from actors.messages import Exit
from actors.pid import Pid
from actors.reports import emit, fact
from actors.results import NoReply, Stop
from supervisors.application_master import AppLike, Ended, NotStarted, Started, run_master
from supervisors.exceptions import ApplicationNotStartedError, ApplicationStartError
from supervisors.exits import ApplicationEnded
from supervisors.reports import Reporter
from supervisors.start_types import StartType, ends_program, start_order
from supervisors.supervisor_server import Refusal, answered

__all__ = (
    "CONTROLLER",
    "RunningApplication",
    "Start",
    "StopApplication",
    "Which",
    "ask_controller",
    "ensure_all_started",
    "started_controller",
)

CONTROLLER: Final = "application_controller"

_log = structlog.get_logger("supervisors")


@attrs.frozen
class RunningApplication:
    """What `which_applications` says of one application."""

    application: Any
    root: Pid
    start_type: StartType


@attrs.define(eq=False)
class _Entry:
    """One application under its master; `root` is None until it has started."""

    application: AppLike
    start_type: StartType
    master: Pid
    waiting: list[Any]  # the calls of whoever asked for its start
    root: Pid | None = None


@attrs.frozen
class Start:
    """The request to start an application, which gives its root."""

    application: AppLike
    start_type: StartType


@attrs.frozen
class StopApplication:
    """The request to stop an application."""

    application: AppLike


@attrs.frozen
class Which:
    """The request for those that run."""


async def ask_controller(request: Start | StopApplication | Which) -> Any:
    """The answer of the node's controller, which is started if there is none."""
    return answered(await call(await started_controller(), request, timeout=None))


async def started_controller() -> Pid:
    """The node's controller."""
    pid = whereis(CONTROLLER)
    if pid is not None:
        return pid
    try:
        return await ApplicationController.start(name=CONTROLLER)
    except AlreadyStartedError as error:
        return cast("Pid", error.pid)


async def ensure_all_started(application: AppLike, start_type: StartType) -> list[Any]:
    """Start what `application` needs, each with its own start type, and then it with this one;
    those that did not run before. If one fails, those that did are stopped again.
    """
    started: list[Any] = []
    for each in start_order(application, _needs):
        own = start_type if each is application else each.start_type
        try:
            await ask_controller(Start(each, own))
        except AlreadyStartedError:
            continue
        except ApplicationNotStartedError as error:  # one that it needs has ended meanwhile
            await _stop_again(started)
            raise ApplicationStartError(each, error) from error
        except StartError:
            await _stop_again(started)
            raise
        started.append(each)
    return started


async def _stop_again(started: list[AppLike]) -> None:
    for application in reversed(started):
        with suppress(ApplicationNotStartedError):  # it has ended meanwhile
            await ask_controller(StopApplication(application))


def _needs(application: AppLike) -> tuple[AppLike, ...]:
    return application.applications


class ApplicationController(GenServer):
    """The process. Owns the list of applications."""

    trap_exit = True

    def __init__(self) -> None:
        self._entries: dict[Pid, _Entry] = {}  # master -> entry, in the order of their start
        self._report = Reporter(CONTROLLER)

    async def init(self) -> None:
        """The program ends with this process, and it with the program."""
        self._process.link(current_node().main.pid)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        """See `Application`."""
        match request:
            case Start(application, start_type):
                return self._start(application, start_type, sender)
            case StopApplication(application):
                return await self._stop(application)
            case Which():
                return [
                    RunningApplication(entry.application, entry.root, entry.start_type)
                    for entry in reversed(self._entries.values())
                    if entry.root is not None
                ]
        self._report.unexpected(request)
        return NoReply()

    async def handle_cast(self, message: Any) -> None:
        """Nobody casts to it."""
        self._report.unexpected(message)

    async def handle_info(self, message: Any) -> Stop | None:
        """What the masters tell, and their ends."""
        match message:
            case Started(master, root):
                await self._has_started(master, root)
            case NotStarted(master, reason):
                await self._has_not_started(master, reason)
            case Ended(master, reason) | Exit(master, reason):
                return await self._has_ended(master, reason)
            case _:
                self._report.unexpected(message)
        return None

    async def terminate(self, reason: Any) -> None:
        """Stop all applications in the reverse order of their start (AP4)."""
        for entry in reversed(list(self._entries.values())):
            await _stop_master(entry.master)

    # -- requests --------------------------------------------------------------------------------

    def _start(self, application: AppLike, start_type: StartType, sender: Any) -> Any:
        entry = self._find(application)
        if entry is not None and entry.root is not None:
            return Refusal(AlreadyStartedError(entry.root))
        if entry is not None:  # whoever comes meanwhile gets the same answer
            entry.waiting.append(sender)
            return NoReply()
        for needed in application.applications:
            found = self._find(needed)
            if found is None or found.root is None:
                return Refusal(ApplicationNotStartedError(needed, application))
        label = f"application {application.title}"
        master = spawn_link(run_master, application, self.pid, label=label)
        self._entries[master] = _Entry(application, start_type, master, [sender])
        return NoReply()

    async def _stop(self, application: AppLike) -> Any:
        entry = self._find(application)
        if entry is None or entry.root is None:
            return Refusal(ApplicationNotStartedError(application))
        del self._entries[entry.master]  # what it says from now on means nothing
        await _stop_master(entry.master)
        return None

    def _find(self, application: AppLike) -> _Entry | None:
        for entry in self._entries.values():
            if entry.application is application:
                return entry
        return None

    # -- what the masters tell -------------------------------------------------------------------

    async def _has_started(self, master: Pid, root: Pid) -> None:
        entry = self._entries.pop(master)
        entry.root = root
        self._entries[master] = entry  # behind those that have started meanwhile
        await self._answer(entry, root)

    async def _has_not_started(self, master: Pid, reason: object) -> None:
        entry = self._entries.pop(master)
        await self._answer(entry, Refusal(ApplicationStartError(entry.application, reason)))

    async def _answer(self, entry: _Entry, answer: Any) -> None:
        for sender in entry.waiting:
            await reply(sender, answer)
        entry.waiting.clear()

    async def _has_ended(self, master: Pid, reason: object) -> Stop | None:
        entry = self._entries.get(master)
        if entry is None:
            return None
        if entry.root is None:  # the master itself was killed
            await self._has_not_started(master, reason)
            return None
        del self._entries[master]
        title = entry.application.title
        level = "info" if reason is NORMAL else "error"
        emit(_log, level, "application ended", application=title, reason=fact(reason))
        if not ends_program(entry.start_type, reason):
            return None
        return Stop(Shutdown(ApplicationEnded(title, reason)))


async def _stop_master(master: Pid) -> None:
    master.exit(SHUTDOWN)
    await master.wait_exited()
