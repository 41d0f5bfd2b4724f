"""The endpoint and its connections, over real sockets: who gets in, what ends a connection."""

from __future__ import annotations

import math
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import KILL, StartError, current_node, receive, spawn, trap_exit
from channels import (
    Broadcast,
    Channel,
    ConnectInfo,
    ConnectRefused,
    Endpoint,
    Limits,
    PubSub,
    UserSocket,
)
from channels.transports.connection import DISCONNECT
from supervisors import RESTARTING, Supervisor
from tests.channels.endpoint.hostile import UPGRADE
from tests.channels.phoenix import DEADLINE, connected, refusal, running


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        return None


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        match params:
            case {"refuse": status}:
                raise ConnectRefused("by test", status=int(status))
            case {"crash": _}:
                raise RuntimeError("in connect")
        self.assigns["user"] = params.get("user")
        self.assigns["agent"] = info.user_agent

    def id(self) -> Any:
        user = self.assigns["user"]
        return 5 if user == "junk" else user and f"users:{user}"


def endpoint_with(**options: Any) -> Endpoint:
    return Endpoint({"/socket": Socket}, port=0, **options)


# -- who gets in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("vsn=2.0.0&refuse=403", 403),
        ("vsn=2.0.0&refuse=429", 429),
        ("vsn=2.0.0&crash=1", 500),
        ("vsn=2.0.0&user=junk", 403),
        ("vsn=123.1.1", 403),
        ("vsn=two", 403),
        ("vsn[]=2.0.0", 403),
    ],
)
async def test_who_is_refused_gets_an_http_status_before_the_upgrade(node, query, status):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs():
            assert await refusal(endpoint, f"/socket/websocket?{query}") == status


@pytest.mark.parametrize("vsn", ["vsn=123.1.1", "vsn=two", "vsn[]=2.0.0"])
async def test_a_version_that_is_not_spoken_is_a_warning_that_names_it(node, vsn):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs() as logs:
            assert await refusal(endpoint, f"/socket/websocket?{vsn}") == 403
    [entry] = [entry for entry in logs if entry["event"] == "unsupported vsn"]
    assert entry["log_level"] == "warning"
    assert vsn.partition("=")[2] in entry["vsn"]


async def test_a_page_of_another_origin_is_refused_and_logged_once(node):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs() as logs:
            headers = [(b"origin", b"http://evil.example")]
            assert await refusal(endpoint, "/socket/websocket?vsn=2.0.0", headers) == 403
    assert sum("evil.example" in entry["event"] for entry in logs) == 1


async def test_a_page_of_the_endpoints_own_origin_may_connect(node):
    async with running(endpoint_with()) as endpoint:
        own = str(endpoint.url).encode()
        async with connected(endpoint, headers=[(b"origin", own)]) as client:
            await client.settle()


async def test_check_origin_true_compares_with_the_public_host(node):
    endpoint = endpoint_with(check_origin=True, public_host="chat.example")
    async with running(endpoint):
        async with connected(endpoint, headers=[(b"origin", b"https://chat.example")]) as client:
            await client.settle()
        with structlog.testing.capture_logs():
            headers = [(b"origin", str(endpoint.url).encode())]
            assert await refusal(endpoint, "/socket/websocket?vsn=2.0.0", headers) == 403


async def status_for(endpoint: Endpoint, origin: str, host: str) -> int:
    """What a page of `origin` gets, whose browser names `host`; 101 lets it in."""
    mine, port = endpoint.addresses[0]
    head = UPGRADE.replace(b"host: x", f"host: {host}\r\norigin: {origin}".encode())
    async with await trio.open_tcp_stream(mine, port) as stream:
        await stream.send_all(head)
        with trio.fail_after(DEADLINE):
            return int(bytes(await stream.receive_some()).split()[1])


