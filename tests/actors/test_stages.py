"""Stages: demand, buffers, results, what happens when one ends (GS1 to GS4)."""

from collections import Counter
from typing import Any

import pytest
import structlog

from actors import (
    KILL,
    KILLED,
    NORMAL,
    BadReturn,
    Continue,
    MonitorRef,
    Node,
    NoReply,
    Pid,
    Reply,
    Stop,
    cast,
    is_alive,
    open_node,
)
from actors.stages import Cancel, Consumer, IterableProducer, Producer, ProducerConsumer
from actors.telemetry import attach
from actors.testing import assert_down, wait_settled
from supervisors import Strategy, Supervisor
from supervisors.testing import kill_child
from tests.actors.stage_programs import Collector, Doubler, Emitter, Numbers, got, server

# -- demand --------------------------------------------------------------------------------------


async def test_a_consumer_asks_for_max_demand_and_again_when_all_but_min_demand_is_handled(
    node: Node,
):
    producer = await Numbers.start(limit=14)
    consumer = await Collector.start(producer, max_demand=10, min_demand=4)
    await wait_settled()
    assert server(consumer).batches == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13]]
    assert server(producer).demands == [10, 6, 8]


async def test_demand_that_is_not_met_stays_and_emit_serves_it(node: Node):
    """GS3."""
    emitter = await Emitter.start()
    consumer = await Collector.start(emitter, max_demand=4)
    await wait_settled()
    assert server(emitter).demand == 4
    cast(emitter, ["a", "b"])
    await wait_settled()
    assert got(consumer) == ["a", "b"]


async def test_events_that_nobody_asked_for_wait_in_order(node: Node):
    emitter = await Emitter.start()
    cast(emitter, ["a", "b"])
    cast(emitter, ["c"])
    consumer = await Collector.start(emitter)
    await wait_settled()
    assert got(consumer) == ["a", "b", "c"]


async def test_a_full_buffer_loses_the_oldest_and_tells(node: Node):
    """GS3."""
    told: list[Any] = []
    attach(
        "h",
        "stage.events_lost",
        lambda _e, measured, metadata, _c: told.append((measured, metadata)),
    )
    emitter = await Emitter.start()
    with structlog.testing.capture_logs() as reports:
        cast(emitter, list("abcde"))
        consumer = await Collector.start(emitter)
        await wait_settled()
    assert got(consumer) == ["c", "d", "e"]
    assert told == [({"count": 2}, {"pid": emitter})]
    assert [report["count"] for report in reports] == [2]


async def test_a_producer_that_gives_too_much_is_buffered(node: Node):
    class Generous(Producer):
        async def handle_demand(self, demand: int) -> list[int]:
            return list(range(demand * 3)) if not self.buffered else []

    producer = await Generous.start()
    consumer = await Collector.start(producer, patience=2, max_demand=2)
    await wait_settled()
    assert got(consumer)[:2] == [0, 1]
    assert server(producer).buffered >= 2


async def test_demand_accumulates_until_it_is_forwarded(node: Node):
    """GS3."""

    class Patient(Numbers):
        accumulate_demand = True

        async def handle_cast(self, message):
            self.forward_demand()

    producer = await Patient.start(limit=9)
    consumers = [await Collector.start(producer, max_demand=3) for _ in range(2)]
    await wait_settled()
    assert server(producer).demands == []
    cast(producer, "go")
    await wait_settled()
    assert server(producer).demands[0] == 6
    assert sorted(got(consumers[0]) + got(consumers[1])) == list(range(9))


# -- between -------------------------------------------------------------------------------------


async def test_a_producer_consumer_works_only_as_far_as_its_consumers_want(node: Node):
    producer = await Numbers.start()
    doubler = await Doubler.start(producer, max_demand=4, min_demand=3)
    await wait_settled()
    assert server(doubler).handled == 0
    consumer = await Collector.start(doubler, patience=3, max_demand=3, min_demand=2)
    await wait_settled()
    assert got(consumer)[:3] == [0, 0, 1]
    assert server(doubler).handled <= 4


