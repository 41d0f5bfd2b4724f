"""StateMachine: its life, calls, results (semantics SM1 to SM3)."""

import math
from typing import Any

import pytest
import trio

from actors import (
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    AlreadyStartedError,
    BadReturn,
    CallEvent,
    CallTimeoutError,
    Continue,
    Crash,
    Enter,
    EventTimeout,
    Exit,
    Ignore,
    KeepState,
    NamedTimeout,
    NextEvent,
    NextState,
    NoProcessError,
    NoReply,
    Postpone,
    Registry,
    Reply,
    ReplyTo,
    RequestCollection,
    ServerExitedError,
    Shutdown,
    StartError,
    StartIgnoredError,
    StateMachine,
    StateTimeout,
    Stop,
    StopAndReply,
    Via,
    open_node,
    receive,
    receive_response,
    send_request,
    spawn,
    trap_exit,
)
from tests.actors.machines import (
    MODES,
    ByEvents,
    EnteringMachine,
    Machine,
    Starting,
    by_event,
    start,
    use,
)

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
    """SM2: the callers have their replies before `terminate` is through."""
    order: list[Any] = []
    kept: list[Any] = []

    class Ending(Machine):
        async def terminate(self, reason):
            await trio.testing.wait_all_tasks_blocked()  # the callers go on, if they can
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
    assert sorted(order[:2]) == ["first", "second"]
    assert order[2:] == ["terminate"]


async def test_calls_that_have_no_reply_when_the_machine_ends_get_the_reason(node):
    """SM8."""
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


async def test_requests_are_collected_as_from_any_server(autojump_clock):
    def later(event):
        return KeepState(NamedTimeout(event.request, event.request, event.sender))

    def answer(event):
        return KeepState(ReplyTo(event.content, f"after {event.name}"))

    async with open_node():
        machine = await start(
            {"start": lambda e: (later if isinstance(e, CallEvent) else answer)(e)}
        )
        collection = RequestCollection()
        for seconds in (3, 1, 2):
            collection.send(machine, seconds, label=seconds)
        got: list[Any] = []
        while outcome := await collection.wait():
            response, label = outcome
            got.append((label, response.result()))
        assert got == [(1, "after 1"), (2, "after 2"), (3, "after 3")]
        request = send_request(machine, 5)
        with pytest.raises(CallTimeoutError):
            await receive_response(request, timeout=1)
        await trio.sleep(10)
        assert not current_mailbox()


# -- what may be returned ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk", ["junk", 0, False, NoReply(), Reply(1), Continue(1), Stop("x", reply=1)], ids=repr
)
async def test_a_result_that_makes_no_sense_ends_the_machine(node, junk):
    """SM2."""
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
    """SM3."""
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
