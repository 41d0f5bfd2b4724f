"""The fence around zombies: processes that were killed, do not unwind and were declared dead (K1).

Their code still runs, in a shielded block or because it swallows its cancellation, and holds pids.
What it sends must reach nobody. To ask of each sender whether it lives would cost every message of
every process; so Trio tells instead, by an instrument that is there only while there are zombies,
before each step of each task, and `Pid` looks at one flag of the node.
"""

from __future__ import annotations

from typing import Protocol

import trio

from actors.context import current
from actors.process import Process

__all__ = ("Fence",)


class Fenced(Protocol):
    """What the fence surrounds: a node."""

    fenced: bool
    """Does the step that is being taken belong to a zombie?"""


class Fence(trio.abc.Instrument):
    """The zombies of one node, as long as they are there."""

    def __init__(self, node: Fenced) -> None:
        self._node = node
        self._zombies: set[Process] = set()

    def __len__(self) -> int:
        return len(self._zombies)

    def add(self, zombie: Process) -> None:
        """From now on what `zombie` sends is ignored."""
        if not self._zombies:
            trio.lowlevel.add_instrument(self)
        self._zombies.add(zombie)

    def remove(self, process: Process) -> None:
        """It has unwound at last, if it was a zombie at all."""
        if process not in self._zombies:
            return
        self._zombies.remove(process)
        if not self._zombies:
            trio.lowlevel.remove_instrument(self)
            self._node.fenced = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Trio is about to run `task`, which may be a helper in a nursery of a zombie too."""
        if task.context.get(current) in self._zombies:
            self._node.fenced = True

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It has."""
        self._node.fenced = False
