"""`ProcessGroups`: processes by the groups they have joined (OTP: a scope of `pg`).

    WORKERS = ProcessGroups("workers")               # a value; it may stand at module level
    Supervisor children: [WORKERS, ...]              # the process that owns the table
    WORKERS.join("resizers", pid)
    for pid in WORKERS.members("resizers"): ...

A group is any hashable value and is there while it has members. A process may join a group several
times and has to leave it as often. Everything is synchronous and works in place, so unlike `pg`
there is no moment at which the dead are still members: they leave in their death procedure, before
any DOWN. The table belongs to a process (`table_owner.py`); when that ends the memberships are lost
and the members live on (PG1, PG2). For the time being a scope knows one node, its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final, TypeAlias

import attrs

from actors.messages import Promised
from actors.pid import Pid
from actors.process import Process, current_process
from actors.selective import NOTHING
from actors.table_owner import TableOwner, find_table

__all__ = ("GroupJoined", "GroupLeft", "GroupMonitor", "ProcessGroups")

Group: TypeAlias = Hashable

_ALL: Final = object()
"""What is watched by who watches all groups."""

_MEMBERS = "members of a group are given as a Pid, or as several Pids in a list"


class GroupMonitor:
    """One monitor of a group, or of all groups (OTP: the reference of `pg:monitor/2`)."""

    __slots__ = ("watcher",)

    def __init__(self, watcher: Pid) -> None:
        self.watcher = watcher


@attrs.frozen
class GroupJoined(Promised):
    """To a monitor: `pids` joined, one mention for each time."""

    monitor: GroupMonitor
    group: Any
    pids: tuple[Pid, ...]


@attrs.frozen
class GroupLeft(Promised):
    """To a monitor: `pids` left or ended, one mention for each time they had joined."""

    monitor: GroupMonitor
    group: Any
    pids: tuple[Pid, ...]


@attrs.frozen
class ProcessGroups:
    """The name of a scope, with the verbs. Two with the same name are the same scope.

    The verbs raise `NoProcessError` while the scope is not started.
    """

    name: str

    async def start_link(self) -> Pid:
        """Start the owner process, linked to the caller. Raises `AlreadyStartedError`."""
        return await TableOwner.start_link(_Scope(), name=self.name)

    def child_spec(self) -> dict[str, Any]:
        """How a supervisor starts it; `id` is the name."""
        return {"id": self.name, "start": (self.start_link, (), {})}

    def join(self, group: Group, pids: Pid | Iterable[Pid]) -> None:
        """Enter one process or several of this node; the dead are not entered.

        Raises `TypeError` for what is no pid and `ValueError` for one of another node; then nobody
        is entered.
        """
        here = current_process()  # raises in a zombie, which changes nothing any more (K1)
        self._scope.join(group, _several(pids, here))

    def leave(self, group: Group, pids: Pid | Iterable[Pid]) -> bool:
        """Undo one `join` of each; False if none of them was a member (OTP: `not_joined`).

        Raises as `join` does.
        """
        here = current_process()  # as above
        return self._scope.leave(group, _several(pids, here))

    def members(self, group: Group) -> list[Pid]:
        """Who is in the group, in the order of joining; one mention for each time (OTP:
        `get_members`).
        """
        return self._scope.members(group)

    def local_members(self, group: Group) -> list[Pid]:
        """The members on this node: all of them, so far."""
        return self.members(group)

    def groups(self) -> list[Group]:
        """The groups that have members (OTP: `which_groups`)."""
        return list(self._scope.groups)

    def monitor(self, group: Group) -> tuple[GroupMonitor, list[Pid]]:
        """Let the calling process get `GroupJoined` and `GroupLeft` of one group.

        Returns the members as they are now; nothing is lost or told twice between them and the
        messages.
        """
        return self._scope.monitor(current_process().pid, group)

    def monitor_scope(self) -> tuple[GroupMonitor, dict[Group, list[Pid]]]:
        """As `monitor`, for all groups."""
        return self._scope.monitor_all(current_process().pid)

    def demonitor(self, monitor: GroupMonitor) -> bool:
        """Undo `monitor` or `monitor_scope`; False if there is no such monitor any more.

        What it has told already and waits in the mailbox of the calling process is dropped.
        """
        watcher = current_process()  # as above
        found = self._scope.demonitor(monitor)
        if found and monitor.watcher is watcher.pid:
            _flush(watcher, monitor)
        return found

    @property
    def _scope(self) -> _Scope:
        return find_table(self.name, _Scope, self)


class _Scope:
    """The memberships and who watches them."""

    def __init__(self) -> None:
        self.groups: dict[Group, dict[Pid, int]] = {}  # group -> member -> times joined
        self._joined: dict[Pid, set[Group]] = {}
        self._monitors = _Monitors()

    def join(self, group: Group, pids: tuple[Pid, ...]) -> None:
        living = tuple(pid for pid in pids if pid.is_alive())
        for pid in living:
            members = self.groups.setdefault(group, {})
            members[pid] = members.get(pid, 0) + 1
            self._joined.setdefault(pid, set()).add(group)
        self._tell(GroupJoined, group, living)

    def leave(self, group: Group, pids: tuple[Pid, ...]) -> bool:
        left = tuple(pid for pid in pids if self._leave_once(group, pid))
        self._tell(GroupLeft, group, left)
        return bool(left)

    def members(self, group: Group) -> list[Pid]:
        members = self.groups.get(group, {})
        return [pid for pid, times in members.items() for _ in range(times)]

    def monitor(self, watcher: Pid, group: Group) -> tuple[GroupMonitor, list[Pid]]:
        return self._monitors.add(watcher, group), self.members(group)

    def monitor_all(self, watcher: Pid) -> tuple[GroupMonitor, dict[Group, list[Pid]]]:
        monitor = self._monitors.add(watcher, _ALL)
        return monitor, {group: self.members(group) for group in self.groups}

    def demonitor(self, monitor: GroupMonitor) -> bool:
        return self._monitors.remove(monitor)

    def process_ended(self, pid: Pid) -> None:
        self._monitors.remove_watcher(pid)
        left = [(group, self._leave_wholly(group, pid)) for group in self._joined.pop(pid, ())]
        for group, times in left:
            self._tell(GroupLeft, group, (pid,) * times)

    def close(self, owner: Pid, reason: Any) -> None:
        """The memberships are lost; nobody is told, and nobody dies of it (PG2)."""

    def _leave_once(self, group: Group, pid: Pid) -> bool:
        members = self.groups.get(group, {})
        if pid not in members:
            return False
        members[pid] -= 1
        if not members[pid]:
            del members[pid]
            self._joined[pid].discard(group)
            if not self._joined[pid]:
                del self._joined[pid]
        if not members:
            del self.groups[group]
        return True

    def _leave_wholly(self, group: Group, pid: Pid) -> int:
        """Remove an ended member; how often it had joined."""
        members = self.groups[group]
        times = members.pop(pid)
        if not members:
            del self.groups[group]
        return times

    def _tell(
        self, message: type[GroupJoined | GroupLeft], group: Group, pids: tuple[Pid, ...]
    ) -> None:
        if pids:
            for monitor in self._monitors.of(group):
                monitor.watcher.send(message(monitor, group, pids))


class _Monitors:
    """The monitors of one scope: by what they watch, by themselves and by their watchers, so that
    the end of a process costs what that process watches, and nothing if it watches nothing.
    """

    def __init__(self) -> None:
        self._by_watched: dict[object, dict[GroupMonitor, None]] = {}  # of a group, or of `_ALL`
        self._by_watcher: dict[Pid, dict[GroupMonitor, None]] = {}
        self._watched: dict[GroupMonitor, object] = {}

    def add(self, watcher: Pid, watched: object) -> GroupMonitor:
        monitor = GroupMonitor(watcher)
        self._by_watched.setdefault(watched, {})[monitor] = None
        self._by_watcher.setdefault(watcher, {})[monitor] = None
        self._watched[monitor] = watched
        return monitor

    def of(self, group: Group) -> tuple[GroupMonitor, ...]:
        """Those of the group, and then those of all groups, in the order of their making."""
        return (*self._by_watched.get(group, ()), *self._by_watched.get(_ALL, ()))

    def remove(self, monitor: GroupMonitor) -> bool:
        """Was it there?"""
        if monitor not in self._watched:
            return False
        _remove(self._by_watched, self._watched.pop(monitor), monitor)
        _remove(self._by_watcher, monitor.watcher, monitor)
        return True

    def remove_watcher(self, watcher: Pid) -> None:
        for monitor in tuple(self._by_watcher.get(watcher, ())):
            self.remove(monitor)


def _remove(index: dict[Any, dict[GroupMonitor, None]], key: object, monitor: GroupMonitor) -> None:
    """Take `monitor` out of an index, in which nothing empty stays."""
    monitors = index[key]
    del monitors[monitor]
    if not monitors:
        del index[key]


def _several(pids: Pid | Iterable[Pid], here: Process) -> tuple[Pid, ...]:
    several = (pids,) if isinstance(pids, Pid) else _listed(pids)
    for pid in several:
        if not isinstance(pid, Pid):
            raise TypeError(f"{_MEMBERS}; got {pid!r}")
        if pid.target.node is not here.node:  # nobody would remove it when it ends
            raise ValueError(f"{pid!r} is a process of another node, and a scope knows its own")
    return several


def _listed(pids: Iterable[Pid]) -> tuple[Pid, ...]:
    if isinstance(pids, str) or not isinstance(pids, Iterable):
        raise TypeError(f"{_MEMBERS}; got {pids!r}")
    return tuple(pids)


def _flush(watcher: Process, monitor: GroupMonitor) -> None:
    """Drop what `monitor` has told and nobody has read (`pg:demonitor` does too)."""

    def told(message: Any) -> bool:
        return isinstance(message, GroupJoined | GroupLeft) and message.monitor is monitor

    # By `memory` each search goes on where the last one has found something.
    while watcher.mailbox.find(told, memory=monitor) is not NOTHING:
        pass
