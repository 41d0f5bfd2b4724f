"""`Behind`: what a client has sent to channels that have not got round to it yet.

Pure. A channel that keeps up is never entered here: who forwards a message asks only where the
channel's mailbox is not empty. What the mailbox lets go is noticed at the next message, by its
length: the sizes of its newest messages are kept, one for each that can still be there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ("Behind",)

C = TypeVar("C", bound=Hashable)  # a channel


class Behind(Generic[C]):
    """The bytes that wait for the channels of one connection. Entity, owned by it.

    At most `messages` may wait for one channel, whoever sent them, and at most `size` bytes of the
    client for all; zero is no limit. `length_of(channel)` is the length of its mailbox.
    """

    __slots__ = ("_length_of", "_messages", "_size", "_sizes", "size")

    def __init__(self, messages: int, size: int, length_of: Callable[[C], int]) -> None:
        self._messages = messages
        self._size = size
        self._length_of = length_of
        self._sizes: dict[C, deque[int]] = {}  # of the newest messages in each mailbox
        self.size = 0  # bytes, or more than there are

    def __repr__(self) -> str:
        return f"<Behind {len(self._sizes)} channels, {self.size} bytes>"

    def take(self, channel: C, size: int) -> bool:
        """Count a message of `size` bytes that is to wait for `channel`; False, and not counted,
        where too much waits already.
        """
        length = self._length_of(channel)
        if 0 < self._messages <= length:
            return False
        sizes = self._sizes.setdefault(channel, deque())
        self._let_go(sizes, length)
        if 0 < self._size < self.size + size:
            for other, its in self._sizes.items():
                self._let_go(its, self._length_of(other))
            if self._size < self.size + size:
                return False
        sizes.append(size)
        self.size += size
        return True

    def forget(self, channel: C) -> None:
        """It is gone."""
        self._let_go(self._sizes.pop(channel, deque()), 0)

    def _let_go(self, sizes: deque[int], length: int) -> None:
        while len(sizes) > length:
            self.size -= sizes.popleft()
