"""Bodies of a long poll's POST, and the way back out of a WebSocket frame."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.exceptions import MalformedFrameError
from channels.messages import Opcode
from channels.transports.frames import frame
from channels.transports.longpoll_body import MAX_FRAMES, NDJSON, frames_of, text_of

texts = st.binary(max_size=200).map(lambda data: b"[" + data.replace(b"\n", b"").rstrip(b"\r"))
binaries = st.binary(min_size=1, max_size=200)


def line_of(entry: tuple[Opcode, bytes]) -> bytes:
    opcode, data = entry
    return data if opcode is Opcode.TEXT else base64.b64encode(data)


frames = st.one_of(
    st.tuples(st.just(Opcode.TEXT), texts), st.tuples(st.just(Opcode.BINARY), binaries)
)


@given(st.lists(frames, max_size=MAX_FRAMES), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_lines_are_frames_in_their_order(batch, newline, trailing):
    body = newline.join(map(line_of, batch)) + (newline if trailing else b"")
    assert frames_of(body, NDJSON) == batch


@given(st.binary(max_size=2000))
def test_any_body_is_frames_or_malformed(body):
    try:
        found = frames_of(body, NDJSON)
    except MalformedFrameError as error:
        assert "base64" in str(error)
        return
    assert len(found) <= MAX_FRAMES
    assert sum(len(data) for _, data in found) <= len(body)


@given(
    st.binary(max_size=200), st.sampled_from([None, "application/json", "application/x-ndjson;"])
)
def test_without_the_exact_content_type_a_body_is_one_text_frame(body, content_type):
    assert frames_of(body, content_type) == [(Opcode.TEXT, body)]


@pytest.mark.parametrize("count", [MAX_FRAMES, MAX_FRAMES + 1, 100_000])
def test_at_most_a_hundred_lines_are_looked_at(count):
    assert len(frames_of(b"[]\n" * count + b"not base64", NDJSON)) == MAX_FRAMES


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_the_text_of_a_frame_is_what_was_framed(size):
    assert text_of(frame(Opcode.TEXT, b"x" * size)) == b"x" * size
    assert text_of(frame(Opcode.BINARY, b"x" * size)) is None
