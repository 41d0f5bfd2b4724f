"""Rooms of more subscribers than are served in one go: they look like small ones (C2, C7, C12)."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
import trio
import trio.testing

from actors import spawn
from channels import Channel, Endpoint, Reply, UserSocket
from channels.pubsub import CHUNK
from tests.channels.phoenix import connected, running

SIZES = pytest.mark.parametrize("others", [10, CHUNK + 50, 3 * CHUNK], ids=["small", "large", "3"])


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> None:
        pass

    async def handle_in(self, event: str, payload: Any) -> Any:
        for number in range(200):
            self.broadcast("old", {"n": number})
        return Reply.ok()


class User(Channel):
    """Broadcasts to a room in which its own client is, by another channel."""

    endpoint: Endpoint

    async def join(self, topic: str, payload: Any) -> None:
        pass

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "from":
            self.endpoint.broadcast_from(self.pid, "room:1", "first", {})
        else:
            self.endpoint.broadcast("room:1", "first", {})
        self.push("second", {})
        return Reply.ok("third")


class Socket(UserSocket):
    channels = {"room:*": Room, "user:*": User}


async def crowd(endpoint: Endpoint, topic: str, count: int) -> None:
    async def listen() -> None:
        endpoint.subscribe(topic)
        await trio.sleep_forever()

    for _ in range(count):
        spawn(listen)
    while endpoint.pubsub.statistics().subscriptions < count:
        await trio.lowlevel.checkpoint()


@SIZES
@pytest.mark.parametrize("event", ["to all", "from"])
async def test_what_a_channel_broadcasts_and_pushes_reaches_its_client_in_order(
    node, others, event
):
    """C2: across topics too. And once."""
    User.endpoint = endpoint = Endpoint({"/socket": Socket}, port=0)
    async with running(endpoint), connected(endpoint) as client, connected(endpoint) as other:
        await crowd(endpoint, "room:1", others)
        await client.join("room:1")
        await other.join("room:1")
        join_ref = await client.join("user:1")
        await client.push(join_ref, "user:1", event)
        heard = [await client.expect() for _ in range(3)]
        assert [frame[3] for frame in heard] == ["first", "second", "phx_reply"]
        assert (await other.expect())[3] == "first"
        await client.settle()
        await other.settle()


class Early(Channel):
    """Broadcasts to the room while it lets its client in, and afterwards."""

    endpoint: Endpoint

    async def join(self, topic: str, payload: Any) -> None:
        self.endpoint.broadcast("room:1", "in join", {})
        self.pid.send("go on")

    async def handle_info(self, message: Any) -> None:
        self.endpoint.broadcast("room:1", "after it", {})
        self.push("pushed", {})


@SIZES
async def test_what_is_broadcast_in_a_join_comes_before_what_is_broadcast_after_it(node, others):
    """C2."""
    socket = type("S", (UserSocket,), {"channels": {"room:*": Room, "early": Early}})
    Early.endpoint = endpoint = Endpoint({"/socket": socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:
        await crowd(endpoint, "room:1", others)
        await client.join("room:1")
        await client.send("9", "9", "early", "phx_join", {})
        events = [(await client.expect())[3] for _ in range(4)]
        assert events == ["in join", "phx_reply", "after it", "pushed"]


@SIZES
async def test_a_broadcast_from_outside_every_process_reaches_all(node, others):
    """From a thread of the program, say, by way of Trio."""
    endpoint = Endpoint({"/socket": Socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:
        await crowd(endpoint, "room:1", others)
        await client.join("room:1")
        context = contextvars.Context()  # nobody's
        context.run(endpoint.broadcast, "room:1", "tick", {})
        assert (await client.expect())[3] == "tick"


@SIZES
async def test_who_has_left_gets_no_more_of_what_was_broadcast_before(node, others):
    """C7: nothing of an old join comes behind its close, or the reply of the next join."""
    endpoint = Endpoint({"/socket": Socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:
        await crowd(endpoint, "room:1", others)
        join_ref = await client.join("room:1")
        for number in range(200):
            endpoint.broadcast("room:1", "old", {"n": number})
        await client.send(join_ref, "leave", "room:1", "phx_leave", {})
        await client.send("3", "3", "room:1", "phx_join", {})
        events: list[str] = []
        while "3" not in events:
            frame = await client.expect()
            events.append(frame[1] if frame[3] == "phx_reply" else frame[3])
        left = events.index("leave")
        assert events[left:] == ["leave", "phx_close", "3"]
        while endpoint.pubsub.statistics().waiting_broadcasts:
            await trio.lowlevel.checkpoint()
        await client.settle()  # nothing comes in between
