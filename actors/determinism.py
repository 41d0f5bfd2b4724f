"""Runs that are the same each time: a seeded scheduling order on a clock that jumps.

Trio shuffles the tasks that are ready, on purpose, with a generator of its own. It has no public
way to seed that generator: Hypothesis gets it through a private hook of Trio's. This room is the
only place that touches the hook, checks that it is there and says so if it is not. The other source
of chance in the runtime is the time that a server may hold the loop
(`turns.SECONDS_PER_TURN`), which is real time and is taken away for the length of the run.

What still differs from run to run: threads, sockets, other OS processes, and the order of sets of
strings (`PYTHONHASHSEED`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
import trio.testing
from trio._core import _run as trio_scheduler  # private: see the head of this file

from actors import turns
from actors.node import run

__all__ = ("DeterminismError", "run_deterministic", "seeded_scheduling")

T = TypeVar("T")

_FLAG = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR = "_r"


class DeterminismError(RuntimeError):
    """This release of Trio has no hook by which its scheduler can be seeded."""


@contextmanager
def seeded_scheduling(seed: int) -> Iterator[None]:
    """For the length of the block, outside `trio.run`: Trio's choices, and those of `random`,
    follow from `seed`.
    """
    generator = getattr(trio_scheduler, _GENERATOR, None)
    if not (hasattr(trio_scheduler, _FLAG) and isinstance(generator, random.Random)):
        raise DeterminismError(
            f"Trio {trio.__version__} cannot be seeded: its scheduler has no {_FLAG}, {_GENERATOR}"
        )
    before = (getattr(trio_scheduler, _FLAG), generator.getstate(), random.getstate())
    turn = turns.SECONDS_PER_TURN
    setattr(trio_scheduler, _FLAG, True)
    generator.seed(seed)
    random.seed(seed)
    vars(turns)["SECONDS_PER_TURN"] = math.inf
    try:
        yield
    finally:
        vars(turns)["SECONDS_PER_TURN"] = turn
        setattr(trio_scheduler, _FLAG, before[0])
        generator.setstate(before[1])
        random.setstate(before[2])


def run_deterministic(
    main: Callable[..., Awaitable[T]], *args: Any, seed: int = 0, **options: Any
) -> T:
    """`actors.run` whose tasks take their turns in an order that follows from `seed` alone.

    Time is a mock clock that jumps to the next deadline when nothing can run, so an hour of sleep
    costs nothing. `random` is seeded too and restored afterwards. Deadlocks of calls are detected,
    unless `node_options` says otherwise. `options` go to `actors.run`. Raises `DeterminismError` if
    this release of Trio cannot be seeded.
    """
    options.setdefault("node_options", {"detect_deadlocks": True})
    options.setdefault("clock", trio.testing.MockClock(autojump_threshold=0))
    with seeded_scheduling(seed):
        return run(main, *args, **options)
