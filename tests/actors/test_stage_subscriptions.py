"""Subscriptions: what a consumer may ask for, and how it goes (GS1, GS2)."""

from typing import Any

import pytest
import trio

from actors import KILL, GenServer, Node, ProcessExit, StartError, is_alive
from actors.exceptions import reason_of
from actors.mailbox import Mailbox
from actors.stage_dispatch import BroadcastDispatcher
from actors.stages import Consumer
from actors.testing import assert_down, wait_settled
from tests.actors.helpers import Boom
from tests.actors.stage_programs import (
    Broadcaster,
    ByParity,
    Collector,
    Emitter,
    Numbers,
    got,
    server,
)

# -- options -------------------------------------------------------------------------------------


async def test_min_demand_is_half_of_max_demand_by_default(node: Node):
    producer = await Numbers.start(limit=7)
    consumer = await Collector.start(producer, max_demand=6)
    assert server(consumer).subscription.min_demand == 3


@pytest.mark.parametrize(("high", "low"), [(0, None), (5, 5), (5, -1)])
async def test_a_demand_that_makes_no_sense_is_refused(high: int, low: int | None, node: Node):
    class Wrong(Consumer):
        async def init(self) -> None:
            self.subscribe(self.pid, max_demand=high, min_demand=low)

    with pytest.raises(Exception, match=r"max_demand"):
        await Wrong.start()


@pytest.mark.parametrize(
    "options",
    [
        {"max_demand": 1e3},
        {"max_demand": True},
        {"max_demand": "5"},
        {"max_demand": None},
        {"max_demand": float("nan"), "min_demand": 1},
        {"max_demand": 10, "min_demand": 2.5},
        {"max_demand": 10, "min_demand": False},
        {"selector": 5},
        {"partition": []},
        {"partition": ("a", [])},
    ],
    ids=str,
)
async def test_an_option_of_the_wrong_kind_is_refused_where_it_is_given(
    options: dict[str, Any], node: Node
):
    """GS2."""
    producer = await Numbers.start()
    with pytest.raises(StartError) as refused:
        await Collector.start(producer, **options)
    await wait_settled()
    assert isinstance(refused.value.reason.exception, TypeError)
    assert any(name in str(refused.value) for name in options)
    assert is_alive(producer)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_demand": 1e3}, "max_demand is an int; got 1000.0"),
        ({"min_demand": 2.5}, "min_demand is an int; got 2.5"),
        ({"selector": 5}, "selector is a function of an event, or None; got 5"),
        ({"partition": []}, "partition must be hashable; got []"),
    ],
    ids=str,
)
async def test_a_refused_option_leaves_no_subscription_and_the_stage_may_go_on(
    options: dict[str, Any], text: str, node: Node
):
    class Tries(Collector):
        async def init(self, producer: Any, *args: Any, **_: Any) -> None:
            with pytest.raises(TypeError) as refused:
                self.subscribe(producer, **options)
            self.text = str(refused.value)
            await super().init(producer, *args)

    producer = await Numbers.start(limit=3)
    consumer = await Tries.start(producer)
    await wait_settled()
    assert server(consumer).text == text
    assert got(consumer) == [0, 1, 2]


async def test_a_partition_that_cannot_be_compared_ends_its_consumer_only(node: Node):
    """GS2."""

    class Odd:
        def __hash__(self) -> int:
            return hash(0)

        def __eq__(self, other: object) -> bool:
            raise Boom

    producer = await ByParity.start()
    _, ref = await Collector.start_monitor(producer, partition=Odd())
    assert isinstance((await assert_down(ref)).exception, Boom)
    assert is_alive(producer)


@pytest.mark.parametrize("error", [Boom("selector"), ProcessExit("selector")], ids=repr)
async def test_a_selector_that_raises_ends_its_consumer_and_the_others_are_served(
    error: BaseException, node: Node
):
    """GS2, GS4."""

    def selector(event: int) -> bool:
        if event == 3:
            raise error
        return True

    producer = await Broadcaster.start()
    other = await Collector.start(producer, max_demand=9)
    choosy, ref = await Collector.start_monitor(producer, max_demand=3, selector=selector)
    await wait_settled()
    producer.cast([1, 2])
    await wait_settled()
    assert got(choosy) == [1, 2]
    producer.cast([3, 4, 5, 6])
    assert await assert_down(ref) == reason_of(error)
    await wait_settled()
    assert got(other) == [1, 2, 3, 4, 5, 6]


