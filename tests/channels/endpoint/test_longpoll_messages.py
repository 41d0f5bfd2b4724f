"""Long poll: batches of messages, clients that hang up, limits; over real connections."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from channels import DropOldest, Endpoint, Limits, Rate
from tests.channels.endpoint.polling import OK, UNMATCHED, Socket, endpoint_with, until
from tests.channels.long_poll import Poller, request
from tests.channels.phoenix import DEADLINE, running

# -- messages ------------------------------------------------------------------------------------


async def test_an_event_on_a_topic_that_is_not_joined_is_refused_on_the_next_poll(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        assert await client.post("1", "1", "room:1", "echo", {}) == 200
        assert await client.frames(1) == [[None, "1", "room:1", "phx_reply", UNMATCHED]]


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_events_flow_after_a_join_with_and_without_a_join_ref(node, vsn):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint, f"vsn={vsn}").open()
        if vsn == "1.0.0":
            join = {"topic": "room:1", "event": "phx_join", "ref": "1", "payload": {}}
            echo = {"topic": "room:1", "event": "echo", "ref": "2", "payload": {"a": 1}}
        else:
            join = ["1", "1", "room:1", "phx_join", {}]  # type: ignore[assignment]  # V2's shape
            echo = [None, "2", "room:1", "echo", {"a": 1}]  # type: ignore[assignment]  # as above
        assert await client.post_body(json.dumps(join).encode(), "application/json") == 200
        await client.frames(3)
        assert await client.post_body(json.dumps(echo).encode(), "application/json") == 200
        (reply,) = await client.frames(1)
        assert {"status": "ok", "response": {"a": 1}} in (
            list(reply.values()) if vsn == "1.0.0" else reply
        )


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-ndjson; charset=utf-8"])
async def test_any_other_content_type_is_one_frame_of_json(node, content_type):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        assert (
            await client.post(None, "1", "phoenix", "heartbeat", {}, content_type=content_type)
            == 200
        )
        assert await client.frames(1) == [[None, "1", "phoenix", "phx_reply", OK]]


async def test_a_batch_keeps_its_order_drops_stale_lines_and_takes_binary_ones(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        binary = bytes((0, 1, 1, 6, 4)) + b"14room:1echo" + b"\x01\x02\x03"
        assert (
            await client.post_lines(
                b'["1","2","room:1","echo",{"n":2}]\r',
                b'["0","3","room:1","echo",{"stale":true}]',
                b"",
                base64.b64encode(binary),
                b'["1","5","room:1","echo",{"n":5}]',
                b"",
            )
            == 200
        )
        replies = await client.frames(3)
        assert [(reply[1], reply[4]["response"]) for reply in replies] == [
            ("2", {"n": 2}),
            ("4", {"size": 3}),
            ("5", {"n": 5}),
        ]


async def test_of_a_batch_the_first_hundred_frames_are_handled(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        lines = (f'[null,"{n}","phoenix","heartbeat",{{}}]'.encode() for n in range(150))
        assert await client.post_lines(*lines) == 200
        assert await client.post(None, "last", "phoenix", "heartbeat", {}) == 200
        refs = [*map(str, range(100)), "last"]
        assert [frame[1] for frame in await client.frames(101)] == refs
        assert client.inbox == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"garbage", "application/json"),
        (b"[]", "application/json"),
        (b"not base64!", "application/x-ndjson"),
        (b"BwA=", "application/x-ndjson"),
    ],
)
async def test_a_malformed_frame_ends_the_session_and_nothing_else(node, body, content_type):
    async with running(endpoint_with()) as endpoint:
        client, other = await Poller(endpoint).open(), await Poller(endpoint).open()
        with structlog.testing.capture_logs():
            assert await client.post_body(body, content_type) == 410
        assert await other.post(None, "1", "phoenix", "heartbeat", {}) == 200


async def test_no_handler_and_no_join_holds_up_a_post(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        assert await client.post("1", "2", "room:1", "slow", {}) == 200
        assert await client.post("3", "3", "room:slow", "phx_join", {}) == 200
        assert await client.post(None, "4", "phoenix", "heartbeat", {}) == 200
        assert await client.frames(1) == [[None, "4", "phoenix", "phx_reply", OK]]


async def test_a_crash_is_told_on_a_later_poll(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        with structlog.testing.capture_logs():
            assert await client.post("1", "2", "room:1", "crash", {}) == 200
            error = await client.frames(1)
        assert error == [["1", "1", "room:1", "phx_error", {"reason": "channel_crash"}]]


async def test_a_stale_leave_is_ignored_and_one_without_a_join_ref_is_not(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        assert await client.post("0", "2", "room:1", "phx_leave", {}) == 200
        assert await client.post(None, "3", "room:1", "phx_leave", {}) == 200
        reply, close = await client.frames(2)  # the stale one has none
        assert (reply[1], reply[3], close[3]) == ("3", "phx_reply", "phx_close")


async def test_binary_frames_for_the_client_are_dropped_and_logged(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        with structlog.testing.capture_logs() as logs:
            await client.post("1", "2", "room:1", "binary", {})
            assert (await client.frames(1))[0][1] == "2"
        assert "long poll cannot carry a binary frame" in [entry["event"] for entry in logs]


# -- clients that hang up ------------------------------------------------------------------------


async def a_poll_waits(endpoint: Endpoint) -> Any:
    """The only session, when a poll waits in it."""
    [session] = endpoint._services.sessions.values()
    await until(lambda: session._poll is not None)
    return session


async def test_a_client_that_hangs_up_while_it_polls_finds_everything_at_its_next_poll(node):
    async with running(endpoint_with(window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
            head = f"GET {client.path}&token={client.token} HTTP/1.1\r\nhost: x\r\n\r\n"
            await stream.send_all(head.encode())
            session = await a_poll_waits(endpoint)
        await until(lambda: session._poll is None)
        endpoint.broadcast("room:1", "news", {"n": 1})
        assert [frame[3:] for frame in await client.frames(1)] == [["news", {"n": 1}]]


async def test_what_a_client_sends_while_it_polls_is_its_next_request(node):
    async with running(endpoint_with(window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
            head = f"GET {client.path}&token={client.token} HTTP/1.1\r\nhost: x\r\n\r\n"
            await stream.send_all(head.encode())
            await a_poll_waits(endpoint)
            await stream.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked()
            endpoint.broadcast("room:1", "news", {"n": 1})
            with trio.fail_after(DEADLINE):
                answers = b"".join([bytes(piece) async for piece in stream])
        assert answers.count(b"HTTP/1.1 200 ") == 2
        assert b"news" in answers
        assert answers.endswith(b'{"status":"ok"}')


async def test_with_a_window_of_zero_a_poll_waits_until_there_is_something(node, mock_clock):
    async with running(endpoint_with(window=0)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        async with trio.open_nursery() as nursery:

            async def poll() -> None:
                frames = await client.frames(1)
                assert [frame[3] for frame in frames] == ["news"]

            nursery.start_soon(poll)
            await a_poll_waits(endpoint)
            mock_clock.jump(4.0)  # the test's own client waits 5 s at the most
            await trio.testing.wait_all_tasks_blocked()
            endpoint.broadcast("room:1", "news", {})


async def test_with_a_window_of_zero_a_client_that_is_gone_is_noticed_all_the_same(
    node, mock_clock
):
    async with running(endpoint_with(window=0)) as endpoint:
        client = await Poller(endpoint).open()
        async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
            head = f"GET {client.path}&token={client.token} HTTP/1.1\r\nhost: x\r\n\r\n"
            await stream.send_all(head.encode())
            session = await a_poll_waits(endpoint)
            mock_clock.jump(1_000.0)
            await trio.testing.wait_all_tasks_blocked()
            assert endpoint._services.sessions
        await until(lambda: session._poll is None)
        mock_clock.jump(14.9)
        await trio.testing.wait_all_tasks_blocked()
        assert endpoint._services.sessions
        mock_clock.jump(0.2)
        await until(lambda: not endpoint._services.sessions)
        assert endpoint.statistics().exceeded == {"idle": 1}


# -- limits --------------------------------------------------------------------------------------


async def test_the_101st_topic_is_refused(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        for start in (0, 50, 100):
            lines = (
                f'["{n}","{n}","room:{n}","phx_join",{{}}]'.encode()
                for n in range(start, min(start + 50, 101))
            )
            assert await client.post_lines(*lines) == 200
        replies: list[Any] = []
        while len(replies) < 101:
            replies += [f for f in await client.frames(1) if f[3] == "phx_reply"]
        refused = [reply for reply in replies if reply[4]["status"] == "error"]
        reason = {"status": "error", "response": {"reason": "too many channels joined"}}
        assert refused == [["100", "100", "room:100", "phx_reply", reason]]


async def test_a_body_beyond_the_limit_is_http_400(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        headers = {"x-phoenix-longpoll-token": client.token}
        answer = await request(endpoint, "POST", client.path, headers, b"x" * 20_001)
        assert answer.status == 400
        assert endpoint.statistics().exceeded == {"message_size": 1}


async def test_a_frame_beyond_the_limit_is_http_400(node):
    async with running(endpoint_with(limits=Limits(max_message_size=100))) as endpoint:
        client = await Poller(endpoint).open()
        headers = {"x-phoenix-longpoll-token": client.token}
        answer = await request(endpoint, "POST", client.path, headers, b"x" * 101)
        assert answer.status == 400
        assert await client.post(None, "1", "phoenix", "heartbeat", {}) == 200


async def test_frames_beyond_the_rate_are_refused_with_429_as_a_whole(node):
    limits = Limits(messages=Rate(0.001, burst=10))
    async with running(endpoint_with(limits=limits)) as endpoint:
        client = await Poller(endpoint).open()
        heartbeats = [f'[null,"{n}","phoenix","heartbeat",{{}}]'.encode() for n in range(11)]
        assert await client.post_lines(*heartbeats) == 429
        assert await client.post_lines(*heartbeats[:10]) == 200
        assert len(await client.frames(10)) == 10
        assert endpoint.statistics().exceeded == {"messages": 1}


async def test_a_client_that_does_not_poll_keeps_so_many_bytes_and_is_then_given_up(node):
    limits = Limits(outbox=10_000)
    async with running(endpoint_with(limits=limits, window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        for n in range(30):
            endpoint.broadcast("room:1", "news", {"n": n, "padding": "x" * 1_000})
        assert endpoint.statistics().exceeded == {"slow_clients": 1}
        assert (await client.get())["status"] == 410


async def test_a_client_that_does_not_poll_may_keep_the_newest(node):
    class Lossy(Socket):
        overflow = DropOldest()

    limits = Limits(outbox=10_000)
    async with running(endpoint_with(Lossy, limits=limits, window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        for n in range(30):
            endpoint.broadcast("room:1", "news", {"n": n, "padding": "x" * 1_000})
        frames = [json.loads(frame) for frame in (await client.get())["messages"]]
        assert [frame[4]["n"] for frame in frames] == list(range(30 - len(frames), 30))
        assert 5 < len(frames) < 11
