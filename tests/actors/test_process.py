"""Processes: how they end, exit signals, death, zombies (semantics P, K)."""

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
    CallError,
    CallFailed,
    CallTimeoutError,
    Crash,
    Down,
    Exit,
    GenServer,
    NodeExitedError,
    NoNodeError,
    NoProcessError,
    NoReply,
    ProcessExit,
    Shutdown,
    call,
    cast,
    exit,
    is_alive,
    link,
    monitor,
    open_node,
    receive,
    register,
    reply,
    run,
    self_pid,
    send,
    send_request,
    set_label,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
    wait_response,
    whereis,
)
from actors.introspection import get_state, process_info
from tests.actors.helpers import Boom, exit_with, fail, forever, info_of


async def reason_of_end(function, *args):
    """The reason with which a process ends that runs `function`."""
    pid, ref = spawn_monitor(function, *args)
    down = await receive(ref)
    assert down.object is pid
    return down.reason


# -- how a process ends (P6) ---------------------------------------------------------------------


async def test_a_process_whose_function_returns_ends_normal(node):
    """P6."""

    async def nothing():
        pass

    assert await reason_of_end(nothing) is NORMAL


async def test_a_process_that_raises_ends_with_a_crash_that_carries_the_exception(node):
    error = Boom("x")
    assert await reason_of_end(fail, error) == Crash(error)
    assert error.__traceback__ is not None


@pytest.mark.parametrize(
    "reason", [NORMAL, SHUTDOWN, Shutdown("x"), KILL, "anything", None, ("a", 1)]
)
async def test_a_process_exits_with_the_reason_that_it_says(node, reason):
    assert await reason_of_end(exit_with, reason) == reason


async def test_except_exception_does_not_swallow_an_exit(node):
    """P9."""

    async def careless():
        try:
            raise ProcessExit("wanted")
        except Exception:
            pass

    assert await reason_of_end(careless) == "wanted"


async def test_a_failed_call_that_nobody_catches_is_the_exit_reason(node):
    dead = spawn(exit_with, NORMAL)
    await dead.wait_exited()

    async def caller():
        await call(dead, "hello?")

    assert await reason_of_end(caller) == CallFailed(NOPROC, dead, "hello?")


async def test_a_group_from_a_nursery_is_one_crash(node):
    async def two_failures():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, Boom("1"))
            nursery.start_soon(fail, Boom("2"))

    reason = await reason_of_end(two_failures)
    assert isinstance(reason, Crash)
    assert isinstance(reason.exception, ExceptionGroup)


async def test_an_exit_said_in_a_nursery_of_the_process_is_an_exit(node):
    async def helper_exits():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exit_with, "from the helper")
            await trio.sleep_forever()

    assert await reason_of_end(helper_exits) == "from the helper"


async def test_system_exit_in_a_process_ends_the_node_and_is_raised_by_it():
    with pytest.raises(SystemExit) as caught:
        async with open_node():
            spawn(fail, SystemExit(3))
            await trio.sleep_forever()
    assert caught.value.code == 3


async def test_keyboard_interrupt_in_a_process_ends_the_others_in_order():
    ended: list[Any] = []

    async def orderly():
        try:
            await trio.sleep_forever()
        finally:
            ended.append("orderly")

    with pytest.raises(KeyboardInterrupt):
        async with open_node():
            spawn(orderly)
            await wait_all_tasks_blocked()
            spawn(fail, KeyboardInterrupt())
            await trio.sleep_forever()
    assert ended == ["orderly"]


# -- exit signals (P10, P11) ---------------------------------------------------------------------


async def test_an_exit_signal_ends_a_process_with_its_reason(node):
    pid, ref = spawn_monitor(forever)
    exit(pid, "go")
    assert (await receive(ref)).reason == "go"


async def test_normal_from_another_process_is_ignored(node):
    """P10."""
    pid = spawn(forever)
    exit(pid, NORMAL)
    await wait_all_tasks_blocked()
    assert pid.is_alive()


