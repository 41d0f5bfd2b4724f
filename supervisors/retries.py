"""Retries: the messages with which a supervisor reminds itself to start a child again (S14).

Without a backoff the message goes straight to the own mailbox, behind what waits there; with one it
comes after its delay. Stopping the child withdraws it. Owned by the supervisor's process.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs
import trio

from actors.deadlines import Timer
from actors.process import Process
from supervisors.backoff import Backoff, Delays

__all__ = ("Retries", "Retry")


@attrs.define(eq=False)
class Retry:
    """Start `key` again: the row of a static supervisor, the old pid of a dynamic one's child."""

    key: Hashable
    owner: Process
    timer: Timer | None = None  # if it is delayed

    def come(self) -> None:
        """Its delay is over."""
        self.owner.disown_timer(self)
        self.owner.deliver(self)

    def cancel(self) -> float | None:
        """The supervisor ends, or the child was stopped."""
        self.owner.disown_timer(self)
        return None if self.timer is None else self.timer.cancel()


class Retries:
    """The retries under way, at most one per child."""

    __slots__ = ("_current", "_delays")

    def __init__(self, delays: Delays) -> None:
        self._current: dict[Hashable, Retry] = {}  # child -> its retry
        self._delays = delays

    def begin(self, process: Process, key: Hashable, backoff: Backoff | None) -> None:
        """Send `process`, the supervisor, a retry of `key`."""
        retry = self._current[key] = Retry(key, process)
        if backoff is None:
            process.deliver(retry)
            return
        delay = self._delays.next(key, backoff, trio.current_time())
        retry.timer = process.node.deadlines.call_later(delay, retry.come)
        process.own_timer(retry)

    def is_current(self, retry: Retry) -> bool:
        """Take `retry` out; False if it was withdrawn since it was sent."""
        if self._current.get(retry.key) is not retry:
            return False
        del self._current[retry.key]
        return True

    def started(self, key: Hashable) -> None:
        """The child runs."""
        self._delays.started(key, trio.current_time())

    def rename(self, key: Hashable, successor: Hashable) -> None:
        """The child is back under another key: it keeps its count of attempts."""
        self._delays.rename(key, successor)

    def forget(self, key: Hashable) -> None:
        """Withdraw the retry of `key`, if there is one, and its count of attempts."""
        self._delays.forget(key)
        retry = self._current.pop(key, None)
        if retry is not None:
            retry.cancel()
