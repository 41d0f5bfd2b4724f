"""TaskSupervisor (semantics T9 and T10)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    CallTimeoutError,
    Exited,
    GenServer,
    NoProcessError,
    ProcessExit,
    Returned,
    ServerExitedError,
    Task,
    TaskDone,
    self_pid,
    spawn,
    trap_exit,
)
from actors.process import current_process
from actors.task_process import Job
from supervisors import (
    BRUTAL_KILL,
    ChildNotFoundError,
    DynamicSupervisor,
    InvalidSpecError,
    MaxChildrenError,
    Supervisor,
    TaskSupervisor,
)
from supervisors.task_supervisor import _start_task
from tests.actors.task_programs import fail, give, leave, nothing_when, outcome_of, trapping

TASKS = "tasks"
LINKS = pytest.mark.parametrize(
    "start", [TaskSupervisor.async_link, TaskSupervisor.async_nolink], ids=["link", "nolink"]
)


@pytest.fixture
async def tasks(node):
    return await TaskSupervisor.start_link(TASKS)


# -- the supervisor ------------------------------------------------------------------------------


async def test_it_stands_in_a_tree_under_its_name(node):
    root = await Supervisor.start_link([(TaskSupervisor, TASKS), (TaskSupervisor, "others")])
    assert await (await TaskSupervisor.async_nolink(TASKS, give, 7)).wait() == 7
    assert [child.id for child in await Supervisor.which_children(root)] == ["others", TASKS]


def test_its_child_spec_is_that_of_a_supervisor():
    spec = TaskSupervisor.child_spec(TASKS, max_children=3, restart="transient")
    assert spec["id"] == TASKS
    assert spec["type"] == "supervisor"
    assert spec["restart"] == "transient"
    assert spec["start"][2] == {"name": TASKS, "max_children": 3}
    assert TaskSupervisor.child_spec()["id"] is TaskSupervisor


async def test_children_and_count(tasks):
    assert await TaskSupervisor.children(tasks) == []
    first = await TaskSupervisor.start_child(TASKS, trio.sleep_forever)
    second = await TaskSupervisor.async_nolink(TASKS, trio.sleep_forever)
    assert set(await TaskSupervisor.children(TASKS)) == {first, second.pid}
    assert (await TaskSupervisor.count_children(TASKS)).active == 2


async def test_a_supervisor_that_stops_ends_its_tasks(node):
    supervisor = await TaskSupervisor.start_link()
    pid = await TaskSupervisor.start_child(supervisor, trio.sleep_forever)
    task = await TaskSupervisor.async_nolink(supervisor, trio.sleep_forever)
    await TaskSupervisor.stop(supervisor)
    assert not pid.is_alive()
    assert await task.poll() == Exited(SHUTDOWN)


# -- start_child ---------------------------------------------------------------------------------


async def test_start_child_runs_a_function_with_its_arguments_under_the_supervisor(tasks):
    seen: list[Any] = []

    async def look(*args):
        seen.append((args, current_process().ancestors[0], list(current_process().links or ())))

    pid = await TaskSupervisor.start_child(TASKS, look, 1, 2)
    await pid.wait_exited()
    assert seen == [((1, 2), TASKS, [tasks])]


@pytest.mark.parametrize(
    "start",
    [TaskSupervisor.start_child, TaskSupervisor.async_link, TaskSupervisor.async_nolink],
)
async def test_what_cannot_be_called_is_refused_without_asking_the_supervisor(node, start):
    """T9."""
    with pytest.raises(TypeError, match="7 cannot be called"):
        await start("nobody", 7)


async def test_start_child_knows_its_callers(tasks):
    seen: list[Any] = []

    async def look():
        seen.append(Task.callers())

    async def outer():
        pid = await TaskSupervisor.start_child(TASKS, look)
        await pid.wait_exited()

    task = await TaskSupervisor.async_link(TASKS, outer)
    await task.wait()
    assert seen == [(task.pid, self_pid())]


async def test_a_failing_child_harms_nobody_and_is_reported(tasks):
    with structlog.testing.capture_logs() as logs:
        pid = await TaskSupervisor.start_child(TASKS, fail)
        await pid.wait_exited()
    assert "Task terminating" in [log["event"] for log in logs]
    assert await TaskSupervisor.children(TASKS) == []


async def test_a_child_is_not_restarted_unless_it_says_so(tasks):
    runs: list[str] = []

    async def work(name):
        runs.append(name)
        if runs.count(name) < 3:
            raise ProcessExit("again")
        await trio.sleep_forever()

    for name, restart in (("temporary", "temporary"), ("transient", "transient")):
        await TaskSupervisor.start_child(TASKS, work, name, restart=restart)
    await trio.testing.wait_all_tasks_blocked()
    assert (runs.count("temporary"), runs.count("transient")) == (1, 3)
    with pytest.raises(InvalidSpecError):
        await TaskSupervisor.start_child(TASKS, give, restart="sometimes")


async def test_max_children(node):
    await TaskSupervisor.start_link(TASKS, max_children=1)
    await TaskSupervisor.start_child(TASKS, trio.sleep_forever)
    with pytest.raises(MaxChildrenError):
        await TaskSupervisor.start_child(TASKS, give)
    with pytest.raises(MaxChildrenError):
        await TaskSupervisor.async_link(TASKS, give)
    with pytest.raises(MaxChildrenError):
        await TaskSupervisor.async_nolink(TASKS, give)


async def test_terminate_child_ends_a_task(tasks):
    pid = await TaskSupervisor.start_child(TASKS, trio.sleep_forever)
    await TaskSupervisor.terminate_child(TASKS, pid)
    assert not pid.is_alive()
    with pytest.raises(ChildNotFoundError):
        await TaskSupervisor.terminate_child(TASKS, pid)


@pytest.mark.parametrize(
    ("shutdown", "reason", "seconds"),
    [(BRUTAL_KILL, KILLED, 0), (2, KILLED, 2), (5.0, KILLED, 5)],
)
async def test_a_task_gets_the_time_to_end_that_it_was_given(
    tasks, autojump_clock, shutdown, reason, seconds
):
    pid = await TaskSupervisor.start_child(TASKS, trapping, shutdown=shutdown)
    linked = await TaskSupervisor.async_link(TASKS, trapping, shutdown=shutdown)
    free = await TaskSupervisor.async_nolink(TASKS, trapping, shutdown=shutdown)
    linked.ignore()
    assert linked.pid is not None
    assert free.pid is not None
    for process in (pid, linked.pid, free.pid):
        await trio.testing.wait_all_tasks_blocked()
        started, ending = trio.current_time(), process.target
        await TaskSupervisor.terminate_child(TASKS, process)
        assert trio.current_time() - started == pytest.approx(seconds)
        assert ending.exit_reason is reason  # type: ignore[attr-defined]  # a process
    assert free.outcome == Exited(reason)


async def test_a_shutdown_that_makes_no_sense_is_refused(tasks):
    with pytest.raises(InvalidSpecError):
        await TaskSupervisor.start_child(TASKS, give, shutdown=-1)
    with pytest.raises(ValueError, match="shutdown"):
        TaskSupervisor.async_stream(TASKS, [1], give, shutdown="never")


# -- async ---------------------------------------------------------------------------------------


@LINKS
async def test_a_supervised_task_gives_its_value(tasks, start):
    task = await start(TASKS, give, 7)
    assert await task.wait() == 7
    assert await TaskSupervisor.children(TASKS) == []


@LINKS
async def test_a_supervised_task_is_a_child_of_the_supervisor(tasks, start):
    async def look():
        return current_process().ancestors[0], set(current_process().links or ())

    task = await start(TASKS, look, label="looking")
    ancestor, links = await task.wait()
    assert ancestor == TASKS
    assert links == ({tasks, self_pid()} if start is TaskSupervisor.async_link else {tasks})
    assert "looking" in repr(task)


@LINKS
async def test_the_callers_of_a_supervised_task(tasks, start):
    async def callers():
        return Task.callers()

    assert await (await start(TASKS, callers)).wait() == (self_pid(),)


async def test_a_linked_task_that_fails_takes_its_owner_along(tasks):
    async def owner():
        task = await TaskSupervisor.async_link(TASKS, leave, "oops")
        await task.wait()

    assert await outcome_of(owner) == ("oops", [])


async def test_an_owner_that_ends_takes_a_linked_task_along_and_leaves_others_alone(tasks):
    started: list[Task[Any]] = []

    async def owner():
        started.append(await TaskSupervisor.async_link(TASKS, trio.sleep_forever))
        started.append(await TaskSupervisor.async_nolink(TASKS, trio.sleep_forever))
        raise ProcessExit("gone")

    await outcome_of(owner)
    linked, free = started
    assert linked.pid is not None
    await linked.pid.wait_exited()
    assert linked.outcome == Exited("gone")
    assert await TaskSupervisor.children(TASKS) == [free.pid]


async def test_a_task_whose_owner_ended_before_it_started_is_not_run(tasks):
    ran: list[int] = []

    async def work():
        ran.append(1)

    trap_exit()  # the test plays the supervisor
    pid = spawn(trio.sleep_forever)
    pid.exit(KILL)
    await pid.wait_exited()
    task: Task[None] = Task(pid)
    await _start_task(task, Job(work, (), (pid,), None), link=True)
    await trio.testing.wait_all_tasks_blocked()
    assert ran == []
    assert isinstance(task.outcome, Exited)


@LINKS
async def test_a_task_for_whose_start_nobody_waits_any_more_is_not_run(tasks, start):
    """T9: nobody has it."""
    ran: list[int] = []

    async def work():
        ran.append(1)

    async def ask(scope):
        with scope:
            await start(TASKS, work)

    go, scope = trio.Event(), trio.CancelScope()
    child = {"id": "busy", "start": (nothing_when, (go,)), "restart": "temporary"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(DynamicSupervisor.start_child, TASKS, child)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, scope)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert await TaskSupervisor.children(TASKS) == []
    assert ran == []


@pytest.mark.parametrize(
    ("function", "args", "check"),
    [
        (leave, ("oops",), lambda reason: reason == "oops"),
        (fail, (), lambda reason: isinstance(reason.exception, ValueError)),
        (leave, (NORMAL,), lambda reason: reason is NORMAL),
    ],
    ids=["exit", "error", "normal exit"],
)
async def test_waiting_for_a_failed_task_raises_its_reason(tasks, function, args, check):
    task = await TaskSupervisor.async_nolink(TASKS, function, *args)
    with pytest.raises(ServerExitedError) as failed:
        await task.wait()
    assert check(failed.value.reason)
    assert failed.value.server is task


@LINKS
async def test_waiting_gives_up_after_its_timeout(tasks, autojump_clock, start):
    task = await start(TASKS, trio.sleep_forever)
    with pytest.raises(CallTimeoutError):
        await task.wait(timeout=1)
    assert await task.kill() is None
    assert await TaskSupervisor.children(TASKS) == []


class Fetcher(GenServer):
    """The usual way: a task without link, its outcome in `handle_info`."""

    async def init(self):
        self.done: list[Any] = []

    async def handle_call(self, request, sender):
        if request == "done":
            return self.done
        (await TaskSupervisor.async_nolink(TASKS, *request)).notify()
        return "started"

    async def handle_info(self, message):
        match message:
            case TaskDone(outcome=outcome):
                self.done.append(outcome)


async def test_a_server_gets_outcomes_as_one_message_each_and_survives_failures(tasks):
    pid = await Fetcher.start()
    await pid.call((leave, "oops"))
    await pid.call((give, 7))
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(map(repr, await pid.call("done"))) == sorted(
        map(repr, [Exited("oops"), Returned(7)])
    )


async def test_a_supervisor_that_is_not_there(node):
    with pytest.raises(NoProcessError):
        await TaskSupervisor.async_nolink("nobody", give)
