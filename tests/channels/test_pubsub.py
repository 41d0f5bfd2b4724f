"""PubSub: who hears of a broadcast, in which order, and what a large topic costs the others."""

from __future__ import annotations

import pytest
import structlog
import trio.testing

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    Bounded,
    Node,
    Pid,
    ProcessExit,
    open_node,
    receive,
    self_pid,
    spawn,
)
from channels.fastlane import dispatch
from channels.messages import Broadcast
from channels.pubsub import CHUNK, PubSub, PubSubNotStartedError
from channels.pubsub.adapter import send_to_each
from channels.pubsub.pubsub import PubSubStatistics
from supervisors import Supervisor


@pytest.fixture
async def pubsub(node: Node) -> PubSub:
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return pubsub


class Listener:
    """A process that subscribes and collects what it hears."""

    def __init__(self, pubsub: PubSub, *topics: str) -> None:
        self.heard: list[object] = []
        self.pid: Pid = spawn(self._listen, pubsub, topics)

    async def _listen(self, pubsub: PubSub, topics: tuple[str, ...]) -> None:
        for topic in topics:
            pubsub.subscribe(topic)
        while True:
            self.heard.append(await receive())


async def listeners(pubsub: PubSub, *topics: str, count: int = 1) -> list[Listener]:
    made = [Listener(pubsub, *topics) for _ in range(count)]
    await trio.testing.wait_all_tasks_blocked()
    return made


async def test_a_broadcast_reaches_every_subscriber_of_its_topic_and_no_other(pubsub):
    [first, second] = await listeners(pubsub, "room", count=2)
    [other] = await listeners(pubsub, "other")
    pubsub.broadcast("room", "hello")
    await trio.testing.wait_all_tasks_blocked()
    assert [first.heard, second.heard, other.heard] == [["hello"], ["hello"], []]


async def full_subscriber(pubsub: PubSub) -> None:
    """Its mailbox holds one message, and there is one."""

    async def subscribe():
        pubsub.subscribe("room")
        self_pid().send("the only message for which there is room")
        await trio.sleep_forever()

    spawn(subscribe, mailbox=Bounded(1))
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("dispatcher", [send_to_each, dispatch], ids=["plain", "fastlane"])
async def test_a_full_subscriber_misses_a_broadcast_and_neither_sender_nor_others_hear_of_it(
    dispatcher, pubsub
):
    """BM3, C2: the broadcasting process is not the one that may be refused."""
    [before] = await listeners(pubsub, "room")
    await full_subscriber(pubsub)
    [after] = await listeners(pubsub, "room")
    message = Broadcast("room", "event", {})
    pubsub.broadcast("room", message, dispatcher)
    await trio.testing.wait_all_tasks_blocked()
    assert [before.heard, after.heard] == [[message], [message]]


@pytest.mark.parametrize("error", [ValueError("on purpose"), ProcessExit("bye")], ids=repr)
async def test_a_dispatcher_that_fails_for_a_large_topic_costs_no_subscriptions(error, pubsub):
    """C12: it runs in PubSub's own process, which owns the table."""

    def broken(*_: object) -> None:
        raise error

    subscribed = await listeners(pubsub, "room", count=CHUNK + 1)
    with structlog.testing.capture_logs() as logs:
        pubsub.broadcast("room", "lost", broken)
        pubsub.broadcast("room", "hello")
        await trio.testing.wait_all_tasks_blocked()
    assert [log["event"] for log in logs] == ["broadcast failed"]
    assert {tuple(listener.heard) for listener in subscribed} == {("hello",)}
    assert pubsub.statistics().waiting_broadcasts == 0


async def test_a_part_that_fails_costs_the_other_parts_of_a_large_broadcast_nothing(pubsub):
    """C12"""

    def fails_first(entries, sender, message):
        if not served:
            served.append(0)
            raise ValueError("on purpose")
        served.append(len(list(entries)))

    served: list[int] = []
    await listeners(pubsub, "room", count=3 * CHUNK)
    with structlog.testing.capture_logs() as logs:
        pubsub.broadcast("room", "hello", fails_first)
        await trio.testing.wait_all_tasks_blocked()
    assert served == [0, CHUNK, CHUNK]
    assert [log["event"] for log in logs] == ["broadcast failed"]


def crash(server: Pid) -> None:
    server.cast("no job at all")


def kill(server: Pid) -> None:
    server.exit(KILL)


def shut_down(server: Pid) -> None:
    server.exit(SHUTDOWN)


@pytest.mark.parametrize("end", [crash, kill, shut_down])
async def test_when_the_process_of_a_pubsub_ends_its_subscribers_do_too_and_may_come_back(
    end, pubsub
):
    """C16: nobody believes to be subscribed who is not (Phoenix: the registry is linked to them)."""
    [listener, stranger] = [*await listeners(pubsub, "room"), *await listeners(pubsub)]
    pubsub.broadcast("room", "while it is served in parts", lambda *_: None)
    assert pubsub.pid is not None
    with structlog.testing.capture_logs():
        end(pubsub.pid)
        assert await listener.pid.wait_exited() is not NORMAL
        await trio.testing.wait_all_tasks_blocked()
    assert stranger.pid.is_alive()
    assert pubsub.statistics() == PubSubStatistics(0, 0, 0)
    [again] = await listeners(pubsub, "room")  # its supervisor has started it again
    pubsub.broadcast("room", "hello")
    await trio.testing.wait_all_tasks_blocked()
    assert again.heard == ["hello"]


