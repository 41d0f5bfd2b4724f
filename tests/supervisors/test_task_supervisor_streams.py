"""TaskSupervisor: its streams (semantics T10)."""

import pytest
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    CallTimeoutError,
    Exited,
    Pid,
    ProcessExit,
    ReceiveTimeoutError,
    Returned,
    Task,
    current_node,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)
from actors.process import current_process
from supervisors import DynamicSupervisor, MaxChildrenError, TaskSupervisor
from tests.actors.stream_programs import CONCURRENCY, ITEMS, collect, double, returned, slow_double
from tests.actors.task_programs import leave, nothing_when, outcome_of, stuck

TASKS = "tasks"
STREAMS = pytest.mark.parametrize(
    "make_stream",
    [TaskSupervisor.async_stream, TaskSupervisor.async_stream_nolink],
    ids=["link", "nolink"],
)


ORDERED = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])


async def forever(_item):
    await trio.sleep_forever()


@pytest.fixture
async def tasks(node):
    return await TaskSupervisor.start_link(TASKS)


async def nothing_is_left(supervisor):
    """Neither messages nor links nor tasks."""
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
    assert list(current_process().links or ()) == [supervisor]
    assert await TaskSupervisor.children(supervisor) == []


@STREAMS
@CONCURRENCY
async def test_a_stream_gives_one_outcome_per_item_in_order(autojump_clock, make_stream, limit):
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        stream = make_stream(TASKS, ITEMS, slow_double, max_concurrency=limit, timeout=None)
        assert await collect(stream) == returned(2, 4, 6, 8)
        await nothing_is_left(tasks)


@STREAMS
async def test_a_stream_takes_further_arguments(tasks, make_stream):
    async def add(item, number):
        return item + number

    assert await collect(make_stream(TASKS, ITEMS, add, 10)) == returned(11, 12, 13, 14)


async def test_the_tasks_of_a_stream_are_children_of_the_supervisor(tasks):
    async def look(_item):
        return current_process().ancestors[0], Task.callers()

    stream = TaskSupervisor.async_stream_nolink(TASKS, [1], look)
    assert await collect(stream) == returned((TASKS, (self_pid(),)))


@STREAMS
async def test_exits_are_outcomes_for_a_consumer_that_traps_them(make_stream):
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        trap_exit()
        assert await collect(make_stream(TASKS, ["a", "b"], leave)) == [Exited("a"), Exited("b")]
        await nothing_is_left(tasks)


async def test_a_linked_stream_takes_its_consumer_along_and_an_unlinked_does_not(tasks):
    async def linked():
        return await collect(TaskSupervisor.async_stream(TASKS, ["oops"], leave))

    async def unlinked():
        return await collect(TaskSupervisor.async_stream_nolink(TASKS, ["oops"], leave))

    assert await outcome_of(linked) == ("oops", [])
    assert await outcome_of(unlinked) == (NORMAL, [[Exited("oops")]])


@STREAMS
async def test_leaving_a_stream_early_ends_its_tasks(autojump_clock, make_stream):
    async def work(item):
        if item > 1:
            await trio.sleep_forever()
        return item

    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        async with make_stream(TASKS, ITEMS, work, max_concurrency=3) as outcomes:
            assert await anext(outcomes) == Returned(1)
        await nothing_is_left(tasks)


async def keep_busy(go):
    child = {"id": "busy", "start": (nothing_when, (go,)), "restart": "temporary"}
    await DynamicSupervisor.start_child(TASKS, child)


async def collect_in(scope, stream):
    with scope:
        await collect(stream)


async def leave_when_cancelled(scope, stream, left):
    """Notes which processes there are in the step in which the stream is left."""
    await collect_in(scope, stream)
    left.extend(current_node().processes)


@STREAMS
@ORDERED
async def test_a_stream_that_is_left_while_its_supervisor_is_busy_starts_nothing(
    make_stream, ordered
):
    """T8: the request is still in the mailbox of the supervisor."""
    ran: list[int] = []

    async def work(item):
        ran.append(item)

    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        go, scope = trio.Event(), trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_busy, go)
            await trio.testing.wait_all_tasks_blocked()
            stream = make_stream(TASKS, ITEMS, work, ordered=ordered)
            nursery.start_soon(collect_in, scope, stream)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            go.set()
        await nothing_is_left(tasks)
        assert ran == []


@STREAMS
@ORDERED
async def test_a_stream_that_is_left_when_its_supervisor_has_time_again_leaves_nothing(
    make_stream, ordered
):
    """T8: of the two either may run first, so it is tried many times."""

    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        for _ in range(30):
            go, scope = trio.Event(), trio.CancelScope()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_busy, go)
                await trio.testing.wait_all_tasks_blocked()
                stream = make_stream(TASKS, ITEMS, forever, ordered=ordered)
                nursery.start_soon(leave_when_cancelled, scope, stream, left := list[Pid]())
                await trio.testing.wait_all_tasks_blocked()
                go.set()
                scope.cancel()
            assert left == [self_pid(), tasks]
            await nothing_is_left(tasks)


