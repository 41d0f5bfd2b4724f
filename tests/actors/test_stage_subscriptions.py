"""Subscriptions: what a consumer may ask for, and how it goes (GS1, GS2)."""

from typing import Any

import pytest
import trio

from actors import KILL, GenServer, Node, is_alive
from actors.mailbox import Mailbox
from actors.stages import Consumer
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