@pytest.mark.parametrize(
    ("options", "origin", "host", "status"),
    [
        # The default where a public_host is given is Phoenix's: the page's host must be that one.
        ({"public_host": "chat.example"}, "https://chat.example", "10.0.0.1:4000", 101),
        ({"public_host": "chat.example"}, "http://chat.example:81", "chat.example", 101),
        ({"public_host": "chat.example"}, "http://evil.example", "evil.example", 403),
        ({"public_host": "a.example", "check_origin": "conn"}, "http://b:81", "b:81", 101),
        # Where none is, the page must come from where the request goes.
        ({}, "http://chat.example:4000", "chat.example:4000", 101),
        ({}, "https://chat.example", "chat.example", 403),
        # A proxy ends TLS: only the endpoint's options say so.
        ({"public_scheme": "https"}, "https://chat.example", "chat.example", 101),
        ({"public_scheme": "https"}, "https://chat.example:8443", "chat.example:8443", 101),
        ({"public_scheme": "https"}, "http://chat.example", "chat.example", 403),
        ({"public_scheme": "https"}, "https://chat.example:8443", "chat.example", 403),
        (
            {"public_scheme": "https", "public_port": 8443},
            "https://chat.example:8443",
            "chat.example",
            101,
        ),
        ({"public_scheme": "https", "public_port": 8443}, "https://c.example", "c.example", 403),
    ],
)
async def test_which_pages_may_connect_unless_told_otherwise(node, options, origin, host, status):
    async with running(endpoint_with(**options)) as endpoint:
        with structlog.testing.capture_logs():
            assert await status_for(endpoint, origin, host) == status


async def test_a_socket_learns_by_which_scheme_browsers_reach_the_endpoint(node):
    seen: list[ConnectInfo] = []

    class Curious(Socket):
        async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
            await super().connect(params, info)
            seen.append(info)

    endpoint = Endpoint({"/socket": Curious}, port=0, public_scheme="https")
    async with running(endpoint):
        assert await status_for(endpoint, "https://chat.example", "chat.example") == 101
    assert (seen[0].uri.scheme, seen[0].uri.port) == ("https", 443)


async def test_there_is_no_websocket_but_at_the_mounted_path(node):
    async with running(endpoint_with()) as endpoint:
        assert await refusal(endpoint, "/other/websocket?vsn=2.0.0") == 404


# -- what ends a connection ----------------------------------------------------------------------


async def test_disconnect_broadcast_on_its_id_closes_a_connection_with_1001(node):
    async with running(endpoint_with()) as endpoint:
        path = "/socket/websocket?vsn=2.0.0&user=ann"
        async with connected(endpoint, path) as ann, connected(endpoint) as other:
            await ann.join("room:1")
            endpoint.broadcast("users:ann", DISCONNECT, {})
            assert (await ann.expect_close())[0] == 1001
            await other.settle()


async def test_a_connection_whose_id_is_subscribed_no_more_is_closed_with_1012(node):
    """C16: otherwise `disconnect` would not reach it."""
    path = "/socket/websocket?vsn=2.0.0&user=ann"
    async with running(endpoint_with()) as endpoint, connected(endpoint, path) as ann:
        assert endpoint.pubsub.pid is not None
        endpoint.pubsub.pid.exit(KILL)
        assert (await ann.expect_close())[0] == 1012


@pytest.mark.parametrize(
    ("data", "code"),
    [("garbage", 1011), ('["1","1","room:1"]', 1011), ("{}", 1011), (b"\x07\x00", 1011)],
)
async def test_a_malformed_frame_closes_with_1011_says_why_and_is_logged_once(node, data, code):
    async with running(endpoint_with()) as endpoint, connected(endpoint) as other:
        with structlog.testing.capture_logs() as logs:
            async with connected(endpoint) as client:
                await client.websocket.send_message(data)
                closed, reason = await client.expect_close()
        assert closed == code
        assert reason
        assert [entry["event"] for entry in logs].count("malformed frame") == 1
        await other.settle()


async def test_a_message_over_the_limit_closes_with_1009(node):
    limits = Limits(max_message_size=100)
    async with running(endpoint_with(limits=limits)) as endpoint, connected(endpoint) as client:
        await client.websocket.send_message("x" * 101)
        assert (await client.expect_close())[0] == 1009


async def test_a_silent_client_is_closed_after_the_idle_timeout(node):
    limits = Limits(idle_timeout=0.05)
    async with running(endpoint_with(limits=limits)) as endpoint, connected(endpoint) as client:
        assert await client.expect_close() == (1002, "idle timeout")


async def test_the_silence_of_many_clients_is_noticed_once_for_all(node, mock_clock):
    """A sixtieth of the timeout late at the most: otherwise each client wakes the node for it."""
    limits = Limits(idle_timeout=60)
    async with running(endpoint_with(limits=limits)) as endpoint, AsyncExitStack() as stack:
        mock_clock.jump(-trio.current_time() % 60)
        clients = []
        for _ in range(3):
            mock_clock.jump(0.2)
            clients.append(await stack.enter_async_context(connected(endpoint)))
        mock_clock.jump(60.3)  # all have been silent for long enough
        await trio.testing.wait_all_tasks_blocked()
        assert endpoint.statistics().connections == 3
        mock_clock.jump(0.2)
        for client in clients:
            assert await client.expect_close() == (1002, "idle timeout")


