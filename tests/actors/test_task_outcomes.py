"""Task: outcomes without raising, the end of tasks, messages, reports (semantics T4 to T7)."""

import math
from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    CallFailed,
    Crash,
    Exit,
    Exited,
    GenServer,
    NoProcessError,
    Returned,
    ServerExitedError,
    Shutdown,
    Task,
    TaskDone,
    TaskOwnerError,
    open_node,
    receive,
    self_pid,
    trap_exit,
)
from actors.process import current_process
from tests.actors.task_programs import (
    fail,
    give,
    later,
    leave,
    mailbox_is_empty,
    outcome_of,
    stuck,
    trapping,
)

# -- poll ----------------------------------------------------------------------------------------


async def test_poll_gives_the_outcome_or_none_and_may_be_asked_again(node, autojump_clock):
    """T4."""
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


async def test_poll_many_kills_all_that_are_late_at_once(autojump_clock):
    """T4: they unwind side by side, however many are stuck."""
    async with open_node(kill_grace=1.0):
        tasks = [Task.async_link(stuck) for _ in range(4)]
        started = trio.current_time()
        result = await Task.poll_many(tasks, timeout=1, on_timeout="kill_task")
        assert result == [(task, None) for task in tasks]
        assert trio.current_time() - started == pytest.approx(1 + 1)
        assert {task.outcome for task in tasks} == {Exited(KILLED)}


async def test_poll_many_gives_what_a_late_task_still_comes_to(node, autojump_clock):
    """T5: as `kill` does."""

    async def last_words():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # noqa: ASYNC103  # swallowed: that is the point
            return 7  # noqa: ASYNC104  # as above

    tasks = [Task.async_link(last_words), Task.async_link(stuck, 1)]
    result = await Task.poll_many(tasks, timeout=1, on_timeout="kill_task")
    assert result == [(tasks[0], Returned(7)), (tasks[1], None)]


@pytest.mark.parametrize("on_timeout", ["nothing", "ignore", "kill_task"])
async def test_poll_many_takes_the_same_task_twice(node, autojump_clock, on_timeout):
    task = Task.async_link(trio.sleep_forever)
    result = await Task.poll_many([task, task], timeout=1, on_timeout=on_timeout)
    assert result == [(task, None), (task, None)]


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
    """T4."""
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
    """T5."""
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
    """T5."""
    task = Task.async_link(trapping)
    await trio.testing.wait_all_tasks_blocked()
    started = trio.current_time()
    assert await task.shutdown(timeout=2) == Exited(KILLED)
    assert trio.current_time() - started == 2


@pytest.mark.parametrize(
    ("timeout", "refusal"),
    [(-1, ValueError), (math.nan, ValueError), ("soon", TypeError)],
    ids=["negative", "nan", "no number"],
)
async def test_a_shutdown_that_is_refused_leaves_the_task_and_its_link_alone(
    node, timeout, refusal
):
    """T5."""
    task = Task.async_link(trio.sleep_forever)
    assert task.pid is not None
    with pytest.raises(refusal):
        await task.shutdown(timeout)
    assert task.pid.is_alive()
    assert task.pid in (current_process().links or ())
    assert await task.shutdown() is None


async def test_a_task_that_still_returns_when_it_is_asked_to_end_gives_its_value(node):
    async def last_words():
        trap_exit()
        return await receive(Exit)

    task = Task.async_link(last_words)
    await trio.testing.wait_all_tasks_blocked()
    assert await task.shutdown() == Returned(Exit(self_pid(), SHUTDOWN))


async def test_kill_asks_nothing(node):
    """T5."""
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
    """T6."""
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
    """T6."""
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


async def test_the_owner_is_told_once_however_often_it_asks():
    async with open_node():
        task = Task.async_link(give, 7)
        task.notify()
        task.notify()
        await task.wait()
        task.notify()
        assert await receive() == TaskDone(task, Returned(7))
        task.notify()
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
    """T7."""
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


class OwnFailure(BaseException):
    """Some libraries have one, so that `except Exception` does not swallow it."""


async def fail_in_its_own_way():
    raise OwnFailure("oops")


async def fail_in_a_group():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(fail_in_its_own_way)


@pytest.mark.parametrize("function", [fail_in_its_own_way, fail_in_a_group])
async def test_a_failure_that_is_no_exception_is_reported_as_any_other(node, function):
    """T7."""
    with structlog.testing.capture_logs() as logs:
        pid = await Task.start(function)
        reason = await pid.wait_exited()
    [report] = logs
    assert report["event"] == "Task terminating"
    assert function.__name__ in report["function"]
    assert report["args"] == "()"
    assert report["callers"] == [str(self_pid())]
    assert isinstance(reason, Crash)
    assert report["exc_info"] is reason.exception


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
async def test_an_interrupt_in_a_task_ends_the_node(autojump_clock, interrupt, grouped):
    """T7, K2: it is no failure of the task."""

    async def stop():
        raise BaseExceptionGroup("", [interrupt()]) if grouped else interrupt

    with structlog.testing.capture_logs() as logs, pytest.raises(interrupt):
        async with open_node():
            await Task.start(stop)
            await trio.sleep(1)
    assert "Task terminating" not in [log["event"] for log in logs]


async def test_a_task_that_is_told_to_end_is_not_reported(node):
    """T7: its cancellation is no failure."""
    with structlog.testing.capture_logs() as logs:
        for end in (Task.shutdown, Task.kill):
            task = Task.async_link(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            assert await end(task) is None
    assert logs == []


async def exit_in_a_group(reason):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, reason)


async def test_an_orderly_end_is_not_reported(node):
    with structlog.testing.capture_logs() as logs:
        for reason in (NORMAL, SHUTDOWN, Shutdown("done")):
            await (await Task.start(leave, reason)).wait_exited()
            await (await Task.start(exit_in_a_group, reason)).wait_exited()
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
