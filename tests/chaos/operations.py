"""What can happen in the world of the chaos run. Each function is one operation, done as some process.

Synchronous ones act at once, in the name of the process; the others are put to the process as an order, or to a
client that is spawned for it, and take as long as they take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import trio

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    ActorsError,
    Bounded,
    NameTakenError,
    Overflow,
    Pid,
    ProcessExit,
    Shutdown,
    Task,
    call,
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
    stop,
    trap_exit,
    unlink,
    unregister,
)
from actors.context import current
from actors.process import Process
from supervisors import ChildSpec, DynamicSupervisor, Supervisor, SupervisorsError, TaskSupervisor
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.supervisor_server import SupervisorServer
from tests.chaos.inhabitants import Flow, Taster
from tests.chaos.world import (
    KEYS,
    NAMES,
    REGISTRY,
    TOPICS,
    Boom,
    Mind,
    Order,
    Watched,
    World,
    obey,
    obey_trapping,
    random_supervisor,
    random_worker,
)

__all__ = ("OPERATIONS", "operate")

Operation: TypeAlias = Callable[[World, Process], Any]

CROWD = 60  # processes; above that, operations that end some are preferred
REASONS = (KILL, KILL, SHUTDOWN, NORMAL, Shutdown("detail"), "odd")
REFUSALS = (ActorsError, SupervisorsError, ProcessExit, NameTakenError)


# -- choosing ------------------------------------------------------------------------------------


INHABITANTS = frozenset({"Mind", "obey", "obey_trapping"})


def inhabitant(world: World) -> Process | None:
    """Somebody who may be told what to do."""
    everybody = list(world.node.processes.values())
    for _ in range(8):
        process = world.chance.choice(everybody)
        if process.label in INHABITANTS and process.exit_reason is None:
            return process
    return None


def anyone(world: World) -> Pid:
    """Somebody, perhaps dead, perhaps main."""
    if world.monitors and world.chance.random() < 0.05:
        return world.chance.choice(world.monitors).watched
    return world.chance.choice(list(world.node.processes))


def somebody(world: World, but: Process) -> Pid | None:
    """Somebody who is no relative of `but`, nor main: relatives keep their links (see `unlink_`)."""
    pid = anyone(world)
    return None if pid in (but.pid, world.node.main.pid) else pid


def supervisors(world: World, kind: type[Any]) -> list[Process]:
    return [p for p in world.node.processes.values() if isinstance(p.server, kind) and p.alive]


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
        if pid is not process.parent and not _is_child(pid, process)
    ]
    if others:
        unlink(world.chance.choice(others), flush=world.chance.random() < 0.5)


def _is_child(pid: Pid, process: Process) -> bool:
    return isinstance(pid.target, Process) and pid.target.parent is process.pid


def monitor_(world: World, process: Process) -> None:
    other = somebody(world, process)
    if other is not None:
        world.monitors.append(Watched(monitor(other), process.pid, other))


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


# -- requests that wait --------------------------------------------------------------------------


def ask(world: World, process: Process) -> None:
    """A call, by a process of its own or in the middle of another's work; some have no patience."""
    server = anyone(world)
    patience = world.chance.choice((0.5, 5.0, 5.0))
    hurry = world.chance.choice((None, None, 0.2))

    async def act() -> None:
        with trio.move_on_after(hurry if hurry is not None else 1_000):
            await world.ask(f"call {server!r}", lambda: call(server, "question", patience))

    _put(world, process, act)


def stop_(world: World, process: Process) -> None:
    server = anyone(world)
    target = server.target
    if server is world.node.main.pid or not isinstance(target, Process) or target is process:
        return

    async def act() -> None:
        await world.ask(f"stop {server!r}", lambda: stop(server, SHUTDOWN, 30.0))

    spawn(act)


def start_server(world: World, process: Process) -> None:
    start = world.chance.choice((Mind.start, Mind.start_link))
    timeout = world.chance.choice((None, 0.5))

    async def act() -> None:
        await world.ask("start", lambda: start(world, timeout=timeout))

    _put(world, process, act)


