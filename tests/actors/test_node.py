"""Nodes: names, the end in order, interrupts, several in one program."""

import signal
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    GenServer,
    NameTakenError,
    NodeExitedError,
    NoNodeError,
    NoProcessError,
    ProcessExit,
    current_node,
    is_alive,
    open_node,
    receive,
    register,
    run,
    self_pid,
    spawn,
    spawn_link,
    trap_exit,
    unregister,
    whereis,
)
from tests.actors.helpers import Boom, exit_with, fail, forever


class Witness(GenServer):
    """Writes down how it ended."""

    async def init(self, log, name, seconds=0):
        self.log = log
        self.name = name
        self.seconds = seconds

    async def terminate(self, reason):
        await trio.sleep(self.seconds)
        self.log.append((self.name, reason))


# -- names (P1) ----------------------------------------------------------------------------------


async def test_a_name_finds_its_process(node):
    pid = spawn(forever)
    register("x", pid)
    assert whereis("x") is pid
    assert is_alive("x")
    assert '"x"' in repr(pid)


async def test_a_name_is_one_processs_and_a_process_has_one_name(node):
    pid = spawn(forever)
    register("x", pid)
    with pytest.raises(NameTakenError, match="x"):
        register("x", spawn(forever))
    with pytest.raises(NameTakenError, match="has a name already"):
        register("y", pid)


async def test_a_name_that_was_freed_can_be_taken_again(node):
    pid = spawn(forever)
    register("x", pid)
    unregister("x")
    assert whereis("x") is None
    register("y", pid)
    register("x", spawn(forever))


async def test_freeing_a_name_that_nobody_has_raises(node):
    with pytest.raises(NoProcessError):
        unregister("nobody")


async def test_the_dead_cannot_take_a_name(node):
    pid = spawn(exit_with, NORMAL)
    await pid.wait_exited()
    with pytest.raises(NoProcessError):
        register("x", pid)


async def test_a_pid_is_its_own_name(node):
    pid = spawn(forever)
    assert whereis(pid) is pid


async def test_a_name_of_the_wrong_kind_says_what_is_legal(node):
    with pytest.raises(TypeError, match=r"Via\(registry, key\)"):
        whereis(42)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("wrong", [42, None, ("a", 1), b"name"], ids=repr)
async def test_a_process_cannot_take_a_name_under_which_nobody_finds_it(wrong, node):
    """P1: a name is a string."""
    pid = spawn(forever)
    with pytest.raises(TypeError, match="the name of a process is a string"):
        register(wrong, pid)
    assert node.names == {}
    register("x", pid)


# -- the end -------------------------------------------------------------------------------------


async def test_nothing_outlives_the_node():
    """N1."""
    async with open_node() as node:
        pids = [spawn(forever) for _ in range(3)]
    assert not any(pid.is_alive() for pid in pids)
    assert node.statistics().processes == 0


async def test_servers_that_the_body_started_end_newest_first_and_run_terminate():
    """N1."""
    log: list[Any] = []
    async with open_node():
        for name in "abc":
            await Witness.start_link(log, name)
    assert log == [("c", SHUTDOWN), ("b", SHUTDOWN), ("a", SHUTDOWN)]


async def test_servers_without_a_link_run_terminate_too():
    log: list[Any] = []
    async with open_node():
        await Witness.start(log, "unlinked")
    assert log == [("unlinked", SHUTDOWN)]


async def test_the_body_waits_for_each_server_to_end(autojump_clock):
    log: list[Any] = []
    async with open_node():
        for name in "ab":
            await Witness.start_link(log, name, 1)
    assert trio.current_time() == pytest.approx(2)
    assert len(log) == 2


async def test_a_server_that_takes_too_long_is_killed(autojump_clock):
    """N1."""
    log: list[Any] = []
    async with open_node(shutdown_timeout=2):
        await Witness.start_link(log, "slow", 60)
        await Witness.start_link(log, "quick")
    assert log == [("quick", SHUTDOWN)]
    assert trio.current_time() == pytest.approx(2)


async def test_processes_that_trap_and_ignore_the_end_are_killed(autojump_clock):
    async def stubborn():
        trap_exit()
        while True:
            await receive()

    async with open_node(shutdown_timeout=1):
        pid = spawn(stubborn)
        await wait_all_tasks_blocked()
    assert not pid.is_alive()


async def test_processes_that_are_started_while_the_node_ends_end_too(autojump_clock):
    started: list[Any] = []

    class Hydra(GenServer):
        async def terminate(self, reason):
            started.append(spawn(forever))

    async with open_node() as node:
        await Hydra.start_link()
    assert not started[0].is_alive()
    assert len(node.processes) == 0


async def test_an_exception_of_the_body_comes_out_as_it_is():
    with pytest.raises(Boom):
        async with open_node():
            spawn(forever)
            raise Boom


async def test_the_body_may_end_with_normal():
    async with open_node():
        raise ProcessExit(NORMAL)


async def test_another_exit_of_the_body_is_told_to_whoever_opened_the_node():
    with pytest.raises(NodeExitedError) as caught:
        async with open_node():
            raise ProcessExit("why")
    assert caught.value.reason == "why"


async def test_a_crash_that_reaches_the_body_through_a_link_is_the_cause():
    """N2."""
    error = Boom("x")
    with pytest.raises(NodeExitedError) as caught:
        async with open_node():
            spawn_link(fail, error)
            await trio.sleep_forever()
    assert caught.value.__cause__ is error


