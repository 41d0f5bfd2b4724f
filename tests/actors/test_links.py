"""Links (semantics L)."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    NOPROC,
    NORMAL,
    Exit,
    NoProcessError,
    ReceiveTimeoutError,
    exit,
    link,
    open_node,
    receive,
    register,
    self_pid,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
    unlink,
)
from tests.actors.helpers import exit_when_told, exit_with, forever, info_of


def links(pid):
    return set(info_of(pid).links)


async def test_a_link_is_symmetric(node):
    """L1."""
    trap_exit()
    pid = spawn(forever)
    link(pid)
    assert links(pid) == {self_pid()}
    assert links(self_pid()) == {pid}


async def test_linking_twice_makes_one_link_and_one_unlink_removes_it(node):
    """L1, L3."""
    trap_exit()
    pid = spawn(forever)
    link(pid)
    link(pid)
    unlink(pid)
    assert links(pid) == set()
    exit(pid, "x")
    with pytest.raises(ReceiveTimeoutError):
        await receive(Exit, 0)


async def test_linking_to_oneself_does_nothing(node):
    """L1."""
    link(self_pid())
    assert links(self_pid()) == set()


async def test_linking_to_the_dead_raises_in_a_process_that_does_not_trap(node):
    """L2."""
    pid = spawn(exit_with, NORMAL)
    await pid.wait_exited()
    with pytest.raises(NoProcessError):
        link(pid)


async def test_linking_to_the_dead_is_an_exit_message_for_a_process_that_traps(node):
    """L2."""
    trap_exit()
    pid = spawn(exit_with, NORMAL)
    await pid.wait_exited()
    link(pid)
    assert await receive() == Exit(pid, NOPROC)


async def test_linking_to_one_that_has_begun_to_exit_is_linking_to_the_dead(node):
    pid = spawn(forever)
    exit(pid, "x")
    with pytest.raises(NoProcessError):
        link(pid)


async def test_linking_to_a_name_that_nobody_has_raises(node):
    with pytest.raises(NoProcessError):
        link("nobody")


async def test_a_link_can_be_made_by_name(node):
    trap_exit()
    pid = spawn(forever)
    register("peer", pid)
    link("peer")
    assert links(pid) == {self_pid()}


async def test_a_linked_process_dies_of_the_same_reason(node):
    async def parent():
        spawn_link(exit_with, "reason")
        await trio.sleep_forever()

    pid = spawn(parent)
    assert await pid.wait_exited() == "reason"


async def test_a_parent_that_ends_normal_does_not_take_its_linked_child_with_it(node):
    children: list[Any] = []

    async def parent():
        children.append(spawn_link(forever))

    await spawn(parent).wait_exited()
    await wait_all_tasks_blocked()
    assert children[0].is_alive()
    assert links(children[0]) == set()


async def test_death_goes_through_a_chain_of_links(node):
    async def chain(length):
        if length:
            spawn_link(chain, length - 1)
        await trio.sleep_forever()

    pid = spawn(chain, 50)
    await wait_all_tasks_blocked()
    exit(pid, "domino")
    await wait_all_tasks_blocked()
    assert len(node.processes) == 1


async def test_a_process_that_traps_stops_the_spreading(node):
    trap_exit()

    async def middle():
        trap_exit()
        spawn_link(exit_with, "crash")
        await receive(Exit)

    pid = spawn_link(middle)
    assert await receive(Exit) == Exit(pid, NORMAL)


async def test_an_exit_that_is_in_the_mailbox_survives_unlink(node):
    """L3."""
    trap_exit()
    pid = spawn_link(exit_with, "x")
    await pid.wait_exited()
    unlink(pid)
    assert await receive(Exit, 0) == Exit(pid, "x")


async def test_unlink_with_flush_takes_the_exit_out_and_nothing_else(node):
    """L3."""
    trap_exit()
    pid = spawn_link(exit_with, "x")
    other = spawn_link(exit_with, "y")
    await pid.wait_exited()
    await other.wait_exited()
    unlink(pid, flush=True)
    assert await receive(timeout=0) == Exit(other, "y")


async def test_unlink_of_one_that_is_not_linked_does_nothing(node):
    unlink(spawn(forever))


async def test_the_dead_are_in_nobodys_links(node):
    trap_exit()
    pid = spawn_link(exit_with, "x")
    await pid.wait_exited()
    assert links(self_pid()) == set()


async def test_spawn_link_is_linked_from_the_first_step(node):
    """L2."""
    trap_exit()
    pid = spawn_link(forever)
    assert links(self_pid()) == {pid}
    exit(pid, KILL)
    assert (await receive(Exit)).pid is pid


async def test_trap_exit_gives_the_former_flag(node):
    assert trap_exit() is False
    assert trap_exit(False) is True
    assert trap_exit(False) is False


async def test_what_was_trapped_stays_a_message_after_trapping_ends(node):
    trap_exit()
    pid = spawn_link(exit_when_told)
    pid.send("x")
    await pid.wait_exited()
    trap_exit(False)
    assert await receive(Exit, 0) == Exit(pid, "x")


async def test_a_process_that_dies_tells_each_of_its_links_once(node):
    """L4."""
    got: list[Any] = []

    async def listener(peer):
        trap_exit()
        link(peer)
        got.append(await receive(Exit))

    pid = spawn(forever)
    listeners = [spawn(listener, pid) for _ in range(3)]
    await wait_all_tasks_blocked()
    exit(pid, "x")
    for listener_pid in listeners:
        await listener_pid.wait_exited()
    assert got == [Exit(pid, "x")] * 3


async def test_a_link_error_that_nobody_catches_is_the_exit_reason():
    async with open_node():
        dead = spawn(exit_with, NORMAL)
        await dead.wait_exited()

        async def links_to_the_dead():
            link(dead)

        pid, ref = spawn_monitor(links_to_the_dead)
        assert (await receive(ref)).reason.reason is NOPROC
        assert not pid.is_alive()


async def test_what_a_dying_process_still_starts_dies_with_it(node):
    children = []

    async def waits_for_the_end():
        try:
            await trio.sleep_forever()
        finally:
            children.append(spawn_link(forever))

    spawner = spawn(waits_for_the_end)
    await wait_all_tasks_blocked()
    exit(spawner, "x")
    assert await spawner.wait_exited() == "x"
    await wait_all_tasks_blocked()
    assert [child.is_alive() for child in children] == [False]
