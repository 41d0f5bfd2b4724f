"""`TaskSupervisor`: tasks as supervised children (Elixir: `Task.Supervisor`).

    TASKS = "tasks"
    Supervisor children: [(TaskSupervisor, "tasks")]

    await TaskSupervisor.start_child(TASKS, send_mail, address)       # nobody waits
    task = await TaskSupervisor.async_nolink(TASKS, fetch, url)
    page = await task.wait()

A `DynamicSupervisor` whose children run one function each. They are not restarted unless `restart`
says so, and get `shutdown` seconds when the supervisor stops. For a server the usual way is
`async_nolink` with `task.notify()`: a failing task harms nobody, and its outcome arrives in
`handle_info` (T9).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from actors.exceptions import NoProcessError, StartIgnoredError
from actors.exits import NOPROC, NORMAL
from actors.kernel import Destination, Name, stop
from actors.pid import Pid
from actors.process import current_process
from actors.task import Task
from actors.task_process import Job, job, run_job, spawn_job
from actors.task_stream import StartTask, TaskStream
from supervisors.child_spec import BrutalKill, ChildSpec, Restart
from supervisors.children import ChildCount
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.supervisor_server import supervisor_child_spec

__all__ = ("TaskSupervisor",)

T = TypeVar("T")

SHUTDOWN_SECONDS = 5.0
"""Seconds that a task has to end when its supervisor stops, as in Elixir."""


class TaskSupervisor:
    """Supervises tasks. All functions but `start_link` take the supervisor's pid or name first."""

    @classmethod
    async def start_link(cls, name: Name | None = None, **options: Any) -> Pid:
        """Start a supervisor without tasks, linked to the calling process.

        `options` are those of `DynamicSupervisor`: `max_children`, `max_restarts`, `max_seconds`.
        """
        return await DynamicSupervisorServer.start_link(
            cls.__name__, DynamicSupervisor().init, (), options, name=name
        )

    @classmethod
    def child_spec(cls, name: Name | None = None, **options: Any) -> dict[str, Any]:
        """How another supervisor starts this one; the id is the name, or else the class."""
        if name is not None:
            options["name"] = name
        return supervisor_child_spec(cls, (), options)

    # -- nobody waits ----------------------------------------------------------------------------

    @staticmethod
    async def start_child(
        supervisor: Destination,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
        restart: Restart | str = Restart.TEMPORARY,
        shutdown: float | BrutalKill = SHUTDOWN_SECONDS,
        label: str | None = None,
    ) -> Pid:
        """Run `await function(*args)` as a child for which nobody waits; a failure is reported.

        Raises `MaxChildrenError`, `InvalidSpecError`.
        """
        doing = job(function, args, label)
        start = (_start_job, (doing,))
        spec = ChildSpec(Task, start, restart=restart, shutdown=shutdown)
        pid: Pid = await DynamicSupervisor.start_child(supervisor, spec)
        return pid

    # -- the caller waits ------------------------------------------------------------------------

    @staticmethod
    async def async_link(
        supervisor: Destination,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        shutdown: float | BrutalKill = SHUTDOWN_SECONDS,
        label: str | None = None,
    ) -> Task[T]:
        """A task that is also linked to the caller, its owner: each dies of the other's failure
        (T9).

        Elixir: `async`. Raises as `start_child`.
        """
        task: Task[T] = Task(current_process().pid)
        await _start(supervisor, task, job(function, args, label), shutdown, link=True)
        return task

    @staticmethod
    async def async_nolink(
        supervisor: Destination,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        shutdown: float | BrutalKill = SHUTDOWN_SECONDS,
        label: str | None = None,
    ) -> Task[T]:
        """A task whose failure is an outcome for the caller, and that outlives it (T9). Raises as
        `start_child`.
        """
        task: Task[T] = Task(current_process().pid)
        await _start(supervisor, task, job(function, args, label), shutdown, link=False)
        return task

    @staticmethod
    def async_stream(
        supervisor: Destination,
        items: Iterable[Any] | AsyncIterable[Any],
        function: Callable[..., Awaitable[T]],
        *args: Any,
        **options: Any,
    ) -> TaskStream[T]:
        """A `TaskStream` whose tasks run under the supervisor; `options` are its options."""
        start = _starter(supervisor, options, link=True)
        return TaskStream(items, function, *args, start=start, **options)

    @staticmethod
    def async_stream_nolink(
        supervisor: Destination,
        items: Iterable[Any] | AsyncIterable[Any],
        function: Callable[..., Awaitable[T]],
        *args: Any,
        **options: Any,
    ) -> TaskStream[T]:
        """`async_stream` without links: failures are outcomes, whether or not the consumer traps
        exits.
        """
        start = _starter(supervisor, options, link=False)
        return TaskStream(items, function, *args, start=start, **options)

    # -- the children ----------------------------------------------------------------------------

    @staticmethod
    async def children(supervisor: Destination) -> list[Pid]:
        """The processes of the tasks that run."""
        children = await DynamicSupervisor.which_children(supervisor)
        return [child.pid for child in children if isinstance(child.pid, Pid)]

    @staticmethod
    async def count_children(supervisor: Destination) -> ChildCount:
        """How many tasks there are."""
        return await DynamicSupervisor.count_children(supervisor)

    @staticmethod
    async def terminate_child(supervisor: Destination, pid: Pid) -> None:
        """End one task, as its `shutdown` says. Raises `ChildNotFoundError`."""
        await DynamicSupervisor.terminate_child(supervisor, pid)

    @staticmethod
    async def stop(
        supervisor: Destination, reason: Any = NORMAL, timeout: float | None = None
    ) -> None:
        """End all tasks at once, then the supervisor; waits for it (PL5)."""
        await stop(supervisor, reason, timeout)


# -- in the supervisor's process -----------------------------------------------------------------


async def _start_job(doing: Job) -> Pid:
    return spawn_job(run_job, (doing,), doing, link=True).pid


async def _start_task(task: Task[Any], doing: Job, link: bool) -> Pid:  # noqa: FBT001  # as a start function is called
    if task.outcome is not None:  # it was given up while the supervisor was busy
        raise StartIgnoredError
    process = spawn_job(task.run, (doing,), doing, link=True)
    if link:
        try:
            process.link(doing.callers[0])
        except NoProcessError:  # the owner ended meanwhile
            process.begin_exit(NOPROC)
    task.is_run_by(process)
    return process.pid


# -- in the caller's process ---------------------------------------------------------------------


async def _start(
    supervisor: Destination,
    task: Task[Any],
    doing: Job,
    shutdown: float | BrutalKill,
    *,
    link: bool,
) -> None:
    start = (_start_task, (task, doing, link))
    spec = ChildSpec(Task, start, restart="temporary", shutdown=shutdown)
    try:
        await DynamicSupervisor.start_child(supervisor, spec)
    except BaseException:
        task.give_up()  # nobody has it: the request may still be in the supervisor's mailbox
        raise


def _starter(supervisor: Destination, options: dict[str, Any], *, link: bool) -> StartTask:
    shutdown = options.get("shutdown", SHUTDOWN_SECONDS)

    async def start(task: Task[Any], doing: Job) -> None:
        await _start(supervisor, task, doing, shutdown, link=link)

    return start
