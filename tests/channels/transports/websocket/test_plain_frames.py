"""What is taken without the library's parser, and what is left to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.messages import Opcode
from channels.transports.websocket.plain_frames import take_plain
from tests.channels.transports.websocket.raw_client import close, frame

LIMIT = 70_000
HELLO = frame(1, b"hello")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 255, 256, 65_535])
def test_a_whole_message_of_up_to_64_kib_is_taken(size):
    payload = bytes(index % 251 for index in range(size))
    assert take_plain(frame(2, payload), LIMIT) == ([(Opcode.BINARY, payload)], b"")


def test_several_in_one_read_are_taken_in_order():
    wire = HELLO + frame(2, b"\xff") + frame(1, "grüße".encode())
    assert take_plain(wire, LIMIT) == (
        [(Opcode.TEXT, b"hello"), (Opcode.BINARY, b"\xff"), (Opcode.TEXT, "grüße".encode())],
        b"",
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(frame(9, b"ping"), id="a ping"),
        pytest.param(frame(10, b""), id="a pong"),
        pytest.param(close(1000, b""), id="a close frame"),
        pytest.param(frame(1, b"begins", fin=False), id="the first fragment"),
        pytest.param(frame(0, b"ends"), id="the last fragment"),
        pytest.param(frame(1, b"hello", masked=False), id="without a mask"),
        pytest.param(frame(1, b"hello", rsv=4), id="compressed"),
        pytest.param(frame(3, b"hello"), id="an unknown opcode"),
        pytest.param(frame(1, b"\xc3\x28"), id="text that is not UTF-8"),
        pytest.param(frame(2, b"x" * 65_536), id="64 KiB and more"),
        pytest.param(b"\x81\xfe\x00\x05KEY!hello", id="a size in more bytes than it needs"),
    ],
)
def test_anything_else_is_left_and_what_follows_it_too(other):
    assert take_plain(HELLO + other + HELLO, LIMIT) == ([(Opcode.TEXT, b"hello")], other + HELLO)


@pytest.mark.parametrize("size", range(1, len(frame(2, b"x" * 300))))
def test_an_unfinished_one_is_left(size):
    begun = frame(2, b"x" * 300)[:size]
    assert take_plain(HELLO + begun, LIMIT) == ([(Opcode.TEXT, b"hello")], begun)


def test_a_message_beyond_the_limit_is_left():
    wire = frame(2, b"x" * 10) + frame(2, b"x" * 11)
    assert take_plain(wire, 10) == ([(Opcode.BINARY, b"x" * 10)], frame(2, b"x" * 11))


@given(st.binary(max_size=200))
def test_whatever_comes_nothing_is_lost_and_nothing_is_raised(data):
    messages, rest = take_plain(data, LIMIT)
    assert data.endswith(rest)
    assert bool(messages) == (len(rest) < len(data))
