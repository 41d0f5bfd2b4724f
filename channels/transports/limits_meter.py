"""`Meter`: messages, bytes and joins counted against their rates (token buckets, RFC 2697's idea).

Pure: time is an argument, in seconds of any clock that does not go back. A bucket is filled up only
when it is empty, so what is counted costs a subtraction and a comparison, and nothing ticks.
"""

from __future__ import annotations

from typing import Protocol

from channels.transports.limits import Rate

__all__ = ("Meter", "Rates")


class Rates(Protocol):
    """What a meter measures by; `Limits` and `AddressLimits` are such."""

    @property
    def messages(self) -> Rate:
        """WebSocket frames, pings and pongs too; lines of a long poll."""

    @property
    def bytes(self) -> Rate:
        """As they come from the wire."""

    @property
    def joins(self) -> Rate:
        """Channels that are started."""


class Meter:
    """One client's buckets. Entity, owned by its connection."""

    # One for each connection, asked at each read: slots.
    __slots__ = ("_bytes", "_joins", "_messages", "_rates", "_since")

    def __init__(self, rates: Rates, now: float) -> None:
        self._rates = rates
        self._since = now
        self._messages = rates.messages.full
        self._bytes = rates.bytes.full
        self._joins = rates.joins.full

    def take(self, messages: int, size: int, now: float) -> str | None:
        """Count what one read brought; None, or which limit it exceeds: "messages" or "bytes".

        What exceeds a limit is not counted: it is not served either.
        """
        self._messages -= messages
        self._bytes -= size
        if self._messages >= 0 <= self._bytes:
            return None
        self._messages += messages
        self._bytes += size
        self._fill_up(now)
        if self._messages < messages:
            return "messages"
        if self._bytes < size:
            return "bytes"
        self._messages -= messages
        self._bytes -= size
        return None

    def take_join(self, now: float) -> bool:
        """Count a join; False, and not counted, where it exceeds the limit."""
        if self._joins < 1:
            self._fill_up(now)
            if self._joins < 1:
                return False
        self._joins -= 1
        return True

    def _fill_up(self, now: float) -> None:
        elapsed, rates = now - self._since, self._rates
        self._since = now
        self._messages = _filled(self._messages, rates.messages, elapsed)
        self._bytes = _filled(self._bytes, rates.bytes, elapsed)
        self._joins = _filled(self._joins, rates.joins, elapsed)


def _filled(left: float, rate: Rate, elapsed: float) -> float:
    return min(rate.full, left + elapsed * rate.per_second)
