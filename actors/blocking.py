"""Work that would hold the loop: in a thread or an OS process, on behalf of a process of ours.

    text = await run_in_thread(path.read_text)        # waits for the disk
    image = await run_in_process(render, scene)       # computes

While a callback computes, or waits in a system call, every process of the node stands still. The
ways out:

- it waits (files, a library that blocks): `run_in_thread`. Costs about 0.1 ms and shares memory;
  but Python runs one thread at a time, so it is no help with computing;
- it computes for more than a few milliseconds: `run_in_process`. Arguments, result and exception
  are pickled; the function is found by name, so it stands at the top level of a module;
- it computes for less, or in steps: let it stay, with `await trio.lowlevel.checkpoint()` between
  the steps.

Both belong to the calling process. What the function raises is raised there, and ends the process
with `Crash` unless it is caught. When the process ends, or a cancel scope around the call is
cancelled, the work is given up at once: an OS process is killed; a thread cannot be, so it runs to
its end and nobody hears of it.

A server that waits for its work answers nobody meanwhile. Let a `Task` do it where that matters.
The work itself is outside of the node: it is no process, and the verbs of processes refuse there.
In a thread, `trio.from_thread.run_sync(pid.send, message)` sends.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import trio

from actors.context import current
from actors.process import current_process

__all__ = ("run_in_process", "run_in_thread")

T = TypeVar("T")


async def run_in_thread(
    function: Callable[..., T], *args: Any, limiter: trio.CapacityLimiter | None = None
) -> T:
    """What `function(*args)` returns, run in a thread; raises what it raises.

    At most `limiter` run at a time; by default it is Trio's, 40 threads for the whole OS process.
    """
    current_process()
    context = _context_of_outsiders()
    return await trio.to_thread.run_sync(
        lambda: context.run(function, *args), abandon_on_cancel=True, limiter=limiter
    )


async def run_in_process(
    function: Callable[..., T], *args: Any, limiter: trio.CapacityLimiter | None = None
) -> T:
    """What `function(*args)` returns, run in another OS process; raises what it raises.

    OS processes are started when needed, kept for the next work and ended with the program; the
    first call costs some tenths of a second. At most `limiter` work at a time, by default one per
    core. One that dies under its work (out of memory, say) raises `trio_parallel.BrokenWorkerError`
    here. Needs the package trio-parallel: `pip install understudy[processes]`.
    """
    current_process()
    try:
        workers = import_module("trio_parallel")
    except ImportError as error:
        message = "run_in_process needs trio-parallel: pip install 'understudy[processes]'"
        raise ImportError(message) from error
    result = await workers.run_sync(function, *args, kill_on_cancel=True, limiter=limiter)
    return cast("T", result)


def _context_of_outsiders() -> contextvars.Context:
    """The context of the caller without its process: a thread must not act as one, because none of
    the runtime may be touched from there.
    """
    context = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if variable is not current:
            context.run(variable.set, value)
    return context
