"""Sockets that have not sent a whole head: they have no task, and come to one a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import KILL, Node
from actors.process import Process
from actors.waker import MOST
from channels import Endpoint, Limits, UserSocket
from channels.transports.poller import Poller
from tests.channels.phoenix import running

pytestmark = pytest.mark.skipif(not Poller.available, reason="needs epoll, which Linux has")

MANY = 10 * MOST
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Socket(UserSocket):
    pass


@asynccontextmanager
async def an_endpoint(limits: Limits | None = None) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint({"/socket": Socket}, port=0, limits=limits or Limits())
    async with running(endpoint):
        yield endpoint


async def stream_to(endpoint: Endpoint) -> trio.SocketStream:
    host, port = endpoint.addresses[0]
    return await trio.open_tcp_stream(host, port)


def connections(node: Node) -> list[Process]:
    return [process for pid, process in node.processes.items() if pid.label == "Connection"]


async def read_all(stream: trio.SocketStream) -> bytes:
    with trio.fail_after(5):
        return b"".join([bytes(piece) async for piece in stream])


async def until_there_are(node: Node, count: int) -> None:
    with trio.fail_after(5):
        while len(connections(node)) != count:
            await trio.lowlevel.checkpoint()


async def test_a_head_in_pieces_is_collected_without_a_task_and_answered_when_it_is_whole(node):
    async with an_endpoint() as endpoint, await stream_to(endpoint) as stream:
        *pieces, last = [HEALTH[n : n + 5] for n in range(0, len(HEALTH), 5)]
        for piece in pieces:
            await stream.send_all(piece)
            await wait_all_tasks_blocked()
            assert [process.asleep is not None for process in connections(node)] == [True]
        await stream.send_all(last)
        with trio.fail_after(5):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [b"", b"GET /"])
async def test_whoever_sends_no_head_in_time_is_closed_and_told_so_if_it_had_begun(
    node, autojump_clock, said
):
    async with an_endpoint(Limits(head_timeout=3)) as endpoint, await stream_to(endpoint) as stream:
        began = trio.current_time()
        await stream.send_all(said)
        answer = await read_all_at_any_time(stream)
        assert answer.startswith(b"HTTP/1.1 408 ") if said else answer == b""
        assert 3 <= trio.current_time() - began < 4
        assert endpoint.statistics().exceeded == ({"head_timeout": 1} if said else {})


async def read_all_at_any_time(stream: trio.SocketStream) -> bytes:
    return b"".join([bytes(piece) async for piece in stream])


async def test_the_time_for_the_head_begins_with_the_connection_and_not_with_the_task(
    node, autojump_clock
):
    async with an_endpoint(Limits(head_timeout=3)) as endpoint, await stream_to(endpoint) as stream:
        began = trio.current_time()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost")
        await trio.sleep(2)
        # Not the end of a head, but no head goes on like that: a task looks at it.
        await stream.send_all(b"\n\n: x\r\n")
        assert (await read_all_at_any_time(stream)).startswith(b"HTTP/1.1 400 ")
        assert trio.current_time() - began < 3


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\x16\x03\x01\x02\x00", b"400"),
        (b"\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"GET /" + b"x" * 20_000, b"431"),
    ],
)
async def test_what_cannot_be_a_head_is_answered_at_once(node, said, status):
    async with an_endpoint() as endpoint, await stream_to(endpoint) as stream:
        await stream.send_all(said)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 " + status)


async def test_what_follows_the_head_in_the_same_segment_is_the_next_request(node):
    async with an_endpoint() as endpoint, await stream_to(endpoint) as stream:
        await stream.send_all(HEALTH * 3)
        answers = b""
        with trio.fail_after(5):
            while answers.count(b'{"status":"ok"}') < 3:
                answers += await stream.receive_some()


async def test_many_that_leave_at_once_are_seen_off_a_few_in_each_step(node):
    async with an_endpoint() as endpoint:
        streams = [await stream_to(endpoint) for _ in range(MANY)]
        await until_there_are(node, MANY)
        for stream in streams:
            stream.socket.close()
        before = MANY
        while before:
            await trio.lowlevel.checkpoint()
            now = len(connections(node))
            assert before - now <= 2 * MOST
            before = now
        assert endpoint.statistics().connections == 0


async def test_many_that_are_late_at_once_are_given_up_a_few_in_each_step(node, mock_clock):
    async with an_endpoint(Limits(head_timeout=3)) as endpoint, AsyncExitStack() as stack:
        for _ in range(MANY):
            await stack.enter_async_context(await stream_to(endpoint))
        await until_there_are(node, MANY)
        mock_clock.jump(3)
        before = MANY
        while before:
            await trio.lowlevel.checkpoint()
            now = len(connections(node))
            assert before - now <= 2 * MOST
            before = now


@pytest.mark.parametrize("said", [b"", b"GET /"])
async def test_a_connection_that_is_killed_before_its_head_closes_its_socket(node, said):
    async with an_endpoint() as endpoint, await stream_to(endpoint) as stream:
        await stream.send_all(said)
        await until_there_are(node, 1)
        await wait_all_tasks_blocked()
        connections(node)[0].pid.exit(KILL)
        await until_there_are(node, 0)
        try:
            assert await read_all(stream) == b""
        except trio.BrokenResourceError:  # it had not read all
            assert said


async def test_the_stop_of_an_endpoint_closes_those_that_have_said_nothing(node):
    async with an_endpoint() as endpoint:
        stream = await stream_to(endpoint)
        await until_there_are(node, 1)
    async with stream:
        assert await read_all(stream) == b""
    assert not connections(node)
