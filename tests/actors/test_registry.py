"""Registry: entries and the end of processes (semantics R1 to R4)."""

from typing import Any

import pytest
import trio

from actors import (
    ANY,
    KILL,
    NORMAL,
    SHUTDOWN,
    AlreadyRegisteredError,
    AlreadyStartedError,
    Entry,
    Exit,
    Keys,
    NoProcessError,
    Registry,
    monitor,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)
from tests.actors.registries import BOTH, DUPLICATE, UNIQUE, Doer, other


@pytest.fixture
async def started(node):
    """Both registries, on an open node."""
    await UNIQUE.start_link()
    await DUPLICATE.start_link()
    return node


# -- starting ------------------------------------------------------------------------------------


def test_keys_are_unique_or_duplicate_and_nothing_else():
    assert Registry("r").keys_ is Keys.UNIQUE
    assert Registry("r", keys="duplicate").keys_ is Keys.DUPLICATE
    with pytest.raises(ValueError, match="many"):
        Registry("r", keys="many")


def test_a_registry_is_a_value_and_says_how_a_supervisor_starts_it():
    """R1."""
    assert Registry("rooms") == Registry("rooms")
    spec = Registry("rooms").child_spec()
    assert spec["id"] == "rooms"
    assert spec["type"] == "supervisor"


async def test_a_name_can_be_started_once_on_a_node(started):
    with pytest.raises(AlreadyStartedError):
        await UNIQUE.start_link()


async def test_two_nodes_have_registries_of_their_own(started):
    UNIQUE.register("key")
    async with open_node("second"):
        await UNIQUE.start_link()
        assert UNIQUE.count() == 0
    assert UNIQUE.count() == 1


@BOTH
async def test_a_registry_that_is_not_started_is_no_process(node, registry):
    with pytest.raises(NoProcessError, match=registry.name):
        registry.register("key")
    with pytest.raises(NoProcessError):
        registry.lookup("key")


async def test_the_name_of_something_else_is_not_a_registry(node):
    await Doer.start(name="unique")
    with pytest.raises(TypeError, match="unique"):
        UNIQUE.lookup("key")


async def test_a_registry_of_another_kind_is_told_by_its_owner(started):
    assert Registry("duplicate").keys_ is Keys.UNIQUE  # the value says so …
    Registry("duplicate").register("key")
    Registry("duplicate").register("key")  # … but the tables are those of the one that was started
    assert DUPLICATE.count() == 2


# -- registering ---------------------------------------------------------------------------------


@BOTH
async def test_registering_enters_the_calling_process(started, registry):
    """R2."""
    registry.register("key", "value")
    assert registry.lookup("key") == [Entry(self_pid(), "value")]
    assert registry.keys(self_pid()) == ["key"]
    assert registry.values("key", self_pid()) == ["value"]


async def test_a_unique_key_is_held_once_also_by_oneself(started):
    UNIQUE.register("key", 1)
    with pytest.raises(AlreadyRegisteredError) as refused:
        UNIQUE.register("key", 2)
    assert refused.value.pid is self_pid()
    assert UNIQUE.lookup("key") == [(self_pid(), 1)]


async def test_a_unique_key_is_held_by_one_of_several_processes(started):
    holder = await other(UNIQUE, "key")
    with pytest.raises(AlreadyRegisteredError) as refused:
        UNIQUE.register("key")
    assert refused.value.pid is holder


async def test_a_refused_registration_leaves_nothing_behind(started):
    holder = await other(UNIQUE, "key", "its")
    with pytest.raises(AlreadyRegisteredError):
        UNIQUE.register("key", "mine")
    assert UNIQUE.keys(self_pid()) == []
    assert UNIQUE.values("key", self_pid()) == []
    assert UNIQUE.select() == [("key", holder, "its")]


async def test_one_process_may_stand_under_a_duplicate_key_several_times(started):
    DUPLICATE.register("key", 1)
    DUPLICATE.register("key", 2)
    assert DUPLICATE.lookup("key") == [(self_pid(), 1), (self_pid(), 2)]
    assert DUPLICATE.keys(self_pid()) == ["key", "key"]
    assert DUPLICATE.values("key", self_pid()) == [1, 2]


async def test_several_processes_may_stand_under_a_duplicate_key(started):
    DUPLICATE.register("key", "mine")
    pid = await other(DUPLICATE, "key", "its")
    assert DUPLICATE.lookup("key") == [(self_pid(), "mine"), (pid, "its")]
    assert DUPLICATE.values("key", pid) == ["its"]


@BOTH
async def test_keys_are_compared_as_those_of_a_dictionary(started, registry):
    registry.register(("a", 1), "tuple")
    assert registry.lookup(("a", 1.0)) == [(self_pid(), "tuple")]
    assert registry.lookup(("a", 2)) == []
    assert registry.lookup("a") == []


