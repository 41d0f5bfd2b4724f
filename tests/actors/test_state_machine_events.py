"""StateMachine: the order of events, postponing, enter calls (semantics SM4 to SM6)."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    BadReturn,
    CastEvent,
    Enter,
    EventTimeout,
    InfoEvent,
    InternalEvent,
    KeepState,
    NamedTimedOut,
    NamedTimeout,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    ReplyTo,
    ServerExitedError,
    StateTimedOut,
    StateTimeout,
    Stop,
    spawn,
)
from tests.actors.machines import Machine, by_event, seen, start

# -- the order of events -------------------------------------------------------------------------


async def test_casts_infos_and_calls_come_as_such(node):
    machine = await start({})
    machine.cast("cast")
    machine.send("info")
    pid = spawn(trio.sleep_forever)
    pid.exit(KILL)
    assert await seen(machine) == [
        ("start", CastEvent("cast")),
        ("start", InfoEvent("info")),
    ]


async def test_inserted_events_come_in_their_order_before_everything_else(node):
    script = {
        "start": by_event(
            go=KeepState(
                NextEvent(InternalEvent("a")), NextEvent(CastEvent("b")), NextEvent(InfoEvent("c"))
            ),
            a=KeepState(NextEvent(InternalEvent("a1")), NextEvent(InternalEvent("a2"))),
        )
    }
    machine = await start(script)
    machine.cast("go")
    machine.cast("outside")
    assert [event for _, event in await seen(machine)] == [
        CastEvent("go"),
        InternalEvent("a"),
        InternalEvent("a1"),
        InternalEvent("a2"),
        CastEvent("b"),
        InfoEvent("c"),
        CastEvent("outside"),
    ]


async def test_init_may_insert_events_and_start_timers(node, autojump_clock):
    machine = await Machine.start({}, NextEvent(InternalEvent("first")), StateTimeout(0, "second"))
    machine.cast("third")
    assert await seen(machine) == [
        ("start", InternalEvent("first")),
        ("start", StateTimedOut("second")),
        ("start", CastEvent("third")),
    ]


async def test_init_has_nothing_to_postpone(node):
    machine = await Machine.start({"start": NextState("next")}, Postpone())
    machine.cast("go")
    assert await seen(machine) == [("start", CastEvent("go"))]


async def test_a_postponed_event_comes_again_when_the_state_has_changed(node):
    script = {
        "start": by_event(a=KeepState(Postpone()), b=KeepState(Postpone()), go=NextState("next"))
    }
    machine = await start(script)
    for word in ("a", "b", "c", "go", "d"):
        machine.cast(word)
    assert [(state, event.message) for state, event in await seen(machine)] == [
        ("start", "a"),
        ("start", "b"),
        ("start", "c"),
        ("start", "go"),
        ("next", "a"),
        ("next", "b"),
        ("next", "d"),
    ]


async def test_an_event_may_be_postponed_and_change_the_state_itself(node):
    machine = await start({"start": by_event(a=NextState("next", Postpone()))})
    machine.cast("a")
    assert await seen(machine) == [("start", CastEvent("a")), ("next", CastEvent("a"))]


async def test_an_event_may_be_postponed_again(node):
    script = {
        "start": by_event(a=KeepState(Postpone()), go=NextState("second")),
        "second": by_event(a=KeepState(Postpone()), go=NextState("third")),
    }
    machine = await start(script)
    for word in ("a", "go", "go"):
        machine.cast(word)
    assert [state for state, event in await seen(machine) if event == CastEvent("a")] == [
        "start",
        "second",
        "third",
    ]


async def test_of_several_postpones_the_last_counts(node):
    script = {
        "start": by_event(
            a=KeepState(Postpone(), Postpone(flag=False)),
            b=KeepState(Postpone()),
            go=NextState("x"),
        )
    }
    machine = await start(script)
    for word in ("a", "b", "go"):
        machine.cast(word)
    assert [event.message for state, event in await seen(machine) if state == "x"] == ["b"]


@pytest.mark.parametrize("same", [NextState("start"), KeepState(), RepeatState(), None], ids=type)
async def test_an_equal_state_is_no_change_and_retries_nothing(node, same):
    """SM4."""
    script = {"start": by_event(a=KeepState(Postpone()), same=lambda _: same)}
    machine = await start(script)
    machine.cast("a")
    machine.cast("same")
    assert [event.message for _, event in await seen(machine)] == ["a", "same"]


async def test_inserted_before_postponed_before_zero_timeouts_before_the_outside(node):
    """SM5."""

    def go(_event):
        return NextState(
            "next",
            NamedTimeout("zero", 0),
            StateTimeout(0),
            EventTimeout(0),  # the inserted and the postponed cancel it
            NextEvent(InternalEvent("inserted")),
        )

    script = {"start": by_event(a=KeepState(Postpone()), b=KeepState(Postpone()), go=go)}
    machine = await start(script)
    for word in ("a", "b", "go", "outside"):
        machine.cast(word)
    assert [event for state, event in await seen(machine) if state == "next"] == [
        InternalEvent("inserted"),
        CastEvent("a"),
        CastEvent("b"),
        NamedTimedOut("zero"),
        StateTimedOut(),
        CastEvent("outside"),
    ]


async def test_a_machine_that_feeds_itself_does_not_starve_the_others(node):
    machine = await start(
        {"start": by_event(go=KeepState(NextEvent(CastEvent("go")), NamedTimeout("x", 1)))}
    )
    machine.cast("go")
    for _ in range(20):
        await trio.lowlevel.checkpoint()
    machine.exit(KILL)
    with trio.fail_after(5):
        await machine.wait_exited()


# -- enter calls ---------------------------------------------------------------------------------


async def test_the_first_state_is_entered_from_itself(node):
    machine = await start({}, entering=True)
    assert await seen(machine) == [("start", Enter("start"))]


async def test_a_new_state_is_entered_before_anything_else_is_handled(node):
    script = {
        "start": by_event(
            a=KeepState(Postpone()), go=NextState("next", NextEvent(InternalEvent(1)))
        )
    }
    machine = await start(script, entering=True)
    for word in ("a", "go", "outside"):
        machine.cast(word)
    assert (await seen(machine))[3:] == [
        ("next", Enter("start")),
        ("next", InternalEvent(1)),
        ("next", CastEvent("a")),
        ("next", CastEvent("outside")),
    ]


@pytest.mark.parametrize("same", [NextState("start"), KeepState(), None], ids=type)
async def test_a_state_that_does_not_change_is_not_entered(node, same):
    machine = await start({"start": by_event(same=lambda _: same)}, entering=True)
    machine.cast("same")
    assert [event for _, event in await seen(machine)] == [Enter("start"), CastEvent("same")]


async def test_repeat_state_enters_it_once_more(node):
    """SM4."""
    machine = await start({"start": by_event(again=RepeatState())}, entering=True)
    machine.cast("again")
    assert [event for _, event in await seen(machine)] == [
        Enter("start"),
        CastEvent("again"),
        Enter("start"),
    ]


async def test_without_enter_calls_repeat_state_is_keep_state(node):
    machine = await start({"start": by_event(again=RepeatState())})
    machine.cast("again")
    assert [event for _, event in await seen(machine)] == [CastEvent("again")]


async def test_an_enter_call_may_repeat_itself(node):
    left = [2]

    def enter(_event):
        left[0] -= 1
        return RepeatState() if left[0] >= 0 else None

    machine = await start({"start": by_event(Enter=enter)}, entering=True)
    assert [event for _, event in await seen(machine)] == [Enter("start")] * 3


async def test_an_enter_call_may_reply_and_start_timers(node, autojump_clock):
    """SM6."""
    senders: list[Any] = []

    def ask(event):
        senders.append(event.sender)
        return NextState("next", StateTimeout(5, "of the event"))

    def enter(_event):
        return KeepState(ReplyTo(senders.pop(), "entered"), StateTimeout(1, "of the enter call"))

    script = {"start": by_event(ask=ask), "next": by_event(Enter=enter)}
    machine = await start(script, entering=True)
    assert await machine.call("ask") == "entered"
    await trio.sleep(10)
    assert (await seen(machine))[-1] == ("next", StateTimedOut("of the enter call"))
    assert len(await seen(machine)) == 4


BAD_ENTERS = [
    (NextState("other"), NextState("other")),
    (KeepState(Postpone()), Postpone()),
    (KeepState(NextEvent(InternalEvent(1))), NextEvent(InternalEvent(1))),
    ("junk", "junk"),
]


@pytest.mark.parametrize(("result", "blamed"), BAD_ENTERS, ids=repr)
async def test_an_enter_call_may_not_change_the_state_postpone_or_insert(node, result, blamed):
    """SM6."""
    script = {"start": by_event(go=NextState("next")), "next": by_event(Enter=lambda _: result)}
    machine = await start(script, entering=True)
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert failed.value.reason == BadReturn(blamed, "handle_event on Enter")


async def test_an_enter_call_may_say_the_state_it_is_in_and_not_to_postpone(node):
    script = {
        "start": by_event(go=NextState("next")),
        "next": by_event(Enter=NextState("next", Postpone(flag=False))),
    }
    machine = await start(script, entering=True)
    machine.cast("go")
    assert await machine.call("state") == "next"


async def test_an_enter_call_may_stop_the_machine(node):
    script = {"start": by_event(go=NextState("next")), "next": by_event(Enter=Stop("no"))}
    machine = await start(script, entering=True)
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert failed.value.reason == "no"
