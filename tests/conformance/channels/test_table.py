"""The tables of Phoenix's own cases (protocol reference, section 5 and appendix A): each is covered by a test of ours,
or says why not. As `tests/conformance/otp/test_table.py`, which says what a row is.

`python -m tests.conformance.channels.test_table` prints the counts.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.otp.test_table import VERDICTS, exists

HERE = Path(__file__).parent

CASES = {
    "websocket_channels": 28,  # 5.1
    "websocket_socket": 9,  # 5.2
    "longpoll_channels": 20,  # 5.3
    "longpoll_socket": 7,  # 5.4
    "channel": 6,  # 5.5
    "channel_test_helper": 41,  # 5.6
    "socket": 12,  # 5.7
    "transport": 24,  # 5.8
    "serializers": 5 + 13 + 3,  # 5.9: V1, V2, messages
    "presence": 21,  # 5.10
    "token": 11 + 10,  # 5.11: signed, encrypted
    "logger": 11,  # 5.11
    "debug": 9,  # 5.11
    "endpoint": 23,  # 5.11
    "endpoint_supervisor": 11,  # 5.11
    "endpoint_integration": 4,  # 5.11
    "generators": 9 + 8 + 3,  # 5.11: channel, socket, presence
    "extra": 19,  # 5.14
    "golden_vectors": 8 + 5 + 5,  # appendix A: JSON, binary by fields, binary in hex
    "longpoll_more": 2,  # beyond the suites
}
"""Every suite, and how many cases the reference counts in it; each has its table here."""

SUITES = sorted(CASES)


def load(suite: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{suite}.toml").read_text())


def test_every_table_is_of_a_suite_of_the_reference():
    assert {path.stem for path in HERE.glob("*.toml")} == set(SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_that_the_reference_counts_has_one_row(suite):
    table = load(suite)
    assert table["cases"] == CASES[suite]
    assert [case["number"] for case in table["case"]] == list(range(1, CASES[suite] + 1))


@pytest.mark.parametrize("suite", SUITES)
def test_no_two_rows_have_one_name(suite):
    names = Counter(case["name"] for case in load(suite)["case"])
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("suite", SUITES)
def test_every_row_has_a_name_and_one_verdict(suite):
    for case in load(suite)["case"]:
        assert case.keys() - set(VERDICTS) == {"number", "name"}, case
        verdicts = case.keys() & set(VERDICTS)
        assert len(verdicts) == 1 or verdicts == {"covered_by", "differs"}, case
        assert all(case[verdict] for verdict in verdicts), case


@pytest.mark.parametrize("suite", SUITES)
def test_every_test_that_a_row_names_exists(suite):
    rows = [case for case in load(suite)["case"] if "covered_by" in case]
    missing = [test for case in rows for test in case["covered_by"] if not exists(test)]
    assert missing == []


@pytest.mark.parametrize("suite", SUITES)
def test_a_reason_is_a_sentence(suite):
    for case in load(suite)["case"]:
        reasons = [
            case[verdict] for verdict in VERDICTS if verdict != "covered_by" and verdict in case
        ]
        assert all(len(reason.split()) >= 3 for reason in reasons), case


def report() -> str:
    """The verdicts of each suite and of all."""
    lines = [_line("suite", ["cases", "differs", "covered", "n/a", "open"])]
    total: Counter[str] = Counter()
    for suite in SUITES:
        counts = Counter(next(v for v in VERDICTS if v in case) for case in load(suite)["case"])
        total += counts
        lines.append(_counts(suite, counts))
    return "\n".join([*lines, _counts("all", total)])


def _counts(name: str, counts: Counter[str]) -> str:
    return _line(name, [counts.total(), *(counts[verdict] for verdict in VERDICTS)])


def _line(name: str, columns: list[Any]) -> str:
    return f"{name:24}" + "".join(f"{column:>9}" for column in columns)


if __name__ == "__main__":
    print(report())
