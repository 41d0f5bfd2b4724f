"""The fastlane: which subscribers get frames, and which get the broadcast itself."""

from __future__ import annotations

import pytest
import trio

from actors import receive, spawn
from channels.fastlane import Fastlane, dispatch
from channels.messages import Broadcast, Opcode
from channels.pubsub import PubSub
from channels.serializers import V2
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
    """As in Phoenix: metadata is the subscriber's own business."""
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
