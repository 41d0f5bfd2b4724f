"""Dispatchers: who gets which event (GS4)."""

import contextlib
from functools import partial
from typing import Any

import pytest

from actors import KILL, Node, cast
from actors.stage_dispatch import (
    BroadcastDispatcher,
    DemandDispatcher,
    Dispatcher,
    PartitionDispatcher,
)
from actors.testing import assert_down, wait_settled
from tests.actors.stage_programs import (
    Broadcaster,
    ByParity,
    Collector,
    Emitter,
    Numbers,
    got,
    server,
)


async def test_by_demand_each_event_goes_to_one_consumer(node: Node):
    """GS4."""
    producer = await Numbers.start(limit=40)
    consumers = [await Collector.start(producer, max_demand=4) for _ in range(3)]
    await wait_settled()
    assert sorted(got(consumers[0]) + got(consumers[1]) + got(consumers[2])) == list(range(40))
    assert all(got(consumer) == sorted(got(consumer)) for consumer in consumers)


def test_the_largest_demand_is_served_first():
    dispatcher = DemandDispatcher()
    for name, demand in (("small", 1), ("large", 3)):
        dispatcher.subscribe(name, selector=None, partition=None)
        dispatcher.ask(name, demand)
    assert dispatcher.dispatch([1, 2, 3, 4, 5]) == ([("large", [1, 2, 3]), ("small", [4])], [5])


def test_among_equal_demands_who_came_first_is_served_first():
    """GS4: and who came again came last."""
    dispatcher = DemandDispatcher()
    for name in ("leaves", "first", "second"):
        dispatcher.subscribe(name, selector=None, partition=None)
    dispatcher.cancel("leaves")
    dispatcher.subscribe("leaves", selector=None, partition=None)
    for name in ("leaves", "second", "first"):
        dispatcher.ask(name, 1)
    assert dispatcher.dispatch("abc")[0] == [("first", ["a"]), ("second", ["b"]), ("leaves", ["c"])]


async def test_a_broadcast_reaches_all_and_the_slowest_governs(node: Node):
    """GS4."""
    emitter = await Broadcaster.start()
    fast = await Collector.start(emitter, max_demand=10)
    slow = await Collector.start(
        emitter, patience=2, max_demand=2, min_demand=0, cancel="temporary"
    )
    await wait_settled()
    cast(emitter, [1, 2, 3])
    await wait_settled()
    assert got(slow) == [1, 2]
    assert got(fast) == [1, 2, 3]  # the slow one has gone


def test_no_consumer_of_a_broadcast_gets_more_than_the_slowest_can_take():
    dispatcher = BroadcastDispatcher()
    for name, demand in (("slow", 1), ("fast", 3)):
        dispatcher.subscribe(name, selector=None, partition=None)
        dispatcher.ask(name, demand)
    assert dispatcher.dispatch([1, 2]) == ([("slow", [1]), ("fast", [1])], [2])


async def test_a_selector_chooses_among_what_is_broadcast(node: Node):
    emitter = await Broadcaster.start()
    even = await Collector.start(emitter, max_demand=2, selector=lambda n: n % 2 == 0)
    all_of_them = await Collector.start(emitter, max_demand=2)
    await wait_settled()
    cast(emitter, list(range(10)))
    await wait_settled()
    assert got(even) == [0, 2, 4, 6, 8]
    assert got(all_of_them) == list(range(10))


async def test_each_partition_has_a_consumer_of_its_own(node: Node):
    """GS4."""
    producer = await ByParity.start()
    cast(producer, list(range(10)))
    even = await Collector.start(producer, partition=0, max_demand=2)
    odd = await Collector.start(producer, partition=1, max_demand=3)
    await wait_settled()
    assert (got(even), got(odd)) == ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9])


async def test_a_partition_whose_consumer_ends_waits_for_the_next(node: Node):
    producer = await ByParity.start()
    even = await Collector.start(producer, partition=0)
    await Collector.start(producer, partition=1)
    even.exit(KILL)
    await wait_settled()
    cast(producer, [0, 1])
    successor = await Collector.start(producer, partition=0)
    await wait_settled()
    assert got(successor) == [0]


# -- what raises changes nothing -----------------------------------------------------------------


def asking(dispatcher: Dispatcher, **options: Any) -> Dispatcher:
    """With a consumer that can take four."""
    wishes = {"selector": None, "partition": None, **options}
    dispatcher.subscribe("consumer", **wishes)
    dispatcher.ask("consumer", 4)
    return dispatcher


@pytest.mark.parametrize(
    ("dispatcher", "error"),
    [
        (asking(PartitionDispatcher([1], lambda n: n), partition=1), ValueError),
        (asking(PartitionDispatcher([1], lambda n: 1 // n), partition=1), ZeroDivisionError),
        (asking(BroadcastDispatcher(), selector=lambda n: 1 / n > 0), ZeroDivisionError),
    ],
    ids=["unknown-partition", "no-partition", "selector"],
)
def test_a_dispatch_that_raises_uses_up_no_demand(dispatcher: Dispatcher, error: type[Exception]):
    """GS4."""
    for _ in range(3):
        with pytest.raises(error):
            dispatcher.dispatch([1, 1, 0])
    assert dispatcher.wanted() == 4
    assert dispatcher.dispatch([1] * 5) == ([("consumer", [1] * 4)], [1])


class Forgiving(Emitter):
    """Drops what it cannot emit."""

    dispatcher = partial(PartitionDispatcher, ["a"], lambda event: event[0])

    async def handle_cast(self, message: list[Any]) -> None:
        with contextlib.suppress(ValueError):
            self.emit(message)


async def test_an_emit_that_raises_sends_nothing_and_costs_the_consumers_nothing(node: Node):
    """GS3, GS4."""
    producer = await Forgiving.start()
    consumer = await Collector.start(producer, max_demand=4, min_demand=3, partition="a")
    await wait_settled()
    for _ in range(4):
        cast(producer, ["a", "x"])
    cast(producer, ["a1"])
    cast(producer, ["a2"])
    await wait_settled()
    assert got(consumer) == ["a1", "a2"]
    assert (server(producer).buffered, server(producer).demand) == (0, 4)


async def test_an_emit_that_raises_does_not_count_as_what_handle_demand_was_asked_for(node: Node):
    """GS3."""

    class Fails(Forgiving):
        async def init(self) -> None:
            self.demands: list[int] = []

        async def handle_demand(self, demand: int) -> None:
            self.demands.append(demand)

    producer = await Fails.start()
    await Collector.start(producer, max_demand=4, partition="a")
    await wait_settled()
    cast(producer, ["a", "x"])
    cast(producer, ["a1"])
    await wait_settled()
    assert server(producer).demands == [4]


async def test_what_could_not_be_placed_stays_in_the_buffer(node: Node):
    """GS3."""

    class Strict(Emitter):
        dispatcher = Forgiving.dispatcher
        buffer_size = None

        async def terminate(self, reason: Any) -> None:
            left.extend(self._buffer)

    left: list[str] = []
    producer, ref = await Strict.start_monitor()
    cast(producer, ["a1"])
    cast(producer, ["a2", "x", "a3"])  # not looked at: they stand behind one that waits
    consumer = await Collector.start(producer, partition="a", cancel="temporary")
    assert isinstance((await assert_down(ref)).exception, ValueError)
    await wait_settled()
    assert (got(consumer), left) == ([], ["a1", "a2", "x", "a3"])