async def test_normal_to_oneself_ends_a_process_that_does_not_trap(node):
    """P11."""

    async def ends_itself():
        exit(self_pid(), NORMAL)
        raise AssertionError("unreachable")

    assert await reason_of_end(ends_itself) is NORMAL


async def test_an_exit_signal_to_oneself_takes_effect_at_once(node):
    async def ends_itself():
        exit(self_pid(), "now")
        raise AssertionError("unreachable")

    assert await reason_of_end(ends_itself) == "now"


async def test_normal_to_oneself_is_a_message_for_a_process_that_traps(node):
    async def traps():
        trap_exit()
        exit(self_pid(), NORMAL)
        raise ProcessExit(("got", await receive(Exit, 0)))

    pid, ref = spawn_monitor(traps)
    assert (await receive(ref)).reason == ("got", Exit(pid, NORMAL))


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, "crash", KILLED])
async def test_a_process_that_traps_gets_exit_signals_as_messages(node, reason):
    """P10."""
    trap_exit()
    sender = spawn(_send_exit, self_pid(), reason)
    assert await receive(Exit) == Exit(sender, reason)


async def _send_exit(target, reason):
    exit(target, reason)


async def test_kill_ends_a_process_that_traps_and_leaves_killed(node):
    """P10."""

    async def trapper():
        trap_exit()
        await trio.sleep_forever()

    pid, ref = spawn_monitor(trapper)
    await wait_all_tasks_blocked()
    exit(pid, KILL)
    assert (await receive(ref)).reason is KILLED


async def test_kill_as_ones_own_exit_reason_can_be_trapped_by_the_linked(node):
    """P11."""
    trap_exit()
    pid = spawn_link(exit_with, KILL)
    assert await receive(Exit) == Exit(pid, KILL)


async def test_a_process_linked_to_one_that_exits_with_kill_dies_of_kill_not_killed(node):
    async def linked():
        spawn_link(exit_with, KILL)
        await trio.sleep_forever()

    assert await reason_of_end(linked) is KILL


async def test_a_process_linked_to_one_that_was_killed_receives_killed(node):
    async def linked():
        exit(spawn_link(forever), KILL)
        await trio.sleep_forever()

    assert await reason_of_end(linked) is KILLED


async def test_the_first_reason_is_final(node):
    """P13."""
    pid, ref = spawn_monitor(forever)
    await wait_all_tasks_blocked()
    exit(pid, "first")
    exit(pid, "second")
    exit(pid, KILL)
    assert (await receive(ref)).reason == "first"


async def test_an_exception_while_a_process_unwinds_does_not_change_its_reason(node):
    """K2."""

    async def raises_while_it_ends():
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    pid, ref = spawn_monitor(raises_while_it_ends)
    await wait_all_tasks_blocked()
    exit(pid, "asked")
    assert (await receive(ref)).reason == "asked"


async def test_a_process_that_is_ended_before_its_first_step_never_takes_one(node):
    """P13."""
    steps: list[Any] = []

    async def step():
        steps.append(1)

    pid, ref = spawn_monitor(step)
    exit(pid, "early")
    assert (await receive(ref)).reason == "early"
    assert steps == []


async def test_a_message_sent_before_an_exit_signal_is_seen_before_it(node):
    """P12, P2."""
    trap_exit()
    me = self_pid()

    async def sender():
        send(me, "message")
        exit(me, "signal")

    spawn(sender)
    assert await receive() == "message"
    assert (await receive(Exit)).reason == "signal"


async def test_exit_to_a_name_reaches_whoever_has_it(node):
    pid, ref = spawn_monitor(forever)
    register("victim", pid)
    exit("victim", "by name")
    assert (await receive(ref)).reason == "by name"


async def test_exit_to_a_name_that_nobody_has_raises(node):
    with pytest.raises(NoProcessError):
        exit("nobody", "x")


# -- sending (P2, P3) ----------------------------------------------------------------------------


async def test_messages_of_one_sender_arrive_in_order(node):
    """P2."""
    me = self_pid()
    for number in range(100):
        send(me, number)
    assert [await receive() for _ in range(100)] == list(range(100))


