"""What stages agree on, and what they send each other (`stages`); what of it is refused."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable
from typing import Any, Final

import attrs

from actors.exceptions import ProcessExit
from actors.exits import BadReturn
from actors.kernel import Destination
from actors.messages import Promised
from actors.pid import Pid
from actors.stage_dispatch import Selector

__all__ = (
    "FAULTS",
    "ONE_VALUE",
    "Ask",
    "Cancel",
    "Cancelled",
    "Events",
    "OneValue",
    "Produce",
    "Refused",
    "SelectorRaisedError",
    "Subscribe",
    "Subscription",
    "guarded",
    "half",
    "listed",
)


class Cancel(enum.StrEnum):
    """What a consumer does when its producer ends (GS1)."""

    PERMANENT = "permanent"  # ends too, with the same reason
    TRANSIENT = "transient"  # ends too, unless the producer ended in order
    TEMPORARY = "temporary"  # goes on without it


def half(max_demand: int) -> int:
    """The `min_demand` of who says none; what is no number is refused by the subscription."""
    return max_demand // 2 if _is_whole(max_demand) else 0


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not _is_whole(value):
        raise TypeError(f"{attribute.name} is an int; got {value!r}")


def _one_or_more(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} is 1 or more; got {value!r}")


def _below_max(subscription: Subscription, attribute: attrs.Attribute[Any], value: int) -> None:
    high = subscription.max_demand
    if not 0 <= value < high:
        raise ValueError(
            f"{attribute.name} is 0 or more and below max_demand ({high}); got {value!r}"
        )


def _callable_or_none(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{attribute.name} is a function of an event, or None; got {value!r}")


def _hashable(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    try:
        hash(value)
    except TypeError as error:  # also a tuple with a list in it: only hash() knows
        raise TypeError(f"{attribute.name} must be hashable; got {value!r}") from error


@attrs.define(eq=False)
class Subscription:
    """One consumer of one producer, as both know it.

    Refuses here, in the step of the consumer, what the producer could not work with: raises
    TypeError for a demand that is no int, a selector that cannot be called and a partition that is
    not hashable; ValueError for a demand out of range.
    """

    consumer: Pid
    producer: Destination
    max_demand: int = attrs.field(validator=[_whole, _one_or_more])
    min_demand: int = attrs.field(validator=[_whole, _below_max])
    cancel: Cancel = attrs.field(converter=Cancel)
    selector: Selector | None = attrs.field(default=None, repr=False, validator=_callable_or_none)
    partition: Hashable = attrs.field(default=None, validator=_hashable)


FAULTS: Final = (Exception, ProcessExit)
"""What the code of a consumer may raise in its producer."""


class SelectorRaisedError(Exception):
    """The selector of a consumer raised `error`."""

    def __init__(self, subscription: Subscription, error: BaseException) -> None:
        super().__init__(subscription, error)
        self.subscription = subscription
        self.error = error


def guarded(subscription: Subscription) -> Selector:
    """Its selector; what that raises comes as `SelectorRaisedError`, which says whose it is."""
    wanted: Any = subscription.selector

    def selector(event: Any) -> bool:
        try:
            return bool(wanted(event))
        except FAULTS as error:
            raise SelectorRaisedError(subscription, error) from error

    return selector


@attrs.frozen
class Subscribe(Promised):
    """By a consumer to its producer, at first."""

    subscription: Subscription


@attrs.frozen
class Ask(Promised):
    """By a consumer: it can take `count` events more."""

    subscription: Subscription
    count: int


@attrs.frozen
class Events(Promised):
    """By a producer: events of this subscription, in order."""

    subscription: Subscription
    events: list[Any]


@attrs.frozen
class Cancelled(Promised):
    """By the consumer, to its producer."""

    subscription: Subscription


@attrs.frozen
class Refused(Promised):
    """By the producer, to a consumer that it cannot serve, or not any longer."""

    subscription: Subscription
    error: BaseException


class Produce(Promised):
    """By a stage to itself: there may be unserved demand."""


ONE_VALUE: Final = (str, bytes, dict)
"""Iterables that are no events: nobody means their letters, numbers or keys."""


class OneValue(BadReturn):
    """Equal to any other `BadReturn`; says why an iterable is none here."""

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}: {_why(self.value)})"

    def __eq__(self, other: object) -> bool:
        return BadReturn(self.value, self.callback) == other

    __hash__ = BadReturn.__hash__


def _why(value: Any) -> str:
    return f"a {type(value).__name__} is one value, not several events: put it into a list"


def listed(events: Iterable[Any]) -> list[Any]:
    """Them as a list; raises TypeError for one of `ONE_VALUE`."""
    if isinstance(events, ONE_VALUE):
        raise TypeError(f"{_why(events)}; got {events!r}")
    return list(events)
