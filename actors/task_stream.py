"""`TaskStream`: one task per item, so many at a time, their outcomes as a stream (Elixir:
`Task.async_stream`).

    async with TaskStream(urls, fetch, max_concurrency=10) as pages:
        async for outcome in pages:
            match outcome:
                case Returned(page): ...
                case Exited(reason): ...

It is lazy: an item is taken from the source when the consumer asks for an outcome and fewer than
`max_concurrency` tasks run. Leaving the block, early or not, ends the tasks that still run, closes
the source if it is a generator, and leaves neither links nor messages behind.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import trio

from actors.deadlines import Timer, check_seconds
from actors.exceptions import call_error
from actors.exits import KILL, SHUTDOWN, TIMEOUT
from actors.pid import Pid
from actors.process import Process, current_process
from actors.reports import shorten
from actors.task import DEFAULT_TIMEOUT, Exited, Outcome, Returned, Task, TaskOwnerError
from actors.task_process import Job, job, spawn_job
from actors.waiter import Waiter

__all__ = ("StartTask", "StreamedTask", "TaskStream", "start_linked")

T = TypeVar("T")


class StreamedTask(Task[T]):
    """A task of a stream. Its outcome goes to the stream, so a consumer that traps exits gets no
    `Exit` of it in its mailbox as well, however it ends (T8).

    Of the link between the two only the consumer's half stands: it takes the task along. The other
    direction is here, because it is the stream's business.
    """

    __slots__ = ("stream",)

    def __init__(self, owner: Pid, stream: TaskStream[T]) -> None:
        super().__init__(owner)
        self.stream = stream

    def is_run_by(self, process: Process) -> None:
        """`process` will run `self.run`; it is linked to the consumer already, if at all."""
        super().is_run_by(process)
        if self.owner is not None:
            process.unlink_from(self.owner)

    def process_ended(self, reason: Any) -> None:
        """The outcome is the stream's; a consumer that does not trap exits dies of a failure."""
        super().process_ended(reason)
        self.stream.process_ended(self)
        consumer = None if self.owner is None else self.owner.target
        if self.pid is None or not isinstance(consumer, Process):
            return
        if consumer.links is not None and self.pid in consumer.links:
            consumer.unlink_from(self.pid)
            if not consumer.trap_exit:
                consumer.receive_exit(self.pid, reason, linked=True)


class StartTask(Protocol):
    """How a stream starts a task: here, or under a supervisor."""

    async def __call__(self, task: Task[Any], doing: Job) -> None:
        """Start a process that runs `task.run(doing)`, linked to the consumer or not, and call
        `task.is_run_by` with it. Whatever raises here, cancellation too, gives the task up
        (`task.give_up`).
        """


async def start_linked(task: Task[Any], doing: Job) -> None:
    """Start it as a child of the calling process, linked."""
    task.is_run_by(spawn_job(task.run, (doing,), doing, link=True))


