"""A DynamicSupervisor that has nothing to do starts a child in the step of who asks (D8, PL1)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    Crash,
    GenServer,
    Ignore,
    Pid,
    StartError,
    call,
    exit,
    self_pid,
    spawn,
    whereis,
)
from actors.introspection import resume, suspend
from actors.node import Node
from actors.process import STEPS_PER_TURN
from supervisors import ChildSpec, DynamicSupervisor, MaxChildrenError
from tests.actors.helpers import Boom, forever, info_of
from tests.supervisors.workers import ANY_TIME

start_child = DynamicSupervisor.start_child


class Plain(GenServer):
    """Its `init` is a plain function that does what it is told."""

    def init(self, act: Any = None) -> Any:
        return act() if callable(act) else act

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return "served"


class Waiting(GenServer):
    """Its `init` waits, then does what it is told."""

    async def init(self, seconds: float = 0.0, act: Any = None) -> None:
        await trio.sleep(seconds)
        if act is not None:
            act()


@pytest.fixture
async def supervisor(node: Node) -> Pid:
    pid = await DynamicSupervisor.start_link(max_restarts=1000)
    await wait_all_tasks_blocked()
    return pid


def spawn_another() -> list[int]:
    """What another process that is ready to run has written down: nothing, until it has run."""
    ran: list[int] = []

    async def other() -> None:
        ran.append(1)

    spawn(other)
    return ran


async def test_a_child_whose_init_is_plain_is_up_before_anybody_else_has_run(supervisor):
    others = spawn_another()
    child = await start_child(supervisor, Plain)
    assert others == []
    assert info_of(child).links == (supervisor,)
    assert info_of(child).parent is supervisor
    assert await call(child, "x") == "served"
    assert [info.pid for info in await DynamicSupervisor.which_children(supervisor)] == [child]


async def test_a_plain_init_runs_as_the_child_and_its_ancestor_is_the_supervisor(supervisor):
    seen: list[Any] = []
    child = await start_child(supervisor, Plain.child_spec(lambda: seen.append(self_pid())))
    assert seen == [child]
    assert info_of(child).ancestors[0] is supervisor
    assert self_pid() is not child


async def test_a_plain_start_function_runs_as_the_supervisor(supervisor):
    others = spawn_another()
    seen: list[Any] = []

    def start() -> Pid:
        seen.append(self_pid())
        return spawn(forever)

    child = await start_child(supervisor, ChildSpec("x", start))
    assert seen == [supervisor]
    assert others == []
    assert child.is_alive()


async def test_a_plain_start_function_may_return_something_to_be_awaited(
    supervisor, autojump_clock
):
    child = await start_child(supervisor, ChildSpec("x", lambda: Waiting.start_link(1.0)))
    assert trio.current_time() == 1
    assert child.is_alive()


def ignores() -> Ignore:
    return Ignore()


def fails() -> None:
    raise BOOM


BOOM = Boom("init")


async def test_a_plain_init_that_fails_is_a_failed_start_and_the_supervisor_lives(supervisor):
    with pytest.raises(StartError) as caught:
        await start_child(supervisor, Plain.child_spec(fails, name="x"))
    assert caught.value.reason == Crash(BOOM)
    assert whereis("x") is None
    assert await start_child(supervisor, Plain.child_spec(ignores)) is None
    assert await start_child(supervisor, Plain)


async def test_the_limit_holds_for_children_that_are_started_at_once(node: Node):
    supervisor = await DynamicSupervisor.start_link(max_children=2)
    await wait_all_tasks_blocked()
    for _ in range(2):
        await start_child(supervisor, Plain)
    with pytest.raises(MaxChildrenError):
        await start_child(supervisor, Plain)


async def test_requests_of_one_sender_are_carried_out_in_order(supervisor, autojump_clock):
    """Whoever asks while the supervisor waits for an `init` stands behind what was asked before."""
    order: list[str] = []

    async def slow() -> None:
        await start_child(supervisor, Waiting.child_spec(1.0, lambda: order.append("slow")))

    async def quick() -> None:
        await start_child(supervisor, Plain.child_spec(lambda: order.append("quick")))

    spawn(slow)
    await wait_all_tasks_blocked()
    spawn(quick)
    await wait_all_tasks_blocked()
    assert order == []
    await trio.sleep(2)
    assert order == ["slow", "quick"]


async def test_a_suspended_supervisor_starts_nobody(supervisor, autojump_clock):
    await suspend(supervisor)
    started: list[Any] = []

    async def asks() -> None:
        started.append(await start_child(supervisor, Plain))

    spawn(asks)
    await trio.sleep(1)
    assert started == []
    await resume(supervisor)
    await wait_all_tasks_blocked()
    assert len(started) == 1


async def test_who_starts_many_lets_the_others_run_now_and_then(supervisor):
    others = spawn_another()
    for _ in range(2 * STEPS_PER_TURN + 2):
        await start_child(supervisor, Plain)
    assert others == [1]


async def test_children_that_have_had_no_message_end_with_their_supervisor(supervisor):
    children = [await start_child(supervisor, Plain) for _ in range(3)]
    await DynamicSupervisor.stop(supervisor)
    assert not any(child.is_alive() for child in children)


async def test_a_supervisor_that_is_killed_takes_children_with_it_that_are_not_up(
    supervisor, autojump_clock
):
    async def asks() -> None:
        await start_child(supervisor, Waiting.child_spec(ANY_TIME))

    spawn(asks)
    await wait_all_tasks_blocked()
    (child,) = (pid for pid in info_of(supervisor).links if pid is not self_pid())
    supervisor.unlink()
    exit(supervisor, KILL)
    await child.wait_exited()
    assert not child.is_alive()


async def test_whatever_a_plain_start_function_raises_is_a_failed_start(supervisor):
    class OddError(BaseException):
        pass

    def start() -> Pid:
        raise OddError

    with pytest.raises(StartError) as caught:
        await start_child(supervisor, ChildSpec("x", start))
    assert isinstance(caught.value.reason, Crash)
    assert supervisor.is_alive()


async def test_a_child_that_has_had_no_message_has_no_task(node, supervisor):
    before = trio.lowlevel.current_statistics().tasks_living
    children = [await start_child(supervisor, Plain) for _ in range(10)]
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert await children[0].call("x") == "served"
    assert trio.lowlevel.current_statistics().tasks_living == before + 1
