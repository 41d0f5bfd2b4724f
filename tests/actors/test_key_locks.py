"""The locks of a registry: what they cost who neither holds nor wants them (semantics R5)."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from actors import KILL, Registry, key_locks, open_node, spawn
from tests.actors.looks import Looks

TABLE = Registry("table")


@pytest.fixture
def looks(monkeypatch):
    """Counts who looks at the turns that are taken from now on."""
    looks = Looks()
    monkeypatch.setattr(key_locks, "_Turn", looks.entries(key_locks._Turn))
    return looks


async def hold(*keys):
    async with AsyncExitStack() as held:
        for key in keys:
            await held.enter_async_context(TABLE.lock(key))
        await trio.sleep_forever()


async def test_a_death_costs_nothing_for_what_others_hold(looks, node):
    await TABLE.start_link()
    spawn(hold, *range(100))
    await trio.testing.wait_all_tasks_blocked()
    looks.count = 0
    await spawn(trio.lowlevel.checkpoint).wait_exited()
    assert looks.count == 0


async def test_the_death_of_a_holder_frees_all_that_it_holds_at_once(autojump_clock):
    """K1: also if it does not unwind."""

    async def stuck():
        async with TABLE.lock("a"), TABLE.lock("b"):
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    async with open_node(kill_grace=1):
        await TABLE.start_link()
        pid = spawn(stuck)
        await trio.testing.wait_all_tasks_blocked()
        pid.exit(KILL)
        await pid.wait_exited()
        with trio.fail_after(1):
            async with TABLE.lock("a"), TABLE.lock("b"):
                await trio.sleep(0)


async def test_a_waiter_that_dies_costs_the_same_wherever_it_stands(looks, node):
    await TABLE.start_link()
    costs: list[int] = []
    spawn(hold, "key")
    await trio.testing.wait_all_tasks_blocked()
    waiting = []
    for _ in range(100):
        waiting.append(spawn(hold, "key"))
        await trio.testing.wait_all_tasks_blocked()
    for pid in (waiting[0], waiting[50], waiting[-1]):
        looks.count = 0
        pid.exit("gone")
        await pid.wait_exited()
        costs.append(looks.count)
    assert costs[0] == costs[1] == costs[2]


async def test_waiters_in_the_middle_may_leave_and_the_others_keep_their_order(node):
    await TABLE.start_link()
    got: list[Any] = []

    async def want(number):
        async with TABLE.lock("key"):
            got.append(number)

    async with TABLE.lock("key"):
        pids = []
        for number in range(6):
            pids.append(spawn(want, number))
            await trio.testing.wait_all_tasks_blocked()
        for number in (0, 3, 5):
            pids[number].exit("gone")
            await pids[number].wait_exited()
    await trio.testing.wait_all_tasks_blocked()
    assert got == [1, 2, 4]
