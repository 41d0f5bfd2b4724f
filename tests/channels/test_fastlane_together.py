"""Broadcasts that wait together for one large room leave together."""

from __future__ import annotations

from itertools import pairwise

import pytest
import structlog.testing
import trio
import trio.testing

from actors import Pid, receive, spawn
from channels.exceptions import InvalidPayloadError
from channels.fastlane import NOTHING, Fastlane, dispatch
from channels.messages import Binary, Broadcast
from channels.pubsub import CHUNK, PubSub
from channels.pubsub.server import MOST_TOGETHER
from channels.serializers import V1, V2
from channels.transports.frames import frame
from supervisors import Supervisor

V2_, V1_ = V2(), V1()


@pytest.fixture
async def pubsub(node) -> PubSub:
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return pubsub


class Client:
    """A member of a room; `writes` is what it got, one list of frames for each write."""

    def __init__(self, pubsub, *, topic="room", serializer=V2_, intercepts=NOTHING, batches=True):
        self.writes: list[list[bytes]] = []
        self.pid: Pid = spawn(trio.sleep_forever)
        lane = Fastlane(self._push, serializer, intercepts, self._push_all if batches else None)
        pubsub.subscribe(topic, lane, pid=self.pid)

    def _push(self, data, key=None):
        self.writes.append([data])

    def _push_all(self, frames, joined):
        assert b"".join(frames) == joined
        self.writes.append(list(frames))

    @property
    def frames(self):
        return [frame for write in self.writes for frame in write]


def crowd(pubsub, count=2 * CHUNK + 7, **options):
    return [Client(pubsub, **options) for _ in range(count)]


def message(number, **options):
    return Broadcast("room", "said", {"number": number}, **options)


def written(*messages, serializer=V2_):
    return [frame(*serializer.encode_broadcast(each)) for each in messages]


async def broadcast(pubsub, *messages, sender=None, dispatcher=dispatch):
    for each in messages:
        if sender is None:
            pubsub.broadcast(each.topic, each, dispatcher)
        else:
            pubsub.broadcast_from(sender, each.topic, each, dispatcher)
    await trio.testing.wait_all_tasks_blocked()


async def test_each_client_gets_them_in_order_and_in_one_write(pubsub):
    clients = crowd(pubsub)
    messages = [message(number) for number in range(5)]
    await broadcast(pubsub, *messages)
    assert all(client.writes == [written(*messages)] for client in clients)
    assert pubsub.statistics().waiting_broadcasts == 0


async def test_no_more_than_some_leave_together(pubsub):
    clients = crowd(pubsub)
    messages = [message(number) for number in range(MOST_TOGETHER + 3)]
    await broadcast(pubsub, *messages)
    for client in clients:
        assert client.frames == written(*messages)
        assert [len(write) for write in client.writes] == [MOST_TOGETHER, 3]


async def test_each_serializer_writes_its_own(pubsub):
    new, old = crowd(pubsub, CHUNK), crowd(pubsub, CHUNK, serializer=V1_)
    messages = [message(number) for number in range(3)]
    await broadcast(pubsub, *messages)
    assert all(client.writes == [written(*messages)] for client in new)
    assert all(client.writes == [written(*messages, serializer=V1_)] for client in old)


async def test_who_came_between_two_broadcasts_gets_the_second_only(pubsub):
    first = crowd(pubsub)
    pubsub.broadcast("room", message(1), dispatch)
    second = Client(pubsub)
    await broadcast(pubsub, message(2))
    assert second.frames == written(message(2))
    assert all(client.frames == written(message(1), message(2)) for client in first)


async def test_who_left_between_two_broadcasts_costs_the_others_nothing(pubsub):
    clients = crowd(pubsub)
    pubsub.broadcast("room", message(1), dispatch)
    clients[0].pid.exit("gone")
    await broadcast(pubsub, message(2))
    assert all(client.frames == written(message(1), message(2)) for client in clients[1:])


async def test_across_topics_the_order_stays(pubsub):
    """A broadcast for others between two of them keeps them apart."""
    crowd(pubsub)
    both = Client(pubsub)
    pubsub.subscribe("other", Fastlane(both._push, V2_, NOTHING, both._push_all), pid=both.pid)
    between = Broadcast("other", "said", {})
    await broadcast(pubsub, message(1), between, message(2))
    assert both.frames == written(message(1), between, message(2))


async def test_each_leaves_out_its_own_sender(pubsub):
    clients = crowd(pubsub)
    first, second = clients[0], clients[CHUNK + 1]
    pubsub.broadcast("room", message(0), dispatch)
    pubsub.broadcast_from(first.pid, "room", message(1), dispatch)
    pubsub.broadcast_from(second.pid, "room", message(2), dispatch)
    await trio.testing.wait_all_tasks_blocked()
    assert first.frames == written(message(0), message(2))
    assert second.frames == written(message(0), message(1))
    others = [client for client in clients if client not in (first, second)]
    assert all(len(client.writes) == 1 for client in others)
    assert all(len(client.frames) == 3 for client in others)


