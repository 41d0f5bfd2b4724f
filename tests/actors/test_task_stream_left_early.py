"""TaskStream: what is left when its tasks or its reader end early (semantics T8)."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    KILLED,
    TIMEOUT,
    Exited,
    Returned,
    TaskStream,
    current_node,
    open_node,
    self_pid,
    spawn,
    trap_exit,
)
from tests.actors.stream_programs import (
    CONCURRENCY,
    ITEMS,
    collect,
    double,
    nothing_is_left,
    slow_double,
)
from tests.actors.task_programs import stuck


@CONCURRENCY
async def test_leaving_early_leaves_nothing_behind(autojump_clock, limit):
    async def work(item):
        if item > 1:
            await trio.sleep_forever()
        return item

    async with open_node():
        async with TaskStream(ITEMS, work, max_concurrency=limit) as outcomes:
            assert await anext(outcomes) == Returned(1)
        await nothing_is_left()


def started_last():
    return list(current_node().processes)[-1]


async def test_a_task_that_ends_before_its_first_step_leaves_no_message():
    """T8, P13: it never comes to a place where it could unlink itself."""
    async with open_node():
        trap_exit()

        def items():
            yield 1
            started_last().exit(KILL)
            yield 2
            started_last().exit("signal")
            yield 3

        outcomes = await collect(TaskStream(items(), double, max_concurrency=3))
        assert outcomes == [Exited(KILLED), Exited("signal"), Returned(6)]
        await nothing_is_left()


async def test_a_task_that_does_not_unwind_leaves_no_message(autojump_clock):
    """T8, K1: it is declared dead from outside."""
    async with open_node(kill_grace=1.0):
        trap_exit()

        async def never_unwinds(item):
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)

        async with TaskStream([1], never_unwinds, timeout=None) as outcomes:
            spawn(kill_in_a_second)
            assert await anext(outcomes) == Exited(KILLED)
        await trio.sleep(10)
        await nothing_is_left()


async def kill_in_a_second():
    await trio.sleep(1)
    [_, _, task] = current_node().processes
    task.exit(KILL)


async def test_a_task_that_ends_before_its_first_step_takes_along_a_consumer_that_does_not_trap(
    node,
):
    """T8."""

    async def consume():
        def items():
            yield 1
            started_last().exit("signal")
            yield 2

        await collect(TaskStream(items(), double, max_concurrency=2))

    assert await spawn(consume).wait_exited() == "signal"


async def test_a_consumer_that_dies_takes_its_tasks_along(node):
    """T8: its half of the link stands."""
    consumer = spawn(collect, TaskStream(ITEMS, slow_double, timeout=None))
    await trio.testing.wait_all_tasks_blocked()
    assert len(node.processes) > 2
    consumer.exit(KILL)
    await consumer.wait_exited()
    await trio.testing.wait_all_tasks_blocked()
    assert len(node.processes) == 1


@pytest.mark.parametrize("trapping", [True, False])
async def test_an_exception_in_the_block_ends_the_tasks(autojump_clock, trapping):
    async with open_node():
        trap_exit(trapping)
        with pytest.raises(ZeroDivisionError):
            async with TaskStream([0, 1], trio.sleep, timeout=None) as outcomes:
                await anext(outcomes)
                1 // 0  # noqa: B018  # it raises
        await nothing_is_left()


async def test_tasks_that_do_not_end_when_the_stream_is_left_are_killed(autojump_clock):
    async def stubborn(item):
        if item == 1:
            return
        trap_exit()
        await trio.sleep_forever()

    async with open_node():
        started = trio.current_time()
        async with TaskStream([1, 2], stubborn, max_concurrency=2, shutdown=2) as outcomes:
            await anext(outcomes)
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() - started == 2
        await nothing_is_left()


@pytest.mark.parametrize("shutdown", [0, 2])
async def test_tasks_that_are_stuck_when_the_stream_is_left_are_killed_at_once(
    autojump_clock, shutdown
):
    """T8, K1: they unwind side by side, or are declared dead, late ones among them."""
    async with open_node(kill_grace=1.0):
        stream = TaskStream([100.0] * 4, stuck, max_concurrency=4, timeout=None, shutdown=shutdown)
        async with stream:
            with trio.move_on_after(1):
                await anext(stream)
            started = trio.current_time()
        assert trio.current_time() - started == pytest.approx(shutdown + 1)
        await nothing_is_left()


async def test_leaving_a_stream_waits_until_late_tasks_have_ended(autojump_clock):
    """T8."""
    async with open_node(kill_grace=5.0):
        stream = TaskStream([3.0, 3.0], stuck, timeout=1, on_timeout="kill_task")
        async with stream as outcomes:
            assert await anext(outcomes) == Exited(TIMEOUT)
        assert trio.current_time() == pytest.approx(1 + 3)
        await nothing_is_left()


async def test_with_shutdown_0_tasks_are_killed_at_once(autojump_clock):
    async def stubborn(_item):
        trap_exit()
        await trio.sleep_forever()

    async with open_node():
        async with TaskStream([1], stubborn, shutdown=0) as outcomes:
            with trio.move_on_after(1):
                await anext(outcomes)
        assert trio.current_time() == pytest.approx(1)
        await nothing_is_left()


async def test_a_consumer_that_is_killed_takes_its_tasks_along(node, autojump_clock):
    tasks: list[Any] = []

    async def work(_item):
        tasks.append(self_pid())
        trap_exit()
        await trio.sleep_forever()

    async def consumer():
        await collect(TaskStream(ITEMS, work, max_concurrency=4, timeout=None))

    pid = spawn(consumer)
    await trio.testing.wait_all_tasks_blocked()
    assert len(tasks) == 4
    pid.exit("gone")
    assert await pid.wait_exited() == "gone"
    for task in tasks:
        await task.wait_exited()
    assert not any(task.is_alive() for task in tasks)


async def test_the_source_is_closed_when_the_stream_is_left(node):
    closed: list[str] = []

    def numbers():
        try:
            yield from range(100)
        finally:
            closed.append("plain")

    async def slow_numbers():
        try:
            for number in range(100):
                yield number
        finally:
            closed.append("asynchronous")

    for source in (numbers(), slow_numbers()):
        async with TaskStream(source, double) as outcomes:
            await anext(outcomes)
    assert closed == ["plain", "asynchronous"]


async def test_a_block_in_a_cancelled_scope_still_ends_its_tasks(autojump_clock):
    async with open_node():
        with trio.move_on_after(1):
            await collect(TaskStream(ITEMS, slow_double, max_concurrency=4, timeout=None))
        await nothing_is_left()
