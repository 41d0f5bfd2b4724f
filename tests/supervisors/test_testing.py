"""The test kit of supervisors: what a test starts is supervised and gone when its node is."""

import pytest

from actors import GenServer, NoProcessError, call, is_alive, open_node, spawn, whereis
from actors.testing import assert_down
from supervisors import ChildNotFoundError, ChildStartError, Restart, Strategy, Supervisor
from supervisors.testing import (
    child_pid,
    end_child,
    kill_child,
    start_supervised,
    stop_supervised,
    supervisor_of_test,
)


class Counter(GenServer):
    async def init(self, diary: list[str] | None = None) -> None:
        self.diary = diary if diary is not None else []

    async def handle_call(self, request, sender):
        if request == "fail":
            raise RuntimeError("told to fail")
        return request

    async def terminate(self, reason) -> None:
        self.diary.append("terminated")


class Broken(GenServer):
    async def init(self) -> None:
        raise RuntimeError("no database")


async def test_what_is_started_is_stopped_in_order_when_the_node_ends():
    diary: list[str] = []
    async with open_node():
        pid = await start_supervised((Counter, diary))
        assert is_alive(pid)
    assert diary == ["terminated"]
    assert not pid.is_alive()


async def test_what_another_process_starts_does_not_end_with_that_process():
    async with open_node():
        started = []

        async def starter() -> None:
            started.append(await start_supervised(Counter))

        await assert_down(spawn(starter))
        assert is_alive(started[0])


async def test_a_child_is_restarted_as_its_specification_says():
    async with open_node():
        before = await start_supervised(Counter)
        after = await kill_child(await supervisor_of_test(), Counter)
        assert after is not None
        assert after is not before


async def test_overrides_replace_fields_of_the_specification():
    async with open_node():
        await start_supervised(Counter, id="c", restart=Restart.TEMPORARY)
        assert await kill_child(await supervisor_of_test(), "c") is None


async def test_a_child_that_does_not_start_is_told_to_the_test():
    async with open_node():
        with pytest.raises(ChildStartError):
            await start_supervised(Broken)


@pytest.mark.parametrize("restart", list(Restart))
async def test_a_stopped_child_is_forgotten(restart):
    async with open_node():
        pid = await start_supervised(Counter, restart=restart)
        await stop_supervised(Counter)
        assert not is_alive(pid)
        with pytest.raises(ChildNotFoundError):
            await stop_supervised(Counter)


async def test_the_supervisor_of_a_test_never_gives_up():
    async with open_node():
        await start_supervised(Counter)
        for _ in range(20):
            assert await kill_child(await supervisor_of_test(), Counter)


async def test_kill_child_tells_that_the_supervisor_gave_up():
    async with open_node() as node:
        node.main.trap_exit = True
        tree = await Supervisor.start_link(
            [Counter], max_restarts=0, strategy=Strategy.ONE_FOR_ALL, name="tree"
        )
        assert await kill_child(tree, Counter) is None
        assert whereis("tree") is None


async def test_end_child_ends_with_any_reason():
    async with open_node():
        await start_supervised(Counter, restart=Restart.TRANSIENT)
        supervisor = await supervisor_of_test()
        assert await child_pid(supervisor, Counter) is not None
        assert await end_child(supervisor, Counter, "bored") is not None


async def test_to_kill_a_child_that_does_not_run_is_an_error():
    async with open_node():
        with pytest.raises(LookupError, match="no running child 'nobody'"):
            await kill_child(await supervisor_of_test(), "nobody")


async def test_a_call_to_a_supervised_server_goes_by_name():
    async with open_node():
        await start_supervised(Counter.child_spec(name="counter"))
        assert await call("counter", 1) == 1
        await stop_supervised("counter")
        with pytest.raises(NoProcessError):
            await call("counter", 1)
