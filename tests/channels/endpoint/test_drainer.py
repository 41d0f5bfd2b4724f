"""How clients are sent away when an endpoint stops."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import Shutdown
from channels import Channel, DrainOptions, Endpoint, Limits, Mount, UserSocket
from channels.endpoint import connection_process
from channels.transports.websocket import load_engine
from supervisors import Supervisor
from tests.channels.endpoint.hostile import UPGRADE
from tests.channels.endpoint.test_tls import Files
from tests.channels.long_poll import Poller
from tests.channels.phoenix import Client, connected


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        if payload.get("wait"):
            await trio.sleep_forever()


class Ending(Room):
    reasons: list[Any] = []

    async def terminate(self, reason: Any) -> None:
        self.reasons.append(reason)


class Socket(UserSocket):
    channels = {"room:*": Room, "end:*": Ending}
    asked: trio.Event
    go_on: trio.Event

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        if "wait" in params:
            self.asked.set()
            await self.go_on.wait()


PATH = "/socket/websocket?vsn=2.0.0"


async def start(**options: Any) -> tuple[Endpoint, Any]:
    endpoint = Endpoint({"/socket": Socket}, port=0, **options)
    return endpoint, await Supervisor.start_link([endpoint])


async def test_clients_are_sent_away_in_batches_with_a_pause_between_them(node):
    """C14."""
    drainer = DrainOptions(batch_size=2, batch_interval=0.2)
    endpoint, supervisor = await start(drainer=drainer)
    closed: list[tuple[float, int]] = []

    async def expect_close(client: Client) -> None:
        code, _ = await client.expect_close()
        closed.append((trio.current_time(), code))

    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(endpoint)) for _ in range(5)]
            await clients[0].join("room:1")  # four of five have no channel at all
            begun = trio.current_time()
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(expect_close, client)
                await Supervisor.stop(supervisor)
    assert [code for _, code in closed] == [1012] * 5
    assert closed[2][0] - begun >= 0.2
    assert closed[4][0] - begun >= 0.4
    draining = [entry for entry in logs if entry["event"] == "draining"]
    assert [(e["batch"], e["batches"], e["connections"], e["total"]) for e in draining] == [
        (1, 3, 2, 5),
        (2, 3, 2, 5),
        (3, 3, 1, 5),
    ]


async def test_clients_may_be_advised_when_to_come_back_each_at_a_time_of_its_own(node):
    endpoint, supervisor = await start(drainer=DrainOptions(retry_within=1000))
    advised: list[float] = []

    async def expect_advice(client: Client) -> None:
        code, reason = await client.expect_close()
        assert code == 1012
        advice = json.loads(reason)
        assert advice["reason"] == "the server restarts"
        advised.append(advice["retry_after"])

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(endpoint)) for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(expect_advice, client)
            await Supervisor.stop(supervisor)
    assert len(set(advised)) > 1
    assert all(0 <= seconds <= 1000 for seconds in advised)


async def test_while_it_drains_nobody_new_is_let_in(node):
    """C14."""
    endpoint, supervisor = await start(drainer=DrainOptions(batch_size=1, batch_interval=0.3))
    host, port = endpoint.addresses[0]
    async with (
        connected(endpoint) as first,
        connected(endpoint) as second,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Supervisor.stop, supervisor)
        await first.expect_close()
        with pytest.raises(OSError, match="failed"):
            await trio.open_tcp_stream(host, port)
        assert (await second.expect_close())[0] == 1012


async def test_who_is_being_let_in_when_it_begins_is_told_to_come_again(node):
    Socket.asked, Socket.go_on = trio.Event(), trio.Event()
    endpoint, supervisor = await start()
    host, port = endpoint.addresses[0]
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(
            f"GET {PATH}&wait=1 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
            "connection: upgrade\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await Socket.asked.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Supervisor.stop, supervisor)
            while not endpoint._services.draining:
                await trio.lowlevel.checkpoint()
            Socket.go_on.set()
            answer = bytes(await stream.receive_some())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer


@contextmanager
def slow_upgrades(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Engines wait before they answer an upgrade: (an upgrade waits, let it go on)."""
    waits, go_on = trio.Event(), trio.Event()

    def load_slowly(name: str) -> Any:
        async def accept(*args: Any, **options: Any) -> Any:
            waits.set()
            await go_on.wait()
            return await load_engine(name)(*args, **options)

        return accept

    with monkeypatch.context() as patch:
        patch.setattr(connection_process, "load_engine", load_slowly)
        yield waits, go_on


