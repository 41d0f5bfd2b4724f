"""Supervisor flags (OTP `supervisor`, sup_flags()): the strategy and what ends the supervisor.

The defaults are Elixir's: three restarts in five seconds. Elixir requires a strategy; here it is
`ONE_FOR_ONE` unless given, which is Erlang's default.
"""

from __future__ import annotations

import enum
import sys
from typing import Any

import attrs

from supervisors.exceptions import InvalidFlagError

__all__ = (
    "DEFAULT_MAX_RESTARTS",
    "DEFAULT_MAX_SECONDS",
    "AutoShutdown",
    "DynamicSupervisorFlags",
    "Strategy",
    "SupervisorFlags",
    "check_max_restarts",
    "check_max_seconds",
)

DEFAULT_MAX_RESTARTS = 3
DEFAULT_MAX_SECONDS = 5.0
_LONGEST = sys.float_info.max  # an int may be more


class Strategy(enum.StrEnum):
    """Who is started again with a child that failed."""

    ONE_FOR_ONE = "one_for_one"  # only the child itself (S10)
    ONE_FOR_ALL = "one_for_all"  # every child (S12)
    REST_FOR_ONE = "rest_for_one"  # the child and those started after it (S11)


class AutoShutdown(enum.StrEnum):
    """Whether the end of significant children ends the supervisor (S32)."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


_STRATEGIES = {str(strategy): strategy for strategy in Strategy}
_AUTO_SHUTDOWNS = {str(mode): mode for mode in AutoShutdown}


def _check_strategy(value: object) -> Strategy:
    strategy = _STRATEGIES.get(value) if isinstance(value, str) else None
    if strategy is None:
        raise InvalidFlagError("invalid_strategy", value, " or ".join(_STRATEGIES))
    return strategy


def check_max_restarts(value: object) -> int:
    """`value` if it may be `max_restarts`: an integer >= 0."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidFlagError("invalid_intensity", value, "max_restarts: an integer >= 0")


def check_max_seconds(value: object) -> float:
    """`value` if it may be `max_seconds`: finite seconds > 0."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST:
        return float(value)
    raise InvalidFlagError("invalid_period", value, "max_seconds: seconds > 0")


def _check_auto_shutdown(value: object) -> AutoShutdown:
    mode = _AUTO_SHUTDOWNS.get(value) if isinstance(value, str) else None
    if mode is None:
        raise InvalidFlagError("invalid_auto_shutdown", value, " or ".join(_AUTO_SHUTDOWNS))
    return mode


@attrs.frozen
class SupervisorFlags:
    """What a supervisor does when a child ends (S1).

    - `strategy`: who is started again with the child that failed.
    - `max_restarts`, `max_seconds`: more than `max_restarts` restarts within `max_seconds` seconds
      end the supervisor; 0 restarts ends it with the first failure.
    - `auto_shutdown`: whether the end of its significant children ends it.

    Raises `InvalidFlagError`, whose `word` is OTP's.
    """

    strategy: Strategy = attrs.field(default=Strategy.ONE_FOR_ONE, converter=_check_strategy)
    max_restarts: int = attrs.field(default=DEFAULT_MAX_RESTARTS, converter=check_max_restarts)
    max_seconds: float = attrs.field(default=DEFAULT_MAX_SECONDS, converter=check_max_seconds)
    auto_shutdown: AutoShutdown = attrs.field(
        default=AutoShutdown.NEVER, converter=_check_auto_shutdown
    )


def _check_max_children(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise InvalidFlagError("invalid_max_children", value, "an integer >= 0, or None for any number")


def _check_extra_arguments(value: object) -> tuple[Any, ...]:
    if isinstance(value, tuple | list):
        return tuple(value)
    raise InvalidFlagError("invalid_extra_arguments", value, "a tuple or list")


@attrs.frozen
class DynamicSupervisorFlags:
    """How many children a dynamic supervisor takes and how often they may fail (D1).

    - `max_restarts`, `max_seconds`: as in `SupervisorFlags`.
    - `max_children`: how many may run or restart at a time; None (default): any number.
    - `extra_arguments`: put before the arguments of every child's start function.

    Raises `InvalidFlagError`, whose `word` is OTP's.
    """

    max_restarts: int = attrs.field(
        default=DEFAULT_MAX_RESTARTS, converter=check_max_restarts, kw_only=True
    )
    max_seconds: float = attrs.field(
        default=DEFAULT_MAX_SECONDS, converter=check_max_seconds, kw_only=True
    )
    max_children: int | None = attrs.field(
        default=None, converter=_check_max_children, kw_only=True
    )
    extra_arguments: tuple[Any, ...] = attrs.field(
        default=(), converter=_check_extra_arguments, kw_only=True
    )
