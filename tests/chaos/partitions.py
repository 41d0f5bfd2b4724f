"""Partition supervisors in the chaos run. Promise: a key meets one of the partitions that are in use, or nobody."""

from __future__ import annotations

from collections.abc import Iterator

from actors import call, cast, spawn
from actors.process import Process
from supervisors import PartitionSupervisor
from supervisors.partition_supervisor import PartitionSupervisorServer
from tests.chaos.choosing import supervisors
from tests.chaos.world import KEYS, World, order

__all__ = ("Partitions", "ask_partition", "resize")


class Partitions:
    """What partition supervisors promise."""

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        for process in supervisors(world, PartitionSupervisorServer):
            server: PartitionSupervisorServer = process.server
            rows = {child.id: child.pid for child in server._children}
            if not process.at_rest:
                continue  # it is busy; look again later
            if not 0 <= server.partitions <= len(rows):
                yield f"{process.pid!r} uses {server.partitions} of {len(rows)} partitions"
            if server.partitions and process.name is not None:
                in_use = [rows[number] for number in range(server.partitions)]
                for key in (*KEYS, 0, 1, 2, 7):
                    name = PartitionSupervisor.via(process.name, key)
                    pid = name.registry.whereis_name(key)
                    if pid not in in_use or (pid and not isinstance(pid.target, Process)):
                        yield f"{key!r} meets {pid!r} at {process.pid!r}, of {in_use}"


def ask_partition(world: World, process: Process) -> None:
    """Call or cast to a partition by a key."""
    name = _name(world)
    if name is None:
        return
    partition = PartitionSupervisor.via(name, world.chance.choice((*KEYS, 1, 2, 3)))

    async def ask() -> None:
        try:
            await call(partition, "question", 5.0)
        except LookupError:
            """There is none in use, or nobody."""

    async def act() -> None:
        await world.ask(f"call {name}", ask)

    if world.chance.random() < 0.3:
        try:
            cast(partition, "junk")
        except LookupError:
            """There is none in use."""
    else:
        order(world, process, act)


def resize(world: World, process: Process) -> None:
    """Another number of partitions."""
    name, partitions = _name(world), world.chance.randint(0, 3)
    if name is None:
        return

    async def act() -> None:
        await world.ask(f"resize {name}", lambda: PartitionSupervisor.resize(name, partitions))

    spawn(act)


def _name(world: World) -> str | None:
    found = [p.name for p in supervisors(world, PartitionSupervisorServer) if p.name is not None]
    return world.chance.choice(found) if found else None
