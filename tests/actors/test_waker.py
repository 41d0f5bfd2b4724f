"""Many processes that are woken at once leave the others their turns (P14)."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from actors import GenServer, Hibernate, NoReply, Pid, Shutdown, exit
from actors.node import Node
from actors.waker import AT_ONCE

MANY = 10 * AT_ONCE


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
        assert len(told) - before <= 2 * AT_ONCE
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
    for pid in (await sleepers(told))[:3]:
        pid.cast("wake")
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert len(told) == 3
