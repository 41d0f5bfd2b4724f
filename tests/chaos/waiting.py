"""Operations that wait for something: put to a process as an order, or to a client spawned for them."""

from __future__ import annotations

import trio

from actors import SHUTDOWN, Task, call, spawn, stop
from actors.process import Process
from supervisors import ChildSpec, DynamicSupervisor, Supervisor, TaskSupervisor
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.partition_supervisor import PartitionSupervisorServer
from supervisors.supervisor_server import SupervisorServer
from tests.chaos.choosing import anyone, supervisors
from tests.chaos.inhabitants import Flow, Mind, Taster
from tests.chaos.trees import random_supervisor, random_worker
from tests.chaos.world import Boom, World, order

# -- requests that wait --------------------------------------------------------------------------


def ask(world: World, process: Process) -> None:
    """A call, by a process of its own or in the middle of another's work; some have no patience."""
    server = anyone(world)
    patience = world.chance.choice((0.5, 5.0, 5.0))
    hurry = world.chance.choice((None, None, 0.2))

    async def act() -> None:
        with trio.move_on_after(hurry if hurry is not None else 1_000):
            await world.ask(f"call {server!r}", lambda: call(server, "question", patience))

    order(world, process, act)


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

    order(world, process, act)


def wait_for_tasks(world: World, process: Process) -> None:
    async def work() -> str:
        await trio.sleep(world.chance.random() * 3)
        return "done"

    async def act() -> None:
        task = Task.async_link(work)
        await world.ask("task", lambda: task.wait(2.0))

    order(world, process, act)


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

    order(world, process, act)


def taste(world: World, process: Process) -> None:
    """A consumer for a flow, if there is one."""
    flows = [p.pid for p in world.node.processes.values() if isinstance(p.server, Flow)]
    if flows:
        flow, cancel = world.chance.choice(flows), world.chance.choice(("permanent", "temporary"))

        async def act() -> None:
            await world.ask("taste", lambda: Taster.start(flow, cancel))

        spawn(act)


# -- supervisors ---------------------------------------------------------------------------------


def _fixed(world: World) -> list[Process]:
    """The static supervisors. Nobody adds or removes partitions by hand."""
    found = supervisors(world, SupervisorServer)
    return [s for s in found if not isinstance(s.server, PartitionSupervisorServer)]


def start_child(world: World, process: Process) -> None:
    fixed, dynamic = _fixed(world), supervisors(world, DynamicSupervisorServer)
    if not fixed + dynamic:
        return
    target = world.chance.choice(fixed + dynamic)
    nested = world.chance.random() < 0.2
    significant = world.chance.random() < 0.1  # refused where nobody ends with such a child
    spec = random_supervisor(world, 1) if nested else random_worker(world, significant=significant)
    start = DynamicSupervisor.start_child if target in dynamic else Supervisor.start_child

    async def act() -> None:
        await world.ask(f"start_child {target.pid!r}", lambda: start(target.pid, spec))

    spawn(act)


def administer(world: World, process: Process) -> None:
    """`terminate_child`, `restart_child` or `delete_child` of a static supervisor."""
    fixed = [s for s in _fixed(world) if len(s.server._children)]
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
            world.touched.add(target.pid)
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
