"""How much of a stranger's text may stand in a log line or a `repr`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeVar

__all__ = ("excerpt", "excerpts")

MAX_TEXT: Final = 200  # characters
MAX_ITEMS: Final = 32

T = TypeVar("T")


def excerpt(value: T) -> T | str:
    """The value, or the beginning of a long text and three dots."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}..."
    return value


def excerpts(texts: Iterable[str]) -> list[str]:
    """Excerpts of the first texts; three dots stand for the rest."""
    shown = [excerpt(text) for text in islice(texts, MAX_ITEMS + 1)]
    if len(shown) > MAX_ITEMS:
        shown[MAX_ITEMS] = "..."
    return shown
