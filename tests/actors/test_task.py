"""Task: starting, waiting (semantics T1 to T3, T7)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from actors import (
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    CallFailed,
    CallTimeoutError,
    Crash,
    Exit,
    Exited,
    Returned,
    ServerExitedError,
    Task,
    TaskOwnerError,
    open_node,
    receive,
    self_pid,
    trap_exit,
)
from tests.actors.task_programs import (
    fail,
    give,
    later,
    leave,
    mailbox_is_empty,
    no_coroutine_function,
    outcome_of,
    use_what_is_not_there,
)

# -- starting ------------------------------------------------------------------------------------


async def test_a_task_runs_its_function_with_its_arguments(node):
    assert await Task.async_link(give, 7).wait() == 7


async def test_a_task_is_a_linked_process_with_its_owner_as_parent(node):
    """T1."""
    seen: list[Any] = []

    async def look():
        from actors.process import current_process

        process = current_process()
        seen.append((process.ancestors[0], list(process.links or ()), process.trap_exit))

    task = Task.async_link(look)
    await task.wait()
    assert task.owner is self_pid()
    assert seen == [(self_pid(), [self_pid()], False)]


async def test_callers_are_those_who_asked_nearest_first(node):
    async def outer():
        return self_pid(), await Task.async_link(inner).wait()

    async def inner():
        return self_pid(), Task.callers()

    outer_pid, (_, callers) = await Task.async_link(outer).wait()
    assert callers == (outer_pid, self_pid())
    assert Task.callers() == ()


@pytest.mark.parametrize("start", [Task.start, Task.start_link])
async def test_callers_of_tasks_for_which_nobody_waits(node, start):
    seen: list[Any] = []

    async def look():
        seen.append(Task.callers())

    pid = await start(look)
    await pid.wait_exited()
    assert seen == [(self_pid(),)]


async def test_what_cannot_be_called_is_refused_where_it_is_asked(node):
    """T1, T7: it would end the owner by its link; Elixir's guards raise in the caller too."""
    nothing: Any = 7
    with pytest.raises(TypeError, match="7 cannot be called"):
        Task.async_link(nothing)
    for start in (Task.start, Task.start_link):
        with pytest.raises(TypeError, match="7 cannot be called"):
            await start(nothing)


async def test_start_does_not_link(node):
    pid = await Task.start(fail)
    assert isinstance(await pid.wait_exited(), Crash)


async def test_start_link_links(node):
    async def owner():
        await Task.start_link(leave, "oops")
        await trio.sleep_forever()

    assert await outcome_of(owner) == ("oops", [])


async def test_start_takes_arguments(node):
    seen: list[Any] = []

    async def note(*args):
        seen.append(args)

    await (await Task.start(note, 1, 2)).wait_exited()
    await (await Task.start_link(note, 3)).wait_exited()
    assert seen == [(1, 2), (3,)]


async def test_a_completed_task_has_its_value_and_no_process(node):
    """T6."""
    task = Task.completed(7)
    assert task.pid is None
    assert await task.wait() == 7
    assert await task.poll() == Returned(7)
    assert await task.shutdown() == Returned(7)
    assert await task.kill() == Returned(7)
    assert task.ignore() == Returned(7)


def test_the_child_spec_of_a_task_is_temporary():
    spec = Task.child_spec(give, 7)
    assert spec == {"id": Task, "start": (Task.start_link, (give, 7)), "restart": "temporary"}
    assert Task.child_spec(give, id="seven", restart="transient")["id"] == "seven"


async def test_a_task_shows_what_it_does(node):
    task = Task.async_link(give, 7, label="seven")
    assert "seven" in repr(task)
    assert "running" in repr(task)
    await task.wait()
    assert "Returned(value=7)" in repr(task)


# -- wait ----------------------------------------------------------------------------------------


async def test_wait_gives_up_after_its_timeout_and_the_late_value_is_no_message(autojump_clock):
    async with open_node():
        task = Task.async_link(later)
        with pytest.raises(CallTimeoutError) as failed:
            await task.wait(timeout=0.1)
        assert failed.value.server is task
        assert failed.value.request == ("wait", 0.1)
        await trio.sleep(5)
        await mailbox_is_empty()


async def test_a_timeout_that_is_not_caught_ends_the_owner_and_with_it_the_task(
    node, autojump_clock
):
    tasks: list[Task[Any]] = []

    async def owner():
        tasks.append(Task.async_link(trio.sleep_forever))
        await tasks[0].wait(timeout=0)

    reason, _ = await outcome_of(owner)
    assert reason == CallFailed(TIMEOUT, tasks[0], ("wait", 0))
    pid = tasks[0].pid
    assert pid is not None
    await pid.wait_exited()
    assert tasks[0].outcome == Exited(reason)


FAILURES = {
    "a normal exit": (leave, (NORMAL,), NORMAL),
    "an exit": (leave, ("oops",), "oops"),
    "a shutdown": (leave, (SHUTDOWN,), SHUTDOWN),
}


@pytest.mark.parametrize(("function", "args", "reason"), FAILURES.values(), ids=list(FAILURES))
async def test_wait_raises_the_reason_for_which_the_task_ended(node, function, args, reason):
    """T2."""

    async def owner():
        trap_exit()
        await Task.async_link(function, *args).wait()

    ended_with, _ = await outcome_of(owner)
    assert isinstance(ended_with, CallFailed)
    assert ended_with.reason == reason
    assert ended_with.request == ("wait", 5.0)


