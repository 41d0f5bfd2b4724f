"""StateMachine: timeouts (semantics SM7)."""

import math
import sys
from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    BadReturn,
    CallEvent,
    CancelTimeout,
    CastEvent,
    EventTimedOut,
    EventTimeout,
    InternalEvent,
    KeepState,
    NamedTimedOut,
    NamedTimeout,
    NextEvent,
    NextState,
    RepeatState,
    StateTimedOut,
    StateTimeout,
    Stop,
    UpdateTimeout,
    introspection,
    monitor,
)
from tests.actors.machines import Machine, by_event, seen, start, timed_out

# -- timers --------------------------------------------------------------------------------------


async def test_a_state_timeout_comes_after_its_seconds(node, autojump_clock):
    times: list[float] = []

    def late(_event):
        times.append(trio.current_time())

    script = {"start": by_event(go=KeepState(StateTimeout(3, "late")), StateTimedOut=late)}
    machine = await start(script)
    began = trio.current_time()
    machine.cast("go")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [StateTimedOut("late")]
    assert times[0] - began == pytest.approx(3)


async def test_a_state_timeout_ends_with_its_state_and_with_nothing_else(node, autojump_clock):
    script = {
        "start": by_event(
            go=KeepState(StateTimeout(3)),
            same=NextState("start"),
            again=RepeatState(),
            leave=NextState("next"),
        )
    }
    machine = await start(script)
    for word in ("go", "same", "again", "anything"):
        machine.cast(word)
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [StateTimedOut()]
    machine.cast("go")
    machine.cast("leave")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [StateTimedOut()]


async def test_a_state_timeout_given_with_the_change_belongs_to_the_new_state(node, autojump_clock):
    script = {
        "start": by_event(
            go=KeepState(StateTimeout(1, "old")), leave=NextState("next", StateTimeout(2, "new"))
        )
    }
    machine = await start(script)
    machine.cast("go")
    machine.cast("leave")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [StateTimedOut("new")]


@pytest.mark.parametrize("outside", ["cast", "info", "call"])
async def test_an_event_timeout_ends_with_any_event(node, autojump_clock, outside):
    machine = await start({"start": by_event(go=KeepState(EventTimeout(3)))})
    machine.cast("go")
    await trio.sleep(2)
    if outside == "cast":
        machine.cast("x")
    elif outside == "info":
        machine.send("x")
    else:
        await machine.call("state")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == []


async def test_an_event_timeout_ends_with_an_inserted_event_or_another_timeout(
    node, autojump_clock
):
    script = {
        "start": by_event(
            insert=KeepState(EventTimeout(3), NextEvent(InternalEvent("x"))),
            timer=KeepState(EventTimeout(3), NamedTimeout("n", 1)),
        )
    }
    machine = await start(script)
    machine.cast("insert")
    await trio.sleep(10)
    machine.cast("timer")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [NamedTimedOut("n")]


async def test_an_event_timeout_comes_when_nothing_else_does(node, autojump_clock):
    machine = await start({"start": by_event(go=NextState("next", EventTimeout(3, "idle")))})
    machine.cast("go")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [EventTimedOut("idle")]


async def test_system_messages_do_not_end_an_event_timeout(node, autojump_clock):
    machine = await start({"start": by_event(go=KeepState(EventTimeout(3)))})
    machine.cast("go")
    await trio.sleep(2)
    await introspection.get_state(machine)
    await trio.sleep(2)
    assert timed_out(await seen(machine)) == [EventTimedOut()]


async def test_an_event_timeout_of_zero_comes_before_what_waits_outside(node):
    machine = await start({"start": by_event(go=KeepState(EventTimeout(0)))})
    machine.cast("go")
    machine.cast("outside")
    assert [event for _, event in await seen(machine)] == [
        CastEvent("go"),
        EventTimedOut(),
        CastEvent("outside"),
    ]


