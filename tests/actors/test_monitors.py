"""Monitors (semantics M)."""

import pytest
from trio.testing import wait_all_tasks_blocked

from actors import (
    NOPROC,
    NORMAL,
    Down,
    ReceiveTimeoutError,
    demonitor,
    exit,
    monitor,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_monitor,
)
from tests.actors.helpers import exit_when_told, exit_with, forever, info_of


async def test_each_monitor_gives_one_down(node):
    """M1."""
    pid = spawn(exit_when_told)
    refs = [monitor(pid) for _ in range(3)]
    send(pid, "x")
    assert [await receive() for _ in refs] == [Down(ref, pid, "x") for ref in refs]
    with pytest.raises(ReceiveTimeoutError):
        await receive(Down, 0)


async def test_monitoring_the_dead_gives_noproc_at_once(node):
    """M2."""
    pid = spawn(exit_with, "x")
    await pid.wait_exited()
    ref = monitor(pid)
    assert await receive(timeout=0) == Down(ref, pid, NOPROC)


async def test_monitoring_a_name_that_nobody_has_gives_noproc(node):
    """M2."""
    ref = monitor("nobody")
    assert await receive(timeout=0) == Down(ref, "nobody", NOPROC)


async def test_a_monitor_by_name_names_what_was_asked_and_is_bound_to_its_holder(node):
    """M2."""
    pid = spawn(exit_when_told)
    register("x", pid)
    ref = monitor("x")
    send(pid, "reason")
    assert await receive() == Down(ref, "x", "reason")


async def test_a_monitor_does_not_bind_the_watcher_to_the_watched(node):
    pid, ref = spawn_monitor(exit_with, "crash")
    assert (await receive(ref)).object is pid
    assert self_pid().is_alive()


async def test_spawn_monitor_misses_no_end(node):
    """M6."""
    _, ref = spawn_monitor(exit_with, "x")
    assert (await receive(ref)).reason == "x"


async def test_after_demonitor_no_down_comes(node):
    """M4."""
    pid = spawn(forever)
    assert demonitor(monitor(pid)) is True
    exit(pid, "x")
    await wait_all_tasks_blocked()
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
    assert info_of(self_pid()).monitors == ()


async def test_demonitor_says_that_the_down_was_delivered_and_leaves_it(node):
    """M4."""
    pid, ref = spawn_monitor(exit_with, "x")
    await pid.wait_exited()
    assert demonitor(ref) is False
    assert await receive(timeout=0) == Down(ref, pid, "x")


async def test_demonitor_with_flush_takes_the_down_out_and_nothing_else(node):
    """M4."""
    pid, ref = spawn_monitor(exit_with, "x")
    other = monitor(pid)
    await pid.wait_exited()
    assert demonitor(ref, flush=True) is False
    assert await receive(timeout=0) == Down(other, pid, "x")


async def test_demonitor_a_second_time_says_that_there_is_none(node):
    ref = monitor(spawn(forever))
    assert demonitor(ref) is True
    assert demonitor(ref) is False


async def test_a_watcher_that_dies_is_forgotten_by_the_watched(node):
    pid = spawn(forever)

    async def watcher():
        monitor(pid)

    await spawn(watcher).wait_exited()
    assert info_of(pid).monitored_by == ()


async def test_a_process_can_monitor_itself_and_nobody_hears(node):
    async def watches_itself():
        monitor(self_pid())

    pid, ref = spawn_monitor(watches_itself)
    assert (await receive(ref)).reason is NORMAL
    assert not pid.is_alive()


async def test_monitoring_one_that_is_exiting_tells_its_reason(node):
    pid = spawn(forever)
    exit(pid, "x")
    ref = monitor(pid)
    assert await receive(ref) == Down(ref, pid, "x")


async def test_pid_monitor_is_monitor(node):
    pid = spawn(exit_when_told)
    ref = pid.monitor()
    send(pid, "x")
    assert await receive(ref) == Down(ref, pid, "x")


async def test_only_the_process_that_monitors_can_undo_it(node):
    """M1, M4: it is an error, as in OTP, and the Down still comes."""
    pid = spawn(exit_when_told)
    ref = monitor(pid)
    errors: list[Exception] = []

    async def another():
        try:
            demonitor(ref)
        except ValueError as error:
            errors.append(error)

    await spawn(another).wait_exited()
    assert "nobody else can undo it" in str(errors[0])
    send(pid, "x")
    assert await receive(timeout=1) == Down(ref, pid, "x")
