"""Applications in the chaos run. Promises: the hooks of a life come in their order and once; no tree outlives its
master, and no master its controller; the controller believes of none that it runs that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trio

from actors import Pid, self_pid, spawn, whereis
from actors.process import Process
from supervisors import Application, StartType
from supervisors.application_controller import CONTROLLER, ApplicationController
from tests.chaos.trees import random_supervisor, random_worker
from tests.chaos.world import Boom, World

__all__ = ("Applications", "start_application", "stop_application")

LIVES = ("started", "prep_stop", "stopped"), ("started", "stopped")
START_TYPES = (StartType.TEMPORARY,) * 4 + (StartType.TRANSIENT, StartType.PERMANENT)


class App(Application):
    """Writes down its hooks; they fail as chance will have it."""

    def __init__(self, world: World, book: Applications, *needed: App) -> None:
        chance = world.chance
        children = [random_worker(world), random_supervisor(world, 1)][: chance.randint(1, 2)]
        super().__init__(
            children,
            max_restarts=chance.choice((1, 5, 1_000)),
            name=f"application{len(book.applications)}",
            applications=needed,
            start_type=chance.choice(START_TYPES),
        )
        self.chance = chance
        self.book = book

    async def started(self, root: Pid) -> None:
        self.book.roots[self_pid()] = root
        await self._hook("started")

    async def prep_stop(self) -> None:
        await self._hook("prep_stop")

    async def stopped(self, reason: object) -> None:
        if isinstance(self.book.roots[self_pid()].target, Process):
            self.book.broken.append(f"{self!r} is told that it has stopped, and runs")
        await self._hook("stopped")

    async def _hook(self, hook: str) -> None:
        self.book.hooks.setdefault(self_pid(), []).append(hook)
        throw = self.chance.random()
        if throw < 0.1:
            raise Boom("in a hook")
        if throw < 0.3:
            await trio.sleep(throw * 10)


class Applications:
    """The applications of a world; of each life of one, by its master, the hooks and the root."""

    def __init__(self) -> None:
        self.applications: list[App] = []
        self.hooks: dict[Pid, list[str]] = {}
        self.roots: dict[Pid, Pid] = {}
        self.broken: list[str] = []

    def some(self, world: World) -> App:
        """One of four: one stands alone, the others need each other."""
        if not self.applications:
            for needed in ((), (0,), (0, 1), ()):
                self.applications.append(
                    App(world, self, *(self.applications[number] for number in needed))
                )
        return world.chance.choice(self.applications)

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        yield from self.broken
        self.broken.clear()
        for master, hooks in list(self.hooks.items()):
            ended = not isinstance(master.target, Process)
            if not any(tuple(hooks) == life[: len(hooks)] for life in LIVES):
                yield f"the hooks of {master!r} were {hooks}"
            root = self.roots[master]
            if ended and isinstance(root.target, Process) and root.target.at_rest:
                yield f"{root!r} outlives its master {master!r}"
            if ended and not isinstance(root.target, Process):
                del self.hooks[master], self.roots[master]
        yield from self._about_controller(world)

    def _about_controller(self, world: World) -> Iterator[str]:
        pid = whereis(CONTROLLER)
        controller = pid.target if pid is not None else None
        for process in world.node.processes.values():
            if process.pid in self.roots and not isinstance(process.parent.target, Process):
                root = self.roots[process.pid].target
                if process.at_rest and (not isinstance(root, Process) or root.at_rest):
                    yield f"{process.pid!r} outlives its controller"
        if not isinstance(controller, Process) or not controller.at_rest or not controller.alive:
            return
        server: Any = controller.server
        assert isinstance(server, ApplicationController)
        for master, entry in server._entries.items():
            seer, tree = master.target, entry.root
            if isinstance(seer, Process) and (tree is None or not seer.at_rest):
                continue  # it starts, or sees to its end; look again later
            if tree is None or not all(isinstance(p.target, Process) for p in (master, tree)):
                yield f"the controller believes that {entry.application!r} runs"


def start_application(world: World, process: Process) -> None:
    """Start one with all that it needs, or it alone."""
    application = world.book(Applications).some(world)
    start = application.start if world.chance.random() < 0.3 else application.ensure_all_started

    async def act() -> None:
        await world.ask(f"start {application!r}", start)

    spawn(act)


def stop_application(world: World, process: Process) -> None:
    """Stop one, whether it runs or not."""
    application = world.book(Applications).some(world)

    async def act() -> None:
        await world.ask(f"stop {application!r}", application.stop)

    spawn(act)