class TaskStream(Generic[T]):
    """The outcomes of `await function(item, *args)` for each item. Use it with `async with`.

    - `items`: any iterable, also an asynchronous one, also an infinite one.
    - `max_concurrency`: how many tasks run at a time (default: the number of processors). One that
      is killed because it is late runs until its process has ended.
    - `ordered`: outcomes come in the order of the items (default), or as they are there. In order,
      the outcomes behind a slow one are kept until it is there.
    - `timeout`: seconds for each task (default 5; None: any time).
    - `on_timeout`: `"exit"` raises `CallTimeoutError` in the consumer (default); `"kill_task"`
      kills the task, whose outcome is `Exited(TIMEOUT)`.
    - `zip_input_on_exit`: `Exited((item, reason))` instead of `Exited(reason)`.
    - `shutdown`: seconds that the tasks have to end when the block is left early; 0 kills them at
      once.

    The process that enters the block is the consumer. The tasks are linked to it: one that fails
    takes it along, unless it traps exits; then the failure is an outcome like any other. The tasks
    of a `TaskSupervisor.async_stream_nolink` never harm it.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        function: Callable[..., Awaitable[T]],
        *args: Any,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = DEFAULT_TIMEOUT,
        on_timeout: Literal["exit", "kill_task"] = "exit",
        zip_input_on_exit: bool = False,
        shutdown: float = DEFAULT_TIMEOUT,
        start: StartTask = start_linked,
    ) -> None:
        limit = (os.cpu_count() or 1) if max_concurrency is None else max_concurrency
        _require(isinstance(limit, int) and limit > 0, "max_concurrency", limit, "an integer > 0")
        _require(on_timeout in {"exit", "kill_task"}, "on_timeout", on_timeout, "exit or kill_task")
        _require(_is_seconds(timeout) or timeout is None, "timeout", timeout, "seconds > 0 or None")
        _require(shutdown == 0 or _is_seconds(shutdown), "shutdown", shutdown, "seconds >= 0")
        self._items = items
        self._function = function
        self._args = args
        self._limit = limit
        self._ordered = ordered
        self._timeout = timeout
        self._on_timeout = on_timeout
        self._zip_input = zip_input_on_exit
        self._shutdown = shutdown
        self._start = start
        self._consumer: Process | None = None
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._exhausted = False
        self._running: dict[Task[T], _Slot] = {}
        self._waiting: deque[_Slot] = deque()  # to be given to the consumer, in this order
        self._ending: dict[Task[T], Pid] = {}  # killed: late, or given up
        self._bell: _Bell | None = None

    async def __aenter__(self) -> Self:
        if self._consumer is not None:
            raise RuntimeError("a TaskStream can be entered once; make another for another run")
        self._consumer = current_process()
        if isinstance(self._items, AsyncIterable):
            self._source = aiter(self._items)
        else:
            self._source = iter(self._items)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exhausted = True
        self._waiting.clear()
        try:
            await self._end_tasks()  # noqa: ASYNC102  # shields itself where it waits
        finally:
            await self._close_source()  # noqa: ASYNC102  # the source decides about its own end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[Any]:
        if self._consumer is None:
            raise RuntimeError("enter the stream first: `async with TaskStream(...) as outcomes:`")
        if current_process() is not self._consumer:
            raise TaskOwnerError(f"this stream is read by {self._consumer.pid!r}, who entered it")
        await self._fill()
        while not self._ready():
            if not self._running and self._exhausted:
                raise StopAsyncIteration
            self._bell = _Bell()
            try:
                await self._bell.wait()
            finally:
                self._bell = None
            if not self._ready():
                await self._fill()
        await trio.lowlevel.checkpoint_if_cancelled()  # it may have died of the link meanwhile
        return self._outcome(self._waiting.popleft())

    # -- running ---------------------------------------------------------------------------------

    def _ready(self) -> bool:
        return bool(self._waiting) and self._waiting[0].outcome is not None

    async def _fill(self) -> None:
        """Start tasks while there are items and room."""
        while len(self._running) + len(self._ending) < self._limit and not self._exhausted:
            try:
                item = await self._next_item()
            except (StopIteration, StopAsyncIteration):
                self._exhausted = True
            else:
                await self._start_task(item)

    async def _next_item(self) -> Any:
        if isinstance(self._source, AsyncIterator):
            return await anext(self._source)
        try:
            return next(self._source)  # type: ignore[arg-type]  # set when the stream was entered
        except StopIteration:  # cannot leave a coroutine under this name
            raise StopAsyncIteration from None

    async def _start_task(self, item: Any) -> None:
        process = current_process()
        task: StreamedTask[T] = StreamedTask(process.pid, self)
        slot = _Slot(item, self)
        task.watched_by(slot)
        self._running[task] = slot
        if self._ordered:
            self._waiting.append(slot)
        try:
            await self._start(task, job(self._function, (item, *self._args), None))
        except BaseException:
            self._forget(task, slot)
            raise
        if self._timeout is not None and slot.outcome is None:
            slot.timer = process.node.deadlines.call_later(
                self._timeout, lambda: self._too_late(task)
            )

    def _forget(self, task: Task[T], slot: _Slot) -> None:
        """It was given up; leaving the block waits for it, if it had started by then."""
        task.unwatched_by(slot)
        self._running.pop(task, None)
        if slot in self._waiting:
            self._waiting.remove(slot)
        if task.pid is not None and task.outcome is None:
            self._ending[task] = task.pid

    def task_settled(self, task: Task[T], slot: _Slot) -> None:
        """A task has ended, or its time has."""
        self._running.pop(task, None)
        if not self._ordered:
            self._waiting.append(slot)
        self._ring()

    def process_ended(self, task: Task[T]) -> None:
        """The process of a task has ended; that of a late one makes room for another."""
        if self._ending.pop(task, None) is not None:
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.resolve(None)

    def _too_late(self, task: Task[T]) -> None:
        """Its outcome is there at once; its place is not, until it has unwound."""
        assert task.pid is not None  # its time begins when it has started
        self._ending[task] = task.pid
        task.settle(Exited(_LATE))
        self._signal(task, KILL)

    def _signal(self, task: Task[T], reason: Any) -> None:
        assert self._consumer is not None
        if task.pid is not None:
            self._consumer.unlink(task.pid)
            task.pid.target.receive_exit(self._consumer.pid, reason, linked=False)

    def _outcome(self, slot: _Slot) -> Outcome[Any]:
        outcome = slot.outcome
        assert outcome is not None
        if isinstance(outcome, Returned):
            return outcome
        reason = outcome.reason
        if reason is _LATE:
            if self._on_timeout == "exit":
                raise call_error(TIMEOUT, self, ("async_stream", slot.item, self._timeout))
            reason = TIMEOUT
        return Exited((slot.item, reason) if self._zip_input else reason)

    # -- the end ---------------------------------------------------------------------------------

    async def _end_tasks(self) -> None:
        """End what still runs; wait for that, unless the consumer itself is dying."""
        running, self._running = self._running, {}
        dying = not current_process().alive
        for task, slot in running.items():
            slot.cancel()
            if task.pid is None:  # another Trio task of the consumer waits for its start
                task.give_up()
            self._signal(task, KILL if dying or not self._shutdown else SHUTDOWN)
        if dying:
            return
        with trio.CancelScope(shield=True):
            await Task.poll_many(running, self._shutdown, on_timeout="kill_task")
            for pid in list(self._ending.values()):
                await pid.wait_exited()

    async def _close_source(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
            return
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


class _Slot:
    """The place of one item in the stream; watches its task."""

    __slots__ = ("item", "outcome", "stream", "timer")

    def __init__(self, item: Any, stream: TaskStream[Any]) -> None:
        self.item = item
        self.stream = stream
        self.outcome: Outcome[Any] | None = None
        self.timer: Timer | None = None

    def settled(self, task: Task[Any]) -> None:
        """The task has its outcome."""
        self.cancel()
        self.outcome = task.outcome
        self.stream.task_settled(task, self)

    def cancel(self) -> None:
        """The time limit does not matter any more."""
        if self.timer is not None:
            self.timer.cancel()


class _Bell(Waiter):
    """The consumer waits for the next outcome."""

    __slots__ = ()


class _Late:
    def __repr__(self) -> str:
        return "timeout"


_LATE = _Late()  # unlike TIMEOUT it cannot be the exit reason of a task


def _is_seconds(value: Any) -> bool:
    try:
        check_seconds(value)
    except (TypeError, ValueError):
        return False
    return bool(value > 0)


def _require(right: bool, option: str, given: Any, legal: str) -> None:  # noqa: FBT001  # a condition
    if not right:
        raise ValueError(f"{option} must be {legal}, not {shorten(given)}")
