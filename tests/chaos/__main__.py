"""A million random operations without a leaked task, a lost DOWN or an unhandled exception.

    python -m tests.chaos --operations 1000000 --seed 1

CI takes its seed from the commit, and runs a part with one that is always the same.

The run is cut into episodes, each a node of its own with a seed of its own. A failure prints the command that repeats
just that episode, which does exactly the same again.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

import structlog
import trio

from actors import KILL, SHUTDOWN, current_node
from actors.gen_server import UndefinedCallbackError
from actors.testing import run_deterministic, wait_settled
from supervisors.chaos import Watch
from tests.chaos.operations import OPERATIONS, operate
from tests.chaos.trees import plant
from tests.chaos.world import LONGEST, Boom, World

__all__ = ("OPERATIONS", "Boom", "Reports", "World", "main", "operate", "report", "run_episode")

EPISODE = 2_000  # operations
EPISODES_PER_SEED = 1_000_000  # so that no two runs share an episode

FAULTS = frozenset(
    {
        "death listener failed",
        "debug hook removed",
        "killed process does not end",
        "telemetry handler failed",
    }
)


class Reports:
    """What the runtime logs. An exception that nobody injected, or a fault of the runtime's own, is kept."""

    def __init__(self) -> None:
        self.unexpected: list[str] = []

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        error = event.get("exc_info")
        if event["event"] in FAULTS:
            self.unexpected.append(repr(event))
        elif isinstance(error, BaseException) and not _only_booms(error):
            self.unexpected.append("".join(traceback.format_exception(error)))
        raise structlog.DropEvent


def _only_booms(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_only_booms, error.exceptions))
    return isinstance(error, Boom | UndefinedCallbackError)  # a registry that was sent junk


async def episode(chance: random.Random, operations: int, done: Counter[str]) -> None:
    """One node: operations in small bursts, a look after each; then the end of everything."""
    node = current_node()
    node.main.trap_exit = True
    world = World(node, chance, Watch(node))
    try:
        await live(world, operations, done)
        await end(world)
    except BaseException:
        last = (f"{operation} as {pid!r}" for operation, pid in world.trail)
        print("last operations:", *last, sep="\n  ", file=sys.stderr)
        raise


async def live(world: World, operations: int, done: Counter[str]) -> None:
    left, bursts = operations, 0
    while left:
        await plant(world)
        burst = min(left, world.chance.choice((1, 2, 5, 20, 40)))
        for _ in range(burst):
            done[operate(world)] += 1
            if world.chance.random() < 0.1:
                await trio.lowlevel.checkpoint()
        left -= burst
        bursts += 1
        await wait_settled()
        if bursts % 8 == 0:
            await world.settle(patience=world.chance.choice((0.0, 1.0, 60.0)))


async def end(world: World) -> None:
    """Everybody ends, and nothing is left."""
    node = world.node
    await world.settle(patience=LONGEST + 60.0)
    assert not world.waiting, f"requests that never ended: {world.waiting}"
    if world.root is not None and world.root.is_alive():
        await world.root.stop(SHUTDOWN)
        world.stopped[world.root] = None
    for process in list(node.processes.values()):
        if process is not node.main:
            process.receive_exit(node.main.pid, KILL, linked=False)
    await world.settle(patience=LONGEST)
    left = [process for process in node.processes.values() if process is not node.main]
    assert not left, f"processes that outlive their kill: {left}"
    assert not node.names, f"names of the dead: {node.names}"
    assert not len(node.deadlines), f"{len(node.deadlines)} deadlines of the dead"
    assert node.statistics().zombies == 0, "a process did not unwind"
    node.main.mailbox.clear()


def run_episode(seed: int, number: int, operations: int, done: Counter[str]) -> None:
    """Raises whatever went wrong."""
    reports = Reports()
    structlog.configure(processors=[reports])
    own = seed * EPISODES_PER_SEED + number
    run_deterministic(episode, random.Random(own), operations, done, seed=own)
    assert not reports.unexpected, "unhandled: " + "\n".join(reports.unexpected)


def attempt(seed: int, number: int) -> Counter[str] | str:
    """What was done in one episode, or what went wrong. Runs in an OS process of a pool."""
    done: Counter[str] = Counter()
    try:
        run_episode(seed, number, EPISODE, done)
    except Exception:
        return traceback.format_exc()
    return done


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 if nothing was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one each time")
    parser.add_argument("--episode", type=int, default=None, help="only this one, all of it")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="OS processes (default: one per core)"
    )
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    episodes = range((options.operations + EPISODE - 1) // EPISODE)
    if options.episode is not None:
        episodes = range(options.episode, options.episode + 1)
    print(f"seed {seed}: {len(episodes)} episodes of {EPISODE} operations", flush=True)
    with ProcessPoolExecutor(min(options.jobs, len(episodes))) as pool:
        try:
            return report(seed, episodes, pool.map(attempt, repeat(seed), episodes))
        finally:
            pool.shutdown(cancel_futures=True)


def report(seed: int, episodes: range, outcomes: Iterable[Counter[str] | str]) -> int:
    """Print how it goes; the exit code."""
    done: Counter[str] = Counter()
    began = time.monotonic()
    for number, outcome in zip(episodes, outcomes, strict=True):
        if isinstance(outcome, str):
            print(outcome, file=sys.stderr)
            print(
                f"broken; again: python -m tests.chaos --seed {seed} --episode {number}",
                file=sys.stderr,
            )
            return 1
        done += outcome
        if (number + 1) % 50 == 0:
            print(f"{done.total():>9} operations, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{done.total()} operations in {time.monotonic() - began:.0f} s: nothing was broken")
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
