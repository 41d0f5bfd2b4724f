"""What a supervisor decides when a child is gone; the supervisor carries it out. Pure.

Three questions, three functions, each OTP's table: is the child started again (`after_exit`, S8),
who goes down and comes up with it (`plan_restart`, S10 to S12), does the supervisor end because of
it (`shutdown_due`, S32).
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from typing import assert_never

import attrs

from actors.exits import is_orderly
from supervisors.child_spec import Restart
from supervisors.children import Child, Children
from supervisors.flags import AutoShutdown, Strategy

__all__ = ("AfterExit", "RestartPlan", "after_exit", "plan_restart", "shutdown_due")


class AfterExit(enum.Enum):
    """What becomes of a child that ended by itself."""

    RESTART = "restart"
    KEEP = "keep"  # the row stays, stopped
    FORGET = "forget"


@attrs.frozen
class RestartPlan:
    """Ids of the children to stop, in this order, and then to start, in this order.

    Stopping a temporary child forgets it. If a child fails to start the rest of the plan is void:
    the supervisor plans again, with that child as the failed one (S15).
    """

    stop: tuple[Hashable, ...]
    start: tuple[Hashable, ...]


def after_exit(restart: Restart, reason: object) -> AfterExit:
    """What becomes of a child of this restart type that ended with `reason` (S8)."""
    match restart:
        case Restart.PERMANENT:
            return AfterExit.RESTART
        case Restart.TRANSIENT:
            return AfterExit.KEEP if is_orderly(reason) else AfterExit.RESTART
        case Restart.TEMPORARY:
            return AfterExit.FORGET


def plan_restart(strategy: Strategy, children: Children, failed: Child) -> RestartPlan:
    """Who goes down and comes up with `failed`, which does not run any more.

    [a, b, c, d], b failed: one_for_one starts b; rest_for_one stops d, c and starts b, c, d;
    one_for_all stops d, c, a and starts a, b, c, d. Groups also start children that were stopped,
    and drop temporary ones (S12).
    """
    match strategy:
        case Strategy.ONE_FOR_ONE:
            newest_first = [failed]
        case Strategy.REST_FOR_ONE:
            newest_first = [*children.started_after(failed), failed]
        case Strategy.ONE_FOR_ALL:
            newest_first = list(reversed(children))
        case _:
            assert_never(strategy)
    return RestartPlan(
        stop=tuple(c.id for c in newest_first if c is not failed and not c.stopped),
        start=tuple(
            c.id for c in reversed(newest_first) if c.spec.restart is not Restart.TEMPORARY
        ),
    )


def shutdown_due(mode: AutoShutdown, ended: Child, children: Children) -> bool:
    """Must the supervisor end because `ended` did, by itself and for good? (S32)

    `children` is the book after `ended` was stopped or forgotten.
    """
    if mode is AutoShutdown.NEVER or not ended.spec.significant:
        return False
    if mode is AutoShutdown.ANY_SIGNIFICANT:
        return True
    return not any(child.spec.significant and not child.stopped for child in children)
