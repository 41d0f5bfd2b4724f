"""What a channel, a socket and an endpoint can do, as the real npm `phoenix` client sees it (`edge_node.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.demo_node import DemoNode
from tests.conformance.phoenix import Answer, PhoenixClient, PhoenixClients

pytestmark = pytest.mark.conformance


@pytest.fixture
async def ana(edge_node: DemoNode, phoenix: PhoenixClients) -> PhoenixClient:
    return await phoenix.connect(edge_node.socket_url)


# -- connecting --------------------------------------------------------------------------------------


async def test_a_token_reaches_the_socket_without_standing_in_the_address(
    edge_node: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(edge_node.socket_url, authToken="secret-of-ana_1")
    joined = await ana.join(room)
    assert joined["assigns"]["user"] == "secret-of-ana_1"
    assert "secret-of-ana_1" not in edge_node.log().replace("user:secret-of-ana_1", "")


async def test_a_client_without_a_token_is_let_in_where_the_socket_allows_it(
    ana: PhoenixClient, room: str
):
    assert (await ana.join(room))["assigns"]["user"] == "Ana"


async def test_variables_of_the_path_are_parameters(
    edge_node: DemoNode, phoenix: PhoenixClients, room: str
):
    url = f"ws://127.0.0.1:{edge_node.port}/tenants/blue%20sky"
    ana = await phoenix.connect(url, params={"name": "Ana", "tenant": "another"})
    assert (await ana.join(room))["assigns"] == {"user": "Ana", "tenant": "blue sky"}


async def test_a_refused_client_sees_an_error_and_1006(
    edge_node: DemoNode, phoenix: PhoenixClients
):
    eve = await phoenix.start(edge_node.socket_url, "eve", params={"refuse": "before"})
    await eve.expect("error")
    assert (await eve.expect("close"))["code"] == 1006
    assert eve.seen("open") == []


@pytest.mark.parametrize(
    ("refuse", "code", "reason"),
    [
        ("after", 4003, '{"reason":"go away"}'),
        ("for now", 1013, '{"reason":"too many","retry_after":7}'),
    ],
)
async def test_a_client_refused_after_the_upgrade_is_told_why(
    edge_node: DemoNode, phoenix: PhoenixClients, refuse: str, code: int, reason: str
):
    eve = await phoenix.start(edge_node.socket_url, "eve", params={"refuse": refuse})
    closed = await eve.expect("close")
    assert (closed["code"], closed["reason"]) == (code, reason)


async def test_a_new_token_is_taken_on_the_connection_that_stands(ana: PhoenixClient, room: str):
    assert (await ana.join(f"{room}-1"))["assigns"]["user"] == "Ana"
    assert await ana.refresh("ana-2") == Answer("ok", {})
    assert (await ana.join(f"{room}-2"))["assigns"]["user"] == "ana-2"
    assert ana.seen("close") == []


async def test_a_new_token_that_is_refused_may_end_the_connection(ana: PhoenixClient):
    assert await ana.refresh("stolen") == Answer("error", {"reason": "stolen"})
    closed = await ana.expect("close")
    assert (closed["code"], closed["reason"]) == (4003, '{"reason":"stolen"}')


# -- joining -----------------------------------------------------------------------------------------


async def test_a_join_is_given_its_parameters_and_what_it_returns(ana: PhoenixClient, room: str):
    joined = await ana.join(room, password="x", deep={"list": [1, None]})
    assert joined["params"] == {"password": "x", "deep": {"list": [1, None]}}


async def test_what_a_channel_sends_itself_in_join_comes_after_the_reply(
    ana: PhoenixClient, room: str
):
    await ana.join(room)
    assert await ana.heard(room, "welcome") == {"topic": room}
    kinds = [happening["happened"] for happening in ana.seen_all() if "channel" in happening]
    assert kinds == ["joined", "event"]


async def test_a_route_may_add_assigns(ana: PhoenixClient, room: str):
    joined = await ana.join(room.replace("room:", "marked:"))
    assert joined["assigns"]["marked"] is True


async def test_a_refused_join_is_answered_with_its_reason_and_no_close(
    ana: PhoenixClient, room: str
):
    await ana.start_join("locked:door")
    refused = await ana.expect("refused", "locked:door")
    assert refused["response"] == {"reason": "unauthorized", "topic": "locked:door"}
    await ana.join(room)
    assert ana.seen("closed") == []


async def test_a_join_that_crashes_is_answered_join_crashed(ana: PhoenixClient, room: str):
    await ana.start_join("broken:x")
    refused = await ana.expect("refused", "broken:x")
    assert refused["response"] == {"reason": "join crashed"}
    await ana.join(room)


async def test_a_join_that_never_answers_holds_up_nothing_else(
    edge_node: DemoNode, phoenix: PhoenixClients, room: str
):
    ana = await phoenix.connect(edge_node.socket_url, heartbeatIntervalMs=2_000)
    await ana.start_join("stuck:x", timeout=1_000)
    await ana.join(room)
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})
    await ana.expect("heartbeat answered")
    await ana.expect("unanswered", "stuck:x")
    assert await ana.push(room, "ping", {"a": 2}) == Answer("ok", {"a": 2})
    assert ana.seen("close") == []


async def test_more_channels_than_the_limit_are_refused(ana: PhoenixClient, room: str):
    for number in range(3):
        await ana.join(f"{room}-{number}")
    await ana.start_join(room)
    refused = await ana.expect("refused", room)
    assert refused["response"] == {"reason": "too many channels joined"}


# -- pushes and replies ------------------------------------------------------------------------------


async def test_an_error_reply_is_an_error_to_the_client(ana: PhoenixClient, room: str):
    await ana.join(room)
    assert await ana.push(room, "decline", {}) == Answer("error", {"reason": "declined"})


async def test_a_push_that_is_not_answered_times_out_at_the_client_alone(
    ana: PhoenixClient, room: str
):
    await ana.join(room)
    assert (await ana.push(room, "silence", {}, timeout=200)).status == "timeout"
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})


async def test_a_push_can_be_answered_later(ana: PhoenixClient, room: str):
    await ana.join(room)
    assert await ana.push(room, "later", {"a": [1]}) == Answer("ok", {"a": [1]})


@pytest.mark.parametrize("payload", [{"left": 1}, {"left": 1, "right": "2"}, [], "words"], ids=str)
async def test_a_payload_of_the_wrong_shape_is_answered_with_what_is_wrong(
    ana: PhoenixClient, room: str, payload: Any
):
    await ana.join(room)
    answer = await ana.push(room, "add", payload)
    assert answer.status == "error"
    assert answer.response["reason"] == "invalid payload"
    assert answer.response["errors"]
    assert await ana.push(room, "add", {"left": 1, "right": 2}) == Answer("ok", {"sum": 3})


async def test_an_acknowledged_push_gives_the_channel_the_clients_answer(
    ana: PhoenixClient, room: str
):
    await ana.join(room)
    await ana.acknowledge(room, "question")
    await ana.start_push(room, "ask", {"how": "are you"})
    assert await ana.heard(room, "answer") == {"got": {"how": "are you"}}


async def test_a_push_that_asks_for_acknowledgement_is_like_any_other_to_old_clients(
    edge_node: DemoNode, phoenix_v1: PhoenixClients, room: str
):
    old = await phoenix_v1.connect(edge_node.socket_url)
    await old.join(room)
    await old.start_push(room, "ask", {"how": "are you"})
    assert await old.heard(room, "question") == {"how": "are you"}


# -- broadcasts --------------------------------------------------------------------------------------


async def test_an_intercepted_broadcast_is_made_for_each_client(
    edge_node: DemoNode, phoenix: PhoenixClients, ana: PhoenixClient, room: str
):
    bob = await phoenix.connect(edge_node.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.push(room, "secret", {"n": 1})
    assert await ana.heard(room, "secret") == {"n": 1, "for": "Ana"}
    assert await bob.heard(room, "secret") == {"n": 1, "for": "Bob"}


async def test_bytes_can_be_pushed_and_broadcast(
    edge_node: DemoNode, phoenix: PhoenixClients, ana: PhoenixClient, room: str
):
    bob = await phoenix.connect(edge_node.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.start_push(room, "push bytes", {})
    assert await ana.heard(room, "bytes") == b"\x00\xff"
    await ana.push(room, "broadcast bytes", bytes(range(256)))
    assert await ana.heard(room, "bytes") == bytes(range(256))
    assert await bob.heard(room, "bytes") == bytes(range(256))


async def test_broadcast_from_leaves_out_the_sender(
    edge_node: DemoNode, phoenix: PhoenixClients, ana: PhoenixClient, room: str
):
    bob = await phoenix.connect(edge_node.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.push(room, "broadcast from", {"n": 1})
    assert await bob.heard(room, "from") == {"n": 1}
    await ana.push(room, "ping", {})
    assert ana.seen("event", event="from") == []


# -- ends --------------------------------------------------------------------------------------------


async def test_a_channel_that_stops_in_order_answers_and_is_closed_for_good(
    ana: PhoenixClient, room: str
):
    await ana.join(room)
    assert await ana.push(room, "stop in order", {}) == Answer("ok", {"bye": True})
    await ana.expect("closed", room)
    assert ana.seen("errored") == []


async def test_a_channel_that_stops_for_another_reason_answers_and_is_joined_again(
    ana: PhoenixClient, room: str
):
    await ana.join(room)
    assert await ana.push(room, "stop with a reason", {}) == Answer("ok", {"bye": False})
    await ana.expect("errored", room)
    await ana.expect("joined", room)


async def test_a_user_who_is_disconnected_sees_1001_and_comes_back(
    edge_node: DemoNode, phoenix: PhoenixClients, ana: PhoenixClient, room: str
):
    name = room.removeprefix("room:")
    bob = await phoenix.connect(edge_node.socket_url, "bob", params={"name": name})
    await bob.join(room)
    await ana.join(room)
    await ana.push(room, "put out", {"user": name})
    assert (await bob.expect("close"))["code"] == 1001
    await bob.expect("joined", room)
    assert ana.seen("close") == []
