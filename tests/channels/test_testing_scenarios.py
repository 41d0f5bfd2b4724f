"""The cases of Phoenix's own suite of its test helpers (protocol reference 5.6), played with `channels.testing`.

The kit itself is tested in test_testing.py; the table is tests/conformance/channels/channel_test_helper.toml.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import structlog.testing

from actors import NORMAL, SHUTDOWN, Crash, NoReply, Shutdown, Stop, introspection, spawn
from channels import Channel, PubSub, Reply, SocketRef, UserSocket, reply
from channels.testing import (
    ANY,
    TestSocket,
    assert_broadcast,
    assert_push,
    assert_reply,
    broadcast_from,
    join,
    leave,
    push,
    refute_broadcast,
    refute_push,
    refute_reply,
    subscribe_and_join,
)
from channels.testing import socket as socket_with
from supervisors import Supervisor


@attrs.frozen
class Point:
    """A value that is no JSON."""

    x: int


class Room(Channel):
    intercept = ("stop", "edited")

    async def join(self, topic: str, payload: Any) -> Any:
        return {"payload": payload, "assigns": {**self.assigns, "ended": None}}

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "noreply":
                self.push("noreply", payload)
                return NoReply()
            case "reply":
                return Reply.ok(payload) if payload else Reply.ok()
            case "later":
                spawn(answer, self.socket_ref(), payload)
                return None
            case "broadcast":
                self.broadcast_from("broadcast", payload)
                return None
            case "subscribe":
                self._transport.pubsub.subscribe(payload["topic"], pid=self.pid)
                return Reply.ok()
            case "stop":
                self.push("before the stop", {})
                return Stop(NORMAL)
            case "stop and reply":
                return Stop(SHUTDOWN, reply=Reply.ok(payload) if payload else Reply.ok())
            case "crash":
                raise RuntimeError("in handle_in")
            case "state":
                self.kept = Point(1)
                return Reply.ok()
        return await super().handle_in(event, payload)

    async def handle_out(self, event: str, payload: Any) -> Any:
        if event == "stop":
            return Stop(SHUTDOWN)
        return await super().handle_out(event, {**payload, "edited": True})

    async def handle_info(self, message: Any) -> Any:
        match message:
            case "stop":
                return Stop(SHUTDOWN)
            case "push":
                self.push("info", {"reason": "push"})
                return None
            case "broadcast":
                self.broadcast_from("info", {"reason": "broadcast"})
                return None
            case _ if getattr(message, "event", None) == "from outside":
                self.push("heard", message.payload)
                return None
        return await super().handle_info(message)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return Stop(SHUTDOWN, reply="stopped") if request == "stop" else request

    async def handle_cast(self, message: Any) -> Any:
        if message == "stop":
            return Stop(SHUTDOWN)
        self.push("cast", message)
        return None

    async def terminate(self, reason: Any) -> None:
        self.assigns["ended"].append(reason)
        self.push("bye", {})


async def answer(socket_ref: SocketRef, payload: Any) -> None:
    reply(socket_ref, Reply.ok(payload))


class Socket(UserSocket):
    channels = {"room:*": Room, "static:*": (Room, {"kind": "static", "user": "route"})}


@pytest.fixture
async def ended() -> list[Any]:
    """The reasons that `terminate` has heard."""
    return []


@pytest.fixture
async def socket(node, ended) -> TestSocket:
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return await socket_with(Socket, "users:1", {"user": "ann", "ended": ended}, pubsub=pubsub)


def events(socket: TestSocket) -> list[str]:
    """What the client has got and no assertion has taken, in order."""
    return [message.event for message in socket.received]


# -- pushes and replies --------------------------------------------------------------------------


async def test_a_push_is_pushed_back_and_not_answered(autojump_clock, socket):
    room = await join(socket, "room:1")
    ref = push(room, "noreply", {"resp": "foo"})
    await assert_push(room, "noreply", {"resp": "foo"})
    await refute_reply(ref)


async def test_a_pushed_message_may_be_matched_by_a_guard(autojump_clock, socket):
    room = await join(socket, "room:1")
    push(room, "noreply", {"number": 7})
    with pytest.raises(AssertionError, match="no push 'noreply'"):
        await assert_push(room, "noreply", lambda payload: payload["number"] > 7)
    await assert_push(room, "noreply", lambda payload: payload["number"] == 7)


async def test_a_push_is_answered_with_a_status_and_perhaps_a_payload(autojump_clock, socket):
    room = await join(socket, "room:1")
    await assert_reply(push(room, "reply"), "ok", {})
    await refute_push(room, "reply")
    ref = push(room, "reply", {"number": 7})
    await refute_reply(ref, "error")
    await refute_reply(ref, "ok", lambda response: response["number"] > 7)
    await assert_reply(ref, lambda status: status in {"ok", "error"}, {"number": 7})


async def test_payloads_may_be_lists(autojump_clock, socket):
    room = await join(socket, "room:1")
    await assert_reply(push(room, "reply", [{"a": 1}, 2]), "ok", [{"a": 1}, 2])


async def test_a_push_is_answered_by_another_process(autojump_clock, socket):
    room = await join(socket, "room:1")
    await assert_reply(push(room, "later", {"a": 1}), "ok", {"a": 1})


async def test_keys_become_strings_in_pushes_joins_and_broadcasts(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1", {1: {2: "x"}})
    assert room.reply["payload"] == {"1": {"2": "x"}}
    await assert_reply(push(room, "reply", {1: {2: "x"}}), "ok", {"1": {"2": "x"}})


async def test_values_of_the_program_stay_what_they_are_inside_the_channel(autojump_clock, socket):
    room = await join(socket, "room:1")
    await assert_reply(push(room, "state"), "ok")
    assert (await introspection.get_state(room.pid))["kept"] == Point(1)


# -- broadcasts ----------------------------------------------------------------------------------


async def test_what_a_channel_broadcasts_is_seen_by_the_test_and_may_be_matched_by_a_guard(
    autojump_clock, socket
):
    room = await subscribe_and_join(socket, "room:1")
    await refute_broadcast(room, "broadcast")
    push(room, "broadcast", {"number": 7})
    with pytest.raises(AssertionError, match="no broadcast 'broadcast'"):
        await assert_broadcast(room, "broadcast", lambda payload: payload["number"] > 7)
    await assert_broadcast(room, "broadcast", lambda payload: payload["number"] == 7)


async def test_broadcasts_of_the_test_and_of_others_are_passed_on_by_default(
    autojump_clock, socket
):
    room = await subscribe_and_join(socket, "room:1")
    broadcast_from(room, "default", {"by": "test"})
    await assert_push(room, "default", {"by": "test"})

    async def other() -> None:
        broadcast_from(room, "default", {"by": "other"})

    spawn(other)
    await assert_push(room, "default", {"by": "other"})


async def test_an_intercepted_broadcast_may_be_edited_or_stop_the_channel(
    autojump_clock, socket, ended
):
    room = await subscribe_and_join(socket, "room:1")
    broadcast_from(room, "edited", {"a": 1})
    await assert_push(room, "edited", {"a": 1, "edited": True})
    broadcast_from(room, "stop", {})
    await room.pid.wait_exited()
    assert ended == [SHUTDOWN]
    assert events(socket) == ["phx_close", "bye"]


async def test_a_subscription_to_another_topic_reaches_handle_info(autojump_clock, socket):
    room, other = await join(socket, "room:1"), await join(socket, "room:2")
    broadcast_from(other, "from outside", {"n": 1})
    await refute_push(room, "heard")
    await assert_reply(push(room, "subscribe", {"topic": "room:2"}), "ok")
    broadcast_from(other, "from outside", {"n": 2})
    await assert_push(room, "heard", {"n": 2})


# -- messages, calls and casts -------------------------------------------------------------------


async def test_a_message_may_make_the_channel_push(autojump_clock, socket):
    room = await join(socket, "room:1")
    room.pid.send("push")
    await assert_push(room, "info", {"reason": "push"})


async def test_a_message_may_make_the_channel_broadcast(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    room.pid.send("broadcast")
    await assert_broadcast(room, "info", {"reason": "broadcast"})


async def test_a_message_that_nobody_handles_is_a_warning(autojump_clock, socket):
    room = await join(socket, "room:1")
    with structlog.testing.capture_logs() as logs:
        room.pid.send("who?")
        await assert_reply(push(room, "reply"), "ok")
    told = [(entry["log_level"], entry["event"]) for entry in logs if entry["event"] != "handled"]
    assert told == [("warning", "unexpected message")]


async def test_a_channel_answers_calls_and_takes_casts(autojump_clock, socket):
    room = await join(socket, "room:1")
    assert await room.pid.call({"a": 1}) == {"a": 1}
    room.pid.cast({"n": 1})
    await assert_push(room, "cast", {"n": 1})


# -- ends ----------------------------------------------------------------------------------------


async def stop_by(room: Any, how: str) -> None:
    match how:
        case "message":
            room.pid.send("stop")
        case "call":
            assert await room.pid.call("stop") == "stopped"
        case "cast":
            room.pid.cast("stop")


@pytest.mark.parametrize("how", ["message", "call", "cast"])
async def test_a_stop_that_no_push_asked_for_closes_before_what_terminate_pushes(
    autojump_clock, socket, ended, how
):
    room = await join(socket, "room:1")
    await stop_by(room, how)
    await room.pid.wait_exited()
    assert ended == [SHUTDOWN]
    assert events(socket) == ["phx_close", "bye"]


async def test_a_stop_after_a_push_closes_and_what_is_pushed_then_finds_no_topic(
    autojump_clock, socket, ended
):
    room = await join(socket, "room:1")
    ref = push(room, "stop")
    await room.pid.wait_exited()
    assert ended == [NORMAL]
    assert events(socket) == ["before the stop", "phx_close", "bye"]
    await refute_reply(ref)
    await assert_reply(push(room, "reply"), "error", {"reason": "unmatched topic"})


@pytest.mark.parametrize("payload", [None, {"resp": "foo"}], ids=["status", "payload"])
async def test_a_stop_with_a_reply_answers_then_closes_then_says_goodbye(
    autojump_clock, socket, ended, payload
):
    room = await join(socket, "room:1")
    ref = push(room, "stop and reply", payload)
    await room.pid.wait_exited()
    assert ended == [SHUTDOWN]
    assert events(socket) == ["phx_reply", "phx_close", "bye"]
    await assert_reply(ref, "ok", payload or {})


async def test_a_crash_runs_terminate_and_is_an_error_and_no_close(autojump_clock, socket, ended):
    room = await join(socket, "room:1")
    with structlog.testing.capture_logs():
        ref = push(room, "crash")
        await room.pid.wait_exited()
    [reason] = ended
    assert isinstance(reason, Crash)
    assert events(socket) == ["bye", "phx_error"]
    await assert_push(socket, "phx_error", {"reason": "channel_crash"})
    await refute_reply(ref)


async def test_leaving_is_answered_and_leaving_again_is_harmless(autojump_clock, socket, ended):
    room = await join(socket, "room:1")
    ref = await leave(room)
    await room.pid.wait_exited()
    assert ended == [Shutdown("left")]
    assert events(socket) == ["phx_reply", "phx_close", "bye"]
    await assert_reply(ref, "ok", {})
    await assert_reply(await leave(room), "ok", {})


# -- joins ---------------------------------------------------------------------------------------


async def test_a_route_adds_its_assigns_over_those_of_the_socket(autojump_clock, socket):
    assigns = (await join(socket, "static:1")).reply["assigns"]
    assert assigns == {"user": "route", "kind": "static", "ended": None}
    assert (await join(socket, "room:1")).reply["assigns"] == {"user": "ann", "ended": None}


async def test_any_pattern_matches_anything(autojump_clock, socket):
    room = await join(socket, "room:1")
    await assert_reply(push(room, "reply", {"a": 1}), ANY, ANY)
