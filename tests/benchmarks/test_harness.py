"""The harness itself: its statistics, its framing, its tables, and one quick run of a raw limit.

No test here says anything about time.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness import report
from benchmarks.harness.contest import hold
from benchmarks.harness.contestants import Role
from benchmarks.harness.curves import Curve, markdown
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.figures import Spread, ratio
from benchmarks.harness.goals import (
    PLANS_PACE,
    ahead_of_every_peer,
    at_most,
    at_the_plans_pace,
    of_limit,
    times,
)
from benchmarks.harness.lines import Remote, RemoteError
from benchmarks.harness.options import Options
from benchmarks.harness.plot import svg
from benchmarks.harness.stopwatch import percentile
from benchmarks.harness.units import BYTES, CPU, P50, RATE
from benchmarks.load.framing import Frames, masked, whole_frame
from benchmarks.peers.raw_server import framed, unmasked

ROOT = Path(__file__).resolve().parents[2]


class Scripted:
    """A contestant whose samples are given."""

    def __init__(self, name, role, *samples, broken=None):
        self.name, self.role = name, role
        self._samples = list(samples)
        self._broken = broken
        self.closed = False

    def open(self):
        return {"scripted": "1.0"}

    def sample(self):
        if self._broken:
            raise UnavailableError(self._broken)
        return self._samples.pop(0)

    def close(self):
        self.closed = True


def rates(*values):
    return [{"rate": float(value), "cpu_us": 1e6 / value} for value in values]


def contest(*contestants, goals=(), quick=False, rounds=3):
    options = Options(quick=quick, rounds=rounds)
    return hold("a title", contestants, options, figure=RATE, others=(CPU,), goals=goals)


# -- statistics ----------------------------------------------------------------------------------


def test_a_spread_is_the_median_between_the_lowest_and_the_highest():
    spread = Spread.of([3.0, 1.0, 8.0])
    assert (spread.median, spread.low, spread.high) == (3.0, 1.0, 8.0)


def test_a_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        Spread.of([])


def test_a_ratio_is_the_one_in_the_middle_of_those_of_the_rounds():
    in_a_slow_minute, in_a_fast_one = [40, 40], [100, 100, 100]
    ours = Spread.of([*in_a_slow_minute, *in_a_fast_one])
    limit = Spread.of([80, 80, 200, 80, 200])  # it was slow in another round
    assert ratio(ours, limit) == 0.5


def test_a_ratio_to_zero_is_infinite():
    assert ratio(Spread.of([1]), Spread.of([0])) == math.inf


def test_a_ratio_says_nothing_of_rounds_in_which_both_are_zero():
    assert ratio(Spread.of([0, 3, 0]), Spread.of([0, 2, 0])) == 1.5
    assert math.isnan(ratio(Spread.of([0]), Spread.of([0])))


def test_a_ratio_of_different_rounds_is_refused():
    with pytest.raises(ValueError, match="zip"):
        ratio(Spread.of([1, 2]), Spread.of([1]))


@given(st.lists(st.floats(0, 1e9), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_was_measured_and_leaves_that_share_below(values, percent):
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= percent / 100 * len(ordered) - 1e-9


@pytest.mark.parametrize("percent", [0, -1, 101])
def test_a_percentile_outside_its_range_is_refused(percent):
    with pytest.raises(ValueError, match=r"\(0, 100\]"):
        percentile([1.0], percent)


# -- contests ------------------------------------------------------------------------------------


def test_the_first_round_is_thrown_away():
    result = contest(Scripted("ours", Role.OURS, *rates(1, 50, 60, 70)))
    assert result.headline(result.entries[0]) == Spread.of([50.0, 60.0, 70.0])


def test_a_quick_contest_has_no_round_to_throw_away():
    result = contest(Scripted("ours", Role.OURS, *rates(50)), quick=True, rounds=1)
    assert len(result.headline(result.entries[0]).rounds) == 1


def test_a_contestant_that_fails_is_reported_and_closed_and_the_others_go_on():
    broken = Scripted("b", Role.PEER, broken="pip failed: no such package")
    result = contest(broken, Scripted("ours", Role.OURS, *rates(1, 2, 2, 2)))
    assert "b: pip failed: no such package" in report.text(result)
    assert result.ours is not None
    assert broken.closed


def test_goals_are_judged_by_the_round_in_the_middle():
    result = contest(
        Scripted("raw", Role.LIMIT, *rates(1, 100, 100, 100)),
        Scripted("ours", Role.OURS, *rates(1, 70, 80, 10_000)),
        Scripted("slow peer", Role.PEER, *rates(1, 50, 50, 50)),
        Scripted("fast peer", Role.PEER, *rates(1, 90, 90, 90)),
        goals=(of_limit(0.75), ahead_of_every_peer, times(2.0, "slow")),
    )
    assert [verdict.met for verdict in result.verdicts] == [True, False, False]


def test_for_memory_less_is_better():
    def sizes(*values):
        return [{"bytes": float(value)} for value in values]

    result = hold(
        "memory",
        [
            Scripted("raw", Role.LIMIT, *sizes(3900, 3900)),
            Scripted("ours", Role.OURS, *sizes(4000, 4000)),
            Scripted("peer", Role.PEER, *sizes(22_000, 22_000)),
        ],
        Options(rounds=1),
        figure=BYTES,
        goals=(at_most(5 * 1024), ahead_of_every_peer, of_limit(1.1), of_limit(1.0)),
    )
    assert [verdict.met for verdict in result.verdicts] == [True, True, True, False]


@pytest.mark.parametrize(
    ("pace", "rate", "met"),
    [(0.5, 101, True), (0.5, 99, False), (2.0, 399, False), (2.0, 401, True)],
)
def test_a_rate_is_asked_at_the_pace_of_the_machines_that_it_was_written_for(pace, rate, met):
    limit = [{**figures, "pace": pace * PLANS_PACE} for figures in rates(1, 9, 9, 9)]
    result = contest(
        Scripted("raw", Role.LIMIT, *limit),
        Scripted("ours", Role.OURS, *rates(1, rate, rate, rate)),
        goals=(at_the_plans_pace(200.0),),
    )
    assert result.verdicts[0].met is met
    assert f"{pace:.2f}" in result.verdicts[0].found


@pytest.mark.parametrize(("micros", "met"), [(399.0, True), (401.0, False)])
def test_a_time_may_be_longer_on_a_slower_machine(micros, met):
    result = hold(
        "a title",
        [
            Scripted("raw", Role.LIMIT, {"p50_us": 1.0, "pace": PLANS_PACE / 2}),
            Scripted("ours", Role.OURS, {"p50_us": micros}),
        ],
        Options(quick=True, rounds=1),
        figure=P50,
        goals=(at_the_plans_pace(200.0),),
    )
    assert result.verdicts[0].met is met


def test_without_the_pace_of_this_machine_it_is_not_judged():
    result = contest(
        Scripted("raw", Role.LIMIT, *rates(1, 2, 3, 4)),
        Scripted("ours", Role.OURS, *rates(1, 2, 3, 4)),
        goals=(at_the_plans_pace(1.0),),
    )
    assert result.verdicts[0].met is None


def test_a_goal_without_its_figures_is_neither_met_nor_missed():
    result = contest(Scripted("raw", Role.LIMIT, *rates(1, 2, 3, 4)), goals=(of_limit(0.5),))
    assert result.verdicts[0].met is None


def test_the_json_has_every_figure_and_ratio():
    result = contest(
        Scripted("raw", Role.LIMIT, *rates(1, 100, 100, 100)),
        Scripted("ours", Role.OURS, *rates(1, 50, 50, 50)),
    )
    entry = json.loads(json.dumps(report.json_object([result])))["results"][0]["entries"][1]
    assert entry["of_limit"] == 0.5
    assert entry["of_limit_by_cpu"] == 0.5
    assert entry["figures"]["rate"] == {"median": 50, "low": 50, "high": 50, "rounds": [50] * 3}


# -- curves --------------------------------------------------------------------------------------


def curve(*costs):
    points = tuple((10**power, Spread.of([cost])) for power, cost in enumerate(costs, start=1))
    return Curve("call", "processes", points)


def test_a_cost_that_doubles_is_flat_and_one_that_grows_with_the_size_is_not():
    assert curve(1.0, 1.5, 2.0).flat
    assert not curve(1.0, 10.0, 100.0).flat


def test_a_curve_that_could_not_be_measured_says_why_in_the_table():
    assert "no such server" in markdown([curve(1.0, 1.0), Curve("echo", "x", (), "no such server")])


def test_the_plot_is_svg_with_a_dot_for_each_point():
    tree = ET.fromstring(svg("a title", [curve(1.0, 2.0, 3.0), curve(0.5, 0.5)]))
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}circle"))) == 5


# -- framing -------------------------------------------------------------------------------------


@given(st.binary(min_size=0, max_size=300))
def test_the_raw_server_reads_what_the_load_writes(payload):
    frame = masked(payload)
    assert unmasked(frame, 0) == (payload, len(frame))


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 50))
def test_the_load_reads_frames_however_they_are_cut(payloads, size):
    wire, frames = b"".join(framed(payload) for payload in payloads), Frames()
    found = [f for at in range(0, len(wire), size) for f in frames.feed(wire[at : at + size])]
    assert found == [(1, payload) for payload in payloads]
    assert not frames.unfinished


@given(st.binary(min_size=1, max_size=300), st.integers(1, 300))
def test_one_whole_frame_is_told_from_a_part_and_from_two(payload, cut):
    frame = framed(payload)
    assert whole_frame(bytearray(frame), len(frame))
    assert not whole_frame(bytearray(frame + frame), 2 * len(frame))
    if cut < len(frame):
        assert not whole_frame(bytearray(frame), cut)


# -- a real worker -------------------------------------------------------------------------------


@pytest.fixture
def limits(tmp_path):
    command = [sys.executable, "-m", "benchmarks.peers.trio_limits"]
    remote = Remote(command, directory=ROOT, log=tmp_path / "log", core=None)
    yield remote
    remote.close()


def test_the_raw_limit_answers_with_figures(limits):
    figures = limits.request("call", callers=1, seconds=0.01)
    assert figures["rate"] > 0
    assert figures["p50_us"] <= figures["p95_us"] <= figures["p99_us"]


def test_a_worker_says_what_it_cannot_do_and_what_went_wrong(limits):
    assert "unsupported" in limits.request("fly")
    with pytest.raises(RemoteError, match="TypeError"):
        limits.request("call", colour="blue")


def test_the_command_line_answers_one_question_in_json():
    command = ["-m", "benchmarks", "cast", "--quick", "--no-peers", "--json"]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    entries = json.loads(done.stdout)["results"][0]["entries"]
    assert [entry["role"] for entry in entries if not entry["missing"]] == ["limit", "ours"]


def test_an_unknown_question_is_refused_with_those_that_there_are():
    command = [sys.executable, "-m", "benchmarks", "love"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no question love; there are call, cast" in done.stderr
