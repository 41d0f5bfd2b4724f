"""The statistics: few, and the same for every question.

A figure is measured once per round, in several rounds; what is printed is the median of the rounds
with the lowest and the highest, because a shared machine is noisy on one side and a mean would
hide that. A ratio is the median of the rounds' ratios: what ran in the same round ran in the same
second of such a machine, whose pace changes by half within one run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import attrs


@attrs.frozen
class Spread:
    """One figure in several rounds: its median, the lowest and the highest."""

    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise `values`, in the order of the rounds; raises ValueError if there is none."""
        if not values:
            raise ValueError("a spread needs at least one value; got none")
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The value in the middle."""
        return median(self.rounds)

    @property
    def low(self) -> float:
        """The lowest value."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The highest value."""
        return max(self.rounds)


def ratio(of: Spread, to: Spread) -> float:
    """The median of the ratios of each round; infinite if all of `to` is zero, NaN if both are.

    Raises ValueError if they are not of the same rounds.
    """
    pairs = zip(of.rounds, to.rounds, strict=True)
    ratios = [_ratio(one, other) for one, other in pairs if one or other]
    return median(ratios) if ratios else math.nan


def _ratio(one: float, other: float) -> float:
    return one / other if other else math.inf


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
