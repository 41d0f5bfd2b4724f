"""StateMachine (semantics SM1 to SM8)."""

import math
from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    AlreadyStartedError,
    BadReturn,
    CallEvent,
    CallTimeoutError,
    CancelTimeout,
    CastEvent,
    Continue,
    Crash,
    Enter,
    EventTimedOut,
    EventTimeout,
    Exit,
    Hibernate,
    Ignore,
    InfoEvent,
    InternalEvent,
    KeepState,
    NamedTimedOut,
    NamedTimeout,
    NextEvent,
    NextState,
    NoProcessError,
    NoReply,
    Postpone,
    Registry,
    RepeatState,
    Reply,
    ReplyTo,
    ServerExitedError,
    Shutdown,
    StartError,
    StartIgnoredError,
    StateMachine,
    StateTimedOut,
    StateTimeout,
    Stop,
    StopAndReply,
    UpdateTimeout,
    Via,
    introspection,
    monitor,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)

# -- programs under test -------------------------------------------------------------------------


class Machine(StateMachine):
    """Answers as its script says: `script[state](event)`; notes what it was given, and in which state."""

    async def init(self, script, *actions, first="start"):
        self.script = script
        self.seen: list[Any] = []
        return NextState(first, *actions)

    async def handle_event(self, event, state):
        self.seen.append((state, event))
        match event:
            case CallEvent(request="seen"):
                self.seen.pop()
                return KeepState(ReplyTo(event.sender, list(self.seen)))
            case CallEvent(request="state"):
                self.seen.pop()
                return KeepState(ReplyTo(event.sender, state))
        answer = self.script.get(state)
        return answer(event) if callable(answer) else answer


class EnteringMachine(Machine):
    state_enter = True


class ByFunctions(StateMachine):
    """The same door in both modes: see `ByEvents`."""

    callback_mode = "state_functions"

    async def init(self, code="1234"):
        self.code, self.tries = code, 0
        return NextState("locked")

    async def locked(self, event):
        match event:
            case CallEvent(request="state"):
                return KeepState(ReplyTo(event.sender, "locked"))
            case CallEvent(request=code, sender=sender) if code == self.code:
                return NextState("unlocked", ReplyTo(sender, True))
            case CallEvent(sender=sender):
                self.tries += 1
                return KeepState(ReplyTo(sender, False))
            case CastEvent(message=("stop", reason)):
                return Stop(reason)

    async def unlocked(self, event):
        match event:
            case CallEvent(request="state"):
                return KeepState(ReplyTo(event.sender, "unlocked"))
            case CallEvent(request="lock", sender=sender):
                return NextState("locked", ReplyTo(sender, "locked"))
            case CastEvent(message=("stop", reason)):
                return Stop(reason)


class ByEvents(StateMachine):
    async def init(self, code="1234"):
        self.code, self.tries = code, 0
        return NextState("locked")

    async def handle_event(self, event, state):
        return await getattr(ByFunctions, state)(self, event)


MODES = pytest.mark.parametrize("door", [ByEvents, ByFunctions], ids=["event", "functions"])


class Starting(StateMachine):
    """Its `init` does what it is told."""

    async def init(self, what, value=None):
        match what:
            case "return":
                return value
            case "raise":
                raise value
            case "sleep":
                await trio.sleep(value)
        return NextState("started")

    async def handle_event(self, event, state):
        return None


def by_event(**answers):
    """A state's answers by the word in the event."""

    def answer(event):
        match event:
            case CastEvent(message=word) | InternalEvent(content=word):
                given = answers.get(word)
            case CallEvent(request=word):
                given = answers.get(word)
            case _:
                given = answers.get(type(event).__name__)
        return given(event) if callable(given) else given

    return answer


async def seen(machine):
    return await machine.call("seen")


async def start(script, *actions, entering=False, **options):
    return await (EnteringMachine if entering else Machine).start(script, *actions, **options)