async def test_what_a_producer_consumer_has_too_many_of_waits(node: Node):
    producer = await Numbers.start(limit=5)
    doubler = await Doubler.start(producer, max_demand=1)
    consumer = await Collector.start(doubler, max_demand=1)
    await wait_settled()
    assert got(consumer) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_a_producer_consumer_passes_on_what_it_has_before_it_ends_with_its_producer(
    node: Node,
):
    """GS1."""
    producer = await Numbers.start(limit=4)
    doubler = await Doubler.start(producer, max_demand=4, min_demand=1)
    await wait_settled()
    await producer.stop()
    await wait_settled()
    assert doubler.is_alive()
    consumer = await Collector.start(doubler, max_demand=2, cancel="temporary")
    await wait_settled()
    assert got(consumer) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not doubler.is_alive()


# -- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cancel", "reason", "survives"),
    [
        (Cancel.PERMANENT, NORMAL, False),
        (Cancel.TRANSIENT, NORMAL, True),
        (Cancel.TRANSIENT, "crash", False),
        (Cancel.TEMPORARY, "crash", True),
    ],
    ids=str,
)
async def test_the_end_of_a_producer_by_the_consumers_mode(
    cancel: Cancel, reason: Any, survives: bool, node: Node
):
    """GS1."""
    producer = await Numbers.start(limit=3)
    consumer = await Collector.start(producer, cancel=cancel)
    await wait_settled()
    await producer.stop(reason)
    await wait_settled()
    assert consumer.is_alive() == survives
    assert not survives or got(consumer) == [0, 1, 2]


async def test_a_producer_that_is_not_there_ends_like_one_that_ended(node: Node):
    consumer = await Collector.start("nobody", cancel="temporary")
    await wait_settled()
    assert consumer.is_alive()


async def test_an_iterable_is_read_to_its_end_and_its_consumers_end_behind_it():
    async with open_node() as node:
        node.main.trap_exit = True
        seen: list[int] = []

        class Sum(Consumer):
            async def init(self, producer: Pid) -> None:
                self.subscribe(producer, max_demand=3)

            async def handle_events(self, events, producer) -> None:
                seen.extend(events)

        producer = await IterableProducer.start(range(10))
        consumer = await Sum.start(producer)
        assert await assert_down(consumer) is NORMAL
        assert not producer.is_alive()
        assert seen == list(range(10))


# -- results -------------------------------------------------------------------------------------


class Says(Consumer):
    """Returns for each batch what it was started with; writes down everything."""

    async def init(self, log, result, producer):
        self.log, self.result = log, result
        self.subscribe(producer, max_demand=2, min_demand=1)

    async def handle_events(self, events, producer):
        self.log.append(list(events))
        return self.result

    async def handle_continue(self, token):
        self.log.append(token)


class SaysBetween(ProducerConsumer):
    """The same for a stage between."""

    init = Says.init
    handle_events = Says.handle_events
    handle_continue = Says.handle_continue


class SaysFirst(Producer):
    """Returns for each demand what it was started with."""

    async def init(self, log, result):
        self.log, self.result = log, result

    async def handle_demand(self, demand):
        self.log.append(demand)
        return self.result

    handle_continue = Says.handle_continue


async def saying(kind: Any, result: Any) -> tuple[MonitorRef, list[Any]]:
    """A stage of that kind that will return that, with what it needs around it; and its log."""
    log: list[Any] = []
    sources = () if kind is SaysFirst else (await Numbers.start(limit=2),)
    stage, ref = await kind.start_monitor(log, result, *sources)
    if kind is not Says:
        await Collector.start(stage, cancel="temporary")
    return ref, log


each_kind = pytest.mark.parametrize("kind", [Says, SaysBetween, SaysFirst])


@each_kind
async def test_a_stage_stops_when_its_callback_says_so(kind: Any, node: Node):
    """GS2, G14: by the result, as any server."""
    ref, log = await saying(kind, Stop("done"))
    assert await assert_down(ref) == "done"
    assert len(log) == 1


