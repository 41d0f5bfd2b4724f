"""The endpoint's verbs for the rest of the program (Phoenix.Endpoint, Phoenix.Debug)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from actors import receive, self_pid, spawn
from channels import Broadcast, Channel, Endpoint, UserSocket
from channels.topic_entry import TopicState
from tests.channels.phoenix import connected, running


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        return None


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.user = params.get("user")

    def id(self) -> str | None:
        return self.user and f"users:{self.user}"


@pytest.fixture
async def endpoint(node):
    async with running(Endpoint({"/socket": Socket}, port=0)) as endpoint:
        yield endpoint


def path(user: str) -> str:
    return f"/socket/websocket?vsn=2.0.0&user={user}"


async def test_a_broadcast_from_reaches_all_but_its_sender(endpoint):
    heard: dict[str, list[Any]] = {"one": [], "two": []}
    pids: dict[str, Any] = {}

    async def listen(name: str) -> None:
        pids[name] = self_pid()
        endpoint.subscribe("news")
        while True:
            heard[name].append(await receive())

    for name in heard:
        spawn(listen, name)
    await trio.testing.wait_all_tasks_blocked()
    endpoint.broadcast_from(pids["one"], "news", "a", {})
    endpoint.local_broadcast("news", "b", {})
    endpoint.local_broadcast_from(pids["two"], "news", "c", {})
    await trio.testing.wait_all_tasks_blocked()
    a, b, c = (Broadcast("news", event, {}) for event in "abc")
    assert heard == {"one": [b, c], "two": [a, b]}


async def test_who_has_unsubscribed_hears_nothing_more(endpoint):
    heard: list[Any] = []

    async def listen() -> None:
        endpoint.subscribe("news")
        heard.append(await receive())
        endpoint.unsubscribe("news")
        endpoint.unsubscribe("never subscribed")
        heard.append(await receive())

    listener = spawn(listen)
    await trio.testing.wait_all_tasks_blocked()
    endpoint.broadcast("news", "first", {})
    await trio.testing.wait_all_tasks_blocked()
    endpoint.broadcast("news", "second", {})
    listener.send("the end")
    await listener.wait_exited()
    assert heard == [Broadcast("news", "first", {}), "the end"]


async def test_a_broadcast_reaches_joined_clients_on_every_topic_of_theirs_only(endpoint):
    async with connected(endpoint) as client:
        await client.join("room:1")
        endpoint.local_broadcast("room:2", "other", {})
        endpoint.local_broadcast("room:1", "mine", {"a": 1})
        assert await client.expect() == [None, None, "room:1", "mine", {"a": 1}]


async def test_all_connections_of_a_socket_id_can_be_closed(endpoint):
    async with (
        connected(endpoint, path("ann")) as phone,
        connected(endpoint, path("ann")) as laptop,
        connected(endpoint, path("bob")) as other,
    ):
        endpoint.disconnect("users:ann")
        assert (await phone.expect_close())[0] == 1001
        assert (await laptop.expect_close())[0] == 1001
        await other.settle()


async def test_sockets_and_their_channels_can_be_listed(endpoint):
    assert endpoint.list_sockets() == {}
    async with connected(endpoint, path("ann")) as client:
        await client.join("room:1")
        await client.join("room:2")
        [(pid, statistics)] = endpoint.list_sockets().items()
        assert (statistics.socket_id, statistics.frames_in) == ("users:ann", 2)
        channels = endpoint.list_channels(pid)
        assert [(info.topic, info.state) for info in channels] == [
            ("room:1", TopicState.JOINED),
            ("room:2", TopicState.JOINED),
        ]
        with pytest.raises(LookupError, match="no connection"):
            endpoint.list_channels(channels[0].channel)
    with trio.fail_after(5):
        while endpoint.list_sockets():
            await trio.lowlevel.checkpoint()
    with pytest.raises(LookupError, match="no connection"):
        endpoint.list_channels(pid)