async def use(machine):
    """The door works."""
    assert await StateMachine.call(machine, "9") is False
    assert await StateMachine.call(machine, "state") == "locked"
    assert await StateMachine.call(machine, "1234") is True
    assert await StateMachine.call(machine, "lock") == "locked"


# -- starting and stopping -----------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("start_function", ["start", "start_link"])
async def test_a_machine_without_a_name(node, door, start_function):
    pid = await getattr(door, start_function)()
    await use(pid)
    await pid.stop()
    assert not pid.is_alive()


@MODES
@pytest.mark.parametrize("start_function", ["start", "start_link"])
@pytest.mark.parametrize("named", [str, "via"])
async def test_a_machine_with_a_name(node, door, start_function, named):
    registry = Registry("registry")
    await registry.start_link()
    name: Any = "door" if named is str else Via(registry, "door")
    pid = await getattr(door, start_function)(name=name)
    for again in (door.start, door.start_link):
        with pytest.raises(AlreadyStartedError) as refused:
            await again(name=name)
        assert refused.value.pid is pid
    await use(pid)
    await use(name)
    await StateMachine.stop(name)
    with pytest.raises(NoProcessError):
        await StateMachine.call(name, "state")
    assert (await door.start(name=name)) is not pid


async def test_a_start_may_take_so_long(node, autojump_clock):
    await Starting.start("sleep", 1, timeout=2)
    with pytest.raises(StartError) as failed:
        await Starting.start("sleep", 5, timeout=2)
    assert failed.value.reason is TIMEOUT


async def test_a_start_may_be_ignored(node):
    with pytest.raises(StartIgnoredError):
        await Starting.start_link("return", Ignore())


@pytest.mark.parametrize(
    ("what", "value", "reason"),
    [
        ("return", Stop("stopped"), "stopped"),
        ("raise", StartError("refused"), "refused"),
        ("return", "junk", BadReturn("junk", "init")),
        ("return", None, BadReturn(None, "init")),
        ("return", KeepState(), BadReturn(KeepState(), "init")),
    ],
)
async def test_a_start_may_fail(node, what, value, reason):
    with pytest.raises(StartError) as failed:
        await Starting.start(what, value)
    assert failed.value.reason == reason


async def test_a_start_may_crash(node):
    with pytest.raises(StartError) as failed:
        await Starting.start("raise", ValueError("oops"))
    assert isinstance(failed.value.reason, Crash)
    with pytest.raises(StartError) as failed:
        await StateMachine.start()
    assert isinstance(failed.value.reason, Crash)


async def test_a_machine_that_fails_in_its_first_enter_call_has_started():
    async with open_node():
        trap_exit()
        pid = await EnteringMachine.start_link({"start": lambda event: Stop("no")})
        assert await receive(Exit) == Exit(pid, "no")


@MODES
async def test_stop_gives_the_reason_and_works_once(node, door):
    pid = await door.start()
    await pid.stop("other")
    with pytest.raises(NoProcessError):
        await pid.stop()
    with pytest.raises(NoProcessError):
        await StateMachine.stop("nobody")


@MODES
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x"), "oops"], ids=repr)
async def test_a_callback_may_stop_the_machine(door, reason):
    async with open_node():
        trap_exit()
        pid = await door.start_link()
        pid.cast(("stop", reason))
        assert await receive(Exit) == Exit(pid, reason)
        with pytest.raises(NoProcessError):
            await pid.call("state")


def test_the_child_spec_is_that_of_a_server():
    spec = ByEvents.child_spec("9999", name="door", restart="transient")
    assert spec["id"] == "door"
    assert spec["restart"] == "transient"
    assert spec["start"] == (ByEvents.start_link, ("9999",), {"name": "door"})
    assert ByEvents.child_spec(id="x")["id"] == "x"
    assert ByEvents.child_spec()["id"] is ByEvents


async def test_the_exit_of_its_parent_ends_a_machine_in_order():
    ended: list[Any] = []

    class Ending(Machine):
        async def terminate(self, reason):
            ended.append((self.state, reason))

    async def parent():
        await Ending.start_link({}, first="first")
        raise SystemError

    async with open_node():
        await spawn(parent).wait_exited()
        await trio.testing.wait_all_tasks_blocked()
    [(state, reason)] = ended
    assert state == "first"
    assert isinstance(reason.exception, SystemError)


