"""One connection's protocol, rule by rule (protocol reference 1.6, 1.8, 1.9, 1.11, 1.12)."""

from __future__ import annotations

import pytest

from channels.messages import Binary, Message
from channels.multiplexer import (
    Forward,
    Leave,
    Multiplexer,
    Send,
    SendReply,
    StopChannel,
    TopicInfo,
    TopicState,
)
from tests.channels.multiplexing import (
    LOBBY,
    close,
    join,
    joined,
    message,
    multiplexer,
    unmatched,
    unmatched_join,
)

# -- 1.6 heartbeat


@pytest.mark.parametrize("join_ref", [None, "1", ""])
@pytest.mark.parametrize("payload", [{}, {"any": 1}, [1], None, Binary(b"x")])
def test_a_heartbeat_is_answered_whatever_its_join_ref_and_payload(join_ref, payload):
    mux = multiplexer()
    sent = Message(join_ref, "9", "phoenix", "heartbeat", payload)
    assert mux.receive(sent) == (SendReply(None, "9", "phoenix", "ok", {}),)


def test_a_heartbeat_is_answered_while_a_join_is_pending():
    mux = multiplexer()
    join(mux)
    [reply] = mux.receive(message(None, "2", "phoenix", "heartbeat"))
    assert reply.status == "ok"


def test_another_event_on_topic_phoenix_is_unmatched():
    assert multiplexer().receive(message(None, "1", "phoenix", "x")) == (unmatched("1", "phoenix"),)


def test_nobody_can_join_topic_phoenix_even_if_it_is_routed():
    mux = Multiplexer[str, str](lambda topic: "Any")
    assert mux.receive(message("1", "1", "phoenix", "phx_join")) == unmatched_join("1", "phoenix")


def test_a_heartbeat_event_on_a_joined_topic_is_an_ordinary_push():
    mux = multiplexer()
    joined(mux)
    sent = message("1", "2", LOBBY, "heartbeat")
    assert mux.receive(sent) == (Forward("pid", sent),)


# -- 1.8 events on joined topics


def test_a_push_with_the_current_join_ref_goes_to_the_channel():
    mux = multiplexer()
    joined(mux)
    push = message("1", "2", LOBBY, "new_msg", {"body": "hi"})
    assert mux.receive(push) == (Forward("pid", push),)


def test_a_push_with_a_null_join_ref_goes_to_the_channel():
    mux = multiplexer()
    joined(mux)
    push = message(None, "2", LOBBY, "new_msg")
    assert mux.receive(push) == (Forward("pid", push),)


@pytest.mark.parametrize("join_ref", ["0", "", "11", 1])
def test_a_push_with_a_stale_join_ref_is_dropped(join_ref):
    """C6."""
    mux = multiplexer()
    joined(mux)
    assert mux.receive(message(join_ref, "2", LOBBY, "new_msg")) == ()


@pytest.mark.parametrize("join_ref", [None, "1", "anything"])
def test_nothing_is_stale_for_a_join_that_had_no_join_ref(join_ref):
    """C6."""
    mux = multiplexer()
    joined(mux, join_ref=None)
    push = message(join_ref, "2", LOBBY, "new_msg")
    assert mux.receive(push) == (Forward("pid", push),)


@pytest.mark.parametrize("event", ["phx_reply", "phx_close", "phx_error", ""])
def test_reserved_events_of_the_server_reach_the_channel(event):
    mux = multiplexer()
    joined(mux)
    push = message("1", "2", LOBBY, event)
    assert mux.receive(push) == (Forward("pid", push),)


def test_a_push_without_ref_goes_to_the_channel():
    mux = multiplexer()
    joined(mux)
    push = message("1", None, LOBBY, "typing")
    assert mux.receive(push) == (Forward("pid", push),)


# -- 1.9 leave


@pytest.mark.parametrize("join_ref", ["1", None])
def test_a_leave_with_the_current_or_a_null_join_ref_goes_to_the_channel(join_ref):
    mux = multiplexer()
    joined(mux)
    leave = message(join_ref, "4", LOBBY, "phx_leave")
    assert mux.receive(leave) == (Leave("pid", leave),)


@pytest.mark.parametrize("crashed", [False, True])
def test_after_a_leave_the_exit_is_a_close_with_the_stored_join_ref(crashed):
    mux = multiplexer()
    key = joined(mux)
    mux.receive(message(None, "4", LOBBY, "phx_leave"))
    assert mux.exited(key, crashed=crashed) == (close("1"),)


def test_a_leave_with_a_stale_join_ref_is_ignored():
    mux = multiplexer()
    joined(mux, ref="5")
    assert mux.receive(message("4", "6", LOBBY, "phx_leave")) == ()
    push = message("5", "7", LOBBY, "x")
    assert mux.receive(push) == (Forward("pid", push),)


def test_a_leave_of_a_topic_that_is_not_joined_is_ok_with_its_own_refs():
    effects = multiplexer().receive(message("1", "4", LOBBY, "phx_leave"))
    assert effects == (SendReply("1", "4", LOBBY, "ok", {}),)


def test_an_event_on_a_leaving_topic_is_unmatched():
    mux = multiplexer()
    joined(mux)
    mux.receive(message("1", "4", LOBBY, "phx_leave"))
    assert mux.receive(message("1", "5", LOBBY, "x")) == (unmatched("5"),)


def test_a_second_leave_of_a_leaving_topic_is_ok():
    """C7."""
    mux = multiplexer()
    joined(mux)
    mux.receive(message("1", "4", LOBBY, "phx_leave"))
    effects = mux.receive(message("1", "5", LOBBY, "phx_leave"))
    assert effects == (SendReply("1", "5", LOBBY, "ok", {}),)


