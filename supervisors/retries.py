"""Retries: the messages with which a supervisor reminds itself to start a child again (S14).

Without a backoff the message goes straight to the own mailbox, behind what waits there; with one it
comes after its delay. Stopping the child withdraws it. Owned by the supervisor's process.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import attrs
import trio

from actors.process import Process
from supervisors.backoff import Backoff, Delays

__all__ = ("Retries", "Retry")


@attrs.define(eq=False)
class Retry:
    """Start `key` again: the row of a static supervisor, the old pid of a dynamic one's child."""

    key: Hashable
    timer: Any = None  # while its delay lasts


class Retries:
    """The retries under way, at most one per child."""

    __slots__ = ("_current", "_delays")

    def __init__(self, delays: Delays) -> None:
        self._current: dict[Hashable, Retry] = {}  # child -> its retry
        self._delays = delays

    def begin(self, process: Process, key: Hashable, backoff: Backoff | None) -> None:
        """Send `process`, the supervisor, a retry of `key`."""
        retry = self._current[key] = Retry(key)
        if backoff is None:
            process.deliver(retry)
            return
        delay = self._delays.next(key, backoff, trio.current_time())
        retry.timer = process.node.deadlines.call_later(delay, lambda: process.deliver(retry))

    def is_current(self, retry: Retry) -> bool:
        """Take `retry` out; False if it was withdrawn since it was sent."""
        if self._current.get(retry.key) is not retry:
            return False
        del self._current[retry.key]
        return True

    def rename(self, key: Hashable, successor: Hashable) -> None:
        """The child is back under another key: it keeps its count of attempts."""
        self._delays.rename(key, successor)

    def forget(self, key: Hashable) -> None:
        """Withdraw the retry of `key`, if there is one, and its count of attempts."""
        self._delays.forget(key)
        retry = self._current.pop(key, None)
        if retry is not None and retry.timer is not None:
            retry.timer.cancel()
