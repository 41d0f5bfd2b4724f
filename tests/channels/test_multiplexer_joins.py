"""One connection's joins, rule by rule (protocol reference 1.7, 1.10)."""

from __future__ import annotations

import pytest

from channels.multiplexer import Forward, Join, Leave, Notice, SendReply, StopChannel
from tests.channels.multiplexing import (
    DUPLICATE,
    LOBBY,
    close,
    join,
    joined,
    message,
    multiplexer,
    unmatched,
    unmatched_join,
)

# -- 1.7 join


def test_a_join_asks_for_a_channel_of_the_routed_class():
    effects = multiplexer().receive(message("1", "1", "user:7", "phx_join", {"token": "x"}))
    assert effects == (Join(1, "UserChannel", "user:7", "1", "1", {"token": "x"}),)


def test_a_join_is_answered_with_join_ref_ref_and_response():
    mux = multiplexer()
    key = join(mux, ref="7", join_ref="3")
    mux.started(key, "pid")
    assert mux.joined(key, {"welcome": 1}) == (SendReply("3", "7", LOBBY, "ok", {"welcome": 1}),)


@pytest.mark.parametrize(("tell", "status"), [("joined", "ok"), ("refused", "error")])
def test_the_answer_of_a_join_can_be_seen_before_it_is_given_and_is_its_first_effect(tell, status):
    mux = multiplexer()
    joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))  # the old one is owed a close
    [begun] = mux.exited(1, crashed=False)
    assert isinstance(begun, Join)
    mux.started(begun.key, "new")
    mux.receive(message("2", "3", LOBBY, "waits"))
    answer = mux.answer(begun.key, status, {"n": 1})
    effects = getattr(mux, tell)(begun.key, {"n": 1})
    assert (effects[0], effects[1]) == (answer, close("1"))
    assert mux.answer(begun.key, status, {"n": 1}) is None  # it is given


def test_a_join_of_a_topic_without_route_is_unmatched_with_a_null_join_ref():
    effects = multiplexer().receive(message("1", "1", "nope", "phx_join"))
    assert effects == unmatched_join("1", "nope")


def test_a_refused_join_is_answered_with_the_channels_response_and_no_close():
    mux = multiplexer()
    key = join(mux)
    mux.started(key, "pid")
    refusal = SendReply("1", "1", LOBBY, "error", {"reason": "unauthorized"})
    assert mux.refused(key, {"reason": "unauthorized"}) == (refusal,)
    assert mux.exited(key, crashed=False) == ()
    assert mux.topics() == ()


@pytest.mark.parametrize("is_started", [True, False])
@pytest.mark.parametrize("crashed", [True, False])
def test_a_process_that_dies_during_join_or_cannot_start_is_join_crashed(is_started, crashed):
    mux = multiplexer()
    key = join(mux)
    if is_started:
        mux.started(key, "pid")
    crash = SendReply("1", "1", LOBBY, "error", {"reason": "join crashed"})
    assert mux.exited(key, crashed=crashed) == (crash,)
    assert mux.topics() == ()


def test_a_topic_can_be_joined_again_after_a_refusal():
    mux = multiplexer()
    mux.refused(join(mux), {})
    joined(mux, ref="2")


def test_the_channels_own_join_ref_is_the_ref_when_the_join_had_none():
    [effect] = multiplexer().receive(message(None, "5", LOBBY, "phx_join"))
    assert effect.join_ref == "5"


def test_the_table_keeps_the_raw_join_ref_for_reply_and_close():
    mux = multiplexer()
    key = join(mux, ref="5", join_ref=None)
    mux.started(key, "pid")
    assert mux.joined(key, {}) == (SendReply(None, "5", LOBBY, "ok", {}),)
    assert mux.exited(key, crashed=False) == (close(None),)


def test_a_pending_join_does_not_hold_up_other_topics():
    """C4."""
    mux = multiplexer()
    join(mux, "room:slow", ref="1")
    joined(mux, LOBBY, ref="2")
    push = message("2", "3", LOBBY, "x")
    assert mux.receive(push) == (Forward("pid", push),)