def test_a_leave_of_one_topic_does_not_touch_another():
    mux = multiplexer()
    joined(mux, "room:1", ref="1", channel="one")
    joined(mux, "room:2", ref="2", channel="two")
    mux.receive(message("1", "3", "room:1", "phx_leave"))
    push = message("2", "4", "room:2", "x")
    assert mux.receive(push) == (Forward("two", push),)


# -- 1.11 close and error


def test_an_orderly_exit_is_a_close_with_ref_equal_to_join_ref():
    mux = multiplexer()
    assert mux.exited(joined(mux), crashed=False) == (close("1"),)


def test_a_crash_is_an_error_with_reason_channel_crash():
    mux = multiplexer()
    error = Message("1", "1", LOBBY, "phx_error", {"reason": "channel_crash"})
    assert mux.exited(joined(mux), crashed=True) == (Send(error),)


def test_a_topic_can_be_joined_again_after_a_crash():
    mux = multiplexer()
    mux.exited(joined(mux), crashed=True)
    joined(mux, ref="2", channel="new pid")
    push = message("2", "3", LOBBY, "x")
    assert mux.receive(push) == (Forward("new pid", push),)


def test_the_end_of_one_channel_does_not_touch_another():
    mux = multiplexer()
    one = joined(mux, "room:1", ref="1", channel="one")
    joined(mux, "room:2", ref="2", channel="two")
    mux.exited(one, crashed=True)
    push = message("2", "3", "room:2", "x")
    assert mux.receive(push) == (Forward("two", push),)


@pytest.mark.parametrize("reason", ["closed", "draining"])
def test_the_end_of_the_connection_stops_every_channel(reason):
    mux = multiplexer()
    joined(mux, "room:1", channel="one")
    joined(mux, "room:2", channel="two")
    mux.receive(message("1", "3", "room:2", "phx_leave"))
    mux.started(join(mux, "room:3"), "three")
    stops = {(effect.channel, effect.reason) for effect in mux.closed(reason)}
    assert stops == {("one", reason), ("two", reason), ("three", reason)}


def test_a_superseded_channel_is_not_stopped_twice():
    mux = multiplexer()
    joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert mux.closed() == ()


def test_a_channel_that_starts_after_the_end_of_the_connection_is_stopped():
    mux = multiplexer()
    key = join(mux)
    assert mux.closed("draining") == ()
    assert mux.started(key, "pid") == (StopChannel("pid", "draining"),)


def test_nothing_is_sent_after_the_end_of_the_connection():
    mux = multiplexer()
    one, two = joined(mux, "room:1"), join(mux, "room:2")
    mux.started(two, "two")
    mux.closed()
    assert mux.exited(one, crashed=True) == ()
    assert mux.joined(two, {}) == ()
    assert mux.receive(message(None, "9", "phoenix", "heartbeat")) == ()
    assert mux.receive(message("1", "1", LOBBY, "phx_join")) == ()
    assert mux.closed() == ()


# -- 1.12 topics that are not joined


def test_an_event_on_a_topic_that_is_not_joined_is_unmatched_with_a_null_join_ref():
    """C10."""
    assert multiplexer().receive(message("1", "3", "nope", "x")) == (unmatched("3", "nope"),)


def test_an_event_after_a_close_is_unmatched():
    mux = multiplexer()
    mux.exited(joined(mux), crashed=False)
    assert mux.receive(message("1", "3", LOBBY, "x")) == (unmatched("3"),)


def test_an_empty_topic_is_a_topic_like_any_other():
    assert multiplexer().receive(message("1", "1", "", "phx_join")) == unmatched_join("1", "")


def test_whatever_concerns_a_key_that_never_was_or_is_gone_is_ignored():
    mux = multiplexer()
    gone = joined(mux)
    mux.exited(gone, crashed=False)
    for key in (gone, 99):
        assert mux.started(key, "pid") == ()
        assert mux.joined(key, {}) == ()
        assert mux.refused(key, {}) == ()
        assert mux.exited(key, crashed=True) == ()


def test_a_second_answer_to_a_join_is_ignored():
    mux = multiplexer()
    key = joined(mux)
    assert mux.joined(key, {}) == ()
    assert mux.refused(key, {}) == ()


# -- introspection


def test_topics_tell_state_join_ref_channel_and_what_is_held():
    mux = multiplexer()
    joined(mux, "room:1", ref="1", channel="one")
    join(mux, "room:2", ref="2")
    mux.receive(message("2", "3", "room:2", "x"))
    assert mux.topics() == (
        TopicInfo("room:1", TopicState.JOINED, "1", "one", 0),
        TopicInfo("room:2", TopicState.JOINING, "2", None, 1),
    )
    assert repr(mux) == "<Multiplexer room:1=joined room:2=joining>"


def test_statistics_count_what_was_answered_without_a_channel():
    mux = multiplexer(max_channels=1, max_held=1)
    join(mux)
    mux.receive(message("1", "2", LOBBY, "x"))  # held
    mux.receive(message("1", "3", LOBBY, "x"))  # refused
    mux.receive(message("0", "4", LOBBY, "x"))  # stale
    mux.receive(message("5", "5", "room:2", "phx_join"))  # refused
    mux.receive(message("5", "6", "nope", "x"))  # unmatched
    mux.receive(message(None, "7", "phoenix", "heartbeat"))
    statistics = mux.statistics()
    assert (statistics.topics, statistics.held, statistics.heartbeats) == (1, 1, 1)
    assert (statistics.stale, statistics.unmatched, statistics.refused) == (1, 1, 2)
