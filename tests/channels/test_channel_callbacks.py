"""Callbacks and races of channels that upstream's suites name and that need a channel of their own."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import Crash, Shutdown, Stop, current_node, introspection, spawn
from channels import (
    Binary,
    Channel,
    Endpoint,
    JoinRefused,
    NotJoinedError,
    Reply,
    SocketRef,
    UserSocket,
    reply,
)
from channels.transports import base
from tests.channels.phoenix import connected, running


class Room(Channel):
    intercept = ("stop_out", "passed")
    seen: list[Any]

    async def join(self, topic: str, payload: Any) -> Any:
        if payload.get("ref"):
            try:
                self.socket_ref()
            except NotJoinedError as error:
                raise JoinRefused({"reason": str(error)}) from None
        if payload.get("early"):  # somebody else broadcasts before the join is answered
            endpoint: Endpoint = self.assigns["endpoint"]
            endpoint.broadcast(topic, "too_early", {})
        if payload.get("after"):
            self.pid.send("after join")
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "ref":
                self.assigns["refs"].append(self.socket_ref())
                return None
            case "bytes":
                self.push("bytes_back", Binary(payload.data + b"!"))
                return Reply.ok(payload)
            case "stop" | "stop_error":
                reason = Shutdown("done") if event == "stop" else Crash(RuntimeError("bad end"))
                return Stop(reason, reply=Reply.ok() if payload.get("reply") else Reply.error())
        return Reply.ok(payload)

    async def handle_out(self, event: str, payload: Any) -> Any:
        if event == "stop_out":
            return Stop(Shutdown("out"))
        return await super().handle_out(event, payload)

    async def handle_info(self, message: Any) -> Any:
        match message:
            case "after join":
                self.push("joined", {"topic": self.topic})
                self.broadcast("user_entered", {"user": 1})
                return None
            case "push":
                self.push("pushed", {})
                return None
            case "stop":
                return Stop(Shutdown("info"))
        return await super().handle_info(message)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return (request, self.topic)

    async def handle_cast(self, message: Any) -> Any:
        self.push("cast", message)

    async def terminate(self, reason: Any) -> None:
        self.push("bye", {})


class Socket(UserSocket):
    channels = {"room:*": Room, "*": Room}
    endpoint: Any = None
    refs: list[Any] = []

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.assigns.update(endpoint=type(self).endpoint, refs=type(self).refs)


@pytest.fixture
async def endpoint(node):
    socket = type("Socket", (Socket,), {"refs": []})
    endpoint = Endpoint({"/socket": socket}, port=0)
    socket.endpoint = endpoint  # type: ignore[attr-defined]  # for `join` to broadcast with
    async with running(endpoint):
        endpoint.refs = socket.refs  # type: ignore[attr-defined]  # for the tests to answer with
        yield endpoint


@pytest.fixture
async def client(endpoint):
    async with connected(endpoint) as client:
        yield client


def channel() -> Any:
    [pid] = [pid for pid in current_node().processes if pid.label == "Room"]
    return pid


# -- the full flow -------------------------------------------------------------------------------


async def test_the_full_flow_frame_by_frame(client):
    await client.send("1", "1", "room:lobby", "phx_join", {"after": True})
    ok = {"status": "ok", "response": {}}
    assert await client.expect() == ["1", "1", "room:lobby", "phx_reply", ok]
    assert await client.expect() == ["1", None, "room:lobby", "joined", {"topic": "room:lobby"}]
    assert await client.expect() == [None, None, "room:lobby", "user_entered", {"user": 1}]
    await client.send("1", "2", "room:lobby", "ping", {"a": 1})
    reply_ = {"status": "ok", "response": {"a": 1}}
    assert await client.expect() == ["1", "2", "room:lobby", "phx_reply", reply_]
    await client.send(None, "9", "phoenix", "heartbeat", {})
    assert await client.expect() == [None, "9", "phoenix", "phx_reply", ok]
    pid = channel()
    await client.send("1", "4", "room:lobby", "phx_leave", {})
    assert await client.expect() == ["1", "4", "room:lobby", "phx_reply", ok]
    assert await client.expect() == ["1", "1", "room:lobby", "phx_close", {}]
    assert await client.expect() == ["1", None, "room:lobby", "bye", {}]
    await pid.wait_exited()
    await client.send("1", "5", "room:lobby", "ping", {})
    unmatched = {"status": "error", "response": {"reason": "unmatched topic"}}
    assert await client.expect() == [None, "5", "room:lobby", "phx_reply", unmatched]
    await client.settle()


async def test_a_binary_push_gets_a_binary_reply_and_a_binary_push_back(client):
    await client.send("12", "12", "room:1", "phx_join", {})
    await client.expect()
    await client.websocket.send_message(b"\x00\x02\x03\x06\x0512123room:1bytesabc")
    assert await client.websocket.get_message() == b"\x00\x02\x06\x0a12room:1bytes_backabc!"
    assert await client.websocket.get_message() == b"\x01\x02\x03\x06\x0212123room:1okabc"


@pytest.mark.parametrize("topic", ["", "комната:1", "room:café π 🚀", "room:\x00\n"])
async def test_any_text_is_a_topic(client, endpoint, topic):
    await client.join(topic)
    endpoint.broadcast(topic, "π", {"n": 1})
    assert await client.expect() == [None, None, topic, "π", {"n": 1}]


# -- callbacks -----------------------------------------------------------------------------------


async def test_a_channel_is_called_and_cast_to_like_any_server(client):
    join_ref = await client.join("room:1")
    pid = channel()
    assert await pid.call("question") == ("question", "room:1")
    pid.cast({"n": 1})
    assert await client.expect() == [join_ref, None, "room:1", "cast", {"n": 1}]


async def test_topic_join_ref_and_assigns_of_a_channel_can_be_looked_at_from_outside(client):
    join_ref = await client.join("room:1")
    state = await introspection.get_state(channel())
    assert (state["topic"], state["join_ref"]) == ("room:1", join_ref)
    assert state["assigns"].keys() == {"endpoint", "refs"}


async def test_handle_info_may_push_and_stop(client):
    join_ref = await client.join("room:1")
    pid = channel()
    pid.send("push")
    assert await client.expect() == [join_ref, None, "room:1", "pushed", {}]
    pid.send("stop")
    assert (await client.expect())[:4] == [join_ref, join_ref, "room:1", "phx_close"]
    await pid.wait_exited()


async def test_a_message_that_nobody_handles_is_logged_and_costs_nothing(client):
    await client.join("room:1")
    with structlog.testing.capture_logs() as logs:
        channel().send(("what", "is", "this"))
        await trio.testing.wait_all_tasks_blocked()
    assert [entry["event"] for entry in logs] == ["unexpected message"]
    echo = await client.push(None, "room:1", "echo", {"n": 1})
    assert (await client.expect_reply(echo))["response"] == {"n": 1}


async def test_handle_out_passes_on_by_default_and_may_stop(client, endpoint):
    join_ref = await client.join("room:1")
    endpoint.broadcast("room:1", "passed", {"n": 1})
    assert await client.expect() == [join_ref, None, "room:1", "passed", {"n": 1}]
    endpoint.broadcast("room:1", "stop_out", {})
    assert (await client.expect())[:4] == [join_ref, join_ref, "room:1", "phx_close"]


@pytest.mark.parametrize(
    ("event", "frames"),
    [("stop", ["phx_close", "bye"]), ("stop_error", ["bye", "phx_error"])],  # bye: of terminate
)
@pytest.mark.parametrize(("wanted", "status"), [(True, "ok"), (False, "error")])
async def test_a_stop_with_a_reply_answers_first_whatever_the_reason(
    client, event, frames, wanted, status
):
    join_ref = await client.join("room:1")
    with structlog.testing.capture_logs():
        ref = await client.push(join_ref, "room:1", event, {"reply": wanted})
        assert await client.expect_reply(ref) == {"status": status, "response": {}}
        assert [(await client.expect())[3] for _ in range(2)] == frames


async def test_socket_ref_is_for_a_push_with_a_ref_on_a_joined_topic(client, endpoint):
    ref = await client.push(None, "room:1", "phx_join", {"ref": True})
    refused = await client.expect_reply(ref)
    assert "socket_ref" in refused["response"]["reason"]
    join_ref = await client.join("room:2")
    with structlog.testing.capture_logs():
        await client.send(join_ref, None, "room:2", "ref", {})
        assert [(await client.expect())[3] for _ in range(2)] == ["bye", "phx_error"]


# -- races ---------------------------------------------------------------------------------------


async def test_a_broadcast_before_the_join_is_answered_is_not_sent(client, endpoint):
    ref = await client.push(None, "room:1", "phx_join", {"early": True})
    assert (await client.expect_reply(ref))["status"] == "ok"
    endpoint.broadcast("room:1", "later", {})
    assert (await client.expect())[3] == "later"


async def one_ref(client: Any, endpoint: Any) -> tuple[str, str, SocketRef]:
    join_ref = await client.join("room:1")
    ref = await client.push(join_ref, "room:1", "ref", {})
    await client.settle()
    return join_ref, ref, endpoint.refs[-1]


async def test_a_ref_may_be_answered_many_times_from_any_process(client, endpoint):
    join_ref, ref, socket_ref = await one_ref(client, endpoint)

    async def answer() -> None:
        for n in range(3):
            reply(socket_ref, Reply.ok({"n": n}))

    spawn(answer)
    for n in range(3):
        reply_ = {"status": "ok", "response": {"n": n}}
        assert await client.expect() == [join_ref, ref, "room:1", "phx_reply", reply_]


async def test_a_reply_after_the_leave_carries_the_old_join_ref(client, endpoint):
    join_ref, ref, socket_ref = await one_ref(client, endpoint)
    await client.push(join_ref, "room:1", "phx_leave")
    assert [(await client.expect())[3] for _ in range(3)] == ["phx_reply", "phx_close", "bye"]
    reply(socket_ref, Reply.ok())
    assert (await client.expect())[:4] == [join_ref, ref, "room:1", "phx_reply"]
    await client.settle()


async def test_a_reply_after_a_rejoin_carries_the_old_join_ref(client, endpoint):
    old, ref, socket_ref = await one_ref(client, endpoint)
    new = client.ref()
    await client.send(new, new, "room:1", "phx_join", {})
    frames = [await client.expect() for _ in range(3)]
    assert [(frame[0], frame[3]) for frame in frames] == [
        (old, "bye"),  # at once: nothing waits for the new join, as in Phoenix it would
        (new, "phx_reply"),
        (old, "phx_close"),
    ]
    reply(socket_ref, Reply.ok())
    assert (await client.expect())[:2] == [old, ref]


async def test_a_stale_leave_after_a_rejoin_leaves_nothing(client):
    old = await client.join("room:1")
    new = client.ref()
    await client.send(new, new, "room:1", "phx_join", {})
    frames = [await client.expect() for _ in range(3)]
    assert [frame[3] for frame in frames] == ["bye", "phx_reply", "phx_close"]
    await client.push(old, "room:1", "phx_leave")  # late, as of a client that was interrupted
    echo = await client.push(new, "room:1", "echo", {"n": 1})
    assert await client.expect_reply(echo) == {"status": "ok", "response": {"n": 1}}


async def test_a_reply_after_the_connection_has_ended_is_dropped(endpoint):
    async with connected(endpoint) as client:
        _, _, socket_ref = await one_ref(client, endpoint)
    with trio.fail_after(5):
        while endpoint.list_sockets():
            await trio.lowlevel.checkpoint()
    reply(socket_ref, Reply.ok())


async def test_a_push_to_a_channel_that_is_dying_is_answered_or_closed_but_harms_nothing(client):
    join_ref = await client.join("room:1")
    for _ in range(20):
        await client.push(join_ref, "room:1", "echo", {})
    await client.push(join_ref, "room:1", "stop", {})
    for _ in range(20):
        await client.push(join_ref, "room:1", "echo", {})
    ref = client.ref()
    await client.send(None, ref, "phoenix", "heartbeat", {})
    while (await client.expect())[1] != ref:
        pass
    await client.join("room:1")


class Stubborn(Channel):
    """Does not look at its mailbox while it handles a push, and traps exits by its `terminate`."""

    async def join(self, topic: str, payload: Any) -> Any:
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        await trio.sleep_forever()

    async def terminate(self, reason: Any) -> None:
        raise AssertionError("a killed channel has no last word")


async def test_a_channel_that_does_not_end_is_killed_and_its_successor_starts(node, monkeypatch):
    assert base.CHANNEL_STOP_TIMEOUT == 5.0
    monkeypatch.setattr(base, "CHANNEL_STOP_TIMEOUT", 0.1)
    socket = type("S", (UserSocket,), {"channels": {"*": Stubborn}})
    endpoint = Endpoint({"/socket": socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:
        old = await client.join("room:1")
        [first] = [pid for pid in current_node().processes if pid.label == "Stubborn"]
        await client.push(old, "room:1", "block")
        new = await client.join("room:1")
        assert (await client.expect())[:4] == [old, old, "room:1", "phx_close"]
        assert not first.is_alive()
        assert new != old
