"""The process of a task: runs one function, reports if that fails (Elixir: `Task.Supervised`).

It traps nothing. Its *callers* are the process that asked for the work and whoever asked that one,
also when a supervisor started it; its ancestors are those who started it (T1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from actors import reports
from actors.exceptions import ProcessExit, reason_of
from actors.exits import is_orderly
from actors.failures import concerns_trio
from actors.node import current_node
from actors.pid import Pid
from actors.process import Process, current_process
from actors.reports import shorten
from actors.snapshot import snapshot

__all__ = ("Job", "callers", "job", "run_job", "spawn_job")


@attrs.frozen
class Job:
    """What a task does, and for whom."""

    function: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...]
    callers: tuple[Pid, ...]
    label: str | None

    @property
    def process_label(self) -> str:
        """How its process is shown."""
        name: str = getattr(self.function, "__name__", type(self.function).__name__)
        return self.label or name


def callers() -> tuple[Pid, ...]:
    """Who asked for the work that the calling process does, nearest first (Elixir: `$callers`).

    Empty in a process that is not a task.
    """
    doing = current_process().server
    return doing.callers if isinstance(doing, Job) else ()


def job(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], label: str | None) -> Job:
    """A job that the calling process asks for. Raises `TypeError` if it cannot be called."""
    if not callable(function):
        raise TypeError(f"a task runs a function, and {shorten(function)} cannot be called")
    return Job(function, args, (current_process().pid, *callers()), label)


def spawn_job(
    main: Callable[..., Awaitable[Any]], args: tuple[Any, ...], doing: Job, *, link: bool
) -> Process:
    """Start a process that runs `main(*args)`, which runs `doing`; its parent is the calling
    process.
    """
    process = current_node().spawn(
        main, args, label=doing.process_label, parent=current_process(), link=link
    )
    process.server = doing
    return process


async def run_job(doing: Job) -> Any:
    """The whole work of a task process: what the function returns.

    Raises `ProcessExit(reason)` when it ends in any other way; reports that if it is a failure
    (T7). Cancellations and interrupts pass, alone or in a group.
    """
    try:
        return await doing.function(*doing.args)
    except BaseException as error:  # noqa: ASYNC103  # it goes on as the reason of a ProcessExit
        if concerns_trio(error):
            raise
        reason = reason_of(error)
    if not is_orderly(reason):
        process = current_process()
        reports.task_crashed(process, doing, reason, snapshot(process))
        process.silent = True
    raise ProcessExit(reason)
