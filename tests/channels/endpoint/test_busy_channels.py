"""What a client sends to a channel that is busy waits within limits; more is answered at once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from actors import current_node
from channels import Channel, Endpoint, Limits, Mount, Reply, UserSocket
from tests.channels.endpoint.hostile import attacking, message
from tests.channels.long_poll import Poller
from tests.channels.phoenix import Client, connected, running

BUSY = {"status": "error", "response": {"reason": "channel busy"}}


class Room(Channel):
    gate: trio.Event

    async def join(self, topic: str, payload: Any) -> Any:
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "wait":
            await self.gate.wait()
        return Reply.ok()


@pytest.fixture
def room() -> type[Room]:
    return type("Room", (Room,), {"gate": trio.Event()})


def endpoint_with(room: type[Room], limits: Limits) -> Endpoint:
    socket = type("Socket", (UserSocket,), {"channels": {"room:*": room}})
    return Endpoint({"/socket": Mount(socket, longpoll=True)}, port=0, limits=limits)


async def busy(client: Client, topic: str = "room:1") -> str:
    """A joined topic whose channel is in a handler that waits for the gate."""
    join_ref = await client.join(topic)
    await client.push(join_ref, topic, "wait")
    await client.settle()
    await trio.testing.wait_all_tasks_blocked()
    return join_ref


async def test_a_busy_channel_has_so_many_messages_waiting_and_the_rest_is_told_so(node, room):
    """C30."""
    async with (
        running(endpoint_with(room, Limits(queued=5))) as endpoint,
        connected(endpoint) as client,
    ):
        join_ref = await busy(client)
        refs = [await client.push(join_ref, "room:1", "hello") for _ in range(8)]
        assert [await client.expect_reply(ref) for ref in refs[5:]] == [BUSY] * 3
        assert endpoint.statistics().exceeded == {"queued": 3}
        room.gate.set()
        answers = [await client.expect() for _ in range(6)]
        assert [answer[1] for answer in answers[1:]] == refs[:5]
        ref = await client.push(join_ref, "room:1", "hello")
        assert (await client.expect_reply(ref))["status"] == "ok"


async def test_so_many_bytes_wait_for_all_busy_channels_of_a_connection(node, room):
    limits = Limits(queued_bytes=10_000)
    async with running(endpoint_with(room, limits)) as endpoint, connected(endpoint) as client:
        first, second = await busy(client), await busy(client, "room:2")
        padding = {"x": "x" * 4_000}
        await client.push(first, "room:1", "first", padding)  # in an empty mailbox
        await client.push(first, "room:1", "hello", padding)
        await client.push(second, "room:2", "first", padding)
        await client.push(second, "room:2", "hello", padding)
        refs = [
            await client.push(*to, "hello", padding)
            for to in ((first, "room:1"), (second, "room:2"))
        ]
        assert [await client.expect_reply(ref) for ref in refs] == [BUSY] * 2
        assert endpoint.statistics().exceeded == {"queued": 2}
        async with connected(endpoint) as other:  # has bytes of its own
            join_ref = await busy(other)
            for _ in range(2):
                await other.push(join_ref, "room:1", "hello", padding)
            await other.settle()


async def test_a_flood_to_a_busy_channel_leaves_so_much_in_its_mailbox(node, room):
    """With default limits: the burst of a connection and no more."""
    limits = Limits()
    async with (
        running(endpoint_with(room, limits)) as endpoint,
        attacking(endpoint) as attacker,
    ):
        await attacker.send(message("1", "1", "room:1", "phx_join", {}))
        await attacker.read_until(1)
        await attacker.send(message("1", "2", "room:1", "wait", {}))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(900):
            await attacker.send(message("1", f"{n}", "room:1", "hello", {"x": "x" * 3_000}))
        await attacker.read_until(500)
        [channel] = [pid for pid in current_node().processes if pid.label == "Room"]
        waiting = channel.target.mailbox  # type: ignore[attr-defined]  # it is alive
        assert len(waiting) * 3_000 <= limits.queued_bytes
        assert set(attacker.answers()) == {"ok", "channel busy"}


async def test_a_busy_channel_can_be_left(node, room):
    async with (
        running(endpoint_with(room, Limits(queued=1))) as endpoint,
        connected(endpoint) as client,
    ):
        join_ref = await busy(client)
        await client.push(join_ref, "room:1", "hello")
        ref = await client.push(join_ref, "room:1", "phx_leave")
        room.gate.set()
        events = [(await client.expect()) for _ in range(4)]
        assert [(event[1], event[3]) for event in events[2:]] == [
            (ref, "phx_reply"),
            (join_ref, "phx_close"),
        ]


async def test_a_long_poll_has_the_same_bounds(node, room):
    async with running(endpoint_with(room, Limits(queued=2))) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        assert await client.post("1", "2", "room:1", "wait", {}) == 200
        await trio.testing.wait_all_tasks_blocked()
        for n in range(4):
            assert await client.post("1", f"{n}", "room:1", "hello", {}) == 200
        assert [frame[4] for frame in await client.frames(2)] == [BUSY] * 2


async def test_without_rates_means_without_these_too(node, room):
    limits = Limits(queued=5).without_rates()
    async with running(endpoint_with(room, limits)) as endpoint, connected(endpoint) as client:
        join_ref = await busy(client)
        for _ in range(20):
            await client.push(join_ref, "room:1", "hello")
        await client.settle()