def wait_for_tasks(world: World, process: Process) -> None:
    async def work() -> str:
        await trio.sleep(world.chance.random() * 3)
        return "done"

    async def act() -> None:
        task = Task.async_link(work)
        await world.ask("task", lambda: task.wait(2.0))

    _put(world, process, act)


def supervised_task(world: World, process: Process) -> None:
    """A task of a TaskSupervisor, linked to who waits for it or not."""
    found = [s for s in supervisors(world, DynamicSupervisorServer) if s.label == "TaskSupervisor"]
    if not found:
        return
    supervisor = world.chance.choice(found).pid
    start = world.chance.choice((TaskSupervisor.async_link, TaskSupervisor.async_nolink))

    async def work() -> None:
        await trio.sleep(world.chance.random() * 3)
        if world.chance.random() < 0.3:
            raise Boom("in a task")

    async def wait() -> None:
        task = await start(supervisor, work)
        await task.wait(2.0)

    async def act() -> None:
        await world.ask("supervised task", wait)

    _put(world, process, act)


def taste(world: World, process: Process) -> None:
    """A consumer for a flow, if there is one."""
    flows = [p.pid for p in world.node.processes.values() if isinstance(p.server, Flow)]
    if flows:
        flow, cancel = world.chance.choice(flows), world.chance.choice(("permanent", "temporary"))

        async def act() -> None:
            await world.ask("taste", lambda: Taster.start(flow, cancel))

        spawn(act)


def _put(world: World, process: Process, act: Callable[[], Awaitable[Any]]) -> None:
    if world.chance.random() < 0.5:
        process.pid.send(Order(act))
    else:
        spawn(act)


# -- supervisors ---------------------------------------------------------------------------------


def start_child(world: World, process: Process) -> None:
    fixed, dynamic = (
        supervisors(world, SupervisorServer),
        supervisors(world, DynamicSupervisorServer),
    )
    if not fixed + dynamic:
        return
    target = world.chance.choice(fixed + dynamic)
    nested = world.chance.random() < 0.2
    spec = random_supervisor(world, 1) if nested else random_worker(world)
    start = DynamicSupervisor.start_child if target in dynamic else Supervisor.start_child

    async def act() -> None:
        await world.ask(f"start_child {target.pid!r}", lambda: start(target.pid, spec))

    spawn(act)


def administer(world: World, process: Process) -> None:
    """`terminate_child`, `restart_child` or `delete_child` of a static supervisor."""
    fixed = [s for s in supervisors(world, SupervisorServer) if len(s.server._children)]
    if not fixed:
        return
    target = world.chance.choice(fixed)
    spec: ChildSpec = world.chance.choice(list(target.server._children)).spec
    verb = world.chance.choice(
        (Supervisor.terminate_child, Supervisor.restart_child, Supervisor.delete_child)
    )

    def excuse() -> None:
        # Those that were to be started behind a child that was being retried stay away with it, as in OTP.
        if verb is Supervisor.terminate_child and target.server is not None:
            world.by_hand.update((target.pid, child.id) for child in target.server._children)

    async def act() -> None:
        excuse()
        await world.ask(f"{verb.__name__} {target.pid!r}", lambda: verb(target.pid, spec.id))
        excuse()

    spawn(act)


def terminate_dynamic_child(world: World, process: Process) -> None:
    dynamic = [s for s in supervisors(world, DynamicSupervisorServer) if s.server._running]
    if not dynamic:
        return
    target = world.chance.choice(dynamic)
    child = world.chance.choice(list(target.server._running))

    async def act() -> None:
        await world.ask(
            "terminate_child", lambda: DynamicSupervisor.terminate_child(target.pid, child)
        )

    spawn(act)


def stop_supervisor(world: World, process: Process) -> None:
    found = supervisors(world, SupervisorServer) + supervisors(world, DynamicSupervisorServer)
    if not found:
        return
    pid = world.chance.choice(found).pid

    async def stop_it() -> None:
        try:
            await stop(pid)
        finally:
            if not isinstance(pid.target, Process):
                world.stopped[pid] = None

    async def act() -> None:
        await world.ask(f"stop {pid!r}", stop_it)

    spawn(act)


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
