"""What processes hold at an address, and what becomes of it when they end, or should."""

from __future__ import annotations

from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import KILL, Pid, Shutdown, current_node, spawn
from channels import AddressLimits, Channel, Endpoint, Limits, LongPoll, Mount, Reply, UserSocket
from channels.endpoint import listener, longpoll
from channels.endpoint.services import Services
from supervisors import DynamicSupervisor
from tests.channels.long_poll import Poller
from tests.channels.phoenix import DEADLINE, Client, connected, running

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


# -- connections and sessions that end in unusual ways -------------------------------------------


def killed_at_birth(monkeypatch, module: Any, name: str) -> None:
    """From now on what this start function starts is killed before its first step."""
    start = getattr(module, name)

    async def start_and_kill(*args: Any) -> Pid:
        started = start(*args)
        pid: Pid = await started if isawaitable(started) else started
        pid.exit(KILL)
        return pid

    monkeypatch.setattr(module, name, start_and_kill)


async def test_a_connection_killed_before_its_first_step_gives_back_its_place_and_its_socket(
    node, room, monkeypatch
):
    killed_at_birth(monkeypatch, listener, "start_connection")
    async with running(endpoint_with(room)) as endpoint:
        for _ in range(3):
            async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
                with trio.fail_after(DEADLINE):
                    assert await stream.receive_some() == b""
        await until(lambda: endpoint.statistics().accepted == 3)
        await until(lambda: counted(endpoint) == (0, 0))


async def test_a_session_killed_before_its_first_step_is_gone(node, room, monkeypatch):
    async with running(endpoint_with(room)) as endpoint:
        with monkeypatch.context() as patch:
            killed_at_birth(patch, longpoll, "start_session")
            client = await Poller(endpoint).open()
        assert endpoint._services.sessions == {}
        assert (await client.get())["status"] == 410
        await until(lambda: counted(endpoint) == (1, 0))


async def test_a_connection_killed_at_any_time_gives_back_its_place(node, room):
    async with running(endpoint_with(room)) as endpoint, connected(endpoint) as client:
        await client.join("room:1")
        [connection] = processes("Connection")
        connection.exit(KILL)
        await connection.wait_exited()
        assert endpoint.list_sockets() == {}
        await until(lambda: counted(endpoint) == (0, 0))


async def test_while_the_supervisor_of_connections_is_replaced_clients_are_turned_away(
    node, room, monkeypatch
):
    async with surviving(endpoint_with(room)) as endpoint:
        async with connected(endpoint) as client:
            [accepting], old = processes("Listener"), endpoint._services.connections
            assert old is not None
            with structlog.testing.capture_logs() as logs, monkeypatch.context() as patch:
                patch.setattr(Services, "connection_supervisor", lambda _: old)
                old.exit(KILL)
                await old.wait_exited()
                async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
                    with trio.fail_after(DEADLINE):
                        assert await stream.receive_some() == b""
            assert "connection refused" in [log["event"] for log in logs]
            assert processes("Listener") == [accepting]
            assert (await client.expect_close())[0] == 1012
        await until(lambda: counted(endpoint) == (0, 0))
        async with connected(endpoint) as client:
            await client.settle()


async def test_a_connection_whose_listener_died_before_it_was_started_is_given_up(
    node, room, monkeypatch
):
    asked: list[Any] = []

    class Slow:
        @staticmethod
        async def start_child(*request: Any) -> None:
            asked.append(request)
            await trio.sleep_forever()

    async with surviving(endpoint_with(room)) as endpoint:
        with monkeypatch.context() as patch:
            patch.setattr(listener, "DynamicSupervisor", Slow)
            async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
                await until(lambda: asked)
                processes("Listener")[0].exit(KILL)
                with trio.fail_after(DEADLINE):
                    assert await stream.receive_some() == b""
        await until(lambda: counted(endpoint) == (0, 0))
        assert await DynamicSupervisor.start_child(*asked[0]) is None  # the start is ignored
        await trio.testing.wait_all_tasks_blocked()
        assert processes("Connection") == []


async def test_a_session_that_cannot_be_had_now_is_503_and_counts_nowhere(node, room, monkeypatch):
    nobody = spawn(trio.lowlevel.checkpoint)
    await nobody.wait_exited()
    async with running(endpoint_with(room)) as endpoint:
        host = endpoint.addresses[0]
        async with await trio.open_tcp_stream(*host) as stream:
            await stream.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await stream.receive_some()
            monkeypatch.setattr(Services, "connection_supervisor", lambda _: nobody)
            with structlog.testing.capture_logs():
                await stream.send_all(b"GET /socket/longpoll?vsn=2.0.0 HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b" 503 " in await stream.receive_some()
            assert counted(endpoint) == (1, 0)
            monkeypatch.undo()


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
