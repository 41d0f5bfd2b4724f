"""How long a server may go on before it lets the others run.

A checkpoint costs as much as a dozen casts and a look at the clock half of one. So a server that is
busy yields after so many messages or so much time, and while its messages show to be quick it looks
at the clock more and more rarely. One that finds its mailbox empty after a message or two never
looks at all.
"""

from __future__ import annotations

from time import perf_counter

__all__ = ("GLANCE", "MESSAGES_PER_TURN", "SECONDS_PER_TURN", "UNTIMED", "Turn")

MESSAGES_PER_TURN = 512
"""A server yields to the others after this many messages …"""
SECONDS_PER_TURN = 0.000_1
"""… or this long, so that no busy server starves the node."""
GLANCE = 16
"""Messages between two looks at the clock at most. After slow ones it is looked at each time."""
UNTIMED = 2
"""Messages that a server may handle before it takes turns at all."""


class Turn:
    """The turn that a busy server takes now. It begins with the first look at the clock."""

    __slots__ = ("_ends", "_glance", "_left", "_looked")

    def __init__(self) -> None:
        self._glance = 1  # messages between two looks: it is not known yet how quick they are
        self.begin()

    def begin(self) -> int:
        """Others have run: how many messages may be handled before `look`."""
        self._left = MESSAGES_PER_TURN
        self._ends = self._looked = 0.0
        return self._glance

    def look(self) -> int:
        """How many messages may be handled before the next look; 0: this turn is over."""
        now = perf_counter()
        if not self._ends:
            self._ends = now + SECONDS_PER_TURN
        elif now - self._looked > SECONDS_PER_TURN / 4:
            self._glance = 1
        elif self._glance < GLANCE:
            self._glance *= 2
        self._looked = now
        self._left -= self._glance
        return 0 if self._left < 0 or now > self._ends else self._glance
