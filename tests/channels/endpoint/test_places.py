"""What processes hold at an address, and what becomes of it when they end, or should."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import KILL, Pid, Shutdown, current_node, spawn
from channels import AddressLimits, Channel, Endpoint, Limits, LongPoll, Mount, Reply, UserSocket
from tests.channels.long_poll import Poller
from tests.channels.phoenix import Client, connected, running

PATIENCE = 100_000  # steps


class Room(Channel):
    """It may be as busy as the test wants."""

    gate: trio.Event
    done: list[Any]

    async def join(self, topic: str, payload: Any) -> Any:
        if topic == "room:never":
            await trio.sleep_forever()

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "work":
                await self.gate.wait()
                self.done.append("work")
            case "hang":
                await trio.sleep_forever()
        return Reply.ok()

    async def terminate(self, reason: Any) -> None:
        self.done.append(reason)


class Careless(Room):
    trap_exit = False


@pytest.fixture(params=[Room, Careless], ids=["traps exits", "does not"])
def room(request) -> type[Room]:
    return type("Room", (request.param,), {"gate": trio.Event(), "done": []})


def endpoint_with(room: type[Room], **limits: Any) -> Endpoint:
    socket = type("Socket", (UserSocket,), {"channels": {"room:*": room}})
    mount = Mount(socket, longpoll=LongPoll(window=1_000.0))
    return Endpoint({"/socket": mount}, port=0, limits=Limits(address=AddressLimits(**limits)))


def processes(label: str) -> list[Pid]:
    return [pid for pid in current_node().processes if pid.label == label]


def counted(endpoint: Endpoint) -> tuple[int, int]:
    """Connections and topics that count at an address."""
    addresses = endpoint._services.gatekeeper._addresses.values()
    return sum(a.connections for a in addresses), sum(a.topics for a in addresses)


async def until(condition: Any) -> None:
    for _ in range(PATIENCE):  # no time limit: most clocks here stand still
        if condition():
            return
        await trio.lowlevel.checkpoint()
    raise AssertionError("in vain")


async def make_busy(client: Client) -> None:
    """One topic with a handler that hangs, one whose join does."""
    await client.push(await client.join("room:1"), "room:1", "hang")
    await client.push(None, "room:never", "phx_join")
    await client.settle()


# -- channels that their client has left ---------------------------------------------------------


async def test_channels_too_busy_to_hear_that_their_client_has_gone_are_killed_after_5_s(
    node, mock_clock, room
):
    async with running(endpoint_with(room)) as endpoint:
        async with connected(endpoint) as client:
            await make_busy(client)
        await until(lambda: counted(endpoint)[0] == 0)
        mock_clock.jump(4.9)
        await trio.testing.wait_all_tasks_blocked()
        assert len(processes("Room")) == 2
        mock_clock.jump(0.2)
        await until(lambda: not processes("Room"))
        assert room.done == []


async def test_so_are_those_of_a_long_poll(node, mock_clock, room):
    async with running(endpoint_with(room)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.post("1", "2", "room:1", "hang", {})
        [session] = processes("LongPoll")
        session.exit(KILL)
        await session.wait_exited()
        assert len(processes("Room")) == 1
        mock_clock.jump(5.1)
        await until(lambda: not processes("Room"))


async def test_a_handler_that_is_at_work_when_its_client_goes_may_finish(node, room):
    """C15: then `terminate` runs."""
    async with running(endpoint_with(room)) as endpoint:
        async with connected(endpoint) as client:
            await client.push(await client.join("room:1"), "room:1", "work")
            await client.settle()
        await until(lambda: counted(endpoint)[0] == 0)
        room.gate.set()
        await until(lambda: not processes("Room"))
    assert room.done == ["work", Shutdown("closed")]


async def test_topics_count_at_their_address_until_their_channels_are_dead(node, mock_clock, room):
    async with running(endpoint_with(room, topics=2)) as endpoint:
        async with connected(endpoint) as client:
            await make_busy(client)
        await until(lambda: counted(endpoint) == (0, 2))
        async with connected(endpoint) as again:
            ref = await again.push(None, "room:2", "phx_join")
            assert (await again.expect_reply(ref))["response"] == {"reason": "too many topics"}
            mock_clock.jump(5.1)
            await until(lambda: not processes("Room"))
            await again.join("room:2")
            assert counted(endpoint) == (1, 1)


async def test_a_channel_that_could_not_be_started_counts_nowhere(node, room):
    async with running(endpoint_with(room)) as endpoint, connected(endpoint) as client:
        nobody = spawn(trio.lowlevel.checkpoint)
        await nobody.wait_exited()
        endpoint._services.channels = nobody
        with structlog.testing.capture_logs():
            ref = await client.push(None, "room:1", "phx_join")
            assert (await client.expect_reply(ref))["response"] == {"reason": "join crashed"}
        assert counted(endpoint) == (1, 0)


async def test_who_dies_while_the_keeper_of_places_does_is_not_counted_for_ever(node, room):
    async with surviving(endpoint_with(room)) as endpoint, connected(endpoint) as client:
        await client.join("room:1")
        await client.join("room:2")
        [first, second] = processes("Room")
        [keeper] = processes("Places")
        with structlog.testing.capture_logs():
            keeper.exit(KILL)
            await keeper.wait_exited()
            first.exit(KILL)  # nobody listens
            await first.wait_exited()
            await until(lambda: processes("Places"))
            assert counted(endpoint) == (1, 1)
            second.exit(KILL)
            await second.wait_exited()
        assert counted(endpoint) == (1, 0)


@asynccontextmanager
async def surviving(endpoint: Endpoint) -> Any:
    """As `running`, with restarts of its parts."""
    pid = await endpoint.start_link()
    try:
        yield endpoint
    finally:
        await pid.stop()
