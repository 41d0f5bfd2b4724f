"""The only context variable: the process that is running this code, and through it its node.

A Trio task started inside a process inherits it, so code in a nursery of a handler belongs to that
process. `process.current_process()` is the typed way to read it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from actors.exceptions import NoNodeError, ProcessExit

__all__ = ("current", "running_process")

current: ContextVar[Any] = ContextVar("actors.current_process")


def running_process() -> Any:
    """The process whose code is running.

    Raises `NoNodeError` outside `run()` and `open_node()`, and `ProcessExit` in a zombie: code that
    still runs after its process was declared dead can do nothing as that process (K1).
    """
    try:
        process = current.get()
    except LookupError:
        message = "not in a process: call this inside actors.run(main) or `async with open_node()`"
        raise NoNodeError(message) from None
    if process.dead:
        raise ProcessExit(process.exit_reason)
    return process
