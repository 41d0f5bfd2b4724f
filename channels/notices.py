"""How many log lines a client may cause: what it does wrong at no cost to itself is logged a few
times for each process, and then no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ("MAX_NOTICES", "with_notice")

MAX_NOTICES: Final = 20

_FIRST: Final[Mapping[str, str]] = {}
_LAST: Final[Mapping[str, str]] = {"note": "the last of its kind that is logged for this process"}


def with_notice(count: int) -> Mapping[str, str] | None:
    """What belongs to the `count`-th line, beginning with 1; None: it is not written."""
    if count < MAX_NOTICES:
        return _FIRST
    return _LAST if count == MAX_NOTICES else None
