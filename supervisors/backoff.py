"""Backoff: how long a supervisor waits before it starts a child again. Ours, not OTP's; opt-in.

OTP restarts at once and lets the intensity window end the supervisor (S14). A child whose trouble
lies outside, such as a database that is away, is better served by a growing delay with jitter. The
delay changes only *when* an attempt happens: every attempt still counts in the window, and a
waiting child is `restarting` like any other, so it can be terminated meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ("Backoff", "Delays")

_LARGEST_EXPONENT = 1000  # 2.0 ** 1024 overflows; the cap has long taken over by then


def _positive(_: Backoff, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise ValueError(f"Backoff.{attribute.name} must be seconds > 0, got {value!r}")


def _fraction(_: Backoff, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"Backoff.{attribute.name} must lie in 0.0 .. 1.0, got {value!r}")


@attrs.frozen
class Backoff:
    """Attempt n (from 0) waits `min(cap, base * 2**n)` seconds, less up to `jitter` of it by
    chance.

    `jitter` is a fraction: 0 waits exactly, 1 anything down to no wait at all. A child that then
    runs for `cap` seconds has recovered: its next failure is attempt 0 again.
    """

    base: float = attrs.field(default=0.1, validator=_positive)
    cap: float = attrs.field(default=30.0, validator=_positive)
    jitter: float = attrs.field(default=0.2, validator=_fraction)

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait before `attempt`; `random` returns floats in [0, 1)."""
        longest = min(self.cap, self.base * 2.0 ** min(attempt, _LARGEST_EXPONENT))
        return longest * (1.0 - self.jitter * random())

    def next_attempt(self, attempt: int, uptime: float) -> int:
        """The number of the attempt after `attempt` was followed by `uptime` seconds of life."""
        return 0 if uptime >= self.cap else attempt + 1


@attrs.define(eq=False)
class Delays:
    """At which attempt each child of one supervisor is. Owned by the supervisor's process."""

    _random: Callable[[], float]
    _attempts: dict[Hashable, tuple[int, float | None]] = attrs.field(factory=dict, init=False)
    # child -> (number of its last attempt, since when it has run; None: it has not started)

    def next(self, child: Hashable, backoff: Backoff, now: float) -> float:
        """`child` failed at `now`: seconds to wait before it is started again."""
        attempt = 0
        if child in self._attempts:
            last, since = self._attempts[child]
            attempt = backoff.next_attempt(last, 0.0 if since is None else now - since)
        self._attempts[child] = (attempt, None)
        return backoff.delay(attempt, self._random)

    def started(self, child: Hashable, now: float) -> None:
        """`child` runs since `now`. However long its start took, that was not life."""
        if child in self._attempts:
            self._attempts[child] = (self._attempts[child][0], now)

    def rename(self, child: Hashable, successor: Hashable) -> None:
        """What was known as `child` is now known as `successor`."""
        if child in self._attempts:
            self._attempts[successor] = self._attempts.pop(child)

    def forget(self, child: Hashable) -> None:
        """`child` is gone for good, or was stopped by hand."""
        self._attempts.pop(child, None)
