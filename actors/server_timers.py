"""The one timer and the one idle limit of a server (G13).

A `Timeout` is a message that comes when its time has passed, whatever else happens. An
`IdleTimeout` is noticed by the loop, which finds nothing to read when it is woken. Owner: the loop.
"""

from __future__ import annotations

from typing import Any

from trio import current_time

from actors.deadlines import Timer, check_seconds
from actors.exceptions import ProcessExit
from actors.exits import BadReturn
from actors.messages import Promised
from actors.process import Process
from actors.results import Continue, IdleTimeout, Timeout

__all__ = ("Fired", "Nap", "ServerTimers")


class Fired(Promised):
    """A timer has fired. It stands in the mailbox; by then it may have been replaced."""

    __slots__ = ("message", "timer")

    def __init__(self, message: Any, timer: Timer | None = None) -> None:
        self.message = message
        self.timer = timer


class ServerTimers:
    """What a server has asked for with `then`, as far as it takes time."""

    __slots__ = ("idle", "idle_timer", "process", "timer")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.timer: Timer | None = None
        self.idle: IdleTimeout | None = None
        """The idle limit that is in force until the next message."""
        self.idle_timer: Timer | None = None

    def begin(self, then: Any) -> Any:
        """Do what the last callback asked for; the item to handle before the mailbox, if any."""
        kind = type(then)
        if kind is Continue:
            return then
        if kind is Timeout:
            return self._start_timer(then)
        if kind is IdleTimeout:
            return self._start_idle(then)
        raise ProcessExit(BadReturn(then, "then"))

    def is_stale(self, fired: Fired) -> bool:
        """Was the timer cancelled or replaced when its message stood in the mailbox?"""
        return fired.timer is not None and fired.timer is not self.timer

    def is_current(self, fired: Fired) -> bool:
        """Is it to be handled? Once."""
        if self.is_stale(fired):
            return False
        if fired.timer is not None:
            self.timer = None
        return True

    @property
    def quiet(self) -> bool:
        """Is nothing to come?"""
        return self.timer is None and self.idle_timer is None

    def idle_expired(self) -> Fired | None:
        """The loop was woken and found nothing to read: the idle limit's message, if it was it."""
        if self.idle_timer is None or self.idle_timer.active:
            return None
        limit = self.end_idle()
        return None if limit is None else Fired(limit.message)

    def end_idle(self) -> IdleTimeout | None:
        """A message came; the limit that was in force."""
        idle, self.idle = self.idle, None
        if self.idle_timer is not None:
            self.idle_timer.cancel()
            self.idle_timer = None
        return idle

    def cancel(self) -> float | None:
        """The server ends, or sleeps."""
        self.end_idle()
        self.process.disown_timer(self)
        return None if self.timer is None else self.timer.cancel()

    def _start_timer(self, timeout: Timeout) -> Fired | None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if timeout.seconds is None:
            return None
        check_seconds(timeout.seconds)
        if timeout.seconds <= 0:
            return Fired(timeout.message)
        process = self.process

        def fire() -> None:
            process.deliver(Fired(timeout.message, timer))

        self.timer = timer = process.node.deadlines.call_later(timeout.seconds, fire)
        process.own_timer(self)
        return None

    def _start_idle(self, limit: IdleTimeout) -> Fired | None:
        check_seconds(limit.seconds)
        process = self.process
        if not process.mailbox.queue:  # otherwise a message that waits already wins
            if limit.seconds <= 0:
                return Fired(limit.message)
            self.idle_timer = process.node.deadlines.call_later(limit.seconds, process.mailbox.wake)
            process.own_timer(self)
        self.idle = limit
        return None


class Nap:
    """How long a server has had nothing to do; due when that is its `hibernate_after`.

    One timer for all its waits: a wait only notes when it began.
    """

    __slots__ = ("_due", "_process", "_seconds", "_since", "_timer")

    def __init__(self, process: Process, seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self._since = 0.0
        self._timer: Timer | None = None
        self._due = False
        process.own_timer(self)

    def begin(self) -> None:
        """The server begins to wait."""
        self._due = False
        self._since = current_time()
        if self._timer is None:
            self._timer = self._process.node.deadlines.call_at(
                self._since + self._seconds, self._look
            )

    def is_due(self) -> bool:
        """Was this why it was woken? Once."""
        due, self._due = self._due, False
        return due

    def cancel(self) -> float | None:
        """The server waits no more."""
        timer, self._timer = self._timer, None
        self._process.disown_timer(self)
        return None if timer is None else timer.cancel()

    def _look(self) -> None:
        self._timer = None
        process = self._process
        if not process.idle:
            return
        ends = self._since + self._seconds
        if current_time() < ends:
            self._timer = process.node.deadlines.call_at(ends, self._look)
        else:
            self._due = True
            process.mailbox.wake()
