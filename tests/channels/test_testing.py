"""The test kit for channels, used as a user would."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from channels import (
    Binary,
    Channel,
    ConnectRefused,
    JoinRefused,
    PubSub,
    Reply,
    SocketRef,
    UserSocket,
    reply,
)
from channels.testing import (
    JoinRefusedError,
    assert_broadcast,
    assert_push,
    assert_reply,
    broadcast_from,
    close,
    connect,
    join,
    leave,
    push,
    refute_broadcast,
    refute_push,
    refute_reply,
    subscribe_and_join,
)
from supervisors import Supervisor


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        if payload == {"refuse": True}:
            raise JoinRefused({"reason": "no"})
        if payload == {"crash": True}:
            raise RuntimeError("join")
        return {"welcome": self.assigns["user"]}

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "ping":
                return Reply.ok(payload)
            case "shout":
                self.broadcast("shout", payload)
                return None
            case "bytes":
                self.push("bytes", Binary(payload.data[::-1]))
                return Reply.ok(payload)
            case "later":
                self.pid.send(self.socket_ref())
                return None
            case "crash":
                raise RuntimeError("handle_in")
        return await super().handle_in(event, payload)

    async def handle_info(self, message: Any) -> None:
        if isinstance(message, SocketRef):
            reply(message, Reply.ok({"late": True}))


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        if "user" not in params:
            raise ConnectRefused("who?")
        self.assigns["user"] = params["user"]


@pytest.fixture
async def socket(node, autojump_clock):
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return await connect(Socket, {"user": "ann"}, pubsub=pubsub)


async def test_connect_raises_what_the_socket_refuses_with(socket):
    with pytest.raises(ConnectRefused):
        await connect(Socket, {}, pubsub=socket.pubsub)


async def test_join_gives_the_answer_and_subscribe_and_join_the_channel(socket):
    _, answer = await join(socket, "room:1", {})
    assert answer == Reply.ok({"welcome": "ann"})
    room = await subscribe_and_join(socket, "room:2", {})
    assert (room.topic, room.reply) == ("room:2", {"welcome": "ann"})
    assert room.pid.is_alive()


@pytest.mark.parametrize(
    ("payload", "reason"), [({"refuse": True}, "no"), ({"crash": True}, "join crashed")]
)
async def test_a_join_that_does_not_succeed_says_why(socket, payload, reason):
    with structlog.testing.capture_logs(), pytest.raises(JoinRefusedError, match=reason):
        await subscribe_and_join(socket, "room:1", payload)


async def test_assert_reply_finds_the_answer_by_ref_status_and_pattern(socket):
    room = await subscribe_and_join(socket, "room:1")
    first, second = push(room, "ping", {"n": 1}), push(room, "ping", {"n": 2})
    await assert_reply(second, "ok", lambda response: response["n"] > 1)
    await assert_reply(first, "ok", {"n": 1})
    await refute_reply(first)


async def test_an_async_reply_is_a_reply(socket):
    await assert_reply(push(await subscribe_and_join(socket, "room:1"), "later"), "ok")


async def test_assert_broadcast_sees_what_the_channel_broadcasts_and_the_client_gets_it(socket):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    await assert_broadcast(room, "shout", {"n": 1})
    await assert_push(room, "shout", {"n": 1})
    await refute_broadcast(room, "shout")


async def test_broadcast_from_reaches_the_channels_client_but_not_the_test(socket):
    room = await subscribe_and_join(socket, "room:1")
    broadcast_from(room, "news", {"n": 1})
    await assert_push(socket, "news", {"n": 1})
    await refute_broadcast(socket, "news")


async def test_payloads_are_what_json_makes_of_them(socket):
    room = await subscribe_and_join(socket, "room:1")
    await assert_reply(push(room, "ping", {1: (2, 3)}), "ok", {"1": [2, 3]})


async def test_binary_payloads_travel_both_ways(socket):
    room = await subscribe_and_join(socket, "room:1")
    ref = push(room, "bytes", Binary(b"abc"))
    await assert_push(room, "bytes", Binary(b"cba"))
    await assert_reply(ref, "ok", Binary(b"abc"))


async def test_leave_is_answered_and_closed_and_a_second_leave_is_harmless(socket):
    room = await subscribe_and_join(socket, "room:1")
    await assert_reply(await leave(room), "ok")
    await assert_push(room, "phx_close")
    await assert_reply(await leave(room), "ok")


async def test_a_crash_is_a_phx_error_and_the_topic_can_be_joined_again(socket):
    room = await subscribe_and_join(socket, "room:1")
    with structlog.testing.capture_logs():
        push(room, "crash")
        await assert_push(room, "phx_error", {"reason": "channel_crash"})
    await subscribe_and_join(socket, "room:1")


async def test_a_duplicate_join_closes_the_first(socket):
    first = await subscribe_and_join(socket, "room:1")
    await join(socket, "room:1", {})
    closed = await assert_push(socket, "phx_close")
    assert closed.join_ref == first.join_ref


async def test_close_ends_the_channels_and_closing_again_is_harmless(socket):
    room = await subscribe_and_join(socket, "room:1")
    await close(socket)
    assert not room.pid.is_alive()
    await close(socket)


async def test_a_failed_assertion_says_what_there_is(socket):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    with pytest.raises(AssertionError, match=r"no push 'whisper' ANY; there is .*shout"):
        await assert_push(room, "whisper")


async def test_a_failed_refutation_shows_what_came(socket):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    with pytest.raises(AssertionError, match=r"it came: .*shout"):
        await refute_push(room, "shout")
