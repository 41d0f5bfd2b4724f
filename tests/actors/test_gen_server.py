"""GenServer: callbacks, their results, the order of things (semantics G7 to G20)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    BadReturn,
    CallFailed,
    Continue,
    Crash,
    Exit,
    GenServer,
    Hibernate,
    IdleTimeout,
    Ignore,
    NoReply,
    ProcessExit,
    Registry,
    Reply,
    ServerExitedError,
    Shutdown,
    Stop,
    Timeout,
    Via,
    exit,
    monitor,
    receive,
    register,
    reply,
    self_pid,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
)
from actors import introspection as sys
from actors.gen_server import UndefinedCallbackError
from actors.turns import GLANCE, MESSAGES_PER_TURN
from tests.actors.helpers import Boom


class Scripted(GenServer):
    """Does what the message says: `("return", value)`, `("raise", error)`; writes down everything."""

    async def init(self, log=None, first=None):
        self.log = [] if log is None else log
        return first

    async def do(self, callback, message):
        self.log.append((callback, message))
        match message:
            case ("return", value):
                return value
            case ("raise", error):
                raise error
            case ("sleep", seconds):
                await trio.sleep(seconds)
        return None

    async def handle_call(self, request, sender):
        self.sender = sender
        return await self.do("call", request)

    async def handle_cast(self, message):
        return await self.do("cast", message)

    async def handle_info(self, message):
        return await self.do("info", message)

    async def handle_continue(self, token):
        return await self.do("continue", token)

    async def terminate(self, reason):
        self.log.append(("terminate", reason))


async def start(**options) -> tuple[Any, list[Any]]:
    log: list[Any] = []
    return await Scripted.start(log, **options), log


async def end_of(pid):
    """The reason with which it ends, or has just ended."""
    return (await receive(monitor(pid))).reason


# -- results of handle_call (G7, G10, G11, G14) --------------------------------------------------


@pytest.mark.parametrize("value", [None, 1, "x", (), ("reply", 1), {"a": 1}, NORMAL])
async def test_a_plain_value_is_the_reply(node, value):
    """G7."""
    pid, _ = await start()
    assert await pid.call(("return", value)) == value


async def test_reply_gives_its_value_and_then_goes_on(node):
    pid, log = await start()
    assert await pid.call(("return", Reply("value", then=Continue("next")))) == "value"
    await wait_all_tasks_blocked()
    assert log[-1] == ("continue", "next")


async def test_a_reply_is_there_before_what_follows_is_done(node):
    """G10."""
    pid, _ = await start()
    with trio.fail_after(1):
        assert await pid.call(("return", Reply(1, then=Continue(("sleep", 60))))) == 1
    exit(pid, KILL)


async def test_no_reply_leaves_the_caller_waiting_until_somebody_replies(node, autojump_clock):
    class Later(GenServer):
        async def handle_call(self, request, sender):
            spawn(self.answer, sender)
            return NoReply()

        @staticmethod
        async def answer(sender):
            await trio.sleep(3)
            assert await reply(sender, "from another process") is True

    pid = await Later.start()
    assert await pid.call("x") == "from another process"
    assert trio.current_time() == pytest.approx(3)


async def test_a_second_reply_is_dropped(node):
    """G9, M5."""

    class Twice(GenServer):
        async def handle_call(self, request, sender):
            first = await reply(sender, 1)
            second = await reply(sender, 2)
            self.outcome = (first, second)
            return 3

    pid = await Twice.start()
    assert await pid.call("x") == 1
    assert (await sys.get_state(pid))["outcome"] == (True, False)


async def test_stop_with_a_reply_runs_terminate_then_replies_then_ends(node):
    """G11."""
    log: list[Any] = []

    class Stopping(GenServer):
        async def handle_call(self, request, sender):
            return Stop("reason", reply="bye")

        async def terminate(self, reason):
            await trio.lowlevel.checkpoint()
            log.append(("terminate", reason))

    pid, ref = await Stopping.start_monitor()
    assert await pid.call("x") == "bye"
    assert log == [("terminate", "reason")]
    assert (await receive(ref)).reason == "reason"


async def test_the_reply_of_a_stop_comes_even_if_terminate_raises(node):
    error = Boom()

    class Stopping(GenServer):
        async def handle_call(self, request, sender):
            return Stop(NORMAL, reply="bye")

        async def terminate(self, reason):
            raise error

    pid, ref = await Stopping.start_monitor()
    assert await pid.call("x") == "bye"
    assert (await receive(ref)).reason == Crash(error)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x"), "other"])
async def test_stop_without_a_reply_gives_the_caller_the_reason(node, reason):
    pid, log = await start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.call(("return", Stop(reason)))
    assert caught.value.reason == reason
    assert log[-1] == ("terminate", reason)


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue"])
@pytest.mark.parametrize("junk", [Continue("x"), Ignore(), Timeout(1)])
async def test_an_action_that_is_not_wrapped_is_a_bad_return(node, callback, junk):
    await check_end(callback, ("return", junk), BadReturn(junk, f"handle_{callback}"))


@pytest.mark.parametrize("callback", ["cast", "info", "continue"])
@pytest.mark.parametrize("junk", [42, "x", Reply(1), False])
async def test_a_value_where_there_is_nobody_to_reply_to_is_a_bad_return(node, callback, junk):
    await check_end(callback, ("return", junk), BadReturn(junk, f"handle_{callback}"))


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue"])
async def test_a_stop_ends_with_its_reason(node, callback):
    await check_end(callback, ("return", Stop("reason")), "reason")


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue"])
async def test_an_exception_ends_with_a_crash(node, callback):
    """G15."""
    error = Boom()
    await check_end(callback, ("raise", error), Crash(error))


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue"])
async def test_an_exit_ends_with_its_reason(node, callback):
    """G15."""
    await check_end(callback, ("raise", ProcessExit("reason")), "reason")


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue"])
async def test_an_action_that_is_none_ends_with_a_bad_return(node, callback):
    """G14."""
    junk: Any = "soon"
    await check_end(callback, ("return", NoReply(then=junk)), BadReturn(junk, "then"))


async def check_end(callback, message, reason):
    """The server ends with `reason`, and `terminate` is told."""
    pid, log = await start()
    ref = monitor(pid)
    match callback:
        case "call":
            with pytest.raises(ServerExitedError) as caught:
                await pid.call(message)
            assert caught.value.reason == reason
        case "cast":
            pid.cast(message)
        case "info":
            send(pid, message)
        case "continue":
            pid.cast(("return", NoReply(then=Continue(message))))
    assert (await receive(ref)).reason == reason
    assert log[-1] == ("terminate", reason)


async def test_an_exit_in_a_nursery_of_a_callback_ends_in_order(node):
    log: list[Any] = []

    class Nursery(GenServer):
        async def handle_cast(self, message):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.leave)
                await trio.sleep_forever()

        async def leave(self):
            raise ProcessExit("left")

        async def terminate(self, reason):
            log.append(reason)

    pid = await Nursery.start()
    pid.cast("x")
    assert await end_of(pid) == "left"
    assert log == ["left"]


async def test_a_failed_call_in_a_callback_is_the_exit_reason(node):
    pid, _ = await start()
    dead, _ = await start()
    await dead.stop()

    class Calling(GenServer):
        async def handle_cast(self, message):
            await dead.call("x")

    caller = await Calling.start()
    caller.cast("go")
    assert await end_of(caller) == CallFailed(NOPROC, dead, "x")
    assert pid.is_alive()


async def test_messages_are_handled_one_at_a_time_in_order(node, autojump_clock):
    pid, log = await start()
    pid.cast(("sleep", 1))
    send(pid, "second")
    await pid.call("third")
    assert log == [("cast", ("sleep", 1)), ("info", "second"), ("call", "third")]


# -- continue (G12) ------------------------------------------------------------------------------


async def test_continue_runs_before_anything_in_the_mailbox_and_may_chain(node):
    """G12."""

    class Chained(Scripted):
        async def handle_continue(self, token):
            self.log.append(("continue", token))
            return NoReply(then=Continue(token - 1)) if token else None

    log: list[Any] = []
    pid = await Chained.start(log)
    pid.cast(("return", NoReply(then=Continue(2))))
    pid.cast("after")
    await pid.call("x")
    assert log[1:] == [
        ("continue", 2),
        ("continue", 1),
        ("continue", 0),
        ("cast", "after"),
        ("call", "x"),
    ]


async def test_continue_from_init_runs_after_the_start_and_before_the_first_message(node):
    log: list[Any] = []
    pid = await Scripted.start(log, Continue("first"))
    pid.cast("second")
    await pid.call("third")
    assert log == [("continue", "first"), ("cast", "second"), ("call", "third")]


async def test_a_crash_in_the_continue_of_init_is_not_a_failed_start(node):
    _, ref = await Scripted.start_monitor([], Continue(("raise", Boom())))
    assert isinstance((await receive(ref)).reason, Crash)


async def test_a_system_message_waits_for_continue(node):
    pid, _ = await start()
    pid.cast(("return", NoReply(then=Continue(("return", NoReply(then=Continue("x")))))))
    state = await sys.get_state(pid)
    assert state["log"][-1] == ("continue", "x")


# -- timeouts (G13) ------------------------------------------------------------------------------


async def test_an_idle_timeout_comes_when_nothing_has_arrived(node, autojump_clock):
    """G13."""
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2))))
    await trio.sleep(1.9)
    assert log[1:] == []
    await trio.sleep(0.2)
    assert log[1:] == [("info", TIMEOUT)]


async def test_any_message_cancels_an_idle_timeout(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(1)
    send(pid, "something")
    await trio.sleep(10)
    assert ("info", "idle") not in log


async def test_an_idle_timeout_comes_once(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(10)
    assert log.count(("info", "idle")) == 1


async def test_a_message_that_waits_already_wins_over_an_idle_timeout_of_zero(node):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(0, "idle"))))
    pid.cast("message")
    await pid.call("x")
    assert ("info", "idle") not in log


async def test_an_idle_timeout_of_zero_comes_at_once_if_nothing_waits(node):
    pid, log = await start()
    assert await pid.call(("return", Reply(1, then=IdleTimeout(0, "idle")))) == 1
    await wait_all_tasks_blocked()
    assert log[-1] == ("info", "idle")


async def test_a_system_message_restarts_an_idle_timeout(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(1.5)
    await sys.get_state(pid)
    await trio.sleep(1.5)
    assert ("info", "idle") not in log
    await trio.sleep(1)
    assert ("info", "idle") in log


async def test_a_timer_comes_whatever_arrives_meanwhile(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(2, "timer"))))
    await trio.sleep(1)
    send(pid, "something")
    await sys.get_state(pid)
    await trio.sleep(1.1)
    assert log[-1] == ("info", "timer")


async def test_a_timer_of_zero_comes_before_the_mailbox(node):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(0, "timer"))))
    pid.cast("message")
    await pid.call("x")
    assert log[1:] == [("info", "timer"), ("cast", "message"), ("call", "x")]


async def test_a_later_timer_replaces_the_earlier_and_none_cancels(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(1, "first"))))
    pid.cast(("return", NoReply(then=Timeout(2, "second"))))
    await trio.sleep(5)
    assert [message for _, message in log[2:]] == ["second"]
    pid.cast(("return", NoReply(then=Timeout(1, "third"))))
    pid.cast(("return", NoReply(then=Timeout(None))))
    await trio.sleep(5)
    assert ("info", "third") not in log


async def test_a_timer_that_fired_into_the_mailbox_can_still_be_replaced(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(1, "first"))))
    pid.cast(("sleep", 0.5))
    pid.cast("noted")
    await trio.sleep(0.25)

    class Late(Scripted):
        async def handle_cast(self, message):
            await trio.sleep(2)  # meanwhile the timer fires into the mailbox
            return NoReply(then=Timeout(1, "second"))

    late_log: list[Any] = []
    late = await Late.start(late_log, Timeout(1, "first"))
    late.cast("x")
    await trio.sleep(5)
    assert late_log == [("info", "second")]
    assert ("info", "first") in log


async def test_the_message_of_a_timeout_may_be_anything(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(0, None))))
    pid.cast(("return", NoReply(then=Timeout(1, None))))
    await trio.sleep(2)
    assert log.count(("info", None)) == 2


async def test_timers_of_a_server_end_with_it(node):
    pid, _ = await start()
    pid.cast(("return", NoReply(then=Timeout(5))))
    pid.cast(("return", NoReply(then=IdleTimeout(5))))
    await pid.stop()
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize("action", [Timeout(1, "t"), IdleTimeout(1, "t")])
async def test_init_may_set_a_timeout(node, autojump_clock, action):
    log: list[Any] = []
    await Scripted.start(log, action)
    await trio.sleep(2)
    assert log == [("info", "t")]


# -- hibernate (P14) -----------------------------------------------------------------------------


class Sleeper(Scripted):
    """Counts how often it hibernates."""

    naps = 0

    def hibernate(self):
        self.naps += 1


async def test_hibernate_calls_the_hook_and_a_message_wakes(node):
    """P14."""
    pid = await Sleeper.start([], Hibernate())
    assert await pid.call(("return", Reply(1, then=Hibernate()))) == 1
    pid.cast(("return", NoReply(then=Hibernate())))
    send(pid, ("return", NoReply(then=Hibernate())))
    assert await pid.call("awake?") is None
    assert (await sys.get_state(pid))["naps"] == 4


# -- terminate (G17 to G20) ----------------------------------------------------------------------


async def test_the_exit_of_the_parent_runs_terminate(node):
    """G17."""
    log: list[Any] = []

    async def parent():
        pid = await Scripted.start_link(log)
        send(me, pid)
        raise ProcessExit(await receive())

    me = self_pid()
    for reason in (NORMAL, SHUTDOWN, "crash"):
        log.clear()
        parent_pid = spawn(parent)
        pid = await receive()
        send(parent_pid, reason)
        assert await end_of(pid) == reason
        assert log == [("terminate", reason)]


async def test_the_exit_of_the_parent_waits_behind_earlier_messages_and_later_ones_are_dropped(
    node, autojump_clock
):
    """G18."""
    log: list[Any] = []
    me = self_pid()

    async def parent():
        pid = await Scripted.start_link(log)
        pid.cast(("sleep", 1))
        pid.cast("before")
        exit(pid, "parent")
        pid.cast("after")
        send(me, pid)
        await trio.sleep_forever()

    spawn(parent)
    assert await end_of(await receive()) == "parent"
    assert log == [("cast", ("sleep", 1)), ("cast", "before"), ("terminate", "parent")]


async def test_an_exit_from_somebody_else_is_an_ordinary_message(node):
    """G18."""
    pid, log = await start()
    exit(pid, SHUTDOWN)
    await pid.call("x")
    assert log[0] == ("info", Exit(self_pid(), SHUTDOWN))


async def test_a_server_without_terminate_does_not_trap_exits(node):
    class Plain(GenServer):
        pass

    pid = await Plain.start()
    exit(pid, "x")
    assert await end_of(pid) == "x"


async def test_a_server_that_says_so_does_not_trap_although_it_has_terminate(node):
    class Untrapping(Scripted):
        trap_exit = False

    log: list[Any] = []
    pid = await Untrapping.start(log)
    exit(pid, SHUTDOWN)
    assert await end_of(pid) is SHUTDOWN
    assert log == []


async def test_a_mixin_with_terminate_counts(node):
    class Cleanup:
        async def terminate(self, reason):
            log.append(reason)

    class Server(Cleanup, GenServer):
        pass

    log: list[Any] = []
    pid = await Server.start_link()
    await pid.stop()
    assert log == [NORMAL]
    assert node.processes[await Server.start()].trap_exit is True


async def test_kill_does_not_run_terminate(node):
    """G17."""
    pid, log = await start()
    exit(pid, KILL)
    assert await end_of(pid) is KILLED
    assert log == []


async def test_an_exception_in_terminate_replaces_the_reason(node):
    """G16."""
    error = Boom()

    class Bad(GenServer):
        async def terminate(self, reason):
            raise error

    pid = await Bad.start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.stop()
    assert caught.value.reason == Crash(error)


async def test_an_exit_in_terminate_replaces_the_reason(node):
    class Bad(GenServer):
        async def terminate(self, reason):
            raise ProcessExit("other")

    pid, ref = await Bad.start_monitor()
    with pytest.raises(ServerExitedError):
        await pid.stop("orig")
    assert (await receive(ref)).reason == "other"


async def test_nobody_hears_of_the_end_before_terminate_has_finished(node, autojump_clock):
    """G20."""

    class Slow(GenServer):
        async def terminate(self, reason):
            await trio.sleep(3)

    trap_exit()
    pid = await Slow.start_link()
    await pid.stop()
    assert trio.current_time() == pytest.approx(3)
    assert await receive(timeout=0) == Exit(pid, NORMAL)


async def test_a_kill_during_terminate_wins(node, autojump_clock):
    """G20."""

    class Slow(GenServer):
        async def terminate(self, reason):
            await trio.sleep(60)

    pid, ref = await Slow.start_monitor()
    with trio.move_on_after(1):
        await pid.stop()
    exit(pid, KILL)
    assert (await receive(ref)).reason is KILLED
    assert trio.current_time() < 3


async def test_terminate_may_use_the_node(node):
    me = self_pid()

    class Last(GenServer):
        async def terminate(self, reason):
            send(me, "last words")
            await other.call("x")

    other, _ = await start()
    pid = await Last.start()
    await pid.stop()
    assert await receive() == "last words"


# -- missing callbacks (G19) ---------------------------------------------------------------------


class Bare(GenServer):
    """Has no callbacks."""


async def test_a_call_without_handle_call_crashes_the_server_and_tells_the_caller(node):
    pid = await Bare.start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.call("x")
    assert isinstance(caught.value.reason.exception, UndefinedCallbackError)
    assert "Bare has no handle_call" in str(caught.value.reason.exception)


async def test_a_cast_without_handle_cast_crashes_the_server(node):
    pid = await Bare.start()
    pid.cast("x")
    assert isinstance((await end_of(pid)).exception, UndefinedCallbackError)


async def test_a_continue_without_handle_continue_crashes_the_server(node):
    class OnlyInit(GenServer):
        async def init(self):
            return Continue("x")

    _, ref = await OnlyInit.start_monitor()
    assert isinstance((await receive(ref)).reason.exception, UndefinedCallbackError)


async def test_a_message_without_handle_info_is_logged_and_dropped(node):
    """G19."""
    pid = await Bare.start()
    with structlog.testing.capture_logs() as logs:
        send(pid, "surprise")
        await wait_all_tasks_blocked()
    assert [log["event"] for log in logs] == ["unexpected message"]
    assert "surprise" in logs[0]["message"]
    assert pid.is_alive()


async def test_an_undefined_function_inside_a_callback_is_not_taken_for_a_missing_callback(node):
    class Broken(GenServer):
        async def handle_info(self, message):
            self.no_such_method()  # type: ignore[attr-defined]  # on purpose

        async def terminate(self, reason):
            self.no_such_method_either()  # type: ignore[attr-defined]  # on purpose

    pid = await Broken.start()
    send(pid, "x")
    reason = await end_of(pid)
    assert isinstance(reason.exception, AttributeError)
    assert "no_such_method_either" in str(reason.exception)


# -- fairness and the rest -----------------------------------------------------------------------


async def test_a_busy_server_lets_others_run(node):
    """N5."""
    pid, _ = await start()
    turns: list[Any] = []

    async def bystander():
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            turns.append(len(node.processes[pid].mailbox))

    for number in range(5_000):
        pid.cast(number)
    spawn(bystander)
    await pid.call("x")
    assert len(turns) == 10
    assert turns[-1] > 5_000 - 13 * (MESSAGES_PER_TURN + GLANCE)


async def test_a_server_may_receive_in_a_callback(node):
    class Asking(GenServer):
        async def handle_call(self, request, sender):
            return await receive(int)

    pid = await Asking.start()
    send(pid, "for handle_info")

    async def later():
        await wait_all_tasks_blocked()
        send(pid, 42)

    with structlog.testing.capture_logs():
        spawn(later)
        assert await pid.call("x") == 42


async def test_a_server_knows_its_pid(node):
    class Knows(GenServer):
        async def handle_call(self, request, sender):
            return self.pid

    pid = await Knows.start()
    assert await pid.call("x") is pid


async def test_each_start_makes_a_fresh_instance(node):
    one, log = await start()
    two, other = await start()
    one.cast("x")
    await one.call("y")
    assert other == []
    assert one != two
    assert len(log) == 2


async def test_a_server_that_is_idle_for_long_enough_hibernates_once(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 2.0

    pid = await Napping.start()
    await trio.sleep(1.5)
    await pid.call("awake")
    await trio.sleep(1.5)
    assert node.processes[pid].server.naps == 0
    await trio.sleep(10)
    assert node.processes[pid].server.naps == 1
    for act in (pid.call("x"), pid.call("y")):
        await act
    pid.cast("x")
    pid.cast(("return", NoReply(then=Continue("y"))))
    await trio.sleep(3)
    assert node.processes[pid].server.naps == 2


async def test_a_server_that_hibernates_by_itself_still_has_its_idle_timeout(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 1.0

    log: list[Any] = []
    await Napping.start(log, IdleTimeout(3, "idle"))
    await trio.sleep(10)
    assert log == [("info", "idle")]


async def test_an_idle_timeout_that_is_shorter_than_the_hibernation_comes_first(
    node, autojump_clock
):
    class Napping(Sleeper):
        hibernate_after = 3.0

    log: list[Any] = []
    pid = await Napping.start(log, IdleTimeout(1, "idle"))
    await trio.sleep(2)
    assert log == [("info", "idle")]
    assert node.processes[pid].server.naps == 0


async def test_both_at_the_same_time_lose_neither(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 1.0

    log: list[Any] = []
    await Napping.start(log, IdleTimeout(1, "idle"))
    await trio.sleep(5)
    assert log == [("info", "idle")]


# -- enter_loop (G6) -----------------------------------------------------------------------------


async def test_a_plain_process_can_become_a_server(node, autojump_clock):
    """G6."""
    log: list[Any] = []

    async def prepares():
        server = Scripted()
        server.log = log
        register("prepared", self_pid())
        await server.enter_loop(name="prepared", then=Timeout(1, "first"))

    pid, ref = spawn_monitor(prepares)
    assert await pid.call(("return", "served")) == "served"
    await trio.sleep(2)
    assert log[-1] == ("info", "first")
    await pid.stop()
    assert (await receive(ref)).reason is NORMAL
    assert log[-1] == ("terminate", NORMAL)


async def test_the_parent_of_a_process_that_became_a_server_can_end_it_in_order(node):
    log: list[Any] = []

    async def becomes():
        trap_exit()
        server = Scripted()
        server.log = log
        await server.enter_loop()

    async def parent():
        register("parent", self_pid())
        spawn_link(becomes)
        raise ProcessExit(await receive())

    pid, ref = spawn_monitor(parent)
    await wait_all_tasks_blocked()
    send(pid, "reason")
    await receive(ref)
    await wait_all_tasks_blocked()
    assert log == [("terminate", "reason")]


NAMES = Registry("names")


@pytest.mark.parametrize("name", ["not mine", Via(NAMES, "not mine")], ids=["local", "via"])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_process_becomes_a_server_only_under_its_own_name(name, taken, node):
    """G6; gen_server_SUITE otp_5854: whether nobody has the name or another."""
    await NAMES.start_link()
    if taken:
        await Scripted.start(name=name)

    async def prepares():
        register("mine", self_pid())
        await Scripted().enter_loop(name=name)

    _, ref = spawn_monitor(prepares)
    told = str((await receive(ref)).reason.exception)
    assert "is not registered as" in told
    assert "not mine" in told


@pytest.mark.parametrize("way", ["local", "via"])
async def test_a_process_becomes_a_server_under_the_name_that_it_has(way, node):
    """G6; gen_server_SUITE otp_5854."""
    await NAMES.start_link()
    name: Any = "mine" if way == "local" else Via(NAMES, "mine")

    async def prepares():
        if way == "local":
            register("mine", self_pid())
        else:
            NAMES.register("mine")
        server = Scripted()
        server.log = []
        await server.enter_loop(name=name)

    spawn(prepares)
    await wait_all_tasks_blocked()
    assert await GenServer.call(name, ("return", "served")) == "served"


async def test_a_server_cannot_become_another_and_the_body_of_a_node_none(node):
    class Changing(GenServer):
        async def handle_call(self, request, sender):
            try:
                await Scripted().enter_loop()
            except RuntimeError as error:
                return str(error)

    assert "is a server already" in await (await Changing.start()).call("x")
    with pytest.raises(RuntimeError, match="spawned process"):
        await Scripted().enter_loop()
