"""The names that servers take when they start (semantics G2, G3, PL6)."""

from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from actors import AlreadyStartedError, ReceiveTimeoutError, Via, receive, spawn, trap_exit, whereis
from tests.actors.helpers import Boom, forever
from tests.actors.registries import DictRegistry
from tests.actors.starters import Starting, gives


async def test_the_name_is_taken_before_init_runs(node):
    seen: list[Any] = []

    async def looks(server):
        seen.append(whereis("x"))

    pid = await Starting.start(looks, name="x")
    assert seen == [pid]


async def test_a_taken_name_is_told_with_its_holder_and_init_is_not_run(node):
    ran: list[Any] = []

    async def init(server):
        ran.append(1)

    first = await Starting.start(init, name="x")
    for start in (Starting.start, Starting.start_link, Starting.start_monitor):
        with pytest.raises(AlreadyStartedError) as caught:
            await start(init, name="x")
        assert caught.value.pid is first
        assert caught.value.reason == ("already_started", first)
    assert ran == [1]


async def test_a_name_of_the_wrong_kind_is_refused_before_anything_starts(node):
    with pytest.raises(TypeError, match="Via"):
        await Starting.start(gives(None), name=42)  # type: ignore[arg-type]  # on purpose
    assert len(node.processes) == 1


async def test_a_server_can_have_a_name_in_a_registry(node):
    name = Via(DictRegistry(), "x")
    pid = await Starting.start(gives(None), name=name)
    assert whereis(name) is pid
    assert await Starting.call(name, "hello") == "served"
    with pytest.raises(AlreadyStartedError) as caught:
        await Starting.start(gives(None), name=name)
    assert caught.value.pid is pid


async def test_a_registry_that_refuses_leaves_no_process_and_no_message(node):
    trap_exit()
    ran: list[Any] = []

    async def init(server):
        ran.append(1)

    with pytest.raises(Boom):
        await Starting.start_link(init, name=Via(DictRegistry(Boom()), "x"))
    await wait_all_tasks_blocked()
    assert ran == []
    assert len(node.processes) == 1
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_name_that_somebody_takes_meanwhile_is_already_started(node):
    class Race(DictRegistry):
        def register_name(self, key, pid):
            self.names[key] = winner
            return False

    winner = spawn(forever)
    with pytest.raises(AlreadyStartedError) as caught:
        await Starting.start(gives(None), name=Via(Race(), "x"))
    assert caught.value.pid is winner
    await wait_all_tasks_blocked()
    assert len(node.processes) == 2
