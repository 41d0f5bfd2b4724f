"""Joins that nobody waits for any more, and the turns of an old channel and a new one (C5, C8, C24).

A join may wait for a database while its client loses patience: it joins again, or it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from actors import NORMAL, Stop
from channels import Channel, Endpoint, Reply, UserSocket
from tests.channels.phoenix import Client, connected, running

OK = {"status": "ok", "response": {}}


class Room(Channel):
    """Its join, and a "busy" push, wait for a gate; notes what happens, in one log for all."""

    gates: list[trio.Event]
    log: list[Any]

    async def join(self, topic: str, payload: Any) -> None:
        self.pid.send("after join")
        self.log.append((self.join_ref, "join"))
        if payload.get("waits"):
            await self._gate()

    async def handle_in(self, event: str, payload: Any) -> Any:
        await self._gate()
        return Stop(NORMAL) if event == "stop" else Reply.ok()

    async def handle_info(self, message: Any) -> None:
        self.log.append((self.join_ref, message))
        self.broadcast("entered", {"who": self.join_ref})

    async def terminate(self, reason: Any) -> None:
        self.log.append((self.join_ref, "terminate"))
        if self.assigns.get("slow"):
            await self._gate()
            self.log.append((self.join_ref, "terminated"))

    async def _gate(self) -> None:
        gate = trio.Event()
        self.gates.append(gate)
        await gate.wait()


class Impatient(Room):
    """Has nothing to clean up, so it does not trap exits."""

    trap_exit = False


@pytest.fixture(params=[Room, Impatient])
def room(request: pytest.FixtureRequest) -> type[Room]:
    return type("Fresh", (request.param,), {"gates": [], "log": []})


def endpoint_for(room: type[Room], **assigns: Any) -> Endpoint:
    class Socket(UserSocket):
        channels = {"room:*": room}

        async def connect(self, params: dict[str, Any], info: Any) -> None:
            self.assigns.update(assigns)

    return Endpoint({"/socket": Socket}, port=0)


async def until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


async def begin_slow_join(client: Client, room: type[Room]) -> None:
    await client.send("7", "7", "room:1", "phx_join", {"waits": True})
    await until(lambda: room.gates)


async def test_a_join_whose_client_has_gone_lets_nobody_in(node, room):
    """C24: it subscribes nobody, and none of its messages are handled."""
    async with running(endpoint_for(room)) as endpoint, connected(endpoint) as watcher:
        await watcher.join("room:1")
        assert (await watcher.expect())[3] == "entered"
        room.log.clear()
        processes = node.statistics().processes
        async with connected(endpoint) as client:
            await begin_slow_join(client, room)
        await until(lambda: len(endpoint.list_sockets()) == 1)
        room.gates[0].set()
        await until(lambda: node.statistics().processes == processes)
        await watcher.settle()
        assert room.log == [("7", "join")]
        assert endpoint.pubsub.statistics().subscriptions == 1


async def test_a_join_that_was_superseded_lets_nobody_in(node, room):
    """C5, 1.10: it is not answered, so nothing of it may follow."""
    async with running(endpoint_for(room)) as endpoint, connected(endpoint) as client:
        await begin_slow_join(client, room)
        await client.send("8", "8", "room:1", "phx_join", {})
        await client.settle()
        room.gates[0].set()
        assert await client.expect() == ["8", "8", "room:1", "phx_reply", OK]
        assert await client.expect() == [None, None, "room:1", "entered", {"who": "8"}]
        assert room.log == [("7", "join"), ("8", "join"), ("8", "after join")]


@pytest.mark.parametrize("how", ["plain", "stop", "leave"])
async def test_the_new_channel_starts_when_the_old_one_is_dead_however_it_ends(node, how):
    """1.10: also where it has announced its end, and its `terminate` takes its time."""

    class Slow(Room):
        gates: list[trio.Event] = []
        log: list[Any] = []

    async with running(endpoint_for(Slow, slow=True)) as endpoint, connected(endpoint) as client:
        old = await client.join("room:1")
        await client.expect()
        if how != "plain":
            await client.push(old, "room:1", "stop" if how == "stop" else "busy")
            await until(lambda: Slow.gates)
        if how == "leave":
            await client.push(old, "room:1", "phx_leave")
        await client.send("9", "9", "room:1", "phx_join", {})
        await answered(client)
        if how != "plain":
            Slow.gates[0].set()
        await until(lambda: (old, "terminate") in Slow.log)
        await answered(client)
        assert ("9", "join") not in Slow.log
        Slow.gates[-1].set()
        await until(lambda: ("9", "join") in Slow.log)
        assert (old, "terminated") in Slow.log


async def answered(client: Client) -> None:
    """All that was sent has been taken; whatever comes meanwhile is of no concern."""
    ref = client.ref()
    await client.send(None, ref, "phoenix", "heartbeat", {})
    while (await client.expect())[1] != ref:
        pass
