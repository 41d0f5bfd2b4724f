"""What can happen in the world of the chaos run. Each function is one operation, done as some process.

Those here act at once, in the name of the process, or are ordered; those that take their time are in `waiting.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import trio

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    ActorsError,
    Bounded,
    EventManager,
    NameTakenError,
    Overflow,
    Pid,
    ProcessExit,
    Shutdown,
    cancel_timer,
    cast,
    demonitor,
    link,
    monitor,
    register,
    send,
    send_after,
    send_request,
    spawn,
    spawn_link,
    spawn_monitor,
    start_timer,
    trap_exit,
    unlink,
    unregister,
    whereis,
)
from actors.context import current
from actors.process import Process
from supervisors import SupervisorsError
from tests.chaos.applications import start_application, stop_application
from tests.chaos.choosing import anyone, inhabitant, somebody
from tests.chaos.events import add_handler, notify, use_handler
from tests.chaos.groups import join, leave_group, watch_group
from tests.chaos.inhabitants import obey, obey_trapping
from tests.chaos.locks import lock
from tests.chaos.notices import notified_task
from tests.chaos.partitions import ask_partition, resize
from tests.chaos.waiting import (
    administer,
    ask,
    start_child,
    start_server,
    stop_,
    stop_supervisor,
    supervised_task,
    taste,
    terminate_dynamic_child,
    wait_for_tasks,
)
from tests.chaos.world import KEYS, NAMES, REGISTRY, TOPICS, Boom, Order, Watched, World

__all__ = ("OPERATIONS", "operate")

Operation: TypeAlias = Callable[[World, Process], Any]

CROWD = 60  # processes; above that, operations that end some are preferred
REASONS = (KILL, KILL, SHUTDOWN, NORMAL, Shutdown("detail"), "odd")
REFUSALS = (ActorsError, SupervisorsError, ProcessExit, NameTakenError)


# -- processes, links, monitors ------------------------------------------------------------------


def mailbox(world: World) -> Bounded | None:
    if world.chance.random() < 0.8:
        return None
    return Bounded(world.chance.choice((1, 3)), world.chance.choice(tuple(Overflow)))


def spawn_(world: World, process: Process) -> None:
    spawn(world.chance.choice((obey, obey_trapping)), world, mailbox=mailbox(world))


def spawn_link_(world: World, process: Process) -> None:
    spawn_link(world.chance.choice((obey, obey_trapping)), world, mailbox=mailbox(world))


def spawn_monitor_(world: World, process: Process) -> None:
    pid, ref = spawn_monitor(obey, world, mailbox=mailbox(world))
    world.monitors.append(Watched(ref, process.pid, pid))


def link_(world: World, process: Process) -> None:
    other = somebody(world, process)
    if other is not None:
        link(other)


def unlink_(world: World, process: Process) -> None:
    others = [
        pid
        for pid in process.links or ()
        if pid is not process.parent and not _is_child(pid, process) and not _keeps_handlers(pid)
    ]
    if others:
        unlink(world.chance.choice(others), flush=world.chance.random() < 0.5)


def _keeps_handlers(pid: Pid) -> bool:
    """The link of a supervised handler is how its manager hears of the owner's end (GE3)."""
    return isinstance(pid.target, Process) and isinstance(pid.target.server, EventManager)


def _is_child(pid: Pid, process: Process) -> bool:
    return isinstance(pid.target, Process) and pid.target.parent is process.pid


def monitor_(world: World, process: Process) -> None:
    other = somebody(world, process)
    if other is not None:
        world.monitors.append(Watched(monitor(other), process.pid, other))


def monitor_by_name(world: World, process: Process) -> None:
    name = world.chance.choice((*NAMES, REGISTRY.name, "root"))
    holder = whereis(name)
    if holder is not process.pid:
        world.monitors.append(Watched(monitor(name), process.pid, holder))


def demonitor_(world: World, process: Process) -> None:
    mine = [entry for entry in world.monitors if entry.watcher is process.pid and not entry.removed]
    if mine:
        entry = world.chance.choice(mine)
        flush = world.chance.random() < 0.5
        entry.removed = demonitor(entry.ref, flush=flush)
        entry.flushed = entry.flushed or (flush and not entry.removed)


def trap_exit_(world: World, process: Process) -> None:
    trap_exit(world.chance.random() < 0.5)


# -- messages, names, timers ---------------------------------------------------------------------


def send_(world: World, process: Process) -> None:
    send(anyone(world), "junk")


