"""What clients may do: `Limits` of one connection and `AddressLimits` of all connections from one
address. Values; whoever hits a limit is told which, and an `endpoint.statistics()` counts it.

Zero always means: no limit.

| limit | default | what happens beyond it | counted as |
|---|---|---|---|
| `address.connections` | 2,000 | HTTP 429 (TLS: an alert) | `connections` |
| `address.connects` | 200 a second, 4,000 at once | HTTP 429 (TLS: an alert) | `connects` |
| `TLS.handshake_timeout` | 10 s | closed | `handshake_timeout` |
| `head_timeout` | 10 s | HTTP 408 | `head_timeout` |
| `max_head_size` | 16 KiB, always 100 headers | HTTP 431 | `head_size` |
| nesting of query parameters | always 16 | HTTP 400 | `query_depth` |
| one write of an HTTP answer | always 30 s | closed | `write_timeout` |
| `LongPoll.max_body`, `max_message_size` | 8 MB, 1 MiB | HTTP 400 | `message_size` |
| `LongPoll.body_timeout` | 30 s | HTTP 408 | `body_timeout` |
| `max_message_size` | 1 MiB, fragments together | close 1009 | `message_size` |
| `idle_timeout` | 60 s without a whole frame | close 1002 | `idle` |
| `idle_timeout` | 60 s in which it reads nothing of what waits | close 4008 | `slow_clients` |
| `close_timeout` | 5 s to answer our close frame | closed | `close_timeout` |
| `messages` | 200 a second, 1,000 at once | close 4029; long poll: JSON status 429 | `messages` |
| `bytes` | 1 MiB a second, 8 MiB at once | close 4029; long poll: JSON status 429 | `bytes` |
| `joins` | 20 a second, 200 at once | error reply `{"reason": "too many joins"}` | `joins` |
| `UserSocket.max_channels` | 100 topics | error reply "too many channels joined" | `topics` |
| `held`, `held_bytes` | 32 messages a topic, 256 KiB | error reply "join pending" | `held` |
| `queued`, `queued_bytes` | 1,000 for a channel, 1 MiB | error reply "channel busy" | `queued` |
| refreshes of credentials | always 1 at once | error reply "refresh pending" | `refreshes` |
| time for one | always 5 s | error reply "timeout" | `refresh_timeout` |
| `outbox` | 1 MiB | as `UserSocket.overflow` says, close 4008 | `slow_clients` |
| `address.messages` | 2,000 a second, 10,000 at once | as `messages` | `address_messages` |
| `address.bytes` | 10 MiB a second, 80 MiB at once | as `bytes` | `address_bytes` |
| `address.bodies` | 32 MiB of bodies that arrive | JSON status 429 | `address_bodies` |
| `address.joins` | 200 a second, 4,000 at once | as `joins` | `address_joins` |
| `address.topics` | 20,000 | error reply `{"reason": "too many topics"}` | `address_topics` |

Pings and pongs are messages too. All clients behind one proxy have its address: there, set the
limits of `address` to zero and let the proxy keep them.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

__all__ = ("NO_RATE", "AddressLimits", "Limits", "Rate", "explain")

_KIB = 1024
_MIB = 1024 * _KIB


def _not_negative(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{attribute.name}={value!r}; expected a number")
    if not value >= 0:
        raise ValueError(f"{attribute.name}={value!r}; expected a number >= 0, where 0 is no limit")


def _whole(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{attribute.name}={value!r}; expected a whole number, 0 for no limit")
    _not_negative(instance, attribute, value)


@attrs.frozen
class Rate:
    """So many `per_second` in the long run, and `burst` at once. Zero per second: no limit.

    A bucket is filled up only when it is empty, so that counting costs a subtraction; after a long
    silence two bursts may follow on each other.
    """

    per_second: float = attrs.field(validator=_not_negative)
    burst: float = attrs.field(validator=_not_negative)

    @property
    def full(self) -> float:
        """What a full bucket holds."""
        return self.burst if self.per_second else math.inf


NO_RATE = Rate(0, 0)


def _rate(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Rate):
        words = "expected Rate(per_second, burst), or NO_RATE"
        raise TypeError(f"{attribute.name}={value!r}; {words}")


@attrs.frozen(kw_only=True)
class AddressLimits:
    """What all connections from one address may do together; for IPv6, from one /64 network."""

    connections: int = attrs.field(default=2_000, validator=_whole)
    connects: Rate = attrs.field(default=Rate(200, burst=4_000), validator=_rate)
    messages: Rate = attrs.field(default=Rate(2_000, burst=10_000), validator=_rate)
    bytes: Rate = attrs.field(default=Rate(10 * _MIB, burst=80 * _MIB), validator=_rate)
    joins: Rate = attrs.field(default=Rate(200, burst=4_000), validator=_rate)
    topics: int = attrs.field(default=20_000, validator=_whole)
    bodies: int = attrs.field(default=32 * _MIB, validator=_whole)
    """Bytes of the bodies of long polls that are held because they have not come whole."""


@attrs.frozen
class Limits:
    """What one connection may do; see the module's table. Times in seconds, sizes in bytes."""

    idle_timeout: float = attrs.field(default=60.0, validator=_not_negative)
    max_message_size: int = attrs.field(default=_MIB, validator=_whole)
    outbox: int = attrs.field(default=_MIB, validator=_whole)
    close_timeout: float = attrs.field(default=5.0, validator=_not_negative)
    """Seconds that a client has to answer our close frame."""
    head_timeout: float = attrs.field(default=10.0, validator=_not_negative, kw_only=True)
    max_head_size: int = attrs.field(default=16 * _KIB, validator=_whole, kw_only=True)
    held: int = attrs.field(default=32, validator=_whole, kw_only=True)
    """Messages held for one pending join; the one limit where zero means: none is held."""
    held_bytes: int = attrs.field(default=256 * _KIB, validator=_whole, kw_only=True)
    queued: int = attrs.field(default=1_000, validator=_whole, kw_only=True)
    """Messages that may wait for a channel, in its mailbox."""
    queued_bytes: int = attrs.field(default=_MIB, validator=_whole, kw_only=True)
    """Bytes of a connection's client that may wait in the mailboxes of its channels."""
    messages: Rate = attrs.field(default=Rate(200, burst=1_000), validator=_rate, kw_only=True)
    bytes: Rate = attrs.field(default=Rate(_MIB, burst=8 * _MIB), validator=_rate, kw_only=True)
    joins: Rate = attrs.field(default=Rate(20, burst=200), validator=_rate, kw_only=True)
    address: AddressLimits = attrs.field(
        default=AddressLimits(),
        validator=attrs.validators.instance_of(AddressLimits),
        kw_only=True,
    )

    def without_rates(self) -> Limits:
        """The same without limits on rates, addresses and mailboxes, for load tools."""
        address = AddressLimits(
            connections=0,
            connects=NO_RATE,
            messages=NO_RATE,
            bytes=NO_RATE,
            joins=NO_RATE,
            topics=0,
            bodies=0,
        )
        return attrs.evolve(
            self,
            messages=NO_RATE,
            bytes=NO_RATE,
            joins=NO_RATE,
            queued=0,
            queued_bytes=0,
            address=address,
        )


def explain(limits: Limits, limit: str) -> str:
    """What a client reads that has exceeded `limit`, as the counters call it; always in 123 bytes.

    >>> explain(Limits(), "address_messages")
    'too many messages: your address may send 2000 a second'
    """
    address = limits.address
    match limit:
        case "connections":
            return f"too many connections: your address may have {address.connections}"
        case "connects":
            rate = address.connects.per_second
            return f"too many connections: your address may make {rate:g} a second"
        case "address_bodies":
            return f"too much at once: your address may have {address.bodies} bytes on their way"
    what = limit.removeprefix("address_")
    if limit == what:
        return (
            f"too many {what}: a connection may send {getattr(limits, what).per_second:g} a second"
        )
    return f"too many {what}: your address may send {getattr(address, what).per_second:g} a second"
