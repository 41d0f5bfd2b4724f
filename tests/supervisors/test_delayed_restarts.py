"""Backoff in a running supervisor: a delayed retry stays interruptible and counts. Ours, not OTP's."""

from __future__ import annotations

import pytest
import trio

from actors import KILL
from supervisors import (
    RESTARTING,
    Backoff,
    ChildRestartingError,
    DynamicSupervisor,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervisors.workers import Play, end, pid, pids, settle

EXACT = Backoff(1.0, 60.0, jitter=0.0)


async def test_a_child_with_a_backoff_waits_before_it_is_started_again(play: Play):
    supervisor = await Supervisor.start_link(play.children("a", backoff=EXACT))
    await end(await pid(supervisor, "a"), KILL)
    assert (await pids(supervisor))["a"] is RESTARTING
    await trio.sleep(0.99)
    assert play.starts["a"] == 1
    await trio.sleep(0.02)
    assert play.starts["a"] == 2


async def test_the_delay_grows_while_the_child_does_not_come_back(play: Play):
    supervisor = await Supervisor.start_link(play.children("a", backoff=EXACT))
    play.script("a", "error", "error", "ok")
    began = trio.current_time()
    await end(await pid(supervisor, "a"), KILL)
    while (await pids(supervisor))["a"] is RESTARTING:
        await trio.sleep(0.5)
    assert trio.current_time() - began == pytest.approx(1 + 2 + 4, abs=0.51)
    assert play.starts["a"] == 4


async def test_a_child_that_recovered_begins_with_the_shortest_delay_again(play: Play):
    supervisor = await Supervisor.start_link(play.children("a", backoff=EXACT), max_restarts=10)
    for _ in range(2):
        await end(await pid(supervisor, "a"), KILL)
        await trio.sleep(1.01)
        assert (await pid(supervisor, "a")).is_alive()
        await trio.sleep(EXACT.cap)


async def test_every_delayed_attempt_counts(play: Play):
    """S17."""
    supervisor = await Supervisor.start_link(
        play.children("a", backoff=Backoff(0.1, 0.1, jitter=0.0)), max_restarts=2
    )
    play.script("a", *["error"] * 10)
    await end(await pid(supervisor, "a"), KILL)
    await trio.sleep(1)
    assert not supervisor.is_alive()
    assert play.starts["a"] == 1 + 2


async def test_delays_that_outlast_the_period_let_a_supervisor_try_for_ever(play: Play):
    """What a backoff is for: OTP would have given up after the fourth attempt."""
    supervisor = await Supervisor.start_link(
        play.children("a", backoff=Backoff(2.0, 2.0, jitter=0.0)), max_restarts=3, max_seconds=5.0
    )
    play.script("a", *["error"] * 20)
    await end(await pid(supervisor, "a"), KILL)
    await trio.sleep(45)
    assert (await pid(supervisor, "a")).is_alive()


async def test_a_waiting_child_can_be_terminated_and_its_retry_never_comes(play: Play):
    """S27."""
    supervisor = await Supervisor.start_link(play.children("a", backoff=EXACT))
    await end(await pid(supervisor, "a"), KILL)
    with pytest.raises(ChildRestartingError):
        await Supervisor.delete_child(supervisor, "a")
    await Supervisor.terminate_child(supervisor, "a")
    await trio.sleep(10)
    assert play.starts["a"] == 1


async def test_a_waiting_child_does_not_delay_the_end_of_its_supervisor(play: Play):
    supervisor = await Supervisor.start_link(play.children("a", backoff=EXACT))
    await end(await pid(supervisor, "a"), KILL)
    began = trio.current_time()
    await supervisor.stop()
    assert trio.current_time() == began
    await trio.sleep(10)
    assert play.starts["a"] == 1


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE], ids=str)
async def test_a_group_lives_on_until_the_attempt_is_made(play: Play, strategy: Strategy):
    """The delay changes when, not what."""
    specs = [play.child("a", backoff=EXACT), play.child("b")]
    supervisor = await Supervisor.start_link(specs, strategy=strategy)
    sibling = await pid(supervisor, "b")
    await end(await pid(supervisor, "a"), KILL)
    assert sibling.is_alive()
    await trio.sleep(1.01)
    assert not sibling.is_alive()
    assert all((await pids(supervisor)).values())


async def test_a_dynamic_child_waits_too_and_keeps_its_count(play: Play):
    supervisor = await DynamicSupervisor.start_link(max_restarts=10)
    child = await DynamicSupervisor.start_child(supervisor, play.child("a", backoff=EXACT))
    await end(child, KILL)
    await trio.sleep(1.01)
    (second,) = await DynamicSupervisor.which_children(supervisor)
    second.pid.exit(KILL)  # type: ignore[union-attr]  # it runs
    await trio.sleep(1.9)
    assert play.starts["a"] == 2
    await trio.sleep(0.2)
    assert play.starts["a"] == 3


async def test_a_waiting_dynamic_child_is_terminated_by_its_old_pid(play: Play):
    """D4."""
    supervisor = await DynamicSupervisor.start_link()
    spec = play.child("a", backoff=EXACT, restart=Restart.TRANSIENT)
    child = await DynamicSupervisor.start_child(supervisor, spec)
    await end(child, KILL)
    await DynamicSupervisor.terminate_child(supervisor, child)
    await trio.sleep(10)
    await settle()
    assert play.starts["a"] == 1
