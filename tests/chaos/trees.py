"""The supervision trees of the chaos run, of any shape and temper."""

from __future__ import annotations

from actors import EventManager, StartError
from supervisors import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    PartitionSupervisor,
    Restart,
    Strategy,
    Supervisor,
    TaskSupervisor,
)
from tests.chaos.inhabitants import Flow, Mind, Moody
from tests.chaos.world import GROUPS, REGISTRY, TOPICS, World

__all__ = ("plant", "random_supervisor", "random_worker")


def random_worker(world: World, *, significant: bool = False) -> ChildSpec:
    """The specification of a worker of any temper."""
    chance = world.chance
    world.serial += 1
    return ChildSpec(
        world.serial,
        chance.choices(
            (
                (Mind.start_link, (world, chance.random() < 0.5), {}),
                (Moody.start_link, (chance,), {}),
                (Flow.start_link, (chance,), {}),
                (EventManager.start_link, (), {}),
            ),
            (8, 1, 1, 2),
        )[0],
        restart=Restart.TRANSIENT if significant else chance.choice(list(Restart)),
        significant=significant,
        shutdown=chance.choice((BRUTAL_KILL, 0.5, 5.0)),
        backoff=chance.choice((None, None, Backoff(base=0.5, cap=8.0))),
    )


def random_supervisor(world: World, depth: int) -> ChildSpec:
    """The specification of a supervisor with whatever below it."""
    chance = world.chance
    world.serial += 1
    fields = {
        "id": world.serial,
        "restart": chance.choice(list(Restart)),
        "shutdown": chance.choice((INFINITY, 20.0, BRUTAL_KILL)),
    }
    limit = chance.choice((1, 5, 1_000))
    throw = chance.random()
    if throw < 0.3:
        kind = chance.choice((DynamicSupervisor, DynamicSupervisor, TaskSupervisor))
        return ChildSpec.of(kind.child_spec(max_children=8, max_restarts=limit), **fields)
    if throw < 0.4:
        return ChildSpec.of(_partitioned(world, limit), **fields)
    mode = chance.choice((AutoShutdown.NEVER, AutoShutdown.NEVER, *AutoShutdown))
    children = []
    for _ in range(chance.randint(0, 3)):
        significant = mode is not AutoShutdown.NEVER and chance.random() < 0.5
        nested = depth and not significant and chance.random() < 0.4
        children.append(
            random_supervisor(world, depth - 1)
            if nested
            else random_worker(world, significant=significant)
        )
    spec = Supervisor.child_spec(
        children, strategy=chance.choice(list(Strategy)), max_restarts=limit, auto_shutdown=mode
    )
    return ChildSpec.of(spec, **fields)


def _partitioned(world: World, limit: int) -> dict[str, object]:
    template = random_worker(world)
    if world.chance.random() < 0.3:
        template = ChildSpec.of(DynamicSupervisor)
    return PartitionSupervisor.child_spec(
        child_spec=ChildSpec.of(template, restart=Restart.PERMANENT),
        name=f"partitions{world.serial}",
        partitions=3,
        strategy=world.chance.choice(list(Strategy)),
        max_restarts=limit,
    )


async def plant(world: World) -> None:
    """Start the tree of the world, if it has none that lives. Runs in the main process."""
    while world.root is None or not world.root.is_alive():
        services = [ChildSpec.of(REGISTRY), ChildSpec.of(TOPICS), ChildSpec.of(GROUPS)]
        trees = [random_supervisor(world, 2) for _ in range(3)]
        try:
            world.root = await Supervisor.start_link(
                [*services, *trees], max_restarts=30, name="root"
            )
        except StartError:  # a worker did not start, or the last tree is still ending
            await world.settle(patience=60.0)
