"""CPython's cycle collector, set for a program that holds many long-lived processes.

By default it looks for cycles after every 700 new objects, and through everything each time that
the survivors have grown by a quarter. A node with 10,000 connections pays for that with pauses and
a third of its time while it grows, and finds next to nothing: processes and messages are freed by
their reference counts. So it is run less often, and what the program has loaded before it serves is
taken out of its sight (`gc.freeze`). Measured in docs/performance.md.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

__all__ = ("DEFAULT_GARBAGE_COLLECTION", "GarbageCollection", "tuned")


@attrs.frozen
class GarbageCollection:
    """The thresholds of `gc.set_threshold`, and whether to `gc.freeze` what is loaded."""

    thresholds: tuple[int, int, int] = (50_000, 20, 50)
    freeze: bool = True


DEFAULT_GARBAGE_COLLECTION: Final = GarbageCollection()


@contextmanager
def tuned(settings: GarbageCollection | None) -> Iterator[None]:
    """Inside the block the collector is set as asked; None leaves it as it is."""
    if settings is None:
        yield
        return
    before = gc.get_threshold()
    if settings.freeze:
        gc.collect()
        gc.freeze()
    gc.set_threshold(*settings.thresholds)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if settings.freeze:
            gc.unfreeze()
