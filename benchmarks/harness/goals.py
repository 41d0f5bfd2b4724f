"""Goals: what design.md section 7 asks of a question, judged on one run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.harness.contestants import Role
from benchmarks.harness.figures import Spread, ratio
from benchmarks.harness.units import Figure

if TYPE_CHECKING:
    from benchmarks.harness.contest import Entry, Result


PLANS_PACE: Final = 137_000.0
"""Wakes a second of two bare tasks by each other on the machines of the plan (134 to 140 k)."""


@attrs.frozen
class Verdict:
    """Whether a goal was met; None if the run has nothing to judge it by."""

    goal: str
    met: bool | None
    found: str


Goal = Callable[["Result"], Verdict]


def of_limit(bound: float) -> Goal:
    """At least this share of the table's first raw limit; at most, where less is better."""

    def judge(result: Result) -> Verdict:
        higher = result.figure.higher_is_better
        goal = f"at {'least' if higher else 'most'} {bound:g} of the raw limit"
        limit = result.first(Role.LIMIT)
        if limit is None or result.ours is None:
            return _open(goal)
        share = ratio(result.headline(result.ours), result.headline(limit))
        met = share >= bound if higher else share <= bound
        return Verdict(goal, met, f"{share:.2f}{_by_cpu(result, limit)}")

    return judge


def ahead_of_every_peer(result: Result) -> Verdict:
    """Better than the best peer of the table."""
    goal = "ahead of every peer"
    peers = [entry for entry in result.entries if entry.role is Role.PEER and entry.figures]
    if not peers or result.ours is None:
        return _open(goal)
    higher = result.figure.higher_is_better
    best = (max if higher else min)(peers, key=lambda entry: result.headline(entry).median)
    share = ratio(result.headline(result.ours), result.headline(best))
    found = f"{share:.2f} of {best.name}{_by_cpu(result, best)}"
    return Verdict(goal, share > 1.0 if higher else share < 1.0, found)


def times(factor: float, name: str) -> Goal:
    """At least `factor` times the peer whose name starts with `name`."""

    def judge(result: Result) -> Verdict:
        goal = f"at least {factor:g} times {name}"
        peer = next((e for e in result.entries if e.name.startswith(name) and e.figures), None)
        if peer is None or result.ours is None:
            return _open(goal)
        share = ratio(result.headline(result.ours), result.headline(peer))
        return Verdict(goal, share >= factor, f"{share:.2f}{_by_cpu(result, peer)}")

    return judge


def at_least(number: float) -> Goal:
    """An absolute figure that is not to be undercut."""
    return _absolute(number, "at least", lambda found: found >= number)


def at_most(number: float) -> Goal:
    """An absolute figure that is not to be exceeded."""
    return _absolute(number, "at most", lambda found: found <= number)


def _absolute(number: float, words: str, holds: Callable[[float], bool]) -> Goal:
    def judge(result: Result) -> Verdict:
        figure: Figure = result.figure
        goal = f"{words} {figure.show(number)}"
        if result.ours is None:
            return _open(goal)
        found = result.headline(result.ours).median
        return Verdict(goal, holds(found), figure.show(found))

    return judge


def at_the_plans_pace(number: float) -> Goal:
    """As `at_least` or `at_most`, with our figure brought to the pace of the machines for which the
    number was written down: a rate or a time says nothing about a machine of another speed.
    """

    def judge(result: Result) -> Verdict:
        figure = result.figure
        words = "at least" if figure.higher_is_better else "at most"
        goal = f"{words} {figure.show(number)} at the pace of the plan's machines"
        limit = result.first(Role.LIMIT)
        if limit is None or result.ours is None or "pace" not in limit.figures:
            return _open(goal)
        higher = figure.higher_is_better
        shares = [found / PLANS_PACE for found in limit.figures["pace"].rounds]
        pace = Spread.of(shares if higher else [1 / share for share in shares])
        there = ratio(result.headline(result.ours), pace)
        met = there >= number if higher else there <= number
        shown = f"{figure.show(there)}, as this one has {median(shares):.2f} of it"
        return Verdict(goal, met, shown)

    return judge


def _by_cpu(result: Result, base: Entry) -> str:
    assert result.ours is not None
    share = result.by_cpu(result.ours, base)
    return "" if share is None else f", {share:.2f} by CPU"


def _open(goal: str) -> Verdict:
    return Verdict(goal, None, "not measured")