def test_pushes_that_wait_for_a_join_are_forwarded_in_order_after_its_reply():
    mux = multiplexer()
    key = join(mux)
    mux.started(key, "pid")
    pushes = [message("1", "2", LOBBY, "a"), message(None, "3", LOBBY, "b")]
    assert [mux.receive(push) for push in pushes] == [(), ()]
    reply, *forwarded = mux.joined(key, {})
    assert reply == SendReply("1", "1", LOBBY, "ok", {})
    assert forwarded == [Forward("pid", push) for push in pushes]
    assert mux.statistics().held == 0


def test_pushes_that_wait_for_a_join_are_unmatched_after_its_refusal():
    mux = multiplexer()
    key = join(mux)
    mux.receive(message("1", "2", LOBBY, "a"))
    mux.receive(message("1", "3", LOBBY, "phx_leave"))
    refusal, *others = mux.refused(key, {})
    assert refusal == SendReply("1", "1", LOBBY, "error", {})
    assert others == [unmatched("2"), SendReply("1", "3", LOBBY, "ok", {})]


def test_pushes_that_wait_for_a_join_are_unmatched_after_its_crash():
    mux = multiplexer()
    key = join(mux)
    mux.receive(message("1", "2", LOBBY, "a"))
    assert mux.exited(key, crashed=True)[1:] == (unmatched("2"),)


def test_a_leave_that_waits_for_a_join_is_handed_over_after_the_reply_and_the_topic_is_leaving():
    mux = multiplexer()
    key = join(mux)
    mux.started(key, "pid")
    leave = message("1", "2", LOBBY, "phx_leave")
    mux.receive(leave)
    assert mux.joined(key, {})[1:] == (Leave("pid", leave),)
    assert mux.exited(key, crashed=False) == (close("1"),)


def test_after_a_leave_that_waits_the_topic_answers_as_one_that_is_left():
    mux = multiplexer()
    join(mux)
    mux.receive(message("1", "2", LOBBY, "phx_leave"))
    assert mux.receive(message("1", "3", LOBBY, "a")) == (unmatched("3"),)
    again = mux.receive(message("1", "4", LOBBY, "phx_leave"))
    assert again == (SendReply("1", "4", LOBBY, "ok", {}),)


def test_a_stale_message_does_not_wait_for_a_join():
    mux = multiplexer()
    key = join(mux, ref="5")
    mux.started(key, "pid")
    assert mux.receive(message("4", "6", LOBBY, "a")) == ()
    assert len(mux.joined(key, {})) == 1


def test_a_message_beyond_max_held_is_answered_join_pending_with_its_refs():
    mux = multiplexer(max_held=2)
    join(mux)
    for ref in ("2", "3"):
        assert mux.receive(message("1", ref, LOBBY, "a")) == ()
    refusal = SendReply("1", "4", LOBBY, "error", {"reason": "join pending"})
    assert mux.receive(message("1", "4", LOBBY, "a")) == (refusal,)


def test_a_leave_waits_even_beyond_max_held():
    mux = multiplexer(max_held=0)
    key = join(mux)
    mux.started(key, "pid")
    leave = message("1", "2", LOBBY, "phx_leave")
    assert mux.receive(leave) == ()
    assert mux.joined(key, {})[1:] == (Leave("pid", leave),)


def test_a_join_that_answers_before_its_process_is_known_is_the_shells_mistake():
    mux = multiplexer()
    key = join(mux)
    with pytest.raises(RuntimeError, match=r"joined\(1\) on 'room:lobby' without started"):
        mux.joined(key, {})


# -- 1.7, step 3: the limit


def test_a_join_beyond_max_channels_is_refused_with_its_join_ref():
    mux = multiplexer(max_channels=2)
    joined(mux, "room:1", ref="1")
    join(mux, "room:2", ref="2")  # a pending join counts
    refusal = SendReply("3", "3", "room:3", "error", {"reason": "too many channels joined"})
    notice = Notice("too many channels joined", "room:3")
    assert mux.receive(message("3", "3", "room:3", "phx_join")) == (refusal, notice)


def test_a_hundred_channels_are_allowed_unless_configured():
    mux = multiplexer()
    for number in range(100):
        joined(mux, f"room:{number}", ref=str(number))
    [refusal, _] = mux.receive(message("x", "x", "room:100", "phx_join"))
    assert refusal.response == {"reason": "too many channels joined"}


