"""Processes without a task: what is run when something comes for them (P14)."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

__all__ = ("Asleep", "Sleep")


class Sleep:
    """What the main function of a process returns that needs no task until something comes for it:
    what to run then.

    `in_place`: messages need no task, they go on being handled in place (`handle_in_place`); the
    process is woken by itself, or by an exit signal, which cancels `main`.
    """

    __slots__ = ("args", "in_place", "main")

    def __init__(
        self,
        main: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...] = (),
        *,
        in_place: bool = False,
    ) -> None:
        self.main = main
        self.args = args
        self.in_place = in_place


Asleep: TypeAlias = tuple[Sleep, contextvars.Context | None, Callable[[Any], None]]
"""The sleep, the context to run in, and where messages go when it is awake."""
