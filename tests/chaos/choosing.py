"""Who does it, and to whom: the dice of the chaos run."""

from __future__ import annotations

from typing import Any

from actors import Pid
from actors.exits import ALIVE
from actors.process import Process
from tests.chaos.world import World

# -- choosing ------------------------------------------------------------------------------------


INHABITANTS = frozenset({"Mind", "obey", "obey_trapping"})


def inhabitant(world: World) -> Process | None:
    """Somebody who may be told what to do."""
    everybody = list(world.node.processes.values())
    for _ in range(8):
        process = world.chance.choice(everybody)
        if process.label in INHABITANTS and process.exit_reason is ALIVE:
            return process
    return None


def anyone(world: World) -> Pid:
    """Somebody, perhaps dead, perhaps main."""
    if world.monitors and world.chance.random() < 0.05:
        watched = world.chance.choice(world.monitors).watched
        if watched is not None:
            return watched
    return world.chance.choice(list(world.node.processes))


def somebody(world: World, but: Process) -> Pid | None:
    """Somebody who is no relative of `but`, nor main: relatives keep their links (see `unlink_`)."""
    pid = anyone(world)
    return None if pid in (but.pid, world.node.main.pid) else pid


def supervisors(world: World, kind: type[Any]) -> list[Process]:
    return [p for p in world.node.processes.values() if isinstance(p.server, kind) and p.alive]
