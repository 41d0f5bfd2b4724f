"""`Gatekeeper`: who may connect from which address, and what was refused so far.

Pure: time is an argument. Owner: the endpoint, all of whose connections share it; each connection
holds the `Address` that it came from and counts there what it does. What a process holds there is
given back by its death (`endpoint.places`), so it counts as long as the process lives, and no
longer, whatever way it ends.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Final

import attrs

from channels.transports.limits import AddressLimits, Rate
from channels.transports.limits_meter import Meter

__all__ = ("Address", "Gatekeeper", "GatekeeperStatistics", "network_of")

_IPV6_NETWORK: Final = 64  # bits: what one customer has; the rest of the address is his to choose


@attrs.frozen
class GatekeeperStatistics:
    """A snapshot: what is there now, and what there was since the start."""

    connections: int
    addresses: int  # that are remembered, connected or not long gone
    accepted: int  # connections, since the start
    exceeded: Mapping[str, int]  # which limit -> how often, since the start


class Address(Meter):
    """All connections from one address. Entity, owned by the gatekeeper."""

    __slots__ = ("_connects", "bodies", "connections", "key", "limits", "topics")

    def __init__(self, key: str, limits: AddressLimits, now: float) -> None:
        super().__init__(limits, now)
        self.key = key
        self.limits = limits
        self.connections = 0
        self.topics = 0  # channels of its connections
        self.bodies = 0  # bytes of bodies that are arriving
        self._connects = limits.connects.full

    def __repr__(self) -> str:
        return f"<Address {self.key} connections={self.connections} topics={self.topics}>"

    def take_connect(self, now: float) -> bool:
        """Count a connection; False, and not counted, where it exceeds the rate."""
        if self._connects < 1:
            self._fill_up(now)
            if self._connects < 1:
                return False
        self._connects -= 1
        return True

    def take_topic(self) -> bool:
        """Count a channel; False, and not counted, where there are too many."""
        if self.limits.topics and self.topics >= self.limits.topics:
            return False
        self.topics += 1
        return True

    def take_body(self, size: int) -> bool:
        """Count what a body has brought; False, and not counted, where too much is held already.

        Whoever counts it takes it off `bodies` when he holds it no more.
        """
        if 0 < self.limits.bodies < self.bodies + size:
            return False
        self.bodies += size
        return True

    def _fill_up(self, now: float) -> None:
        rate = self.limits.connects
        filled = self._connects + (now - self._since) * rate.per_second
        self._connects = min(rate.full, filled)
        super()._fill_up(now)


class Gatekeeper:
    """Every address with a connection, or with a bucket that is not yet full again."""

    def __init__(self, limits: AddressLimits) -> None:
        self._limits = limits
        self._addresses: dict[str, Address] = {}
        self._quiet: OrderedDict[str, float] = OrderedDict()  # without connection -> since when
        rates = (limits.connects, limits.messages, limits.bytes, limits.joins)
        self._memory = max(map(_seconds_to_fill, rates))
        self._exceeded: Counter[str] = Counter()
        self._connections = self._accepted = 0
        self._places: dict[Hashable, Address] = {}  # connection -> where it has entered
        self._topics: dict[Hashable, Address] = {}  # channel -> where it counts
        self.note: Callable[[str], None] = self._note
        """Count that a limit was hit. Bound once: every connection holds it."""

    def __repr__(self) -> str:
        return f"<Gatekeeper connections={self._connections} addresses={len(self._addresses)}>"

    def enter(self, address: str, now: float) -> Address | str:
        """Let a connection in from `address`; or the limit that it exceeds: "connections" or
        "connects".

        Whoever got an `Address` gives it back with `leave`, once, or lets somebody `hold` it.
        """
        self._forget(now)
        key = network_of(address)
        entry = self._addresses.get(key)
        if entry is None:
            entry = self._addresses[key] = Address(key, self._limits, now)
        limit = self._limits.connections
        if limit and entry.connections >= limit:
            self._exceeded["connections"] += 1
            return "connections"
        if not entry.take_connect(now):
            self._exceeded["connects"] += 1
            self._note_quiet(entry, now)
            return "connects"
        self._quiet.pop(key, None)
        entry.connections += 1
        self._connections += 1
        self._accepted += 1
        return entry

    def leave(self, address: Address, now: float) -> None:
        """A connection from there is gone."""
        address.connections -= 1
        self._connections -= 1
        self._note_quiet(address, now)

    def hold(self, connection: Hashable, address: Address) -> None:
        """A place that `enter` gave belongs to `connection` now, until it has `gone`."""
        self._places[connection] = address

    def move(self, old: Hashable, new: Hashable) -> bool:
        """`new` holds the place of `old` now; False if that holds none any more."""
        address = self._places.pop(old, None)
        if address is None:
            return False
        self._places[new] = address
        return True

    def holds(self, connection: Hashable) -> bool:
        """Whether it has a place."""
        return connection in self._places

    def gone(self, connection: Hashable, now: float) -> bool:
        """Take back its place; False if it holds none any more."""
        address = self._places.pop(connection, None)
        if address is None:
            return False
        self.leave(address, now)
        return True

    def hold_topic(self, channel: Hashable, address: Address) -> None:
        """A place that `Address.take_topic` gave belongs to `channel` now."""
        self._topics[channel] = address

    def give_topic_back(self, channel: Hashable) -> bool:
        """It has ended; whether it held a place."""
        address = self._topics.pop(channel, None)
        if address is None:
            return False
        address.topics -= 1
        return True

    def holders(self) -> tuple[Hashable, ...]:
        """Everybody who holds a place."""
        return (*self._places, *self._topics)

    def _note(self, limit: str) -> None:
        self._exceeded[limit] += 1

    def statistics(self) -> GatekeeperStatistics:
        """A snapshot."""
        return GatekeeperStatistics(
            self._connections, len(self._addresses), self._accepted, dict(self._exceeded)
        )

    def _note_quiet(self, address: Address, now: float) -> None:
        if not address.connections:
            self._quiet[address.key] = now
            self._quiet.move_to_end(address.key)

    def _forget(self, now: float) -> None:
        """Addresses whose buckets are full again are as good as new."""
        quiet = self._quiet
        while quiet:
            key = next(iter(quiet))
            if quiet[key] + self._memory > now:
                return
            del quiet[key], self._addresses[key]


def _seconds_to_fill(rate: Rate) -> float:
    return rate.burst / rate.per_second if rate.per_second else 0.0


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 /64 network.

    >>> network_of("::ffff:192.0.2.7"), network_of("2001:db8::1")
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a socket without one; it counts by what it is called
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
