"""Fault injection: kill random processes of a tree and see whether supervision keeps its promises.

    watch = Watch(node)
    injector = FaultInjector(app, random.Random(seed))
    for _ in range(100):
        injector.strike()
        await settle_down()
        watch.check()

The promises, looked up in the books from outside, without asking anybody:

- no server outlives a parent that was a supervisor, so none is started by one that has stopped;
- a supervisor knows every server that it has started;
- a child that is specified as running does run, or is about to be restarted; a permanent one is
  back, or its supervisor is gone;
- a name is free before anybody hears of its holder's end;
- a process ends once;
- nobody who has ended still waits for an answer.

They hold for every program whose servers do not unlink themselves from their supervisors. A run
under `actors.testing.run_deterministic` with a seeded generator can be repeated exactly.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import trio

from actors import KILL, SHUTDOWN, Node, Pid, telemetry, whereis
from actors.kernel import Destination
from actors.process import Process
from actors.testing import wait_settled
from supervisors.child_spec import Restart
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.partition_supervisor import PartitionSupervisorServer
from supervisors.supervisor_server import SupervisorServer

__all__ = ("FaultInjector", "InvariantError", "Watch", "processes_below", "settle_down")

REASONS: Sequence[Any] = (KILL, KILL, SHUTDOWN, "fault")
"""With what a struck process is hit; half of it cannot be trapped."""


class InvariantError(AssertionError):
    """Supervision has broken a promise; `broken` has one line for each."""

    def __init__(self, broken: Sequence[str]) -> None:
        super().__init__("\n".join(broken))
        self.broken = tuple(broken)


async def settle_down(patience: float = 0.0) -> None:
    """Let everything happen that can, then, after `patience` seconds, again.

    `patience` is for what waits for a time limit: servers that stop slowly, calls, backoffs. Use a
    clock that jumps.
    """
    await wait_settled()
    if patience:
        await trio.sleep(patience)
        await wait_settled()


class FaultInjector:
    """Ends random processes below one supervisor. `chance` decides who and how."""

    def __init__(
        self,
        supervisor: Destination,
        chance: random.Random,
        *,
        reasons: Sequence[Any] = REASONS,
        spare_supervisors: bool = False,
    ) -> None:
        self._supervisor = supervisor
        self._chance = chance
        self._reasons = reasons
        self._spare = spare_supervisors
        self.struck: list[tuple[Pid, Any]] = []
        """Who was hit with what."""

    def strike(self) -> Pid | None:
        """Send one process below the supervisor an exit signal; who, or None if there is nobody."""
        root = whereis(self._supervisor)
        below = [] if root is None else list(processes_below(root))
        if self._spare:
            below = [process for process in below if not _is_supervisor(process)]
        if not below:
            return None
        target, reason = self._chance.choice(below), self._chance.choice(self._reasons)
        self.struck.append((target.pid, reason))
        target.receive_exit(target.parent, reason, linked=False)
        return target.pid


def processes_below(supervisor: Pid) -> Iterator[Process]:
    """The living processes in the books of a supervisor and of those below it, in start order."""
    target = supervisor.target
    if not isinstance(target, Process):
        return
    for _id, pid, _restart, _gone in _book(target):
        child = None if pid is None else pid.target
        if isinstance(child, Process):
            yield child
            yield from processes_below(child.pid)


class Watch:
    """Looks whether the promises hold, for all supervisors of the current node, from now on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._broken: list[str] = []
        self._ended: set[Pid] = set()
        self._living: dict[Pid, Process] = dict(node.processes)
        self._ended_supervisors: set[Pid] = set()
        node.on_exit(self._hear_of_end)
        self._id = f"supervisors.chaos.Watch {id(self):x}"
        telemetry.attach(self._id, "process.started", self._hear_of_start)

    def close(self) -> None:
        """Look no longer."""
        self._node.remove_exit_listener(self._hear_of_end)
        telemetry.detach(self._id)

    def check(self, *, stopped_by_hand: AbstractSet[tuple[Pid, Hashable]] = frozenset()) -> None:
        """Raises `InvariantError` if a promise does not hold now.

        Ask when all has settled. A server that is busy (in a call, in `terminate`) is judged later.
        `stopped_by_hand` are the children, as (supervisor, id), that may stand still although they
        are permanent.
        """
        broken, self._broken = self._broken, []
        for process in list(self._node.processes.values()):
            broken.extend(self._about(process, stopped_by_hand))
        if broken:
            raise InvariantError(broken)

    def _about(self, process: Process, by_hand: AbstractSet[tuple[Pid, Hashable]]) -> Iterator[str]:
        for call in process.pending:
            if call.task is not None and not isinstance(call.caller.target, Process):
                yield f"{call!r} waits at {process.pid!r}, but its caller has ended"
        if not (process.has_loop and _is_at_rest(process)):
            return
        if process.parent in self._ended_supervisors:
            yield f"{process.pid!r} outlives its supervisor {process.parent!r}"
        elif _is_forgotten(process):
            yield f"{process.pid!r} is in no book of its supervisor {process.parent!r}"
        for id, pid, restart, gone in _book(process):
            if pid is not None and not isinstance(pid.target, Process):
                yield f"{process.pid!r} believes that its child {id!r}, {pid!r}, runs"
            if gone and restart is Restart.PERMANENT and (process.pid, id) not in by_hand:
                yield f"{process.pid!r} has not restarted its permanent child {id!r}"

    def _hear_of_start(self, _event: str, _measured: Any, told: Any, _config: Any) -> None:
        pid: Pid = told["pid"]
        if isinstance(pid.target, Process):
            self._living[pid] = pid.target

    def _hear_of_end(self, pid: Pid) -> None:
        if pid in self._ended:
            self._broken.append(f"{pid!r} ended twice")
        self._ended.add(pid)
        process = self._living.pop(pid, None)
        if process is not None and _is_supervisor(process):
            self._ended_supervisors.add(pid)
        for name, holder in self._node.names.items():
            if holder is pid:
                self._broken.append(f"{pid!r} ended and is still {name!r}")


def _is_at_rest(process: Process) -> bool:
    return process.alive and process.at_rest


def _is_forgotten(process: Process) -> bool:
    """Is it linked to a supervisor that started it, has no work in hand, and does not know it?"""
    parent = process.parent.target
    if not isinstance(parent, Process) or not _is_supervisor(parent) or not _is_at_rest(parent):
        return False
    linked = process.pid in (parent.links or ())
    return linked and all(pid is not process.pid for _, pid, _, _ in _book(parent))


def _is_supervisor(process: Process) -> bool:
    return isinstance(process.server, SupervisorServer | DynamicSupervisorServer)


def _book(process: Process) -> Iterator[tuple[Hashable, Pid | None, Restart, bool]]:
    """The children of a supervisor: id, pid, restart type, and whether nobody will start it again.

    While one child of a group is being retried, those behind it wait for it. Partitions that are
    not in use may stand still.
    """
    server = process.server
    if isinstance(server, SupervisorServer):
        rows = list(server._children)
        retried = any(child.restarting for child in rows)
        needed = server.partitions if isinstance(server, PartitionSupervisorServer) else len(rows)
        for place, child in enumerate(rows):
            gone = child.stopped and not child.ignored and place < needed and not retried
            yield child.id, child.pid, child.spec.restart, gone
    elif isinstance(server, DynamicSupervisorServer):
        for pid, spec in list(server._running.items()):
            yield spec.id, pid, spec.restart, False
