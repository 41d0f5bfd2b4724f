"""The mailbox: a queue and the one task that may be parked on it.

Owner: the process that reads it. Anyone may `put`, synchronously; only the reader's task waits. One
lane, first in first out, as OTP orders it: user messages, system messages, trapped exits and DOWNs
all queue alike (P2, G18, SY1). The queue is made with the first message and dropped when the reader
parks, because an empty one costs 600 bytes and most processes are idle most of the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import attrs
import trio
from trio.lowlevel import reschedule

from actors.selective import NOTHING, Mark, SelectiveQueue
from actors.waiter import Waiter
from actors.woken import WOKEN

__all__ = ("Mailbox", "MailboxStatistics")


@attrs.frozen
class MailboxStatistics:
    """A snapshot: how many messages wait, and whether the reader waits for one."""

    queued: int
    reader_waiting: bool


class Mailbox:
    """Messages for one process, in order."""

    __slots__ = ("queue", "reader")

    def __init__(self) -> None:
        self.queue: deque[Any] | SelectiveQueue | None = None
        """What waits. For the reader: it may take from the left until it waits again."""
        self.reader: trio.lowlevel.Task | None = None
        """The task that is parked in `wait`."""

    def __len__(self) -> int:
        return len(self.queue) if self.queue is not None else 0

    def __repr__(self) -> str:
        return f"<Mailbox queued={len(self)} reader_waiting={self.reader is not None}>"

    def statistics(self) -> MailboxStatistics:
        """Numbers for tests, telemetry and the dashboard."""
        return MailboxStatistics(len(self), self.reader is not None)

    def put(self, message: Any) -> None:
        """Append `message` and wake the reader if it waits. Never waits."""
        queue = self.queue
        if queue is None:
            self.queue = deque((message,))
        else:
            queue.append(message)
        reader = self.reader
        if reader is not None:
            self.reader = None
            reschedule(reader, WOKEN)

    def offer(self, message: Any) -> Waiter | None:
        """`put` for who can wait: what to wait for. Here there is room always."""
        self.put(message)
        return None

    def wake(self) -> None:
        """Let the reader's `wait` return although there may be nothing to read (a timer, say)."""
        reader = self.reader
        if reader is not None:
            self.reader = None
            reschedule(reader, WOKEN)

    def take(self) -> Any:
        """The oldest message; raises `IndexError` if there is none."""
        if not self.queue:
            raise IndexError("the mailbox is empty")
        return self.queue.popleft()

    def find(
        self,
        matches: Callable[[Any], bool],
        *,
        since: Mark | None = None,
        memory: Hashable | None = None,
    ) -> Any:
        """Take the oldest message that `matches`, or `NOTHING`; see `SelectiveQueue.find`."""
        queue = self.queue
        if not queue:
            return NOTHING
        if not isinstance(queue, SelectiveQueue):
            if matches(queue[0]):
                return queue.popleft()
            queue = self.queue = SelectiveQueue(queue)
        return queue.find(matches, since=since, memory=memory)

    def mark(self) -> Mark | None:
        """The position behind everything that waits now, if this queue can tell positions."""
        return self.queue.mark() if isinstance(self.queue, SelectiveQueue) else None

    def wait(self) -> Awaitable[None]:
        """Park until something new is put, or `wake` is called; to be awaited at once.

        Only the process's own task may wait, and only when it wants none of what is there. Raises
        RuntimeError if another one waits already: the body of a node may have several.
        """
        if self.reader is not None:
            raise RuntimeError(
                f"{self.reader.name} waits for a message of this process already, and one task at a"
                " time can; let the others be processes of their own"
            )
        if not self.queue:
            self.queue = None
        self.reader = trio.lowlevel.current_task()
        # Not a coroutine of ours around Trio's: every idle process would hold its frame.
        return trio.lowlevel.wait_task_rescheduled(self._abandon)  # noqa: ASYNC105  # see above

    def clear(self) -> list[Any]:
        """Empty the mailbox; what was in it."""
        queue, self.queue = self.queue, None
        return list(queue) if queue else []

    def _abandon(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self.reader = None
        return trio.lowlevel.Abort.SUCCEEDED