# -- calls ---------------------------------------------------------------------------------------


async def test_a_call_waits_as_long_as_it_takes_unless_told_otherwise(node, autojump_clock):
    def later(event):
        return KeepState(NamedTimeout("reply", 100, event.sender))

    def answer(event):
        return KeepState(ReplyTo(event.content, "late"))

    machine = await start({"start": by_event(ask=later, NamedTimedOut=answer)})
    assert await StateMachine.call(machine, "ask") == "late"
    with pytest.raises(CallTimeoutError):
        await StateMachine.call(machine, "ask", timeout=1)


async def test_a_reply_after_the_timeout_of_its_call_disturbs_nobody(autojump_clock):
    def later(event):
        return KeepState(NamedTimeout("reply", 2, event.sender))

    def answer(event):
        return KeepState(ReplyTo(event.content, "late"))

    async with open_node():
        machine = await start({"start": by_event(ask=later, NamedTimedOut=answer)})
        with pytest.raises(CallTimeoutError):
            await machine.call("ask", timeout=1)
        await trio.sleep(5)
        assert await machine.call("state") == "start"
        assert not current_mailbox()


def current_mailbox():
    from actors.process import current_process

    return list(current_process().mailbox.queue or ())


async def test_a_call_that_is_not_handled_waits(node, autojump_clock):
    machine = await start({})
    with pytest.raises(CallTimeoutError):
        await machine.call("anything", timeout=5)


async def test_a_call_may_be_answered_from_another_event(node):
    senders: list[Any] = []

    def keep(event):
        senders.append(event.sender)

    def release(_event):
        return KeepState(ReplyTo(senders.pop(), "released"))

    machine = await start({"start": by_event(wait=keep, release=release)})
    answers: list[Any] = []

    async def caller():
        answers.append(await machine.call("wait"))

    pid = spawn(caller)
    await trio.testing.wait_all_tasks_blocked()
    machine.cast("release")
    await pid.wait_exited()
    assert answers == ["released"]


async def test_a_second_reply_is_dropped(node):
    def twice(event):
        return KeepState(ReplyTo(event.sender, 1), ReplyTo(event.sender, 2))

    machine = await start({"start": by_event(ask=twice)})
    assert await machine.call("ask") == 1


async def test_stop_and_reply_answers_calls_and_then_runs_terminate(node):
    order: list[Any] = []
    kept: list[Any] = []

    class Ending(Machine):
        async def terminate(self, reason):
            order.append("terminate")

    def end(event):
        return StopAndReply("bye", ReplyTo(kept.pop(), "first"), ReplyTo(event.sender, "second"))

    machine = await Ending.start({"start": by_event(wait=lambda e: kept.append(e.sender), end=end)})

    async def caller(request):
        order.append(await machine.call(request))

    first = spawn(caller, "wait")
    await trio.testing.wait_all_tasks_blocked()
    second = spawn(caller, "end")
    assert await machine.wait_exited() == "bye"
    await first.wait_exited()
    await second.wait_exited()
    assert set(order) == {"first", "second", "terminate"}


async def test_calls_that_have_no_reply_when_the_machine_ends_get_the_reason(node):
    machine = await start({"start": by_event(wait=KeepState(Postpone()), end=Stop("bye"))})
    reasons: list[Any] = []

    async def caller(request):
        try:
            await machine.call(request)
        except ServerExitedError as error:
            reasons.append(error.reason)

    pids = [spawn(caller, request) for request in ("wait", "wait")]
    await trio.testing.wait_all_tasks_blocked()
    pids.append(spawn(caller, "end"))
    for pid in pids:
        await pid.wait_exited()
    assert reasons == ["bye"] * 3


