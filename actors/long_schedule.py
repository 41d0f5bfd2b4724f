"""Long schedules: callbacks that hold the loop, with the place where they do (OTP: `long_schedule`
of `erlang:system_monitor/2`).

    async with open_node(long_schedule=0.05): ...     # seconds

Trio runs one task at a time, from one `await` that waits to the next. While that takes long, every
process of the node stands still. A Trio instrument notes when each step begins; a thread looks at
the note, and when a step takes longer than allowed it takes the stack of the node's thread and logs
it at once, so that an endless loop is seen too. When the step ends, telemetry tells
`process.long_schedule` with its whole length.

Opt-in: the instrument costs about a microsecond per step, and the thread wakes up twice per
`limit`. Time is real time, on a mock clock too.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import attrs
import trio

from actors import reports
from actors.context import current

__all__ = ("watch_schedule",)


@attrs.define(eq=False)
class _Step:
    """One step of one task. Made by the node's thread; the watching thread fills in `stack`."""

    task: trio.lowlevel.Task
    began: float
    stack: str | None = None


class _Watch(trio.abc.Instrument):
    """The instrument, and the thread that looks at it. One node's."""

    def __init__(self, node: Any, limit: float) -> None:
        self._node = node
        self._limit = limit
        self._step: _Step | None = None
        self._thread_of_node = threading.get_ident()
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._look, name=f"{node.name}: long_schedule", daemon=True
        )

    def start(self) -> None:
        """From now on."""
        self._thread.start()
        trio.lowlevel.add_instrument(self)

    def stop(self) -> None:
        """No longer."""
        trio.lowlevel.remove_instrument(self)
        self._end.set()

    # -- in the node's thread --------------------------------------------------------------------

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Trio lets a task run."""
        self._step = _Step(task, perf_counter())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It waits, or has ended."""
        step, self._step = self._step, None
        if step is None or step.stack is None:
            return
        handlers = self._node.telemetry
        if handlers is not None:
            told = {"pid": _pid_of(task), "task": task.name, "stack": step.stack}
            measured = {"seconds": perf_counter() - step.began}
            handlers.execute("process.long_schedule", measured, told)

    # -- in the watching thread ------------------------------------------------------------------

    def _look(self) -> None:
        while not self._end.wait(min(self._limit / 2, threading.TIMEOUT_MAX)):
            step = self._step
            if step is None or step.stack is not None:
                continue
            seconds = perf_counter() - step.began
            frame = sys._current_frames().get(self._thread_of_node)
            if seconds < self._limit or frame is None or step is not self._step:
                continue
            step.stack = "".join(traceback.format_stack(frame))
            reports.long_schedule(_pid_of(step.task), step.task.name, seconds, step.stack)


def _pid_of(task: trio.lowlevel.Task) -> Any:
    """The process that a task belongs to; None for others."""
    process = task.context.get(current)
    return None if process is None else process.pid


@contextmanager
def watch_schedule(node: Any, limit: float | None) -> Iterator[None]:
    """For the length of the block, report steps longer than `limit` seconds; None: do not look."""
    if limit is None:
        yield
        return
    if not limit > 0:
        raise ValueError(f"long_schedule is a number of seconds > 0, or None; got {limit!r}")
    watch = _Watch(node, limit)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
