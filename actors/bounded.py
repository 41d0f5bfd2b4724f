"""Bounded mailboxes: what happens to the sender, or the message, when a process falls behind.

    log = await Log.start_link(mailbox=Bounded(1000, overflow=Overflow.DROP_OLDEST))

Ours, not OTP's, whose mailboxes grow until memory is full; opt-in, per process, and paid for by
that process alone. When `capacity` messages wait:

| overflow | `send`, `cast` | `call` | `asend` |
|---|---|---|---|
| `REFUSE` | raise `MailboxFullError` | raises it | raises it |
| `BLOCK` | raise `MailboxFullError` | waits for room, then for the reply | waits for room |
| `DROP_NEWEST` | the message is lost | raises `MailboxFullError` | the message is lost |
| `DROP_OLDEST` | the oldest message is lost; its caller, if it is a call, gets the error | | |

What the runtime itself sends (`Exit`, `Down`, responses, own timers, system messages, and what
tasks, event managers, registries, groups and stages tell) is always taken: a link or a monitor
never breaks because a mailbox is full. It counts as waiting, all the same. Only who awaits can be
made to wait, so `BLOCK` is for callers and for `asend`; they get in one at a time, in the order in
which they came. The time limit of a call runs while it waits for room; a call that gives up there
is withdrawn. Who is not told that a message was lost can see it: telemetry `mailbox.overflow`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import attrs

from actors.calls import Call, System
from actors.exceptions import MailboxFullError
from actors.mailbox import Mailbox
from actors.messages import Promised
from actors.pid import Answer, Cast, Pid
from actors.process import Process
from actors.selective import NOTHING, Mark, SelectiveQueue
from actors.waiter import Waiter

__all__ = ("Bounded", "BoundedMailbox", "Overflow", "bound", "check_bounded")


_FEW = 8  # as many who have given up may be kept


class Overflow(enum.StrEnum):
    """What happens when a message comes and the mailbox is full."""

    REFUSE = "refuse"
    BLOCK = "block"
    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"


def _positive(_: Bounded, _attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int):
        raise TypeError(f"a mailbox holds a whole number of messages; got capacity={value!r}")
    if value < 1:
        raise ValueError(f"a mailbox holds 1 message or more; got capacity={value!r}")


@attrs.frozen
class Bounded:
    """How a process's mailbox is bounded: to how many messages, and what happens to the next."""

    capacity: int = attrs.field(validator=_positive)
    overflow: Overflow = attrs.field(default=Overflow.REFUSE, converter=Overflow)


def check_bounded(mailbox: object) -> None:
    """Raise TypeError unless `mailbox` is a `Bounded`."""
    if not isinstance(mailbox, Bounded):
        raise TypeError(f"a mailbox is Bounded(capacity), or None for no bounds; got {mailbox!r}")


def bound(process: Process, limits: Bounded) -> None:
    """Bound the mailbox of a process that has not taken its first step."""
    process.mailbox = BoundedMailbox(process.node, process.pid, limits)
    process.deliver = process.mailbox.put


