"""The time that a server may take to start, and starters that do not wait for it (semantics PL3)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    TIMEOUT,
    GenServer,
    ReceiveTimeoutError,
    StartError,
    exit,
    receive,
    self_pid,
    spawn,
    trap_exit,
    whereis,
)
from tests.actors.starters import Starting, gives


async def slow(server):
    await trio.sleep(60)


@pytest.mark.parametrize("traps", [False, True])
async def test_a_slow_init_is_killed_and_its_linked_starter_survives(node, autojump_clock, traps):
    """PL3."""
    trap_exit(traps)
    with structlog.testing.capture_logs() as logs, pytest.raises(StartError) as caught:
        await Starting.start_link(slow, timeout=2, name="x")
    assert caught.value.reason is TIMEOUT
    assert trio.current_time() == pytest.approx(2)
    assert whereis("x") is None
    assert logs == []
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=1)


@pytest.mark.parametrize("wrong", [float("nan"), -1, "soon"], ids=repr)
@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_a_timeout_that_is_none_is_refused_before_anything_starts(wrong, verb, node):
    """PL3, G1: an argument error in the starter."""

    class Plain(GenServer):
        def init(self):
            pass

    class Waiting(GenServer):
        async def init(self):
            await trio.sleep_forever()

    for server in (Plain, Waiting):
        with pytest.raises((TypeError, ValueError), match="a time limit is"):
            await getattr(server, verb)(name="name", timeout=wrong)
    assert node.statistics().processes == 1
    assert node.statistics().names == 0


async def test_an_init_that_is_quick_enough_leaves_no_deadline(node):
    await Starting.start(gives(None), timeout=2)
    assert node.statistics().deadlines == 0


async def test_a_starter_that_gives_up_takes_the_unfinished_server_down(node, autojump_clock):
    pids: list[Any] = []

    async def tells(server):
        pids.append(server.pid)
        await trio.sleep_forever()

    with trio.move_on_after(1):
        await Starting.start_link(tells)
    await wait_all_tasks_blocked()
    assert not pids[0].is_alive()
    assert self_pid().is_alive()


async def test_a_starter_that_dies_takes_the_server_that_it_starts_with_it(node):
    pids: list[Any] = []

    async def tells(server):
        pids.append(server.pid)
        await trio.sleep_forever()

    async def starter():
        await Starting.start_link(tells)

    pid = spawn(starter)
    await wait_all_tasks_blocked()
    exit(pid, "x")
    await wait_all_tasks_blocked()
    assert not pids[0].is_alive()


async def test_a_starter_that_dies_leaves_the_server_alone_that_it_starts_without_a_link(
    node, autojump_clock
):
    pids: list[Any] = []

    async def slow_init(server):
        pids.append(server.pid)
        await trio.sleep(1)

    async def starter():
        await Starting.start(slow_init)

    pid = spawn(starter)
    await wait_all_tasks_blocked()
    exit(pid, "x")
    await trio.sleep(2)
    assert await pids[0].call("x") == "served"


async def test_a_server_that_is_killed_during_init_fails_its_start(node):
    async def is_killed(server):
        exit(server.pid, KILL)
        await trio.sleep_forever()

    with pytest.raises(StartError) as caught:
        await Starting.start(is_killed)
    assert caught.value.reason is KILLED


async def test_an_exit_signal_during_init_fails_the_start_even_if_init_returns(node):
    async def is_hit(server):
        spawn(_send_exit, server.pid)
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()

    with pytest.raises(StartError) as caught:
        await Starting.start(is_hit)
    assert caught.value.reason == "hit"


async def _send_exit(pid):
    exit(pid, "hit")
