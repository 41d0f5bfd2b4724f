from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.transports.backlog import (
    Backlog,
    CoalesceByKey,
    Disconnect,
    DropNewest,
    DropOldest,
    Verdict,
)


def filled(*frames):
    backlog = Backlog()
    for frame in frames:
        backlog.append(frame)
    return backlog


def everything(backlog):
    """All bytes that would be written, by writes of three bytes."""
    written = b""
    while backlog.size:
        piece = bytes(backlog.peek(3))
        written += piece
        backlog.consume(len(piece))
    return written


def test_frames_leave_in_the_order_in_which_they_came():
    assert everything(filled(b"one", b"two", b"three")) == b"onetwothree"


def test_a_peek_joins_whole_frames_up_to_its_limit():
    assert bytes(filled(b"one", b"two", b"three").peek(100)) == b"onetwothree"
    assert bytes(filled(b"one", b"two", b"three").peek(8)) == b"onetwoth"


def test_a_consumed_frame_is_forgotten_and_a_half_consumed_one_is_kept():
    backlog = filled(b"one", b"two")
    backlog.consume(4)
    assert (len(backlog), backlog.size, bytes(backlog.peek(100))) == (1, 2, b"wo")


def test_a_newer_frame_with_the_same_key_takes_the_place_at_the_end():
    backlog = Backlog()
    backlog.append(b"a1", "a")
    backlog.append(b"b1", "b")
    backlog.append(b"a2", "a")
    assert (backlog.dropped, len(backlog), backlog.size) == (1, 2, 4)
    assert everything(backlog) == b"b1a2"


def test_a_half_sent_frame_is_not_superseded():
    backlog = Backlog()
    backlog.append(b"a1", "a")
    backlog.consume(1)
    backlog.append(b"a2", "a")
    assert everything(backlog) == b"1a2"


def test_the_oldest_droppable_frame_is_dropped_and_never_a_control_frame():
    backlog = Backlog()
    backlog.append(b"ping", control=True)
    backlog.append(b"one")
    backlog.append(b"two", "key")
    assert [backlog.drop_oldest(), backlog.drop_oldest(), backlog.drop_oldest()] == [3, 3, 0]
    assert (backlog.dropped, everything(backlog)) == (2, b"ping")


def test_a_half_sent_frame_is_not_dropped():
    backlog = filled(b"one", b"two")
    backlog.consume(1)
    assert backlog.drop_oldest() == 3
    assert everything(backlog) == b"ne"


def test_dropping_all_keeps_the_half_sent_frame_and_the_control_frames():
    backlog = filled(b"one", b"two")
    backlog.append(b"close", control=True)
    backlog.append(b"three")
    backlog.consume(1)
    backlog.drop_all()
    assert (backlog.dropped, backlog.size, everything(backlog)) == (2, 7, b"neclose")


def test_a_key_that_is_pushed_without_end_does_not_grow_the_queue():
    backlog = Backlog()
    for number in range(10_000):
        backlog.append(b"%d" % number, "cursor")
    assert len(backlog) == 1
    assert len(backlog._frames) < 100
    assert everything(backlog) == b"9999"


def test_disconnect_gives_up_the_peer():
    assert Disconnect().make_room(filled(b"one"), 1) is Verdict.DISCONNECT


def test_drop_newest_gives_up_the_new_frame():
    assert DropNewest().make_room(filled(b"one"), 1) is Verdict.DROP


def test_drop_oldest_drops_no_more_than_it_must():
    backlog = filled(b"one", b"two", b"three")
    assert DropOldest().make_room(backlog, 4) is Verdict.QUEUE
    assert everything(backlog) == b"three"


def test_drop_oldest_gives_up_the_peer_where_nothing_is_left_to_drop():
    backlog = Backlog()
    backlog.append(b"control", control=True)
    assert DropOldest().make_room(backlog, 1) is Verdict.DISCONNECT


def test_coalescing_leaves_the_rest_to_another_policy():
    policy = CoalesceByKey(otherwise=DropNewest())
    assert policy.coalesces
    assert policy.make_room(filled(b"one"), 1) is Verdict.DROP


