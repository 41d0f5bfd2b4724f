"""The restart window: S17."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.intensity import RestartWindow


def verdicts(window: RestartWindow, *times: float) -> list[bool]:
    return [window.record(time) for time in times]


def test_the_restart_after_the_last_allowed_one_is_refused():
    """S17: Elixir's 3 in 5 s: kills 1 to 3 restart, the 4th ends it."""
    assert verdicts(RestartWindow(3, 5.0), 0, 1, 2, 3) == [True, True, True, False]


def test_no_restarts_allowed_means_that_the_first_one_is_refused():
    """S17: intensity 0."""
    assert verdicts(RestartWindow(0, 5.0), 0) == [False]


def test_restarts_that_are_older_than_the_period_are_forgotten():
    """S17, multiple_restarts."""
    assert verdicts(RestartWindow(1, 5.0), 0, 5.1, 10.2, 15.3) == [True] * 4


def test_a_restart_exactly_one_period_ago_still_counts():
    """S17: the comparison is inclusive."""
    assert verdicts(RestartWindow(1, 5.0), 0, 5.0) == [True, False]


def test_fractions_of_a_second_count():
    """S17: OTP truncates to whole seconds, we do not."""
    assert verdicts(RestartWindow(1, 0.5), 0.0, 0.6, 1.0) == [True, True, False]


@given(
    st.integers(0, 4),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=30),
)
def test_it_agrees_with_counting_all_restarts(limit: int, period: float, gaps: list[float]):
    window, times, now = RestartWindow(limit, period), [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
        counted = [time for time in times if time >= now - period]
        assert window.record(now) == (len(counted) <= limit)
        assert len(window) == len(counted)


@pytest.mark.parametrize("restarts", [10_000])
def test_a_long_history_does_not_accumulate(restarts: int):
    window = RestartWindow(3, 5.0)
    for second in range(restarts):
        window.record(second * 10.0)
    assert len(window) == 1
