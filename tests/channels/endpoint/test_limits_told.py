"""Every limit of the edge: its zero means no limit, who exceeds it is told what, and it is counted."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import current_node
from channels import TLS, AddressLimits, DrainOptions, Endpoint, Limits, Mount, Rate, UserSocket
from channels.endpoint.http import HttpConnection, PeerDoesNotReadError, text
from channels.transports.limits import explain
from supervisors import Supervisor
from tests.channels.endpoint.hostile import attacking, message
from tests.channels.endpoint.test_tls import Files
from tests.channels.long_poll import request
from tests.channels.phoenix import DEADLINE, connected, running

LONG = 1e6  # seconds


class Socket(UserSocket):
    gate: trio.Event

    async def refresh(self, params: dict[str, Any]) -> Any:
        await trio.sleep_forever()


def endpoint_with(limits: Limits = Limits(), **options: Any) -> Endpoint:  # noqa: B008
    return Endpoint({"/socket": Mount(Socket, longpoll=True)}, port=0, limits=limits, **options)


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


async def until(condition: Any) -> None:
    for _ in range(100_000):  # no time limit: most clocks here stand still
        if condition():
            return
        await trio.lowlevel.checkpoint()
    raise AssertionError("in vain")


# -- zeros ---------------------------------------------------------------------------------------


async def test_zero_handshake_timeout_is_no_limit(node, files, mock_clock):
    endpoint = endpoint_with(tls=files.tls(handshake_timeout=0))
    async with running(endpoint):
        stream = await trio.open_tcp_stream(*endpoint.addresses[0])
        await until(lambda: endpoint.statistics().connections)
        mock_clock.jump(LONG)
        await trio.testing.wait_all_tasks_blocked()
        encrypted = trio.SSLStream(stream, files.client(), server_hostname="localhost")
        async with encrypted:
            await encrypted.do_handshake()
            await encrypted.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await encrypted.receive_some()


def test_a_negative_handshake_timeout_is_refused(files):
    with pytest.raises(ValueError, match="handshake_timeout=-1"):
        TLS(files.certfile, files.keyfile, handshake_timeout=-1)


async def test_zero_close_timeout_lets_a_client_take_its_time_to_answer(node, mock_clock):
    endpoint = endpoint_with(Limits(close_timeout=0, idle_timeout=0))
    async with running(endpoint), attacking(endpoint) as client:
        await client.send(b"\x81\x80\x00\x00\x00\x00")  # an empty text: malformed
        await client.read_to_the_end()
        assert client.close is not None
        assert client.close[0] == 1011
        mock_clock.jump(LONG)
        await trio.testing.wait_all_tasks_blocked()
        assert endpoint.statistics().connections == 1
        await client.stream.aclose()
        await until(lambda: not endpoint.statistics().connections)


async def test_zero_shutdown_of_the_drainer_is_as_long_as_it_takes(node, mock_clock):
    drainer = DrainOptions(batch_size=1, batch_interval=LONG, shutdown=0)
    endpoint = endpoint_with(Limits(idle_timeout=0), drainer=drainer)
    supervisor = await Supervisor.start_link([endpoint])
    async with (
        connected(endpoint) as first,
        connected(endpoint) as second,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Supervisor.stop, supervisor)
        assert (await first.expect_close())[0] == 1012
        await until(lambda: endpoint.statistics().connections == 1)
        mock_clock.jump(LONG)
        assert (await second.expect_close())[0] == 1012


# -- counters ------------------------------------------------------------------------------------


async def test_a_handshake_that_takes_too_long_is_counted(node, files, mock_clock):
    endpoint = endpoint_with(tls=files.tls())
    async with running(endpoint), await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
        await until(lambda: endpoint.statistics().connections)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10.0)
        assert await stream.receive_some() == b""
        assert endpoint.statistics().exceeded == {"handshake_timeout": 1}


async def test_a_handshake_that_fails_exceeds_no_limit(node, files):
    endpoint = endpoint_with(tls=files.tls())
    async with running(endpoint):
        await refused_handshake(endpoint, ssl.create_default_context())
        await until(lambda: not endpoint.statistics().connections)
        assert endpoint.statistics().exceeded == {}


async def refused_handshake(endpoint: Endpoint, context: ssl.SSLContext) -> str:
    """What the client is told."""
    async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
        encrypted = trio.SSLStream(stream, context, server_hostname="localhost")
        with pytest.raises(trio.BrokenResourceError) as refused:
            await encrypted.do_handshake()
    return str(refused.value.__cause__)


async def test_a_client_that_does_not_answer_our_close_frame_is_counted(node, mock_clock):
    async with running(endpoint_with()) as endpoint, attacking(endpoint) as client:
        await client.send(message("not a message"))
        await client.read_to_the_end()
        mock_clock.jump(5.0)
        await until(lambda: not endpoint.statistics().connections)
        assert endpoint.statistics().exceeded == {"close_timeout": 1}


async def test_a_query_that_is_too_deep_is_told_so_and_counted(node):
    async with running(endpoint_with()) as endpoint:
        answer = await request(endpoint, "GET", "/socket/longpoll?a" + "[b]" * 16 + "=1")
        assert answer.status == 400
        assert answer.body == b"a query parameter nests 17 deep; at most 16 is legal.\n"
        assert endpoint.statistics().exceeded == {"query_depth": 1}


async def test_refreshes_beyond_the_first_and_those_that_take_too_long_are_counted(
    node, mock_clock
):
    async with running(endpoint_with()) as endpoint, connected(endpoint) as client:
        first = await client.push(None, "phoenix", "auth_token", {"token": "1"})
        second = await client.push(None, "phoenix", "auth_token", {"token": "2"})
        assert (await client.expect_reply(second))["response"] == {"reason": "refresh pending"}
        mock_clock.jump(5.0)
        with structlog.testing.capture_logs():
            assert (await client.expect_reply(first))["response"] == {"reason": "timeout"}
        assert endpoint.statistics().exceeded == {"refreshes": 1, "refresh_timeout": 1}


async def test_a_client_that_does_not_read_its_answer_is_counted(node, tmp_path, mock_clock):
    (tmp_path / "large").write_bytes(bytes(20_000_000))  # more than the kernel keeps
    async with (
        running(endpoint_with(static=tmp_path)) as endpoint,
        await trio.open_tcp_stream(*endpoint.addresses[0]) as stream,
    ):
        await stream.send_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(_writes_wait)
        mock_clock.jump(30.0)
        await until(lambda: endpoint.statistics().exceeded == {"write_timeout": 1})


def _writes_wait() -> bool:
    """The connection's task waits until its socket can be written to."""
    [process] = [p for pid, p in current_node().processes.items() if pid.label == "Connection"]
    coroutine: Any = None if process.task is None else process.task.coro
    while coroutine is not None and hasattr(coroutine, "cr_await"):
        if coroutine.cr_code.co_name == "wait_writable":
            return True
        coroutine = coroutine.cr_await
    return False


