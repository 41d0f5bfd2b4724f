"""Tables for readers, JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.harness.contest import Entry, Result
from benchmarks.harness.contestants import Role
from benchmarks.harness.machine import description
from benchmarks.harness.units import Figure


def text(result: Result) -> str:
    """One result as a table with its goals."""
    figures = (result.figure, *result.others)
    heading = [
        "",
        result.title,
        f"{result.figure.heading} [min .. max]",
        "of limit",
        "by CPU",
        "ours is",
    ]
    rows = [heading + [figure.heading for figure in result.others]]
    rows += [_row(result, entry, figures) for entry in result.entries if entry.figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    lines += [f"  {e.role.value:5}  {e.name}: {e.missing}" for e in result.entries if e.missing]
    lines += [f"  goal   {v.goal}: {v.found} {_word(v.met)}" for v in result.verdicts]
    return "\n".join([*lines, *_versions(result.entries)])


def machine() -> str:
    """One line about the machine."""
    return ", ".join(f"{name} {value}" for name, value in description().items())


def json_object(results: Sequence[Result]) -> dict[str, Any]:
    """Everything, for machines."""
    return {"machine": description(), "results": [_result(result) for result in results]}


def _row(result: Result, entry: Entry, figures: Sequence[Figure]) -> list[str]:
    headline, show = result.headline(entry), result.figure.show
    of_limit = result.of(entry, result.first(Role.LIMIT))
    by_cpu = result.by_cpu(entry, result.first(Role.LIMIT))
    ours_is = None if result.ours is None else result.of(result.ours, entry)
    return [
        entry.role.value,
        entry.name,
        f"{show(headline.median)} [{show(headline.low)} .. {show(headline.high)}]",
        _share(of_limit),
        _share(by_cpu),
        _share(ours_is, " x"),
        *(_cell(entry, figure) for figure in figures[1:]),
    ]


def _share(value: float | None, unit: str = "") -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2f}{unit}"


def _cell(entry: Entry, figure: Figure) -> str:
    spread = entry.figures.get(figure.key)
    return "" if spread is None else figure.show(spread.median)


def _versions(entries: Sequence[Entry]) -> list[str]:
    """One line for each set of versions, with the contestants that ran on it."""
    users: dict[str, list[str]] = {}
    for entry in entries:
        versions = ", ".join(f"{name} {version}" for name, version in entry.versions.items())
        users.setdefault(versions, []).append(entry.name)
    return [f"  on     {found}: {'; '.join(names)}" for found, names in users.items() if found]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
    return ("  " + "  ".join([*left, *right])).rstrip()


def _word(met: bool | None) -> str:  # noqa: FBT001  # a verdict, not a switch
    return "" if met is None else "(met)" if met else "(NOT met)"


def _result(result: Result) -> dict[str, Any]:
    limit = result.first(Role.LIMIT)
    return {
        "title": result.title,
        "headline": result.figure.key,
        "entries": [
            {
                "name": entry.name,
                "role": entry.role.value,
                "versions": entry.versions,
                "missing": entry.missing,
                "of_limit": result.of(entry, limit),
                "of_limit_by_cpu": result.by_cpu(entry, limit),
                "figures": {
                    key: {
                        "median": s.median,
                        "low": s.low,
                        "high": s.high,
                        "rounds": list(s.rounds),
                    }
                    for key, s in entry.figures.items()
                },
            }
            for entry in result.entries
        ],
        "goals": [{"goal": v.goal, "met": v.met, "found": v.found} for v in result.verdicts],
    }
