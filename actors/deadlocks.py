"""Deadlock detection for calls: who waits for whom is known, so a circle is told at once.

    async with open_node(detect_deadlocks=True): ...

A calls B, B calls A while it serves that: each waits for the other until a timeout, five seconds by
default, names the wrong culprit. With detection on, the call that closes the circle raises
`DeadlockError` instead, with all who are in it. So does a server that calls, from `init`, the one
that waits for it to start: its own supervisor, say (S25).

Opt-in, for tests and development: each call enters and leaves a table. Only calls that a process
makes in its own task count, because its other tasks do not keep it from serving. A server that lets
another process `reply` for it may be blamed though it would have been answered.
"""

from __future__ import annotations

from typing import Any

from trio.lowlevel import current_task

from actors import telemetry
from actors.context import current
from actors.exceptions import CallError
from actors.pid import Pid
from actors.process import Process

__all__ = ("DeadlockError", "DetectingProcess")


class DeadlockError(CallError, RuntimeError):
    """This call would have waited for ever. `chain` is who waits for whom: it begins and ends with
    the caller. `reason` is `("deadlock", chain)`.
    """

    def __init__(self, chain: tuple[Pid, ...], server: Any, request: Any) -> None:
        super().__init__(("deadlock", chain), server, request)
        self.chain = chain

    def __str__(self) -> str:
        circle = " waits for ".join(map(repr, self.chain))
        return f"deadlock: {circle} (request: {self.request!r})"


class DetectingProcess(Process):
    """A process of a node that detects deadlocks."""

    __slots__ = ("waits_for",)

    waits_for: Process | None
    """Whom its own task is calling."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waits_for = None

    async def call(self, server: Pid, request: Any, timeout: float | None, name: Any) -> Any:
        """`Pid.call` of this process, run by the caller."""
        caller = current.get(None)
        if not isinstance(caller, DetectingProcess) or caller.task is not current_task():
            return await super().call(server, request, timeout, name)
        chain = _chain(caller, self)
        if chain is not None:
            telemetry.execute("call.deadlock", {}, {"chain": chain, "request": request})
            raise DeadlockError(chain, name, request)
        caller.waits_for = self
        try:
            return await super().call(server, request, timeout, name)
        finally:
            caller.waits_for = None


def _chain(caller: DetectingProcess, server: Process) -> tuple[Pid, ...] | None:
    """Who waits for whom, from `caller` by way of `server` back to it; None if nobody does."""
    chain = [caller.pid]
    waiting: Process | None = server
    while waiting is not None and waiting.pid not in chain:
        chain.append(waiting.pid)
        if _waits_for_start_of(waiting, caller):
            return (*chain, caller.pid)
        waiting = _asked_by(waiting)
        if waiting is caller:
            return (*chain, caller.pid)
    return None


def _asked_by(waiting: Process) -> Process | None:
    """Whom it waits for. Nobody, if it has its answer and only has not run since."""
    asked = waiting.waits_for if isinstance(waiting, DetectingProcess) else None
    if asked is None or not any(call.task is waiting.task for call in asked.pending):
        return None
    return asked


def _waits_for_start_of(starter: Process, child: Process) -> bool:
    start: Any = child.start
    if start is None or start.starter is not starter:
        return False
    return start.begun_in_place or start.task is starter.task
