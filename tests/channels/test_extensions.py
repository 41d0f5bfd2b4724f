"""What Phoenix lacks, in a way that its clients ignore: refusals by close code, advice when to come
back, new credentials on a live connection, acknowledged pushes.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import structlog.testing
import trio

from actors import Shutdown
from channels import (
    Binary,
    Channel,
    ConnectInfo,
    ConnectRefused,
    Endpoint,
    InvalidPayloadError,
    Mount,
    NotAcknowledgedError,
    Reply,
    UserSocket,
)
from channels.transports import refresh as credentials
from tests.channels.long_poll import request
from tests.channels.phoenix import DEADLINE, Client, connected, refusal, running

PATH = "/socket/websocket?vsn=2.0.0"


class Room(Channel):
    outcomes: list[Any]

    async def join(self, topic: str, payload: Any) -> Any:
        return {"user": self.assigns.get("user")}

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "echo":
            return Reply.ok(payload)
        try:
            value = Binary(b"x") if event == "binary" else payload
            self.outcomes.append(await self.push_and_wait("ask", value, timeout=payload["timeout"]))
        except (NotAcknowledgedError, InvalidPayloadError) as error:
            self.outcomes.append(error)
        return Reply.ok()


class Socket(UserSocket):
    refusal: Any = None

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.assigns["user"] = "ann"

    async def refresh(self, params: dict[str, Any]) -> Any:
        match params:
            case {"token": "good"}:
                self.assigns["user"] = "eve"
                return {"expires_in": 60}
            case {"token": "ended"}:
                raise ConnectRefused("ended", after_upgrade=True)
            case {"token": "crash"}:
                raise RuntimeError("in refresh")
            case {"token": "junk"}:
                return {"x": object()}
            case {"token": "slow"}:
                await trio.sleep_forever()
            case {"token": "plain"}:
                return None
        raise ConnectRefused("bad token")


def serving(**attributes: Any) -> Endpoint:
    room = type("Room", (Room,), {"outcomes": []})
    socket = type("Socket", (Socket,), {"channels": {"room:*": room}, "room": room, **attributes})
    return Endpoint({"/socket": Mount(socket)}, port=0)


def outcomes(endpoint: Endpoint) -> list[Any]:
    found = endpoint._config.mounts.find("/socket/websocket")
    assert found is not None
    socket: Any = found[0].socket_class
    seen: list[Any] = socket.room.outcomes
    return seen


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (ConnectRefused("no such user", after_upgrade=True), 4003, {"reason": "no such user"}),
        (
            ConnectRefused("full", after_upgrade=True, retry_after=30),
            1013,
            {"reason": "full", "retry_after": 30},
        ),
        (ConnectRefused("gone", after_upgrade=True, code=4410), 4410, {"reason": "gone"}),
    ],
)
@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
async def test_a_refusal_may_be_told_by_a_close_code(node, engine, given, code, reason):
    socket = type("S", (Socket,), {"refusal": given})
    endpoint = Endpoint({"/socket": socket}, port=0, engine=engine)
    async with running(endpoint), connected(endpoint, PATH) as client:
        closed, words = await client.expect_close()
    assert (closed, json.loads(words)) == (code, reason)


async def test_a_long_reason_is_cut_so_that_it_stays_json(node):
    for words in ("x" * 500, '"\\\n' * 100, "é🚀" * 100):
        reason = ConnectRefused(words, retry_after=1.5).close_reason
        assert len(reason.encode()) <= 123
        read = json.loads(reason)
        assert read["retry_after"] == 1.5
        assert words.startswith(read["reason"])


async def test_a_mount_may_have_all_refusals_told_by_a_close_code(node):
    socket = type("S", (Socket,), {"refusal": ConnectRefused("no")})
    mount = Mount(socket, refuse_after_upgrade=True)
    async with running(Endpoint({"/socket": mount}, port=0)) as endpoint:
        async with connected(endpoint, PATH) as client:
            assert (await client.expect_close())[0] == 4003
        host, port = endpoint.addresses[0]
        async with await trio.open_tcp_stream(host, port) as stream:  # not an upgrade at all
            await stream.send_all(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 400 ")


class Junk(Socket):
    def id(self) -> Any:
        return 7


TOKEN = "base64url.bearer.phx."


@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/socket/websocket?vsn=9.0.0", {}, "unsupported vsn"),
        ("/socket/websocket?vsn[]=2.0.0", {}, "unsupported vsn"),
        (PATH, {"headers": [(b"origin", b"http://evil.example")]}, "origin not allowed"),
        (PATH, {"subprotocols": ["mqtt", "soap"]}, "no common subprotocol"),
        (PATH, {"subprotocols": ["phoenix", f"{TOKEN}!"]}, "malformed auth token"),
        (PATH, {"subprotocols": [f"{TOKEN}!", "phoenix"]}, "malformed auth token"),
        ("/junk/websocket?vsn=2.0.0", {}, "refused"),
    ],
)
async def test_all_refusals_of_such_a_mount_are_told_not_only_those_of_connect(
    node, engine, path, options, reason
):
    """A subprotocol is agreed to all the same: browsers give a page no code where none is."""
    mount = Mount(Socket, refuse_after_upgrade=True, auth_token=True, subprotocols=("own",))
    sockets = {"/socket": mount, "/junk": Mount(Junk, refuse_after_upgrade=True)}
    endpoint = Endpoint(sockets, port=0, engine=engine)
    async with running(endpoint), connected(endpoint, path, **options) as client:
        offered = options.get("subprotocols", [])
        agreed = client.websocket.subprotocol
        assert agreed == next((name for name in offered if TOKEN not in name), None)
        code, words = await client.expect_close()
    assert (code, json.loads(words)) == (4003, {"reason": reason})


async def test_a_connect_that_crashes_is_http_500_where_refusals_are_told_too(node):
    class Crashing(Socket):
        async def connect(self, params: Any, info: Any) -> None:
            raise RuntimeError("on purpose")

    mount = Mount(Crashing, refuse_after_upgrade=True)
    async with running(Endpoint({"/socket": mount}, port=0)) as endpoint:
        assert await refusal(endpoint, PATH) == 500


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (ConnectRefused("secret"), {}),
        (ConnectRefused("secret", retry_after=2.5), {"retry_after": 2.5}),
        (ConnectRefused("full", after_upgrade=True), {"reason": "full"}),
        (
            ConnectRefused("full", after_upgrade=True, retry_after=30),
            {"reason": "full", "retry_after": 30},
        ),
    ],
)
async def test_a_refused_long_poll_is_told_as_much_as_a_websocket(node, given, told):
    """In the JSON, for a long poll has no close code, and in the header, for libraries."""
    socket = type("S", (Socket,), {"refusal": given})
    async with running(Endpoint({"/socket": Mount(socket, longpoll=True)}, port=0)) as endpoint:
        answer = await request(endpoint, "GET", "/socket/longpoll?vsn=2.0.0")
    assert (answer.status, answer.json) == (200, {"status": 403, **told})
    seconds = told.get("retry_after")
    assert answer.headers.get("retry-after") == (seconds and str(math.ceil(seconds)))


async def test_a_refusal_over_http_may_advise_when_to_come_back(node):
    socket = type("S", (Socket,), {"refusal": ConnectRefused("full", status=429, retry_after=2.5)})
    async with running(Endpoint({"/socket": socket}, port=0)) as endpoint:
        host, port = endpoint.addresses[0]
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            answer = bytes(await stream.receive_some())
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nretry-after: 3\r\n" in answer


async def test_a_refused_client_that_never_answers_the_close_is_let_go(node):
    socket = type("S", (Socket,), {"refusal": ConnectRefused("no", after_upgrade=True)})
    async with running(Endpoint({"/socket": socket}, port=0)) as endpoint:
        assert await refusal(endpoint, PATH) == 101  # and closes at once
        await nothing_is_left(endpoint)


async def nothing_is_left(endpoint: Endpoint) -> None:
    from supervisors import DynamicSupervisor

    with trio.fail_after(DEADLINE):
        while await DynamicSupervisor.which_children(endpoint._services.connection_supervisor()):
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("code", [1000, 1008, 3999, 5000])
def test_a_refusals_code_is_of_the_application_or_1013(code):
    with pytest.raises(ValueError, match="4000 to 4999"):
        ConnectRefused("no", code=code)


# -- new credentials -----------------------------------------------------------------------------


async def refresh(client: Client, payload: Any) -> Any:
    return await client.expect_reply(await client.push(None, "phoenix", "auth_token", payload))


async def test_new_credentials_are_taken_on_a_live_connection_and_seen_by_later_joins(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        assert (await joined(client, "room:1"))["user"] == "ann"
        answer = await refresh(client, {"token": "good"})
        assert answer == {"status": "ok", "response": {"expires_in": 60}}
        assert (await joined(client, "room:2"))["user"] == "eve"
        assert await refresh(client, {"token": "plain"}) == {"status": "ok", "response": {}}


async def joined(client: Client, topic: str) -> Any:
    ref = await client.push(None, topic, "phx_join")
    return (await client.expect_reply(ref))["response"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"token": "bad"}, "bad token"),
        ({"token": "crash"}, "refresh crashed"),
        ({"token": "junk"}, "refresh crashed"),
        ([1], "invalid payload"),
    ],
)
async def test_bad_credentials_are_refused_and_the_connection_goes_on(node, payload, reason):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        with structlog.testing.capture_logs() as logs:
            answer = await refresh(client, payload)
        assert answer == {"status": "error", "response": {"reason": reason}}
        assert "bad'" not in repr(logs)
        await client.settle()


async def test_credentials_may_be_refused_for_good(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        answer = await refresh(client, {"token": "ended"})
        assert answer == {"status": "error", "response": {"reason": "ended"}}
        assert await client.expect_close() == (4003, '{"reason":"ended"}')


async def test_while_credentials_are_looked_at_the_connection_goes_on_and_takes_no_others(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        await client.push(None, "phoenix", "auth_token", {"token": "slow"})
        await client.settle()
        answer = await refresh(client, {"token": "good"})
        assert answer == {"status": "error", "response": {"reason": "refresh pending"}}


async def test_who_takes_too_long_to_look_at_credentials_is_a_timeout(autojump_clock):
    with structlog.testing.capture_logs() as logs:
        outcome = await credentials.refresh(Socket(), {"token": "slow"})
    assert outcome == credentials.Outcome("error", {"reason": "timeout"}, limit="refresh_timeout")
    assert trio.current_time() == pytest.approx(credentials.TIMEOUT)
    assert [entry["event"] for entry in logs] == ["refresh took too long"]


async def test_a_socket_without_refresh_answers_as_phoenix_does(node):
    socket = type("S", (UserSocket,), {})
    endpoint = Endpoint({"/socket": socket}, port=0)
    async with running(endpoint), connected(endpoint, PATH) as client:
        ref = await client.push("7", "phoenix", "auth_token", {"token": "x"})
        reply = {"status": "error", "response": {"reason": "unmatched topic"}}
        assert await client.expect() == [None, ref, "phoenix", "phx_reply", reply]


# -- acknowledged pushes -------------------------------------------------------------------------


async def test_a_push_is_acknowledged_with_what_the_client_answers(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        join_ref = await client.join("room:1")
        ref = await client.push(join_ref, "room:1", "go", {"timeout": DEADLINE})
        _, ask, topic, event, payload = await client.expect()
        assert (topic, event, payload) == ("room:1", "ask", {"timeout": DEADLINE})
        await client.push(join_ref, "room:1", "phx_ack", {"ref": "another", "response": 1})
        await client.push(join_ref, "room:1", "phx_ack", {"ref": ask, "response": {"seen": True}})
        assert (await client.expect_reply(ref))["status"] == "ok"
        assert outcomes(endpoint) == [{"seen": True}]
        echo = await client.push(join_ref, "room:1", "echo", {"n": 1})  # stray acks were dropped
        assert (await client.expect_reply(echo))["response"] == {"n": 1}


async def test_a_client_that_does_not_acknowledge_gets_the_push_and_the_channel_goes_on(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        join_ref = await client.join("room:1")
        ref = await client.push(join_ref, "room:1", "go", {"timeout": 0.05})
        _, ask, _, event, _ = await client.expect()
        assert event == "ask"
        await client.expect_reply(ref)
        assert "nothing came in 0.05 s" in str(outcomes(endpoint)[0])
        await client.push(join_ref, "room:1", "phx_ack", {"ref": ask})  # too late
        echo = await client.push(join_ref, "room:1", "echo", {"n": 1})
        assert (await client.expect_reply(echo))["response"] == {"n": 1}


async def test_a_client_that_leaves_acknowledges_nothing_any_more(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        join_ref = await client.join("room:1")
        await client.push(join_ref, "room:1", "go", {"timeout": 60})
        assert (await client.expect())[3] == "ask"
        leave = await client.push(join_ref, "room:1", "phx_leave")
        frames = [await client.expect() for _ in range(3)]
        assert [(frame[1], frame[3]) for frame in frames[1:]] == [
            (leave, "phx_reply"),
            (join_ref, "phx_close"),
        ]
        assert "has left" in str(outcomes(endpoint)[0])


async def test_a_client_that_joins_again_acknowledges_nothing_any_more(node):
    """Its new join waits for no timeout of the old channel, which can still clean up."""
    ended: list[Any] = []

    class Tidy(Room):
        outcomes: list[Any] = []

        async def terminate(self, reason: Any) -> None:
            ended.append(reason)

    socket = type("S", (Socket,), {"channels": {"room:*": Tidy}})
    async with running(Endpoint({"/socket": socket}, port=0)) as endpoint:
        async with connected(endpoint) as client:
            join_ref = await client.join("room:1")
            await client.push(join_ref, "room:1", "ask", {"timeout": 60})
            await client.expect()
            await client.send("9", "9", "room:1", "phx_join", {})
            while (await client.expect())[1] != "9":
                pass
        assert [type(outcome) for outcome in Tidy.outcomes] == [NotAcknowledgedError]
        assert ended[0] == Shutdown("duplicate_join")


async def test_a_connection_that_ends_acknowledges_nothing_any_more(node):
    async with running(serving()) as endpoint:
        async with connected(endpoint, PATH) as client:
            join_ref = await client.join("room:1")
            await client.push(join_ref, "room:1", "go", {"timeout": 60})
            assert (await client.expect())[3] == "ask"
        with trio.fail_after(DEADLINE):
            while not outcomes(endpoint):
                await trio.lowlevel.checkpoint()
        assert "has left" in str(outcomes(endpoint)[0])


async def test_a_binary_push_cannot_be_acknowledged(node):
    async with running(serving()) as endpoint, connected(endpoint, PATH) as client:
        join_ref = await client.join("room:1")
        await client.expect_reply(await client.push(join_ref, "room:1", "binary", {"timeout": 1}))
        assert isinstance(outcomes(endpoint)[0], InvalidPayloadError)