@pytest.mark.parametrize("no_limit", [0, None])
def test_zero_or_none_is_no_limit(no_limit):
    mux = multiplexer(max_channels=no_limit)
    for number in range(150):
        joined(mux, f"room:{number}", ref=str(number))
    assert len(mux.topics()) == 150


def test_a_topic_without_route_is_unmatched_even_when_the_table_is_full():
    mux = multiplexer(max_channels=1)
    joined(mux)
    assert mux.receive(message("2", "2", "nope", "phx_join")) == unmatched_join("2", "nope")


def test_an_exit_frees_a_place():
    mux = multiplexer(max_channels=1)
    mux.exited(joined(mux), crashed=True)
    joined(mux, "room:2")


def test_a_duplicate_join_needs_no_place_of_its_own():
    mux = multiplexer(max_channels=1)
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    [effect] = mux.exited(old, crashed=False)
    assert isinstance(effect, Join)


@pytest.mark.parametrize("options", [{"max_channels": -1}, {"max_held": -1}])
def test_a_negative_limit_is_refused(options):
    with pytest.raises(ValueError, match="expected 0 or more"):
        multiplexer(**options)


# -- 1.10 duplicate join


def test_a_duplicate_join_first_stops_the_old_channel():
    """C8."""
    mux = multiplexer()
    joined(mux)
    effects = mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert effects == (StopChannel("pid", "duplicate_join"), DUPLICATE)


def test_a_join_that_repeats_the_current_join_ref_is_a_duplicate_join_too():
    mux = multiplexer()
    joined(mux)
    effects = mux.receive(message("1", "1", LOBBY, "phx_join"))
    assert effects == (StopChannel("pid", "duplicate_join"), DUPLICATE)


def test_the_new_channel_is_started_only_when_the_old_one_is_dead():
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join", {"again": True}))
    [effect] = mux.exited(old, crashed=True)
    assert effect == Join(2, "RoomChannel", LOBBY, "2", "2", {"again": True})


@pytest.mark.parametrize("how", ["accepted", "refused", "crashed"])
def test_the_reply_of_the_new_join_comes_before_the_close_of_the_old(how):
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    [new] = mux.exited(old, crashed=False)
    mux.started(new.key, "new pid")
    if how == "accepted":
        reply, *others = mux.joined(new.key, {})
    elif how == "refused":
        reply, *others = mux.refused(new.key, {})
    else:
        reply, *others = mux.exited(new.key, crashed=True)
    assert (reply.join_ref, reply.ref) == ("2", "2")
    assert others == [close("1")]


def test_the_close_of_the_old_comes_before_pushes_that_waited_for_the_new():
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    push = message("2", "3", LOBBY, "x")
    assert mux.receive(push) == ()
    [new] = mux.exited(old, crashed=False)
    mux.started(new.key, "new pid")
    assert mux.joined(new.key, {})[1:] == (close("1"), Forward("new pid", push))


def test_pushes_of_the_old_join_are_stale_from_the_duplicate_join_on():
    mux = multiplexer()
    joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert mux.receive(message("1", "3", LOBBY, "x")) == ()
    assert mux.receive(message("1", "4", LOBBY, "phx_leave")) == ()


def test_a_join_of_a_leaving_topic_is_a_duplicate_join():
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("1", "2", LOBBY, "phx_leave"))
    effects = mux.receive(message("3", "3", LOBBY, "phx_join"))
    assert effects == (StopChannel("pid", "duplicate_join"),)  # no news to the log
    [new] = mux.exited(old, crashed=False)
    mux.started(new.key, "new pid")
    assert mux.joined(new.key, {}) == (SendReply("3", "3", LOBBY, "ok", {}), close("1"))


def test_a_client_that_rejoins_before_the_answer_gets_neither_reply_nor_close_of_the_old_attempt():
    mux = multiplexer()
    old = join(mux)
    mux.started(old, "pid")
    effects = mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert effects == (StopChannel("pid", "duplicate_join"), DUPLICATE)
    assert mux.joined(old, {}) == ()
    [new] = mux.exited(old, crashed=False)
    mux.started(new.key, "new pid")
    assert mux.joined(new.key, {}) == (SendReply("2", "2", LOBBY, "ok", {}),)


