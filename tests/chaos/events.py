"""Event managers in the chaos run. Promises: a handler that fails ends no manager; a handler ends once, and with its
owner; the owner hears of it, once, if it goes otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs

from actors import (
    Crash,
    EventHandler,
    EventManager,
    HandlerExited,
    OwnerExited,
    Pid,
    RemoveHandler,
    self_pid,
    spawn,
    telemetry,
)
from actors.process import Process
from tests.chaos.world import Boom, Order, World, order

__all__ = ("Events", "add_handler", "notify", "use_handler")


@attrs.define(eq=False)
class Entry:
    """One handler."""

    owner: Pid | None  # who supervises it
    manager: Pid | None = None  # once it is in there
    ends: int = 0
    with_owner: bool = False


class Events:
    """All handlers, and what was heard of them."""

    def __init__(self) -> None:
        self.handlers: dict[int, Entry] = {}
        self.heard: Counter[int] = Counter()
        self.broken: list[str] = []
        telemetry.attach("tests.chaos.events", "process.exited", self._hear_of_end)

    def _hear_of_end(self, _event: str, _measured: Any, told: Any, _config: Any) -> None:
        if told["label"] == "EventManager" and isinstance(told["reason"], Crash):
            self.broken.append(f"the event manager {told['pid']!r} ended: {told['reason']!r}")

    def took(self, message: Any) -> None:
        """A process was handed a message."""
        if isinstance(message, HandlerExited):
            self.heard[message.handler[1]] += 1  # type: ignore[index]  # all have ids here

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        yield from self.broken
        self.broken.clear()
        for process in world.node.processes.values():
            if isinstance(process.server, EventManager) and process.alive and process.at_rest:
                for installed in process.server._handlers:
                    owner = installed.owner
                    if owner is not None and not isinstance(owner.target, Process):
                        yield f"{installed!r} outlives its owner in {process.pid!r}"
        for number, entry in list(self.handlers.items()):
            yield from self._about(number, entry)

    def _about(self, number: int, entry: Entry) -> Iterator[str]:
        manager = entry.manager.target if entry.manager is not None else None
        if isinstance(manager, Process) and not entry.ends:
            if self.heard[number]:
                yield f"handler {number} lives, and its owner heard of its end"
            return
        if entry.ends > 1:
            yield f"handler {number} ended {entry.ends} times"
        owner = entry.owner.target if entry.owner is not None else None
        if isinstance(owner, Process) and owner.alive:
            if not owner.at_rest:
                return  # it is busy; look again later
            due = 1 if entry.ends and not entry.with_owner else 0
            if self.heard[number] != due:
                yield f"handler {number}: {entry!r}, and its owner heard {self.heard[number]} times"
        del self.handlers[number]
        self.heard.pop(number, None)


class Listener(EventHandler):
    """Fails and leaves as chance will have it."""

    async def init(self, world: World, entry: Entry) -> None:
        self.world, self.entry = world, entry
        if world.chance.random() < 0.05:
            raise Boom("no handler")
        entry.manager = self_pid()

    async def handle_event(self, event: Any) -> Any:
        throw = self.world.chance.random()
        if throw < 0.05:
            raise Boom("no event")
        return RemoveHandler() if throw < 0.08 else None

    async def handle_info(self, message: Any) -> Any:
        return await self.handle_event(message)

    async def handle_call(self, request: Any) -> Any:
        throw = self.world.chance.random()
        if throw < 0.05:
            raise Boom("no answer")
        return RemoveHandler("gone") if throw < 0.1 else request

    async def terminate(self, argument: Any) -> None:
        self.entry.ends += 1
        self.entry.with_owner = isinstance(argument, OwnerExited)
        if self.world.chance.random() < 0.05:
            raise Boom("no goodbye")


def manager(world: World) -> Pid | None:
    """One of the event managers, if there are any."""
    found = [p.pid for p in world.node.processes.values() if isinstance(p.server, EventManager)]
    return world.chance.choice(found) if found else None


def add_handler(world: World, process: Process) -> None:
    """Add a handler; every second one is supervised by the process."""
    events, pid = world.book(Events), manager(world)
    if pid is None:
        return
    world.serial += 1
    number, supervised = world.serial, world.chance.random() < 0.5
    add = EventManager.add_sup_handler if supervised else EventManager.add_handler

    async def act() -> None:
        entry = events.handlers[number] = Entry(self_pid() if supervised else None)
        await world.ask("add_handler", lambda: add(pid, (Listener, number), world, entry))

    if supervised:
        process.pid.send(Order(act))
    else:
        order(world, process, act)


def notify(world: World, process: Process) -> None:
    """An event for all handlers of a manager, with or without waiting."""
    pid = manager(world)
    if pid is None:
        return
    if world.chance.random() < 0.5:
        EventManager.notify(pid, "event")
        return

    async def act() -> None:
        await world.ask("sync_notify", lambda: EventManager.sync_notify(pid, "event"))

    order(world, process, act)


def use_handler(world: World, process: Process) -> None:
    """Ask one handler, or delete it."""
    events = world.book(Events)
    living = [
        (number, entry.manager)
        for number, entry in events.handlers.items()
        if entry.manager is not None
    ]
    if not living:
        return
    number, pid = world.chance.choice(living)
    handler = (Listener, number)
    deletes = world.chance.random() < 0.5

    async def use() -> Any:
        assert pid is not None
        if deletes:
            return await EventManager.delete_handler(pid, handler)
        return await EventManager.call_handler(pid, handler, "question")

    async def act() -> None:
        await world.ask("a handler", use)

    spawn(act)