async def test_a_broadcast_that_was_being_served_when_the_process_ended_counts_no_more(pubsub):
    await listeners(pubsub, "room", count=2 * CHUNK)
    pubsub.broadcast("room", "hello")
    await trio.lowlevel.checkpoint()
    assert pubsub.statistics().waiting_broadcasts == 1
    assert pubsub.pid is not None
    pubsub.pid.exit(KILL)
    await trio.testing.wait_all_tasks_blocked()
    assert pubsub.statistics() == PubSubStatistics(0, 0, 0)


async def test_broadcast_from_leaves_out_the_sender(pubsub):
    [first, second] = await listeners(pubsub, "room", count=2)
    pubsub.broadcast_from(first.pid, "room", "hello")
    await trio.testing.wait_all_tasks_blocked()
    assert [first.heard, second.heard] == [[], ["hello"]]


async def test_subscribing_twice_delivers_twice(pubsub):
    [twice] = await listeners(pubsub, "room", "room")
    pubsub.broadcast("room", "hello")
    await trio.testing.wait_all_tasks_blocked()
    assert twice.heard == ["hello", "hello"]


async def test_unsubscribe_removes_all_subscriptions_to_the_topic_and_keeps_the_others(pubsub):
    pubsub.subscribe("a")
    pubsub.subscribe("a")
    pubsub.subscribe("b")
    pubsub.unsubscribe("a")
    assert pubsub.subscribers("a") == ()
    assert [entry.pid for entry in pubsub.subscribers("b")] == [self_pid()]


async def test_unsubscribing_without_a_subscription_is_not_an_error(pubsub):
    pubsub.unsubscribe("room")
    assert pubsub.statistics().subscriptions == 0


async def test_a_process_that_dies_has_left_every_topic_before_anybody_hears_of_it(pubsub):
    [listener] = await listeners(pubsub, "a", "b")
    listener.pid.exit("gone")
    await listener.pid.wait_exited()
    assert pubsub.statistics().topics == 0


async def test_local_broadcast_and_direct_broadcast_to_this_node_reach_its_subscribers(pubsub):
    [listener] = await listeners(pubsub, "room")
    pubsub.local_broadcast("room", 1)
    pubsub.direct_broadcast(pubsub.node_name, "room", 2)
    pubsub.local_broadcast_from(listener.pid, "room", "not this")
    await trio.testing.wait_all_tasks_blocked()
    assert listener.heard == [1, 2]


async def test_direct_broadcast_to_an_unknown_node_delivers_nothing_here(pubsub):
    [listener] = await listeners(pubsub, "room")
    pubsub.direct_broadcast("nowhere", "room", 1)
    await trio.testing.wait_all_tasks_blocked()
    assert listener.heard == []


async def test_a_custom_dispatcher_gets_the_subscriptions_with_their_metadata(pubsub):
    pubsub.subscribe("room", metadata="lane")
    seen = []
    pubsub.broadcast(
        "room", "hello", lambda entries, sender, message: seen.append((list(entries), message))
    )
    [(entries, message)] = seen
    assert ([entry.metadata for entry in entries], message) == (["lane"], "hello")


async def test_a_large_topic_is_served_in_parts_and_others_run_in_between(pubsub):
    crowd = await listeners(pubsub, "room", count=3 * CHUNK)
    pubsub.broadcast("room", "hello")
    await trio.lowlevel.checkpoint()
    served = sum(bool(listener.heard) for listener in crowd)
    assert served < len(crowd)
    await trio.testing.wait_all_tasks_blocked()
    assert all(listener.heard == ["hello"] for listener in crowd)


async def test_its_process_has_no_task_any_more_when_no_large_topic_was_busy_for_a_second(
    pubsub, autojump_clock
):
    def tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    crowd = await listeners(pubsub, "room", count=2 * CHUNK)
    await trio.sleep(1.5)
    before = tasks()
    for heard in (["hello"], ["hello", "hello"]):
        pubsub.broadcast("room", "hello")
        await trio.sleep(0.5)
        assert tasks() == before + 1
        await trio.sleep(1)
        assert tasks() == before
        assert all(listener.heard == heard for listener in crowd)


async def test_broadcasts_stay_in_order_while_a_large_one_is_being_served(pubsub):
    await listeners(pubsub, "room", count=2 * CHUNK)
    [listener] = await listeners(pubsub, "room", "small")
    pubsub.broadcast("room", 1)
    pubsub.broadcast("small", 2)
    pubsub.broadcast("room", 3)
    await trio.testing.wait_all_tasks_blocked()
    assert listener.heard == [1, 2, 3]
    assert pubsub.statistics().waiting_broadcasts == 0


async def test_the_broadcasting_process_is_served_first_so_what_it_does_next_comes_after(pubsub):
    await listeners(pubsub, "room", count=2 * CHUNK)
    served: list[Pid] = []
    pubsub.subscribe("room")
    pubsub.broadcast("room", 1, lambda entries, *_: served.extend(entry.pid for entry in entries))
    assert served == [self_pid()]


async def test_before_it_is_started_nobody_can_subscribe_or_broadcast(node):
    pubsub = PubSub("mine")
    with pytest.raises(PubSubNotStartedError, match="'mine' is not started"):
        pubsub.subscribe("room")
    with pytest.raises(PubSubNotStartedError):
        pubsub.broadcast("room", 1)


async def test_a_pubsub_can_run_in_one_node_after_another():
    pubsub = PubSub()
    for _ in range(2):
        async with open_node():
            await Supervisor.start_link([pubsub])
            pubsub.subscribe("room")
            assert len(pubsub.subscribers("room")) == 1
        assert not pubsub.started


async def test_the_dead_cannot_be_subscribed(pubsub):
    """There are no stale entries: their end, which would remove them, has been."""
    pid = spawn(trio.lowlevel.checkpoint)
    await pid.wait_exited()
    pubsub.subscribe("room", pid=pid)
    assert pubsub.statistics() == PubSubStatistics(0, 0, 0)
