"""EventManager: handlers and the processes that own them (semantics GE3)."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    EventManager,
    HandlerExited,
    OwnerExited,
    ProcessExit,
    ReceiveTimeoutError,
    RemoveHandler,
    Swapped,
    event_manager,
    introspection,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)
from tests.actors.event_handlers import Noting, events, settled
from tests.actors.looks import Looks


@pytest.fixture
async def manager(node):
    return await EventManager.start_link(name="manager")


async def test_the_end_of_its_owner_removes_a_handler(manager):
    """GE3."""
    log: list[Any] = []

    async def owner():
        await EventManager.add_sup_handler(manager, (Noting, 1), log, "one")
        await EventManager.add_sup_handler(manager, (Noting, 2), log, "two")
        raise ProcessExit("gone")

    await EventManager.add_handler(manager, Noting, log)
    await spawn(owner).wait_exited()
    assert await EventManager.which_handlers(manager) == [Noting]
    assert events(log, "terminate") == [
        ("two", OwnerExited("gone")),
        ("one", OwnerExited("gone")),
    ]


ENDS = {
    "deleted": (NORMAL, lambda m: EventManager.delete_handler(m, Noting)),
    "removes itself": (NORMAL, lambda m: EventManager.sync_notify(m, ("return", RemoveHandler()))),
    "exits": ("leave", lambda m: EventManager.sync_notify(m, ("raise", ProcessExit("leave")))),
    "junk": (
        BadReturn("junk", "handle_event"),
        lambda m: EventManager.sync_notify(m, ("return", "junk")),
    ),
    "swapped": (
        Swapped((Noting, 2), None),
        lambda m: EventManager.swap_handler(m, Noting, "why", (Noting, 2), []),
    ),
}


@pytest.mark.parametrize(("reason", "end"), ENDS.values(), ids=list(ENDS))
async def test_the_owner_hears_of_the_end_of_its_handler(reason, end):
    """GE3."""
    async with open_node():
        manager = await EventManager.start()
        await EventManager.add_sup_handler(manager, Noting, [])
        await end(manager)
        if isinstance(reason, Swapped):
            reason = Swapped(reason.by, self_pid())
        assert await receive() == HandlerExited(manager, Noting, reason)


async def test_the_owner_hears_of_the_end_of_the_manager():
    async with open_node():
        manager = await EventManager.start()
        await EventManager.add_sup_handler(manager, Noting, [])
        await manager.stop()
        assert await receive() == HandlerExited(manager, Noting, SHUTDOWN)


async def test_an_owner_without_handlers_is_not_linked_any_more():
    async with open_node():
        manager = await EventManager.start()
        for number in (1, 2):
            await EventManager.add_sup_handler(manager, (Noting, number), [])
        await EventManager.delete_handler(manager, (Noting, 1))
        info = introspection.process_info(manager)
        assert info is not None
        assert info.links == (self_pid(),)
        await EventManager.delete_handler(manager, (Noting, 2))
        info = introspection.process_info(manager)
        assert info is not None
        assert info.links == ()


async def test_a_parent_that_was_an_owner_stays_linked():
    async with open_node():
        manager = await EventManager.start_link()
        await EventManager.add_sup_handler(manager, Noting, [])
        await EventManager.delete_handler(manager, Noting)
        info = introspection.process_info(manager)
        assert info is not None
        assert info.links == (self_pid(),)


async def test_a_swapped_handler_keeps_its_owner_or_gets_the_caller_as_one():
    async with open_node():
        manager = await EventManager.start()
        log: list[Any] = []
        await EventManager.add_handler(manager, (Noting, "old"), log)
        await EventManager.swap_sup_handler(manager, (Noting, "old"), "why", (Noting, 1), log)
        await EventManager.swap_handler(manager, (Noting, 1), "why", (Noting, 2), log)
        assert await receive() == HandlerExited(
            manager, (Noting, 1), Swapped((Noting, 2), self_pid())
        )
        await EventManager.delete_handler(manager, (Noting, 2))
        assert await receive() == HandlerExited(manager, (Noting, 2), NORMAL)
        with pytest.raises(ReceiveTimeoutError):
            await receive(timeout=0)


async def test_exits_of_others_are_messages_for_the_handlers(node):
    manager = await EventManager.start()
    log: list[Any] = []
    await EventManager.add_handler(manager, Noting, log)
    manager.exit("hello")
    await settled(manager)
    [(_, message)] = events(log, "info")
    assert message.reason == "hello"


async def test_an_owner_that_traps_exits_survives_a_killed_manager():
    async with open_node():
        trap_exit()
        manager = await EventManager.start()
        await EventManager.add_sup_handler(manager, Noting, [])
        manager.exit(KILL)
        message = await receive()
        assert message.pid is manager


async def owner(manager, *handlers):
    """Owns some, and lives on."""
    for handler, *args in handlers:
        await EventManager.add_sup_handler(manager, handler, *args)
    await trio.sleep_forever()


async def test_the_handlers_of_an_owner_end_newest_first_also_after_a_swap(manager):
    log: list[Any] = []
    pid = spawn(owner, manager, *[((Noting, name), log, name) for name in ("a", "b", "c")])
    await trio.testing.wait_all_tasks_blocked()
    await EventManager.swap_handler(manager, (Noting, "b"), "why", (Noting, "d"), log, "d")
    log.clear()
    pid.exit("gone")
    await pid.wait_exited()
    assert await EventManager.which_handlers(manager) == []
    assert [name for name, _ in events(log, "terminate")] == ["c", "d", "a"]


async def test_the_end_of_an_owner_costs_what_it_owns(manager, monkeypatch):
    looks = Looks()
    monkeypatch.setattr(event_manager, "_Installed", looks.entries(event_manager._Installed))
    costs: list[int] = []
    for number in range(100):
        await EventManager.add_handler(manager, (Noting, number), [])
        if number in (9, 99):
            pid = spawn(owner, manager, ((Noting, "owned"), []))
            await trio.testing.wait_all_tasks_blocked()
            looks.count = 0
            pid.exit("gone")
            await pid.wait_exited()
            await trio.testing.wait_all_tasks_blocked()
            costs.append(looks.count)
    assert costs[0] == costs[1]
    assert (Noting, "owned") not in await EventManager.which_handlers(manager)