async def test_sending_to_the_dead_is_not_an_error(node):
    """P3."""
    pid = spawn(exit_with, NORMAL)
    await pid.wait_exited()
    pid.send("too late")
    send(pid, "too late")
    pid.cast("too late")


async def test_sending_to_a_name_that_nobody_has_raises(node):
    """P3."""
    with pytest.raises(NoProcessError, match="nobody"):
        send("nobody", "hello")


async def test_a_process_can_send_to_itself(node):
    send(self_pid(), "me")
    assert await receive() == "me"


async def test_the_verbs_outside_a_node_say_what_is_missing():
    with pytest.raises(NoNodeError, match=r"actors\.run"):
        self_pid()


# -- death (P5, P7) ------------------------------------------------------------------------------


async def test_a_process_is_not_alive_as_soon_as_it_has_begun_to_exit(node):
    """P5."""
    pid = spawn(forever)
    await wait_all_tasks_blocked()
    exit(pid, "go")
    assert not pid.is_alive()


async def test_whoever_sees_the_down_finds_the_name_free(node):
    """P7."""
    pid, ref = spawn_monitor(forever)
    register("x", pid)
    exit(pid, "go")
    await receive(ref)
    assert whereis("x") is None
    register("x", spawn(forever))


async def test_a_link_hears_before_a_monitor(node):
    """P7."""
    trap_exit()
    pid = spawn(forever)
    link(pid)
    ref = monitor(pid)
    exit(pid, "go")
    assert await receive() == Exit(pid, "go")
    assert await receive() == Down(ref, pid, "go")


async def test_death_listeners_run_before_links_and_monitors_hear(node):
    order: list[Any] = []
    me = self_pid()
    pid, ref = spawn_monitor(forever)
    node.on_exit(lambda dead: order.append((dead, info_of(me).message_queue_len)))
    exit(pid, "go")
    await receive(ref)
    assert order == [(pid, 0)]
    node.remove_exit_listener(node._exit_listeners[0])


async def test_a_death_listener_that_raises_harms_nobody(node):
    def broken(_):
        raise Boom

    node.on_exit(broken)
    with structlog.testing.capture_logs() as logs:
        assert await reason_of_end(exit_with, "x") == "x"
    assert "death listener failed" in [log["event"] for log in logs]


async def test_pids_are_never_reused_and_ordered_by_start(node):
    """P1."""
    first = spawn(forever)
    second = spawn(forever)
    assert first < second
    assert first != second
    assert len({first, second, first}) == 2


async def test_a_dead_pid_is_not_alive_and_has_no_process(node):
    pid = spawn(exit_with, NORMAL)
    await pid.wait_exited()
    assert not is_alive(pid)
    assert process_info(pid) is None
    assert pid not in node.processes


async def test_waiting_for_the_end_gives_the_reason_and_noproc_afterwards(node):
    pid = spawn(exit_with, "x")
    assert await pid.wait_exited() == "x"
    assert await pid.wait_exited() is NOPROC


async def test_waiting_for_the_end_can_be_given_up_and_leaves_nothing(node, autojump_clock):
    pid = spawn(forever)
    for _ in range(3):
        with trio.move_on_after(1):
            await pid.wait_exited()
    assert not node.processes[pid].joiners


# -- kill and zombies (K1) -----------------------------------------------------------------------


async def test_finally_blocks_run_when_a_process_is_killed(node):
    cleaned = []

    async def cleans_up():
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(True)

    pid, ref = spawn_monitor(cleans_up)
    await wait_all_tasks_blocked()
    exit(pid, KILL)
    await receive(ref)
    assert cleaned == [True]


async def shielded(seconds, then):
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    then()


async def test_a_killed_process_that_does_not_unwind_is_declared_dead(autojump_clock):
    """K1."""
    async with open_node(kill_grace=0.5) as node:
        pid, ref = spawn_monitor(shielded, 60, lambda: None)
        register("stuck", pid)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with structlog.testing.capture_logs() as logs:
            exit(pid, KILL)
            assert (await receive(ref)).reason is KILLED
        assert trio.current_time() - began == pytest.approx(0.5)
        assert whereis("stuck") is None
        assert node.statistics().zombies == 1
        assert [log["event"] for log in logs] == ["killed process does not end"]
        assert "shielded" in logs[0]["stack"]


