"""`Task`: one piece of work in a process of its own, whose result somebody waits for (Elixir:
`Task`).

    task = Task.async_link(fetch, url)       # Elixir: Task.async
    ...
    page = await task.wait()                 # Task.await

| here | Elixir | |
|---|---|---|
| `Task.start`, `Task.start_link` | the same | nobody waits for a result |
| `Task.async_link` | `async` | linked to the owner, who waits for the result |
| `task.wait`, `Task.wait_many` | `await`, `await_many` | the value, or an error |
| `task.poll`, `Task.poll_many` | `yield`, `yield_many` | an `Outcome`, or None |
| `task.shutdown`, `task.kill` | `shutdown(task, …)`, `shutdown(task, :brutal_kill)` | end it |
| `task.ignore`, `Task.completed` | the same | |
| `task.notify` | what every task does | the outcome as a message to the owner |
| `TaskStream` (`task_stream.py`) | `async_stream` | a task per item, so many at a time |

The *owner* is the process that made the task; only it may wait. A task that is linked and fails
takes its owner along, unless that traps exits. The outcome stays with the task instead of being a
message in the owner's mailbox, so a late one disturbs nobody, and it may be asked for again.

Inside one handler a Trio nursery is often the better tool. A task is for work that belongs in the
supervision tree, is linked, outlives the handler, or answers to a server as a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import attrs
import trio

from actors.calls import ExitWaiter
from actors.deadlines import check_seconds
from actors.exceptions import ActorsError, ServerExitedError, call_error
from actors.exits import KILL, KILLED, SHUTDOWN, TIMEOUT, Crash
from actors.messages import Promised
from actors.pid import Pid
from actors.process import Process, current_process
from actors.task_process import Job, callers, job, run_job, spawn_job
from actors.waiter import Waiter

__all__ = ("Exited", "Outcome", "Returned", "Task", "TaskDone", "TaskOwnerError", "Watch")

T = TypeVar("T")

DEFAULT_TIMEOUT = 5.0
"""Seconds that whoever waits for a task waits, as in Elixir."""

OnTimeout: TypeAlias = Literal["nothing", "ignore", "kill_task"]


class TaskOwnerError(ActorsError, RuntimeError):
    """Only the process that made a task may wait for it, and not any more after `ignore`."""


@attrs.frozen
class Returned(Generic[T]):
    """The function of a task returned `value` (Elixir: `{:ok, value}`)."""

    value: T


@attrs.frozen
class Exited:
    """The process of a task ended without a value (Elixir: `{:exit, reason}`)."""

    reason: Any


Outcome: TypeAlias = Returned[T] | Exited


@attrs.frozen
class TaskDone(Promised):
    """To the owner, after `task.notify()`: it has its outcome.

    Elixir: `{ref, value}`, or `{:DOWN, …}` with the reason.
    """

    task: Task[Any]
    outcome: Outcome[Any]


class Watch(Protocol):
    """Hears that a task has its outcome."""

    def settled(self, task: Task[Any], /) -> None:
        """Now. Must not raise: it runs in whatever step ended the task."""


class Task(Generic[T]):
    """One piece of work. Made by `async_link`, by a `TaskSupervisor`, or by `completed`."""

    __slots__ = ("_notify", "_watches", "outcome", "owner", "pid")

    def __init__(self, owner: Pid) -> None:
        self.owner: Pid | None = owner
        """Who may wait; None after `ignore`."""
        self.pid: Pid | None = None
        """The process that works; None for `completed`."""
        self.outcome: Outcome[T] | None = None
        """What came of it, once it is there."""
        self._watches: list[Watch] = []
        self._notify = False

    def __repr__(self) -> str:
        return f"<Task {self.pid!r} {self.outcome or 'running'}>"

    # -- starting --------------------------------------------------------------------------------

    @staticmethod
    async def start(
        function: Callable[..., Awaitable[Any]], *args: Any, label: str | None = None
    ) -> Pid:
        """Run `await function(*args)` in a process for which nobody waits; reports a failure."""
        doing = job(function, args, label)
        return spawn_job(run_job, (doing,), doing, link=False).pid

    @staticmethod
    async def start_link(
        function: Callable[..., Awaitable[Any]], *args: Any, label: str | None = None
    ) -> Pid:
        """`start`, linked to the calling process."""
        doing = job(function, args, label)
        return spawn_job(run_job, (doing,), doing, link=True).pid

    @staticmethod
    def child_spec(
        function: Callable[..., Awaitable[Any]], *args: Any, **overrides: Any
    ) -> dict[str, Any]:
        """How a supervisor starts this work; it is not restarted unless `restart` says so."""
        spec = {"id": Task, "start": (Task.start_link, (function, *args)), "restart": "temporary"}
        return spec | overrides

    @staticmethod
    def async_link(
        function: Callable[..., Awaitable[T]], *args: Any, label: str | None = None
    ) -> Task[T]:
        """Run `await function(*args)` in a process linked to the calling one, which is its owner
        (T1).
        """
        task: Task[T] = Task(current_process().pid)
        doing = job(function, args, label)
        task.is_run_by(spawn_job(task.run, (doing,), doing, link=True))
        return task

    @staticmethod
    def completed(value: T) -> Task[T]:
        """A task that has its value already, without any process."""
        task: Task[T] = Task(current_process().pid)
        task.outcome = Returned(value)
        return task

    @staticmethod
    def callers() -> tuple[Pid, ...]:
        """For whom the calling process works, nearest first; empty outside tasks (`$callers`)."""
        return callers()

    # -- waiting ---------------------------------------------------------------------------------

    async def wait(self, timeout: float | None = DEFAULT_TIMEOUT) -> T:
        """The value (T2; Elixir: `await`).

        Raises `ServerExitedError` with the reason if the task failed, its exception as the cause,
        and `CallTimeoutError` after `timeout` seconds (None: never). A process that catches neither
        dies of it with `CallFailed(reason, task, …)`, and the linked task with it.
        """
        await self._until_done(timeout)
        value: T = _value(self, timeout)
        return value

    async def poll(self, timeout: float | None = DEFAULT_TIMEOUT) -> Outcome[T] | None:
        """The outcome, or None after `timeout` seconds; ask as often as you like (T4; `yield`)."""
        await self._until_done(timeout)
        return self.outcome

    @staticmethod
    async def wait_many(
        tasks: Iterable[Task[Any]], timeout: float | None = DEFAULT_TIMEOUT
    ) -> list[Any]:
        """The values of all, in the order of `tasks` (T3; Elixir: `await_many`).

        Raises as `wait` does, for the first that fails, however long the others take.
        """
        waited = list(tasks)
        remaining = sum(task.outcome is None for task in waited)

        def enough(task: Task[Any]) -> bool:
            nonlocal remaining
            remaining -= 1
            return remaining == 0 or isinstance(task.outcome, Exited)

        if not any(isinstance(task.outcome, Exited) for task in waited):
            await _watch(waited, enough, timeout)
        failed = [task for task in waited if isinstance(task.outcome, Exited)]
        return [_value(task, timeout) for task in failed or waited]

    @staticmethod
    async def poll_many(
        tasks: Iterable[Task[Any]],
        timeout: float | None = DEFAULT_TIMEOUT,
        *,
        limit: int | None = None,
        on_timeout: OnTimeout = "nothing",
    ) -> list[tuple[Task[Any], Outcome[Any] | None]]:
        """`(task, outcome)` of each, in the order of `tasks` (T4; Elixir: `yield_many`).

        Returns when all have their outcome, or `limit` of them, or after `timeout` seconds. What is
        not done then has None; only after `timeout` it is also left alone (`"nothing"`), or given
        up (`"ignore"`), or killed (`"kill_task"`).
        """
        if on_timeout not in {"nothing", "ignore", "kill_task"}:
            raise ValueError(f"on_timeout must be nothing, ignore or kill_task, not {on_timeout!r}")
        waited = list(tasks)
        wanted = len(waited) if limit is None else min(limit, len(waited))
        done = sum(task.outcome is not None for task in waited)

        def enough(_task: Task[Any]) -> bool:
            nonlocal done
            done += 1
            return done >= wanted

        if done < wanted:
            await _watch(waited, enough, timeout)
        late = dict.fromkeys(task for task in waited if task.outcome is None)
        if done < wanted:
            await _end_late(late, on_timeout)
        return [(task, _unless_killed(task) if task in late else task.outcome) for task in waited]

    # -- not waiting -----------------------------------------------------------------------------

    def notify(self) -> None:
        """Send `TaskDone` to the owner when the outcome is there, or now if it is; once, however
        often it is asked for.

        For a GenServer, which gets it in `handle_info` instead of waiting in a handler.
        """
        self._check_owner()
        if self._notify:
            return
        self._notify = True
        if self.outcome is not None:
            self._tell_owner()

    def ignore(self) -> Outcome[T] | None:
        """Stop caring: unlink the task and let it go on; nobody can wait for it any more (T6).

        Returns the outcome if it is there already.
        """
        owner = self._check_owner()
        if self.pid is not None:
            owner.unlink(self.pid)
        self.owner = None
        return self.outcome

    async def shutdown(self, timeout: float | None = DEFAULT_TIMEOUT) -> Outcome[T] | None:
        """Unlink the task, ask it to end, kill it after `timeout` seconds (None: never), wait for
        it (T5).

        Returns the outcome if it has one or still comes to one, `Exited(KILLED)` if it had to be
        killed, and None if it ended as it was told to. Raises `ValueError` or `TypeError`, and does
        nothing, if `timeout` is no time limit.
        """
        if timeout is not None:
            check_seconds(timeout)  # so that a refusal leaves the task alone
        await self._end(SHUTDOWN, timeout)
        if self.outcome is None:
            await self._end(KILL, None)
        return None if self.outcome == Exited(SHUTDOWN) else self.outcome

    async def kill(self) -> Outcome[T] | None:
        """Unlink the task, kill it, wait for it (Elixir: `shutdown(task, :brutal_kill)`).

        Returns the outcome if it has one already; None if it was killed.
        """
        had_ended = self.outcome is not None
        await self._end(KILL, None)
        return self.outcome if had_ended else _unless_killed(self)

    # -- for the runtime -------------------------------------------------------------------------

    def is_run_by(self, process: Process) -> None:
        """`process` will run `self.run`; if it ends without a value, its exit reason is the
        outcome.
        """
        self.pid = process.pid
        _End(self, process)

    def give_up(self) -> None:
        """Nobody waits for its start any more: it may not start, or is killed if it just has.

        Whoever starts tasks for others looks whether there is an outcome already.
        """
        if self.pid is None:
            self.settle(Exited(KILLED))
        else:
            self._signal(KILL)

    def process_ended(self, reason: Any) -> None:
        """Part of the death procedure of its process."""
        self.settle(Exited(reason))

    async def run(self, doing: Job) -> None:
        """The main function of the task's process."""
        self.settle(Returned(await run_job(doing)))

    def settle(self, outcome: Outcome[T]) -> None:
        """This came of it; the first wins. Wakes whoever waits."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        for watch in self._watches:
            watch.settled(self)
        if self._notify:
            self._tell_owner()

    def watched_by(self, watch: Watch) -> None:
        """Call `watch.settled(self)` when there is an outcome."""
        self._watches.append(watch)

    def unwatched_by(self, watch: Watch) -> None:
        """Undo `watched_by`."""
        self._watches.remove(watch)

    def _tell_owner(self) -> None:
        if self.owner is not None and self.outcome is not None:
            self.owner.send(TaskDone(self, self.outcome))

    def _check_owner(self) -> Process:
        process = current_process()
        if process.pid is not self.owner:
            told = "was ignored" if self.owner is None else f"is owned by {self.owner!r}"
            raise TaskOwnerError(f"{self!r} {told}, so {process.pid!r} cannot wait for it")
        return process

    async def _until_done(self, timeout: float | None) -> None:
        self._check_owner()
        if self.outcome is None:
            await _watch([self], lambda _task: True, timeout)
        else:  # the owner may have died of the link meanwhile
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _end(self, signal: Any, timeout: float | None) -> None:
        if self._signal(signal):
            await self._until_done(timeout)

    def _signal(self, signal: Any) -> bool:
        """Unlink it and tell it to end; False if there is nothing to end."""
        owner = self._check_owner()
        if self.pid is None or self.outcome is not None:
            return False
        owner.unlink(self.pid)
        self.pid.target.receive_exit(owner.pid, signal, linked=False)
        return True


class _Watch(Waiter):
    """One wait for several tasks, over when `enough(task)` says so of one that was settled."""

    __slots__ = ("enough",)

    def __init__(self, enough: Callable[[Task[Any]], bool]) -> None:
        super().__init__()
        self.enough = enough

    def settled(self, task: Task[Any]) -> None:
        """A task has its outcome."""
        if self.enough(task):
            self.resolve(None)

    def expire(self) -> None:
        """It took too long; whoever waits looks at what is there."""
        self.resolve(None)


async def _watch(
    tasks: list[Task[Any]], enough: Callable[[Task[Any]], bool], timeout: float | None
) -> None:
    for task in tasks:
        task._check_owner()
    pending = [task for task in tasks if task.outcome is None]
    if not pending:
        return
    if timeout == 0:
        await trio.lowlevel.checkpoint()
        return
    watch = _Watch(enough)
    if timeout is not None:
        current_process().node.deadlines.add(watch, timeout)
    for task in pending:
        task.watched_by(watch)
    try:
        await watch.wait()
    finally:
        for task in pending:
            task.unwatched_by(watch)


class _End(ExitWaiter):
    """Tells a task how its process ended."""

    __slots__ = ("ended_task",)

    def __init__(self, task: Task[Any], process: Process) -> None:
        if process.joiners is None:
            process.joiners = {}
        super().__init__(process.pid, "task", process.joiners)
        self.ended_task = task

    def resolve(self, value: Any) -> bool:
        """`value` is the exit reason."""
        self.ended_task.process_ended(value)
        return super().resolve(value)


async def _end_late(tasks: Iterable[Task[Any]], on_timeout: OnTimeout) -> None:
    match on_timeout:
        case "ignore":
            for task in tasks:
                task.ignore()
        case "kill_task":
            # All of them first: each may take its time to unwind, and they do it side by side.
            for task in [task for task in tasks if task._signal(KILL)]:
                await task._until_done(None)


def _unless_killed(task: Task[Any]) -> Outcome[Any] | None:
    """The outcome of a task that was killed here, None if it has come to none before it ended."""
    return None if task.outcome == Exited(KILLED) else task.outcome


def _value(task: Task[Any], timeout: float | None) -> Any:
    """What `wait` makes of the outcome."""
    match task.outcome:
        case Returned(value):
            return value
        case Exited(reason):
            cause = reason.exception if isinstance(reason, Crash) else None
            raise ServerExitedError(reason, task, ("wait", timeout)) from cause
        case _:
            raise call_error(TIMEOUT, task, ("wait", timeout))