def test_an_old_attempt_that_refuses_after_it_was_superseded_still_has_to_die_first():
    mux = multiplexer()
    old = join(mux)
    mux.started(old, "pid")
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert mux.refused(old, {"reason": "no"}) == ()
    [new] = mux.exited(old, crashed=False)
    assert isinstance(new, Join)


def test_an_old_attempt_whose_process_is_not_known_yet_is_stopped_when_it_is():
    mux = multiplexer()
    old = join(mux)
    assert mux.receive(message("2", "2", LOBBY, "phx_join")) == (DUPLICATE,)
    assert mux.started(old, "pid") == (StopChannel("pid", "duplicate_join"),)


def test_what_waited_for_a_superseded_attempt_is_answered_as_after_a_refusal():
    mux = multiplexer()
    old = join(mux)
    mux.started(old, "pid")
    mux.receive(message("1", "2", LOBBY, "x"))
    mux.receive(message("1", "3", LOBBY, "phx_leave"))  # the client timed out
    effects = mux.receive(message("4", "4", LOBBY, "phx_join"))
    answers = (unmatched("2"), SendReply("1", "3", LOBBY, "ok", {}))
    assert effects == (StopChannel("pid", "duplicate_join"), *answers)


def test_a_third_join_takes_the_place_of_one_that_still_waits_and_inherits_its_close():
    mux = multiplexer()
    first = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    mux.receive(message("2", "3", LOBBY, "x"))
    assert mux.receive(message("4", "4", LOBBY, "phx_join")) == (unmatched("3"), DUPLICATE)
    [third] = mux.exited(first, crashed=False)
    assert (third.join_ref, third.ref) == ("4", "4")
    mux.started(third.key, "third pid")
    assert mux.joined(third.key, {}) == (SendReply("4", "4", LOBBY, "ok", {}), close("1"))


def test_a_third_join_inherits_the_close_from_an_attempt_that_was_begun():
    mux = multiplexer()
    first = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    [second] = mux.exited(first, crashed=False)
    mux.started(second.key, "second pid")
    effects = mux.receive(message("3", "3", LOBBY, "phx_join"))
    assert effects == (StopChannel("second pid", "duplicate_join"), DUPLICATE)
    [third] = mux.exited(second.key, crashed=False)
    mux.started(third.key, "third pid")
    assert mux.joined(third.key, {}) == (SendReply("3", "3", LOBBY, "ok", {}), close("1"))


def test_the_exit_of_an_old_channel_does_not_touch_the_new_one():
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    [new] = mux.exited(old, crashed=True)
    mux.started(new.key, "new pid")
    mux.joined(new.key, {})
    assert mux.exited(old, crashed=True) == ()
    push = message("2", "3", LOBBY, "x")
    assert mux.receive(push) == (Forward("new pid", push),)


def test_a_superseded_channel_that_announces_its_end_is_waited_for():
    """It may still be busy in `terminate`: the new one starts when it is dead."""
    mux = multiplexer()
    old = joined(mux)
    mux.receive(message("2", "2", LOBBY, "phx_join"))
    assert mux.closing(old) == ()
    [begun] = mux.exited(old, crashed=True)
    assert isinstance(begun, Join)


def test_a_channel_that_announces_its_end_is_closed_at_once_and_not_again():
    mux = multiplexer()
    key = joined(mux)
    assert mux.closing(key) == (close("1"),)
    assert mux.exited(key, crashed=True) == mux.closing(key) == ()


def test_a_join_is_awaited_until_it_is_answered_superseded_or_gone():
    mux = multiplexer()
    key = join(mux)
    assert mux.awaits(key)
    mux.started(key, "pid")
    assert mux.awaits(key)
    mux.joined(key, {})
    assert not mux.awaits(key)
    other = join(mux, "room:other")
    mux.receive(message("2", "2", "room:other", "phx_join"))
    assert not mux.awaits(other)
    third = join(mux, "room:third")
    mux.closed()
    assert not mux.awaits(third)
