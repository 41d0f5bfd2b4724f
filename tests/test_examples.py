"""Each example runs, and prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = ("counter", "tree")


def run_example(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_the_readme_says(name):
    shown = re.search(rf"<!-- output of examples\.{name} -->\n```\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert run_example(name) == shown[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_shorter_than_40_lines(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 40


def test_the_readmes_first_program_prints_what_it_says():
    program = README.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "count: 42\n", done.stderr
