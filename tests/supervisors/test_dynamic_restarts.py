"""Which children a DynamicSupervisor starts again, and when it gives up: D3 to D5, S8, S17."""

from __future__ import annotations

from typing import Any

import pytest

from actors import KILL, NORMAL, SHUTDOWN, Pid, Shutdown
from supervisors import (
    RESTARTING,
    ChildCount,
    ChildNotFoundError,
    DynamicSupervisor,
    MaxChildrenError,
    Restart,
)
from tests.supervisors.workers import Play, end, settle

start_child = DynamicSupervisor.start_child


async def running(supervisor: Pid) -> list[Any]:
    """The pids of all children, or `RESTARTING`."""
    return [child.pid for child in await DynamicSupervisor.which_children(supervisor)]


@pytest.fixture
async def supervisor(play: Play) -> Pid:
    """A dynamic supervisor without children."""
    return await DynamicSupervisor.start_link(max_restarts=1000)


REASONS = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "detail": Shutdown("x"),
    "killed": KILL,
    "other": "x",
}


@pytest.mark.parametrize("restart", Restart, ids=str)
@pytest.mark.parametrize("reason", REASONS)
async def test_who_is_restarted(play: Play, supervisor: Pid, reason: str, restart: Restart):
    """S8, D5; Elixir 19 to 21; simple_one_for_one: the other child is untouched."""
    child = await start_child(supervisor, play.child("a", restart=restart))
    other = await start_child(supervisor, play.child("b"))
    await end(child, REASONS[reason])
    again = restart == "permanent" or (restart == "transient" and reason in {"killed", "other"})
    after = await running(supervisor)
    assert len(after) == 1 + again
    assert other in after
    assert child not in after
    assert play.starts["a"] == 1 + again


@pytest.mark.parametrize("outcome", ["ok", "info"])
async def test_a_restarted_child_has_a_new_pid(play: Play, supervisor: Pid, outcome: str):
    """Elixir 22; extra_return."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", outcome)
    await end(child, KILL)
    (after,) = await running(supervisor)
    assert after.is_alive()


async def test_a_child_that_ignores_its_restart_is_dropped(play: Play, supervisor: Pid):
    """D5; Elixir 22; simple_one_for_one_restart_ignore, sup_start_ignore_permanent_child_start_child_simple."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", "ignore")
    await end(child, KILL)
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(0, 0, 0, 0)


async def restarting(play: Play, supervisor: Pid, outcome: str = "error") -> Pid:
    """A child that does not come back; its old pid."""
    child: Pid = await start_child(supervisor, play.child("a"))
    play.script("a", *[outcome] * 500)
    child.exit(KILL)
    while await running(supervisor) != [RESTARTING]:
        pass
    return child


@pytest.mark.parametrize("outcome", ["error", "junk", "raise", "exit"])
async def test_a_child_that_fails_its_restart_is_restarting(
    play: Play, supervisor: Pid, outcome: str
):
    """D4; Elixir 22."""
    await restarting(play, supervisor, outcome)
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(1, 0, 0, 1)


async def test_a_retry_may_succeed(play: Play, supervisor: Pid):
    """D4; Elixir 26."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", "error", "junk", "raise")
    await end(child, KILL)
    assert play.starts["a"] == 5
    assert [p.is_alive() for p in await running(supervisor)] == [True]


async def test_restarting_and_restarted_children_count_to_max_children(play: Play):
    """D3; Elixir 23, 24."""
    supervisor = await DynamicSupervisor.start_link(max_children=1, max_restarts=1000)
    await restarting(play, supervisor)
    with pytest.raises(MaxChildrenError):
        await start_child(supervisor, play.child("b"))
    play.outcomes["a"].clear()
    await settle()
    with pytest.raises(MaxChildrenError):
        await start_child(supervisor, play.child("b"))


async def test_a_restarting_child_is_terminated_by_its_old_pid(play: Play, supervisor: Pid):
    """D4; Elixir 41; hanging_restart_loop_simple."""
    child = await restarting(play, supervisor)
    await DynamicSupervisor.terminate_child(supervisor, child)
    tried = play.starts["a"]
    with pytest.raises(ChildNotFoundError):
        await DynamicSupervisor.terminate_child(supervisor, child)
    await settle()
    assert play.starts["a"] == tried
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(0, 0, 0, 0)


async def test_a_supervisor_in_a_restart_loop_can_be_stopped(play: Play, supervisor: Pid):
    """hanging_restart_loop_simple."""
    await restarting(play, supervisor)
    await supervisor.stop()
    assert not supervisor.is_alive()


async def test_too_many_restarts_end_it(play: Play):
    """S17, D4; Elixir 27; simple_one_for_one."""
    supervisor = await DynamicSupervisor.start_link(max_restarts=1)
    other = await start_child(supervisor, play.child("b"))
    child = await start_child(supervisor, play.child("a"))
    ending = supervisor.target
    await end(child, KILL)
    await end((await running(supervisor))[-1], KILL)
    assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
    assert not other.is_alive()


async def test_too_many_retries_end_it(play: Play):
    """S17, D4; Elixir 28; simple_one_for_one_escalation."""
    supervisor = await DynamicSupervisor.start_link(max_restarts=3)
    child = await start_child(supervisor, play.child("a"))
    play.script("a", *["error"] * 10)
    await end(child, KILL)
    assert not supervisor.is_alive()
    assert play.starts["a"] == 4


async def test_temporary_deaths_leave_the_others_in_the_book(play: Play, supervisor: Pid):
    """simple_one_for_one_corruption."""
    mortal = await start_child(supervisor, play.child("a", restart="temporary"))
    keeper = await start_child(supervisor, play.child("b"))
    await end(mortal, KILL)
    await end(keeper, KILL)
    (after,) = await running(supervisor)
    assert await after.call("who") == ("who", "b")
