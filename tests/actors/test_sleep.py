"""Servers without a task: before their first message, and while they hibernate (P14)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    GenServer,
    Hibernate,
    IdleTimeout,
    NoReply,
    Timeout,
    exit,
    self_pid,
    spawn,
)
from actors import introspection as sys
from actors.node import Node
from actors.process import Process
from tests.actors.helpers import info_of


class Sleeper(GenServer):
    """Sleeps after each cast; writes down what comes, and its end."""

    trap_exit = False

    def init(self, then: Any = None) -> Any:
        self.got: list[Any] = []
        return then

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return request

    async def handle_cast(self, message: Any) -> Any:
        self.got.append(message)
        return NoReply(then=Hibernate())

    async def handle_info(self, message: Any) -> Any:
        self.got.append(message)

    async def terminate(self, reason: Any) -> None:
        self.got.append(("terminate", reason))


class Trapping(Sleeper):
    trap_exit = True


class Napping(Sleeper):
    hibernate_after = 2.0


def process_of(node: Node, pid: Any) -> Process:
    return node.processes[pid]


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def test_a_server_that_hibernates_has_no_task_until_a_message_comes(node):
    before = tasks()
    pid = await Sleeper.start()
    assert tasks() == before
    for n in range(3):
        assert await pid.call(n) == n
        await wait_all_tasks_blocked()
        assert tasks() == before + 1  # it has not hibernated
        pid.cast(n)
        await wait_all_tasks_blocked()
        assert tasks() == before
    assert process_of(node, pid).server.got == [0, 1, 2]


async def test_what_comes_while_it_falls_asleep_is_handled(node):
    pid = await Sleeper.start()
    for n in range(300):
        pid.cast(n)
    await wait_all_tasks_blocked()
    assert process_of(node, pid).server.got == list(range(300))


async def test_a_sleeping_server_looks_as_if_it_waited(node):
    pid = await Sleeper.start()
    assert info_of(pid).status == "waiting"
    assert await sys.get_state(pid) == {"got": []}
    pid.cast(1)
    await wait_all_tasks_blocked()
    assert info_of(pid).status == "waiting"
    assert info_of(pid).message_queue_len == 0


async def test_context_variables_survive_sleep(node):
    variable: ContextVar[int] = ContextVar("variable")

    class Counting(Sleeper):
        async def handle_cast(self, message):
            variable.set(variable.get(0) + 1)
            return await super().handle_cast(variable.get())

    pid = await Counting.start()
    for _ in range(3):
        pid.cast("count")
        await wait_all_tasks_blocked()
        assert process_of(node, pid).asleep
    assert process_of(node, pid).server.got == [1, 2, 3]


@pytest.mark.parametrize(("reason", "ends"), [(KILL, KILLED), (SHUTDOWN, SHUTDOWN), ("x", "x")])
async def test_an_exit_signal_ends_a_sleeping_server(node, reason, ends):
    pid = await Sleeper.start()
    pid.cast(1)
    await wait_all_tasks_blocked()
    server = process_of(node, pid).server
    exit(pid, reason)
    assert not pid.is_alive()
    pid.send("late")
    assert await pid.wait_exited() == ends
    assert server.got == [1]


async def test_a_sleeping_server_that_traps_exits_cleans_up_when_its_parent_ends(node):
    servers: list[Any] = []

    async def parent():
        pid = await Trapping.start_link()
        servers.append(process_of(node, pid).server)
        pid.cast(1)
        await wait_all_tasks_blocked()

    await spawn(parent).wait_exited()
    await wait_all_tasks_blocked()
    assert servers[0].got == [1, ("terminate", NORMAL)]


async def test_a_sleeping_server_can_be_stopped(node):
    pid = await Trapping.start()
    pid.cast(1)
    await wait_all_tasks_blocked()
    server = process_of(node, pid).server
    await pid.stop()
    assert server.got == [1, ("terminate", NORMAL)]


async def test_a_server_hibernates_when_nothing_has_come_for_its_seconds_not_sooner(
    node, autojump_clock
):
    before = tasks()
    pid = await Napping.start()
    await trio.sleep(1.5)
    await pid.call("awake")  # at 1.5
    await trio.sleep(1.9)
    assert tasks() == before + 1
    await trio.sleep(0.2)
    assert tasks() == before
    await pid.call("awake")
    await trio.sleep(2.1)
    assert tasks() == before
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize("then", [Timeout(5, "now"), IdleTimeout(5, "now")])
async def test_a_server_that_expects_a_timeout_keeps_its_task_and_gets_it(
    node, autojump_clock, then
):
    class Expecting(Napping):
        async def handle_cast(self, message):
            return NoReply(then=then)

    before = tasks()
    pid = await Expecting.start()
    pid.cast("begin")
    await trio.sleep(4)
    assert tasks() == before + 1
    await trio.sleep(2)
    assert process_of(node, pid).server.got == ["now"]
    await trio.sleep(3)
    assert tasks() == before


async def test_a_process_that_has_entered_the_loop_keeps_what_is_around_it(node):
    left: list[Any] = []

    async def prepares():
        try:
            server = Sleeper()
            server.init()
            await server.enter_loop()
        finally:
            left.append(self_pid())

    pid = spawn(prepares)
    pid.cast(1)
    await wait_all_tasks_blocked()
    assert left == []
    assert await pid.call("x") == "x"
    exit(pid, "x")
    await pid.wait_exited()
    assert left == [pid]


async def test_a_server_that_ends_while_it_naps_leaves_no_timer(node, autojump_clock):
    pid = await Napping.start()
    await pid.call("x")
    assert node.statistics().deadlines == 1
    exit(pid, KILL)
    await pid.wait_exited()
    assert node.statistics().deadlines == 0