@pytest.mark.parametrize(
    ("function", "kind"),
    [(fail, ValueError), (no_coroutine_function, TypeError), (use_what_is_not_there, NameError)],
)
async def test_wait_raises_with_the_exception_of_the_task_as_its_cause(node, function, kind):
    async def owner():
        trap_exit()
        try:
            await Task.async_link(function).wait()
        except ServerExitedError as error:
            return error.reason, error.__cause__

    _, [(reason, cause)] = await outcome_of(owner)
    assert isinstance(reason, Crash)
    assert isinstance(cause, kind)
    assert reason.exception is cause


async def test_a_failing_task_takes_its_owner_along_by_the_link(node):
    """T2."""

    async def owner():
        await Task.async_link(leave, "oops").wait()

    assert await outcome_of(owner) == ("oops", [])


async def test_an_exit_leaves_no_message_but_that_of_the_link():
    async with open_node():
        trap_exit()
        task = Task.async_link(leave, "oops")
        with pytest.raises(ServerExitedError):
            await task.wait()
        assert task.pid is not None
        assert await receive() == Exit(task.pid, "oops")
        await mailbox_is_empty()


async def test_a_task_may_be_asked_again(node):
    task = Task.async_link(give, 7)
    assert [await task.wait(), await task.wait(), await task.poll()] == [7, 7, Returned(7)]


async def test_only_the_owner_may_wait(node):
    """T2."""
    task = Task.async_link(trio.sleep_forever)

    async def stranger():
        refused = 0
        waits: list[Callable[[], Awaitable[Any]]] = [
            task.wait,
            task.poll,
            task.shutdown,
            task.kill,
            lambda: Task.wait_many([task]),
            lambda: Task.poll_many([task]),
        ]
        for wait in waits:
            try:
                await wait()
            except TaskOwnerError:
                refused += 1
        others: list[Callable[[], object]] = [task.ignore, task.notify]
        for other in others:
            try:
                other()
            except TaskOwnerError:
                refused += 1
        return refused

    assert await outcome_of(stranger) == (NORMAL, [8])
    assert await task.shutdown() is None


async def test_helpers_of_the_owner_may_wait_and_several_at_a_time(node, autojump_clock):
    task, values = Task.async_link(later, 7), []

    async def helper():
        values.append(await task.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(helper)
        nursery.start_soon(helper)
    assert values == [7, 7]


async def test_a_cancelled_wait_leaves_the_task_alone(node, autojump_clock):
    task = Task.async_link(later, 7)
    with trio.move_on_after(0.5):
        await task.wait()
    assert await task.wait() == 7
    assert task._watches == []


# -- wait_many -----------------------------------------------------------------------------------


async def test_wait_many_gives_the_values_in_the_order_of_the_tasks(node, autojump_clock):
    """T3."""
    tasks = [Task.async_link(later, seconds, seconds) for seconds in (3.0, 1.0, 2.0)]
    assert await Task.wait_many(tasks) == [3.0, 1.0, 2.0]
    assert await Task.wait_many(tasks) == [3.0, 1.0, 2.0]
    assert await Task.wait_many([]) == []


async def test_wait_many_takes_done_and_undone_tasks(node, autojump_clock):
    done = Task.async_link(give, 1)
    await done.wait()
    assert await Task.wait_many([done, Task.async_link(later, 2), Task.completed(3)]) == [1, 2, 3]


async def test_wait_many_leaves_other_messages_alone(autojump_clock):
    async with open_node():
        tasks = [Task.async_link(later, n) for n in range(3)]
        self_pid().send("other")
        assert await Task.wait_many(tasks) == [0, 1, 2]
        assert await receive() == "other"
        await mailbox_is_empty()


async def test_wait_many_has_one_timeout_for_all(node, autojump_clock):
    tasks = [Task.async_link(later, seconds, seconds) for seconds in (1.0, 2.0, 10.0)]
    started = trio.current_time()
    with pytest.raises(CallTimeoutError):
        await Task.wait_many(tasks, timeout=5.0)
    assert trio.current_time() - started == 5.0


@pytest.mark.parametrize(
    ("function", "args"),
    [(leave, ("oops",)), (fail, ()), (leave, (NORMAL,))],
    ids=["exit", "error", "normal exit"],
)
async def test_wait_many_raises_at_the_first_failure_however_long_the_others_take(
    node, autojump_clock, function, args
):
    """T3."""

    async def owner():
        trap_exit()
        tasks = [Task.async_link(trio.sleep_forever), Task.async_link(function, *args)]
        tasks.append(Task.async_link(trio.sleep_forever))
        try:
            await Task.wait_many(tasks, None)
        except ServerExitedError as error:
            return error.server is tasks[1]

    reason, said = await outcome_of(owner)
    assert (reason, said) == (NORMAL, [True])


async def test_wait_many_fails_with_the_reason_of_the_task(node):
    async def owner():
        trap_exit()
        await Task.wait_many([Task.async_link(give), Task.async_link(leave, "oops")])

    reason, _ = await outcome_of(owner)
    assert reason.reason == "oops"


async def test_wait_many_raises_for_a_task_that_had_failed_before(node):
    async def owner():
        trap_exit()
        task = Task.async_link(leave, "oops")
        await task.poll()
        await Task.wait_many([Task.async_link(trio.sleep_forever), task], None)

    reason, _ = await outcome_of(owner)
    assert reason.reason == "oops"