class BoundedMailbox(Mailbox):
    """A mailbox with a limit."""

    __slots__ = ("_most_blocked", "blocked", "capacity", "node", "overflow", "pid")

    def __init__(self, node: Any, pid: Pid, limits: Bounded) -> None:
        super().__init__()
        self.node = node
        self.pid = pid
        self.capacity = limits.capacity
        self.overflow = limits.overflow
        self.blocked: deque[Call | _Letter] = deque()
        """Who waits for room, in order; and some who have given up."""
        self._most_blocked = _FEW
        """With so many it is looked whether they are still waiting."""

    def put(self, message: Any) -> None:
        """Append `message`, or do with it what the policy says. Raises `MailboxFullError`."""
        if not self._has_room(message):
            message = self._overflow(message)
            if message is NOTHING:
                return
        self._append(message)

    def offer(self, message: Any) -> Waiter | None:
        """`put` for who can wait: what to wait for, if that is needed."""
        if self.overflow is not Overflow.BLOCK or self._has_room(message):
            self.put(message)
            return None
        letter = _Letter(message)
        self._block(letter)
        return letter

    def find(
        self,
        matches: Callable[[Any], bool],
        *,
        since: Mark | None = None,
        memory: Hashable | None = None,
    ) -> Any:
        """As the other mailboxes; makes room for who waits."""
        queue = self.queue
        if not queue:
            return NOTHING
        if not isinstance(queue, SelectiveQueue):
            if matches(queue[0]):
                return queue.popleft()
            queue = self.queue = _SelectiveRoom(queue, self)
        found = queue.find(matches, since=since, memory=memory)
        if found is not NOTHING:
            self.admit()
        return found

    def clear(self) -> list[Any]:
        """Empty it; who waits for room need not any more."""
        blocked, self.blocked = self.blocked, deque()
        letters = [letter for letter in blocked if isinstance(letter, _Letter) and not letter.done]
        for letter in letters:
            letter.resolve(None)
        return super().clear() + [letter.message for letter in letters]

    def admit(self) -> None:
        """Let in who waits for room, as far as there is some."""
        while self.blocked and len(self) < self.capacity:
            waiting = self.blocked.popleft()
            if waiting.done:  # it has given up
                continue
            if isinstance(waiting, _Letter):
                self._append(waiting.message)
                waiting.resolve(None)
            else:
                self._append(waiting)

    def _block(self, waiting: Call | _Letter) -> None:
        if len(self.blocked) >= self._most_blocked:
            self.blocked = deque(each for each in self.blocked if not each.done)
            self._most_blocked = max(_FEW, 2 * len(self.blocked))
        self.blocked.append(waiting)

    def _append(self, message: Any) -> None:
        if self.queue is None:
            self.queue = _Room(self)
        super().put(message)

    def _has_room(self, message: Any) -> bool:
        if self.blocked and not _is_of_the_runtime(message):
            return False  # others came first
        return len(self) < self.capacity or _is_of_the_runtime(message)

    def _overflow(self, message: Any) -> Any:
        """What to append instead; NOTHING if nothing. Raises `MailboxFullError`."""
        if self.overflow is Overflow.DROP_OLDEST:
            self._lose(self.find(_is_of_a_user))
            return message
        if self.overflow is Overflow.BLOCK and isinstance(message, Call):
            self._block(message)
            return NOTHING
        if self.overflow is Overflow.DROP_NEWEST or isinstance(message, Call):
            self._lose(message)
            return NOTHING
        self._tell(message)
        raise MailboxFullError(self.pid, _content(message), self.capacity)

    def _lose(self, message: Any) -> None:
        if message is NOTHING:  # nothing but the runtime's own was waiting
            return
        self._tell(message)
        if isinstance(message, Call):
            message.fail(MailboxFullError(self.pid, message.request, self.capacity))

    def _tell(self, message: Any) -> None:
        lost = {"pid": self.pid, "message": _content(message), "policy": str(self.overflow)}
        handlers = self.node.telemetry
        if handlers is not None:
            handlers.execute("mailbox.overflow", {"capacity": self.capacity}, lost)


class _Room(deque[Any]):
    """The queue of a bounded mailbox: whoever takes something makes room."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: BoundedMailbox) -> None:
        super().__init__()
        self._mailbox = mailbox

    def popleft(self) -> Any:
        message = super().popleft()
        if self._mailbox.blocked:
            self._mailbox.admit()
        return message


class _SelectiveRoom(SelectiveQueue):
    """The same once somebody has received selectively."""

    __slots__ = ("_mailbox",)

    def __init__(self, messages: Any, mailbox: BoundedMailbox) -> None:
        super().__init__(messages)
        self._mailbox = mailbox

    def popleft(self) -> Any:
        message = super().popleft()
        self._mailbox.admit()
        return message


class _Letter(Waiter):
    """A message of `asend` that waits for room, and its sender with it."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        super().__init__()
        self.message = message


def _is_of_a_user(message: Any) -> bool:
    return not _is_of_the_runtime(message)


def _is_of_the_runtime(message: Any) -> bool:
    """Is it a message that the runtime has promised to deliver?"""
    return isinstance(message, Promised | Answer | System)


def _content(message: Any) -> Any:
    """What the sender has sent."""
    if isinstance(message, Call):
        return message.request
    return message.message if isinstance(message, Cast) else message
