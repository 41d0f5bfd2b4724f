"""The queue of a mailbox that is read selectively: `find` takes a message out of the middle.

A `receive` that skips messages leaves them where they are. So that its cost does not grow with
them, this queue remembers how far each matcher has looked, and takes out of the middle in constant
time (P4). A mailbox is a plain deque until somebody skips something, and again when it is empty.
Owner: the mailbox.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Final, NamedTuple

__all__ = ("NOTHING", "Mark", "SelectiveQueue")

_MAX_MATCHERS = 16  # matchers whose position is remembered; a process has a handful
_MIN_COMPACTION = 64  # places that may be empty before it is worth closing the gaps


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()
"""No message matched."""


class Mark(NamedTuple):
    """A position in one queue: everything that came before it is known not to match."""

    queue: SelectiveQueue
    serial: int


class SelectiveQueue:
    """A queue with the methods of a deque that a mailbox uses, and `find`."""

    __slots__ = ("_head", "_messages", "_order", "_seen", "_serial")

    def __init__(self, messages: Iterable[Any]) -> None:
        self._messages: dict[int, Any] = dict(enumerate(messages))  # serial -> message, in order
        self._serial = len(self._messages)
        self._order = list(self._messages)  # serials in order; some may be taken out already
        self._head = 0  # where the order begins
        self._seen: dict[Hashable, int] = {}  # matcher -> the first serial it has not looked at

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._messages.values())

    def append(self, message: Any) -> None:
        """Put at the end."""
        self._messages[self._serial] = message
        self._order.append(self._serial)
        self._serial += 1

    def popleft(self) -> Any:
        """Take the oldest; raises `IndexError` if there is none."""
        if not self._messages:
            raise IndexError("the queue is empty")
        order, head = self._order, self._head
        while order[head] not in self._messages:
            head += 1
        message = self._messages.pop(order[head])
        self._head = head + 1
        self._close_gaps()
        return message

    def mark(self) -> Mark:
        """The position behind everything that is here now."""
        return Mark(self, self._serial)

    def find(
        self,
        matches: Callable[[Any], bool],
        *,
        since: Mark | None = None,
        memory: Hashable | None = None,
    ) -> Any:
        """Take the oldest message that `matches`, or `NOTHING`.

        Looks only behind `since`, and behind what was skipped under the same `memory` before.
        """
        start = since.serial if since is not None and since.queue is self else 0
        if memory is not None:
            start = max(start, self._seen.pop(memory, 0))
        found: Any = NOTHING
        order = self._order
        index = bisect_left(order, start, lo=self._head)
        while index < len(order):  # `matches` may send to its own process
            serial = order[index]
            message = self._messages.get(serial, NOTHING)
            if message is not NOTHING and matches(message):
                found = self._messages.pop(serial)
                start = serial + 1
                break
            index += 1
        else:
            start = self._serial
        if memory is not None:
            self._remember(memory, start)
        if found is not NOTHING:
            self._close_gaps()
        return found

    def _remember(self, memory: Hashable, serial: int) -> None:
        self._seen[memory] = serial  # the latest stands last
        if len(self._seen) > _MAX_MATCHERS:
            del self._seen[next(iter(self._seen))]

    def _close_gaps(self) -> None:
        if len(self._order) > 2 * len(self._messages) + _MIN_COMPACTION:
            self._order = list(self._messages)
            self._head = 0