@each_kind
@pytest.mark.parametrize("junk", [42, Reply("x"), Continue("x")], ids=repr)
async def test_a_stage_that_returns_what_it_may_not_ends_with_that(junk, kind: Any, node: Node):
    """GS2, G14."""
    ref, _ = await saying(kind, junk)
    callback = "handle_demand" if kind is SaysFirst else "handle_events"
    assert await assert_down(ref) == BadReturn(junk, callback)


@pytest.mark.parametrize("kind", [SaysBetween, SaysFirst])
@pytest.mark.parametrize("value", ["abc", b"ab", {"k": 1}, "", Counter("a")], ids=repr)
async def test_a_string_or_a_dict_is_no_events(value: Any, kind: Any, node: Node):
    """GS2: who returns one forgot a list around it."""
    ref, _ = await saying(kind, value)
    reason = await assert_down(ref)
    callback = "handle_demand" if kind is SaysFirst else "handle_events"
    assert reason == BadReturn(value, callback)
    assert BadReturn(value, callback) == reason != BadReturn(value, "init")
    assert repr(reason) == (
        f"BadReturn({value!r}, from {callback}: a {type(value).__name__} is one value, not several"
        " events: put it into a list)"
    )


@pytest.mark.parametrize("value", ["abc", b"ab", {"k": 1}], ids=repr)
async def test_who_emits_a_string_or_a_dict_is_told(value: Any, node: Node):
    """GS2."""
    producer, ref = await Emitter.start_monitor()
    consumer = await Collector.start(producer, cancel="temporary")
    cast(producer, value)
    error = (await assert_down(ref)).exception
    assert isinstance(error, TypeError)
    assert str(error).startswith(f"a {type(value).__name__} is one value, not several events")
    assert got(consumer) == []


@each_kind
async def test_a_stage_may_say_what_is_next(kind: Any, node: Node):
    """GS2, G12: of several batches in one message the last word holds."""
    ref, log = await saying(kind, NoReply(then=Continue("next")))
    await wait_settled()
    assert log == ([1000, "next"] if kind is SaysFirst else [[0], [1], "next"])
    assert is_alive(ref.object)


async def test_a_stage_that_stops_asks_for_no_more(node: Node):
    """GS2."""
    numbers = await Numbers.start()
    _, ref = await Says.start_monitor([], Stop("done"), numbers)
    await assert_down(ref)
    await wait_settled()
    assert server(numbers).demands == [2]


async def test_rest_for_one_starts_again_what_stood_behind_the_stage_that_fell(node: Node):
    async def consume() -> Pid:
        return await Collector.start_link("numbers", max_demand=2, patience=10, cancel="temporary")

    tree = await Supervisor.start_link(
        [Numbers.child_spec(name="numbers"), {"id": "consumer", "start": consume}],
        strategy=Strategy.REST_FOR_ONE,
    )
    await wait_settled()
    await kill_child(tree, "numbers")
    await wait_settled()
    children = await Supervisor.which_children(tree)
    consumer = children[0].pid
    assert isinstance(consumer, Pid)
    assert got(consumer)[:3] == [0, 1, 2]


async def test_a_stage_is_a_server_with_all_its_callbacks(node: Node):
    class Talkative(Numbers):
        async def handle_call(self, request, sender):
            return "hello"

        async def handle_info(self, message):
            self.heard = message

    stage = await Talkative.start()
    stage.send("message")
    assert await stage.call("?") == "hello"
    assert server(stage).heard == "message"
    stage.exit(KILL)
    assert await assert_down(stage, KILLED)


async def test_what_waits_in_the_buffer_is_placed_in_order_however_little_is_asked_for(node):
    """GS2: and what is emitted meanwhile stands behind it."""

    class Keeps(Emitter):
        buffer_size = None

    producer = await Keeps.start()
    producer.cast(list(range(2_500)))
    slow = await Collector.start(producer, max_demand=7)
    producer.cast(list(range(2_500, 2_600)))
    await wait_settled()
    assert got(slow) == list(range(2_600))
