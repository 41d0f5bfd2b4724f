"""Outcomes of tasks as messages. Promise: an owner that asked to be notified is, once, when there is an outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import trio

from actors import Pid, Task, TaskDone, self_pid
from actors.process import Process
from supervisors import TaskSupervisor
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from tests.chaos.choosing import supervisors
from tests.chaos.world import Boom, Order, World

__all__ = ("Notices", "notified_task")


class Notices:
    """Whom the tasks owe a notice, and what came."""

    def __init__(self) -> None:
        self.owed: dict[Task[Any], Pid] = {}
        self.came: Counter[Task[Any]] = Counter()
        self.broken: list[str] = []

    def took(self, message: Any) -> None:
        """A process was handed a message."""
        if isinstance(message, TaskDone):
            self.came[message.task] += 1
            if (
                message.outcome is not message.task.outcome
                or self.owed.get(message.task, self_pid()) is not self_pid()
            ):
                self.broken.append(f"{message!r} came to {self_pid()!r}")

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        yield from self.broken
        self.broken.clear()
        for task, pid in list(self.owed.items()):
            owner = pid.target
            if isinstance(owner, Process) and owner.alive:
                if not owner.at_rest or task.outcome is None:
                    continue  # it is busy, or the task is; look again later
                if self.came[task] != 1:
                    yield f"{task!r} has told {pid!r} {self.came[task]} times"
            del self.owed[task]
            self.came.pop(task, None)


def notified_task(world: World, process: Process) -> None:
    """A task, of its own or of a TaskSupervisor, that tells its owner how it ended."""
    found = [s for s in supervisors(world, DynamicSupervisorServer) if s.label == "TaskSupervisor"]
    supervisor = world.chance.choice(found).pid if found and world.chance.random() < 0.5 else None
    notices, seconds, fails = world.book(Notices), world.chance.random() * 3, world.chance.random()

    async def work() -> None:
        await trio.sleep(seconds)
        if fails < 0.3:
            raise Boom("in a task")

    async def start() -> None:
        if supervisor is None:
            task = Task.async_link(work)
        else:
            task = await TaskSupervisor.async_nolink(supervisor, work)
        notices.owed[task] = self_pid()
        task.notify()

    async def act() -> None:
        await world.ask("notified task", start)

    process.pid.send(Order(act))
