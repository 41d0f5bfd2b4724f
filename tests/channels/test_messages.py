"""The values of the protocol."""

from __future__ import annotations

import msgspec
import pytest

from channels.messages import Binary, Broadcast, Message, Reply


def test_reply_ok_without_payload_responds_with_an_empty_object():
    assert Reply.ok() == Reply("ok", {})


def test_reply_error_without_payload_responds_with_an_empty_object():
    assert Reply.error() == Reply("error", {})


@pytest.mark.parametrize("payload", [None, 0, "", [], {"a": 1}, Binary(b"\x01")])
def test_a_reply_responds_with_any_value_null_included(payload):
    assert Reply.ok(payload).response == payload
    assert Reply.error(payload).response == payload


def test_two_replies_never_share_their_empty_object():
    first = Reply.ok()
    first.response["mine"] = 1
    assert Reply.ok().response == {}


def test_a_reply_may_have_a_status_of_its_own():
    assert Reply("later", [1]).status == "later"


@pytest.mark.parametrize(
    "value",
    [Message("1", "2", "t", "e", {}), Broadcast("t", "e", {}), Reply.ok(), Binary(b"")],
    ids=lambda value: type(value).__name__,
)
def test_values_cannot_be_changed(value):
    with pytest.raises(AttributeError):
        setattr(value, value.__struct_fields__[0], "other")


def test_a_message_is_written_as_phoenix_array():
    written = msgspec.json.encode(Message("1", None, "t", "e", {"a": 1}))
    assert written == b'["1",null,"t","e",{"a":1}]'


SECRETS = {"name": "ann", "Password": "x1", "nested": [{"csrf_token": "x2"}], "form": "token=x3"}


@pytest.mark.parametrize(
    "value",
    [Message("1", "2", "t", "e", SECRETS), Broadcast("t", "e", SECRETS)],
    ids=lambda value: type(value).__name__,
)
def test_passwords_and_tokens_are_no_part_of_a_repr(value):
    """Phoenix: Inspect of Phoenix.Socket.Message. A repr may end in any log."""
    shown = repr(value)
    assert not any(secret in shown for secret in ("x1", "x2", "x3"))
    assert "'name': 'ann'" in shown
    assert value.payload is SECRETS


def test_a_repr_shows_all_else():
    message = Message("1", None, "t", "e", {"a": Binary(b"b")})
    expected = "join_ref='1', ref=None, topic='t', event='e', payload={'a': Binary(data=b'b')}"
    assert repr(message) == f"Message({expected})"
    assert repr(Broadcast("t", "e", 1)) == "Broadcast(topic='t', event='e', payload=1)"
    assert (
        repr(Broadcast("t", "e", 1, "k")) == "Broadcast(topic='t', event='e', payload=1, key='k')"
    )


def test_a_payload_that_nests_without_end_is_shown():
    payload: list[object] = []
    payload.append(payload)
    assert "..." in repr(Message(None, None, "t", "e", payload))
