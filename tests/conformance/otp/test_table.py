"""The table of OTP's and Elixir's own test cases: each is covered by a test of ours, or says why not.

`python -m tests.conformance.otp.test_table` prints the counts. A row is one of

    covered_by = ["tests/actors/test_calls.py::test_stop_by_name"]    a test that must exist
    differs = "reason"                                                 it is otherwise here, by decision
    not_applicable = "reason"                                          it has no meaning here
    open = "reason"                                                    it is still to be done

A case of which a part is otherwise here has `covered_by` and `differs`, and counts as the latter.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

CASES = {
    "gen_server_suite": 68,
    "supervisor_suite": 91,
    "gen_statem_suite": 62,
    "sys_suite": 7,
    "elixir_gen_server": 13,
    "elixir_supervisor": 16,
    "dynamic_supervisor": 41,
    "partition_supervisor": 22,
    "registry": 75,
    "task": 116,
    "task_supervisor": 44,
    "agent": 7,
}
"""Every suite and how many cases it has; each has its table here."""

VERDICTS = ("differs", "covered_by", "not_applicable", "open")


def load(suite: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{suite}.toml").read_text())


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """The names of the tests in a file, methods of test classes as `Class::test`."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                functions = (ast.FunctionDef, ast.AsyncFunctionDef)
                names |= {f"{name}::{inner.name}" for inner in body if isinstance(inner, functions)}
            case ast.Assign(targets=[ast.Name(id=name)]):  # a Hypothesis machine's TestCase
                names.add(name)
    return frozenset(name for name in names if name.startswith(("test", "Test")))


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name.partition("[")[0] in names_of_tests(path)


def verdicts(suite: str) -> Counter[str]:
    return Counter(next(v for v in VERDICTS if v in case) for case in load(suite)["case"])


@pytest.mark.parametrize("suite", CASES)
def test_every_case_of_the_suite_has_one_row(suite):
    numbers = [case["number"] for case in load(suite)["case"]]
    assert numbers == list(range(1, CASES[suite] + 1))


@pytest.mark.parametrize("suite", CASES)
def test_every_row_has_a_name_and_one_verdict(suite):
    for case in load(suite)["case"]:
        assert case.keys() - set(VERDICTS) == {"number", "name"}, case
        given = case.keys() & set(VERDICTS)
        assert len(given) == 1 or given == {"covered_by", "differs"}, case
        assert all(case[verdict] for verdict in given), case


@pytest.mark.parametrize("suite", CASES)
def test_every_test_that_a_row_names_exists(suite):
    rows = [case for case in load(suite)["case"] if "covered_by" in case]
    missing = [test for case in rows for test in case["covered_by"] if not exists(test)]
    assert missing == []


@pytest.mark.parametrize("suite", CASES)
def test_a_reason_is_a_sentence(suite):
    for case in load(suite)["case"]:
        reason = case.get("not_applicable") or case.get("open") or case.get("differs")
        assert reason is None or len(reason.split()) >= 3, case


def test_the_tables_that_stand_here_are_the_ones_that_are_expected():
    assert {path.stem for path in HERE.glob("*.toml")} == CASES.keys()


def test_the_check_of_names_notices_a_test_that_does_not_exist():
    assert exists("tests/conformance/otp/test_table.py::test_a_reason_is_a_sentence")
    assert not exists("tests/conformance/otp/test_table.py::test_no_such_thing")
    assert not exists("tests/no_such_file.py::test_x")


def report() -> str:
    """Covered, different, not applicable and open, per suite and in all."""
    lines = [f"{'suite':22}{'cases':>7}{'covered':>9}{'differs':>9}{'n/a':>6}{'open':>6}"]
    total: Counter[str] = Counter()
    for suite, cases in CASES.items():
        counts = verdicts(suite)
        total += counts
        lines.append(_line(suite, cases, counts))
    lines.append(_line("all", sum(CASES.values()), total))
    return "\n".join(lines)


def _line(name: str, cases: int, counts: Counter[str]) -> str:
    differs, covered, not_applicable, still_open = (counts[verdict] for verdict in VERDICTS)
    return f"{name:22}{cases:7}{covered:9}{differs:9}{not_applicable:6}{still_open:6}"


def test_the_counts_are_printed(capsys):
    with capsys.disabled():
        print(f"\n{report()}")
    assert sum(CASES.values()) == 562


if __name__ == "__main__":
    print(report())
