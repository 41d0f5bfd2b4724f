"""Curves: the cost of one message against the number of something else, and whether it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from benchmarks.harness.contestants import Figures
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.figures import Spread
from benchmarks.harness.lines import RemoteError

FLAT = 2.0  # the dearest point may cost this much more than the cheapest: caches are not flat


@attrs.frozen
class Curve:
    """CPU microseconds per operation for each size; or the reason why there are none."""

    name: str
    against: str
    points: tuple[tuple[int, Spread], ...]
    missing: str | None = None

    @property
    def growth(self) -> float:
        """How many times the cheapest size the dearest one costs."""
        medians = [spread.median for _, spread in self.points]
        return max(medians) / min(medians)

    @property
    def flat(self) -> bool:
        """Whether the cost does not grow with the size, apart from the processor's caches."""
        return self.points[-1][1].median / self.points[0][1].median <= FLAT


def trace(
    name: str,
    against: str,
    sizes: Sequence[int],
    measure: Callable[[int], Figures],
    rounds: int,
) -> Curve:
    """Measure each size in turn, several times over; the order of sizes alternates."""
    samples: dict[int, list[float]] = {size: [] for size in sizes}
    try:
        for turn in range(rounds):
            for size in sizes if turn % 2 == 0 else list(reversed(sizes)):
                samples[size].append(measure(size)["cpu_us"])
    except (RemoteError, UnavailableError) as error:
        return Curve(name, against, (), str(error))
    return Curve(name, against, tuple((size, Spread.of(found)) for size, found in samples.items()))


def markdown(curves: Sequence[Curve]) -> str:
    """A table: one row for a curve, one column for a size, CPU microseconds in the cells."""
    sizes = sorted({size for curve in curves for size, _ in curve.points})
    heading = ["CPU µs per operation", "against", *(f"{size:,}" for size in sizes), "flat"]
    rows = [heading, ["---", "---", *("---:" for _ in sizes), "---"]]
    for curve in curves:
        costs = {size: f"{spread.median:.2f}" for size, spread in curve.points}
        verdict = curve.missing or ("yes" if curve.flat else f"no: {curve.growth:.0f} x")
        rows.append([curve.name, curve.against, *(costs.get(size, "") for size in sizes), verdict])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
