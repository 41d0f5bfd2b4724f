"""RFC 6455 frames of a server, by value and against wsproto as the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from channels.messages import Opcode
from channels.transports.frames import CloseCode, close_frame, frame


def read(data):
    """What a client that follows the RFC makes of it."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    return list(client.events())


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_head_has_the_shortest_length_that_fits(size, head):
    payload = b"x" * size
    assert frame(Opcode.TEXT, payload) == head + payload


@pytest.mark.parametrize(
    ("opcode", "first_byte"),
    [
        (Opcode.TEXT, 0x81),
        (Opcode.BINARY, 0x82),
        (Opcode.CLOSE, 0x88),
        (Opcode.PING, 0x89),
        (Opcode.PONG, 0x8A),
    ],
)
def test_every_frame_is_final_and_unmasked(opcode, first_byte):
    data = frame(opcode, b"abc")
    assert data[0] == first_byte
    assert data[1] & 0x80 == 0


@given(st.text(max_size=300))
def test_a_text_frame_is_read_back_as_the_same_text(text):
    assert read(frame(Opcode.TEXT, text.encode())) == [TextMessage(data=text)]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 70000])
def test_a_binary_frame_is_read_back_as_the_same_bytes(size):
    [event] = read(frame(Opcode.BINARY, b"\x00" * size))
    assert isinstance(event, BytesMessage)
    assert bytes(event.data) == b"\x00" * size


def test_a_ping_and_a_pong_carry_their_payload():
    assert read(frame(Opcode.PING, b"hi") + frame(Opcode.PONG, b"yo")) == [Ping(b"hi"), Pong(b"yo")]


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CLOSE])
def test_a_control_frame_of_more_than_125_bytes_is_refused(opcode):
    assert frame(opcode, b"x" * 125)[1] == 125
    with pytest.raises(ValueError, match="126 bytes; a control frame takes at most 125"):
        frame(opcode, b"x" * 126)


def test_a_close_frame_says_code_and_reason():
    [event] = read(close_frame(CloseCode.SERVICE_RESTART, "draining"))
    assert event == CloseConnection(code=1012, reason="draining")


def test_a_close_frame_may_have_no_reason():
    assert close_frame(1000) == b"\x88\x02\x03\xe8"


def test_a_reason_is_cut_to_123_bytes():
    [event] = read(close_frame(4008, "x" * 500))
    assert event.reason == "x" * 123


def test_a_reason_is_cut_where_a_character_ends():
    data = close_frame(1011, "x" + "🚀" * 40)  # 123 bytes end inside the 31st rocket
    [event] = read(data)
    assert event.reason == "x" + "🚀" * 30


@given(st.text())
def test_any_reason_makes_a_legal_close_frame(reason):
    [event] = read(close_frame(1001, reason))
    assert event.code == 1001
    assert reason.startswith(event.reason or "")


def test_a_reason_that_is_not_unicode_is_sent_with_question_marks():
    [event] = read(close_frame(1001, "a\ud800b"))
    assert event.reason == "a?b"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_a_close_code_that_must_not_be_sent_is_refused(code):
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent"):
        close_frame(code)


@pytest.mark.parametrize("code", list(CloseCode), ids=lambda code: code.name)
def test_every_code_of_the_table_can_be_sent_and_says_what_it_means(code):
    assert close_frame(code)[2:] == int(code).to_bytes(2, "big")
    assert code.meaning


def test_the_phoenix_client_comes_back_after_every_code_but_1000():
    assert [code for code in CloseCode if not code.returns] == [CloseCode.NORMAL]
    assert {int(code) for code in CloseCode} == {
        1000,
        1001,
        1002,
        1007,
        1009,
        1011,
        1012,
        1013,
        4003,
        4008,
        4029,
    }