async def test_kill_gives_an_exiting_process_the_grace_and_not_more(autojump_clock):
    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(shielded, 60, lambda: None)
        await wait_all_tasks_blocked()
        exit(pid, SHUTDOWN)
        exit(pid, KILL)
        assert (await receive(ref, 1)).reason is SHUTDOWN


async def test_a_killed_process_that_unwinds_in_time_is_no_zombie(autojump_clock):
    async with open_node(kill_grace=0.5) as node:
        pid, ref = spawn_monitor(shielded, 0.25, lambda: None)
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(1)
        assert node.statistics().zombies == 0
        assert node.statistics().deadlines == 0


async def test_a_zombie_is_fenced_off(autojump_clock):
    outcomes: list[Any] = []

    def act():
        for verb in (self_pid, lambda: spawn(forever), lambda: monitor("x"), trap_exit):
            try:
                verb()
            except ProcessExit as stopped:
                outcomes.append(stopped.reason)

    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(shielded, 2, act)
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(5)
    assert outcomes == [KILLED] * 4


async def test_what_a_zombie_sends_reaches_nobody(autojump_clock):
    class Listening(GenServer):
        def init(self):
            self.got: list[Any] = []

        async def handle_call(self, request, sender):
            return self.got

        async def handle_cast(self, message):
            self.got.append(message)

        async def handle_info(self, message):
            self.got.append(message)

    async def sends_late(server, late):
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    await trio.sleep(1)
                    server.send(late)
                    server.cast(late)
                    await server.asend(late)
                    cast(server, late)
                    nursery.start_soon(in_a_task, server, late)

    async def in_a_task(server, late):
        server.send(late)

    async with open_node(kill_grace=0.5) as node:
        server = await Listening.start()
        pid, ref = spawn_monitor(sends_late, server, "from a zombie")
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        for _ in range(10):
            await trio.sleep(0.5)
            server.send("from the living")
        assert await server.call("what came?") == ["from the living"] * 10
        assert not node._fence  # and no instrument is left
        assert not node.fenced


async def test_a_zombie_sends_no_exit_signal_and_no_reply(autojump_clock):
    outcomes: list[Any] = []

    async def acts_late(victim, sender):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            outcomes.append(await reply(sender, "late"))
            exit(victim, "late")

    class Asked(GenServer):
        async def handle_call(self, request, sender):
            self.zombie = spawn(acts_late, request, sender)
            return NoReply()

    async with open_node(kill_grace=0.5) as node:
        victim = spawn(forever)
        server = await Asked.start()
        request = send_request(server, victim)
        await wait_all_tasks_blocked()
        exit(node.processes[server].server.zombie, KILL)
        await trio.sleep(5)
        assert victim.is_alive()
        with pytest.raises(CallTimeoutError):
            await wait_response(request, 0)
    assert outcomes == [False]


async def test_a_zombie_cannot_call(autojump_clock):
    outcomes: list[Any] = []

    async def calls_late(server):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            try:
                await call(server, "hello")
            except ProcessExit as stopped:
                outcomes.append(stopped.reason)

    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(calls_late, spawn(forever))
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(5)
    assert outcomes == [KILLED]


# -- ancestors, labels, reports (P1, P8, PL4) ----------------------------------------------------


async def test_ancestors_are_the_nearest_first_by_name_if_they_have_one(node):
    """P8."""
    me = self_pid()

    async def child():
        spawn(grandchild)
        await trio.sleep_forever()

    async def grandchild():
        send(me, info_of(self_pid()).ancestors)

    register("root", me)
    pid = spawn(child)
    assert await receive() == (pid, "root")


async def test_a_label_shows_in_the_pid_and_in_process_info(node):
    pid = spawn(forever, label="worker 1")
    assert "worker 1" in repr(pid)
    set_label("main program")
    assert info_of(self_pid()).label == "main program"


async def test_a_process_without_a_label_is_called_as_its_function(node):
    assert info_of(spawn(forever)).label == "forever"


