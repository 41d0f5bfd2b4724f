"""Many processes that are woken at once leave the others their turns (P14)."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    GenServer,
    Hibernate,
    NoReply,
    Pid,
    Shutdown,
    demonitor,
    exit,
    monitor,
    receive,
    spawn,
)
from actors.node import Node
from actors.process import current_process
from actors.ties import PORTION
from actors.waker import FIRST, MOST, next_pace

MANY = 10 * MOST


class Sleeper(GenServer):
    def init(self, told: list[Any], number: int) -> None:
        self.told, self.number = told, number

    async def handle_cast(self, message: Any) -> Any:
        self.told.append((self.number, message))
        return NoReply(then=Hibernate())


async def sleepers(told: list[Any]) -> list[Pid]:
    return [await Sleeper.start(told, number) for number in range(MANY)]


def asleep(node: Node, pids: list[Pid]) -> int:
    return sum(node.processes[pid].asleep is not None for pid in pids)


async def test_a_message_to_many_sleepers_wakes_a_few_in_each_step_of_the_others(node):
    told: list[Any] = []
    for pid in await sleepers(told):
        pid.cast("wake")
    before = 0
    while len(told) < MANY:
        await trio.lowlevel.checkpoint()
        assert len(told) - before <= 2 * MOST
        before = len(told)
    assert sorted(told) == [(number, "wake") for number in range(MANY)]


async def test_who_waits_for_a_task_takes_all_that_came_meanwhile_in_order(node):
    told: list[Any] = []
    pids = await sleepers(told)
    for message in (1, 2, 3):
        for pid in pids:
            pid.cast(message)
    await wait_all_tasks_blocked()
    taken = [[message for each, message in told if each == number] for number in range(MANY)]
    assert taken == [[1, 2, 3]] * MANY


async def test_an_exit_signal_does_not_wait_for_a_task(node):
    told: list[Any] = []
    pids = await sleepers(told)
    for pid in pids:
        pid.cast("wake")
    exit(pids[-1], Shutdown("now"))
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    assert pids[-1] not in node.processes
    assert len(told) < MANY - 1
    await wait_all_tasks_blocked()
    assert sorted(told) == [(number, "wake") for number in range(MANY - 1)]


async def test_who_was_woken_by_something_else_is_left_asleep_afterwards(node):
    told: list[Any] = []
    pids = await sleepers(told)
    for pid in pids:
        pid.cast("wake")
    node.processes[pids[-1]].wake_up()
    await wait_all_tasks_blocked()
    assert len(told) == MANY
    assert asleep(node, pids) == MANY


async def test_a_few_sleepers_get_their_tasks_at_once(node):
    told: list[Any] = []
    for pid in (await sleepers(told))[:FIRST]:
        pid.cast("wake")
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert len(told) == FIRST


async def test_many_watchers_hear_of_an_end_in_portions_and_each_once(node):
    """M1."""
    watched = spawn(trio.sleep_forever)
    heard: list[int] = []

    async def watch(number: int) -> None:
        monitor(watched)
        await receive()
        heard.append(number)

    for number in range(20 * PORTION):
        spawn(watch, number)
    await wait_all_tasks_blocked()
    exit(watched, KILL)
    before = 0
    while len(heard) < 20 * PORTION:
        await trio.lowlevel.checkpoint()
        assert len(heard) - before <= 2 * (1 + MOST) * PORTION
        before = len(heard)
    await wait_all_tasks_blocked()
    assert sorted(heard) == list(range(20 * PORTION))


async def test_who_demonitors_before_its_portion_hears_nothing(node):
    """M4."""
    watched = spawn(trio.sleep_forever)
    refs = [monitor(watched) for _ in range(10 * PORTION)]
    exit(watched, KILL)
    await watched.wait_exited()
    told = len(current_process().mailbox)
    assert 0 < told < len(refs)
    assert [demonitor(ref) for ref in refs] == [False] * told + [True] * (len(refs) - told)
    await wait_all_tasks_blocked()
    assert len(current_process().mailbox) == told


async def test_who_asks_for_a_turn_waits_behind_those_who_came_before(node):
    told: list[Any] = []
    for pid in await sleepers(told):
        pid.cast("wake")
    await node.waker.turn()
    assert len(told) > MANY - 2 * MOST


async def test_who_no_longer_wants_its_turn_takes_none_from_the_others(node):
    told: list[Any] = []
    for pid in await sleepers(told):
        pid.cast("wake")
    with trio.CancelScope() as impatient:
        impatient.cancel()
        await node.waker.turn()
    assert impatient.cancelled_caught
    await wait_all_tasks_blocked()
    assert len(told) == MANY


def test_the_pace_rises_while_steps_are_short_and_halves_where_one_is_long():
    pace, steps = 1, []
    for _ in range(2 * MOST):
        steps.append(pace)
        pace = next_pace(pace, 0.1, enough=0.3)
    assert steps == [*range(1, MOST + 1), *[MOST] * MOST]
    assert next_pace(16, 0.4, enough=0.3) == 8
    assert next_pace(1, 0.4, enough=0.3) == 1
