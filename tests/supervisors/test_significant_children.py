"""Significant children and auto-shutdown: S32 to S34; OTP cases 57 to 63."""

from __future__ import annotations

from typing import Any

import pytest

from actors import KILL, NORMAL, SHUTDOWN, Pid, Shutdown
from supervisors import AutoShutdown, Restart, Strategy, Supervisor
from tests.supervisors.workers import Play, end, pid, pids

ANY, ALL = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
KINDS = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "detail": Shutdown("x"),
    "killed": KILL,
    "other": "x",
}


async def start(play: Play, restart: Restart, auto_shutdown: AutoShutdown, **options: Any) -> Pid:
    """Significant a and b, insignificant c."""
    specs = [
        *play.children("ab", restart=restart, significant=True),
        play.child("c", restart=restart),
    ]
    return await Supervisor.start_link(specs, auto_shutdown=auto_shutdown, **options)


@pytest.mark.parametrize("reason", KINDS)
@pytest.mark.parametrize("mode", AutoShutdown, ids=str)
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=str)
async def test_the_end_of_an_insignificant_child_ends_nobody_else(
    play: Play, restart: Restart, mode: AutoShutdown, reason: str
):
    """S32; nonsignificant_temporary, nonsignificant_transient."""
    supervisor = await Supervisor.start_link(
        play.children("ab", restart=restart), auto_shutdown=mode
    )
    await end(await pid(supervisor, "a"), KINDS[reason])
    assert supervisor.is_alive()


@pytest.mark.parametrize("reason", KINDS)
async def test_any_end_of_a_significant_temporary_child_ends_the_supervisor(
    play: Play, reason: str
):
    """S32; significant_temporary (any)."""
    supervisor = await start(play, Restart.TEMPORARY, ANY)
    ending = supervisor.target
    await end(await pid(supervisor, "a"), KINDS[reason])
    assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
    assert play.reasons["c"] == [SHUTDOWN]


@pytest.mark.parametrize("reason", KINDS)
async def test_a_significant_transient_child_ends_the_supervisor_when_it_ends_in_order(
    play: Play, reason: str
):
    """S32; significant_transient (any): otherwise it is restarted."""
    supervisor = await start(play, Restart.TRANSIENT, ANY)
    ending, child = supervisor.target, await pid(supervisor, "a")
    await end(child, KINDS[reason])
    if reason in {"killed", "other"}:
        assert await pid(supervisor, "a") is not child
    else:
        assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
        assert play.reasons["c"] == [SHUTDOWN]


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=str)
async def test_with_all_significant_the_last_one_ends_the_supervisor(play: Play, restart: Restart):
    """S32; significant_temporary, significant_transient (all)."""
    supervisor = await start(play, restart, ALL)
    await end(await pid(supervisor, "a"), NORMAL)
    assert supervisor.is_alive()
    await end(await pid(supervisor, "b"), NORMAL)
    assert not supervisor.is_alive()


async def test_a_significant_child_that_is_being_restarted_counts_as_alive(play: Play):
    """S32."""
    supervisor = await start(play, Restart.TRANSIENT, ALL, max_restarts=100_000)
    play.script("a", *["error"] * 50)
    first, second = await pid(supervisor, "a"), await pid(supervisor, "b")
    first.exit(KILL)
    await end(second, NORMAL)
    assert supervisor.is_alive()
    await end(await pid(supervisor, "a"), NORMAL)
    assert not supervisor.is_alive()


@pytest.mark.parametrize("mode", [ANY, ALL], ids=str)
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=str)
async def test_terminate_child_is_not_an_end_by_itself(
    play: Play, restart: Restart, mode: AutoShutdown
):
    """S32; significant_temporary, significant_transient."""
    supervisor = await start(play, restart, mode)
    await Supervisor.terminate_child(supervisor, "a")
    await Supervisor.terminate_child(supervisor, "b")
    assert supervisor.is_alive()


@pytest.mark.parametrize("mode", [ANY, ALL], ids=str)
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=str)
@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_being_stopped_with_a_sibling_is_not_an_end_by_itself(
    play: Play, strategy: Strategy, restart: Restart, mode: AutoShutdown
):
    """S32; significant_bystander."""
    specs = [play.child("a"), play.child("b", restart=restart, significant=True)]
    supervisor = await Supervisor.start_link(specs, strategy=strategy, auto_shutdown=mode)
    bystander = await pid(supervisor, "b")
    await end(await pid(supervisor, "a"), KILL)
    left = await pids(supervisor)
    assert left["a"].is_alive()
    if strategy is Strategy.ONE_FOR_ONE:
        assert left["b"] is bystander
    elif restart is Restart.TRANSIENT:
        assert left["b"] not in {bystander, None}
    else:
        assert "b" not in left


@pytest.mark.parametrize("significant", [True, False])
async def test_auto_shutdown_spreads_only_through_significant_supervisors(
    play: Play, significant: bool
):
    """S34; significant_escalation."""
    inner = Supervisor.child_spec(
        play.children("a", restart="transient", significant=True),
        id="inner",
        auto_shutdown=ANY,
        restart="transient",
        significant=significant,
    )
    outer = await Supervisor.start_link([inner, play.child("z")], auto_shutdown=ANY)
    inner_pid = await pid(outer, "inner")
    await end(await pid(inner_pid, "a"), NORMAL)
    assert not inner_pid.is_alive()
    assert outer.is_alive() is not significant
