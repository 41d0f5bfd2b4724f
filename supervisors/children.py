"""The children of one supervisor in start order: the book it keeps.

Pure data. A child is *running* (it has a pid), *restarting* (it failed and the supervisor is trying
to start it again) or *stopped* (neither; OTP's pid `undefined`). Everything but the walks over a
whole tail is O(1), so a supervisor of thousands of children starts and stops in linear time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import attrs

from actors.pid import Pid
from supervisors.child_spec import ChildSpec, ChildType, Restart, without_arguments
from supervisors.exceptions import InvalidSpecError

__all__ = ("RESTARTING", "Child", "ChildCount", "ChildInfo", "Children", "Restarting")


class Restarting:
    """The type of `RESTARTING`, which stands where the pid of a child would."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "RESTARTING"


RESTARTING = Restarting()


@attrs.define(eq=False, slots=True)
class Child:
    """One row. Only `Children` changes it, so that the index by pid stays true."""

    spec: ChildSpec
    pid: Pid | None = None
    restarting: bool = False
    ignored: bool = False
    """Its last start said `Ignore()`: it is stopped, and nobody is to start it again."""

    @property
    def id(self) -> Hashable:
        """The id from the specification."""
        return self.spec.id

    @property
    def stopped(self) -> bool:
        """Neither running nor about to be started again."""
        return self.pid is None and not self.restarting


@attrs.frozen
class ChildInfo:
    """What `which_children` says of one child. `pid` is None for a stopped one."""

    id: Hashable
    pid: Pid | Restarting | None
    type: ChildType


@attrs.frozen
class ChildCount:
    """What `count_children` says: rows, those running, and rows by type, running or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


class Children:
    """The child table of a static supervisor. Owned by the supervisor's process."""

    __slots__ = ("_by_id", "_by_pid")

    def __init__(self) -> None:
        self._by_id: dict[Hashable, Child] = {}  # in start order
        self._by_pid: dict[Pid, Child] = {}  # the running ones

    def __repr__(self) -> str:
        return f"<Children {len(self._by_id)} specified, {len(self._by_pid)} running>"

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._by_id.values())

    def __reversed__(self) -> Iterator[Child]:
        return reversed(self._by_id.values())

    def by_id(self, id: Hashable) -> Child | None:
        """The row with this id. What cannot be an id is nobody's."""
        try:
            return self._by_id.get(id)
        except Exception:  # it has no hash, or whatever else its class raises for it
            return None

    def by_pid(self, pid: Pid) -> Child | None:
        """The row whose process this is."""
        return self._by_pid.get(pid)

    def find(self, id_or_pid: Hashable) -> Child | None:
        """The row with this id, or else the one whose process this is."""
        child = self.by_id(id_or_pid)
        if child is None and isinstance(id_or_pid, Pid):
            child = self._by_pid.get(id_or_pid)
        return child

    def add(self, spec: ChildSpec) -> Child:
        """Append a stopped child. Raises `InvalidSpecError` when the id is taken."""
        if spec.id in self._by_id:
            raise InvalidSpecError("duplicate_child_name", spec.id, "ids that differ")
        child = self._by_id[spec.id] = Child(spec)
        return child

    def set_running(self, child: Child, pid: Pid) -> None:
        """`child` runs as `pid`."""
        self._forget_pid(child)
        child.pid = pid
        child.restarting = child.ignored = False
        self._by_pid[pid] = child
        if child.spec.restart is Restart.TEMPORARY:
            child.spec = without_arguments(child.spec)

    def set_restarting(self, child: Child) -> None:
        """`child` does not run and an attempt to start it will come."""
        self._forget_pid(child)
        child.restarting = True

    def set_stopped(self, child: Child) -> None:
        """`child` does not run; nobody will start it. A temporary child is forgotten (S8, S27)."""
        self._forget_pid(child)
        child.restarting = False
        if child.spec.restart is Restart.TEMPORARY:
            self.remove(child)

    def set_ignored(self, child: Child) -> None:
        """`child` does not want to run (S6, S16)."""
        self.set_stopped(child)
        child.ignored = True

    def remove(self, child: Child) -> None:
        """Forget `child`."""
        self._forget_pid(child)
        self._by_id.pop(child.spec.id, None)

    def started_after(self, child: Child) -> list[Child]:
        """The rows behind `child`, newest first."""
        newer: list[Child] = []
        for other in reversed(self._by_id.values()):
            if other is child:
                break
            newer.append(other)
        return newer

    def describe(self, child: Child) -> ChildInfo:
        """`child` as `which_children` shows it."""
        pid = RESTARTING if child.restarting else child.pid
        return ChildInfo(child.spec.id, pid, child.spec.type)

    def which(self) -> list[ChildInfo]:
        """All children, newest first (S30)."""
        return [self.describe(child) for child in reversed(self._by_id.values())]

    def count(self) -> ChildCount:
        """All children in numbers (S30)."""
        specs = len(self._by_id)
        supervisors = sum(child.spec.type is ChildType.SUPERVISOR for child in self._by_id.values())
        return ChildCount(specs, len(self._by_pid), supervisors, specs - supervisors)

    def _forget_pid(self, child: Child) -> None:
        if child.pid is not None:
            self._by_pid.pop(child.pid, None)
            child.pid = None