async def test_a_selector_that_raises_about_what_waits_ends_its_consumer_only(node: Node):
    """GS2, GS4."""
    producer = await Broadcaster.start()
    producer.cast([0, 1, 2])
    _, ref = await Collector.start_monitor(producer, selector=lambda event: 1 / event > 0)
    assert isinstance((await assert_down(ref)).exception, ZeroDivisionError)
    successor = await Collector.start(producer)
    await wait_settled()
    assert got(successor) == [0, 1, 2]


async def test_a_producer_is_asked_for_what_is_wanted_when_the_slowest_was_sent_away(node: Node):
    class Counts(Numbers):
        dispatcher = BroadcastDispatcher
        accumulate_demand = True

        async def handle_cast(self, message: Any) -> None:
            self.forward_demand()

    producer = await Counts.start(limit=8)
    other = await Collector.start(producer, max_demand=4)
    _, ref = await Collector.start_monitor(producer, max_demand=1, selector=lambda event: 1 / event)
    await wait_settled()
    producer.cast("go")
    await assert_down(ref)
    await wait_settled()
    assert got(other) == list(range(8))


@pytest.mark.parametrize(
    ("producer", "options"),
    [
        (Numbers, {"selector": bool}),
        (Numbers, {"partition": 1}),
        (Broadcaster, {"partition": 1}),
        (ByParity, {"selector": bool}),
        (ByParity, {"partition": 7}),
    ],
    ids=[
        "demand-selector",
        "demand-partition",
        "broadcast-partition",
        "partition-selector",
        "unknown",
    ],
)
async def test_a_subscription_that_the_dispatcher_cannot_serve_ends_the_consumer(
    producer: type[GenServer], options: Any, node: Node
):
    stage = await producer.start()
    _, ref = await Collector.start_monitor(stage, **options)  # it may end at once
    reason = await assert_down(ref)
    assert isinstance(reason.exception, ValueError)
    assert is_alive(stage)


# -- leaving -------------------------------------------------------------------------------------


async def test_a_producer_goes_on_without_a_consumer_that_ended(node: Node):
    producer = await Numbers.start(limit=30)
    first = await Collector.start(producer, patience=5, max_demand=5)
    first.exit(KILL)
    await assert_down(first)
    second = await Collector.start(producer, max_demand=4)
    await wait_settled()
    assert got(second)[-1] == 29


async def test_who_unsubscribes_gets_no_more(node: Node):
    producer = await Numbers.start()
    consumer = await Collector.start(producer, patience=3, max_demand=3, min_demand=0)
    await wait_settled()
    assert got(consumer) == [0, 1, 2]
    assert server(producer).demand == 0
    assert consumer.is_alive()


async def test_a_consumer_that_ended_is_forgotten_without_a_look_into_the_mailbox(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    producer = await Emitter.start()
    consumer = await Collector.start(producer, max_demand=2)
    await wait_settled()
    assert server(producer).demand == 2
    looked: list[Any] = []
    monkeypatch.setattr(Mailbox, "find", lambda *asked, **_: looked.append(asked))
    consumer.exit(KILL)
    await wait_settled()
    assert (server(producer).demand, looked) == (0, [])


async def test_who_unsubscribes_and_ends_leaves_no_down_for_the_producer(node: Node):
    class Busy(Emitter):
        async def init(self) -> None:
            self.free, self.heard = trio.Event(), list[Any]()

        async def handle_cast(self, message: Any) -> None:
            await self.free.wait()

        async def handle_info(self, message: Any) -> None:
            self.heard.append(message)

    producer = await Busy.start()
    consumer = await Collector.start(producer)
    await wait_settled()
    producer.cast("wait")
    await wait_settled()
    consumer.cast("unsubscribe")
    await consumer.stop()
    server(producer).free.set()  # both messages of the consumer are there
    await wait_settled()
    assert (server(producer).demand, server(producer).heard) == (0, [])