async def test_a_broadcaster_that_is_a_member_gets_each_at_once_and_once(pubsub):
    crowd(pubsub)
    mine: list[bytes] = []
    pubsub.subscribe("room", Fastlane(mine.append, V2_, NOTHING))
    for number in range(3):
        pubsub.broadcast("room", message(number), dispatch)
        assert len(mine) == number + 1
    await trio.testing.wait_all_tasks_blocked()
    assert mine == written(*[message(number) for number in range(3)])


async def test_a_member_that_broadcasts_for_another_one_leaves_out_that_one_only(pubsub):
    clients = crowd(pubsub)
    mine: list[bytes] = []
    pubsub.subscribe("room", Fastlane(mine.append, V2_, NOTHING))
    await broadcast(pubsub, message(1), message(2), sender=clients[3].pid)
    assert mine == written(message(1), message(2))
    assert clients[3].frames == []
    assert clients[4].frames == mine


async def test_who_intercepts_or_is_no_channel_gets_messages_one_by_one(pubsub):
    crowd(pubsub)
    heard: dict[str, list[object]] = {"channel": [], "process": []}

    async def listen(who, metadata):
        pubsub.subscribe("room", metadata)
        while True:
            heard[who].append(await receive())

    refuses = Fastlane(lambda *_: pytest.fail("intercepted"), V2_, frozenset({"said"}))
    spawn(listen, "channel", refuses)
    spawn(listen, "process", None)
    await trio.testing.wait_all_tasks_blocked()
    messages = [message(number) for number in range(3)]
    await broadcast(pubsub, *messages)
    assert heard == {"channel": messages, "process": messages}


async def test_a_transport_that_writes_one_frame_at_a_time_gets_them_one_by_one(pubsub):
    crowd(pubsub)
    simple = Client(pubsub, batches=False)
    await broadcast(pubsub, message(1), message(2))
    assert simple.writes == [[each] for each in written(message(1), message(2))]


async def test_frames_that_may_supersede_each_other_go_by_themselves(pubsub):
    clients = crowd(pubsub)
    messages = [message(1, key="price"), message(2, key="price")]
    await broadcast(pubsub, *messages)
    expected = [[each] for each in written(*messages)]
    assert all(client.writes == expected for client in clients)


async def test_large_frames_go_by_themselves(pubsub):
    """What is inside a write cannot be dropped any more, whatever the policy says."""
    clients = crowd(pubsub)
    messages = [Broadcast("room", "said", {"text": "x" * 40_000}) for _ in range(2)]
    await broadcast(pubsub, *messages)
    assert all(len(client.writes) == 2 for client in clients)


async def test_one_that_a_serializer_cannot_write_costs_its_clients_only_that_one(pubsub):
    """C12"""
    new, old = crowd(pubsub, CHUNK), crowd(pubsub, CHUNK, serializer=V1_)
    binary = Broadcast("room", "said", Binary(b"x"))
    with structlog.testing.capture_logs() as logs:
        await broadcast(pubsub, message(1), binary, message(2))
    assert all(client.writes == [written(message(1), binary, message(2))] for client in new)
    expected = written(message(1), message(2), serializer=V1_)
    assert all(client.frames == expected for client in old)
    assert {log["event"] for log in logs} == {"broadcast not written"}


async def test_one_that_nobody_can_get_is_raised_in_the_broadcaster_and_costs_the_others_nothing(
    pubsub,
):
    """C12: as in a small room."""
    clients = crowd(pubsub)
    pubsub.broadcast("room", message(1), dispatch)
    with pytest.raises(InvalidPayloadError):
        pubsub.broadcast("room", Broadcast("room", "said", [1]), dispatch)
    await broadcast(pubsub, message(2))
    assert all(client.writes == [written(message(1), message(2))] for client in clients)


@pytest.mark.parametrize("count", [3, 2 * CHUNK + 7], ids=["few", "many"])
async def test_what_the_broadcaster_changes_later_does_not_show(count, pubsub):
    clients = crowd(pubsub, count)
    payload = {"number": 1}
    pubsub.broadcast("room", Broadcast("room", "said", payload), dispatch)
    payload["number"] = 2
    pubsub.broadcast("room", Broadcast("room", "said", payload), dispatch)
    payload["number"] = 3
    await trio.testing.wait_all_tasks_blocked()
    assert all(client.frames == written(message(1), message(2)) for client in clients)


async def test_a_dispatcher_that_knows_one_message_at_a_time_gets_one(pubsub):
    clients = crowd(pubsub)
    served: list[int] = []

    def single(entries, sender, each):
        served.append(each.payload["number"])

    await broadcast(pubsub, message(1), message(2), dispatcher=single)
    assert served == sorted(served)
    assert set(served) == {1, 2}
    assert all(earlier <= later for earlier, later in pairwise(served))
    assert all(client.writes == [] for client in clients)
