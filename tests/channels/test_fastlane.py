"""The fastlane: which subscribers get frames, and which get the broadcast itself."""

from __future__ import annotations

import pytest
import structlog.testing
import trio

from actors import receive, self_pid, spawn
from channels.exceptions import InvalidPayloadError
from channels.fastlane import Fastlane, dispatch
from channels.messages import Binary, Broadcast, Opcode
from channels.pubsub import CHUNK, PubSub
from channels.serializers import V1, V2, Serializer
from channels.transports.frames import frame
from supervisors import Supervisor


@pytest.fixture
async def pubsub(node) -> PubSub:
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return pubsub


@pytest.mark.parametrize(
    "metadata", [None, {"my": "metadata"}, ("a", 1)], ids=["none", "dict", "tuple"]
)
async def test_a_subscriber_whose_metadata_is_not_a_fastlane_gets_the_broadcast_as_a_message(
    metadata, pubsub
):
    """C20, as in Phoenix: metadata is the subscriber's own business."""
    heard: list[object] = []
    frames: list[bytes] = []

    async def listen() -> None:
        pubsub.subscribe("room", metadata)
        heard.append(await receive())

    async def joined_channel() -> None:
        pubsub.subscribe("room", Fastlane(frames.append, V2(), frozenset()))
        await trio.sleep_forever()

    spawn(listen)
    spawn(joined_channel)
    await trio.testing.wait_all_tasks_blocked()
    message = Broadcast("room", "news", {"a": 1})
    pubsub.broadcast("room", message, dispatch)
    await trio.testing.wait_all_tasks_blocked()
    assert heard == [message]
    assert frames == [frame(Opcode.TEXT, b'[null,null,"room","news",{"a":1}]')]


# -- payloads that not everybody can get ---------------------------------------------------------


class Audience:
    """Clients of one version in a room, of whom nobody is a process."""

    def __init__(self, pubsub: PubSub, serializer: Serializer, count: int = 1) -> None:
        self.frames: list[bytes] = []
        for _ in range(count):
            pid = spawn(trio.sleep_forever)
            pubsub.subscribe("room", Fastlane(self.frames.append, serializer, frozenset()), pid=pid)


LIST = Broadcast("room", "shout", [1])  # legal in V1, where Phoenix does not check
BINARY = Broadcast("room", "shout", Binary(b"x"))  # legal in V2 only
SIZES = pytest.mark.parametrize("count", [2, 2 * CHUNK + 7], ids=["few", "many"])


async def broadcast_in(pubsub: PubSub, message: Broadcast) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        pubsub.broadcast("room", message, dispatch)
        await trio.testing.wait_all_tasks_blocked()
    return [log["event"] for log in logs]


@SIZES
async def test_a_client_of_v1_costs_neither_broadcaster_nor_others_a_binary_broadcast(
    count, pubsub
):
    """C12: who is there is not the broadcaster's fault."""
    old, new = Audience(pubsub, V1()), Audience(pubsub, V2(), count)
    assert set(await broadcast_in(pubsub, BINARY)) == {"broadcast not written"}
    assert (old.frames, len(new.frames)) == ([], count)


async def test_a_binary_broadcast_among_clients_of_v1_only_harms_nobody(pubsub):
    old = Audience(pubsub, V1())
    assert await broadcast_in(pubsub, BINARY) == ["broadcast not written"]
    assert old.frames == []


@SIZES
async def test_a_payload_that_some_serializer_cannot_write_reaches_the_clients_of_the_others(
    count, pubsub
):
    old, new = Audience(pubsub, V1(), count), Audience(pubsub, V2(), count)
    await broadcast_in(pubsub, LIST)
    assert (len(old.frames), new.frames) == (count, [])
    assert len(pubsub.subscribers("room")) == 2 * count


async def test_a_payload_that_nobody_could_get_is_raised_in_the_broadcaster(pubsub):
    audience = Audience(pubsub, V2(), 2)
    with pytest.raises(InvalidPayloadError):
        pubsub.broadcast("room", LIST, dispatch)
    assert audience.frames == []


async def test_who_is_alone_hears_all_the_same_of_a_payload_that_nobody_could_be_sent(pubsub):
    """Otherwise a program finds its mistake when the second client comes."""
    pubsub.subscribe("room", Fastlane(lambda *_: pytest.fail("sent"), V2(), frozenset()))
    with pytest.raises(InvalidPayloadError):
        pubsub.broadcast_from(self_pid(), "room", LIST, dispatch)


@SIZES
async def test_what_is_intercepted_need_not_be_json(pubsub, count):
    """`handle_out` makes of it what the client gets."""
    heard: list[Broadcast] = []

    async def channel() -> None:
        intercepts = frozenset({"shout"})
        pubsub.subscribe("room", Fastlane(lambda *_: pytest.fail("sent"), V2(), intercepts))
        heard.append(await receive())

    for _ in range(count):
        spawn(channel)
    await trio.testing.wait_all_tasks_blocked()
    message = Broadcast("room", "shout", {"what": object()})
    assert await broadcast_in(pubsub, message) == []
    assert len(heard) == count
    assert all(each is message for each in heard)