@BOTH
async def test_words_of_patterns_are_ordinary_keys(started, registry):
    for key in ("_", "$1", None, Ellipsis):
        registry.register(key, str(key))
    assert registry.lookup("_") == [(self_pid(), "_")]
    assert registry.select(key="$1") == [("$1", self_pid(), "$1")]
    assert registry.count_select(key="_") == 1
    registry.unregister("_")
    assert registry.keys(self_pid()) == ["$1", None, Ellipsis]


@BOTH
async def test_the_wildcard_cannot_be_a_key(started, registry):
    with pytest.raises(TypeError, match="unhashable"):
        registry.register(ANY)


@BOTH
async def test_count_is_the_number_of_entries(started, registry):
    assert registry.count() == 0
    registry.register("a")
    registry.register("b")
    await other(registry, "c")
    assert registry.count() == 3
    registry.unregister("a")
    assert registry.count() == 2


@BOTH
async def test_a_process_that_has_begun_to_exit_cannot_register(started, registry):
    refused = []

    async def zombie():
        with trio.CancelScope(shield=True):
            await trio.sleep(0.1)
            try:
                registry.register("key")
            except NoProcessError as error:
                refused.append(error)

    pid = spawn(zombie)
    await trio.testing.wait_all_tasks_blocked()
    pid.exit(KILL)
    await pid.wait_exited()
    assert len(refused) == 1
    assert registry.count() == 0


# -- the end of a process ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, KILL, "crash"])
async def test_whoever_sees_a_down_cannot_find_the_dead(started, registry, reason):
    """R3."""
    pid = await other(registry, "key")
    await pid.call(lambda: registry.register("second"))
    seen: list[Any] = []

    async def watch():
        ref = monitor(pid)
        await receive(ref)
        seen.append((registry.lookup("key"), registry.keys(pid), registry.count()))

    watcher = spawn(watch)
    await trio.testing.wait_all_tasks_blocked()
    if reason is NORMAL:
        await pid.stop()
    else:
        pid.exit(reason)
    await watcher.wait_exited()
    assert seen == [([], [], 0)]


@BOTH
async def test_the_entries_of_others_outlive_a_process(started, registry):
    first, second = await other(registry, 1), await other(registry, 2)
    await first.stop()
    assert registry.select() == [(2, second, None)]


async def slow_holder():
    UNIQUE.register("key", "old")
    with trio.CancelScope(shield=True):
        await trio.sleep(0.5)


async def test_the_key_of_a_process_that_is_exiting_is_free_and_its_late_end_leaves_the_new_holder(
    started, autojump_clock
):
    """R3."""
    old = spawn(slow_holder)
    await trio.testing.wait_all_tasks_blocked()
    old.exit(SHUTDOWN)
    assert UNIQUE.lookup("key") == []
    assert UNIQUE.whereis("key") is None
    UNIQUE.register("key", "new")
    await old.wait_exited()
    assert UNIQUE.lookup("key") == [(self_pid(), "new")]


@BOTH
async def test_the_registered_die_with_the_registry(node, registry):
    """R2."""

    async def owner():
        await registry.start_link()
        await trio.sleep_forever()

    keeper = spawn(owner)
    await trio.testing.wait_all_tasks_blocked()
    registered, bystander = await other(registry, "key"), await Doer.start()
    keeper.exit("gone")
    assert await registered.wait_exited() == "gone"
    assert bystander.is_alive()
    with pytest.raises(NoProcessError):
        registry.count()


async def test_a_process_that_traps_exits_is_told_of_the_end_of_the_registry():
    async with open_node():
        trap_exit()
        owner = await UNIQUE.start_link()
        owner.unlink()
        UNIQUE.register("key")
        owner.exit("gone")
        assert (await receive(Exit)) == Exit(owner, "gone")


async def test_a_process_without_entries_does_not_die_with_the_registry(node):
    async def owner():
        await UNIQUE.start_link()
        await trio.sleep_forever()

    keeper = spawn(owner)
    await trio.testing.wait_all_tasks_blocked()
    pid = await other(UNIQUE, "key")
    await pid.call(lambda: UNIQUE.unregister("key"))
    keeper.exit("gone")
    await keeper.wait_exited()
    assert pid.is_alive()


async def test_a_restarted_registry_is_empty(node):
    async def owner():
        await UNIQUE.start_link()
        await trio.sleep_forever()

    keeper = spawn(owner)
    await trio.testing.wait_all_tasks_blocked()
    pid = await other(UNIQUE, "key")
    keeper.exit("gone")
    await pid.wait_exited()
    await UNIQUE.start_link()
    assert UNIQUE.count() == 0
    assert UNIQUE.lookup("key") == []