async def test_a_crash_is_reported_once_with_its_ancestors_and_exception(node):
    """PL4."""
    error = Boom("x")
    with structlog.testing.capture_logs() as logs:
        await reason_of_end(fail, error)
    [log] = logs
    assert log["event"] == "process exited"
    assert log["exc_info"] is error
    assert log["ancestors"] == [str(self_pid())]


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x")])
async def test_orderly_ends_are_not_reported(node, reason):
    with structlog.testing.capture_logs() as logs:
        await reason_of_end(exit_with, reason)
    assert logs == []


async def test_a_process_that_dies_of_a_signal_is_not_reported(node):
    async def parent():
        spawn_link(fail, Boom())
        await trio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        await reason_of_end(parent)
    assert len(logs) == 1


# -- messages handled in place -------------------------------------------------------------------


async def test_a_process_can_handle_its_messages_in_the_step_of_the_sender(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(seen.append)
        await trio.sleep_forever()

    pid = spawn(in_place)
    send(pid, "queued")
    await wait_all_tasks_blocked()
    assert seen == ["queued"]
    send(pid, "at once")
    assert seen == ["queued", "at once"]


async def test_a_handler_in_place_runs_as_its_own_process(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(lambda _: seen.append(self_pid()))
        await trio.sleep_forever()

    pid = spawn(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    assert seen == [pid]
    assert self_pid() != pid


@pytest.mark.parametrize("error", [Boom("x"), ProcessExit("y")])
async def test_a_handler_in_place_that_raises_ends_its_process_and_not_the_sender(node, error):
    def handler(_):
        raise error

    async def in_place():
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    pid, ref = spawn_monitor(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    expected = Crash(error) if isinstance(error, Boom) else "y"
    assert (await receive(ref)).reason == expected


class Odd(BaseException):
    """Neither an Exception nor an exit."""


@pytest.mark.parametrize("error", [Odd(), BaseExceptionGroup("", [Odd(), Boom()])], ids=repr)
async def test_whatever_a_handler_in_place_raises_is_its_own_and_not_the_senders(error, node):
    """K4, P6."""

    def handler(_):
        raise error

    async def in_place():
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    pid, ref = spawn_monitor(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    reason = (await receive(ref)).reason
    assert isinstance(reason, Crash)
    assert repr(reason.exception) == repr(error)


async def test_system_exit_in_a_handler_in_place_ends_the_node_and_not_the_sender():
    """N3, K4."""
    sent: list[Any] = []

    def handler(_):
        raise SystemExit(3)

    async def in_place(node):
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    async def sender(pid):
        send(pid, "x")
        sent.append("and went on")
        await trio.sleep_forever()

    with pytest.raises(SystemExit):
        async with open_node() as node:
            pid = spawn(in_place, node)
            await wait_all_tasks_blocked()
            spawn(sender, pid)
            await trio.sleep_forever()
    assert sent == ["and went on"]


async def test_a_main_process_that_gets_an_exit_signal_ends_the_node_with_that_reason():
    """N2."""
    with pytest.raises(NodeExitedError) as caught:
        async with open_node():
            spawn_link(exit_with, "bad news")
            await trio.sleep_forever()
    assert caught.value.reason == "bad news"


async def test_a_call_error_is_an_exception_that_can_be_caught(node):
    dead = spawn(exit_with, NORMAL)
    await dead.wait_exited()
    with pytest.raises(CallError):
        await dead.call("x")


async def test_a_process_that_handles_in_place_can_be_stopped_and_knows_no_more(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(seen.append)
        await trio.sleep_forever()

    pid = spawn(in_place)
    await wait_all_tasks_blocked()
    with pytest.raises(CallError) as caught:
        await get_state(pid)
    assert caught.value.reason == ("unknown_system_msg", ("get_state",))
    await pid.stop("enough")
    assert seen == []


def test_pids_compare_in_every_direction():
    async def main():
        first, second = spawn(forever), spawn(forever)
        assert first < second
        assert first <= second
        assert second > first
        assert sorted([second, first]) == [first, second]

    run(main)