async def test_a_write_that_takes_too_long_says_that_the_peer_does_not_read(autojump_clock):
    ours, _client = trio.testing.lockstep_stream_pair()
    with pytest.raises(PeerDoesNotReadError):
        await HttpConnection(ours).respond(text(200, "ok"))


# -- what who is refused reads -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connections": 1}, b"too many connections: your address may have 1"),
        (
            {"connects": Rate(0.5, burst=1)},
            b"too many connections: your address may make 0.5 a second",
        ),
    ],
    ids=["connections", "connects"],
)
async def test_a_connection_too_many_reads_which_limit_it_exceeds(node, limits, words):
    limits = Limits(address=AddressLimits(**limits))
    async with (
        running(endpoint_with(limits)) as endpoint,
        await trio.open_tcp_stream(*endpoint.addresses[0]),
        await trio.open_tcp_stream(*endpoint.addresses[0]) as second,
    ):
        with trio.fail_after(DEADLINE):
            answer = b"".join([bytes(piece) async for piece in second])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert body == words + b"\n"
    assert b"content-length: %d" % len(body) in head


async def test_over_tls_it_is_an_alert_because_hands_are_not_shaken(node, files):
    limits = Limits(address=AddressLimits(connections=1))
    async with (
        running(endpoint_with(limits, tls=files.tls())) as endpoint,
        await trio.open_tcp_stream(*endpoint.addresses[0]),
    ):
        assert "ACCESS_DENIED" in await refused_handshake(endpoint, files.client())
        assert endpoint.statistics().exceeded == {"connections": 1}


async def test_a_session_too_many_and_a_request_too_many_say_so_too(node):
    limits = Limits(address=AddressLimits(connections=1, messages=Rate(0.25, burst=1)))
    async with running(endpoint_with(limits)) as endpoint:
        answer = await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")
        assert (answer.status, answer.json["reason"]) == (
            429,
            "too many connections: your address may have 1",
        )
        await until(lambda: not endpoint.statistics().connections)
        answer = await request(endpoint, "GET", "/health")
        assert answer.status == 429
        assert answer.body == b"too many messages: your address may send 0.25 a second\n"


@pytest.mark.parametrize(
    "limit",
    [
        "messages",
        "bytes",
        "address_messages",
        "address_bytes",
        "address_bodies",
        "connections",
        "connects",
    ],
)
def test_what_is_explained_fits_into_a_close_frame(limit):
    assert 0 < len(explain(Limits(), limit).encode()) <= 123
