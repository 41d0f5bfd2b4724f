"""Stopping children (S20 to S22, D7): ask, wait as long as the child may take, kill.

Runs in the supervisor's process, which stays linked to the child meanwhile, so that killing the
supervisor still takes the child down. The end is awaited at the child itself. The `Exit` that its
link leaves in the supervisor's mailbox needs no flushing: it comes from a pid that is no longer in
the book, and such an exit is ignored (S9).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import trio

from actors.exits import KILL, KILLED, NOPROC, NORMAL, SHUTDOWN, Shutdown
from actors.messages import Exit
from actors.pid import Pid
from actors.process import Process, current_process
from supervisors.child_spec import BRUTAL_KILL, BrutalKill, ChildSpec, Restart
from supervisors.exits import CHILD_PROCESS_UNLINKED

__all__ = ("by_kind_and_reason", "has_ended", "is_expected", "stop_all", "stop_process")


def has_ended(pid: Pid) -> bool:
    """Is this child gone? If not, its `Exit` is a signal that it sent, not its end: OTP would lose
    sight of it here, and it would outlive its supervisor.
    """
    return not isinstance(pid.target, Process)


def is_expected(spec: ChildSpec, reason: object) -> bool:
    """Is this how a child ends that was asked to stop? If not, it is reported (S21)."""
    if reason is (KILLED if spec.shutdown is BRUTAL_KILL else SHUTDOWN):
        return True
    orderly = reason is SHUTDOWN or reason is NORMAL or isinstance(reason, Shutdown)
    return orderly and spec.restart is not Restart.PERMANENT


async def stop_process(pid: Pid, shutdown: float | BrutalKill) -> object:
    """Stop one child and wait for its end; the reason with which it ended."""
    if shutdown is BRUTAL_KILL:
        pid.exit(KILL)
        return _true_reason(pid, await pid.wait_exited())
    pid.exit(SHUTDOWN)
    with trio.move_on_after(shutdown):
        return _true_reason(pid, await pid.wait_exited())
    pid.exit(KILL)
    return _true_reason(pid, await pid.wait_exited())


async def stop_all(children: Mapping[Pid, ChildSpec]) -> list[tuple[ChildSpec, object]]:
    """Stop all children at once (D7); each with its reason. As long as the slowest may take."""
    began = trio.current_time()
    by_patience: defaultdict[float, list[Pid]] = defaultdict(list)  # seconds -> who has them
    reasons: dict[Pid, object] = {}
    for pid, spec in children.items():
        patience = 0.0 if spec.shutdown is BRUTAL_KILL else spec.shutdown
        pid.exit(KILL if spec.shutdown is BRUTAL_KILL else SHUTDOWN)
        by_patience[patience].append(pid)
    laggards: list[Pid] = []
    for patience, pids in sorted(by_patience.items()):
        if patience:
            with trio.move_on_at(began + patience):
                await _collect(pids, reasons)
        late = [pid for pid in pids if pid not in reasons]
        for pid in late:
            pid.exit(KILL)
        laggards += late
    await _collect(laggards, reasons)
    _find_true_reasons(reasons)
    return [(spec, reasons[pid]) for pid, spec in children.items()]


def by_kind_and_reason(
    ends: Iterable[tuple[ChildSpec, object]],
) -> list[tuple[object, list[ChildSpec]]]:
    """The children of the same id and start function that ended for equal reasons together, for one
    report each (D7).

    Any value may be a reason: those without a hash are compared one by one.
    """
    hashed: dict[object, tuple[object, list[ChildSpec]]] = {}
    compared: list[tuple[object, list[ChildSpec]]] = []
    for spec, reason in ends:
        kind = (spec.id, spec.start[0])
        try:
            hashed.setdefault((*kind, reason), (reason, []))[1].append(spec)
        except Exception:  # what a reason without a hash raises is its own affair
            alike = next(
                (
                    specs
                    for other, specs in compared
                    if _equal(other, reason) and _equal((specs[0].id, specs[0].start[0]), kind)
                ),
                None,
            )
            if alike is None:
                compared.append((reason, [spec]))
            else:
                alike.append(spec)
    return [*hashed.values(), *compared]


def _equal(one: object, other: object) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # an array of numbers, say, has no truth value
        return False


async def _collect(pids: Iterable[Pid], reasons: dict[Pid, object]) -> None:
    for pid in pids:
        reasons[pid] = await pid.wait_exited()


def _true_reason(pid: Pid, reason: object) -> object:
    """NOPROC says only that the child had died before; its `Exit`, still unread, says why."""
    if reason is not NOPROC:
        return reason
    reasons: dict[Pid, object] = {pid: reason}
    _find_true_reasons(reasons)
    return reasons[pid]


def _find_true_reasons(reasons: dict[Pid, object]) -> None:
    unknown = {pid for pid, reason in reasons.items() if reason is NOPROC}
    if not unknown:
        return
    for message in current_process().mailbox.queue or ():
        if isinstance(message, Exit) and message.pid in unknown:
            reasons[message.pid] = message.reason
            unknown.remove(message.pid)
    for pid in unknown:  # it had unlinked itself before it died
        reasons[pid] = CHILD_PROCESS_UNLINKED
