"""TaskStream: one task per item (semantics T8)."""

import itertools

import pytest
import trio

from actors import (
    NORMAL,
    TIMEOUT,
    CallFailed,
    CallTimeoutError,
    Crash,
    Down,
    Exited,
    MonitorRef,
    Returned,
    Task,
    TaskOwnerError,
    TaskStream,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)
from tests.actors.stream_programs import (
    CONCURRENCY,
    ITEMS,
    collect,
    double,
    leave_with,
    nothing_is_left,
    returned,
    slow_double,
)
from tests.actors.task_programs import stuck

# -- values --------------------------------------------------------------------------------------


@CONCURRENCY
async def test_there_is_one_outcome_per_item_in_order(limit):
    async with open_node():
        stream = TaskStream(ITEMS, double, max_concurrency=limit)
        assert await collect(stream) == returned(2, 4, 6, 8)
        await nothing_is_left()


@CONCURRENCY
async def test_the_function_takes_further_arguments(node, limit):
    async def add(item, number):
        return item + number

    assert await collect(TaskStream(ITEMS, add, 10, max_concurrency=limit)) == returned(
        11, 12, 13, 14
    )


@CONCURRENCY
async def test_order_is_kept_when_the_first_is_the_slowest(autojump_clock, limit):
    async with open_node():
        stream = TaskStream(ITEMS, slow_double, max_concurrency=limit, timeout=None)
        assert await collect(stream) == returned(2, 4, 6, 8)
        await nothing_is_left()


async def test_without_order_outcomes_come_as_they_are_there(node, autojump_clock):
    stream = TaskStream(ITEMS, slow_double, max_concurrency=4, timeout=None, ordered=False)
    assert await collect(stream) == returned(8, 6, 4, 2)


