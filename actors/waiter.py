"""A task that waits for one answer: of a call, of a start, of the end of a process.

The waiting task parks on the record and whoever has the answer reschedules it. There is no event,
no channel and no cancel scope per wait; a time limit is an entry in the node's deadline queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from actors.deadlines import Place
from actors.woken import WOKEN

__all__ = ("Waiter", "Waiting")


class Waiting:
    """One answer: a value or an error, given once; later ones are dropped.

    The verbs, without a place for the fields: `Waiter` and `Call` have them.
    """

    if not TYPE_CHECKING:  # mypy would take it for all that there is
        __slots__ = ()

    task: Task | None
    deadlines: Place | None
    """The deadline queue in which this record stands."""
    done: bool
    value: Any
    error: BaseException | None

    def resolve(self, value: Any) -> bool:
        """Give the answer; False if there was one already, or nobody waits for it any more."""
        if self.done:
            return False
        self.value = value
        self.finish()
        return True

    def fail(self, error: BaseException) -> bool:
        """Let `wait` raise `error`; False if there was an answer already."""
        if self.done:
            return False
        self.error = error
        self.finish()
        return True

    def finish(self) -> None:
        """Wake the waiting task and leave the deadline queue."""
        self.done = True
        if self.deadlines is not None:
            del self.deadlines[self]
            self.deadlines = None
        task = self.task
        if task is not None:
            self.task = None
            reschedule(task, WOKEN)

    def expire(self) -> None:
        """The time limit has passed; the deadline queue has forgotten the record."""
        raise NotImplementedError

    async def wait(self) -> Any:
        """The answer. Raises the error given to `fail`."""
        if not self.done:
            self.task = current_task()
            await wait_task_rescheduled(self.give_up)
        return self.result()

    def result(self) -> Any:
        """The answer that has been given. Raises the error given to `fail`."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # the traceback of an error leads back here: no cycle
        return self.value

    def abandon(self) -> None:
        """Nobody waits any more: drop whatever answer comes."""
        self.task = None
        if not self.done:
            self.finish()

    def give_up(self, _raise_cancel: Any) -> Abort:
        """The waiting task was cancelled (Trio's abort function)."""
        self.abandon()
        return Abort.SUCCEEDED


class Waiter(Waiting):
    """A record of its own; see `Waiting`."""

    __slots__ = ("deadlines", "done", "error", "task", "value")

    def __init__(self) -> None:
        self.task = None
        self.deadlines = None
        self.done = False
        self.value = None
        self.error = None
