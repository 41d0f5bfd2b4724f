"""No stranger writes long lines into a log: topics, events, refs, names and parameters are cut."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import structlog.testing
import trio

from actors import Stop, spawn
from channels import (
    Binary,
    Channel,
    ConnectInfo,
    Endpoint,
    Limits,
    Mount,
    ParameterFilter,
    Reply,
    UserSocket,
)
from channels.channel_start import JoinRequest
from channels.exceptions import NotAcknowledgedError, NotJoinedError
from channels.excerpts import excerpt, excerpts
from channels.messages import Broadcast, Message
from channels.multiplexer import Multiplexer
from tests.channels.long_poll import Poller
from tests.channels.phoenix import Client, connected, refusal, running

LONG = "x" * 30_000
LINE = 12_000  # characters of a line: a crash report's state, message and stack, and what is cut


class Room(Channel):
    log_handle_in = "info"

    async def join(self, topic: str, payload: Any) -> Any:
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        match payload:
            case {"crash": _}:
                raise RuntimeError("asked for")
            case {"junk": _}:
                return 42
            case {"info": _}:
                self.pid.send(Broadcast(self.topic, event, payload))
                self.pid.send((self.topic, payload))
                return Reply.ok()
            case {"stop": _}:
                return Stop("bad end")
        return await super().handle_in(event, payload)


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        self.assigns["name"] = params.get("name")

    def id(self) -> str | None:
        name = self.assigns["name"]
        return name and f"users:{name}"


def endpoint_with(**options: Any) -> Endpoint:
    limits = Limits().without_rates()
    return Endpoint({"/socket": Mount(Socket, longpoll=True, **options)}, port=0, limits=limits)


def longest(logs: list[Any]) -> int:
    assert logs
    return max(len(repr(log)) for log in logs)


async def misbehave(client: Client) -> None:
    ref = await client.push(None, f"nowhere:{LONG}", "phx_join", {LONG: LONG})
    assert (await client.expect_reply(ref))["status"] == "error"
    topic = f"room:{LONG}"
    for payload in ({}, {"info": LONG}, {"crash": LONG}, {"junk": LONG}, {"stop": LONG}):
        join_ref = await client.join(topic, {"a": LONG})
        await client.push(join_ref, topic, LONG, payload)
        if (await client.expect())[3] == "phx_reply":  # it lives
            await client.push(join_ref, topic, "phx_leave")
            assert [(await client.expect())[3] for _ in range(2)] == ["phx_reply", "phx_close"]
    for n in range(40):
        await client.join(f"room:{n}:{LONG}")


async def test_no_line_about_a_connection_and_its_channels_is_long(node):
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint_with()) as endpoint:
            path = f"/socket/websocket?vsn=2.0.0&name={LONG[:10_000]}"
            async with connected(endpoint, path) as client:
                await misbehave(client)
                await client.websocket.send_message(LONG)
                await client.expect_close()
    events = {log["event"] for log in logs}
    assert {"connected", "joined", "handled", "unmatched topic", "unmatched event"} <= events
    assert "unexpected message" in events
    assert {"GenServer terminating", "malformed frame", "disconnected"} <= events
    assert longest(logs) < LINE
    [end] = [log for log in logs if log["event"] == "disconnected"]
    assert len(end["topics"]) == 33
    assert {len(topic) for topic in end["topics"]} == {203, 3}


async def test_no_line_about_a_long_poll_is_long(node):
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint_with()) as endpoint:
            client = await Poller(endpoint, f"vsn=2.0.0&name={LONG[:10_000]}").open()
            await client.join(f"room:{LONG}", {"a": LONG})
            await client.post("1", "2", f"room:{LONG}", LONG, {"crash": LONG})
            await client.frames(1)
            await client.post_body(LONG.encode(), "application/x-ndjson")
    assert {"joined", "session ended"} <= {log["event"] for log in logs}
    assert longest(logs) < LINE


@pytest.mark.parametrize(
    "header",
    [
        b"sec-websocket-protocol: " + b"x" * 10_000,
        b"origin: http://" + b"x" * 10_000,
    ],
    ids=["subprotocol", "origin"],
)
async def test_no_line_about_who_is_refused_is_long(node, header):
    name, _, value = header.partition(b": ")
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint_with(subprotocols=("chat",))) as endpoint:
            path = f"/socket/websocket?vsn={LONG[:3_000]}"
            assert await refusal(endpoint, path, [(name, value)]) == 403
    assert longest(logs) < LINE


async def test_a_channel_that_cannot_be_started_is_told_in_a_short_line(node):
    nobody = spawn(trio.lowlevel.checkpoint)
    await nobody.wait_exited()
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint_with()) as endpoint, connected(endpoint) as client:
            endpoint._services.channels = nobody
            ref = await client.push(None, f"room:{LONG}", "phx_join", {"a": LONG})
            assert (await client.expect_reply(ref))["response"] == {"reason": "join crashed"}
    assert longest([log for log in logs if log["event"] == "channel did not start"]) < 1_000


SECRET = "hunter2"


@attrs.frozen
class Login:
    password: str


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ({"name": "ann", "password": SECRET}, "{'name': 'ann', 'password': '[FILTERED]'}"),
        ([{"token": SECRET}], "[{'token': '[FILTERED]'}]"),
        (f"user=ann&password={SECRET}", "'user=ann&password=[FILTERED]'"),
        (Binary(f"password={SECRET}".encode()), "'<16 bytes>'"),
        (Login(SECRET), "{'password': '[FILTERED]'}"),
        (f"password={SECRET}".encode(), "'<16 bytes>'"),
        (42, "42"),
        ({"name": "x" * 190, "more": "y" * 190}, "{'name': '" + "x" * 190 + "… (404 characters)"),
    ],
    ids=["object", "list", "form", "binary", "typed", "bytes", "number", "long"],
)
async def test_a_payload_that_is_returned_without_a_reply_is_told_filtered_and_shortened(
    node, returned, shown
):
    class Forgetful(Channel):
        async def join(self, topic: str, payload: Any) -> Any:
            return None

        async def handle_in(self, event: str, payload: Any) -> Any:
            return returned

    class Lobby(UserSocket):
        channels = {"room:*": Forgetful}

    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Lobby}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            ref = await client.join("room:1")
            await client.push(ref, "room:1", "login", {})
            assert (await client.expect())[3] == "phx_error"
    [report] = [log for log in logs if log["event"] == "GenServer terminating"]
    assert f"Forgetful.handle_in returned {shown} for 'login'; expected" in str(report["exc_info"])
    assert SECRET not in repr(logs)


async def test_what_a_filter_of_the_sockets_own_hides_is_hidden_of_a_wrong_return_too(node):
    class Lobby(UserSocket):
        channels = {"room:*": Room}
        log_filter = ParameterFilter(keep=["name"])

    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Lobby}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            ref = await client.join("room:1")
            await client.push(ref, "room:1", "pin", {"junk": 1})
            assert (await client.expect())[3] == "phx_error"
    assert "Room.handle_in returned '[FILTERED]' for 'pin'" in repr(logs)
    assert "42" not in repr([log["exc_info"] for log in logs if "exc_info" in log])


def test_no_repr_repeats_a_long_name():
    message = Message(LONG, LONG, LONG, LONG, {})
    table: Multiplexer[str, str] = Multiplexer(lambda topic: topic, max_channels=0)
    for n in range(1_000):
        table.receive(Message("1", "1", f"{n}{LONG[:1_000]}", "phx_join", {}))
    transport: Any = None
    for value in (
        message,
        Broadcast(LONG, LONG, {}),
        JoinRequest(transport, 1, LONG, LONG, {}, {}),
        NotJoinedError("push", LONG),
        NotAcknowledgedError(LONG, LONG, "nothing came"),
    ):
        assert len(repr(value)) < 1_200
    assert len(repr(table)) < 7_000


def test_excerpts_leave_what_is_short_and_say_that_there_was_more():
    assert excerpt("x" * 200) == "x" * 200
    assert excerpt("x" * 201) == "x" * 200 + "..."
    assert (excerpt(None), excerpt(7)) == (None, 7)
    assert excerpts(["a", "b"]) == ["a", "b"]
    assert excerpts("x" for _ in range(32)) == ["x"] * 32
    assert excerpts("x" for _ in range(33)) == ["x"] * 32 + ["..."]