async def test_a_cancellation_around_the_node_ends_it_in_order(autojump_clock):
    log: list[Any] = []
    with trio.move_on_after(1) as scope:
        async with open_node():
            await Witness.start_link(log, "a", 2)
            await Witness.start_link(log, "b", 2)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == [("b", SHUTDOWN), ("a", SHUTDOWN)]
    assert trio.current_time() == pytest.approx(5)


async def test_linked_children_that_end_with_the_node_are_no_failure_of_the_body():
    async with open_node():
        await Witness.start_link([], "a")
        spawn_link(forever)


async def test_zombies_do_not_keep_the_ordered_end_waiting_longer_than_they_must(autojump_clock):
    async def shielded():
        with trio.CancelScope(shield=True):
            await trio.sleep(10)

    ended: list[Any] = []

    async with open_node(kill_grace=0.5, shutdown_timeout=1):
        pid = spawn(shielded)
        await wait_all_tasks_blocked()

        async def watch():
            ended.append((await pid.wait_exited(), trio.current_time()))

        spawn(watch)
        await wait_all_tasks_blocked()
    # The task itself cannot be ended: Trio waits for it. The process is dead long before.
    assert trio.current_time() == pytest.approx(10)
    assert ended == [] or ended[0][0] in {SHUTDOWN, KILLED}


# -- run and Ctrl-C ------------------------------------------------------------------------------


def test_run_returns_what_main_returns():
    async def main(a, b):
        assert current_node().name == "calculator"
        return a + b

    assert run(main, 1, 2, name="calculator") == 3


@pytest.fixture
def ctrl_c():
    """It works; a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_node_in_order_and_is_raised():
    """N3."""
    log: list[Any] = []

    async def main():
        await Witness.start_link(log, "a")
        await Witness.start_link(log, "b")
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert log == [("b", SHUTDOWN), ("a", SHUTDOWN)]


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_hurries():
    """N3."""

    class Stubborn(GenServer):
        async def terminate(self, reason):
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    async def main():
        await Stubborn.start_link()
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        run(main)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_code_of_a_process_ends_the_node_in_order():
    log: list[Any] = []

    async def interrupted():
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async def main():
        await Witness.start_link(log, "a")
        spawn(interrupted)
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        run(main, restrict_keyboard_interrupt_to_checkpoints=False)
    assert log == [("a", SHUTDOWN)]


# -- several nodes -------------------------------------------------------------------------------


async def test_nodes_in_one_program_have_names_and_processes_of_their_own():
    """N4."""
    async with open_node("one") as one:
        register("x", self_pid())
        async with open_node("two") as two:
            assert current_node() is two
            assert whereis("x") is None
            register("x", self_pid())
            assert whereis("x") is not one.names["x"]
        assert current_node() is one
        assert whereis("x") is self_pid()


async def test_a_node_that_ends_leaves_the_other_alone():
    """N4."""
    async with open_node("one"):
        pid = spawn(forever)
        async with open_node("two"):
            other = spawn(forever)
        assert pid.is_alive()
        assert not other.is_alive()


async def test_processes_of_two_nodes_can_send_and_monitor_each_other():
    async with open_node("one"):
        me = self_pid()
        ref = None
        async with open_node("two"):
            pid = spawn(forever)
            pid.send("hello")
            ref = pid.monitor()
            assert ref.watcher is not me
        assert "two" in repr(pid)


async def test_after_the_node_there_is_no_process_any_more():
    async with open_node():
        pass
    with pytest.raises(NoNodeError):
        self_pid()


async def test_statistics_count_what_there_is(node):
    before = node.statistics()
    register("x", spawn(forever))
    after = node.statistics()
    assert after.processes == before.processes + 1
    assert after.names == before.names + 1
    assert after.started == before.started + 1
    assert (after.deadlines, after.zombies) == (0, 0)


async def test_processes_do_not_inherit_the_context_of_whoever_starts_them(node):
    from contextvars import ContextVar

    setting = ContextVar("setting", default="default")
    setting.set("starter's")
    seen: list[Any] = []

    async def look():
        seen.append(setting.get())

    await spawn(look).wait_exited()
    assert seen == ["default"]


async def test_a_helper_that_raises_ends_its_owner(node):
    pid = spawn(forever)
    error = Boom()

    async def helper():
        raise error

    node.start_helper(node.processes[pid], helper)
    reason = await pid.wait_exited()
    assert reason.exception is error


async def test_a_helper_runs_as_its_owner(node):
    pid = spawn(forever)
    seen: list[Any] = []

    async def helper():
        seen.append(self_pid())

    node.start_helper(node.processes[pid], helper)
    await wait_all_tasks_blocked()
    assert seen == [pid]


async def test_a_helper_that_is_interrupted_ends_the_node():
    with pytest.raises(KeyboardInterrupt):
        async with open_node() as node:
            pid = spawn(forever)

            async def helper():
                raise KeyboardInterrupt

            node.start_helper(node.processes[pid], helper)
            await trio.sleep_forever()


def test_run_ends_quietly_when_main_exits_normal():
    async def main():
        raise ProcessExit(NORMAL)

    assert run(main) is None


async def test_an_exit_from_a_nursery_of_the_body_is_an_exit():
    with pytest.raises(NodeExitedError) as caught:
        async with open_node(), trio.open_nursery() as nursery:
            nursery.start_soon(exit_with, "inside")
    assert caught.value.reason == "inside"
