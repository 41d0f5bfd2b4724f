"""Long poll: the JSON status table, sessions, who gets in; over real connections."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from channels import AddressLimits, ConnectInfo, Endpoint, Limits
from supervisors import Supervisor
from tests.channels.endpoint.polling import OK, Socket, empty_poll, endpoint_with, until
from tests.channels.long_poll import Poller, request
from tests.channels.phoenix import DEADLINE, running

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
            await until(lambda: next(iter(endpoint._services.sessions.values()))._poll is not None)
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
            await until(lambda: session._poll is not None)
            old = session._poll
            nursery.start_soon(poll, "new")
            await until(lambda: session._poll is not old)
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
        await until(lambda: not endpoint._services.sessions)
        await until(lambda: not endpoint.pubsub.subscribers("room:1"))
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
        await until(lambda: not endpoint._services.sessions)
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
        await until(lambda: next(iter(endpoint._services.sessions.values()))._poll is not None)
        await Supervisor.stop(supervisor)
    assert statuses == [503]


async def test_one_address_has_so_many_sessions_and_is_then_told_to_come_back(node):
    limits = Limits(address=AddressLimits(connections=3))
    async with running(endpoint_with(limits=limits, window=DEADLINE)) as endpoint:
        for sessions in (1, 2):  # and a third time for the connection of the request itself
            await Poller(endpoint).open()
            await until(lambda sessions=sessions: endpoint.statistics().connections == sessions)
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