async def test_named_timeouts_run_side_by_side_and_through_state_changes(node, autojump_clock):
    script = {
        "start": by_event(
            go=NextState("next", NamedTimeout("b", 2, 2), NamedTimeout(("a", 1), 1, 1))
        ),
        "next": by_event(back=NextState("start")),
    }
    machine = await start(script)
    machine.cast("go")
    machine.cast("back")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [NamedTimedOut(("a", 1), 1), NamedTimedOut("b", 2)]


STARTS = {
    "event": (EventTimeout, lambda s, c=None: EventTimeout(s, c), EventTimedOut),
    "state": (StateTimeout, lambda s, c=None: StateTimeout(s, c), StateTimedOut),
    "named": ("n", lambda s, c=None: NamedTimeout("n", s, c), lambda c: NamedTimedOut("n", c)),
}
KINDS = pytest.mark.parametrize(("timer", "begin", "event"), STARTS.values(), ids=list(STARTS))


@KINDS
async def test_a_timeout_replaces_a_running_one_of_its_kind(
    node, autojump_clock, timer, begin, event
):
    script = {"start": by_event(go=KeepState(begin(1, "old")), again=KeepState(begin(3, "new")))}
    machine = await start(script)
    machine.cast("go")
    machine.cast("again")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [event("new")]


@KINDS
async def test_of_several_of_one_kind_in_a_result_the_last_counts(
    node, autojump_clock, timer, begin, event
):
    machine = await start({"start": by_event(go=KeepState(begin(1, "a"), begin(2, "b")))})
    machine.cast("go")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [event("b")]


@KINDS
@pytest.mark.parametrize("how", ["cancel", "None", "infinite"])
async def test_a_timeout_may_be_stopped(node, autojump_clock, timer, begin, event, how):
    stops = {"cancel": CancelTimeout(timer), "None": begin(None), "infinite": begin(math.inf)}
    script = {"start": by_event(go=KeepState(begin(1)), stop=KeepState(stops[how]))}
    machine = await start(script)
    machine.cast("stop")  # nothing runs: fine
    machine.cast("go")
    machine.cast("stop")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == []


@KINDS
async def test_a_timeout_that_has_fired_may_still_be_stopped(
    node, autojump_clock, timer, begin, event
):
    def block(_event):
        return None

    class Slow(Machine):
        async def handle_event(self, event, state):
            if event == CastEvent("slow"):
                await trio.sleep(5)
            return await super().handle_event(event, state)

    script = {
        "start": by_event(go=KeepState(begin(1)), slow=block, stop=KeepState(CancelTimeout(timer)))
    }
    machine = await Slow.start(script)
    machine.cast("go")
    machine.cast("slow")
    machine.cast("stop")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == []


@KINDS
async def test_a_zero_timeout_may_be_stopped_before_it_comes(node, timer, begin, event):
    script = {
        "start": by_event(
            go=KeepState(begin(0), NextEvent(InternalEvent("stop"))),
            stop=KeepState(CancelTimeout(timer)),
        )
    }
    machine = await start(script)
    machine.cast("go")
    assert timed_out(await seen(machine)) == []


@KINDS
async def test_update_gives_other_content_and_leaves_the_clock(
    node, autojump_clock, timer, begin, event
):
    times: list[float] = []

    class Noting(Machine):
        async def handle_event(self, event, state):
            if not isinstance(event, CastEvent | CallEvent):
                times.append(trio.current_time())
            return await super().handle_event(event, state)

    go = KeepState(begin(3, "old"))
    update = KeepState(UpdateTimeout(timer, "new"))
    if timer is EventTimeout:  # any other event ends it, so both in one
        go = update = KeepState(begin(3, "old"), begin(3, "new"))
    machine = await Noting.start({"start": by_event(go=go, update=update)})
    began = trio.current_time()
    machine.cast("go")
    if timer is not EventTimeout:
        await trio.sleep(1)
        machine.cast("update")
    await trio.sleep(10)
    assert timed_out(await seen(machine)) == [event("new")]
    assert times[0] - began == pytest.approx(3)


