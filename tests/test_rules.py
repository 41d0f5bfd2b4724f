"""Every numbered rule of docs/semantics.md is shown by a test that cites it.

A test cites a rule by its number, in its docstring or in a comment above it. A range ("G7 to G20") in the first line of
a file says what the file is about, and cites nothing.
"""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
NUMBER = r"[A-Z]{1,2}\d+"
RANGE = re.compile(rf"\b{NUMBER}(?: to |–|-){NUMBER}\b")
HEAD = re.compile(r"^- \*\*([^*]+)\*\* ", re.MULTILINE)


def rules_in(text: str) -> list[str]:
    """The numbers at the heads of the list: one, several, or a range."""
    numbers = []
    for part in (part for head in HEAD.findall(text) for part in head.split(", ")):
        first, _, last = part.partition(" to ")
        if last:
            letters = first.rstrip("0123456789")
            span = range(int(first.removeprefix(letters)), int(last.removeprefix(letters)) + 1)
            numbers += [f"{letters}{number}" for number in span]
        else:
            numbers += re.findall(rf"\b{NUMBER}\b", part)
    return numbers


def cited_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{NUMBER}\b", RANGE.sub("", text)))


def rules() -> list[str]:
    contract = (ROOT / "docs" / "semantics.md").read_text()
    return rules_in(contract.partition("\n## Differences")[0])


def files_of_tests() -> list[Path]:
    paths = (ROOT / "tests").rglob("test_*.py")
    return [path for path in paths if "node_modules" not in path.parts and path != Path(__file__)]


def test_every_rule_is_cited_by_a_test():
    cited = set().union(*(cited_in(path.read_text()) for path in files_of_tests()))
    assert [rule for rule in rules() if rule not in cited] == []


def test_no_number_is_given_to_two_rules():
    assert [rule for rule, times in Counter(rules()).items() if times > 1] == []


def test_the_check_reads_heads_of_every_form():
    text = "- **P1** A process.\n- **G14, G15** Results.\n- **S1, S3 to S5** Strategies.\n- text **P9** here\n"
    assert rules_in(text) == ["P1", "G14", "G15", "S1", "S3", "S4", "S5"]


def test_a_range_cites_nothing():
    assert cited_in('"""Starts (semantics PL, G1 to G5, SM8)."""\n"""P9; L1, M5."""') == {
        "SM8",
        "P9",
        "L1",
        "M5",
    }
