"""The statistics: few, and the same for every question.

A figure is measured once per round, in several rounds; what is printed is the median of the rounds
with the lowest and the highest, because a shared machine is noisy on one side and a mean would
hide that. Ratios are ratios of medians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import attrs


@attrs.frozen
class Spread:
    """The median of several measurements, with the lowest and the highest of them."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise `values`; raises ValueError if there is none."""
        if not values:
            raise ValueError("a spread needs at least one value; got none")
        return cls(median(values), min(values), max(values), len(values))


def ratio(of: Spread, to: Spread) -> float:
    """The ratio of two medians; infinite if the second one is zero, NaN if both are."""
    if to.median == 0.0:
        return math.nan if of.median == 0.0 else math.inf
    return of.median / to.median


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How a cost grows: the least-squares exponent of y ~ x ** slope (0 is flat, 1 is linear)."""
    if len(points) < 2:
        raise ValueError(f"a slope needs two points; got {len(points)}")
    logs = [(math.log(x), math.log(y)) for x, y in points]
    middle_x = sum(x for x, _ in logs) / len(logs)
    middle_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - middle_x) ** 2 for x, _ in logs)
    if spread == 0.0:
        raise ValueError("a slope needs two different values of x")
    return sum((x - middle_x) * (y - middle_y) for x, y in logs) / spread