@KINDS
async def test_update_of_what_does_not_run_times_out_at_once(node, timer, begin, event):
    machine = await start({"start": by_event(go=KeepState(UpdateTimeout(timer, "now")))})
    machine.cast("go")
    machine.cast("outside")
    assert [found for _, found in await seen(machine)] == [
        CastEvent("go"),
        event("now"),
        CastEvent("outside"),
    ]


@KINDS
async def test_update_of_a_zero_timeout(node, timer, begin, event):
    script = {
        "start": by_event(
            go=KeepState(begin(0, "old"), NextEvent(InternalEvent("update"))),
            update=KeepState(UpdateTimeout(timer, "new")),
        )
    }
    machine = await start(script)
    machine.cast("go")
    assert timed_out(await seen(machine)) == [event("new")]


async def test_a_timeout_may_be_given_as_a_time_of_the_clock(node, autojump_clock):
    at = trio.current_time() + 5
    script = {
        "start": by_event(
            go=KeepState(
                StateTimeout(at, "s", absolute=True),
                NamedTimeout("n", at + 1, absolute=True),
                NamedTimeout("past", -1, absolute=True),
            ),
            idle=KeepState(EventTimeout(at + 5, "e", absolute=True)),
        )
    }
    machine = await start(script)
    machine.cast("go")
    await trio.sleep(4.9)
    assert timed_out(await seen(machine)) == [NamedTimedOut("past")]
    await trio.sleep(2)
    machine.cast("idle")
    await trio.sleep(10)
    assert timed_out(await seen(machine))[1:] == [
        StateTimedOut("s"),
        NamedTimedOut("n"),
        EventTimedOut("e"),
    ]


async def test_zero_timeouts_come_in_the_order_of_their_start(node):
    names = [3, 1, 2]
    machine = await start(
        {"start": by_event(go=KeepState(*(NamedTimeout(name, 0) for name in names)))}
    )
    machine.cast("go")
    assert [event.name for event in timed_out(await seen(machine))] == names


async def test_a_zero_state_timeout_ends_with_its_state(node):
    def change(event):
        return NextState("next") if event == NamedTimedOut("n") else None

    script = {
        "start": lambda event: (
            KeepState(NamedTimeout("n", 0), StateTimeout(0))
            if event == CastEvent("go")
            else change(event)
        )
    }
    machine = await start(script)
    machine.cast("go")
    assert timed_out(await seen(machine)) == [NamedTimedOut("n")]


async def test_the_timers_of_a_machine_end_with_it(node, autojump_clock):
    machine = await start(
        {"start": by_event(go=KeepState(StateTimeout(5), NamedTimeout("n", 5)), end=Stop())}
    )
    machine.cast("go")
    machine.cast("end")
    await machine.wait_exited()
    assert len(node.deadlines) == 0
    machine = await start({"start": by_event(go=KeepState(StateTimeout(5)))})
    machine.cast("go")
    await trio.testing.wait_all_tasks_blocked()
    ref = monitor(machine)
    machine.exit(KILL)
    await machine.wait_exited()
    assert len(node.deadlines) == 0
    assert ref.pid is machine


async def test_any_value_names_a_timer(node, autojump_clock):
    """Also None; `{timeout, Name}` takes any term."""
    machine = await start({"start": by_event(go=KeepState(NamedTimeout(None, 1, "x")))})
    machine.cast("go")
    await trio.sleep(2)
    assert timed_out(await seen(machine)) == [NamedTimedOut(None, "x")]


@pytest.mark.parametrize("seconds", [10**400, int(sys.float_info.max) + 1, "5", -1, math.nan])
async def test_a_time_that_is_none_is_a_bad_return_and_terminate_is_called(node, seconds):
    """G16."""
    ends: list[Any] = []

    class Ends(Machine):
        async def terminate(self, reason):
            ends.append(reason)

    action = NamedTimeout("x", seconds)
    machine = await Ends.start({"start": by_event(go=KeepState(action))})
    machine.cast("go")
    with structlog.testing.capture_logs():
        reason = await machine.wait_exited()
    assert isinstance(reason, BadReturn)
    assert ends == [reason]
