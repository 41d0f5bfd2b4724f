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

EXPECTED = {
    "websocket_channels",
    "websocket_socket",
    "channel",
    "channel_test_helper",
    "socket",
    "transport",
    "serializers",
    "token_logger_debug_endpoint",
    "extra",
    "golden_vectors",
}
SUITES = sorted({path.stem for path in HERE.glob("*.toml")} | EXPECTED)


def load(suite: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{suite}.toml").read_text())


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_of_the_suite_has_one_row(suite):
    table = load(suite)
    assert [case["number"] for case in table["case"]] == list(range(1, table["cases"] + 1))


@pytest.mark.parametrize("suite", SUITES)
def test_every_row_has_a_name_and_one_verdict(suite):
    for case in load(suite)["case"]:
        assert case.keys() - set(VERDICTS) == {"number", "name"}, case
        [verdict] = case.keys() & set(VERDICTS)
        assert case[verdict], case


@pytest.mark.parametrize("suite", SUITES)
def test_every_test_that_a_row_names_exists(suite):
    rows = [case for case in load(suite)["case"] if "covered_by" in case]
    missing = [test for case in rows for test in case["covered_by"] if not exists(test)]
    assert missing == []


@pytest.mark.parametrize("suite", SUITES)
def test_a_reason_is_a_sentence(suite):
    for case in load(suite)["case"]:
        reason = case.get("not_applicable") or case.get("open")
        assert reason is None or len(reason.split()) >= 3, case


def report() -> str:
    """Covered, not applicable and open, per suite and in all."""
    lines = [f"{'suite':30}{'cases':>7}{'covered':>9}{'n/a':>6}{'open':>6}"]
    total: Counter[str] = Counter()
    for suite in SUITES:
        counts = Counter(next(v for v in VERDICTS if v in case) for case in load(suite)["case"])
        total += counts
        lines.append(_line(suite, counts))
    return "\n".join([*lines, _line("all", total)])


def _line(name: str, counts: Counter[str]) -> str:
    covered, not_applicable, still_open = (counts[verdict] for verdict in VERDICTS)
    return f"{name:30}{counts.total():7}{covered:9}{not_applicable:6}{still_open:6}"


if __name__ == "__main__":
    print(report())
