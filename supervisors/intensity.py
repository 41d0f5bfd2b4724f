"""The restart window: have there been more than `max_restarts` within `max_seconds`? (S17)

Pure: the caller gives the time. OTP compares whole seconds; we compare floats, so a restart stops
counting exactly `max_seconds` after it happened and not up to a second later. The comparison stays
inclusive: a restart exactly `max_seconds` ago still counts.
"""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ("RestartWindow",)


@attrs.define(eq=False)
class RestartWindow:
    """The restarts of one supervisor that still count. Owned by the supervisor's process."""

    max_restarts: int
    max_seconds: float
    _restarts: deque[float] = attrs.field(factory=deque, init=False)  # monotonic seconds, ascending

    def record(self, now: float) -> bool:
        """Note one restart attempt at `now`; False means that the supervisor must give up."""
        restarts = self._restarts
        oldest = now - self.max_seconds
        while restarts and restarts[0] < oldest:
            restarts.popleft()
        restarts.append(now)
        return len(restarts) <= self.max_restarts

    def __len__(self) -> int:
        """How many restarts counted when the last one was recorded."""
        return len(self._restarts)
