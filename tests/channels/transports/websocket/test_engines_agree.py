"""Random frames, good and bad: engines raise nothing but the end, and deliver the same."""

import itertools

import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.transports.outbox import Outbox
from channels.transports.websocket.engine_websockets import WebsocketsEngine
from channels.transports.websocket.engine_wsproto import WsprotoEngine
from tests.channels.transports.websocket.raw_client import close, frame

LIMIT = 60

PAYLOADS = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=20).map(str.encode),
    st.integers(0, 200).map(lambda size: b"x" * size),
)
GOOD = st.builds(frame, st.sampled_from([1, 2, 9, 10]), st.text(max_size=10).map(str.encode))
ANY = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 2, 3, 8, 9, 10, 15]),
    PAYLOADS,
    fin=st.booleans(),
    masked=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 0, 4, 1]),
)
CLOSES = st.builds(close, st.integers(990, 5010), st.binary(max_size=10))
WIRE = st.lists(st.one_of(GOOD, GOOD, ANY, CLOSES, st.binary(max_size=8)), max_size=12)


def fed(engine_class, chunks):
    """(messages, the code of the end) of an engine that reads these chunks and then the end."""
    outbox = Outbox(trio.testing.memory_stream_pair()[0], spawn=lambda _: None, limit=0)
    engine = engine_class(outbox, b"", LIMIT)
    messages = []
    for chunk in [*chunks, b""]:
        messages += engine._feed(chunk)
        if engine._end is not None:
            break
    return messages, engine._end


def cut(data, places):
    """`data` in chunks, cut at `places` (fractions)."""
    edges = sorted({0, len(data), *(int(place * len(data)) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(WIRE, st.lists(st.floats(0, 1), max_size=5))
async def test_whatever_comes_two_engines_read_the_same(wire, places):
    chunks = cut(b"".join(wire), places)
    messages, end = fed(WsprotoEngine, chunks)
    others, other_end = fed(WebsocketsEngine, chunks)
    assert messages == others
    if 1014 in {end.code, other_end.code}:
        return  # a close code that only one of them knows
    assert end.clean == other_end.clean
    if end.clean:
        assert (end.code, end.reason) == (other_end.code, other_end.reason)
    else:  # where a frame breaks several rules, one engine may see another first
        assert {end.code, other_end.code} <= {1002, 1006, 1007, 1009}
