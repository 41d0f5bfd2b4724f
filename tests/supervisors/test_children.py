"""The child table: S27, S30, S31; OTP order_of_children, scale_start_stop_many_children."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from actors.pid import Pid
from supervisors.child_spec import ChildSpec, ChildType, Restart
from supervisors.children import RESTARTING, ChildCount, ChildInfo, Children
from supervisors.exceptions import InvalidSpecError


class Nobody:
    """Stands where the process of a pid would; the table never looks at it."""

    name = None


def pid(serial: int) -> Pid:
    return Pid("test", serial, "child", Nobody())  # type: ignore[arg-type]  # never reached


async def start(*_: Any) -> Any:
    """Never called here."""


class Unhashable:
    """In a way of its own."""

    def __hash__(self) -> int:
        raise ValueError("no hash")


def test_a_child_is_found_by_its_id_and_while_it_runs_by_its_pid():
    children = Children()
    child = children.add(ChildSpec("a", start))
    first, second = pid(1), pid(2)
    children.set_running(child, first)
    children.set_running(child, second)
    assert (
        children.by_id("a")
        is children.by_pid(second)
        is children.find("a")
        is children.find(second)
    )
    assert children.by_pid(first) is None
    children.set_stopped(child)
    assert children.by_pid(second) is None
    assert child.stopped


def test_what_cannot_be_an_id_is_found_nowhere():
    """S27 to S30."""
    children = Children()
    children.add(ChildSpec("a", start))
    for unhashable in (["a"], Unhashable()):
        assert children.by_id(unhashable) is None  # type: ignore[arg-type]  # the point
        assert children.find(unhashable) is None  # type: ignore[arg-type]  # the point


def test_ids_must_differ():
    """S3: {duplicate_child_name, Id}."""
    children = Children()
    children.add(ChildSpec("a", start))
    with pytest.raises(InvalidSpecError, match="duplicate_child_name"):
        children.add(ChildSpec("a", start))


def test_which_children_lists_the_newest_first():
    """S30."""
    children = Children()
    a, b, c = (children.add(ChildSpec(id, start)) for id in "abc")
    running = pid(1)
    children.set_running(a, running)
    children.set_restarting(b)
    assert children.which() == [
        ChildInfo("c", None, ChildType.WORKER),
        ChildInfo("b", RESTARTING, ChildType.WORKER),
        ChildInfo("a", running, ChildType.WORKER),
    ]
    assert c.stopped


def test_count_children_counts_rows_runners_and_types():
    """S30: a restarting child is no active one, a stopped supervisor still a supervisor."""
    children = Children()
    children.set_running(children.add(ChildSpec("a", start)), pid(1))
    children.set_restarting(children.add(ChildSpec("b", start)))
    children.add(ChildSpec("c", start, type=ChildType.SUPERVISOR))
    assert children.count() == ChildCount(specs=3, active=1, supervisors=1, workers=2)


def test_a_temporary_child_that_stops_is_forgotten():
    """S8, S27."""
    children = Children()
    child = children.add(ChildSpec("a", start, restart=Restart.TEMPORARY))
    children.set_running(child, pid(1))
    children.set_stopped(child)
    assert children.by_id("a") is None
    assert len(children) == 0


def test_the_arguments_of_a_running_temporary_child_are_not_kept():
    """S31, do_not_save_start_parameters_for_temporary_children."""
    children = Children()
    child = children.add(ChildSpec("a", (start, ("large",)), restart=Restart.TEMPORARY))
    children.set_running(child, pid(1))
    assert child.spec.start == (start, (), {})


def test_the_rows_behind_a_child_come_newest_first():
    """S11."""
    children = Children()
    a, b, c = (children.add(ChildSpec(id, start)) for id in "abc")
    assert children.started_after(a) == [c, b]
    assert children.started_after(c) == []


def seconds_to_fill_and_empty(count: int) -> float:
    children, began = Children(), time.process_time()
    for serial in range(count):
        children.set_running(children.add(ChildSpec(serial, start)), pid(serial))
    for child in list(reversed(children)):
        children.set_stopped(child)
        children.remove(child)
    return time.process_time() - began


def test_filling_and_emptying_a_large_table_is_not_quadratic():
    """scale_start_stop_many_children: sixteen times the children may take 64 times as long, not 256 times."""
    gc.disable()  # to collect what the whole suite has left behind is not the table's work
    try:
        small = min(seconds_to_fill_and_empty(1_000) for _ in range(3))
        large = min(seconds_to_fill_and_empty(16_000) for _ in range(3))
    finally:
        gc.enable()
    assert large < 64 * small
