"""What one client does costs the others nothing and the node only so much: counts, not times.

Benchmarks/hostile.py measures the latencies.
"""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio.testing

from channels import AddressLimits, CoalesceByKey, DropOldest, Endpoint, Limits, Rate
from channels.transports.connection import ConnectionStatistics
from tests.channels.endpoint.hostile import (
    PING,
    Attacker,
    Socket,
    attacker_stream,
    attacking,
    endpoint_with,
    joined,
    masked,
    message,
    until_connections,
    until_exceeded,
)
from tests.channels.phoenix import DEADLINE, connected, running

# -- never reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "key"), [(DropOldest(), None), (CoalesceByKey(), "price")], ids=["oldest", "key"]
)
async def test_a_client_that_never_reads_keeps_bounded_news_of_the_end_and_stays(node, policy, key):
    class Lossy(Socket):
        overflow = policy

    limits, padding = Limits(outbox=100_000), "x" * 10_000
    async with running(endpoint_with(limits, Lossy)) as endpoint, connected(endpoint) as reader:
        await reader.join("room:1")
        async with attacking(endpoint) as attacker:
            await joined(attacker)
            for n in range(1500):  # 15 MB: more than the operating system keeps for it
                endpoint.broadcast("room:1", "news", {"n": n, "padding": padding}, key=key)
                assert (await reader.expect())[4]["n"] == n
            queued = [s.queued_bytes for s in endpoint.list_sockets().values()]
            assert max(queued) <= limits.outbox + 2 * len(padding)
            while not (attacker.texts[1:] and attacker.texts[-1][4]["n"] == 1499):
                assert await attacker.read()
            numbers = [text[4]["n"] for text in attacker.texts[1:]]
            assert numbers == sorted(numbers)
            assert len(numbers) < 1500
            assert endpoint.statistics().exceeded == {}


async def test_a_client_that_never_reads_is_closed_with_4008_and_counted(node):
    """C13."""
    limits = Limits(outbox=64 * 1024, close_timeout=0.05)
    async with running(endpoint_with(limits)) as endpoint, connected(endpoint) as reader:
        await reader.join("room:1")
        async with attacking(endpoint) as attacker:
            await joined(attacker)
            with trio.fail_after(DEADLINE):
                while not endpoint.statistics().exceeded:
                    endpoint.broadcast("room:1", "news", {"padding": "x" * 100_000})
                    await reader.expect()
            assert endpoint.statistics().exceeded == {"slow_clients": 1}
            await until_connections(endpoint, 1)


async def test_a_client_that_talks_and_never_reads_is_given_up_though_little_waits(
    node, mock_clock
):
    async with running(endpoint_with(Limits())) as endpoint, attacking(endpoint) as attacker:
        await joined(attacker)
        while _only_socket(endpoint).queued_bytes < 500_000:  # the kernel takes no more
            endpoint.broadcast("room:1", "news", {"padding": "x" * 100_000})
            await trio.testing.wait_all_tasks_blocked()
        while not endpoint.statistics().exceeded:
            await _heard(endpoint, attacker)
            mock_clock.jump(30.0)  # half of the idle timeout
        assert endpoint.statistics().exceeded == {"slow_clients": 1}


# -- a byte a second -----------------------------------------------------------------------------


async def test_a_head_that_comes_byte_by_byte_is_answered_408(node, mock_clock):
    async with running(endpoint_with(Limits())) as endpoint, connected(endpoint) as healthy:
        async with await attacker_stream(endpoint) as stream:
            for byte in b"GET / HTTP":  # ten of them, a second each
                await stream.send_all(bytes((byte,)))
                await trio.testing.wait_all_tasks_blocked(0.001)
                mock_clock.jump(1.0)
            assert b" 408 " in await stream.receive_some()
        await healthy.settle()
        assert endpoint.statistics().exceeded == {"head_timeout": 1}


