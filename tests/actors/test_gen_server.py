"""GenServer: what callbacks return, and in which order things happen (semantics G7 to G14)."""

import weakref
from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    CallFailed,
    Continue,
    Crash,
    GenServer,
    Ignore,
    NoReply,
    ProcessExit,
    Reply,
    ServerExitedError,
    Shutdown,
    Stop,
    Timeout,
    exit,
    monitor,
    receive,
    reply,
    self_pid,
    send,
    spawn,
)
from actors import introspection as sys
from actors.turns import GLANCE, MESSAGES_PER_TURN
from tests.actors.helpers import Boom
from tests.actors.servers import Scripted, end_of, start

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


# -- bursts of casts, which the loop handles in a row ------------------------------------------


@pytest.fixture(params=[0, 1, 2, 5, 20, 100])
def before(request):
    """So many casts come before in the same burst: the loop knows by then how quick they are."""
    return range(-request.param, 0)


async def test_what_comes_between_the_casts_of_a_burst_keeps_its_place(node, before):
    """P2."""
    pid, log = await start()
    for number in (*before, 1, 2):
        pid.cast(number)
    send(pid, "info")
    pid.cast(3)
    pid.cast(4)
    await pid.call("call")
    assert log == [
        *(("cast", number) for number in before),
        ("cast", 1),
        ("cast", 2),
        ("info", "info"),
        ("cast", 3),
        ("cast", 4),
        ("call", "call"),
    ]


async def test_what_a_cast_in_a_burst_asks_for_comes_before_the_next(node, before):
    """G12."""
    pid, log = await start()
    for message in (*before, 1, ("return", NoReply(then=Continue("then"))), 2):
        pid.cast(message)
    await pid.call("x")
    assert log[-3:] == [("continue", "then"), ("cast", 2), ("call", "x")]


async def test_a_server_that_is_ended_within_a_burst_handles_no_more_of_it(node, before):
    handled: list[int] = []

    class Ends(GenServer):
        async def handle_cast(self, message):
            handled.append(message)
            if message == 2:
                executioner.send(self.pid)  # handled in place: the signal comes within this step

    async def execute():
        node.processes[self_pid()].handle_in_place(lambda victim: victim.exit("ended"))
        await trio.sleep_forever()

    executioner = spawn(execute)
    await wait_all_tasks_blocked()
    pid = await Ends.start()
    for number in (*before, 1, 2, 3):
        pid.cast(number)
    assert await pid.wait_exited() == "ended"
    assert handled == [*before, 1, 2]


async def test_a_cast_in_a_burst_may_receive_what_stands_behind_the_next(node, before):
    """P4."""
    handled: list[Any] = []

    class Receives(GenServer):
        async def handle_cast(self, message):
            handled.append(message if message != 2 else await receive(str))

        async def handle_call(self, request, sender):
            return handled

    pid = await Receives.start()
    for number in (*before, 1, 2, 3):
        pid.cast(number)
    send(pid, "behind the third")
    pid.cast(4)
    assert await pid.call("x") == [*before, 1, "behind the third", 3, 4]


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


@pytest.mark.parametrize("busy", [False, True])
async def test_none_is_a_message_like_any_other(node, busy):
    """P3: whether the server sleeps, waits or works."""
    pid, log = await start()
    for _ in range(2):
        if busy:
            send(pid, "before")
        send(pid, None)
        await wait_all_tasks_blocked()
    assert [message for _, message in log if message != "before"] == [None, None]


async def test_a_server_that_waits_holds_nothing_of_its_last_answer(node):
    class Big:
        pass

    class Answers(GenServer):
        async def handle_call(self, request, sender):
            return Big()

    pid = await Answers.start()
    answer = weakref.ref(await pid.call("x"))
    await wait_all_tasks_blocked()
    assert answer() is None


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