# -- what may be returned ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk", ["junk", 0, False, NoReply(), Reply(1), Continue(1), Stop("x", reply=1)], ids=repr
)
async def test_a_result_that_makes_no_sense_ends_the_machine(node, junk):
    machine = await start({"start": by_event(go=lambda _: junk)})
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert failed.value.reason == BadReturn(junk, "handle_event")


BAD_ACTIONS = [
    "junk",
    Continue(1),
    ReplyTo("nobody", 1),
    NextEvent("junk"),  # type: ignore[arg-type]  # that is the point
    NextEvent(Enter("x")),
    Postpone("yes"),  # type: ignore[arg-type]  # as above
    EventTimeout(-1),
    StateTimeout("soon"),  # type: ignore[arg-type]  # as above
    NamedTimeout("x", math.nan),
]


@pytest.mark.parametrize("action", BAD_ACTIONS, ids=repr)
async def test_an_action_that_makes_no_sense_ends_the_machine(node, action):
    machine = await start({"start": by_event(go=KeepState(action))})
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert failed.value.reason.value is action
    assert failed.value.reason.callback == "handle_event"


async def test_stop_and_reply_takes_only_replies(node):
    machine = await start({"start": by_event(go=StopAndReply("bye", Postpone()))})  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert failed.value.reason == BadReturn(Postpone(), "handle_event")