async def test_a_head_that_is_too_large_is_answered_431(node):
    async with running(endpoint_with(Limits(max_head_size=1000))) as endpoint:
        async with await attacker_stream(endpoint) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nx: " + b"y" * 2000)
            with trio.fail_after(DEADLINE):
                assert b" 431 " in await stream.receive_some()
        assert endpoint.statistics().exceeded == {"head_size": 1}


async def test_a_frame_that_comes_byte_by_byte_is_no_sign_of_life(node, mock_clock):
    async with running(endpoint_with(Limits())) as endpoint, attacking(endpoint) as attacker:
        for byte in masked(b"x" * 1000)[:61]:
            await attacker.send(bytes((byte,)))
            mock_clock.jump(1.0)
        await attacker.read_to_the_end()
        assert attacker.close == (1002, "idle timeout")
        assert endpoint.statistics().exceeded == {"idle": 1}


async def test_pings_are_signs_of_life(node, mock_clock):
    async with running(endpoint_with(Limits())) as endpoint, attacking(endpoint) as attacker:
        for _ in range(10):  # five times the idle timeout
            await _heard(endpoint, attacker)
            mock_clock.jump(30.0)
        await _heard(endpoint, attacker)
        assert endpoint.statistics().exceeded == {}


async def _heard(endpoint: Endpoint, attacker: Attacker) -> None:
    """Send a ping, and wait until the server has read it."""
    before = _only_socket(endpoint).bytes_in
    await attacker.send(PING)
    while endpoint.list_sockets() and _only_socket(endpoint).bytes_in == before:
        await trio.lowlevel.checkpoint()


def _only_socket(endpoint: Endpoint) -> ConnectionStatistics:
    return next(iter(endpoint.list_sockets().values()))


# -- many sockets --------------------------------------------------------------------------------


async def test_one_address_has_so_many_sockets_and_the_rest_is_told_429(node):
    limits = Limits(address=AddressLimits(connections=20))
    async with running(endpoint_with(limits)) as endpoint, connected(endpoint) as healthy:
        async with contextlib.AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(await attacker_stream(endpoint)) for _ in range(100)
            ]
            await until_exceeded(endpoint, "connections", 80)
            for stream in streams[20:]:
                with trio.fail_after(DEADLINE):
                    answer = bytes(await stream.receive_some())
                assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert endpoint.statistics().connections == 21
            await healthy.settle()
            async with connected(endpoint) as another:
                await another.settle()
        await until_connections(endpoint, 1)
        async with attacking(endpoint) as returned:
            await joined(returned)


async def test_connections_one_after_the_other_are_limited_by_their_rate(node):
    limits = Limits(address=AddressLimits(connects=Rate(0.001, burst=5)))
    async with running(endpoint_with(limits)) as endpoint, connected(endpoint) as healthy:
        for _ in range(12):
            async with await attacker_stream(endpoint):
                pass
        await until_exceeded(endpoint, "connects", 7)
        await healthy.settle()


async def test_requests_beyond_the_rate_of_an_address_are_answered_429(node):
    limits = Limits(address=AddressLimits(messages=Rate(0.001, burst=5)))
    async with running(endpoint_with(limits)) as endpoint:
        statuses = []
        async with await attacker_stream(endpoint) as stream:
            for _ in range(8):
                await stream.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                with trio.fail_after(DEADLINE):
                    statuses.append(bytes(await stream.receive_some()).split()[1])
        assert statuses == [b"200"] * 5 + [b"429"] * 3


# -- many topics ---------------------------------------------------------------------------------


async def test_joins_beyond_the_rate_are_refused_by_reply(node):
    limits = Limits(joins=Rate(0.001, burst=5))
    async with running(endpoint_with(limits)) as endpoint, connected(endpoint) as healthy:
        async with attacking(endpoint) as attacker:
            for n in range(12):
                await attacker.send(message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}))
            await attacker.read_until(12)
            assert attacker.answers() == {"ok": 5, "too many joins": 7}
        assert endpoint.statistics().exceeded == {"joins": 7}
        await healthy.join("room:1")