async def drain_begins(endpoint: Endpoint) -> None:
    """Every connection has been told to drain."""
    while not endpoint._services.draining:
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
async def test_a_client_whose_upgrade_is_being_answered_is_sent_away_too(
    node, engine, monkeypatch, mock_clock
):
    """C14. The clock stands still: nobody waits for a limit."""
    endpoint, supervisor = await start(engine=engine)
    with slow_upgrades(monkeypatch) as (waits, go_on):
        async with trio.open_nursery() as nursery:

            async def client() -> None:
                async with connected(endpoint) as client:
                    assert (await client.expect_close())[0] == 1012

            nursery.start_soon(client)
            await waits.wait()
            nursery.start_soon(Supervisor.stop, supervisor)
            await drain_begins(endpoint)
            go_on.set()


async def test_an_upgrade_that_cannot_be_answered_does_not_hold_it_up(
    node, monkeypatch, mock_clock
):
    endpoint, supervisor = await start()
    with slow_upgrades(monkeypatch) as (waits, _):
        async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
            await stream.send_all(UPGRADE)
            await waits.wait()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Supervisor.stop, supervisor)
                await drain_begins(endpoint)
                mock_clock.jump(Limits().close_timeout)


async def test_a_client_that_does_not_shake_hands_does_not_hold_it_up(node, tmp_path, mock_clock):
    endpoint, supervisor = await start(tls=Files(tmp_path).tls())
    async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
        while not endpoint.statistics().connections:
            await trio.lowlevel.checkpoint()
        await Supervisor.stop(supervisor)
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("drainer", [DrainOptions(), None], ids=["drainer", "none"])
async def test_channels_hear_that_their_connection_was_drained(node, drainer):
    """C15."""
    endpoint, supervisor = await start(drainer=drainer)
    Ending.reasons = []
    async with connected(endpoint) as client, trio.open_nursery() as nursery:
        await client.join("end:1")
        nursery.start_soon(Supervisor.stop, supervisor)
        assert (await client.expect_close())[0] == 1012
    assert Ending.reasons == [Shutdown("draining")]


async def test_those_of_a_long_poll_do_too(node):
    mount = Mount(Socket, longpoll=True)
    endpoint = Endpoint({"/socket": mount}, port=0)
    supervisor = await Supervisor.start_link([endpoint])
    Ending.reasons = []
    await (await Poller(endpoint).open()).join("end:1")
    await Supervisor.stop(supervisor)
    assert Ending.reasons == [Shutdown("draining")]


async def test_a_join_in_flight_does_not_hold_it_up(node):
    endpoint, supervisor = await start()
    async with connected(endpoint) as client:
        await client.push(None, "room:1", "phx_join", {"wait": True})
        await client.settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Supervisor.stop, supervisor)
            assert (await client.expect_close())[0] == 1012


async def test_it_takes_no_longer_than_it_may(node):
    drainer = DrainOptions(batch_size=1, batch_interval=60.0, shutdown=0.1)
    endpoint, supervisor = await start(drainer=drainer)
    async with connected(endpoint) as first, connected(endpoint) as second:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Supervisor.stop, supervisor)
                await first.expect_close()
                await second.expect_close()  # by its supervisor


async def test_without_a_drainer_each_connection_ends_with_its_supervisor(node):
    endpoint, supervisor = await start(drainer=None)
    with structlog.testing.capture_logs() as logs:
        async with connected(endpoint) as client, trio.open_nursery() as nursery:
            nursery.start_soon(Supervisor.stop, supervisor)
            assert (await client.expect_close())[0] == 1012
    assert "draining" not in [entry["event"] for entry in logs]


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"batch_interval": -1}, {"shutdown": -1}, {"retry_within": -1}]
)
def test_what_is_wrong_with_the_options_is_said_at_once(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DrainOptions(**wrong)


@pytest.mark.parametrize("clients", [0, 5])
async def test_an_endpoint_whose_clients_answer_stops_without_waiting_for_any_time_limit(
    autojump_clock, node, clients
):
    """On a clock that only moves when everybody waits for it, nothing passes."""
    autojump_clock.autojump_threshold = 0.05  # of real time: the loopback is quicker
    endpoint, supervisor = await start()
    codes: list[int] = []

    async def expect_close(client: Client) -> None:
        codes.append((await client.expect_close())[0])

    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(connected(endpoint)) for _ in range(clients)]
        for client in made[1:]:  # one has not joined anything
            await client.join("room:1")
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for client in made:
                nursery.start_soon(expect_close, client)
            await Supervisor.stop(supervisor)
            assert trio.current_time() == begun
    assert codes == [1012] * clients
