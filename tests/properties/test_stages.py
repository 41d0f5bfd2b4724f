"""Random pipelines of stages: nothing is lost, nothing comes twice, never too much is under way."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import current_node
from actors.stage_dispatch import BroadcastDispatcher, DemandDispatcher
from actors.stage_messages import Subscription
from actors.stages import Consumer, Producer, ProducerConsumer
from actors.testing import run_deterministic, wait_settled

Demand = tuple[int, int]
demands = st.integers(1, 12).flatmap(
    lambda high: st.tuples(st.just(high), st.integers(0, high - 1))
)


class Book:
    """How much of each subscription is under way."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.under_way: Counter[Subscription] = Counter()

    def sent(self, subscription: Subscription, events: list[Any]) -> None:
        self.under_way[subscription] += len(events)
        assert self.under_way[subscription] <= subscription.max_demand

    def handled(self, subscription: Subscription, events: Any) -> None:
        self.under_way[subscription] -= len(events)

    async def dawdle(self) -> None:
        if self.chance.random() < 0.3:
            await trio.sleep(self.chance.random())


class Source(Producer):
    """`count` events, now by demand, now of its own accord."""

    async def init(self, book: Book, number: int, count: int) -> None:
        self.book, self.number, self.count, self.next = book, number, count, 0

    def take(self, most: int) -> list[tuple[int, int]]:
        first, self.next = self.next, min(self.count, self.next + most)
        return [(self.number, event) for event in range(first, self.next)]

    async def handle_demand(self, demand: int) -> list[tuple[int, int]]:
        await self.book.dawdle()
        return self.take(self.book.chance.randint(0, demand))

    async def handle_cast(self, message: int) -> None:
        self.forward_demand()
        self.emit(self.take(message))

    def _deliver(self, subscription: Subscription, events: list[Any]) -> None:
        self.book.sent(subscription, events)
        super()._deliver(subscription, events)


class BroadcastSource(Source):
    dispatcher = BroadcastDispatcher
    accumulate_demand = True


class Relay(ProducerConsumer):
    """Hands on what it gets."""

    async def init(self, book: Book, producers: list[Any], demand: Demand) -> None:
        self.book = book
        self.by_producer = {
            p: self.subscribe(p, max_demand=demand[0], min_demand=demand[1]) for p in producers
        }

    async def handle_events(self, events: Any, producer: Any) -> Any:
        self.book.handled(self.by_producer[producer], events)
        await self.book.dawdle()
        return events

    def _deliver(self, subscription: Subscription, events: list[Any]) -> None:
        self.book.sent(subscription, events)
        super()._deliver(subscription, events)


class Sink(Consumer):
    """Keeps all that it gets."""

    async def init(self, book: Book, producers: list[Any], demand: Demand) -> None:
        self.book = book
        self.events: list[Any] = []
        self.by_producer = {
            p: self.subscribe(p, max_demand=demand[0], min_demand=demand[1]) for p in producers
        }

    async def handle_events(self, events: Any, producer: Any) -> None:
        self.book.handled(self.by_producer[producer], events)
        self.events.extend(events)
        await self.book.dawdle()


async def pipeline(
    seed: int, counts: list[int], broadcast: bool, relays: list[Demand], sinks: list[Demand]
) -> list[list[Any]]:
    """Run it until all sources are dry; what each sink got."""
    book = Book(seed)
    source = BroadcastSource if broadcast else Source
    sources = [await source.start(book, number, count) for number, count in enumerate(counts)]
    middle = [await Relay.start(book, sources, demand) for demand in relays]
    ends = [await Sink.start(book, middle or sources, demand) for demand in sinks]
    for _ in range(300):
        await trio.sleep(2.0)
        for pid in sources:
            pid.cast(book.chance.randint(1, 5))
        await wait_settled()
    await trio.sleep(1_000)
    await wait_settled()
    assert not +book.under_way, "events that were sent and never handled"
    assert all(pid.is_alive() for pid in [*sources, *middle, *ends])
    processes = current_node().processes
    return [processes[pid].server.events for pid in ends]


def expected(counts: list[int]) -> list[tuple[int, int]]:
    return [(number, event) for number, count in enumerate(counts) for event in range(count)]


def in_order(events: list[tuple[int, int]]) -> bool:
    return all(
        [event for number, event in events if number == source]
        == sorted(event for number, event in events if number == source)
        for source in {number for number, _ in events}
    )


@given(
    seed=st.integers(0, 1_000_000),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    relay=st.one_of(st.none(), demands),
    sinks=st.lists(demands, min_size=1, max_size=3),
)
@settings(max_examples=25)
def test_each_event_arrives_once_and_never_more_than_max_demand_is_under_way(
    seed: int, counts: list[int], relay: Demand | None, sinks: list[Demand]
) -> None:
    got = run_deterministic(
        pipeline, seed, counts, False, [relay] if relay else [], sinks, seed=seed
    )
    assert sorted(event for events in got for event in events) == expected(counts)
    assert all(in_order(events) for events in got)


@given(
    seed=st.integers(0, 1_000_000),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=2),
    sinks=st.lists(demands, min_size=1, max_size=3),
)
@settings(max_examples=25)
def test_a_broadcast_event_arrives_once_at_each_consumer(
    seed: int, counts: list[int], sinks: list[Demand]
) -> None:
    got = run_deterministic(pipeline, seed, counts, True, [], sinks, seed=seed)
    assert all(sorted(events) == expected(counts) for events in got)
    assert all(in_order(events) for events in got)


def model(demands_of: dict[str, int]) -> DemandDispatcher:
    dispatcher = DemandDispatcher()
    for name, demand in demands_of.items():
        dispatcher.subscribe(name, selector=None, partition=None)
        dispatcher.ask(name, demand)
    return dispatcher


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)), st.lists(st.integers()))
def test_a_dispatcher_places_what_was_asked_for_and_returns_the_rest(
    demands_of: dict[str, int], events: list[int]
) -> None:
    dispatcher = model(demands_of)
    wanted = dispatcher.wanted()
    placed, rest = dispatcher.dispatch(events)
    shares = dict(placed)
    assert [event for _, share in placed for event in share] + rest == events
    assert len(events) - len(rest) == min(wanted, len(events))
    assert all(len(share) <= demands_of[str(name)] for name, share in shares.items())
    assert dispatcher.wanted() == wanted - (len(events) - len(rest))
