"""How long a busy server goes on: decided by value, on a clock of the test's own."""

from __future__ import annotations

import pytest

from actors import turns
from actors.turns import GLANCE, MESSAGES_PER_TURN, SECONDS_PER_TURN, UNTIMED, Turn


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "perf_counter", clock)
    return clock


def handled(turn: Turn, clock: Clock, seconds: float) -> int:
    """How many messages of so many `seconds` each a server handles before it must yield."""
    credit, count = UNTIMED, 0
    while credit:
        clock.now += credit * seconds
        count += credit
        credit = turn.look()
    return count


def test_messages_that_take_no_time_are_limited_by_their_number(clock):
    assert handled(Turn(), clock, 0.0) == pytest.approx(MESSAGES_PER_TURN, abs=GLANCE)


def test_quick_messages_are_limited_by_time(clock):
    seconds = SECONDS_PER_TURN / 100
    assert 100 <= handled(Turn(), clock, seconds) <= 100 + 2 * GLANCE


def test_while_messages_are_quick_the_clock_is_looked_at_more_and_more_rarely(clock):
    turn = Turn()
    assert [turn.look() for _ in range(7)] == [1, 2, 4, 8, GLANCE, GLANCE, GLANCE]


def test_while_messages_are_slow_the_clock_is_looked_at_after_each_message(clock):
    turn = Turn()
    slow = SECONDS_PER_TURN * 2
    assert handled(turn, clock, slow) <= UNTIMED + 1  # it is not trusted beforehand
    assert turn.begin() == 1
    credit = turn.look()
    assert credit == 1
    clock.now += slow
    assert turn.look() == 0


def test_a_server_that_has_been_quick_is_trusted_in_its_next_turn(clock):
    turn = Turn()
    handled(turn, clock, 0.0)
    assert turn.begin() == GLANCE


def test_one_slow_look_ends_the_trust(clock):
    turn = Turn()
    handled(turn, clock, 0.0)
    turn.begin()
    turn.look()
    clock.now += SECONDS_PER_TURN / 2
    assert turn.look() == 1
