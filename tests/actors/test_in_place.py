"""Processes: messages that are handled in the step of the sender."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    NORMAL,
    CallError,
    Crash,
    NodeExitedError,
    ProcessExit,
    open_node,
    receive,
    run,
    self_pid,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
)
from actors.introspection import get_state
from tests.actors.helpers import Boom, exit_with, forever

# -- messages handled in place -------------------------------------------------------------------


async def test_a_process_can_handle_its_messages_in_the_step_of_the_sender(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(seen.append)
        await trio.sleep_forever()

    pid = spawn(in_place)
    send(pid, "queued")
    await wait_all_tasks_blocked()
    assert seen == ["queued"]
    send(pid, "at once")
    assert seen == ["queued", "at once"]


async def test_a_handler_in_place_runs_as_its_own_process(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(lambda _: seen.append(self_pid()))
        await trio.sleep_forever()

    pid = spawn(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    assert seen == [pid]
    assert self_pid() != pid


@pytest.mark.parametrize("error", [Boom("x"), ProcessExit("y")])
async def test_a_handler_in_place_that_raises_ends_its_process_and_not_the_sender(node, error):
    def handler(_):
        raise error

    async def in_place():
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    pid, ref = spawn_monitor(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    expected = Crash(error) if isinstance(error, Boom) else "y"
    assert (await receive(ref)).reason == expected


class Odd(BaseException):
    """Neither an Exception nor an exit."""


@pytest.mark.parametrize("error", [Odd(), BaseExceptionGroup("", [Odd(), Boom()])], ids=repr)
async def test_whatever_a_handler_in_place_raises_is_its_own_and_not_the_senders(error, node):
    """K4, P6."""

    def handler(_):
        raise error

    async def in_place():
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    pid, ref = spawn_monitor(in_place)
    await wait_all_tasks_blocked()
    send(pid, "x")
    reason = (await receive(ref)).reason
    assert isinstance(reason, Crash)
    assert repr(reason.exception) == repr(error)


async def test_system_exit_in_a_handler_in_place_ends_the_node_and_not_the_sender():
    """N3, K4."""
    sent: list[Any] = []

    def handler(_):
        raise SystemExit(3)

    async def in_place(node):
        node.processes[self_pid()].handle_in_place(handler)
        await trio.sleep_forever()

    async def sender(pid):
        send(pid, "x")
        sent.append("and went on")
        await trio.sleep_forever()

    with pytest.raises(SystemExit):
        async with open_node() as node:
            pid = spawn(in_place, node)
            await wait_all_tasks_blocked()
            spawn(sender, pid)
            await trio.sleep_forever()
    assert sent == ["and went on"]


async def test_a_main_process_that_gets_an_exit_signal_ends_the_node_with_that_reason():
    """N2."""
    with pytest.raises(NodeExitedError) as caught:
        async with open_node():
            spawn_link(exit_with, "bad news")
            await trio.sleep_forever()
    assert caught.value.reason == "bad news"


async def test_a_call_error_is_an_exception_that_can_be_caught(node):
    dead = spawn(exit_with, NORMAL)
    await dead.wait_exited()
    with pytest.raises(CallError):
        await dead.call("x")


async def test_a_process_that_handles_in_place_can_be_stopped_and_knows_no_more(node):
    seen: list[Any] = []

    async def in_place():
        node.processes[self_pid()].handle_in_place(seen.append)
        await trio.sleep_forever()

    pid = spawn(in_place)
    await wait_all_tasks_blocked()
    with pytest.raises(CallError) as caught:
        await get_state(pid)
    assert caught.value.reason == ("unknown_system_msg", ("get_state",))
    await pid.stop("enough")
    assert seen == []


def test_pids_compare_in_every_direction():
    async def main():
        first, second = spawn(forever), spawn(forever)
        assert first < second
        assert first <= second
        assert second > first
        assert sorted([second, first]) == [first, second]

    run(main)
