"""EventManager (semantics GE1 and GE2)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    SHUTDOWN,
    BadReturn,
    CallError,
    CallTimeoutError,
    Crash,
    EventHandler,
    EventManager,
    GenServer,
    HandlerEnd,
    HandlerError,
    HandlerFailed,
    NoHandlerError,
    NoReply,
    ProcessExit,
    RemoveHandler,
    StartError,
    SwapHandler,
    introspection,
)
from tests.actors.event_handlers import Noting, Refusing, events, settled


@pytest.fixture
async def manager(node):
    return await EventManager.start_link(name="manager")


# -- handlers ------------------------------------------------------------------------------------


async def test_handlers_stand_newest_first(manager):
    """GE1."""
    log: list[Any] = []
    assert await EventManager.which_handlers("manager") == []
    await EventManager.add_handler("manager", (Noting, 1), log)
    await EventManager.add_handler(manager, (Noting, 2), log)
    await EventManager.add_handler(manager, Noting, log)
    assert await EventManager.which_handlers(manager) == [Noting, (Noting, 2), (Noting, 1)]


async def test_notify_gives_an_event_to_all_newest_first(manager):
    log: list[Any] = []
    for name in ("a", "b"):
        await EventManager.add_handler(manager, (Noting, name), log, name)
    EventManager.notify(manager, 1)
    EventManager.notify("manager", 2)
    await settled(manager)
    assert events(log) == [("b", 1), ("a", 1), ("b", 2), ("a", 2)]
    EventManager.notify("nobody", 1)


async def test_sync_notify_returns_when_all_have_handled_the_event(manager, autojump_clock):
    """GE1."""
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    began = trio.current_time()
    await EventManager.sync_notify(manager, ("sleep", 10))
    assert trio.current_time() - began == pytest.approx(10)


async def test_other_messages_go_to_handle_info(manager):
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    manager.send("info")
    await settled(manager)
    assert events(log, "info") == [("noting", "info")]


async def test_a_handler_without_callbacks_takes_everything_but_calls(manager):
    await EventManager.add_handler(manager, EventHandler)
    EventManager.notify(manager, 1)
    manager.send("info")
    assert await EventManager.which_handlers(manager) == [EventHandler]
    with pytest.raises(HandlerError):
        await EventManager.call_handler(manager, EventHandler, "anything")
    assert await EventManager.which_handlers(manager) == []


async def test_a_call_goes_to_one_handler_and_any_object_is_an_answer(manager):
    await EventManager.add_handler(manager, Noting, [])
    answer = await EventManager.call_handler(manager, Noting, ("return", NoReply()))
    assert answer == NoReply()
    with pytest.raises(NoHandlerError, match="which_handlers"):
        await EventManager.call_handler(manager, (Noting, 2), "anything")


@pytest.mark.parametrize("nonsense", ["anything", None, ("which_handlers",)], ids=repr)
async def test_a_call_that_is_none_of_the_managers_raises_in_its_caller(manager, nonsense):
    """GE2: a mistake of one caller costs nobody a handler."""
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    log.clear()
    with structlog.testing.capture_logs() as logs, pytest.raises(CallError) as failed:
        await manager.call(nonsense)
    assert (failed.value.reason, failed.value.request) == ("unknown_call", nonsense)
    assert [entry["event"] for entry in logs] == ["unexpected message"]
    assert await EventManager.which_handlers(manager) == [Noting]
    assert log == []


async def test_a_call_takes_a_timeout(manager, autojump_clock):
    await EventManager.add_handler(manager, Noting, [])
    with pytest.raises(CallTimeoutError):
        await EventManager.call_handler(manager, Noting, ("sleep", 10), timeout=1)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (StartError("no"), None),
        (ValueError("oops"), None),
        (ProcessExit("leave"), "leave"),
        ("junk", BadReturn("junk", "init")),
    ],
    ids=repr,
)
async def test_a_handler_whose_init_fails_is_not_added(manager, what, reason):
    with pytest.raises(HandlerError) as failed:
        await EventManager.add_handler(manager, Refusing, what)
    if reason is None:
        assert isinstance(failed.value.reason, Crash)
        assert failed.value.reason.exception is what
    else:
        assert failed.value.reason == reason
    assert await EventManager.which_handlers(manager) == []


class NeedsMore(EventHandler):
    """Cannot be made without an argument."""

    def __init__(self, argument):
        self.argument = argument


async def test_a_handler_that_cannot_be_made_is_not_added_and_the_others_stay(manager):
    """GE2."""
    await EventManager.add_handler(manager, Noting, [])
    for add in (EventManager.add_handler, EventManager.add_sup_handler):
        with pytest.raises(HandlerError) as failed:
            await add(manager, NeedsMore)
        assert isinstance(failed.value.reason.exception, TypeError)
    assert await EventManager.which_handlers(manager) == [Noting]
    with pytest.raises(HandlerError):
        await EventManager.swap_handler(manager, Noting, "why", NeedsMore)
    assert await EventManager.which_handlers(manager) == []


@pytest.mark.parametrize("nonsense", ["nonsense", GenServer, (EventHandler,), EventHandler()])
async def test_what_is_no_handler_is_refused_in_the_caller(nonsense, manager):
    """GE2: the manager does not hear of it."""
    await EventManager.add_handler(manager, Noting, [])
    for add in (EventManager.add_handler, EventManager.add_sup_handler):
        with pytest.raises(TypeError, match="subclass of EventHandler"):
            await add(manager, nonsense)
    for swap in (EventManager.swap_handler, EventManager.swap_sup_handler):
        with pytest.raises(TypeError, match="subclass of EventHandler"):
            await swap(manager, Noting, "why", nonsense)
    assert await EventManager.which_handlers(manager) == [Noting]


async def test_a_handler_that_swaps_itself_for_nonsense_is_gone_and_the_manager_is_not(manager):
    """GE2."""
    await EventManager.add_handler(manager, Noting, [])
    swap: Any = SwapHandler("why", "nonsense")  # type: ignore[arg-type]  # what the test is about
    with structlog.testing.capture_logs() as logs:
        await EventManager.sync_notify(manager, ("return", swap))
    assert [entry["event"] for entry in logs] == ["event handler failed"]
    assert await EventManager.which_handlers(manager) == []


async def test_arguments_without_an_init_are_refused(manager):
    with pytest.raises(HandlerError) as failed:
        await EventManager.add_handler(manager, EventHandler, 1)
    assert isinstance(failed.value.reason.exception, TypeError)


# -- the end of handlers -------------------------------------------------------------------------


async def test_delete_gives_the_result_of_terminate(manager):
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    assert await EventManager.delete_handler(manager, Noting, "why") == "noting ended"
    assert log[-1] == ("noting", "terminate", "why")
    with pytest.raises(NoHandlerError):
        await EventManager.delete_handler(manager, Noting)


async def test_delete_raises_what_terminate_raised(manager):
    await EventManager.add_handler(manager, Noting, [])
    with pytest.raises(HandlerError) as failed:
        await EventManager.delete_handler(manager, Noting, "fail")
    assert isinstance(failed.value.reason.exception, ValueError)
    assert await EventManager.which_handlers(manager) == []


async def test_a_handler_may_remove_itself(manager):
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    EventManager.notify(manager, ("return", RemoveHandler()))
    await settled(manager)
    assert log[-1] == ("noting", "terminate", HandlerEnd.REMOVE_HANDLER)
    await EventManager.add_handler(manager, Noting, log)
    answer = await EventManager.call_handler(manager, Noting, ("return", RemoveHandler("bye")))
    assert answer == "bye"
    assert await EventManager.which_handlers(manager) == []


class Odd(BaseException):
    """Neither an Exception nor an exit."""


BAD_ORDERS = [
    ("raise", ValueError("oops")),
    ("raise", ProcessExit("leave")),
    ("raise", Odd()),
    ("raise", BaseExceptionGroup("", [ProcessExit("leave"), ValueError("oops")])),
    ("return", "junk"),
]


FAILING = [
    (way, order)
    for way in ("event", "sync event", "info", "call")
    for order in BAD_ORDERS
    if (way, order[0]) != ("call", "return")  # any value is an answer
]


@pytest.mark.parametrize(("way", "order"), FAILING, ids=repr)
async def test_a_handler_that_fails_is_removed_and_the_others_go_on(manager, way, order):
    log: list[Any] = []
    await EventManager.add_handler(manager, (Noting, "other"), log, "other")
    await EventManager.add_handler(manager, (Noting, "bad"), log, "bad")
    with structlog.testing.capture_logs() as logs:
        if way == "call":
            with pytest.raises(HandlerError):
                await EventManager.call_handler(manager, (Noting, "bad"), order)
        else:
            await EventManager.delete_handler(manager, (Noting, "other"))
            if way == "event":
                EventManager.notify(manager, order)
            elif way == "info":
                manager.send(order)
            else:
                await EventManager.sync_notify(manager, order)
            await settled(manager)
    [(_, argument)] = [e for e in events(log, "terminate") if e[0] == "bad"]
    assert isinstance(argument, HandlerFailed)
    assert [entry["event"] for entry in logs] == ["event handler failed"]
    assert "bad" in str(logs[0]["handler"])
    assert manager.is_alive()
    expected = [(Noting, "other")] if way == "call" else []
    assert await EventManager.which_handlers(manager) == expected


async def test_the_handlers_behind_a_failing_one_get_the_event_too(manager):
    log: list[Any] = []

    class Failing(EventHandler):
        async def handle_event(self, event):
            raise ValueError(event)

    await EventManager.add_handler(manager, (Noting, "behind"), log, "behind")
    await EventManager.add_handler(manager, Failing)
    await EventManager.sync_notify(manager, 1)
    assert events(log) == [("behind", 1)]


async def test_a_handler_that_fails_and_then_in_terminate_too(manager):
    class Hopeless(Noting):
        async def terminate(self, argument):
            raise ValueError("in terminate")

    await EventManager.add_handler(manager, Hopeless, [])
    with structlog.testing.capture_logs() as logs:
        await EventManager.sync_notify(manager, ("raise", ValueError("first")))
    assert [entry["event"] for entry in logs] == ["event handler failed"] * 2
    assert await EventManager.which_handlers(manager) == []


async def test_a_manager_that_ends_ends_its_handlers(node):
    log: list[Any] = []
    manager = await EventManager.start()
    for name in ("a", "b"):
        await EventManager.add_handler(manager, (Noting, name), log, name)
    await manager.stop(SHUTDOWN)
    assert events(log, "terminate") == [("b", HandlerEnd.STOP), ("a", HandlerEnd.STOP)]


# -- swapping ------------------------------------------------------------------------------------


async def test_a_swap_hands_over_what_terminate_returned(manager):
    log: list[Any] = []
    await EventManager.add_handler(manager, (Noting, "old"), log, "old")
    await EventManager.swap_handler(manager, (Noting, "old"), "why", (Noting, "new"), log, "new")
    assert log[1:] == [("old", "terminate", "why"), ("new", "init", "old ended")]
    assert await EventManager.which_handlers(manager) == [(Noting, "new")]


async def test_a_swap_without_an_old_handler_adds_the_new_one(manager):
    log: list[Any] = []
    await EventManager.swap_handler(manager, (Noting, "old"), "why", (Noting, "new"), log, "new")
    assert log == [("new", "init", None)]
    assert await EventManager.which_handlers(manager) == [(Noting, "new")]


async def test_a_swap_whose_new_handler_fails_leaves_neither(manager):
    await EventManager.add_handler(manager, Noting, [])
    with pytest.raises(HandlerError):
        await EventManager.swap_handler(manager, Noting, "why", Refusing, ValueError("oops"))
    assert await EventManager.which_handlers(manager) == []


async def test_a_handler_may_swap_itself_and_keeps_its_place(manager):
    log: list[Any] = []
    for name in ("back", "self", "front"):
        await EventManager.add_handler(manager, (Noting, name), log, name)
    swap = SwapHandler("why", (Noting, "new"), (log, "new"), reply="swapped")
    assert await EventManager.call_handler(manager, (Noting, "self"), ("return", swap)) == "swapped"
    handlers = [(Noting, name) for name in ("front", "new", "back")]
    assert await EventManager.which_handlers(manager) == handlers
    assert ("new", "init", "self ended") in log


async def test_a_handler_whose_own_swap_fails_is_gone_and_the_manager_is_not(manager):
    await EventManager.add_handler(manager, Noting, [])
    swap = SwapHandler("why", Refusing, (ValueError("oops"),))
    with structlog.testing.capture_logs() as logs:
        await EventManager.sync_notify(manager, ("return", swap))
    assert [entry["event"] for entry in logs] == ["event handler failed"]
    assert await EventManager.which_handlers(manager) == []


# -- looking inside ------------------------------------------------------------------------------


async def test_the_state_of_a_manager_is_that_of_its_handlers(manager):
    await EventManager.add_handler(manager, Noting, [], "x")
    state = await introspection.get_state(manager)
    assert state == [(Noting, {"handed_over": None, "log": [("x", "init", None)], "name": "x"})]
    await introspection.replace_state(manager, lambda s: [(s[0][0], s[0][1] | {"name": "y"})])
    assert (await introspection.get_state(manager))[0][1]["name"] == "y"