class Model:
    """The same thing with a list, slowly."""

    def __init__(self):
        self.frames = []  # [frame, key, control]
        self.rest = b""

    def append(self, frame, key, control):
        if key is not None:
            self.frames = [item for item in self.frames if item[1] != key]
        self.frames.append((frame, key, control))

    def content(self):
        return self.rest + b"".join(frame for frame, _, _ in self.frames)

    def consume(self, count):
        while count:
            if not self.rest:
                self.rest = self.frames.pop(0)[0]
            used = min(count, len(self.rest))
            self.rest, count = self.rest[used:], count - used

    def drop_oldest(self):
        for index, (frame, _, control) in enumerate(self.frames):
            if not control:
                del self.frames[index]
                return len(frame)
        return 0

    def drop_all(self):
        self.frames = [item for item in self.frames if item[2]]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            st.binary(min_size=1, max_size=5),
            st.sampled_from([None, None, "a", "b"]),
            st.booleans(),
        ),
        st.tuples(st.just("consume"), st.integers(1, 12)),
        st.tuples(st.just("drop_oldest")),
        st.tuples(st.just("drop_all")),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_behaves_like_a_list_of_frames(steps):
    backlog, model = Backlog(), Model()
    for name, *arguments in steps:
        if name == "append":
            frame, key, control = arguments
            backlog.append(frame, key, control=control)
            model.append(frame, key, control)
        elif name == "consume":
            piece = bytes(backlog.peek(arguments[0])) if backlog.size else b""
            assert piece == model.content()[: arguments[0]]
            if piece:
                backlog.consume(len(piece))
                model.consume(len(piece))
        else:
            assert getattr(backlog, name)() == getattr(model, name)()
        assert backlog.size == len(model.content())
        assert len(backlog) == len(model.frames) + bool(model.rest)
    assert everything(backlog) == model.content()


# -- the cost of dropping, and its result ----------------------------------------------------------


class Counted(deque[Any]):
    """Counts the entries that are looked at."""

    looked_at = 0

    def popleft(self):
        self.looked_at += 1
        return super().popleft()

    def __iter__(self):
        for entry in super().__iter__():
            self.looked_at += 1
            yield entry


@pytest.mark.parametrize("pongs", [0, 3])
def test_superseded_frames_in_front_are_walked_over_once_and_not_at_each_push(pongs):
    backlog, policy, limit = Backlog(), CoalesceByKey(otherwise=DropOldest()), 10_000
    frames = backlog._frames = Counted()

    def push(frame, key=None):
        excess = backlog.size + len(frame) - limit
        if excess > 0:
            assert policy.make_room(backlog, excess) is Verdict.QUEUE
        backlog.append(frame, key)

    for n in range(pongs):
        backlog.append(b"pong", ("pong", n), control=True)
    for _ in range(2):  # the second round leaves holes, fewer than are swept out at once
        for n in range(480):
            push(b"x" * 10, n)
    while backlog.size + 10 <= limit:
        push(b"x" * 10)
    frames.looked_at = 0
    for _ in range(1_000):
        push(b"x" * 10)
    assert frames.looked_at < 3_000 + 1_000 * pongs
    assert backlog.size <= limit


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from([None, "a", "b", "c"]), st.integers(1, 9)),
        st.tuples(st.just("control"), st.sampled_from([None, "pong"]), st.integers(1, 9)),
        st.tuples(st.just("drop"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(OPERATIONS)
def test_whatever_is_pushed_and_dropped_the_rest_stays_in_order(operations):
    backlog, pushed = Backlog(), 0
    model: list[tuple[bytes, str | None, bool]] = []  # frame, key, is it a control frame
    for number, (operation, key, size) in enumerate(operations):
        if operation == "drop":
            droppable = [entry for entry in model if not entry[2]]
            assert backlog.drop_oldest() == (len(droppable[0][0]) if droppable else 0)
            if droppable:
                model.remove(droppable[0])
            continue
        control = operation == "control"
        frame = bytes((number,)) * size
        pushed += 1
        if key is not None:
            model = [entry for entry in model if entry[1] != key]
        model.append((frame, key, control))
        backlog.append(frame, key, control=control)
    assert (len(backlog), backlog.size) == (len(model), sum(len(entry[0]) for entry in model))
    assert backlog.dropped == pushed - len(model)
    assert everything(backlog) == b"".join(entry[0] for entry in model)