async def test_topics_of_one_address_are_limited_until_they_are_left(node):
    limits = Limits(address=AddressLimits(topics=3))
    async with running(endpoint_with(limits)) as endpoint, connected(endpoint) as healthy:
        async with attacking(endpoint) as first, attacking(endpoint) as second:
            for n in range(2):
                await first.send(message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}))
                await second.send(message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}))
            await first.read_until(2)
            await second.read_until(2)
            answers = first.answers() + second.answers()
            assert answers == {"ok": 3, "too many topics": 1}
        await until_connections(endpoint, 1)
        async with attacking(endpoint) as third:
            await joined(third)
            assert third.answers() == {"ok": 1}
        await healthy.join("room:1")


async def test_what_waits_for_a_join_is_bounded_in_bytes(node):
    limits = Limits(held_bytes=10_000)
    async with running(endpoint_with(limits)) as endpoint, attacking(endpoint) as attacker:
        await attacker.send(message("1", "1", "room:slow", "phx_join", {}))
        for n in range(5):
            await attacker.send(message("1", f"{n}", "room:slow", "push", {"x": "x" * 4_000}))
        await attacker.read_until(3)
        assert attacker.answers() == {"join pending": 3}
        assert endpoint.statistics().exceeded == {"held": 3}


# -- floods --------------------------------------------------------------------------------------


async def test_an_ordinary_client_may_join_a_hundred_topics_and_send_a_few_hundred_messages(node):
    async with running(endpoint_with(Limits())) as endpoint, attacking(endpoint) as client:
        for n in range(100):
            await client.send(message(f"{n}", f"{n}", f"room:{n}", "phx_join", {}))
        for n in range(500):
            await client.send(message("1", f"{100 + n}", "room:1", "hello", {}))
        await client.read_until(600)
        assert client.answers() == {"ok": 600}
        assert endpoint.statistics().exceeded == {}


async def test_what_a_flooding_client_reads_says_what_was_too_many(node):
    limits = Limits(messages=Rate(10, burst=20))
    async with running(endpoint_with(limits)) as endpoint, attacking(endpoint) as attacker:
        for _ in range(41):
            await attacker.send(message(None, "1", "phoenix", "heartbeat", {}))
        await attacker.read_to_the_end()
        assert attacker.close == (4029, "too many messages: a connection may send 10 a second")


@pytest.mark.parametrize("engine", ["websockets", "wsproto"])
async def test_a_flood_of_pings_is_one_too(node, engine):
    limits = Limits(messages=Rate(10, burst=100))
    endpoint = Endpoint({"/socket": Socket}, port=0, limits=limits, engine=engine)
    async with running(endpoint), attacking(endpoint) as attacker:
        await attacker.send(PING * 500)
        await attacker.read_to_the_end()
        await until_exceeded(endpoint, "messages", 1)


async def test_a_flood_of_bytes_is_one_too(node):
    limits = Limits(bytes=Rate(1000, burst=50_000))
    async with running(endpoint_with(limits)) as endpoint, attacking(endpoint) as attacker:
        for _ in range(4):
            await attacker.send(message(None, "1", "phoenix", "heartbeat", {"x": "x" * 30_000}))
        await attacker.read_to_the_end()
        assert endpoint.statistics().exceeded == {"bytes": 1}


async def test_many_connections_of_one_address_share_its_rate(node):
    limits = Limits(address=AddressLimits(messages=Rate(0.001, burst=60)))
    async with (
        running(endpoint_with(limits)) as endpoint,
        connected(endpoint) as healthy,
        contextlib.AsyncExitStack() as stack,
    ):
        attackers = [await stack.enter_async_context(attacking(endpoint)) for _ in range(4)]
        for attacker in attackers:
            for _ in range(20):
                await attacker.send(message(None, "1", "phoenix", "heartbeat", {}))
        await until_exceeded(endpoint, "address_messages", 1)
        await healthy.settle()