def cast_(world: World, process: Process) -> None:
    cast(anyone(world), "junk")


def request_(world: World, process: Process) -> None:
    request = send_request(anyone(world), "question")
    if world.chance.random() < 0.3:
        request.abandon()


def register_(world: World, process: Process) -> None:
    register(world.chance.choice(NAMES), process.pid)


def unregister_(world: World, process: Process) -> None:
    unregister(world.chance.choice(NAMES))


def enter(world: World, process: Process) -> None:
    world.chance.choice((REGISTRY, TOPICS)).register(world.chance.choice(KEYS))


def leave(world: World, process: Process) -> None:
    world.chance.choice((REGISTRY, TOPICS)).unregister(world.chance.choice(KEYS))


def timer(world: World, process: Process) -> None:
    start = world.chance.choice((send_after, start_timer))
    ref = start(world.chance.random() * 90, anyone(world), "tick")
    if world.chance.random() < 0.3:
        cancel_timer(ref)


def asend(world: World, process: Process) -> None:
    """A client that waits for room."""
    pid = anyone(world)

    async def act() -> None:
        with trio.move_on_after(5.0):
            await world.ask(f"asend {pid!r}", lambda: pid.asend("junk"))

    spawn(act)


def flood(world: World, process: Process) -> None:
    """More than a bounded mailbox holds."""
    pid = anyone(world)
    for _ in range(5):
        pid.send("junk")


def send_by_name(world: World, process: Process) -> None:
    send(world.chance.choice(NAMES), "junk")


# -- ends ----------------------------------------------------------------------------------------


def exit_(world: World, process: Process) -> None:
    pid = process.parent if world.chance.random() < 0.1 else anyone(world)
    if pid is not world.node.main.pid:
        pid.exit(world.chance.choice(REASONS))


def strike(world: World, process: Process) -> None:
    pid = anyone(world)
    if pid is not world.node.main.pid:
        pid.exit(KILL)


def give_up(world: World, process: Process) -> None:
    reason = world.chance.choice((NORMAL, SHUTDOWN, "enough", None))

    async def act() -> None:
        if reason is None:
            raise Boom("told to crash")
        raise ProcessExit(reason)

    process.pid.send(Order(act))


def group_failure(world: World, process: Process) -> None:
    """An exception out of a nursery of the process's own."""

    async def fail() -> None:
        await trio.sleep(world.chance.random())
        raise ProcessExit("from a nursery")

    async def act() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)

    process.pid.send(Order(act))


# -- all of them ---------------------------------------------------------------------------------

OPERATIONS: dict[Operation, int] = {  # operation -> weight
    spawn_: 6,
    spawn_link_: 6,
    spawn_monitor_: 4,
    link_: 8,
    unlink_: 6,
    monitor_: 12,
    demonitor_: 6,
    trap_exit_: 4,
    send_: 6,
    cast_: 6,
    request_: 8,
    register_: 4,
    unregister_: 2,
    enter: 6,
    leave: 3,
    timer: 5,
    send_by_name: 3,
    asend: 2,
    flood: 2,
    exit_: 6,
    strike: 4,
    give_up: 5,
    group_failure: 1,
    ask: 14,
    stop_: 2,
    start_server: 5,
    wait_for_tasks: 3,
    supervised_task: 2,
    taste: 2,
    start_child: 8,
    administer: 5,
    terminate_dynamic_child: 2,
    stop_supervisor: 1,
    monitor_by_name: 4,
    lock: 4,
    join: 4,
    leave_group: 2,
    watch_group: 2,
    notified_task: 4,
    add_handler: 4,
    notify: 5,
    use_handler: 3,
    ask_partition: 4,
    resize: 2,
    start_application: 2,
    stop_application: 1,
}
_ALL = tuple(OPERATIONS)
_WEIGHTS = tuple(OPERATIONS.values())
_ENDS = (exit_, strike, give_up)


def operate(world: World) -> str:
    """Do one random operation as a random process; its name. What is refused is refused."""
    crowded = len(world.node.processes) > CROWD and world.chance.random() < 0.5
    operation = world.chance.choice(_ENDS) if crowded else world.chance.choices(_ALL, _WEIGHTS)[0]
    process = inhabitant(world) or world.node.main
    if process is world.node.main:
        operation = start_child if operation not in (spawn_, start_child) else operation
    world.trail.append((operation.__name__, process.pid))
    token = current.set(process)
    try:
        operation(world, process)
    except REFUSALS:
        pass
    finally:
        current.reset(token)
    return operation.__name__
