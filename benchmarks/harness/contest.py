"""A contest: all contestants of one question, sampled in turns.

Turns are round-robin with a rotating start, so that a slow minute of a shared machine hits all of
them and nobody always runs after the same neighbour. The first round is thrown away: it pays for
what is loaded lazily, and for Node's compiler.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs

from benchmarks.harness.contestants import Contestant, Figures, Role
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.figures import Spread, ratio
from benchmarks.harness.goals import Goal, Verdict
from benchmarks.harness.lines import RemoteError
from benchmarks.harness.options import Options
from benchmarks.harness.units import Figure


@attrs.frozen
class Entry:
    """What one contestant gave: a spread for each figure, or the reason why there is none."""

    name: str
    role: Role
    versions: dict[str, str]
    figures: dict[str, Spread]
    missing: str | None = None


@attrs.frozen
class Result:
    """A finished contest; the first figure is the one that ratios and goals are about."""

    title: str
    figure: Figure
    others: tuple[Figure, ...]
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def ours(self) -> Entry | None:
        """The first entry of ours that has figures."""
        return self.first(Role.OURS)

    def first(self, role: Role) -> Entry | None:
        """The first entry of `role` that has figures."""
        return next((e for e in self.entries if e.role is role and e.figures), None)

    def headline(self, entry: Entry) -> Spread:
        """The spread that the contest is about."""
        return entry.figures[self.figure.key]

    def of(self, entry: Entry, base: Entry | None) -> float | None:
        """The ratio of two entries; None where one of them is missing."""
        if base is None or not entry.figures or not base.figures:
            return None
        return ratio(self.headline(entry), self.headline(base))

    def by_cpu(self, entry: Entry, base: Entry | None) -> float | None:
        """The ratio of two rates per CPU second, which leaves out what others do on the machine."""
        if base is None or not {"rate", "cpu_us"} <= entry.figures.keys() & base.figures.keys():
            return None
        return ratio(base.figures["cpu_us"], entry.figures["cpu_us"])


def hold(
    title: str,
    contestants: Sequence[Contestant],
    options: Options,
    *,
    figure: Figure,
    others: tuple[Figure, ...] = (),
    goals: Sequence[Goal] = (),
    rounds: int = 11,
    warm_up: bool = True,
) -> Result:
    """Open all, sample all in turns, close all; a contestant that fails is reported, not fatal.

    Without `warm_up` no round is thrown away: for contestants that start anew for each sample.
    """
    print(f"{title} ...", file=sys.stderr)
    runners = [_Runner(c) for c in contestants if options.peers or c.role is not Role.PEER]
    try:
        for runner in runners:
            runner.open()
        turns = options.rounds or rounds
        thrown_away = options.warm_up if warm_up else 0
        for turn in range(turns + thrown_away):
            start = turn % len(runners)
            for runner in runners[start:] + runners[:start]:
                runner.sample(keep=turn >= thrown_away)
    finally:
        for runner in runners:
            runner.contestant.close()
    result = Result(title, figure, others, tuple(runner.entry() for runner in runners))
    return attrs.evolve(result, verdicts=tuple(goal(result) for goal in goals))


class _Runner:
    """One contestant during a contest: its samples so far, or why it is out."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self._versions: dict[str, str] = {}
        self._samples: list[Figures] = []
        self._missing: str | None = None

    def open(self) -> None:
        try:
            self._versions = dict(self.contestant.open())
        except (UnavailableError, RemoteError) as error:
            self._fail(error)

    def sample(self, *, keep: bool) -> None:
        if self._missing is not None:
            return
        try:
            figures = self.contestant.sample()
        except (UnavailableError, RemoteError) as error:
            self._fail(error)
        else:
            if keep:
                self._samples.append(figures)

    def entry(self) -> Entry:
        keys = self._samples[0] if self._samples and self._missing is None else ()
        spreads = {key: Spread.of([sample[key] for sample in self._samples]) for key in keys}
        name, role = self.contestant.name, self.contestant.role
        return Entry(name, role, self._versions, spreads, self._missing)

    def _fail(self, error: Exception) -> None:
        self._missing = str(error)
        self.contestant.close()
