"""What the wire formats refuse to write and to read, and how they say so."""

from __future__ import annotations

import dataclasses
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.exceptions import InvalidPayloadError, MalformedFrameError
from channels.messages import Broadcast, Message, Opcode
from channels.serializers import V1, V2

TEXT = Opcode.TEXT
BINARY = Opcode.BINARY

v1 = V1()
v2 = V2()


def text(encoded):
    """The JSON of a text frame."""
    opcode, data = encoded
    assert opcode is TEXT
    return json.loads(data)


# -- payloads that cannot be written


@pytest.mark.parametrize("payload", [None, 1, "text", [1], [{}], b"bytes"])
def test_v2_refuses_a_push_or_broadcast_whose_payload_is_not_an_object(payload):
    for write in (
        lambda: v2.encode_message(Message("1", None, "room:1", "new_msg", payload)),
        lambda: v2.encode_broadcast(Broadcast("room:1", "new_msg", payload)),
    ):
        with pytest.raises(InvalidPayloadError) as error:
            write()
        assert f"'new_msg' on 'room:1' is a {type(payload).__name__}" in str(error.value)
        assert "expected an object" in str(error.value)


@dataclasses.dataclass
class Point:
    x: int


@attrs.frozen
class Place:
    x: int


@pytest.mark.parametrize("payload", [{"x": 1}, Point(1), Place(1)])
def test_v2_takes_whatever_json_writes_as_an_object(payload):
    assert text(v2.encode_broadcast(Broadcast("t", "e", payload)))[4] == {"x": 1}


class Unwritable:
    pass


def circle():
    payload: dict[str, object] = {}
    payload["self"] = payload
    return payload


@pytest.mark.parametrize(
    "payload",
    [{"a": Unwritable()}, {(1, 2): 3}, {"a": "\ud800"}, circle()],
    ids=["object", "tuple key", "surrogate", "circle"],
)
@pytest.mark.parametrize("serializer", [v1, v2])
def test_a_payload_that_is_not_json_is_refused_by_name_of_topic_and_event(serializer, payload):
    with pytest.raises(InvalidPayloadError, match=r"'e' on 't' cannot be written as JSON"):
        serializer.encode_broadcast(Broadcast("t", "e", payload))
    with pytest.raises(InvalidPayloadError, match=r"'e' on 't' cannot be written as JSON"):
        serializer.encode_message(Message("1", None, "t", "e", payload))
    with pytest.raises(InvalidPayloadError, match=r"'phx_reply' on 't' cannot be written as JSON"):
        serializer.encode_reply("1", "2", "t", "ok", payload)


# -- frames that cannot be read


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated"),
        (b"hello", "invalid character"),
        (b'["1","2","t","e",', "truncated"),
        (b'["1","2","t","e",{}] trailing', "trailing characters"),
        (b'{"topic":"t"}', "got `object`"),
        (b'"text"', "got `str`"),
        (b"[]", "length 5, got 0"),
        (b'["1","2","t","e"]', "length 5, got 4"),
        (b'[true,"2","t","e",{}]', r"got `bool` - at `\$\[0\]`"),
        (b'["1",1.5,"t","e",{}]', r"got `float` - at `\$\[1\]`"),
        (b'["1","2",null,"e",{}]', r"got `null` - at `\$\[2\]`"),
        (b'["1","2","t",7,{}]', r"got `int` - at `\$\[3\]`"),
        (b'["1","2","\\ud800","e",{}]', "surrogate"),
        (b'["1","2","t","e",' + b"[" * 100_000, "recursion"),
        (b'["1",' + b"9" * 10_000 + b',"t","e",{}]', "malformed V2"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_v2_refuses_a_text_frame_that_is_not_five_elements_of_the_right_types(data, problem):
    with pytest.raises(MalformedFrameError, match=problem) as error:
        v2.decode(data, TEXT)
    assert "expected a JSON array [join_ref, ref, topic, event, payload]" in str(error.value)
    assert error.value.close_code == 1011


@pytest.mark.parametrize(
    ("serializer", "data"),
    [
        (v2, b'["1","2","\xff","e",{}]'),
        (v2, b'["1","2","t","e",{"a":"\xc3\x28"}]'),
        (v1, b'{"topic":"\xc3\x28"}'),
    ],
)
def test_text_that_is_not_utf8_asks_for_close_code_1007(serializer, data):
    """C11."""
    with pytest.raises(MalformedFrameError) as error:
        serializer.decode(data, TEXT)
    assert error.value.close_code == 1007


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "shorter than its head"),
        (b"\x00\x01\x01\x01", "shorter than its head"),
        (b"\x01\x01\x01\x01\x02" + b"11tok", "kind 1, where a client may only push"),
        (b"\x02\x01\x01te\x00\x00", "kind 2"),
        (b"\x00\x01\x01\x01\x02" + b"01te", "fields end at byte 10, beyond its end"),
        (b"\x00\xff\xff\xff\xff", "fields end at byte 1025"),
        (b"\x00\x00\x00\x01\x01" + b"\xffe", "not UTF-8"),
        (b"\x00\x00\x00\x01\x01" + "é".encode(), "not UTF-8"),  # cut through a character
    ],
)
def test_v2_refuses_a_bad_binary_head(data, problem):
    with pytest.raises(MalformedFrameError, match=problem) as error:
        v2.decode(data, BINARY)
    assert "expected 0, the sizes of join_ref, ref, topic and event" in str(error.value)
    assert error.value.close_code == 1011


@pytest.mark.parametrize("data", [b"x" * 1_000_000, b"\xff" * 1_000_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_malformed_frame_is_repeated_for_80_characters_at_most(data, opcode):
    with pytest.raises(MalformedFrameError) as error:
        v2.decode(data, opcode)
    _, _, echo = str(error.value).rpartition("got 1000000 bytes: ")
    assert echo.startswith("b'")
    assert len(echo) == 80
    assert len(str(error.value)) < 400


@given(st.binary(max_size=60), st.sampled_from([TEXT, BINARY]), st.sampled_from([v1, v2]))
def test_any_bytes_are_a_message_or_malformed(data, opcode, serializer):
    try:
        message = serializer.decode(data, opcode)
    except MalformedFrameError:
        return
    assert isinstance(message, Message)
