"""The test kit for channels, used as a user would."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
import trio

from actors import Shutdown, spawn
from channels import (
    Binary,
    Channel,
    ConnectInfo,
    ConnectRefused,
    JoinRefused,
    PubSub,
    Reply,
    SocketRef,
    UserSocket,
    reply,
)
from channels.socket import PeerData
from channels.testing import (
    JoinRefusedError,
    assert_broadcast,
    assert_closed,
    assert_push,
    assert_reply,
    broadcast_from,
    close,
    connect,
    disconnect,
    join,
    leave,
    push,
    refresh,
    refute_broadcast,
    refute_closed,
    refute_push,
    refute_reply,
    subscribe_and_join,
)
from channels.testing import socket as socket_with
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


ENDED: list[Any] = []


class Slow(Channel):
    async def join(self, topic: str, payload: Any) -> Any: ...

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "hang":
            await trio.sleep_forever()
        return Reply.ok()

    async def terminate(self, reason: Any) -> None:
        ENDED.append((self.topic, reason))


class Socket(UserSocket):
    channels = {"room:*": Room, "slow:*": Slow}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        if "user" not in params:
            raise ConnectRefused("who?")
        self.assigns["user"] = params["user"]


class Curious(UserSocket):
    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        self.assigns.update(params=params, info=info)

    def id(self) -> str | None:
        return "users:7"

    async def refresh(self, params: dict[str, Any]) -> Any:
        if params["token"] == "bad":
            raise ConnectRefused("bad token", after_upgrade=True)
        self.assigns["token"] = params["token"]
        return {"expires_in": 60}


@pytest.fixture
async def socket(node):
    ENDED.clear()
    pubsub = PubSub()
    await Supervisor.start_link([pubsub])
    return await connect(Socket, {"user": "ann"}, pubsub=pubsub)


async def test_connect_raises_what_the_socket_refuses_with(autojump_clock, socket):
    with pytest.raises(ConnectRefused):
        await connect(Socket, {}, pubsub=socket.pubsub)


async def test_join_gives_the_answer_and_subscribe_and_join_the_channel(autojump_clock, socket):
    for verb in (join, subscribe_and_join):
        room = await verb(socket, f"room:{verb.__name__}", {})
        assert (room.topic, room.reply) == (f"room:{verb.__name__}", {"welcome": "ann"})
        assert room.pid.is_alive()


async def test_only_subscribe_and_join_subscribes_the_test_and_once(autojump_clock, socket):
    plain = await join(socket, "room:1")
    push(plain, "shout", {"n": 1})
    await assert_push(socket, "shout", {"n": 1})
    await refute_broadcast(socket, "shout")
    await subscribe_and_join(socket, "room:1")
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 2})
    await assert_broadcast(socket, "shout", {"n": 2})
    await refute_broadcast(socket, "shout")


async def test_another_process_may_join_and_push_for_the_test(autojump_clock, socket):
    answers: list[Any] = []

    async def other() -> None:
        room = await join(socket, "room:1")
        answers.append((await assert_reply(push(room, "ping", {"n": 1}))).payload)

    await spawn(other).wait_exited()
    assert answers == [{"status": "ok", "response": {"n": 1}}]


@pytest.mark.parametrize(
    ("payload", "reason"), [({"refuse": True}, "no"), ({"crash": True}, "join crashed")]
)
async def test_a_join_that_does_not_succeed_says_why(autojump_clock, socket, payload, reason):
    for verb in (join, subscribe_and_join):
        with structlog.testing.capture_logs(), pytest.raises(JoinRefusedError) as refused:
            await verb(socket, "room:1", payload)
        assert refused.value.response == {"reason": reason}


async def test_assert_reply_finds_the_answer_by_ref_status_and_pattern(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    first, second = push(room, "ping", {"n": 1}), push(room, "ping", {"n": 2})
    await assert_reply(second, "ok", lambda response: response["n"] > 1)
    await assert_reply(first, "ok", {"n": 1})
    await refute_reply(first)


async def test_an_async_reply_is_a_reply(autojump_clock, socket):
    await assert_reply(push(await subscribe_and_join(socket, "room:1"), "later"), "ok")


async def test_assert_broadcast_sees_what_the_channel_broadcasts_and_the_client_gets_it(
    autojump_clock, socket
):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    await assert_broadcast(room, "shout", {"n": 1})
    await assert_push(room, "shout", {"n": 1})
    await refute_broadcast(room, "shout")


async def test_broadcast_from_reaches_the_channels_client_but_not_the_test(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    broadcast_from(room, "news", {"n": 1})
    await assert_push(socket, "news", {"n": 1})
    await refute_broadcast(socket, "news")


async def test_payloads_are_what_json_makes_of_them(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    await assert_reply(push(room, "ping", {1: (2, 3)}), "ok", {"1": [2, 3]})


async def test_binary_payloads_travel_both_ways(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    ref = push(room, "bytes", Binary(b"abc"))
    await assert_push(room, "bytes", Binary(b"cba"))
    await assert_reply(ref, "ok", Binary(b"abc"))


async def test_leave_is_answered_and_closed_and_a_second_leave_is_harmless(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    await assert_reply(await leave(room), "ok")
    await assert_push(room, "phx_close")
    await assert_reply(await leave(room), "ok")


async def test_a_crash_is_a_phx_error_and_the_topic_can_be_joined_again(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    with structlog.testing.capture_logs():
        push(room, "crash")
        await assert_push(room, "phx_error", {"reason": "channel_crash"})
    await subscribe_and_join(socket, "room:1")


async def test_a_duplicate_join_closes_the_first(autojump_clock, socket):
    first = await subscribe_and_join(socket, "room:1")
    await join(socket, "room:1", {})
    closed = await assert_push(socket, "phx_close")
    assert closed.join_ref == first.join_ref


# -- builders ------------------------------------------------------------------------------------


async def test_a_socket_can_be_made_with_an_id_and_assigns_and_without_asking_connect(
    autojump_clock, socket
):
    made = await socket_with(Socket, "users:7", {"user": "eve"}, pubsub=socket.pubsub)
    assert (made.id, made.assigns) == ("users:7", {"user": "eve"})
    assert (await join(made, "room:1")).reply == {"welcome": "eve"}
    bare = await socket_with(Socket, pubsub=socket.pubsub)
    assert (bare.id, bare.assigns) == (None, {})


async def test_connect_asks_for_the_id_and_gives_what_the_client_has_sent(autojump_clock, socket):
    made = await connect(Curious, {1: {"a": [{2: "b"}]}}, pubsub=socket.pubsub, auth_token="secret")
    assert made.assigns["params"] == {"1": {"a": [{"2": "b"}]}}
    assert made.assigns["info"].auth_token == "secret"
    assert made.id == "users:7"
    info = ConnectInfo(PeerData("10.0.0.1", 9), "/ws", "a=b", (("user-agent", "pytest"),))
    made = await connect(Curious, pubsub=socket.pubsub, info=info)
    assert made.assigns["info"].user_agent == "pytest"


async def test_an_id_that_is_none_is_said_to_be_none(autojump_clock, socket):
    junk = type("Junk", (Curious,), {"id": lambda _: 7})
    with pytest.raises(TypeError, match=r"Junk.id\(\) gave 7"):
        await connect(junk, pubsub=socket.pubsub)


# -- what ends a connection ----------------------------------------------------------------------


async def test_disconnect_by_id_closes_all_connections_of_that_id_and_their_channels(
    autojump_clock, socket
):
    made = [await socket_with(Socket, "users:7", {"user": "a"}, pubsub=socket.pubsub) for _ in "ab"]
    rooms = [await join(each, "room:1") for each in made]
    disconnect(socket.pubsub, "users:7")
    for each in made:
        assert await assert_closed(each, 1001) == (1001, "disconnected by the server")
    for room in rooms:
        await room.pid.wait_exited()
    await refute_closed(socket)
    with pytest.raises(AssertionError, match="no close 4000; there is"):
        await assert_closed(made[0], 4000)


async def test_a_test_may_subscribe_to_the_id_of_its_own_socket(autojump_clock, socket):
    made = await socket_with(Socket, "room:id", {"user": "a"}, pubsub=socket.pubsub)
    await subscribe_and_join(made, "room:id")
    disconnect(socket.pubsub, "room:id")
    await assert_broadcast(made, "disconnect", {})
    await refute_broadcast(made, "disconnect")
    await assert_closed(made)


async def test_close_ends_the_channels_and_closing_again_is_harmless(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    await close(socket)
    assert not room.pid.is_alive()
    await close(socket)
    assert socket.received == []


async def test_close_ends_one_channel_which_hears_why_and_the_others_go_on(autojump_clock, socket):
    room, other = [await join(socket, f"slow:{number}") for number in (1, 2)]
    await close(room)
    assert ENDED.pop() == ("slow:1", Shutdown("closed"))
    await close(room)
    await assert_reply(push(other, "ping"), "ok")
    assert socket.received == []
    assert (await join(socket, "slow:1")).pid.is_alive()


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "channel"])
async def test_close_kills_what_lives_after_its_timeout(autojump_clock, socket, whole):
    room = await join(socket, "slow:1")
    push(room, "hang")
    before = trio.current_time()
    await close(socket if whole else room, timeout=0.25)
    assert not room.pid.is_alive()
    assert trio.current_time() - before == pytest.approx(0.25)
    assert ENDED == []


# -- new credentials -----------------------------------------------------------------------------


async def test_refresh_gives_new_credentials_as_a_client_does(autojump_clock, socket):
    made = await connect(Curious, pubsub=socket.pubsub)
    await assert_reply(refresh(made, {"token": "good"}), "ok", {"expires_in": 60})
    assert made.assigns["token"] == "good"
    await assert_reply(refresh(made, {"token": "bad"}), "error", {"reason": "bad token"})
    await assert_closed(made, 4003)
    await assert_reply(refresh(socket, {"token": "x"}), "error", {"reason": "unmatched topic"})


# -- what a failed assertion says ----------------------------------------------------------------


async def test_a_failed_assertion_says_what_there_is(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    with pytest.raises(AssertionError, match=r"no push 'whisper' ANY; there is .*shout"):
        await assert_push(room, "whisper")


async def test_a_failed_refutation_shows_what_came(autojump_clock, socket):
    room = await subscribe_and_join(socket, "room:1")
    push(room, "shout", {"n": 1})
    with pytest.raises(AssertionError, match=r"it came: .*shout"):
        await refute_push(room, "shout")
