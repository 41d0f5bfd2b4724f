"""Processes: exit signals (semantics P10, P11)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    CastEvent,
    Exit,
    GenServer,
    NextState,
    NodeExitedError,
    NoProcessError,
    ProcessExit,
    StateMachine,
    Stop,
    exit,
    monitor,
    open_node,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
)
from tests.actors.helpers import Boom, exit_with, forever, reason_of_end

# -- exit signals (P10, P11) ---------------------------------------------------------------------


async def test_an_exit_signal_ends_a_process_with_its_reason(node):
    pid, ref = spawn_monitor(forever)
    exit(pid, "go")
    assert (await receive(ref)).reason == "go"


async def test_normal_from_another_process_is_ignored(node):
    """P10."""
    pid = spawn(forever)
    exit(pid, NORMAL)
    await wait_all_tasks_blocked()
    assert pid.is_alive()


async def test_normal_to_oneself_ends_a_process_that_does_not_trap(node):
    """P11."""

    async def ends_itself():
        exit(self_pid(), NORMAL)
        raise AssertionError("unreachable")

    assert await reason_of_end(ends_itself) is NORMAL


async def test_an_exit_signal_to_oneself_takes_effect_at_once(node):
    async def ends_itself():
        exit(self_pid(), "now")
        raise AssertionError("unreachable")

    assert await reason_of_end(ends_itself) == "now"


async def test_normal_to_oneself_is_a_message_for_a_process_that_traps(node):
    async def traps():
        trap_exit()
        exit(self_pid(), NORMAL)
        raise ProcessExit(("got", await receive(Exit, 0)))

    pid, ref = spawn_monitor(traps)
    assert (await receive(ref)).reason == ("got", Exit(pid, NORMAL))


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, "crash", KILLED])
async def test_a_process_that_traps_gets_exit_signals_as_messages(node, reason):
    """P10."""
    trap_exit()
    sender = spawn(_send_exit, self_pid(), reason)
    assert await receive(Exit) == Exit(sender, reason)


async def _send_exit(target, reason):
    exit(target, reason)


async def test_kill_ends_a_process_that_traps_and_leaves_killed(node):
    """P10."""

    async def trapper():
        trap_exit()
        await trio.sleep_forever()

    pid, ref = spawn_monitor(trapper)
    await wait_all_tasks_blocked()
    exit(pid, KILL)
    assert (await receive(ref)).reason is KILLED


async def test_kill_as_ones_own_exit_reason_can_be_trapped_by_the_linked(node):
    """P11."""
    trap_exit()
    pid = spawn_link(exit_with, KILL)
    assert await receive(Exit) == Exit(pid, KILL)


async def test_a_process_linked_to_one_that_exits_with_kill_dies_of_kill_not_killed(node):
    async def linked():
        spawn_link(exit_with, KILL)
        await trio.sleep_forever()

    assert await reason_of_end(linked) is KILL


async def test_a_process_linked_to_one_that_was_killed_receives_killed(node):
    async def linked():
        exit(spawn_link(forever), KILL)
        await trio.sleep_forever()

    assert await reason_of_end(linked) is KILLED


async def test_the_first_reason_is_final(node):
    """P13."""
    pid, ref = spawn_monitor(forever)
    await wait_all_tasks_blocked()
    exit(pid, "first")
    exit(pid, "second")
    exit(pid, KILL)
    assert (await receive(ref)).reason == "first"


async def test_an_exception_while_a_process_unwinds_does_not_change_its_reason(node):
    """K2."""

    async def raises_while_it_ends():
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    pid, ref = spawn_monitor(raises_while_it_ends)
    await wait_all_tasks_blocked()
    exit(pid, "asked")
    assert (await receive(ref)).reason == "asked"


async def test_a_process_that_is_ended_before_its_first_step_never_takes_one(node):
    """P13."""
    steps: list[Any] = []

    async def step():
        steps.append(1)

    pid, ref = spawn_monitor(step)
    exit(pid, "early")
    assert (await receive(ref)).reason == "early"
    assert steps == []


async def test_a_message_sent_before_an_exit_signal_is_seen_before_it(node):
    """P12, P2."""
    trap_exit()
    me = self_pid()

    async def sender():
        send(me, "message")
        exit(me, "signal")

    spawn(sender)
    assert await receive() == "message"
    assert (await receive(Exit)).reason == "signal"


async def test_exit_to_a_name_reaches_whoever_has_it(node):
    pid, ref = spawn_monitor(forever)
    register("victim", pid)
    exit("victim", "by name")
    assert (await receive(ref)).reason == "by name"


async def test_exit_to_a_name_that_nobody_has_raises(node):
    with pytest.raises(NoProcessError):
        exit("nobody", "x")


# -- None is a reason like any other -------------------------------------------------------------


class Idle(GenServer):
    """Waits; stops for the reason that it is told."""

    def init(self):
        pass

    async def handle_cast(self, message):
        return Stop(message)


class IdleMachine(StateMachine):
    def init(self):
        return NextState("idle")

    async def handle_event(self, event, state):
        return Stop(event.message) if isinstance(event, CastEvent) else None


async def test_an_exit_signal_may_have_the_reason_none(node):
    """P10: any value is a reason; Elixir's nil, say."""
    pid, ref = spawn_monitor(forever)
    await wait_all_tasks_blocked()
    exit(pid, None)
    assert not pid.is_alive()
    assert (await receive(ref)).reason is None


async def test_a_process_may_end_with_the_reason_none_and_its_links_too(node):
    """P10, L4."""
    linked = await Idle.start()

    async def ends():
        linked.link()
        raise ProcessExit(None)

    ref = monitor(linked)
    assert await reason_of_end(ends) is None
    assert (await receive(ref)).reason is None


@pytest.mark.parametrize("kind", [Idle, IdleMachine])
async def test_a_server_may_stop_for_the_reason_none(node, kind):
    pid = await kind.start()
    pid.cast(None)
    with structlog.testing.capture_logs():
        assert await pid.wait_exited() is None
    with pytest.raises(NoProcessError):
        await pid.call("x")


async def test_a_sleeping_server_can_be_ended_with_the_reason_none(node):
    pid = await Idle.start()
    exit(pid, None)
    assert await pid.wait_exited() is None


async def test_a_node_whose_body_ends_with_the_reason_none_says_so():
    async def main():
        raise ProcessExit(None)

    with pytest.raises(NodeExitedError, match="None"):
        async with open_node():
            await main()
