"""Dispatchers: who gets which event (GS4)."""

from actors import KILL, Node, cast
from actors.stage_dispatch import BroadcastDispatcher, DemandDispatcher
from actors.testing import wait_settled
from tests.actors.stage_programs import Broadcaster, ByParity, Collector, Numbers, got


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
