"""Five thousand sockets, ten thousand topics, ten thousand messages: the numbers of one hostile client, counted.

`benchmarks/hostile.py` measures what they cost the others.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
from collections.abc import Iterator

import pytest
import trio

from channels import Endpoint, Limits
from tests.channels.endpoint.hostile import (
    UNLIMITED,
    Room,
    Socket,
    attacker_stream,
    attacking,
    endpoint_with,
    joined,
    message,
    until_connections,
    until_exceeded,
    until_no_rooms,
)
from tests.channels.phoenix import connected, running


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many descriptors as the sockets below need at both of their ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 8_000
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"{needed} open files are needed, and the system allows {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_of_five_thousand_sockets_one_address_gets_two_thousand(node, mock_clock, many_files):
    """With the limits as they are. The clock stands still: nothing is given up meanwhile."""
    allowed = Limits().address.connections
    async with running(endpoint_with(Limits())) as endpoint, connected(endpoint) as healthy:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(5_000):
                await stack.enter_async_context(await attacker_stream(endpoint))
            await until_exceeded(endpoint, "connections", 5_000 - allowed)
            assert endpoint.statistics().connections == allowed + 1
            assert endpoint.statistics().exceeded == {"connections": 5_000 - allowed}
            assert sum(pid.label == "Connection" for pid in node.processes) == allowed + 1
            await healthy.settle()
            async with connected(endpoint) as another:
                await another.join("room:1")
        await until_connections(endpoint, 1)
        assert sum(pid.label == "Connection" for pid in node.processes) == 1


async def test_of_ten_thousand_joins_a_connection_gets_a_hundred(node):
    async with (
        running(endpoint_with(UNLIMITED)) as endpoint,
        connected(endpoint) as healthy,
        attacking(endpoint) as attacker,
        trio.open_nursery() as nursery,
    ):
        joins = (message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}) for n in range(10_000))
        nursery.start_soon(attacker.send, b"".join(joins))
        await attacker.read_until(10_000)
        assert attacker.answers() == {"ok": 100, "too many channels joined": 9_900}
        assert endpoint.statistics().exceeded == {"topics": 9_900}
        await healthy.settle()
        await healthy.join("room:1")


async def test_ten_thousand_joins_are_a_flood_by_default(node, mock_clock):
    """With the limits as they are, on a clock that stands still: the burst is read and no more."""
    async with running(endpoint_with(Limits())) as endpoint, connected(endpoint) as healthy:
        async with attacking(endpoint) as attacker, trio.open_nursery() as nursery:
            joins = (message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}) for n in range(10_000))
            nursery.start_soon(attacker.send, b"".join(joins))
            await attacker.read_to_the_end()
            nursery.cancel_scope.cancel()
        assert attacker.close == (4029, "too many messages: a connection may send 200 a second")
        assert attacker.answers()["ok"] <= 100
        exceeded = endpoint.statistics().exceeded
        assert 700 < exceeded["topics"] < Limits().messages.burst - 100
        assert exceeded == {"topics": exceeded["topics"], "messages": 1}
        await until_connections(endpoint, 1)
        await until_no_rooms(node)
        await healthy.join("room:1")


@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
async def test_of_a_flood_of_ten_thousand_messages_only_the_burst_is_handled(
    node, mock_clock, engine
):
    """Closed with 4029. The clock stands still, so no bucket fills up."""
    Room.handled = itertools.count()
    endpoint = Endpoint({"/socket": Socket}, port=0, engine=engine)
    async with running(endpoint), connected(endpoint) as healthy:
        async with attacking(endpoint) as attacker, trio.open_nursery() as nursery:
            await joined(attacker)
            flood = b"".join(message("1", f"{n}", "room:1", "hello", {}) for n in range(10_000))
            nursery.start_soon(attacker.send, flood)
            await attacker.read_to_the_end()
            nursery.cancel_scope.cancel()
        assert attacker.close == (4029, "too many messages: a connection may send 200 a second")
        await healthy.settle()
        assert endpoint.statistics().exceeded == {"messages": 1}
        await until_connections(endpoint, 1)
        await until_no_rooms(node)  # what waits is still handled
        assert 800 < next(Room.handled) < Limits().messages.burst  # the join was one of them
