"""What a supervisor decides, without a supervisor: S8, S10 to S12, S15, S32."""

from __future__ import annotations

from typing import Any

import pytest

from actors.exits import KILLED, NOCONNECTION, NOPROC, NORMAL, SHUTDOWN, TIMEOUT, Crash, Shutdown
from actors.pid import Pid
from supervisors.child_spec import ChildSpec, Restart
from supervisors.children import Child, Children
from supervisors.flags import AutoShutdown, Strategy
from supervisors.strategies import AfterExit, RestartPlan, after_exit, plan_restart, shutdown_due

ORDERLY = [NORMAL, SHUTDOWN, Shutdown("why")]
ABNORMAL = [KILLED, NOPROC, NOCONNECTION, TIMEOUT, Crash(ValueError()), "any other value"]


class Nobody:
    """Stands where the process of a pid would; the table never looks at it."""

    name = None


async def start() -> Any:
    """Never called here."""


def family(ids: str, *, stopped: str = "", restarting: str = "", temporary: str = "") -> Children:
    """Children a, b, c, ... that run, but for those named."""
    children = Children()
    for serial, id in enumerate(ids):
        restart = Restart.TEMPORARY if id in temporary else Restart.PERMANENT
        child = children.add(ChildSpec(id, start, restart=restart))
        if id in restarting:
            children.set_restarting(child)
        elif id not in stopped:
            children.set_running(child, Pid("test", serial, id, Nobody()))  # type: ignore[arg-type]  # never reached
    return children


def row(children: Children, id: str) -> Child:
    child = children.by_id(id)
    assert child is not None
    return child


def plan(strategy: Strategy, children: Children, failed: str) -> tuple[str, str]:
    """The plan as two words: "dc" stopped, "bcd" started."""
    child = row(children, failed)
    children.set_stopped(child)
    decided = plan_restart(strategy, children, child)
    assert isinstance(decided, RestartPlan)
    return "".join(map(str, decided.stop)), "".join(map(str, decided.start))


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=repr)
def test_a_permanent_child_is_restarted_whatever_the_reason(reason: object):
    """S8."""
    assert after_exit(Restart.PERMANENT, reason) is AfterExit.RESTART


@pytest.mark.parametrize("reason", ORDERLY, ids=repr)
def test_a_transient_child_that_ends_in_order_is_kept_but_not_restarted(reason: object):
    """S8."""
    assert after_exit(Restart.TRANSIENT, reason) is AfterExit.KEEP


@pytest.mark.parametrize("reason", ABNORMAL, ids=repr)
def test_a_transient_child_that_ends_otherwise_is_restarted(reason: object):
    """S8: noproc, killed, noconnection and timeout are abnormal."""
    assert after_exit(Restart.TRANSIENT, reason) is AfterExit.RESTART


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=repr)
def test_a_temporary_child_is_forgotten_whatever_the_reason(reason: object):
    """S8."""
    assert after_exit(Restart.TEMPORARY, reason) is AfterExit.FORGET


@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        (Strategy.ONE_FOR_ONE, "", "b"),
        (Strategy.REST_FOR_ONE, "dc", "bcd"),
        (Strategy.ONE_FOR_ALL, "dca", "abcd"),
    ],
    ids=str,
)
def test_the_strategy_says_who_goes_down_and_comes_up_with_the_failed_child(
    strategy: Strategy, stop: str, start: str
):
    """S10, S11, S12."""
    assert plan(strategy, family("abcd"), "b") == (stop, start)


@pytest.mark.parametrize(
    ("strategy", "start"),
    [(Strategy.ONE_FOR_ONE, "b"), (Strategy.REST_FOR_ONE, "bcd"), (Strategy.ONE_FOR_ALL, "abcd")],
    ids=str,
)
def test_a_group_resurrects_its_stopped_children(strategy: Strategy, start: str):
    """S12: also those that terminate_child stopped; they need no stopping."""
    assert plan(strategy, family("abcd", stopped="acd"), "b") == ("", start)


@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        (Strategy.ONE_FOR_ONE, "", "b"),
        (Strategy.REST_FOR_ONE, "dc", "bd"),
        (Strategy.ONE_FOR_ALL, "dca", "bd"),
    ],
    ids=str,
)
def test_temporary_siblings_go_down_and_do_not_come_up(strategy: Strategy, stop: str, start: str):
    """S12."""
    assert plan(strategy, family("abcd", temporary="ac"), "b") == (stop, start)


def test_a_sibling_that_is_being_restarted_is_stopped_and_started_with_the_group():
    """S12, S15: stopping it ends its attempts."""
    assert plan(Strategy.ONE_FOR_ALL, family("abc", restarting="c"), "b") == ("ca", "abc")


def test_when_another_child_of_a_rest_fails_the_plan_is_made_for_that_child():
    """S15: rest_for_one(1..4): 2 was killed, 3 failed to start: 2 keeps running."""
    children = family("1234", stopped="4", restarting="3")
    assert plan(Strategy.REST_FOR_ONE, children, "3") == ("", "34")


def test_when_another_child_of_all_fails_those_started_already_go_down_again():
    """S15: one_for_all(1, 2, 3): 3 was killed, 2 failed to start after 1 was started."""
    children = family("123", stopped="3", restarting="2")
    assert plan(Strategy.ONE_FOR_ALL, children, "2") == ("1", "123")


def significant_family(*, stopped: str = "", restarting: str = "") -> Children:
    children = Children()
    for serial, id in enumerate("abc"):
        spec = ChildSpec(id, start, restart=Restart.TRANSIENT, significant=id != "c")
        child = children.add(spec)
        if id in restarting:
            children.set_restarting(child)
        elif id not in stopped:
            children.set_running(child, Pid("test", serial, id, Nobody()))  # type: ignore[arg-type]  # never reached
    return children


@pytest.mark.parametrize(
    ("mode", "ended", "others", "due"),
    [
        (AutoShutdown.NEVER, "a", {"stopped": "a"}, False),
        (AutoShutdown.ANY_SIGNIFICANT, "a", {"stopped": "a"}, True),
        (AutoShutdown.ANY_SIGNIFICANT, "c", {"stopped": "c"}, False),
        (AutoShutdown.ALL_SIGNIFICANT, "a", {"stopped": "a"}, False),
        (AutoShutdown.ALL_SIGNIFICANT, "a", {"stopped": "ab"}, True),
        (AutoShutdown.ALL_SIGNIFICANT, "a", {"stopped": "a", "restarting": "b"}, False),
        (AutoShutdown.ALL_SIGNIFICANT, "c", {"stopped": "c"}, False),
    ],
    ids=[
        "never",
        "any",
        "any-insignificant",
        "all-one-is-left",
        "all-none-is-left",
        "all-restarting-counts-as-alive",
        "all-insignificant",
    ],
)
def test_significant_children_may_end_their_supervisor(
    mode: AutoShutdown, ended: str, others: dict[str, str], due: bool
):
    """S32."""
    children = significant_family(**others)
    assert shutdown_due(mode, row(children, ended), children) is due
