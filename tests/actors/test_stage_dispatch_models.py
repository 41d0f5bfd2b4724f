"""Dispatchers do what simple ones do, which look at every consumer each time (GS4)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.stage_dispatch import (
    BroadcastDispatcher,
    DemandDispatcher,
    Dispatcher,
    PartitionDispatcher,
    Placed,
)

NAMES = range(6)  # of consumers and of partitions


class Simple:
    """What the models share: the demands, in the order in which the consumers came."""

    def __init__(self) -> None:
        self.demand: dict[Hashable, int] = {}
        self.selectors: dict[Hashable, Any] = {}

    def subscribe(self, consumer: Hashable, *, selector: Any, partition: Any) -> None:
        self.demand[consumer] = 0
        self.selectors[consumer] = selector

    def cancel(self, consumer: Hashable) -> None:
        self.demand.pop(consumer, None)

    def ask(self, consumer: Hashable, count: int) -> None:
        self.demand[consumer] += count


class SimpleDemand(Simple):
    def wanted(self) -> int:
        return sum(self.demand.values())

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        placed, rest = [], list(events)
        for consumer, demand in sorted(self.demand.items(), key=lambda item: -item[1]):
            if rest and demand:
                share, rest = rest[:demand], rest[demand:]
                self.demand[consumer] -= len(share)
                placed.append((consumer, share))
        return placed, rest


class SimpleBroadcast(Simple):
    def wanted(self) -> int:
        return min(self.demand.values(), default=0)

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        shares: dict[Hashable, list[Any]] = {consumer: [] for consumer in self.demand}
        rest = list(events)
        while rest and self.wanted():
            event = rest.pop(0)
            for consumer, share in shares.items():
                if self.selectors[consumer] is None or self.selectors[consumer](event):
                    share.append(event)
                    self.demand[consumer] -= 1
        return [item for item in shares.items() if item[1]], rest


class SimplePartitions(Simple):
    """The consumer `n` has the partition `n`."""

    def wanted(self) -> int:
        return min(self.demand.values()) if len(self.demand) == len(NAMES) else 0

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        shares: dict[Hashable, list[Any]] = {}
        rest = list(events)
        while rest and self.demand.get(rest[0] % len(NAMES)):
            consumer = rest[0] % len(NAMES)
            self.demand[consumer] -= 1
            shares.setdefault(consumer, []).append(rest.pop(0))
        return list(shares.items()), rest


def is_even(event: int) -> bool:
    return event % 2 == 0


names = st.sampled_from(NAMES)
verbs = st.one_of(
    st.tuples(st.just("subscribe"), names, st.sampled_from([None, is_even])),
    st.tuples(st.just("ask"), names, st.integers(1, 5)),
    st.tuples(st.just("ask"), names, st.integers(1, 5)),
    st.tuples(st.just("cancel"), names, st.none()),
    st.tuples(st.just("dispatch"), st.lists(st.integers(0, 40), max_size=12), st.none()),
)
histories = st.lists(verbs, max_size=60)


def agree(real: Dispatcher, model: Any, history: list[Any], everybody: bool = False) -> None:
    """Both do the same at every step of `history`."""
    for name in NAMES if everybody else ():
        step(real, model, "subscribe", name, None)
    for verb, subject, detail in history:
        step(real, model, verb, subject, detail)
        assert real.wanted() == model.wanted()


def step(real: Dispatcher, model: Any, verb: str, subject: Any, detail: Any) -> None:
    if verb == "dispatch":
        assert real.dispatch(subject) == model.dispatch(subject)
        return
    if (verb == "subscribe") == (subject in model.demand):
        return  # it is there already, or not at all
    for dispatcher in (real, model):
        if verb == "subscribe":
            selector = detail if isinstance(real, BroadcastDispatcher) else None
            partition = subject if isinstance(real, PartitionDispatcher) else None
            dispatcher.subscribe(subject, selector=selector, partition=partition)
        elif verb == "ask":
            dispatcher.ask(subject, detail)
        else:
            dispatcher.cancel(subject)


@given(histories, st.booleans())
def test_by_demand_as_if_all_were_sorted_each_time(history: list[Any], everybody: bool):
    """GS4: the largest demand first; among equals, who came first."""
    agree(DemandDispatcher(), SimpleDemand(), history, everybody)


@given(histories, st.booleans())
def test_a_broadcast_as_if_the_slowest_was_looked_for_each_time(
    history: list[Any], everybody: bool
):
    """GS4."""
    agree(BroadcastDispatcher(), SimpleBroadcast(), history, everybody)


@given(histories, st.booleans())
def test_partitions_as_if_all_were_looked_at_each_time(history: list[Any], everybody: bool):
    """GS4."""
    agree(
        PartitionDispatcher(NAMES, lambda event: event % len(NAMES)),
        SimplePartitions(),
        history,
        everybody,
    )
