"""Bodies of requests while they arrive: what a client makes us hold counts at its address at once,
not only when it is complete. Owner: the process of the TCP connection that brings the body.
"""

from __future__ import annotations

import trio

from channels.transports.limits_addresses import Address

__all__ = ("Arriving", "TooMuchError")


class TooMuchError(Exception):
    """A body exceeds a limit while it comes."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Arriving:
    """What has come of one body: it counts at its address at once, and as long as it is held."""

    __slots__ = ("_address", "_held")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._held = 0

    def take(self, size: int) -> None:
        """Count what one read brought. Raises `TooMuchError`."""
        limit = self._address.take(0, size, trio.current_time())
        if limit is not None:
            raise TooMuchError(f"address_{limit}")
        if not self._address.take_body(size):
            raise TooMuchError("address_bodies")
        self._held += size

    def forget(self) -> None:
        """It is held no more."""
        self._address.bodies -= self._held
        self._held = 0
