"""Applications that need others: in which order they start, and what the end of one means. Pure.

Source: OTP `application`, AP1 and AP2, as far as one OS process is one node's applications.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import TypeVar

from actors.exits import NORMAL

__all__ = ("StartType", "ends_program", "start_order")

A = TypeVar("A")


class StartType(enum.StrEnum):
    """What the end of an application that others need means for the program (AP2)."""

    PERMANENT = "permanent"  # the program ends, whatever the reason
    TRANSIENT = "transient"  # the program ends, unless the reason is exactly NORMAL
    TEMPORARY = "temporary"  # it is reported, and the others go on


def ends_program(start_type: StartType, reason: object) -> bool:
    """Whether the end of an application for `reason` takes the program with it."""
    match start_type:
        case StartType.PERMANENT:
            return True
        case StartType.TRANSIENT:
            return reason is not NORMAL
        case StartType.TEMPORARY:
            return False


def start_order(application: A, needs: Callable[[A], Iterable[A]]) -> list[A]:
    """`application` and all that it needs, directly or not: each once, after what it needs (AP1).

    >>> start_order("web", {"web": ["cache", "db"], "cache": ["db"], "db": []}.get)
    ['db', 'cache', 'web']
    """
    order: list[A] = []

    def visit(each: A) -> None:
        if each in order:
            return
        for needed in needs(each):
            visit(needed)
        order.append(each)

    visit(application)
    return order
