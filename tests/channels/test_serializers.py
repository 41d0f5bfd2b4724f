"""The wire formats, byte for byte (protocol reference 1.2 to 1.5 and appendix A)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.exceptions import FieldTooLongError, InvalidPayloadError, MalformedFrameError
from channels.messages import Binary, Broadcast, Message, Opcode
from channels.serializers import DEFAULT_SERIALIZERS, V1, V2, Requirement, negotiate

TEXT = Opcode.TEXT
BINARY = Opcode.BINARY
LETTERS = bytes([65, 66, 67])

v1 = V1()
v2 = V2()


def text(encoded):
    """The JSON of a text frame."""
    opcode, data = encoded
    assert opcode is TEXT
    return json.loads(data)


# -- V2, text frames: appendix A


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b'["1","1","room:lobby","phx_join",{}]',
            Message("1", "1", "room:lobby", "phx_join", {}),
        ),
        (
            b'["1","2","room:lobby","ping",{"a":1}]',
            Message("1", "2", "room:lobby", "ping", {"a": 1}),
        ),
        (
            b'[null,"9","phoenix","heartbeat",{}]',
            Message(None, "9", "phoenix", "heartbeat", {}),
        ),
        (b'["1",null,"t","e",[1,"a",null]]', Message("1", None, "t", "e", [1, "a", None])),
    ],
)
def test_v2_reads_phoenix_arrays(data, message):
    assert v2.decode(data, TEXT) == message


def test_v2_ignores_elements_after_the_fifth():
    assert v2.decode(b'["1","2","t","e",{},6,{"a":7}]', TEXT) == Message("1", "2", "t", "e", {})


def test_v2_lets_numeric_refs_through_as_numbers():
    assert v2.decode(b'[1,2,"t","e",{}]', TEXT) == Message(1, 2, "t", "e", {})


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_v2_reads_from_any_buffer(kind):
    assert v2.decode(kind(b'["1","2","t","e",{}]'), TEXT).topic == "t"
    binary = b"\x00\x01\x01\x01\x0101te\x01"
    assert v2.decode(kind(binary), BINARY) == Message("0", "1", "t", "e", Binary(b"\x01"))


def test_v2_reads_unicode_and_the_empty_topic():
    assert v2.decode('["1","2","","π",{"a":"🚀"}]'.encode(), TEXT) == Message(
        "1", "2", "", "π", {"a": "🚀"}
    )


def test_v2_writes_a_reply():
    encoded = v2.encode_reply("1", "2", "room:lobby", "ok", {"a": 1})
    assert encoded == (
        TEXT,
        b'["1","2","room:lobby","phx_reply",{"status":"ok","response":{"a":1}}]',
    )


def test_v2_writes_the_unmatched_topic_reply_with_a_null_join_ref():
    encoded = v2.encode_reply(None, "3", "nope", "error", {"reason": "unmatched topic"})
    expected = [
        None,
        "3",
        "nope",
        "phx_reply",
        {"status": "error", "response": {"reason": "unmatched topic"}},
    ]
    assert text(encoded) == expected


@pytest.mark.parametrize("response", [None, 1, "text", [1, 2], {"a": None}])
def test_v2_writes_any_json_value_as_response(response):
    assert text(v2.encode_reply("1", "2", "t", "ok", response))[4]["response"] == response


def test_v2_writes_a_push_with_join_ref_and_without_ref():
    encoded = v2.encode_message(Message("1", None, "room:lobby", "joined", {"id": 1}))
    assert encoded == (TEXT, b'["1",null,"room:lobby","joined",{"id":1}]')


def test_v2_writes_close_and_error_with_ref_equal_to_join_ref():
    close = Message("1", "1", "room:lobby", "phx_close", {})
    assert v2.encode_message(close) == (TEXT, b'["1","1","room:lobby","phx_close",{}]')
    error = Message("1", "1", "room:lobby", "phx_error", {"reason": "channel_crash"})
    assert text(v2.encode_message(error)) == [
        "1",
        "1",
        "room:lobby",
        "phx_error",
        {"reason": "channel_crash"},
    ]


def test_v2_writes_a_broadcast_without_refs():
    encoded = v2.encode_broadcast(Broadcast("room:lobby", "new_msg", {"body": "hi"}))
    assert encoded == (TEXT, b'[null,null,"room:lobby","new_msg",{"body":"hi"}]')


# -- V2, binary frames: 1.5 and appendix A


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\x00\x01\x01\x01\x01" + b"01te" + b"\x01",
            Message("0", "1", "t", "e", Binary(b"\x01")),
        ),
        (
            b"\x00\x02\x01\x03\x02" + b"101topev" + b"\x01",
            Message("10", "1", "top", "ev", Binary(b"\x01")),
        ),
        (
            b"\x00\x02\x03\x05\x05" + b"12123topicevent" + LETTERS,
            Message("12", "123", "topic", "event", Binary(LETTERS)),
        ),
        (
            b"\x00\x04\x00\x0a\x02" + "🚀room:caféπ".encode(),
            Message("🚀", "", "room:café", "π", Binary(b"")),
        ),
    ],
)
def test_v2_reads_binary_pushes(data, message):
    assert v2.decode(data, BINARY) == message


def test_v2_reads_an_empty_ref_of_a_binary_frame_as_an_empty_string():
    message = v2.decode(b"\x00\x00\x00\x01\x01te", BINARY)
    assert (message.join_ref, message.ref) == ("", "")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (
            Message("12", None, "topic", "event", Binary(LETTERS)),
            b"\x00\x02\x05\x05" + b"12topicevent" + LETTERS,
        ),
        (
            Message("123", None, "top", "some-event", Binary(b"\x01\x01")),
            b"\x00\x03\x03\x0a" + b"123topsome-event" + b"\x01\x01",
        ),
        (Message(None, None, "t", "e", Binary(b"")), b"\x00\x00\x01\x01te"),
        (Message(7, None, "t", "e", Binary(b"")), b"\x00\x01\x01\x017te"),
        (
            Message("🚀", None, "room:café", "π", Binary(b"")),
            b"\x00\x04\x0a\x02" + "🚀room:caféπ".encode(),
        ),
    ],
)
def test_v2_writes_binary_pushes_without_ref(message, data):
    assert v2.encode_message(message) == (BINARY, data)


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        (
            ("12", "123", "topic", "ok", Binary(LETTERS)),
            b"\x01\x02\x03\x05\x02" + b"12123topicok" + LETTERS,
        ),
        (
            ("100", "12", "top", "ok", Binary(b"\x01\x01")),
            b"\x01\x03\x02\x03\x02" + b"10012topok" + b"\x01\x01",
        ),
        ((None, None, "t", "error", Binary(b"")), b"\x01\x00\x00\x01\x05terror"),
    ],
)
def test_v2_writes_binary_replies(reply, data):
    assert v2.encode_reply(*reply) == (BINARY, data)


@pytest.mark.parametrize(
    ("broadcast", "data"),
    [
        (
            Broadcast("topic", "event", Binary(LETTERS)),
            b"\x02\x05\x05" + b"topicevent" + LETTERS,
        ),
        (
            Broadcast("top", "some-event", Binary(b"\x01\x01")),
            b"\x02\x03\x0a" + b"topsome-event" + b"\x01\x01",
        ),
    ],
)
def test_v2_writes_binary_broadcasts(broadcast, data):
    assert v2.encode_broadcast(broadcast) == (BINARY, data)


LONG = "é" * 128  # 256 bytes
FITS = "é" * 127 + "a"  # 255 bytes


@pytest.mark.parametrize(
    ("field", "write"),
    [
        ("join_ref", lambda x: v2.encode_message(Message(x, None, "t", "e", Binary(b"")))),
        ("topic", lambda x: v2.encode_message(Message("1", None, x, "e", Binary(b"")))),
        ("event", lambda x: v2.encode_message(Message("1", None, "t", x, Binary(b"")))),
        ("join_ref", lambda x: v2.encode_reply(x, "1", "t", "ok", Binary(b""))),
        ("ref", lambda x: v2.encode_reply("1", x, "t", "ok", Binary(b""))),
        ("topic", lambda x: v2.encode_reply("1", "1", x, "ok", Binary(b""))),
        ("status", lambda x: v2.encode_reply("1", "1", "t", x, Binary(b""))),
        ("topic", lambda x: v2.encode_broadcast(Broadcast(x, "e", Binary(b"")))),
        ("event", lambda x: v2.encode_broadcast(Broadcast("t", x, Binary(b"")))),
    ],
)
def test_v2_refuses_a_binary_field_of_more_than_255_bytes(field, write):
    assert FITS.encode() in write(FITS)[1]
    with pytest.raises(FieldTooLongError, match=f"{field} is 256 bytes.*at most 255"):
        write(LONG)


refs = st.none() | st.text(min_size=1, max_size=8)


@given(st.text(max_size=20), st.text(max_size=20), refs, refs, st.binary(max_size=40))
def test_v2_reads_every_binary_push_of_a_client(topic, event, join_ref, ref, payload):
    fields = [(field or "").encode() for field in (join_ref, ref, topic, event)]
    data = bytes((0, *map(len, fields))) + b"".join(fields) + payload
    assert v2.decode(data, BINARY) == Message(
        join_ref or "", ref or "", topic, event, Binary(payload)
    )


# -- V1: 1.4


def test_v1_reads_objects_with_or_without_join_ref():
    data = b'{"topic":"t","event":"e","payload":{"a":1},"ref":"2"}'
    assert v1.decode(data, TEXT) == Message(None, "2", "t", "e", {"a": 1})
    data = b'{"topic":"t","event":"e","payload":[],"ref":null,"join_ref":"1","more":true}'
    assert v1.decode(data, TEXT) == Message("1", None, "t", "e", [])


def test_v1_ignores_the_opcode():
    data = b'{"topic":"t","event":"e","payload":{},"ref":"2"}'
    assert v1.decode(data, BINARY) == v1.decode(data, TEXT)


@pytest.mark.parametrize("key", ["topic", "event", "payload", "ref"])
def test_v1_refuses_an_object_without_a_required_key(key):
    fields = {"topic": "t", "event": "e", "payload": {}, "ref": "1"}
    del fields[key]
    with pytest.raises(MalformedFrameError, match=f"missing required field `{key}`"):
        v1.decode(json.dumps(fields).encode(), TEXT)


@pytest.mark.parametrize("data", [b"[]", b'"text"', b"{", b"7", b'["1","1","t","phx_join",{}]'])
def test_v1_refuses_what_is_not_an_object(data):
    with pytest.raises(MalformedFrameError, match="expected a JSON object with topic and event"):
        v1.decode(data, TEXT)


def test_v1_never_writes_a_join_ref():
    assert text(v1.encode_message(Message("1", None, "t", "e", {"a": 1}))) == {
        "topic": "t",
        "event": "e",
        "payload": {"a": 1},
        "ref": None,
    }
    assert text(v1.encode_reply("1", "2", "t", "ok", {})) == {
        "topic": "t",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": "2",
    }
    assert text(v1.encode_broadcast(Broadcast("t", "e", {}))) == {
        "topic": "t",
        "event": "e",
        "payload": {},
        "ref": None,
    }


def test_v1_does_not_check_that_a_broadcast_is_an_object():
    assert text(v1.encode_broadcast(Broadcast("t", "e", [1])))["payload"] == [1]


def test_v1_refuses_binary_payloads():
    for write in (
        lambda: v1.encode_message(Message("1", None, "t", "e", Binary(b""))),
        lambda: v1.encode_reply("1", "2", "t", "ok", Binary(b"")),
        lambda: v1.encode_broadcast(Broadcast("t", "e", Binary(b""))),
    ):
        with pytest.raises(InvalidPayloadError, match="is Binary, which V1 cannot carry"):
            write()


# -- vsn: 1.2


@pytest.mark.parametrize(
    ("vsn", "name"),
    [
        (None, "V1"),
        ("1.0.0", "V1"),
        ("1.0.9", "V1"),
        ("2.0.0", "V2"),
        ("2.0.1", "V2"),
        ("2.0.1-rc.1", "V2"),
        ("2.0.0+build.5", "V2"),
    ],
)
def test_a_vsn_picks_the_first_serializer_whose_requirement_it_meets(vsn, name):
    serializer = negotiate(vsn)
    assert serializer is not None
    assert serializer.name == name


@pytest.mark.parametrize(
    "vsn",
    ["1.1.0", "2.1.0", "2.1.0-rc", "2.0.0-rc.1", "3.0.0", "123.1.1", "0.0.0"],
)
def test_a_vsn_that_meets_no_requirement_gets_no_serializer(vsn):
    assert negotiate(vsn) is None


@pytest.mark.parametrize(
    "vsn",
    [
        *("", "2", "2.0", "2.0.0.0", "v2.0.0", " 2.0.0", "2.0.0\n", "02.0.0", "2.0.x", "2.0.0-"),
        *("\u0662.\u0660.\u0660", "2.0." + "9" * 5000, ["2.0.0"], 2),
    ],
    ids=lambda vsn: repr(vsn)[:12],
)
def test_a_vsn_that_is_not_a_full_semantic_version_gets_no_serializer(vsn):
    assert negotiate(vsn) is None


def test_all_connections_share_the_instance_so_that_the_fastlane_encodes_once():
    assert negotiate("2.0.0") is negotiate("2.0.1") is DEFAULT_SERIALIZERS[1][0]


def test_an_application_may_add_serializers_and_order_decides():
    mine, fallback = V2(), V2()
    serializers = [(mine, Requirement("~> 3.1")), (fallback, Requirement("~> 3.0"))]
    assert negotiate("3.1.0", serializers) is mine
    assert negotiate("3.9.2", serializers) is mine
    assert negotiate("3.0.5", serializers) is fallback
    assert negotiate("2.0.0", serializers) is None
    assert negotiate(None, serializers) is None


@pytest.mark.parametrize(
    ("requirement", "accepted", "refused"),
    [
        ("~> 2.0.3", ["2.0.3", "2.0.10"], ["2.0.2", "2.0.3-rc", "2.1.0"]),
        ("~> 2.1", ["2.1.0", "2.7.0"], ["2.0.9", "3.0.0", "2.1.0-rc"]),
        ("~>2.0.0-rc.2", ["2.0.0-rc.2", "2.0.0-rc.10", "2.0.0"], ["2.0.0-rc.1", "2.0.0-beta"]),
        ("== 2.0.0", ["2.0.0", "2.0.0+b"], ["2.0.1", "2.0.0-rc"]),
    ],
)
def test_requirements_mean_what_they_mean_in_elixir(requirement, accepted, refused):
    serializers = [(v2, Requirement(requirement))]
    assert [vsn for vsn in accepted if negotiate(vsn, serializers) is None] == []
    assert [vsn for vsn in refused if negotiate(vsn, serializers) is not None] == []


@pytest.mark.parametrize("requirement", ["", "2.0.0", "~> 2", ">= 2.0.0", "~> x.y.z", "== 2.0"])
def test_a_wrong_requirement_is_refused_when_it_is_written(requirement):
    with pytest.raises(ValueError, match=r"expected '~> 2\.0\.0', '~> 2\.0' or '== 2\.0\.0'"):
        Requirement(requirement)