@STREAMS
@ORDERED
async def test_a_stream_can_be_read_on_when_the_start_of_a_task_was_given_up(make_stream, ordered):
    """T8: that task has no outcome, whether or not it had started by then."""

    async def read_on(scope, stream, outcomes):
        async with stream:
            with scope:
                await anext(stream)
            outcomes.extend([outcome async for outcome in stream])

    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        for _ in range(30):
            go, scope = trio.Event(), trio.CancelScope()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_busy, go)
                await trio.testing.wait_all_tasks_blocked()
                stream = make_stream(TASKS, ITEMS, double, max_concurrency=1, ordered=ordered)
                nursery.start_soon(read_on, scope, stream, outcomes := list[object]())
                await trio.testing.wait_all_tasks_blocked()
                go.set()
                scope.cancel()
            assert outcomes == returned(4, 6, 8)
            await nothing_is_left(tasks)


@STREAMS
async def test_a_consumer_that_is_killed_while_its_supervisor_is_busy_leaves_nothing(make_stream):
    """T8."""
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        go = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_busy, go)
            await trio.testing.wait_all_tasks_blocked()
            consumer = spawn(collect, make_stream(TASKS, ITEMS, forever))
            await trio.testing.wait_all_tasks_blocked()
            consumer.exit(KILL)
            assert await consumer.wait_exited() is KILLED
            go.set()
        await nothing_is_left(tasks)


@STREAMS
async def test_a_block_that_is_left_while_a_helper_waits_for_a_start_leaves_nothing(make_stream):
    """T8: nobody cancels the helper, yet there is nothing for it any more."""
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        go, read = trio.Event(), list[object]()

        async def helper(outcomes):
            read.extend([outcome async for outcome in outcomes])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_busy, go)
            await trio.testing.wait_all_tasks_blocked()
            async with make_stream(TASKS, ITEMS, forever) as outcomes:
                nursery.start_soon(helper, outcomes)  # noqa: ASYNC111  # the block is left first: that is the point
                await trio.testing.wait_all_tasks_blocked()
            go.set()
        assert read == []
        await nothing_is_left(tasks)


@STREAMS
@ORDERED
async def test_a_supervisor_that_is_full_fails_the_stream_and_its_tasks_are_ended(
    make_stream, ordered
):
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS, max_children=2)
        with pytest.raises(MaxChildrenError):
            await collect(make_stream(TASKS, ITEMS, forever, max_concurrency=4, ordered=ordered))
        await nothing_is_left(tasks)


@STREAMS
async def test_another_process_than_the_maker_may_enter(tasks, make_stream):
    stream = make_stream(TASKS, ITEMS, double)

    async def consumer():
        return await collect(stream)

    assert await outcome_of(consumer) == (NORMAL, [returned(2, 4, 6, 8)])


@STREAMS
async def test_late_and_failed_tasks_with_their_items(autojump_clock, make_stream):
    async def work(item):
        if item == 2:
            raise ProcessExit("oops")
        if item == 3:
            await trio.sleep_forever()
        return item

    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        trap_exit()
        stream = make_stream(
            TASKS, [1, 2, 3], work, timeout=1, on_timeout="kill_task", zip_input_on_exit=True
        )
        assert await collect(stream) == [Returned(1), Exited((2, "oops")), Exited((3, TIMEOUT))]
        await nothing_is_left(tasks)


@STREAMS
async def test_late_tasks_need_no_more_children_than_run_at_a_time(autojump_clock, make_stream):
    """T8, T9: a supervisor with room for `max_concurrency` is never full."""
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS, max_children=2)
        options = {"max_concurrency": 2, "timeout": 1, "on_timeout": "kill_task"}
        stream = make_stream(TASKS, [0.5] * 6, stuck, **options)
        assert await collect(stream) == [Exited(TIMEOUT)] * 6
        await nothing_is_left(tasks)


@STREAMS
async def test_a_late_task_raises_in_the_consumer(autojump_clock, make_stream):
    async with open_node():
        tasks = await TaskSupervisor.start_link(TASKS)
        with pytest.raises(CallTimeoutError):
            await collect(make_stream(TASKS, ITEMS, slow_double, timeout=1))
        await nothing_is_left(tasks)


@STREAMS
async def test_tasks_of_a_stream_end_with_the_supervisor(node, make_stream):
    async def consumer():
        supervisor = await TaskSupervisor.start_link()
        trap_exit()
        async with make_stream(supervisor, [1], leave_after, supervisor) as outcomes:
            return [outcome async for outcome in outcomes]

    async def leave_after(_item, supervisor):
        spawn(TaskSupervisor.stop, supervisor)
        await trio.sleep_forever()

    assert await outcome_of(consumer) == (NORMAL, [[Exited(SHUTDOWN)]])
