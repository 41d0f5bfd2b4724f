"""What stages agree on, and what they send each other (`stages`)."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from actors.kernel import Destination
from actors.messages import Promised
from actors.pid import Pid
from actors.stage_dispatch import Selector

__all__ = (
    "Ask",
    "Cancel",
    "Cancelled",
    "Events",
    "Produce",
    "Refused",
    "Subscribe",
    "Subscription",
)


class Cancel(enum.StrEnum):
    """What a consumer does when its producer ends (GS1)."""

    PERMANENT = "permanent"  # ends too, with the same reason
    TRANSIENT = "transient"  # ends too, unless the producer ended in order
    TEMPORARY = "temporary"  # goes on without it


def _max_demand(_: Any, _attribute: Any, value: int) -> None:
    if value < 1:
        raise ValueError(f"max_demand is 1 or more; got {value!r}")


@attrs.define(eq=False)
class Subscription:
    """One consumer of one producer, as both know it."""

    consumer: Pid
    producer: Destination
    max_demand: int = attrs.field(validator=_max_demand)
    min_demand: int = attrs.field()
    cancel: Cancel = attrs.field(converter=Cancel)
    selector: Selector | None = attrs.field(default=None, repr=False)
    partition: Any = None

    @min_demand.validator
    def _below_max(self, _: Any, value: int) -> None:
        if not 0 <= value < self.max_demand:
            raise ValueError(
                f"min_demand is 0 or more and below max_demand ({self.max_demand}); got {value!r}"
            )


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
    """By the producer, to a consumer that it cannot serve."""

    subscription: Subscription
    error: Exception


class Produce(Promised):
    """By a stage to itself: there may be unserved demand."""
