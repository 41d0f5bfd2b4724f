"""Typed events: what reaches the method, and what the client hears when its payload is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import msgspec
import pytest

from channels import Channel, Endpoint, Reply, UserSocket, on
from channels.typed_events import DuplicateEventError, events_of
from tests.channels.phoenix import connected, running


@attrs.frozen
class ByAttrs:
    body: str
    size: int = 0


@dataclass
class ByDataclass:
    body: str


class ByStruct(msgspec.Struct):
    body: str


class ByTypedDict(TypedDict):
    body: str


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> None:
        return None

    @on("attrs")
    async def by_attrs(self, payload: ByAttrs) -> Reply:
        return Reply.ok({"body": payload.body, "size": payload.size})

    @on("dataclass")
    async def by_dataclass(self, payload: ByDataclass) -> Reply:
        return Reply.ok({"body": payload.body})

    @on("struct")
    async def by_struct(self, payload: ByStruct) -> Reply:
        return Reply.ok({"body": payload.body})

    @on("typed_dict")
    async def by_typed_dict(self, payload: ByTypedDict) -> Reply:
        return Reply.ok({"body": payload["body"]})

    @on("number")
    async def by_number(self, payload: int) -> Reply:
        return Reply.ok(payload + 1)

    @on("untyped")
    async def untyped(self, payload: Any) -> Reply:
        return Reply.ok(payload)

    @on("nothing")
    async def nothing(self) -> Reply:
        return Reply.ok()


class LouderRoom(Room):
    @on("number")
    async def by_number(self, payload: int) -> Reply:
        return Reply.ok(payload * 100)

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "by hand":
            return Reply.ok("by hand")
        return await super().handle_in(event, payload)


class Socket(UserSocket):
    channels = {"room:*": Room, "louder:*": LouderRoom}


@pytest.fixture
async def ask(node):
    endpoint = Endpoint({"/socket": Socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:

        async def ask(event: str, payload: Any, topic: str = "room:1") -> Any:
            join_ref = await client.join(topic)
            ref = client.ref()
            await client.send(join_ref, ref, topic, event, payload)
            return await client.expect_reply(ref)

        yield ask


@pytest.mark.parametrize("event", ["dataclass", "struct", "typed_dict"])
async def test_the_payload_arrives_as_the_annotated_type(ask, event):
    answer = await ask(event, {"body": "hi"})
    assert answer == {"status": "ok", "response": {"body": "hi"}}


async def test_defaults_of_the_type_fill_in_what_was_not_sent(ask):
    assert (await ask("attrs", {"body": "hi"}))["response"] == {"body": "hi", "size": 0}


@pytest.mark.parametrize(
    ("event", "payload", "path", "word"),
    [
        ("attrs", {"body": 5}, "$.body", "str"),
        ("attrs", {}, "$", "body"),
        ("attrs", [1], "$", "object"),
        ("struct", {"body": None}, "$.body", "str"),
        ("number", "five", "$", "int"),
    ],
)
async def test_a_wrong_payload_is_answered_with_where_and_what(ask, event, payload, path, word):
    answer = await ask(event, payload)
    assert (answer["status"], answer["response"]["reason"]) == ("error", "invalid payload")
    [error] = answer["response"]["errors"]
    assert error["path"] == path
    assert word in error["message"]


async def test_a_method_without_a_type_gets_what_was_sent(ask):
    assert (await ask("untyped", [1, {"a": None}]))["response"] == [1, {"a": None}]


async def test_a_method_may_leave_the_payload_out(ask):
    assert (await ask("nothing", {"x": 1}))["status"] == "ok"


async def test_a_subclass_overrides_and_handle_in_comes_first(ask):
    assert (await ask("number", 2, "louder:1"))["response"] == 200


async def test_events_that_handle_in_passes_on_reach_the_typed_methods(ask):
    assert (await ask("by hand", {}, "louder:1"))["response"] == "by hand"


async def test_an_event_that_no_method_serves_is_unmatched(ask):
    assert (await ask("unknown", {}))["response"] == {"reason": "unmatched event"}


def test_two_methods_for_one_event_are_refused_by_name():
    async def second(self: Any) -> None: ...

    room = type("Twice", (Channel,), {"a": on("x")(second), "b": on("x")(second)})
    with pytest.raises(DuplicateEventError, match="'x' with both a and b"):
        events_of(room)
