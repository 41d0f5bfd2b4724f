"""Backoff: ours, not OTP's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.backoff import Backoff, Delays


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


# -- the attempts of a child ---------------------------------------------------------------------


def waits(*lives: float | None) -> list[float]:
    """How long a child waits each time that it has failed, when it then lived so many seconds.
    None: it did not start, which took five.
    """
    delays, backoff = Delays(lambda: 0.0), Backoff(0.1, 2.0, jitter=0.0)
    now, found = 100.0, []
    for life in lives:
        delay = delays.next("child", backoff, now)
        found.append(delay)
        now += delay + 5.0  # the time that its start took
        if life is not None:
            delays.started("child", now)
            now += life
    return found


def test_starts_that_fail_are_made_more_and_more_rarely_however_long_they_take():
    assert waits(None, None, None, None, None, None, None) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_slow_start_is_no_life():
    assert waits(0.0, 0.0, 0.0, 0.0) == [0.1, 0.2, 0.4, 0.8]


def test_who_has_lived_for_the_cap_since_its_start_begins_anew():
    assert waits(None, None, 1.9, 2.0, 0.0) == [0.1, 0.2, 0.4, 0.8, 0.1]


def test_a_child_that_is_gone_begins_anew():
    delays, backoff = Delays(lambda: 0.0), Backoff(0.1, 2.0, jitter=0.0)
    assert [delays.next("child", backoff, now) for now in (1.0, 2.0)] == [0.1, 0.2]
    delays.rename("child", "successor")
    assert delays.next("successor", backoff, 3.0) == 0.4
    delays.forget("successor")
    assert delays.next("successor", backoff, 4.0) == 0.1
