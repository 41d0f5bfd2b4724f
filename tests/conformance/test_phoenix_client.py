"""The real npm `phoenix` client, on Node with `ws` as its transport, against the running demo node."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import trio

from tests.conformance.demo_node import DemoNode
from tests.conformance.phoenix import Answer, PhoenixClient, PhoenixClients

pytestmark = pytest.mark.conformance

PAYLOADS: tuple[Any, ...] = (
    {},
    {"a": {"b": [1, 2.5, -3, None, True, {"c": ""}]}},
    [],
    [[], [1, "two"]],
    "words",
    7,
    True,
    {"body": "żółć 漢字 🚀 \u0000\u2028\\\"'</script>"},
    {"__proto__x": 1, "constructor": 2},
    {"long": "x" * 100_000},
)

MANY = 200


async def say(client: PhoenixClient, room: str, *bodies: str) -> None:
    for body in bodies:
        await client.start_push(room, "new_msg", {"body": body})


async def hear(client: PhoenixClient, room: str, count: int) -> list[tuple[str, str]]:
    """The next messages of a room, as pairs of sender and body."""
    messages = [await client.heard(room, "new_msg") for _ in range(count)]
    return [(message["user"], message["body"]) for message in messages]


# -- one client --------------------------------------------------------------------------------------


async def test_a_join_is_answered_with_what_the_channel_returned(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url)
    assert await ana.join(room) == {}


async def test_a_push_is_answered_with_any_payload_that_json_can_hold(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url)
    await ana.join(room)
    for payload in PAYLOADS:
        assert await ana.push(room, "ping", payload) == Answer("ok", payload)


async def test_a_binary_push_is_answered_with_the_same_bytes(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url)
    await ana.join(room)
    for payload in (b"", bytes(range(256)), b"\xff" * 70_000):
        assert await ana.push(room, "ping", payload) == Answer("ok", payload)


async def test_pushes_made_before_the_join_was_answered_are_sent_after_it(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.start_join(room)
    assert await ana.push(room, "ping", {"early": True}) == Answer("ok", {"early": True})


async def test_a_join_of_an_unknown_topic_is_refused_as_unmatched(
    chat: DemoNode, phoenix: PhoenixClients
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.start_join("nowhere:1")
    refused = await ana.expect("refused", "nowhere:1")
    assert refused["response"] == {"reason": "unmatched topic"}


async def test_an_unknown_event_is_answered_as_unmatched_and_costs_nothing(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room)
    assert await ana.push(room, "dance", {}) == Answer("error", {"reason": "unmatched event"})
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})
    assert ana.seen("errored") == []


async def test_a_leave_is_answered_and_closes_the_channel(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room)
    assert await ana.leave(room) == {}
    await ana.expect("closed", room)
    assert ana.seen("errored") == []


async def test_a_room_that_was_left_can_be_joined_again(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room)
    await ana.leave(room)
    await ana.join(room, "again")
    assert await ana.push("again", "ping", {"a": 1}) == Answer("ok", {"a": 1})


async def test_a_client_that_disconnects_is_closed_normally_and_does_not_return(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room)
    await ana.disconnect()
    assert len(ana.seen("open")) == 1


# -- several clients ---------------------------------------------------------------------------------


async def test_a_broadcast_reaches_every_client_of_the_room_the_sender_included(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url, "ana")
    bob = await phoenix.connect(each_engine.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.start_push(room, "new_msg", {"body": "hello", "colour": "red"})
    for client in (ana, bob):
        message = await client.heard(room, "new_msg")
        assert message.keys() >= {"id", "at"}
        assert {**message, "id": 0, "at": 0} == {
            "user": "Ana", "body": "hello", "colour": "red", "id": 0, "at": 0,
        }  # fmt: skip


async def test_broadcasts_of_one_client_arrive_in_the_order_in_which_they_were_pushed(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url, "ana")
    bob = await phoenix.connect(each_engine.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    bodies = [str(number) for number in range(MANY)]
    await say(ana, room, *bodies)
    assert await hear(bob, room, MANY) == [("Ana", body) for body in bodies]


async def test_two_clients_that_write_at_once_are_each_heard_in_order(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    bodies = [str(number) for number in range(MANY)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say, ana, room, *bodies)
        nursery.start_soon(say, bob, room, *bodies)
    heard = await hear(ana, room, 2 * MANY)
    assert [body for user, body in heard if user == "Ana"] == bodies
    assert [body for user, body in heard if user == "Bob"] == bodies


async def test_all_members_of_a_room_hear_two_writers_in_the_same_order(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say, ana, room, *map(str, range(MANY)))
        nursery.start_soon(say, bob, room, *map(str, range(MANY)))
    assert await hear(ana, room, 2 * MANY) == await hear(bob, room, 2 * MANY)


async def test_typing_is_told_to_the_others_only(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.start_push(room, "typing", {})
    await say(ana, room, "done")
    assert await bob.heard(room, "typing") == {"user": "Ana"}
    await ana.heard(room, "new_msg")  # it was sent after `typing`
    assert ana.seen("event", event="typing") == []


async def test_a_client_that_left_a_room_hears_no_more_of_it(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await ana.join(f"{room}-2")
    await bob.join(room)
    await ana.leave(room)
    await say(bob, room, "anybody here?")
    await bob.heard(room, "new_msg")
    await ana.push(f"{room}-2", "ping", {})  # whatever was on the way to her is there now
    assert ana.seen("event") == []


async def test_rooms_of_one_client_are_kept_apart(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room)
    await ana.join(f"{room}-2")
    await say(ana, room, "one")
    await say(ana, f"{room}-2", "two")
    assert await hear(ana, f"{room}-2", 1) == [("Ana", "two")]
    assert await hear(ana, room, 1) == [("Ana", "one")]
    assert len(ana.seen("event")) == 2


async def test_a_second_channel_of_the_same_topic_takes_the_place_of_the_first(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url)
    await ana.join(room, "first")
    await ana.join(room, "second")
    await ana.expect("closed", "first")
    await say(ana, "second", "once")
    assert await hear(ana, "second", 1) == [("Ana", "once")]
    await ana.push("second", "ping", {})
    assert len(ana.seen("event")) == 1
    assert ana.seen("errored") == []


# -- what goes wrong ---------------------------------------------------------------------------------


async def test_a_channel_that_crashes_is_joined_again_by_its_client(
    each_engine: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(each_engine.socket_url)
    await ana.join(room)
    await ana.start_push(room, "crash", {})
    assert (await ana.expect("errored", room))["reason"] == {"reason": "channel_crash"}
    await ana.expect("joined", room)
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})


async def test_a_channel_that_crashes_costs_nobody_else_anything(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await ana.join(f"{room}-2")
    await bob.join(room)
    await ana.start_push(room, "crash", {})
    await ana.expect("errored", room)
    await ana.expect("joined", room)
    await ana.push(f"{room}-2", "ping", {})
    await bob.push(room, "ping", {})
    assert ana.seen("errored", channel=f"{room}-2") == []
    assert bob.seen("errored") == []
    assert ana.seen("close") == bob.seen("close") == []


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 1012), (signal.SIGKILL, 1006)], ids=["SIGTERM", "SIGKILL"]
)
async def test_a_client_is_back_by_itself_when_the_server_was_restarted(
    own_chat: DemoNode, phoenix: PhoenixClients, room: str, signum: signal.Signals, code: int
):
    ana = await phoenix.connect(own_chat.socket_url, "ana")
    bob = await phoenix.connect(own_chat.socket_url, "bob")
    for client in (ana, bob):
        await client.join(room)
    await trio.to_thread.run_sync(own_chat.stop, signum)
    for client in (ana, bob):
        assert (await client.expect("close"))["code"] == code
        await client.expect("errored", room)
    await trio.to_thread.run_sync(own_chat.start)
    for client in (ana, bob):
        await client.expect("open")
        await client.expect("joined", room)
    await say(ana, room, "still there?")
    assert await hear(bob, room, 1) == [("Ana", "still there?")]


async def test_what_is_pushed_while_the_server_is_away_is_sent_when_it_is_back(
    own_chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(own_chat.socket_url)
    await ana.join(room)
    await trio.to_thread.run_sync(own_chat.stop)
    await ana.expect("errored", room)
    push = await ana.start_push(room, "ping", {"kept": True})
    await trio.to_thread.run_sync(own_chat.start)
    answer = await ana.expect("answer", room, push=push)
    assert (answer["status"], answer["response"]) == ("ok", {"kept": True})


async def test_heartbeats_keep_a_silent_connection(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, heartbeatIntervalMs=1_000)
    await ana.join(room)
    for _ in range(3):
        await ana.expect("heartbeat answered")
    assert ana.seen("close") == []


async def test_a_client_whose_heartbeat_is_not_answered_gives_up_and_returns_later(
    own_chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(own_chat.socket_url, heartbeatIntervalMs=1_000)
    await ana.join(room)
    own_chat.send_signal(signal.SIGSTOP)
    errored = await ana.expect("errored", room)
    assert errored["reason"] == {"source": "transport", "reason": "heartbeat_timeout"}
    own_chat.send_signal(signal.SIGCONT)
    await ana.expect("joined", room)
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})


async def test_a_message_larger_than_the_limit_closes_only_its_senders_connection(
    chat: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(chat.socket_url, "ana")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.start_push(room, "ping", {"long": "x" * 1_100_000})
    assert (await ana.expect("close"))["code"] == 1009
    await ana.expect("joined", room)
    await bob.push(room, "ping", {})
    assert bob.seen("close") == []


# -- an old client -----------------------------------------------------------------------------------


async def test_a_v1_client_joins_pushes_and_leaves(
    chat: DemoNode, phoenix_v1: PhoenixClients, room: str
):
    ana = await phoenix_v1.connect(chat.socket_url)
    assert await ana.join(room) == {}
    assert await ana.push(room, "ping", {"a": [1, "ż"]}) == Answer("ok", {"a": [1, "ż"]})
    assert await ana.leave(room) == {}
    await ana.expect("closed", room)


async def test_v1_and_v2_clients_chat_with_each_other(
    chat: DemoNode, phoenix: PhoenixClients, phoenix_v1: PhoenixClients, room: str
):
    old = await phoenix_v1.connect(chat.socket_url, "old")
    new = await phoenix.connect(chat.socket_url, "new")
    await old.join(room)
    await new.join(room)
    await say(old, room, "from V1")
    await new.heard(room, "new_msg")
    await say(new, room, "from V2")
    assert await hear(old, room, 2) == [("Old", "from V1"), ("New", "from V2")]


async def test_a_v1_client_hears_broadcasts_in_order(
    chat: DemoNode, phoenix_v1: PhoenixClients, room: str
):
    ana = await phoenix_v1.connect(chat.socket_url, "ana")
    bob = await phoenix_v1.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    bodies = [str(number) for number in range(MANY)]
    await say(ana, room, *bodies)
    assert await hear(bob, room, MANY) == [("Ana", body) for body in bodies]


async def test_a_v1_client_joins_again_after_a_crash(
    chat: DemoNode, phoenix_v1: PhoenixClients, room: str
):
    ana = await phoenix_v1.connect(chat.socket_url)
    await ana.join(room)
    await ana.start_push(room, "crash", {})
    await ana.expect("errored", room)
    await ana.expect("joined", room)
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})


async def test_a_v1_client_is_refused_an_unknown_topic_and_event(
    chat: DemoNode, phoenix_v1: PhoenixClients, room: str
):
    ana = await phoenix_v1.connect(chat.socket_url)
    await ana.join(room)
    assert await ana.push(room, "dance", {}) == Answer("error", {"reason": "unmatched event"})
    await ana.start_join("nowhere:1")
    refused = await ana.expect("refused", "nowhere:1")
    assert refused["response"] == {"reason": "unmatched topic"}
