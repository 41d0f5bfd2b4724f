"""Channels over a real connection: what a client sees of each thing that a channel can do."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import KILL, SHUTDOWN, Continue, NoReply, Pid, ProcessExit, Shutdown, Stop, current_node
from channels import (
    Channel,
    Endpoint,
    JoinRefused,
    NotJoinedError,
    Reply,
    SocketRef,
    UserSocket,
    reply,
)
from tests.channels.phoenix import Client, connected, running


class Room(Channel):
    """One event for each thing that a channel can do."""

    intercept = ("edited",)
    terminated: list[Any]

    async def join(self, topic: str, payload: Any) -> Any:
        match payload:
            case {"refuse": response}:
                raise JoinRefused(response)
            case {"crash": True}:
                raise RuntimeError("in join")
            case {"push": True}:
                self.push("too_early", {})
            case {"junk": "result"}:
                return {"x": object()}
            case {"junk": "refusal"}:
                raise JoinRefused({"x": object()})
            case {"wait": True}:
                await self.assigns["gate"].wait()
            case {"welcome": True}:
                self.pid.send("after join")
                return {"welcome": topic}
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "echo":
                return Reply.ok(payload)
            case "error":
                return Reply.error({"reason": "no"})
            case "silent":
                return NoReply(then=Continue("go on"))
            case "push":
                self.push("pushed", payload)
                return None
            case "shout" | "edited":
                self.broadcast(event, payload)
                return None
            case "tell_others":
                self.broadcast_from("told", payload)
                return None
            case "later":
                self.pid.send(self.socket_ref())
                return None
            case "stop":
                return Stop(Shutdown("done"), reply=Reply.ok({"bye": True}))
            case "crash":
                raise RuntimeError("in handle_in")
            case "exit":
                raise ProcessExit("gone")
            case "junk":
                return 42
            case "not_an_object":
                self.push("bad", [1])
                return None
        return await super().handle_in(event, payload)

    async def handle_out(self, event: str, payload: Any) -> Any:
        self.push(event, {**payload, "intercepted": True})

    async def handle_info(self, message: Any) -> Any:
        match message:
            case "after join":
                self.push("joined", {})
            case SocketRef():
                reply(message, Reply.ok("now"))

    async def handle_continue(self, token: Any) -> Any:
        self.push("continued", {"token": token})

    async def terminate(self, reason: Any) -> None:
        self.assigns["terminated"].append(reason)


class Socket(UserSocket):
    """Its channels share a gate and a list, to see what happens inside."""

    gate: trio.Event
    terminated: list[Any]
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.assigns.update(gate=type(self).gate, terminated=type(self).terminated)


@pytest.fixture
async def endpoint(node):
    socket = type("Socket", (Socket,), {"gate": trio.Event(), "terminated": []})
    async with running(Endpoint({"/socket": socket}, port=0)) as endpoint:
        endpoint.socket = socket  # type: ignore[attr-defined]  # for the tests to look into
        yield endpoint


@pytest.fixture
async def client(endpoint):
    async with connected(endpoint) as client:
        yield client


def processes(label: str) -> list[Pid]:
    return [pid for pid in current_node().processes if pid.label == label]


# -- join ----------------------------------------------------------------------------------------


async def test_join_answers_what_the_channel_returned_and_messages_to_itself_come_after(client):
    ref = client.ref()
    await client.send(ref, ref, "room:1", "phx_join", {"welcome": True})
    assert (await client.expect_reply(ref))["response"] == {"welcome": "room:1"}
    assert await client.expect() == [ref, None, "room:1", "joined", {}]


async def test_a_refused_join_answers_its_reason_and_leaves_no_process(client):
    ref = await client.push(None, "room:1", "phx_join", {"refuse": {"reason": "unauthorized"}})
    answer = {"status": "error", "response": {"reason": "unauthorized"}}
    assert await client.expect_reply(ref) == answer
    await trio.testing.wait_all_tasks_blocked()
    assert processes("Room") == []


async def test_a_join_that_crashes_is_answered_join_crashed(client):
    with structlog.testing.capture_logs():
        ref = await client.push(None, "room:1", "phx_join", {"crash": True})
        assert (await client.expect_reply(ref))["response"] == {"reason": "join crashed"}


@pytest.mark.parametrize("junk", ["result", "refusal"])
async def test_a_join_whose_answer_cannot_be_written_is_answered_join_crashed(client, junk):
    with structlog.testing.capture_logs():
        ref = await client.push(None, "room:1", "phx_join", {"junk": junk})
        assert (await client.expect_reply(ref))["response"] == {"reason": "join crashed"}
        await trio.testing.wait_all_tasks_blocked()
    await client.settle()  # nothing else came: no phx_error, nothing of terminate
    await client.join("room:1")


async def test_push_inside_join_raises_and_says_what_to_do(client):
    with structlog.testing.capture_logs() as logs:
        ref = await client.push(None, "room:1", "phx_join", {"push": True})
        assert (await client.expect_reply(ref))["response"] == {"reason": "join crashed"}
    errors = [entry["exc_info"] for entry in logs if entry.get("exc_info")]
    assert any(
        isinstance(error, NotJoinedError) and "handle_info" in str(error) for error in errors
    )


async def test_a_slow_join_holds_up_neither_heartbeats_nor_other_topics(client, endpoint):
    """C4."""
    slow = client.ref()
    await client.send(slow, slow, "room:slow", "phx_join", {"wait": True})
    await client.settle()
    other = await client.join("room:other")
    held = await client.push(slow, "room:slow", "echo", {"n": 1})
    ref = await client.push(other, "room:other", "echo", {})
    await client.expect_reply(ref)
    endpoint.socket.gate.set()
    assert (await client.expect_reply(slow))["status"] == "ok"
    assert (await client.expect_reply(held))["response"] == {"n": 1}


# -- pushes and replies --------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{"a": 1}, [1, 2], "text", 5, None, True])
async def test_a_reply_carries_any_json_value(client, payload):
    join_ref = await client.join("room:1")
    ref = client.ref()
    await client.send(join_ref, ref, "room:1", "echo", payload)
    assert await client.expect() == [
        join_ref, ref, "room:1", "phx_reply", {"status": "ok", "response": payload}
    ]  # fmt: skip


async def test_an_error_reply_has_status_error(client):
    ref = await client.push(await client.join("room:1"), "room:1", "error")
    assert await client.expect_reply(ref) == {"status": "error", "response": {"reason": "no"}}


async def test_an_unknown_event_is_answered_and_the_channel_lives(client):
    join_ref = await client.join("room:1")
    with structlog.testing.capture_logs() as logs:
        ref = await client.push(join_ref, "room:1", "nonsense")
        assert (await client.expect_reply(ref))["response"] == {"reason": "unmatched event"}
    assert [entry["event"] for entry in logs] == ["unmatched event", "handled"]
    ref = await client.push(join_ref, "room:1", "echo")
    assert (await client.expect_reply(ref))["status"] == "ok"


async def test_a_push_of_the_server_carries_the_join_ref_and_no_ref(client):
    join_ref = await client.join("room:1")
    await client.push(join_ref, "room:1", "push", {"n": 1})
    assert await client.expect() == [join_ref, None, "room:1", "pushed", {"n": 1}]


async def test_a_socket_ref_answers_after_the_handler_has_returned(client):
    ref = await client.push(await client.join("room:1"), "room:1", "later")
    assert await client.expect_reply(ref) == {"status": "ok", "response": "now"}


async def test_no_reply_may_continue(client):
    join_ref = await client.join("room:1")
    await client.push(join_ref, "room:1", "silent")
    assert (await client.expect())[3:] == ["continued", {"token": "go on"}]


# -- broadcasts ----------------------------------------------------------------------------------


async def both_joined(first: Client, second: Client) -> tuple[str, str]:
    return await first.join("room:1"), await second.join("room:1")


async def test_a_broadcast_reaches_everybody_without_refs_the_sender_included(client, endpoint):
    async with connected(endpoint) as other:
        join_ref, _ = await both_joined(client, other)
        await client.push(join_ref, "room:1", "shout", {"n": 1})
        frames = [await client.expect(), await other.expect()]
    assert frames == [[None, None, "room:1", "shout", {"n": 1}]] * 2


async def test_broadcast_from_reaches_the_others_only(client, endpoint):
    async with connected(endpoint) as other:
        join_ref, _ = await both_joined(client, other)
        await client.push(join_ref, "room:1", "tell_others", {"n": 1})
        assert (await other.expect())[3:] == ["told", {"n": 1}]
        await client.settle()


async def test_an_intercepted_event_goes_through_handle_out(client):
    join_ref = await client.join("room:1")
    await client.push(join_ref, "room:1", "edited", {"n": 1})
    assert (await client.expect())[4] == {"n": 1, "intercepted": True}


async def test_the_endpoint_broadcasts_to_a_topic(client, endpoint):
    await client.join("room:1")
    endpoint.broadcast("room:1", "news", {"n": 1})
    endpoint.broadcast("room:2", "news", {"n": 2})
    assert (await client.expect())[2:] == ["room:1", "news", {"n": 1}]


async def test_the_broadcasts_of_one_sender_arrive_in_order(client):
    join_ref = await client.join("room:1")
    for n in range(50):
        await client.push(join_ref, "room:1", "shout", {"n": n})
    assert [(await client.expect())[4]["n"] for _ in range(50)] == list(range(50))


# -- the end of a channel ------------------------------------------------------------------------


async def test_leave_is_answered_then_closed_and_terminate_hears_why(client, endpoint):
    """C7."""
    join_ref = await client.join("room:1")
    ref = await client.push(join_ref, "room:1", "phx_leave")
    assert (await client.expect_reply(ref)) == {"status": "ok", "response": {}}
    assert await client.expect() == [join_ref, join_ref, "room:1", "phx_close", {}]
    await trio.testing.wait_all_tasks_blocked()
    assert endpoint.socket.terminated == [Shutdown("left")]


async def test_a_stop_with_a_reply_is_answered_then_closed(client):
    join_ref = await client.join("room:1")
    ref = await client.push(join_ref, "room:1", "stop")
    assert (await client.expect_reply(ref))["response"] == {"bye": True}
    assert (await client.expect())[3] == "phx_close"


@pytest.mark.parametrize("event", ["crash", "exit", "junk", "not_an_object"])
async def test_a_channel_that_crashes_gives_phx_error_and_can_be_joined_again(client, event):
    join_ref = await client.join("room:1")
    with structlog.testing.capture_logs():
        await client.push(join_ref, "room:1", event)
        error = await client.expect()
    assert error == [join_ref, join_ref, "room:1", "phx_error", {"reason": "channel_crash"}]
    again = await client.join("room:1")
    ref = await client.push(again, "room:1", "echo")
    assert (await client.expect_reply(ref))["status"] == "ok"


async def test_a_crash_harms_neither_other_topics_nor_other_clients(client, endpoint):
    """C1."""
    async with connected(endpoint) as other:
        mine, theirs = await both_joined(client, other)
        mine_too = await client.join("room:2")
        with structlog.testing.capture_logs():
            await client.push(mine, "room:1", "crash")
            await client.expect()
        for who, join_ref, topic in ((client, mine_too, "room:2"), (other, theirs, "room:1")):
            ref = await who.push(join_ref, topic, "echo")
            assert (await who.expect_reply(ref))["status"] == "ok"


async def test_a_killed_channel_gives_phx_error(client):
    join_ref = await client.join("room:1")
    [room] = processes("Room")
    with structlog.testing.capture_logs():
        room.exit(KILL)
        assert (await client.expect())[:4] == [join_ref, join_ref, "room:1", "phx_error"]


async def test_when_the_pubsub_dies_its_channels_give_phx_error_and_are_joined_again(
    client, endpoint
):
    """C16: a channel without its subscription is deaf. This one traps exits."""
    join_ref = await client.join("room:1")
    with structlog.testing.capture_logs():
        endpoint.pubsub.pid.exit(KILL)
        assert (await client.expect())[:4] == [join_ref, join_ref, "room:1", "phx_error"]
    await trio.testing.wait_all_tasks_blocked()
    await client.join("room:1")
    endpoint.broadcast("room:1", "news", {"n": 1})
    assert (await client.expect())[3:] == ["news", {"n": 1}]


async def test_a_duplicate_join_stops_the_old_channel_and_closes_it_after_the_new_reply(
    client, endpoint
):
    """C8."""
    old = await client.join("room:1")
    new = client.ref()
    await client.send(new, new, "room:1", "phx_join", {})
    assert (await client.expect_reply(new))["status"] == "ok"
    assert await client.expect() == [old, old, "room:1", "phx_close", {}]
    assert len(processes("Room")) == 1
    assert endpoint.socket.terminated == [Shutdown("duplicate_join")]


async def test_when_the_connection_ends_its_channels_stop_with_closed(endpoint):
    async with connected(endpoint) as client:
        await client.join("room:1")
        await client.join("room:2")
    while processes("Room"):
        await processes("Room")[0].wait_exited()
    assert endpoint.socket.terminated == [Shutdown("closed")] * 2


@pytest.mark.parametrize("how", ["crash", "exit", "refuse"])
async def test_a_channel_that_lets_nobody_in_ends_without_terminate(node, how):
    """C24, as in Phoenix: `terminate` is for what has joined."""
    ended: list[tuple[str, Any]] = []

    class Guarded(Channel):
        async def join(self, topic: str, payload: Any) -> Any:
            match payload.get("how"):
                case "crash":
                    raise RuntimeError("on purpose")
                case "exit":
                    raise ProcessExit(SHUTDOWN)
                case "refuse":
                    raise JoinRefused

        async def terminate(self, reason: Any) -> None:
            ended.append((self.topic, reason))

    socket = type("Socket", (UserSocket,), {"channels": {"*": Guarded}})
    endpoint = Endpoint({"/socket": socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:
        await client.push(None, "a", "phx_join", {"how": how})
        assert (await client.expect())[4]["status"] == "error"
        await trio.testing.wait_all_tasks_blocked()
        assert ended == []
        join_ref = await client.join("b")
        await client.push(join_ref, "b", "phx_leave")
        await client.expect()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [("b", Shutdown("left"))]
