"""The programs in docs/guides run, and print what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDES = ROOT / "docs" / "guides"
PROGRAM = re.compile(
    r"<!-- run -->\n```python\n(.*?)```\n<!-- prints -->\n```\n(.*?)```", re.DOTALL
)
PROGRAMS = PROGRAM.findall((GUIDES / "back-pressure.md").read_text())


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_guide_to_back_pressure_prints_what_it_says(number: int) -> None:
    program, output = PROGRAMS[number]
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == output


def test_the_guide_to_back_pressure_has_programs() -> None:
    assert len(PROGRAMS) == 3


def test_the_guide_to_testing_is_a_file_of_tests_that_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (GUIDES / "testing.md").read_text(), re.DOTALL)
    (tmp_path / "test_guide.py").write_text("\n\n".join(blocks))
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        "-c",
        str(tmp_path / "pytest.ini"),
    )
    done = python("-m", "pytest", *options, str(tmp_path / "test_guide.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
