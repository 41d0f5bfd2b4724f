"""Process groups in the chaos run. Promises: the dead are no members, and who watches a group knows its members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

from actors import GroupJoined, GroupLeft, GroupMonitor, NoProcessError, Pid, whereis
from actors.process import Process
from tests.chaos.choosing import anyone
from tests.chaos.world import GROUPS, KEYS, World

__all__ = ("Groups", "join", "leave_group", "watch_group")


@attrs.define(eq=False)
class View:
    """What one monitor was told."""

    watcher: Pid
    scope: Pid | None
    group: Any
    members: Counter[Pid]


class Groups:
    """The views of all monitors."""

    def __init__(self) -> None:
        self.views: dict[GroupMonitor, View] = {}
        self.broken: list[str] = []

    def took(self, message: Any) -> None:
        """A process was handed a message."""
        if isinstance(message, GroupJoined | GroupLeft) and message.monitor in self.views:
            view, change = self.views[message.monitor], Counter(message.pids)
            if isinstance(message, GroupJoined):
                view.members += change
            else:
                if change - view.members:
                    self.broken.append(f"{message!r}, but not all were members")
                view.members -= change

    def watch(self, watcher: Process, group: Any) -> None:
        """Let a process, which is the calling one, watch a group."""
        monitor, members = GROUPS.monitor(group)
        scope = whereis(GROUPS.name)
        self.views[monitor] = View(watcher.pid, scope, group, Counter(members))

    def check(self, world: World) -> Iterator[str]:
        """What is broken."""
        yield from self.broken
        self.broken.clear()
        scope = whereis(GROUPS.name)
        self.views = {
            monitor: view
            for monitor, view in self.views.items()
            if isinstance(view.watcher.target, Process) and view.scope is scope
        }
        with suppress(NoProcessError):  # the scope itself is away
            for group in GROUPS.groups():
                for pid in GROUPS.members(group):
                    if not isinstance(pid.target, Process):
                        yield f"{pid!r} is a member of {group!r}, and dead"
            for view in self.views.values():
                watcher = view.watcher.target
                if not (isinstance(watcher, Process) and watcher.alive and watcher.at_rest):
                    continue  # it is busy; look again later
                if view.members != Counter(GROUPS.members(view.group)):
                    yield f"{view!r}, but there are {GROUPS.members(view.group)}"


def join(world: World, process: Process) -> None:
    """One or two join a group."""
    pids = [anyone(world) for _ in range(world.chance.choice((1, 1, 2)))]
    GROUPS.join(world.chance.choice(KEYS), pids)


def leave_group(world: World, process: Process) -> None:
    """A member leaves a group, if there is one."""
    group = world.chance.choice(KEYS)
    members = GROUPS.members(group)
    if members:
        GROUPS.leave(group, world.chance.choice(members))


def watch_group(world: World, process: Process) -> None:
    """Watch a group from now on, or stop to watch one."""
    groups = world.book(Groups)
    mine = [monitor for monitor, view in groups.views.items() if view.watcher is process.pid]
    if mine and world.chance.random() < 0.5:
        GROUPS.demonitor(mine[0])
        del groups.views[mine[0]]
    else:
        groups.watch(process, world.chance.choice(KEYS))
