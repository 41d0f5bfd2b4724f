"""Long poll: the JSON status table, sessions, batches, limits; over real connections."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from channels import (
    AddressLimits,
    Binary,
    Channel,
    ConnectInfo,
    ConnectRefused,
    DropOldest,
    Endpoint,
    Limits,
    LongPoll,
    Mount,
    Rate,
    Reply,
    UserSocket,
)
from supervisors import Supervisor
from tests.channels.long_poll import Poller, request
from tests.channels.phoenix import DEADLINE, running

OK = {"status": "ok", "response": {}}
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        if topic == "room:slow":
            await trio.sleep_forever()
        self.pid.send("after join")

    async def handle_info(self, message: Any) -> Any:
        if message == "after join":
            self.broadcast("user_entered", {"user": "ann"})
            self.push("joined", {"status": "connected"})

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "echo":
                return Reply.ok({"size": len(payload.data)} if type(payload) is Binary else payload)
            case "crash":
                raise RuntimeError("asked for")
            case "binary":
                self.push("bytes", Binary(b"abc"))
                return Reply.ok()
            case "slow":
                await trio.sleep_forever()
        return await super().handle_in(event, payload)


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        match params:
            case {"refuse": status}:
                raise ConnectRefused("by test", status=int(status))
            case {"crash": _}:
                raise RuntimeError("in connect")
        self.assigns["info"] = info

    def id(self) -> str | None:
        return "users:ann"


def endpoint_with(
    socket: type[UserSocket] = Socket,
    *,
    window: float = 60.0,  # no session ends because a machine is busy
    path: str = "/socket",
    **options: Any,
) -> Endpoint:
    mount = Mount(socket, longpoll=LongPoll(window=window, max_body=20_000))
    return Endpoint({path: mount}, port=0, **options)


async def empty_poll(client: Poller, endpoint: Endpoint, clock: Any) -> Any:
    """The answer to a poll for which nothing comes in its whole window."""
    [session] = endpoint._services.sessions.values()
    answers: list[Any] = []

    async def poll() -> None:
        answers.append(await client.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await _until(lambda: session._poll is not None)
        clock.jump(session.window)
    return answers[0]


# -- sessions ------------------------------------------------------------------------------------


async def test_a_first_poll_is_told_410_and_the_token_of_a_session(node):
    async with running(endpoint_with()) as endpoint:
        answer = await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")
        assert (answer.status, answer.json["status"], answer.json["messages"]) == (200, 410, [])
        assert answer.json["token"]
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_join_reply_broadcast_and_push_come_in_order_and_then_nothing(node, mock_clock):
    async with running(endpoint_with(window=2.0)) as endpoint:
        client = await Poller(endpoint).open()
        token = client.token
        assert await client.post("1", "1", "room:1", "phx_join", {}) == 200
        assert await client.frames(3) == [
            ["1", "1", "room:1", "phx_reply", OK],
            [None, None, "room:1", "user_entered", {"user": "ann"}],
            ["1", None, "room:1", "joined", {"status": "connected"}],
        ]
        nothing = await empty_poll(client, endpoint, mock_clock)
        assert nothing == {"status": 204, "token": token, "messages": []}


async def test_a_poll_waits_for_what_comes_within_its_window(node):
    async with running(endpoint_with(window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        await client.frames(2)
        answers: list[Any] = []

        async def poll() -> None:
            answers.append(await client.get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await _until(lambda: next(iter(endpoint._services.sessions.values()))._poll is not None)
            endpoint.broadcast("room:1", "news", {"n": 1})
        assert [json.loads(frame)[3:] for frame in answers[0]["messages"]] == [["news", {"n": 1}]]


async def test_a_newer_poll_takes_over_and_the_older_ends_with_204(node):
    async with running(endpoint_with(window=DEADLINE)) as endpoint:
        client = await Poller(endpoint).open()
        session = next(iter(endpoint._services.sessions.values()))
        answers: dict[str, Any] = {}

        async def poll(name: str) -> None:
            answers[name] = await client.get()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll, "old")
            await _until(lambda: session._poll is not None)
            old = session._poll
            nursery.start_soon(poll, "new")
            await _until(lambda: session._poll is not old)
            await client.post(None, "1", "phoenix", "heartbeat", {})
        assert answers["old"]["status"] == 204
        assert answers["new"]["status"] == 200


async def test_a_session_without_polls_ends_and_its_channels_with_it(node, mock_clock):
    async with running(endpoint_with(window=10.0)) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        mock_clock.jump(14.9)
        assert await client.post("1", "2", "room:1", "echo", {}) == 200
        mock_clock.jump(0.2)  # one and a half windows since the last poll
        await _until(lambda: not endpoint._services.sessions)
        await _until(lambda: not endpoint.pubsub.subscribers("room:1"))
        assert await client.post("1", "3", "room:1", "echo", {}) == 410
        statistics = endpoint.statistics()
        assert statistics.exceeded == {"idle": 1}
        token = client.token
        assert (await client.get())["status"] == 410
        assert client.token != token


@pytest.mark.parametrize("token", ["", "nonsense", "US1.W10.AAAA"])
async def test_a_bad_token_is_answered_410(node, token):
    async with running(endpoint_with()) as endpoint:
        client = Poller(endpoint)
        client.token = token
        assert await client.post(None, "1", "phoenix", "heartbeat", {}) == 410
        assert (await client.get())["status"] == 410


async def test_a_token_of_another_endpoint_is_not_accepted(node):
    async with running(endpoint_with()) as endpoint, running(endpoint_with()) as other:
        client = await Poller(endpoint).open()
        stranger = Poller(other)
        stranger.token = client.token
        assert await stranger.post(None, "1", "phoenix", "heartbeat", {}) == 410


async def test_the_token_may_be_a_parameter_and_the_header_wins(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        by_parameter = Poller(endpoint, f"vsn=2.0.0&token={client.token}")
        assert await by_parameter.post(None, "1", "phoenix", "heartbeat", {}) == 200
        header_wins = Poller(endpoint, "vsn=2.0.0&token=stale")
        header_wins.token = client.token
        assert (await header_wins.get())["status"] == 200


async def test_disconnect_ends_a_session_and_the_next_requests_are_told_410(node):
    async with running(endpoint_with()) as endpoint:
        client = await Poller(endpoint).open()
        await client.join("room:1")
        endpoint.disconnect("users:ann")
        await _until(lambda: not endpoint._services.sessions)
        assert await client.post("1", "2", "room:1", "echo", {}) == 410
        assert (await client.get())["status"] == 410


async def test_a_stopped_endpoint_ends_a_poll_that_waits(node):
    endpoint = endpoint_with(window=DEADLINE)
    supervisor = await Supervisor.start_link([endpoint])
    client = await Poller(endpoint).open()
    statuses: list[int] = []

    async def poll() -> None:
        headers = {"x-phoenix-longpoll-token": client.token}
        statuses.append((await request(endpoint, "GET", client.path, headers)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await _until(lambda: next(iter(endpoint._services.sessions.values()))._poll is not None)
        await Supervisor.stop(supervisor)
    assert statuses == [503]


async def test_one_address_has_so_many_sessions_and_is_then_told_to_come_back(node):
    limits = Limits(address=AddressLimits(connections=3))
    async with running(endpoint_with(limits=limits, window=DEADLINE)) as endpoint:
        for sessions in (1, 2):  # and a third time for the connection of the request itself
            await Poller(endpoint).open()
            await _until(lambda sessions=sessions: endpoint.statistics().connections == sessions)
        answer = await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")
        assert (answer.status, answer.json["status"]) == (429, 500)
        assert endpoint.statistics().exceeded == {"connections": 1}


# -- who gets in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["vsn=2.0.0&refuse=403", "vsn=2.0.0&refuse=429", "vsn=123.1.1", "vsn[]=2.0.0"]
)
async def test_whoever_is_refused_hears_403_in_json(node, query):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs():
            assert await Poller(endpoint, query).get() == {"status": 403}


async def test_a_crash_in_connect_is_http_500(node):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs():
            answer = await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0&crash=1")
        assert answer.status == 500


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_another_origin_hears_403_in_json_and_our_own_does_not(node, method):
    async with running(endpoint_with()) as endpoint:
        body = b"[]" if method == "POST" else b""
        with structlog.testing.capture_logs():
            evil = {"origin": "http://evil.example"}
            answer = await request(endpoint, method, "/socket/longpoll?vsn=2.0.0", evil, body)
        assert (answer.status, answer.json) == (200, {"status": 403})
        own = {"origin": str(endpoint.url)}
        answer = await request(endpoint, method, "/socket/longpoll?vsn=2.0.0", own, body)
        assert answer.json["status"] == 410


async def test_a_mount_has_no_long_poll_unless_it_says_so(node):
    async with running(Endpoint({"/socket": Socket}, port=0)) as endpoint:
        assert (await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")).status == 404


async def test_connect_sees_the_request_and_the_variables_of_the_path(node):
    seen: list[tuple[dict[str, Any], ConnectInfo]] = []

    class Curious(Socket):
        async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
            seen.append((params, info))

    async with running(endpoint_with(Curious, path="/ws/:user")) as endpoint:
        headers = {"x-extra": "1", "traceparent": "00-abc", "user-agent": "test"}
        answer = await request(endpoint, "GET", "/ws/ann/longpoll?vsn=2.0.0&a=b", headers)
        assert answer.json["status"] == 410
        params, info = seen[0]
        assert params == {"vsn": "2.0.0", "a": "b", "user": "ann"}
        assert info.transport == "longpoll"
        assert info.x_headers == (("x-extra", "1"),)
        assert info.trace_context_headers == (("traceparent", "00-abc"),)
        assert info.peer.address == "127.0.0.1"
        assert (info.uri.path, info.uri.query) == ("/ws/ann/longpoll", "vsn=2.0.0&a=b")
        assert info.user_agent == "test"


async def test_passwords_do_not_reach_the_log(node):
    async with running(endpoint_with()) as endpoint:
        with structlog.testing.capture_logs() as logs:
            client = await Poller(endpoint, "vsn=2.0.0&password=hunter2").open()
            await client.join("room:1", {"password": "hunter2"})
        assert "hunter2" not in repr(logs)
        assert repr(logs).count("[FILTERED]") == 2


# -- methods -------------------------------------------------------------------------------------


async def test_options_is_answered_with_what_a_browser_may_send(node):
    async with running(endpoint_with()) as endpoint:
        headers = {"access-control-request-headers": "x-phoenix-longpoll-token"}
        answer = await request(endpoint, "OPTIONS", "/socket/longpoll", headers)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == "x-phoenix-longpoll-token"
        assert answer.headers["access-control-allow-methods"] == "get, post, options"
        assert answer.headers["access-control-max-age"] == "3600"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_other_methods_are_http_400(node, method):
    async with running(endpoint_with()) as endpoint:
        assert (await request(endpoint, method, "/socket/longpoll?vsn=2.0.0")).status == 400


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
    await _until(lambda: session._poll is not None)
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
        await _until(lambda: session._poll is None)
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
        await _until(lambda: session._poll is None)
        mock_clock.jump(14.9)
        await trio.testing.wait_all_tasks_blocked()
        assert endpoint._services.sessions
        mock_clock.jump(0.2)
        await _until(lambda: not endpoint._services.sessions)
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


async def _until(condition: Any) -> None:
    with trio.fail_after(DEADLINE):
        while not condition():
            await trio.lowlevel.checkpoint()
