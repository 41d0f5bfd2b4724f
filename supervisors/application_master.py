"""The master of one application: the process above its root supervisor (OTP: `application_master`).

It starts the tree, calls the hooks and tells the controller what becomes of it. One process for
each application, so that a hook that raises or takes its time is that application's affair.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs
import structlog

from actors import receive, self_pid, trap_exit
from actors.exceptions import StartError, StartIgnoredError, reason_of
from actors.exits import SHUTDOWN, BadReturn
from actors.failures import concerns_trio
from actors.messages import Exit
from actors.pid import Pid
from actors.reports import emit
from actors.results import Ignore
from supervisors.start_types import StartType

__all__ = ("AppLike", "Ended", "NotStarted", "Started", "run_master")

_log = structlog.get_logger("supervisors")


class AppLike(Protocol):
    """What the master and the controller need of an `Application`."""

    title: str
    applications: tuple[Any, ...]
    start_type: StartType

    async def start_root(self) -> Pid:
        """Start the tree, linked to the calling process."""

    async def started(self, root: Pid) -> None:
        """A hook."""

    async def prep_stop(self) -> None:
        """A hook."""

    async def stopped(self, reason: object) -> None:
        """A hook."""


# What a master tells its controller.


@attrs.frozen
class Started:
    """The tree runs, and `started` has been called."""

    master: Pid
    root: Pid


@attrs.frozen
class NotStarted:
    """It did not start; nothing of it is left."""

    master: Pid
    reason: object


@attrs.frozen
class Ended:
    """The tree has ended, and `stopped` has been called."""

    master: Pid
    reason: object


async def run_master(application: AppLike, controller: Pid) -> None:
    """The main function of the process; an exit signal of the controller asks it to stop."""
    trap_exit()
    controller.send(await _live(application, controller, self_pid()))


async def _live(application: AppLike, controller: Pid, me: Pid) -> NotStarted | Ended:
    try:
        root = await application.start_root()
    except StartIgnoredError:  # as in OTP: an application is started or it is not
        return NotStarted(me, BadReturn(Ignore(), f"{application.title}.init"))
    except StartError as error:
        return NotStarted(me, error.reason)
    failure = await _call(application, "started", root)
    if failure is None:
        controller.send(Started(me, root))
        reason = await _wait_for_end(application, root, controller)
    else:
        reason = await _stop(application, root)
    await _call(application, "stopped", reason)
    return Ended(me, reason) if failure is None else NotStarted(me, reason_of(failure))


async def _wait_for_end(application: AppLike, root: Pid, controller: Pid) -> object:
    while True:
        match await receive():  # what others may have sent is dropped
            case Exit(pid, reason) if pid is root:
                return reason
            case Exit(pid) if pid is controller:
                return await _stop(application, root)


async def _stop(application: AppLike, root: Pid) -> object:
    """Stop the tree in its own time; the reason with which it ended (AP3)."""
    await _call(application, "prep_stop")
    root.exit(SHUTDOWN)
    while True:
        match await receive():
            case Exit(pid, reason) if pid is root:
                return reason


async def _call(application: AppLike, hook: str, *args: Any) -> BaseException | None:
    """Call a hook. What it raises is reported and returned, so that the end goes on (AP3)."""
    try:
        await getattr(application, hook)(*args)
    except BaseException as error:  # noqa: ASYNC103  # raised again where it is not the hook's
        if concerns_trio(error):
            raise
        told = {"application": application.title, "hook": hook, "exc_info": error}
        emit(_log, "error", "application hook failed", **told)
        return error  # noqa: ASYNC104  # as above
    return None
