"""Task (semantics T1 to T7)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    CallFailed,
    CallTimeoutError,
    Crash,
    Exit,
    Exited,
    GenServer,
    NoProcessError,
    ProcessExit,
    ReceiveTimeoutError,
    Returned,
    ServerExitedError,
    Shutdown,
    Task,
    TaskDone,
    TaskOwnerError,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)


async def give(value=1):
    return value


async def later(value=1, seconds=1.0):
    await trio.sleep(seconds)
    return value


async def fail():
    raise ValueError("oops")


async def use_what_is_not_there():
    undefined()  # type: ignore[name-defined]  # noqa: F821  # that is the point


def no_coroutine_function():
    return None


async def leave(reason):
    raise ProcessExit(reason)


async def trapping():
    """A task that does not end when it is asked to."""
    trap_exit()
    await trio.sleep_forever()


async def outcome_of(function, *args):
    """How a process ends that runs `function`, and what it had to say."""
    said: list[Any] = []

    async def main():
        said.append(await function(*args))

    reason = await spawn(main).wait_exited()
    return reason, said


async def mailbox_is_empty():
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


# -- starting ------------------------------------------------------------------------------------


async def test_a_task_runs_its_function_with_its_arguments(node):
    assert await Task.async_link(give, 7).wait() == 7


async def test_a_task_is_a_linked_process_with_its_owner_as_parent(node):
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


# -- poll ----------------------------------------------------------------------------------------


async def test_poll_gives_the_outcome_or_none_and_may_be_asked_again(node, autojump_clock):
    task = Task.async_link(later, 7)
    assert await task.poll(timeout=0) is None
    assert await task.poll(timeout=0.5) is None
    assert await task.poll() == Returned(7)


async def test_poll_gives_the_exit_of_a_task(node):
    async def owner():
        trap_exit()
        return await Task.async_link(leave, "oops").poll(), await Task.async_link(fail).poll()

    _, [(first, second)] = await outcome_of(owner)
    assert first == Exited("oops")
    assert isinstance(second.reason, Crash)


async def test_poll_gives_the_value_though_the_process_has_ended_too(node):
    task = Task.async_link(give, 7)
    assert task.pid is not None
    await task.pid.wait_exited()
    assert await task.poll(timeout=0) == Returned(7)


async def test_a_normal_exit_has_no_value(node):
    assert await Task.async_link(leave, NORMAL).poll() == Exited(NORMAL)


async def test_poll_many_gives_each_task_with_its_outcome(node, autojump_clock):
    tasks = [Task.async_link(give, 1), Task.async_link(leave, NORMAL), Task.async_link(later, 3)]
    outcomes = [Returned(1), Exited(NORMAL), Returned(3)]
    assert await Task.poll_many(tasks) == list(zip(tasks, outcomes, strict=True))
    assert await Task.poll_many([]) == []


async def test_poll_many_gives_none_for_what_is_not_done_in_time(node, autojump_clock):
    tasks = [Task.async_link(give, 1), Task.async_link(later, 2, 10)]
    assert await Task.poll_many(tasks, timeout=1) == [(tasks[0], Returned(1)), (tasks[1], None)]
    assert await Task.poll_many(tasks, timeout=None) == [
        (tasks[0], Returned(1)),
        (tasks[1], Returned(2)),
    ]


async def test_poll_many_may_kill_what_is_late(node, autojump_clock):
    tasks = [Task.async_link(give, 1), Task.async_link(trapping)]
    result = await Task.poll_many(tasks, timeout=1, on_timeout="kill_task")
    assert result == [(tasks[0], Returned(1)), (tasks[1], None)]
    assert tasks[1].outcome == Exited(KILLED)


async def test_poll_many_may_ignore_what_is_late(autojump_clock):
    async with open_node():
        trap_exit()
        task = Task.async_link(later, 2, 10)
        assert await Task.poll_many([task], timeout=1, on_timeout="ignore") == [(task, None)]
        assert task.owner is None
        await trio.sleep(20)
        assert task.outcome == Returned(2)
        await mailbox_is_empty()


async def test_poll_many_returns_when_the_limit_is_reached(node, autojump_clock):
    tasks = [Task.async_link(later, n, n) for n in (3, 1, 2)]
    result = await Task.poll_many(tasks, limit=2, on_timeout="kill_task")
    assert [outcome for _, outcome in result] == [None, Returned(1), Returned(2)]
    assert await tasks[0].wait() == 3


async def test_poll_many_with_a_limit_above_the_number_of_tasks_waits_for_all(node, autojump_clock):
    tasks = [Task.async_link(later, n, n) for n in (1, 2)]
    result = await Task.poll_many(tasks, limit=5, timeout=None)
    assert [outcome for _, outcome in result] == [Returned(1), Returned(2)]


async def test_poll_many_below_its_limit_does_what_on_timeout_says(node, autojump_clock):
    tasks = [Task.async_link(give, 1), Task.async_link(trio.sleep_forever)]
    result = await Task.poll_many(tasks, timeout=1, limit=2, on_timeout="kill_task")
    assert [outcome for _, outcome in result] == [Returned(1), None]
    assert tasks[1].outcome == Exited(KILLED)


async def test_poll_many_refuses_an_unknown_on_timeout(node):
    with pytest.raises(ValueError, match="on_timeout"):
        await Task.poll_many([], on_timeout="exit")  # type: ignore[arg-type]  # that is the point


# -- shutdown and kill ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Task.shutdown, Task.kill], ids=["shutdown", "kill"])
async def test_a_value_that_is_there_wins_over_the_end(node, end):
    task = Task.async_link(give, 7)
    assert task.pid is not None
    await task.pid.wait_exited()
    assert await end(task) == Returned(7)


async def test_shutdown_gives_none_when_the_task_ends_as_it_was_told(node):
    task = Task.async_link(trio.sleep_forever)
    assert await task.shutdown() is None
    assert task.outcome == Exited(SHUTDOWN)


async def test_shutdown_does_not_harm_the_owner_and_leaves_no_message():
    async with open_node():
        trap_exit()
        task = Task.async_link(trio.sleep_forever)
        assert await task.shutdown() is None
        task = Task.async_link(trio.sleep_forever)
        assert await task.kill() is None
        await mailbox_is_empty()


@pytest.mark.parametrize("end", [Task.shutdown, Task.kill], ids=["shutdown", "kill"])
@pytest.mark.parametrize("reason", ["oops", NORMAL, Shutdown("x")], ids=repr)
async def test_an_end_for_another_reason_is_an_outcome(node, end, reason):
    async def owner():
        trap_exit()
        task = Task.async_link(leave, reason)
        await task.poll()
        return await end(task)

    assert await outcome_of(owner) == (NORMAL, [Exited(reason)])


async def test_a_task_that_ended_by_itself_with_shutdown_is_none_for_shutdown_only(node):
    async def owner():
        trap_exit()
        task = Task.async_link(leave, SHUTDOWN)
        await task.poll()
        return await task.shutdown(), await task.kill()

    assert await outcome_of(owner) == (NORMAL, [(None, Exited(SHUTDOWN))])


async def test_a_task_that_was_killed_by_another_is_an_outcome_for_shutdown(node):
    async def owner():
        trap_exit()
        task = Task.async_link(trio.sleep_forever)
        assert task.pid is not None
        task.pid.exit(KILL)
        return await task.shutdown()

    assert await outcome_of(owner) == (NORMAL, [Exited(KILLED)])


async def test_a_task_that_does_not_end_in_time_is_killed(node, autojump_clock):
    task = Task.async_link(trapping)
    await trio.testing.wait_all_tasks_blocked()
    started = trio.current_time()
    assert await task.shutdown(timeout=2) == Exited(KILLED)
    assert trio.current_time() - started == 2


async def test_a_task_that_still_returns_when_it_is_asked_to_end_gives_its_value(node):
    async def last_words():
        trap_exit()
        return await receive(Exit)

    task = Task.async_link(last_words)
    await trio.testing.wait_all_tasks_blocked()
    assert await task.shutdown() == Returned(Exit(self_pid(), SHUTDOWN))


async def test_kill_asks_nothing(node):
    task = Task.async_link(trapping)
    await trio.testing.wait_all_tasks_blocked()
    assert await task.kill() is None
    assert task.outcome == Exited(KILLED)


async def test_what_has_ended_can_be_ended_again(node):
    task = Task.async_link(trio.sleep_forever)
    await task.kill()
    assert await task.kill() == Exited(KILLED)
    assert await task.shutdown() == Exited(KILLED)


# -- ignore --------------------------------------------------------------------------------------


async def test_ignore_gives_a_value_that_is_there(node):
    task = Task.async_link(give, 7)
    await task.wait()
    assert task.ignore() == Returned(7)


async def test_ignore_gives_an_exit_that_is_there(node):
    async def owner():
        trap_exit()
        task = Task.async_link(leave, "oops")
        await task.poll()
        return task.ignore()

    assert await outcome_of(owner) == (NORMAL, [Exited("oops")])


@pytest.mark.parametrize(("function", "args"), [(give, ()), (fail, ())], ids=["value", "failure"])
async def test_what_comes_after_ignore_disturbs_nobody(function, args):
    async with open_node():
        trap_exit()
        task = Task.async_link(function, *args)
        assert task.ignore() is None
        assert task.pid is not None
        await task.pid.wait_exited()
        await mailbox_is_empty()
        with pytest.raises(TaskOwnerError, match="ignored"):
            await task.wait()


async def test_an_ignored_task_outlives_its_owner(node, autojump_clock):
    tasks: list[Task[Any]] = []

    async def owner():
        tasks.append(Task.async_link(later, 7))
        tasks[0].ignore()

    await outcome_of(owner)
    assert tasks[0].pid is not None
    assert tasks[0].pid.is_alive()
    await tasks[0].pid.wait_exited()
    assert tasks[0].outcome == Returned(7)


# -- notify --------------------------------------------------------------------------------------


class Fetcher(GenServer):
    """Does not wait in a handler."""

    async def init(self):
        self.done: list[Any] = []
        trap_exit()

    async def handle_call(self, request, sender):
        if request == "done":
            return self.done
        Task.async_link(*request).notify()
        return "started"

    async def handle_info(self, message):
        match message:
            case TaskDone(outcome=outcome):
                self.done.append(outcome)


async def test_a_server_gets_outcomes_as_messages(node, autojump_clock):
    pid = await Fetcher.start()
    assert await pid.call((later, 7)) == "started"
    assert await pid.call((leave, "oops")) == "started"
    await trio.sleep(5)
    assert await pid.call("done") == [Exited("oops"), Returned(7)]


async def test_notify_of_a_task_that_is_done_tells_at_once():
    async with open_node():
        task = Task.async_link(give, 7)
        await task.wait()
        task.notify()
        assert await receive() == TaskDone(task, Returned(7))
        await mailbox_is_empty()


async def test_an_ignored_task_does_not_notify(autojump_clock):
    async with open_node():
        task = Task.async_link(later)
        task.notify()
        task.ignore()
        await trio.sleep(5)
        await mailbox_is_empty()


# -- reports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [None, "the failing one"])
async def test_a_failing_task_is_reported_with_what_it_did_and_for_whom(node, label):
    with structlog.testing.capture_logs() as logs:
        pid = await Task.start(fail, label=label)
        await pid.wait_exited()
    [report] = logs
    assert report["event"] == "Task terminating"
    assert (label or "fail") in report["process"]
    assert "fail" in report["function"]
    assert report["args"] == "()"
    assert report["callers"] == [str(self_pid())]
    assert "oops" in report["reason"]
    assert isinstance(report["exc_info"], ValueError)


async def test_an_orderly_end_is_not_reported(node):
    with structlog.testing.capture_logs() as logs:
        for reason in (NORMAL, SHUTDOWN, Shutdown("done")):
            await (await Task.start(leave, reason)).wait_exited()
        await (await Task.start(give)).wait_exited()
    assert logs == []


async def test_a_failed_call_in_a_task_is_the_reason_of_its_end(node):
    async def ask():
        await GenServer.call("nobody", "hello")

    async def owner():
        trap_exit()
        task = Task.async_link(ask)
        try:
            await task.wait()
        except ServerExitedError as error:
            return error.reason

    _, [reason] = await outcome_of(owner)
    assert isinstance(reason, CallFailed)
    assert reason.server == "nobody"
    with pytest.raises(NoProcessError):
        await ask()