@pytest.mark.parametrize("timeout", [0, math.inf])
async def test_without_an_idle_timeout_a_client_may_be_silent(node, mock_clock, timeout):
    limits = Limits(idle_timeout=timeout)
    async with running(endpoint_with(limits=limits)) as endpoint, connected(endpoint) as client:
        mock_clock.jump(1_000_000)
        await client.settle()


async def test_a_stopped_endpoint_sends_its_clients_away_with_1012_and_says_so(node):
    endpoint = endpoint_with()
    supervisor = await Supervisor.start_link([endpoint])
    async with connected(endpoint) as joined, connected(endpoint) as idle:
        await joined.join("room:1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Supervisor.stop, supervisor)
            assert (await joined.expect_close())[0] == 1012
            assert (await idle.expect_close())[0] == 1012


async def test_a_client_that_does_not_read_is_closed_and_costs_the_others_nothing(node):
    limits = Limits(outbox=64 * 1024, close_timeout=0.1)
    async with running(endpoint_with(limits=limits)) as endpoint, connected(endpoint) as reader:
        await reader.join("room:1")
        slow = await _join_and_stop_reading(endpoint)
        with structlog.testing.capture_logs() as logs:
            for n in range(400):
                endpoint.broadcast("room:1", "news", {"n": n, "padding": "x" * 20_000})
                assert (await reader.expect())[4]["n"] == n
            assert len(endpoint.pubsub.subscribers("room:1")) == 1 or await _gone(endpoint)
        assert "slow client" in [entry.get("reason") for entry in logs]
        await trio.aclose_forcefully(slow)


async def _join_and_stop_reading(endpoint: Endpoint) -> trio.SocketStream:
    host, port = endpoint.addresses[0]
    stream = await trio.open_tcp_stream(host, port)
    await stream.send_all(
        b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
        b"connection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    join = b'["1","1","room:1","phx_join",{}]'
    await stream.send_all(bytes((0x81, 0x80 | len(join))) + bytes(4) + join)
    while len(endpoint.pubsub.subscribers("room:1")) < 2:
        await trio.lowlevel.checkpoint()
    return stream


async def _gone(endpoint: Endpoint) -> bool:
    with trio.fail_after(10):
        while len(endpoint.pubsub.subscribers("room:1")) > 1:
            await trio.lowlevel.checkpoint()
    return True


async def test_the_end_of_a_connection_is_logged_with_what_happened_on_it(node):
    path = "/socket/websocket?vsn=2.0.0&user=ann"
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint_with()) as endpoint, connected(endpoint, path) as client:
            await client.join("room:1")
    [end] = [entry for entry in logs if entry["event"] == "disconnected"]
    assert end["peer"].startswith("127.0.0.1:")
    assert (end["socket_id"], end["topics"], end["frames_in"]) == ("users:ann", ["room:1"], 1)
    assert (end["by"], end["code"]) == ("client", 1000)
    assert end["bytes_in"] > 0
    assert end["bytes_out"] > 0


async def test_nothing_is_left_of_a_connection_that_has_ended(node):
    async with running(endpoint_with()) as endpoint:
        before = current_node().statistics().processes
        async with connected(endpoint, "/socket/websocket?vsn=2.0.0&user=ann") as client:
            await client.join("room:1")
        with trio.fail_after(5):
            while current_node().statistics().processes > before:
                await trio.lowlevel.checkpoint()
        assert endpoint.pubsub.statistics().subscriptions == 0


# -- the tree ------------------------------------------------------------------------------------


async def test_a_channel_supervisor_that_is_killed_is_replaced_and_clients_rejoin(node):
    async with running(endpoint_with()) as endpoint, connected(endpoint) as client:
        join_ref = await client.join("room:1")
        with structlog.testing.capture_logs():
            endpoint._services.channel_supervisor().exit(KILL)
            assert (await client.expect())[:4] == [join_ref, join_ref, "room:1", "phx_error"]
            await client.join("room:1")


async def test_an_endpoint_starts_its_children_in_order_and_stops_them_in_the_reverse(node):
    """PubSub before what uses it; then what channels and connections live under; then who lets
    clients in; the drainer last, so that it is stopped first.
    """
    endpoint = endpoint_with()
    supervisor = await Supervisor.start_link([endpoint])
    root: Any = (await Supervisor.which_child(supervisor, "endpoint")).pid
    children: list[Any] = [*reversed(await Supervisor.which_children(root))]  # oldest first
    names = {
        child.pid: child.id if isinstance(child.id, str) else child.pid.label for child in children
    }
    names[endpoint.pubsub.pid] = "pubsub"
    wanted = ["pubsub", "channels", "connections", "listener", "Drainer"]
    assert [names[child.pid] for child in children if names[child.pid] in wanted] == wanted
    ended: list[str] = []

    async def watch() -> None:
        for child in children:
            child.pid.monitor()
        while len(ended) < len(children):
            ended.append(names[(await receive()).object])

    watcher = spawn(watch)
    await trio.testing.wait_all_tasks_blocked()
    await Supervisor.stop(supervisor)
    await watcher.wait_exited()
    assert [name for name in ended if name in wanted] == wanted[::-1]


async def test_plain_processes_subscribe_at_the_endpoint_and_get_broadcasts_as_messages(node):
    heard: list[Any] = []

    async def listen() -> None:
        endpoint.subscribe("room:1")
        heard.append(await receive())

    async with running(endpoint_with()) as endpoint:
        listener = spawn(listen)
        await trio.testing.wait_all_tasks_blocked()
        endpoint.broadcast("room:1", "news", {"n": 1})
        await listener.wait_exited()
    assert heard == [Broadcast("room:1", "news", {"n": 1})]


async def test_an_endpoint_uses_a_pubsub_that_runs_already(node):
    pubsub = PubSub()
    endpoint = endpoint_with(pubsub=pubsub)
    await Supervisor.start_link([pubsub, endpoint])
    async with connected(endpoint) as client:
        await client.join("room:1")
        assert len(pubsub.subscribers("room:1")) == 1


# -- configuration -------------------------------------------------------------------------------


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_an_endpoint_listens_on_ipv6_too(node):
    async with running(endpoint_with(host="::1")) as endpoint:
        assert endpoint.addresses[0][0] == "::1"
        assert str(endpoint.url).startswith("http://[::1]:")
        own = [(b"origin", str(endpoint.url).encode())]
        async with connected(endpoint, headers=own) as client:
            await client.join("room:1")


@pytest.mark.parametrize("times", range(5))
async def test_an_endpoint_whose_supervisor_is_killed_comes_back_with_its_pubsub(node, times):
    """S8, C16: also while what is left of the old one still ends."""
    endpoint = endpoint_with()
    supervisor = await Supervisor.start_link([endpoint])
    for _ in range(times):
        await trio.lowlevel.checkpoint()
    root: Any = (await Supervisor.which_child(supervisor, "endpoint")).pid
    with structlog.testing.capture_logs():
        root.exit(KILL)
        await root.wait_exited()
        while (await Supervisor.which_child(supervisor, "endpoint")).pid in (root, RESTARTING):
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert endpoint.pubsub.started
    async with connected(endpoint) as client:
        await client.join("room:1")
        endpoint.broadcast("room:1", "news", {})
        assert (await client.expect())[3] == "news"
    await Supervisor.stop(supervisor)


async def test_several_endpoints_of_one_tree_have_names(node):
    children = [endpoint_with(), endpoint_with(name="admin")]
    supervisor = await Supervisor.start_link(children)
    assert [child.id for child in await Supervisor.which_children(supervisor)] == [
        "admin",
        "endpoint",
    ]
    await Supervisor.stop(supervisor)


async def test_a_pubsub_that_runs_is_not_started_a_second_time(node):
    """G3."""
    trap_exit()
    pubsub = PubSub()
    children = [endpoint_with(pubsub=pubsub), pubsub]  # the endpoint starts it, being the first
    with structlog.testing.capture_logs(), pytest.raises(StartError):
        await Supervisor.start_link(children)
    assert not pubsub.started


async def test_a_port_that_is_taken_fails_the_start_and_names_the_port(node):
    trap_exit()
    async with running(endpoint_with()) as first:
        port = first.addresses[0][1]
        with structlog.testing.capture_logs(), pytest.raises(StartError) as failed:
            await Supervisor.start_link([Endpoint({"/socket": Socket}, port=port)])
    assert f"cannot listen on 127.0.0.1:{port}" in repr(failed.value.reason)
