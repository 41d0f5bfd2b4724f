"""When a supervisor gives up: S17 to S19; OTP cases 29 to 33, 38, 42, 56."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from actors import KILL, NORMAL, SHUTDOWN, Pid
from supervisors import ChildSpec, Restart, Strategy, Supervisor
from tests.supervisors.workers import Brittle, Play, end, pid, pids, settle


async def deaths_until_it_ends(supervisor: Pid, id: Any, reason: Any = KILL) -> int:
    """How often the child must end until its supervisor does."""
    ended, deaths = 0, 0
    while supervisor.is_alive():
        await end(await pid(supervisor, id), reason)
        deaths += 1
    return ended + deaths


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_by_default_the_fourth_death_within_five_seconds_is_one_too_many(
    play: Play, strategy: Strategy
):
    """S17: kills 1 to 3 restart, the 4th ends it; one_for_one, one_for_all, rest_for_one."""
    supervisor = await Supervisor.start_link(play.children("abc"), strategy=strategy)
    ending = supervisor.target
    assert await deaths_until_it_ends(supervisor, "b") == 4
    assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
    assert play.starts["b"] == 4


async def test_with_no_restarts_allowed_the_first_death_ends_the_supervisor(play: Play):
    """S17: intensity 0."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=0)
    assert await deaths_until_it_ends(supervisor, "a") == 1


async def test_orderly_ends_of_a_permanent_child_count_too(play: Play):
    """S17."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=1)
    assert await deaths_until_it_ends(supervisor, "a", NORMAL) == 2


@pytest.mark.parametrize(
    ("restart", "reason"),
    [("transient", NORMAL), ("temporary", KILL)],
    ids=["transient", "temporary"],
)
async def test_ends_without_a_restart_do_not_count(play: Play, restart: str, reason: Any):
    """S17."""
    supervisor = await Supervisor.start_link([], max_restarts=0)
    for number in range(5):
        child = await Supervisor.start_child(supervisor, play.child(number, restart=restart))
        await end(child, reason)
    assert supervisor.is_alive()


async def test_restarts_that_lie_far_enough_apart_go_on_for_ever(play: Play):
    """S17; multiple_restarts."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=1, max_seconds=2.0)
    for _ in range(10):
        await end(await pid(supervisor, "a"), KILL)
        await trio.sleep(2.001)
    assert supervisor.is_alive()
    assert play.starts["a"] == 11


async def test_a_restart_exactly_the_period_ago_still_counts(play: Play):
    """S17: inclusive."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=1, max_seconds=2.0)
    await end(await pid(supervisor, "a"), KILL)
    await trio.sleep(2.0)
    await end(await pid(supervisor, "a"), KILL)
    assert not supervisor.is_alive()


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_a_child_that_never_comes_back_is_tried_as_often_as_the_intensity_allows(
    play: Play, strategy: Strategy
):
    """S17: init runs 1 + N times; one_for_one_escalation, one_for_all_escalation, rest_for_one_escalation."""
    supervisor = await Supervisor.start_link(play.children("ab"), strategy=strategy)
    play.script("a", *["error"] * 10)
    ending = supervisor.target
    await end(await pid(supervisor, "a"), KILL)
    assert play.starts["a"] == 1 + 3
    assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
    assert play.reasons["b"] == [SHUTDOWN]


async def test_work_by_hand_does_not_count(play: Play):
    """S17: start_child, terminate_child, restart_child."""
    supervisor = await Supervisor.start_link([], max_restarts=0)
    await Supervisor.start_child(supervisor, play.child("a"))
    for _ in range(5):
        await Supervisor.terminate_child(supervisor, "a")
        await Supervisor.restart_child(supervisor, "a")
    assert supervisor.is_alive()


async def test_a_supervisor_that_gives_up_stops_the_others_in_reverse(play: Play):
    """S17: the failing child is not started again."""
    supervisor = await Supervisor.start_link(play.children("abc"), max_restarts=0)
    play.entries()
    await end(await pid(supervisor, "b"), "x")
    assert play.entries() == "stop b, stop c, stop a"
    assert not supervisor.is_alive()


@pytest.mark.parametrize(
    ("restart", "outcome"),
    [(Restart.PERMANENT, "again"), (Restart.TRANSIENT, "kept"), (Restart.TEMPORARY, "forgotten")],
    ids=str,
)
async def test_an_outer_supervisor_restarts_an_inner_one_only_if_permanent(
    play: Play, restart: Restart, outcome: str
):
    """S18; tree: the end of an inner supervisor is an orderly shutdown."""
    inner = Supervisor.child_spec(play.children("a"), id="inner", max_restarts=0, restart=restart)
    outer = await Supervisor.start_link([inner])
    before = await pid(outer, "inner")
    await end(await pid(before, "a"), KILL)
    assert not before.is_alive()
    after = await pids(outer)
    if outcome == "again":
        assert (await pid(after["inner"], "a")).is_alive()
    else:
        assert after == ({"inner": None} if outcome == "kept" else {})


async def test_escalation_counts_one_restart_per_level(play: Play):
    """S18; tree: with 1 restart each, two levels take four deaths."""
    inner = Supervisor.child_spec(play.children("a"), id="inner", max_restarts=1)
    outer = await Supervisor.start_link([inner], max_restarts=1)
    deaths = 0
    while outer.is_alive():
        await end(await pid(await pid(outer, "inner"), "a"), KILL)
        deaths += 1
    assert deaths == 4


async def kill_together(supervisor: Pid, *ids: Any) -> None:
    """Deaths that the supervisor finds in its mailbox in this order."""
    children = await pids(supervisor)
    for id in ids:
        children[id].exit(KILL)
    await settle()


@pytest.mark.parametrize(
    ("strategy", "order", "counted"),
    [
        ("one_for_one", (1, 2), 2),
        ("one_for_all", (1, 2), 1),
        ("one_for_all", (2, 1), 1),
        ("rest_for_one", (1, 2), 1),
        ("rest_for_one", (2, 1), 2),
    ],
)
async def test_simultaneous_deaths_count_as_often_as_they_need_a_restart(
    play: Play, strategy: str, order: tuple[int, int], counted: int
):
    """S19."""
    specs = play.children([1, 2, 3], worker=Brittle)
    supervisor = await Supervisor.start_link(specs, strategy=strategy, max_restarts=10)
    server = supervisor.target.server  # type: ignore[attr-defined]  # the process's behaviour

    exits: list[Any] = []

    async def die_in_order() -> Pid:
        """Runs in the supervisor, so both exits are in its mailbox when it looks."""
        children = {c.id: c.pid for c in server._children}
        for id in order:
            children[id].exit(KILL)
            exits.append(await children[id].wait_exited())
        return await play.start("extra", Brittle)  # type: ignore[no-any-return]  # a Pid

    await Supervisor.start_child(supervisor, ChildSpec("extra", die_in_order, restart="temporary"))
    await settle()
    assert len(exits) == 2
    assert len(server._window) == counted
    assert all(child.pid for child in server._children if child.id != "extra")
