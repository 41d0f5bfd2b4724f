"""Supervisor flags: S1, S3; OTP sup_flags."""

from __future__ import annotations

import math
from typing import Any

import pytest

from supervisors.exceptions import InvalidFlagError
from supervisors.flags import AutoShutdown, Strategy, SupervisorFlags


def test_the_defaults_are_elixirs_with_one_for_one():
    """S1."""
    assert SupervisorFlags() == SupervisorFlags(
        strategy=Strategy.ONE_FOR_ONE,
        max_restarts=3,
        max_seconds=5.0,
        auto_shutdown=AutoShutdown.NEVER,
    )


def test_words_are_taken_for_the_enumerations():
    """Elixir Supervisor 3: flags are translated."""
    flags = SupervisorFlags(strategy="rest_for_one", auto_shutdown="any_significant")
    assert flags == SupervisorFlags(
        Strategy.REST_FOR_ONE, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT
    )


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("strategy", "none_for_one", "invalid_strategy"),
        ("strategy", 1, "invalid_strategy"),
        ("max_restarts", -1, "invalid_intensity"),
        ("max_restarts", 1.5, "invalid_intensity"),
        ("max_restarts", True, "invalid_intensity"),
        ("max_seconds", 0, "invalid_period"),
        ("max_seconds", math.inf, "invalid_period"),
        ("max_seconds", 10**400, "invalid_period"),
        ("max_seconds", "5", "invalid_period"),
        ("auto_shutdown", "some", "invalid_auto_shutdown"),
    ],
)
def test_a_wrong_flag_is_refused_with_otps_word(field: str, value: Any, word: str):
    """S3, sup_flags."""
    with pytest.raises(InvalidFlagError) as caught:
        SupervisorFlags(**{field: value})
    assert (caught.value.word, caught.value.value) == (word, value)
