"""Backoff: ours, not OTP's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.backoff import Backoff


def test_the_delay_doubles_up_to_its_cap():
    backoff = Backoff(0.5, 3.0, jitter=0.0)
    assert [backoff.delay(n, lambda: 0.5) for n in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_takes_away_a_share_of_the_delay_by_chance():
    backoff = Backoff(1.0, 8.0, jitter=0.5)
    assert backoff.delay(1, lambda: 0.0) == 2.0
    assert backoff.delay(1, lambda: 0.5) == 1.5


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_no_delay_leaves_its_limits(attempt: int, chance: float, jitter: float):
    backoff = Backoff(0.1, 30.0, jitter)
    assert 0.0 <= backoff.delay(attempt, lambda: chance) <= 30.0


def test_a_child_that_lived_as_long_as_the_cap_starts_over():
    backoff = Backoff(0.1, 30.0)
    assert backoff.next_attempt(4, uptime=29.9) == 5
    assert backoff.next_attempt(4, uptime=30.0) == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("base", (0,)), ("cap", (1, -1)), ("jitter", (1, 1, 1.1)), ("jitter", (1, 1, -0.1))],
)
def test_a_wrong_value_is_refused_by_its_name(name: str, arguments: tuple[float, ...]):
    with pytest.raises(ValueError, match=f"Backoff.{name}"):
        Backoff(*arguments)
