"""The timers of a state machine (OTP: `gen_statem`, SM7).

One event timeout, one state timeout, any number of named ones. A timeout of zero seconds never
touches the clock: it waits here until the events inside the machine are handled. Owner: the loop.
"""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias

from actors.deadlines import Timer
from actors.messages import Promised
from actors.process import Process
from actors.state_results import (
    CancelTimeout,
    EventTimedOut,
    EventTimeout,
    NamedTimedOut,
    NamedTimeout,
    StateTimedOut,
    StateTimeout,
    UpdateTimeout,
)

__all__ = ("StateTimers", "TimeoutAction", "TimerFired", "makes_sense", "timer_of")

Key: TypeAlias = Any  # EventTimeout, StateTimeout (the classes), or the name of a named timeout
TimeoutAction: TypeAlias = (
    EventTimeout | StateTimeout | NamedTimeout | CancelTimeout | UpdateTimeout
)


class TimerFired(Promised):
    """In the mailbox: a timer's time has passed. By then it may have been stopped or replaced."""

    __slots__ = ("content", "key", "timer")

    def __init__(self, key: Key, content: Any) -> None:
        self.key = key
        self.content = content
        self.timer: Timer | None = None
        """None: it waits for zero seconds, in the machine's own queue."""

    def event(self) -> EventTimedOut | StateTimedOut | NamedTimedOut:
        """What the machine is given."""
        if self.key is EventTimeout:
            return EventTimedOut(self.content)
        if self.key is StateTimeout:
            return StateTimedOut(self.content)
        return NamedTimedOut(self.key, self.content)


def timer_of(action: TimeoutAction) -> Key:
    """Which timer an action is about."""
    match action:
        case CancelTimeout(timer=key) | UpdateTimeout(timer=key) | NamedTimeout(name=key):
            return key
    return _key_of(action)


def makes_sense(action: TimeoutAction) -> bool:
    """Is its time one?"""
    if isinstance(action, CancelTimeout | UpdateTimeout) or action.seconds is None:
        return True
    seconds = action.seconds
    if not isinstance(seconds, int | float):
        return False
    if sys.float_info.max < abs(seconds) < math.inf:  # an int may be more than a float
        return False
    if math.isnan(seconds):
        return False
    return seconds >= 0 or action.absolute


def _key_of(action: TimeoutAction) -> Key:
    return type(action)


class StateTimers:
    """The running timers, by their key: `EventTimeout`, `StateTimeout`, or a name."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._running: dict[Key, TimerFired] = {}
        self._zero: list[TimerFired] = []

    def __len__(self) -> int:
        return len(self._running)

    def apply(self, action: TimeoutAction) -> None:
        """Start, stop or change a timer."""
        match action:
            case CancelTimeout(timer=key):
                self.cancel(key)
            case UpdateTimeout(timer=key, content=content):
                self._update(key, content)
            case NamedTimeout(name=key):
                self._start(key, action)
            case _:
                self._start(_key_of(action), action)

    def cancel(self, key: Key) -> None:
        """Stop a timer, also one that has fired and still stands in the mailbox."""
        fired = self._running.pop(key, None)
        if fired is None:
            return
        if fired.timer is None:
            self._zero.remove(fired)
        else:
            fired.timer.cancel()
            self._process.disown_timer(fired.timer)

    def cancel_all(self) -> None:
        """The machine ends."""
        for key in list(self._running):
            self.cancel(key)

    def take_zero(self) -> TimerFired | None:
        """The oldest timeout of zero seconds, if there is one."""
        if not self._zero:
            return None
        fired = self._zero.pop(0)
        del self._running[fired.key]
        return fired

    def is_current(self, fired: TimerFired) -> bool:
        """Was it neither stopped nor replaced while it stood in the mailbox?"""
        if self._running.get(fired.key) is not fired:
            return False
        del self._running[fired.key]
        return True

    def _start(self, key: Key, action: EventTimeout | StateTimeout | NamedTimeout) -> None:
        self.cancel(key)
        if action.seconds is None or action.seconds == math.inf:
            return
        fired = TimerFired(key, action.content)
        if action.seconds == 0 and not action.absolute:
            self._running[key] = fired
            self._zero.append(fired)
            return
        deadlines = self._process.node.deadlines
        begin = deadlines.call_at if action.absolute else deadlines.call_later
        fired.timer = begin(action.seconds, lambda: self._fire(fired))
        self._running[key] = fired
        self._process.own_timer(fired.timer)

    def _update(self, key: Key, content: Any) -> None:
        fired = self._running.get(key)
        if fired is None:
            fired = self._running[key] = TimerFired(key, content)
            self._zero.append(fired)
        fired.content = content

    def _fire(self, fired: TimerFired) -> None:
        assert fired.timer is not None
        self._process.disown_timer(fired.timer)
        self._process.deliver(fired)
