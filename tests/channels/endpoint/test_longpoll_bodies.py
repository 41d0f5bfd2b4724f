"""What a client posts to a long poll: nobody makes the node hold what nobody answers for."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from channels import AddressLimits, Endpoint, Limits, LongPoll, Mount, Rate, UserSocket
from tests.channels.long_poll import Poller, request
from tests.channels.phoenix import DEADLINE, running


class Socket(UserSocket):
    pass


def endpoint_with(limits: Limits = Limits(), **options: Any) -> Endpoint:  # noqa: B008
    mount = Mount(Socket, longpoll=LongPoll(window=1_000.0, **options))
    return Endpoint({"/socket": mount}, port=0, limits=limits)


def address_limits(**limits: Any) -> Limits:
    return Limits(address=AddressLimits(**limits))


class Posting:
    """One POST, of which the body comes as the test says."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def send(self, size: int) -> None:
        await self.stream.send_all(b"x" * size)

    async def answer(self) -> tuple[int, Any]:
        """HTTP status, and what stands behind the head."""
        data = b""
        with trio.fail_after(DEADLINE):
            while not data.endswith((b"}", b"\n")):
                data += await self.stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@asynccontextmanager
async def posting(client: Poller, *headers: str) -> Any:
    host, port = client.endpoint.addresses[0]
    token = [f"x-phoenix-longpoll-token: {client.token}"] if client.token else []
    lines = [f"POST {client.path} HTTP/1.1", f"host: {host}:{port}", *token, *headers, "", ""]
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all("\r\n".join(lines).encode())
        yield Posting(stream)


async def held(endpoint: Endpoint, size: int) -> None:
    """Wait until so many bytes of bodies are held."""
    with trio.fail_after(DEADLINE):
        while _held(endpoint) != size:
            await trio.lowlevel.checkpoint()


def _held(endpoint: Endpoint) -> int:
    addresses = endpoint._services.gatekeeper._addresses
    return sum(address.bodies for address in addresses.values())


@pytest.mark.parametrize("token", ["", "forged"])
async def test_without_a_session_the_body_is_not_waited_for(node, token):
    async with running(endpoint_with()) as endpoint:
        client = Poller(endpoint)
        client.token = token
        async with posting(client, "content-length: 7999999") as post:
            assert await post.answer() == (200, b'{"status":410}')


async def test_a_session_that_is_gone_is_told_without_its_body_too(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        endpoint._services.sessions.clear()
        async with posting(client, "content-length: 7999999") as post:
            assert await post.answer() == (200, b'{"status":410}')


async def test_a_body_whose_head_announces_too_much_is_not_waited_for(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        async with posting(client, "content-length: 8000001") as post:
            assert await post.answer() == (400, b"The body is too large.\n")
        assert endpoint.statistics().exceeded == {"message_size": 1}


async def test_zero_max_body_is_no_limit(node):
    async with running(endpoint_with(Limits().without_rates(), max_body=0)) as endpoint:
        client = await Poller(endpoint).open()
        lines = [b'[null,"1","phoenix","heartbeat",{"x":"%s"}]' % (b"x" * 1_000_000)] * 9
        assert await client.post_lines(*lines) == 200
        assert len(await client.frames(9)) == 9


async def test_what_has_come_of_a_body_counts_at_its_address_before_it_is_complete(node):
    async with running(endpoint_with(address_limits(bytes=Rate(1, burst=20_000)))) as endpoint:
        client = await Poller(endpoint).open()
        async with posting(client, "content-length: 100000") as post:
            await post.send(21_000)
            reason = "too many bytes: your address may send 1 a second"
            answer = f'{{"status":429,"reason":"{reason}"}}'
            assert await post.answer() == (200, answer.encode())
        assert endpoint.statistics().exceeded == {"address_bytes": 1}


async def test_the_head_of_a_chunk_counts_as_much_as_what_is_in_it(node):
    async with running(endpoint_with(address_limits(bytes=Rate(1, burst=20_000)))) as endpoint:
        client = await Poller(endpoint).open()
        async with posting(client, "transfer-encoding: chunked") as post:
            await post.stream.send_all(b"1\r\nx\r\n" * 5_000)
            assert (await post.answer())[0] == 200
        assert endpoint.statistics().exceeded == {"address_bytes": 1}


async def test_the_bodies_that_one_address_sends_at_once_are_bounded_together(node):
    async with running(endpoint_with(address_limits(bodies=10_000))) as endpoint:
        client = await Poller(endpoint).open()
        async with (
            posting(client, "content-length: 7000") as first,
            posting(client, "content-length: 7000") as second,
        ):
            await first.send(6_000)
            await held(endpoint, 6_000)
            await second.send(6_000)
            reason = "too much at once: your address may have 10000 bytes on their way"
            answer = f'{{"status":429,"reason":"{reason}"}}'
            assert await second.answer() == (200, answer.encode())
            assert endpoint.statistics().exceeded == {"address_bodies": 1}
        await held(endpoint, 0)


async def test_a_body_that_was_handled_or_given_up_is_held_no_more(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        assert await client.post(None, "1", "phoenix", "heartbeat", {}) == 200
        assert _held(endpoint) == 0
        async with posting(client, "content-length: 7000") as gone:
            await gone.send(6_000)
            await held(endpoint, 6_000)
        await held(endpoint, 0)


async def test_a_body_that_does_not_come_in_time_is_408_and_counted_as_such(node, mock_clock):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        async with posting(client, "content-length: 10") as post:
            await post.send(9)
            await held(endpoint, 9)
            mock_clock.jump(29.0)
            await trio.testing.wait_all_tasks_blocked()
            assert endpoint.statistics().exceeded == {}
            mock_clock.jump(1.0)
            assert (await post.answer())[0] == 408
        assert endpoint.statistics().exceeded == {"body_timeout": 1}


async def test_zero_body_timeout_is_no_limit(node, mock_clock):
    async with running(endpoint_with(body_timeout=0.0)) as endpoint:
        client = await Poller(endpoint).open()
        frame = b'[null,"1","phoenix","heartbeat",{}]'
        async with posting(client, f"content-length: {len(frame)}") as post:
            await post.stream.send_all(frame[:10])
            await held(endpoint, 10)
            mock_clock.jump(1_000.0)
            await trio.testing.wait_all_tasks_blocked()
            await post.stream.send_all(frame[10:])
            assert (await post.answer())[0] == 200


async def test_a_get_needs_no_body_and_an_options_neither(node):
    async with running(endpoint_with()) as endpoint:
        assert (await request(endpoint, "OPTIONS", "/socket/longpoll")).status == 200
        assert (await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")).json["status"] == 410
