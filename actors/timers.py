"""Timers: messages and exit signals to oneself or others, later (TM1 to TM3; OTP:
`erlang:send_after/3` and the module `timer`).

All of them stand in the node's one deadline queue. A timer is never early, may be late, and sends
to a name whoever holds it then. One that sends to a pid is cancelled when that process ends, and an
interval also when the process ends that began it. Zero and more seconds are legal; with `absolute`
they are a time of Trio's clock, and one that has passed is due at once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import trio

from actors import reports
from actors.deadlines import Timer, check_seconds
from actors.exceptions import MailboxFullError
from actors.exits import KILL
from actors.failures import concerns_trio
from actors.kernel import Destination, whereis
from actors.node import current_node
from actors.pid import Answer, Pid, Reference
from actors.process import Process, current_process

__all__ = (
    "TimerExpired",
    "TimerRef",
    "apply_after",
    "apply_interval",
    "cancel_timer",
    "exit_after",
    "kill_after",
    "read_timer",
    "send_after",
    "send_interval",
    "start_timer",
)


@attrs.frozen
class TimerExpired(Answer):
    """What `start_timer` sends (OTP: `{timeout, TimerRef, Message}`)."""

    ref: TimerRef
    message: Any


class TimerRef(Reference):
    """A running timer; `destination` is the pid or name to which it sends, or the function that it
    runs.
    """

    __slots__ = ("_deadlines", "_fire", "_owners", "_timer", "destination")

    def __init__(self, destination: Any, fire: Callable[[TimerRef], None]) -> None:
        super().__init__()
        self.destination = destination
        self._fire = fire
        self._deadlines = current_process().node.deadlines
        self._timer: Timer | None = None
        self._owners: list[Process] = []  # it ends with the first of them that ends

    def __repr__(self) -> str:
        left = self.remaining()
        state = "over" if left is None else f"{left:g} s left"
        return f"<TimerRef to {self.destination!r}: {state}>"

    def remaining(self) -> float | None:
        """Seconds left; None when it has fired or was cancelled."""
        return None if self._timer is None else self._timer.remaining()

    def cancel(self) -> float | None:
        """Do not fire; the seconds that were left, or None if it had fired or was cancelled."""
        left = None if self._timer is None else self._timer.cancel()
        self._disown()
        return left

    def _begin(self, owners: list[Process], deadline: float) -> None:
        for owner in owners:
            if not owner.alive:
                return
        for owner in owners:
            owner.own_timer(self)
        self._owners = owners
        self._run_until(deadline)

    def _run_until(self, deadline: float) -> None:
        self._timer = self._deadlines.call_at(deadline, lambda: self._fire(self))

    def _disown(self) -> None:
        for owner in self._owners:
            owner.disown_timer(self)
        self._owners = []


# -- messages --------------------------------------------------------------------------------------


def send_after(
    seconds: float, destination: Destination, message: Any, *, absolute: bool = False
) -> TimerRef:
    """Send `message` in `seconds`; the timer, for `cancel_timer` and `read_timer`.

    Raises `ValueError` or `TypeError` for a time or a destination that is none.
    """

    def fire(ref: TimerRef) -> None:
        ref._disown()
        _send(ref.destination, message)

    return _start(seconds, TimerRef(destination, fire), absolute=absolute)


def start_timer(
    seconds: float, destination: Destination, message: Any, *, absolute: bool = False
) -> TimerRef:
    """`send_after`, but what arrives is `TimerExpired(ref, message)`: it says which timer it was.

    `receive(ref)` takes it.
    """

    def fire(ref: TimerRef) -> None:
        ref._disown()
        _send(ref.destination, TimerExpired(ref, message))

    return _start(seconds, TimerRef(destination, fire), absolute=absolute)


def send_interval(seconds: float, destination: Destination, message: Any) -> TimerRef:
    """Send `message` every `seconds`, without drift, until cancelled (OTP: `timer:send_interval`).

    Beats that a busy node has missed are left out. Raises `ValueError` unless `seconds` > 0.
    """
    fire = _every(seconds, lambda: _send(destination, message))
    return _start(seconds, TimerRef(destination, fire), also_owned_by=[current_process()])


# -- exit signals ----------------------------------------------------------------------------------


def exit_after(seconds: float, destination: Destination, reason: Any) -> TimerRef:
    """Send an exit signal in `seconds`, in the name of the calling process (OTP:
    `timer:exit_after`, TM3).

    For a limit to what a process may take: `timer = exit_after(5, self_pid(), TIMEOUT)`.
    """
    sender = current_process().pid

    def fire(ref: TimerRef) -> None:
        ref._disown()
        pid = _find(ref.destination)
        if pid is not None:
            pid.target.receive_exit(sender, reason, linked=False)

    return _start(seconds, TimerRef(destination, fire))


def kill_after(seconds: float, destination: Destination) -> TimerRef:
    """`exit_after` with `KILL`, which cannot be trapped (OTP: `timer:kill_after`, TM3)."""
    return exit_after(seconds, destination, KILL)


# -- functions -------------------------------------------------------------------------------------


def apply_after(seconds: float, function: Callable[..., Awaitable[Any]], *args: Any) -> TimerRef:
    """Run `await function(*args)` in `seconds`, in a process of its own (OTP: `timer:apply_after`,
    TM3).

    That process is linked to nobody; it is started also if the calling process has ended.
    """
    spawn_one = _spawner(function, args)

    def fire(ref: TimerRef) -> None:
        ref._disown()
        spawn_one()

    ref = TimerRef(function, fire)
    ref._begin([], _deadline(seconds))
    return ref


def apply_interval(seconds: float, function: Callable[..., Awaitable[Any]], *args: Any) -> TimerRef:
    """`apply_after` every `seconds`, as `send_interval` sends; runs may overlap (OTP:
    `timer:apply_interval`, TM3).

    For runs that shall not, let a process receive the messages of a `send_interval`.
    """
    fire = _every(seconds, _spawner(function, args))
    ref = TimerRef(function, fire)
    ref._begin([current_process()], _deadline(seconds))
    return ref


# -- all of them -----------------------------------------------------------------------------------


def cancel_timer(ref: TimerRef) -> float | None:
    """Do not fire; the seconds that were left.

    None if it had fired or was cancelled: then its message may be in the mailbox already.
    """
    return ref.cancel()


def read_timer(ref: TimerRef) -> float | None:
    """The seconds that are left; None if it has fired or was cancelled."""
    return ref.remaining()


def _every(seconds: float, act: Callable[[], object]) -> Callable[[TimerRef], None]:
    if isinstance(seconds, int | float) and not seconds > 0:
        raise ValueError(f"an interval must be longer than 0 seconds; got {seconds!r}")
    check_seconds(seconds)
    began, beats = trio.current_time(), 0

    def fire(ref: TimerRef) -> None:
        nonlocal beats
        missed = math.floor((trio.current_time() - began) / seconds)  # rounded: one less, perhaps
        beats = max(beats + 1, missed)
        ref._run_until(began + (beats + 1) * seconds)
        act()

    return fire


def _start(
    seconds: float,
    ref: TimerRef,
    also_owned_by: list[Process] | None = None,
    *,
    absolute: bool = False,
) -> TimerRef:
    """Begin a timer that sends; to the dead it is over before it begins."""
    deadline = _deadline(seconds, absolute=absolute)
    owners = also_owned_by or []
    if isinstance(ref.destination, Pid):
        if not isinstance(ref.destination.target, Process):
            return ref
        owners = [*owners, ref.destination.target]
    else:
        whereis(ref.destination)  # a name of the wrong kind is told now, not when nobody listens
    ref.mark = current_process().mailbox.mark()
    ref._begin(list(dict.fromkeys(owners)), deadline)
    return ref


def _deadline(seconds: float, *, absolute: bool = False) -> float:
    if absolute:
        return seconds
    check_seconds(seconds)
    return trio.current_time() + seconds


def _find(destination: Destination) -> Pid | None:
    """Who is there when the time has passed."""
    try:
        return whereis(destination)
    except BaseException as error:  # noqa: ASYNC103  # raised again if nobody's failure
        if concerns_trio(error):
            raise
        reports.timer_failed(destination, error)  # a registry of the user's
    return None


def _send(destination: Destination, message: Any) -> None:
    pid = _find(destination)
    if pid is not None:
        with suppress(MailboxFullError):  # a bounded mailbox: telemetry tells what was lost
            pid.send(message)


def _spawner(
    function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
) -> Callable[[], object]:
    """What starts a process for `function`, as a descendant of the calling process."""
    if not callable(function):
        raise TypeError(f"expected a function that can be awaited; got {function!r}")
    node, parent = current_node(), current_process()
    label = getattr(function, "__name__", type(function).__name__)
    return lambda: node.spawn(function, args, label=label, parent=parent)
