"""Processes: how they end, messages, death, ancestors (semantics P)."""

import copy
import dataclasses
import pickle
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
    CallFailed,
    Crash,
    Down,
    Exit,
    MonitorRef,
    NoNodeError,
    NoProcessError,
    Pid,
    ProcessExit,
    Shutdown,
    call,
    exit,
    is_alive,
    link,
    monitor,
    open_node,
    receive,
    register,
    self_pid,
    send,
    set_label,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
    whereis,
)
from actors.introspection import process_info
from tests.actors.helpers import Boom, exit_with, fail, forever, info_of, reason_of_end

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


# -- pids are values -----------------------------------------------------------------------------


async def test_a_copy_of_a_pid_or_a_reference_is_that_pid_or_reference(node):
    @dataclasses.dataclass
    class Message:
        sender: Pid
        ref: MonitorRef

    pid, ref = spawn_monitor(forever)
    for copied in (copy.copy, copy.deepcopy):
        assert copied(pid) is pid
        assert copied(ref) is ref
    assert dataclasses.asdict(Message(pid, ref)) == {"sender": pid, "ref": ref}


async def test_a_pid_that_is_to_be_pickled_says_that_it_cannot(node):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(self_pid())