async def test_no_more_tasks_run_than_the_limit_and_a_kept_outcome_does_not_count(
    node, autojump_clock
):
    running, most = 0, 0

    async def work(item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(item)
        running -= 1
        return item

    assert await collect(TaskStream([4, 1, 1, 1], work, max_concurrency=2)) == returned(4, 1, 1, 1)
    assert most == 2
    assert trio.current_time() < 5


async def test_items_are_taken_when_they_are_asked_for(node):
    taken: list[int] = []

    def numbers():
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    async with TaskStream(numbers(), double, max_concurrency=2) as outcomes:
        assert taken == []
        assert await anext(outcomes) == Returned(0)
        assert len(taken) == 2
        assert [await anext(outcomes) for _ in range(3)] == returned(2, 4, 6)
        assert len(taken) <= 6


async def test_items_may_come_asynchronously(node, autojump_clock):
    async def numbers():
        for number in range(3):
            await trio.sleep(1)
            yield number

    assert await collect(TaskStream(numbers(), double)) == returned(0, 2, 4)


async def test_a_stream_of_nothing_ends_at_once(node):
    assert await collect(TaskStream([], double)) == []


async def test_the_default_limit_is_the_number_of_processors(node):
    assert await collect(TaskStream(range(20), double)) == returned(*range(0, 40, 2))


async def test_callers_lead_to_the_consumer(node):
    async def callers(_item):
        return Task.callers()

    async def consumer():
        return await collect(TaskStream([1], callers))

    task = Task.async_link(consumer)
    assert await task.wait() == returned((task.pid, self_pid()))


# -- who may read --------------------------------------------------------------------------------


async def test_another_process_than_the_maker_may_enter_a_stream(node):
    stream = TaskStream(ITEMS, double)

    async def consumer():
        return await collect(stream)

    assert await Task.async_link(consumer).wait() == returned(2, 4, 6, 8)


async def test_only_who_entered_may_read(node):
    async with TaskStream(ITEMS, double) as outcomes:

        async def stranger():
            try:
                await anext(outcomes)
            except TaskOwnerError:
                return "refused"

        assert await Task.async_link(stranger).wait() == "refused"


async def test_a_stream_is_entered_once_and_before_it_is_read(node):
    stream = TaskStream(ITEMS, double)
    with pytest.raises(RuntimeError, match="async with"):
        await anext(stream)
    await collect(stream)
    with pytest.raises(RuntimeError, match="once"):
        await collect(stream)


# -- failures ------------------------------------------------------------------------------------


@CONCURRENCY
async def test_exits_are_outcomes_for_a_consumer_that_traps_them(limit):
    async with open_node():
        trap_exit()
        stream = TaskStream(["a", NORMAL, "c", "d"], leave_with, max_concurrency=limit)
        assert await collect(stream) == [Exited("a"), Exited(NORMAL), Exited("c"), Exited("d")]
        await nothing_is_left()


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_failure_takes_a_consumer_along_that_does_not_trap_exits(node, ordered):
    async def consumer():
        await collect(TaskStream(["oops", "oops"], leave_with, ordered=ordered))

    assert await spawn(consumer).wait_exited() == "oops"


async def test_an_exit_may_be_given_with_its_item(autojump_clock):
    async def work(item):
        if item == 2:
            raise ValueError(item)
        if item == 3:
            await trio.sleep_forever()
        return item

    async with open_node():
        trap_exit()
        stream = TaskStream(
            [1, 2, 3], work, timeout=1, on_timeout="kill_task", zip_input_on_exit=True
        )
        first, second, third = await collect(stream)
        assert first == Returned(1)
        assert second.reason[0] == 2
        assert isinstance(second.reason[1], Crash)
        assert third == Exited((3, TIMEOUT))
        await nothing_is_left()


async def test_a_late_task_raises_in_the_consumer(autojump_clock):
    async with open_node():
        stream = TaskStream(ITEMS, slow_double, timeout=1)
        with pytest.raises(CallTimeoutError) as failed:
            await collect(stream)
        assert failed.value.server is stream
        await nothing_is_left()


async def test_a_late_task_that_is_not_caught_ends_the_consumer(node, autojump_clock):
    stream = TaskStream(ITEMS, slow_double, timeout=1)

    async def consumer():
        await collect(stream)

    reason = await spawn(consumer).wait_exited()
    assert reason == CallFailed(TIMEOUT, stream, ("async_stream", 1, 1))


@CONCURRENCY
@pytest.mark.parametrize("ordered", [True, False])
async def test_a_late_task_may_be_killed_instead(autojump_clock, limit, ordered):
    async def work(item):
        if item % 2:
            trap_exit()
            await trio.sleep_forever()
        return item

    async with open_node():
        stream = TaskStream(
            ITEMS, work, max_concurrency=limit, ordered=ordered, timeout=1, on_timeout="kill_task"
        )
        outcomes = await collect(stream)
        expected = [Exited(TIMEOUT), Returned(2), Exited(TIMEOUT), Returned(4)]
        if ordered:
            assert outcomes == expected
        else:
            assert sorted(map(repr, outcomes)) == sorted(map(repr, expected))
        await nothing_is_left()


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_late_task_counts_until_its_process_has_ended(node, autojump_clock, ordered):
    """T8: its outcome is there at once all the same."""
    running, most = 0, 0

    async def work(_item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await stuck(0.5)
        finally:
            running -= 1

    started = trio.current_time()
    times: list[float] = []
    stream = TaskStream(
        range(6), work, max_concurrency=2, ordered=ordered, timeout=1, on_timeout="kill_task"
    )
    async with stream as outcomes:
        async for outcome in outcomes:
            assert outcome == Exited(TIMEOUT)
            times.append(trio.current_time() - started)
    assert most == 2
    assert times == pytest.approx([1, 1, 2.5, 2.5, 4, 4])
    assert running == 0


async def test_a_late_task_that_does_not_unwind_makes_room_when_it_is_declared_dead(
    autojump_clock,
):
    """T8, K1."""
    async with open_node(kill_grace=3.0):
        stream = TaskStream(
            [100.0, 0.0], stuck, max_concurrency=1, timeout=1, on_timeout="kill_task"
        )
        assert await collect(stream) == [Exited(TIMEOUT), Exited(TIMEOUT)]
        assert trio.current_time() == pytest.approx(1 + 3 + 1)


async def test_a_late_task_is_forgotten_when_it_has_ended(node, autojump_clock):
    """T8: a source may be infinite."""

    async def forever(_item):
        await trio.sleep_forever()

    stream = TaskStream(
        itertools.count(), forever, max_concurrency=2, timeout=1, on_timeout="kill_task"
    )
    async with stream as outcomes:
        for _ in range(20):
            await anext(outcomes)
        assert len(stream._running) + len(stream._ending) <= 2


async def test_the_time_of_a_task_begins_with_the_task(node, autojump_clock):
    async def work(item):
        await trio.sleep(0.8)
        return item

    stream = TaskStream(ITEMS, work, max_concurrency=1, timeout=1)
    assert await collect(stream) == returned(*ITEMS)


async def test_a_task_that_exits_with_timeout_is_not_a_late_one():
    async with open_node():
        trap_exit()
        assert await collect(TaskStream([TIMEOUT], leave_with)) == [Exited(TIMEOUT)]


async def test_forged_messages_do_not_disturb_a_stream(autojump_clock):
    async with open_node():
        forged = Down(MonitorRef(self_pid(), self_pid(), self_pid()), self_pid(), "forged")
        self_pid().send(forged)
        assert await collect(TaskStream(ITEMS, slow_double, timeout=None)) == returned(2, 4, 6, 8)
        assert await receive() is forged


async def test_what_the_source_raises_reaches_the_consumer_and_ends_the_tasks(autojump_clock):
    async def forever(_item):
        await trio.sleep_forever()

    def source():
        yield 1
        raise ValueError("source")

    async with open_node():
        with pytest.raises(ValueError, match="source"):
            await collect(TaskStream(source(), forever))
        await nothing_is_left()


# -- several streams -----------------------------------------------------------------------------


@CONCURRENCY
async def test_two_streams_may_be_read_in_turns(autojump_clock, limit):
    async with open_node():
        async with (
            TaskStream(ITEMS, double, max_concurrency=limit) as first,
            TaskStream(ITEMS, slow_double, max_concurrency=limit, timeout=None) as second,
        ):
            pairs = [(outcome, await anext(second)) async for outcome in first]
        assert pairs == [(Returned(n * 2), Returned(n * 2)) for n in ITEMS]
        await nothing_is_left()


async def test_two_streams_with_failures_may_be_read_in_turns():
    async with open_node():
        trap_exit()
        async with (
            TaskStream(["a", "b"], leave_with) as first,
            TaskStream([1, 2], double) as second,
        ):
            pairs = [(outcome, await anext(second)) async for outcome in first]
        assert pairs == [(Exited("a"), Returned(2)), (Exited("b"), Returned(4))]
        await nothing_is_left()


@CONCURRENCY
async def test_a_stream_may_feed_another_and_either_may_be_left_early(autojump_clock, limit):
    async def unwrap(outcome):
        return outcome.value + 1

    async with open_node():
        async with (
            TaskStream(iter(range(1000)), double, max_concurrency=limit) as inner,
            TaskStream(inner, unwrap, max_concurrency=limit) as outer,
        ):
            assert [await anext(outer) for _ in range(3)] == returned(1, 3, 5)
        await nothing_is_left()


# -- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_concurrency", 0),
        ("max_concurrency", 1.5),
        ("on_timeout", "ignore"),
        ("timeout", 0),
        ("timeout", "soon"),
        pytest.param("timeout", 10**400, id="timeout-huge"),
        ("shutdown", -1),
        ("shutdown", "never"),
        pytest.param("shutdown", 10**400, id="shutdown-huge"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(option, value):
    with pytest.raises(ValueError, match=option):
        TaskStream(ITEMS, double, **{option: value})