async def test_an_exception_in_a_callback_ends_the_machine(node):
    machine = await start({"start": by_event(go=lambda _: 1 // 0)})
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert isinstance(failed.value.reason.exception, ZeroDivisionError)


@pytest.mark.parametrize("state", ["absent", "stop", "state", 7])
async def test_a_state_without_a_function_ends_a_machine_of_state_functions(node, state):
    class Lost(StateMachine):
        callback_mode = "state_functions"

        async def init(self):
            return NextState("here")

        async def here(self, event):
            return NextState(state)

    machine = await Lost.start()
    machine.cast("go")
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("anything")
    assert "state function" in str(failed.value.reason.exception)


async def test_a_machine_without_handle_event_ends_with_its_first_event(node):
    class Empty(StateMachine):
        async def init(self):
            return NextState("here")

    machine = await Empty.start()
    with pytest.raises(ServerExitedError):
        await machine.call("anything")


async def test_a_state_may_be_any_value_that_can_be_compared(node):
    machine = await start({("a", 1): NextState(("b", 2))}, first=("a", 1))
    machine.cast("go")
    assert await machine.call("state") == ("b", 2)


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
    script = {"start": by_event(a=KeepState(Postpone()), same=lambda _: same)}
    machine = await start(script)
    machine.cast("a")
    machine.cast("same")
    assert [event.message for _, event in await seen(machine)] == ["a", "same"]


async def test_inserted_before_postponed_before_zero_timeouts_before_the_outside(node):
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


# -- timers --------------------------------------------------------------------------------------


def timed_out(events):
    return [
        event
        for _, event in events
        if isinstance(event, EventTimedOut | StateTimedOut | NamedTimedOut)
    ]


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


# -- hibernate, status, terminate ----------------------------------------------------------------


class Sleeper(Machine):
    async def init(self, *args, **options):
        self.naps = 0
        return await super().init(*args, **options)

    def hibernate(self):
        self.naps += 1


async def test_hibernate_calls_the_hook_when_no_events_are_left(node):
    script = {
        "start": by_event(
            nap=KeepState(Hibernate()),
            both=KeepState(Hibernate(), NextEvent(InternalEvent("x"))),
        )
    }
    machine = await Sleeper.start(script)
    machine.cast("nap")
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 1
    machine.cast("both")
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 1


async def test_the_state_of_a_machine_is_its_state_and_its_data(node):
    machine = await ByFunctions.start("9")
    assert await introspection.get_state(machine) == ("locked", {"code": "9", "tries": 0})

    def change(state):
        name, data = state
        return "unlocked", {"code": data["code"] + name, "extra": 1}

    assert await introspection.replace_state(machine, change) == (
        "unlocked",
        {"code": "9locked", "extra": 1},
    )
    assert await introspection.get_state(machine) == (
        "unlocked",
        {"code": "9locked", "extra": 1},
    )
    assert await machine.call("state") == "unlocked"


async def test_a_change_of_state_from_outside_that_raises_changes_nothing(node):
    machine = await ByEvents.start()
    with pytest.raises(ServerExitedError) as failed:
        await introspection.replace_state(machine, lambda _: 1 // 0)
    assert failed.value.reason[0] == "callback_failed"
    assert await machine.call("state") == "locked"


async def test_a_suspended_machine_handles_nothing_until_it_is_resumed(node, autojump_clock):
    machine = await ByEvents.start()
    await introspection.suspend(machine)
    with pytest.raises(CallTimeoutError):
        await machine.call("state", timeout=1)
    await introspection.resume(machine)
    assert await machine.call("state") == "locked"


class Secretive(Machine):
    def format_status(self, status):
        state, data = status["state"]
        return status | {"state": (state, {"script": "hidden", "seen": len(data["seen"])})}


class Broken(Machine):
    def format_status(self, status):
        raise ValueError("no")


async def test_format_status_decides_what_is_shown(node):
    machine = await Secretive.start({})
    status = await introspection.get_status(machine)
    assert status["state"] == ("start", {"script": "hidden", "seen": 0})
    assert status["module"].__name__ == "MachineServer"
    status = await introspection.get_status(await Machine.start({}))
    assert status["state"][0] == "start"


@pytest.mark.parametrize(
    ("kind", "shown"), [(Secretive, "hidden"), (Broken, "format_status raised"), (Machine, "seen")]
)
async def test_a_crash_is_reported_with_state_and_data_as_format_status_shows_them(
    node, kind, shown
):
    machine = await kind.start({"start": by_event(go=lambda _: 1 // 0)})
    with structlog.testing.capture_logs() as logs:
        machine.cast("go")
        await machine.wait_exited()
    [report] = [log for log in logs if log["event"] == "GenServer terminating"]
    assert shown in report["state"]
    assert kind.__name__ in report["process"]


async def test_an_orderly_end_is_not_reported(node):
    machine = await ByEvents.start()
    with structlog.testing.capture_logs() as logs:
        machine.cast(("stop", Shutdown("done")))
        await machine.wait_exited()
    assert logs == []


class Terminating(Machine):
    async def terminate(self, reason):
        self.script["ended"].append((self.state, reason))
        if reason == "crash":
            raise ValueError("in terminate")


async def test_terminate_runs_with_the_last_state(node):
    ended: list[Any] = []
    machine = await Terminating.start({"ended": ended, "start": NextState("last")})
    machine.cast("go")
    await machine.stop(SHUTDOWN)
    assert ended == [("last", SHUTDOWN)]


async def test_an_exception_in_terminate_replaces_the_reason(node):
    machine = await Terminating.start({"ended": []})
    with pytest.raises(ServerExitedError) as failed:
        await machine.stop("crash")
    assert isinstance(failed.value.reason.exception, ValueError)


async def test_a_machine_with_terminate_traps_exits_and_one_without_does_not(node):
    trapping = await Terminating.start({"ended": []})
    plain = await Machine.start({})
    for pid in (trapping, plain):
        pid.exit(SHUTDOWN)
    await trio.testing.wait_all_tasks_blocked()
    assert not plain.is_alive()
    assert await seen(trapping) == [("start", InfoEvent(Exit(self_pid(), SHUTDOWN)))]


async def test_a_machine_without_terminate_stops_all_the_same(node):
    machine = await Machine.start({})
    await machine.stop(SHUTDOWN)
    assert not machine.is_alive()


async def test_a_machine_knows_its_pid_and_shows_its_class(node):
    pids: list[Any] = []

    class Knowing(Machine):
        async def handle_event(self, event, state):
            pids.append(self.pid)

    machine = await Knowing.start({})
    machine.cast("go")
    await introspection.get_state(machine)
    assert pids == [machine]
    assert "Knowing" in repr(machine)
