"""The same scenarios on real OTP and here: exit reasons, traces, counts and results agree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from tests.conformance.otp.scenarios import Lines, run_all
from tests.conftest import require

SCRIPT = Path(__file__).parent / "oracle.exs"
HOW_TO_GET_IT = "apt install elixir"

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def oracle() -> Lines:
    """What happens on OTP."""
    elixir = require("elixir", HOW_TO_GET_IT)
    done = subprocess.run([elixir, SCRIPT], capture_output=True, text=True, timeout=120, check=True)
    return dict(line.split("|", 1) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def ours() -> Lines:
    """What happens here, on a clock that jumps."""
    with structlog.testing.capture_logs():
        return trio.run(run_all, clock=MockClock(autojump_threshold=0))


def as_of_otp_26(name: str, what: str) -> str:
    """Since OTP 26 a failed start leaves no EXIT behind in a starter that traps exits (PL2)."""
    return re.sub("left: EXIT .*", "left: ", what) if name.endswith(" trapping") else what


def test_both_sides_play_the_same_scenarios(oracle, ours):
    assert set(oracle) - {"otp"} == set(ours)
    assert len(ours) == 73


def test_what_happens_here_is_what_happens_on_otp(oracle, ours):
    release = int(oracle["otp"])
    expected = {
        name: as_of_otp_26(name, what) if release < 26 else what
        for name, what in oracle.items()
        if name != "otp"
    }
    differences = {
        name: (what, ours[name]) for name, what in expected.items() if ours[name] != what
    }
    assert differences == {}
