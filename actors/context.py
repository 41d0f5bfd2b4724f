"""The only context variable: the process that is running this code, and through it its node.

A Trio task started inside a process inherits it, so code in a nursery of a handler belongs to that
process. `process.current_process()` is the typed way to read it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

__all__ = ("current",)

current: ContextVar[Any] = ContextVar("actors.current_process")
