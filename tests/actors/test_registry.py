"""Registry (semantics R1 to R9)."""

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
    Down,
    Entry,
    Exit,
    GenServer,
    Keys,
    NoProcessError,
    NotRegisteredError,
    Registered,
    Registration,
    Registry,
    Unregistered,
    Via,
    monitor,
    open_node,
    receive,
    register,
    self_pid,
    spawn,
    trap_exit,
)

UNIQUE = Registry("unique")
DUPLICATE = Registry("duplicate", keys="duplicate")
BOTH = pytest.mark.parametrize("registry", [UNIQUE, DUPLICATE], ids=["unique", "duplicate"])


class Doer(GenServer):
    """Does what it is told, as another process than the test."""

    async def handle_call(self, request, sender):
        result = request()
        return await result if hasattr(result, "__await__") else result


class Counter(GenServer):
    async def init(self, start=0):
        self.value = start

    async def handle_call(self, request, sender):
        self.value += 1
        return self.value


@pytest.fixture
async def started(node):
    """Both registries, on an open node."""
    await UNIQUE.start_link()
    await DUPLICATE.start_link()
    return node


async def other(registry, key, value=None):
    """Another process that stands under `key`."""
    pid = await Doer.start()
    await pid.call(lambda: registry.register(key, value))
    return pid


# -- starting ------------------------------------------------------------------------------------


def test_keys_are_unique_or_duplicate_and_nothing_else():
    assert Registry("r").keys_ is Keys.UNIQUE
    assert Registry("r", keys="duplicate").keys_ is Keys.DUPLICATE
    with pytest.raises(ValueError, match="many"):
        Registry("r", keys="many")


def test_a_registry_is_a_value_and_says_how_a_supervisor_starts_it():
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
    pid = await other(registry, "key")
    await pid.call(lambda: registry.register("second"))
    seen = []

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


# -- unregistering -------------------------------------------------------------------------------


@BOTH
async def test_unregister_removes_all_entries_of_the_calling_process_under_the_key(
    started, registry
):
    registry.register("a")
    registry.register("b")
    others = []
    if registry is DUPLICATE:
        registry.register("a")
        others = [(await other(registry, "a"), None)]
    registry.unregister("a")
    assert registry.keys(self_pid()) == ["b"]
    assert registry.lookup("a") == others


async def test_unregister_does_not_remove_the_key_of_another(started):
    pid = await other(UNIQUE, "key")
    UNIQUE.unregister("key")
    assert UNIQUE.lookup("key") == [(pid, None)]


@BOTH
async def test_unregister_of_nothing_is_fine(started, registry):
    registry.unregister("key")
    registry.unregister_match("key", ANY)
    assert registry.count() == 0


PATTERNS = {
    "an equal value": (("red", 1), ("red", 1)),
    "a wildcard": (("red", ANY), ("red", 1)),
    "any value": (ANY, ("red", 1)),
    "a wildcard in a mapping": ({"id": ANY}, {"id": 1}),
    "a type": (tuple, ("red", 1)),
    "a predicate": (lambda value: value[1] > 0, ("red", 1)),
}
MATCHING = pytest.mark.parametrize(("pattern", "value"), PATTERNS.values(), ids=list(PATTERNS))
OTHERS = {
    "another value": (("red", 2), ("red", 1)),
    "another length": (("red", ANY, ANY), ("red", 1)),
    "another type": (dict, ("red", 1)),
    "a predicate that says no": (lambda value: value[1] > 1, ("red", 1)),
}
NOT_MATCHING = pytest.mark.parametrize(("pattern", "value"), OTHERS.values(), ids=list(OTHERS))


@BOTH
@MATCHING
async def test_unregister_match_removes_what_matches(started, registry, pattern, value):
    registry.register("key", value)
    registry.unregister_match("key", pattern)
    assert registry.keys(self_pid()) == []


@BOTH
@NOT_MATCHING
async def test_unregister_match_leaves_what_does_not_match(started, registry, pattern, value):
    registry.register("key", value)
    registry.unregister_match("key", pattern)
    assert registry.lookup("key") == [(self_pid(), value)]


async def test_unregister_match_keeps_the_other_entries_of_the_process(started):
    for value in (1, 2, 3):
        DUPLICATE.register("key", value)
    DUPLICATE.unregister_match("key", lambda value: value % 2)
    assert DUPLICATE.values("key", self_pid()) == [2]
    assert DUPLICATE.count() == 1


# -- finding -------------------------------------------------------------------------------------


@BOTH
@MATCHING
async def test_match_finds_what_matches(started, registry, pattern, value):
    registry.register("key", value)
    registry.register("other", value)
    assert registry.match("key", pattern) == [(self_pid(), value)]
    assert registry.count_match("key", pattern) == 1


@BOTH
@NOT_MATCHING
async def test_match_leaves_out_what_does_not_match(started, registry, pattern, value):
    registry.register("key", value)
    assert registry.match("key", pattern) == []
    assert registry.count_match("key", pattern) == 0
    assert registry.count_match("absent", ANY) == 0


@BOTH
async def test_select_of_nothing_is_nothing(started, registry):
    assert registry.select() == []
    assert registry.count_select() == 0


@BOTH
async def test_select_without_conditions_is_everything(started, registry):
    registry.register("a", 1)
    pid = await other(registry, "b", 2)
    assert registry.select() == [Registration("a", self_pid(), 1), Registration("b", pid, 2)]
    assert registry.count_select() == 2


@BOTH
async def test_select_by_key_pid_and_value(started, registry):
    registry.register(("room", 1), "tea")
    registry.register(("room", 2), "milk")
    pid = await other(registry, ("hall", 1), "tea")
    assert [found.value for found in registry.select(key=("room", ANY))] == ["tea", "milk"]
    assert [found.key for found in registry.select(value="tea")] == [("room", 1), ("hall", 1)]
    assert [found.key for found in registry.select(pid=pid)] == [("hall", 1)]
    assert registry.select(key=("room", ANY), value="tea") == [(("room", 1), self_pid(), "tea")]
    assert registry.count_select(key=("room", ANY), pid=pid) == 0


@BOTH
async def test_select_where_sees_the_whole_entry(started, registry):
    for number in range(4):
        registry.register(number, number * number)
    found = registry.select(where=lambda entry: entry.value > entry.key)
    assert [entry.key for entry in found] == [2, 3]
    either = registry.count_select(where=lambda entry: entry.key == 0 or entry.value == 9)
    assert either == 2


@BOTH
async def test_select_refuses_a_condition_that_cannot_be_called(started, registry):
    with pytest.raises(TypeError, match="where"):
        registry.select(where=("key", ">", 1))
    with pytest.raises(TypeError, match="where"):
        registry.count_select(where="key")


# -- values --------------------------------------------------------------------------------------


async def test_update_value_gives_the_new_and_the_old(started):
    UNIQUE.register("key", 1)
    updated = UNIQUE.update_value("key", lambda value: value + 1)
    assert (updated.new, updated.old) == (2, 1)
    assert UNIQUE.lookup("key") == [(self_pid(), 2)]


async def test_update_value_is_for_the_holder_only(started):
    pid = await other(UNIQUE, "key", 1)
    with pytest.raises(NotRegisteredError):
        UNIQUE.update_value("key", lambda value: value + 1)
    with pytest.raises(NotRegisteredError):
        UNIQUE.update_value("absent", lambda value: value + 1)
    assert UNIQUE.lookup("key") == [(pid, 1)]


async def test_an_update_that_raises_leaves_the_value(started):
    UNIQUE.register("key", 1)
    with pytest.raises(ZeroDivisionError):
        UNIQUE.update_value("key", lambda value: value // 0)
    assert UNIQUE.values("key", self_pid()) == [1]


async def test_update_value_needs_unique_keys(started):
    DUPLICATE.register("key", 1)
    with pytest.raises(ValueError, match="unique"):
        DUPLICATE.update_value("key", lambda value: value + 1)


@BOTH
async def test_a_registry_keeps_values_of_its_own(started, registry):
    assert registry.meta("colour") is None
    registry.put_meta("colour", "red")
    assert registry.meta("colour", "blue") == "red"
    registry.delete_meta("colour")
    registry.delete_meta("colour")
    assert registry.meta("colour", "blue") == "blue"


async def test_metadata_is_there_from_the_start(node):
    rooms = Registry("rooms", metadata={"colour": "red"})
    await rooms.start_link()
    assert rooms.meta("colour") == "red"
    rooms.put_meta("colour", "blue")
    assert rooms.metadata == {"colour": "red"}


# -- dispatching ---------------------------------------------------------------------------------


@BOTH
async def test_dispatch_runs_once_in_the_caller_with_whoever_is_there(started, registry):
    runs: list[Any] = []
    registry.register("key", 1)
    pid = await other(registry, "key" if registry is DUPLICATE else "other", 2)
    registry.dispatch("key", lambda entries: runs.append((self_pid(), entries)))
    expected = [(self_pid(), 1), (pid, 2)]
    assert runs == [(self_pid(), expected if registry is DUPLICATE else expected[:1])]


@BOTH
async def test_dispatch_to_nobody_does_not_run(started, registry):
    runs: list[Any] = []
    registry.dispatch("key", runs.append)
    assert runs == []


async def test_dispatch_may_change_the_registry_it_walks_through(started):
    pid = await other(DUPLICATE, "key")
    DUPLICATE.register("key")

    def leave(entries):
        for _ in entries:
            DUPLICATE.unregister("key")

    DUPLICATE.dispatch("key", leave)
    assert DUPLICATE.lookup("key") == [(pid, None)]


async def test_what_dispatch_raises_reaches_its_caller(started):
    DUPLICATE.register("key")
    with pytest.raises(ZeroDivisionError):
        DUPLICATE.dispatch("key", lambda entries: 1 // 0)


# -- listeners -----------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", list(Keys))
async def test_listeners_hear_of_registrations_and_not_of_deaths(keys):
    async with open_node():
        register("ear", self_pid())
        rooms = Registry("rooms", keys=keys, listeners=["ear", "nobody"])
        await rooms.start_link()
        pid = await other(rooms, "key", "value")
        await pid.call(lambda: rooms.unregister("key"))
        await pid.call(lambda: rooms.unregister("key"))
        await pid.call(lambda: rooms.register("again"))
        ref = monitor(pid)
        pid.exit(KILL)
        assert await receive() == Registered("rooms", "key", pid, "value")
        assert await receive() == Unregistered("rooms", "key", pid)
        assert await receive() == Registered("rooms", "again", pid, None)
        assert isinstance(await receive(ref), Down)
        assert rooms.count() == 0


# -- names ---------------------------------------------------------------------------------------


async def test_via_is_a_name_for_everything_that_takes_one(started):
    name = Via(UNIQUE, "counter")
    pid = await Counter.start_link(name=name)
    assert UNIQUE.lookup("counter") == [(pid, None)]
    assert await GenServer.call(name, "next") == 1
    with pytest.raises(AlreadyStartedError) as refused:
        await Counter.start_link(name=name)
    assert refused.value.pid is pid
    await GenServer.stop(name)
    with pytest.raises(NoProcessError):
        await GenServer.call(name, "next")
    GenServer.cast(name, "nobody hears it")


async def test_via_with_a_value(started):
    pid = await Counter.start_link(10, name=UNIQUE.via("counter", {"colour": "red"}))
    assert UNIQUE.lookup("counter") == [(pid, {"colour": "red"})]
    assert await GenServer.call(UNIQUE.via("counter"), "next") == 11


async def test_the_callbacks_of_via(started):
    pid = await Doer.start()
    assert UNIQUE.register_name("key", pid)
    assert not UNIQUE.register_name("key", self_pid())
    assert UNIQUE.whereis_name("key") is pid
    await pid.call(lambda: UNIQUE.unregister_name("key"))
    assert UNIQUE.whereis_name("key") is None
    named = UNIQUE.via("key", 7)
    assert named.registry.register_name("key", pid)
    assert UNIQUE.values("key", pid) == [7]
    await pid.call(lambda: named.registry.unregister_name("key"))
    assert named.registry.whereis_name("key") is None


async def test_via_needs_unique_keys(started):
    with pytest.raises(ValueError, match="unique"):
        await Counter.start_link(name=Via(DUPLICATE, "counter"))
    with pytest.raises(ValueError, match="unique"):
        DUPLICATE.whereis("counter")
    with pytest.raises(ValueError, match="unique"):
        DUPLICATE.register_name("counter", self_pid())


# -- locks ---------------------------------------------------------------------------------------


def holder(key, log, name, seconds=1.0):
    async def hold():
        async with UNIQUE.lock(key):
            log.append(("in", name, trio.current_time()))
            await trio.sleep(seconds)
            log.append(("out", name, trio.current_time()))

    return hold


async def test_locks_of_different_keys_are_held_at_the_same_time(started, autojump_clock):
    log: list[Any] = []
    pids = [spawn(holder(key, log, key)) for key in ("a", "b")]
    for pid in pids:
        await pid.wait_exited()
    assert {(what, name) for what, name, _ in log[:2]} == {("in", "a"), ("in", "b")}


async def test_the_lock_of_one_key_has_one_holder_in_the_order_of_asking(started, autojump_clock):
    log: list[Any] = []
    names = ["a", "b", "c"]
    pids = []
    for name in names:
        pids.append(spawn(holder("key", log, name)))
        await trio.testing.wait_all_tasks_blocked()
    for pid in pids:
        await pid.wait_exited()
    assert [(what, name) for what, name, _ in log] == [
        (what, name) for name in names for what in ("in", "out")
    ]


async def test_a_holder_that_raises_frees_the_lock(started):
    with pytest.raises(ZeroDivisionError):
        async with UNIQUE.lock("key"):
            1 // 0  # noqa: B018
    async with UNIQUE.lock("key"):
        pass


async def test_a_holder_that_dies_frees_the_lock(started, autojump_clock):
    log: list[Any] = []
    first = spawn(holder("key", log, "first", seconds=100))
    await trio.testing.wait_all_tasks_blocked()
    second = spawn(holder("key", log, "second"))
    await trio.testing.wait_all_tasks_blocked()
    first.exit(KILL)
    await second.wait_exited()
    assert [name for what, name, _ in log if what == "out"] == ["second"]


async def test_a_killed_holder_that_does_not_unwind_loses_the_lock_when_it_is_declared_dead(
    autojump_clock,
):
    async with open_node(kill_grace=1.0):
        await UNIQUE.start_link()

        async def stuck():
            async with UNIQUE.lock("key"):
                with trio.CancelScope(shield=True):
                    await trio.sleep(10)

        pid = spawn(stuck)
        await trio.testing.wait_all_tasks_blocked()
        pid.exit(KILL)
        with trio.fail_after(2):
            async with UNIQUE.lock("key"):
                await trio.sleep(0)
        await trio.sleep(20)
        async with UNIQUE.lock("key"):  # the late end of the stuck one takes it from nobody
            pass


async def test_who_dies_while_it_waits_is_skipped(started, autojump_clock):
    log: list[Any] = []
    spawn(holder("key", log, "first"))
    await trio.testing.wait_all_tasks_blocked()
    second = spawn(holder("key", log, "second"))
    await trio.testing.wait_all_tasks_blocked()
    third = spawn(holder("key", log, "third"))
    await trio.testing.wait_all_tasks_blocked()
    second.exit(KILL)
    await third.wait_exited()
    assert [name for what, name, _ in log if what == "in"] == ["first", "third"]


async def test_asking_again_for_the_lock_one_holds_is_an_error_and_not_a_hang(started):
    async with UNIQUE.lock("key"):
        with pytest.raises(RuntimeError, match="itself"):
            async with UNIQUE.lock("key"):
                pass
        async with UNIQUE.lock("other"):
            pass


async def test_who_waits_for_a_lock_hears_of_the_end_of_the_registry(node):
    async def owner():
        await UNIQUE.start_link()
        await trio.sleep_forever()

    keeper = spawn(owner)
    await trio.testing.wait_all_tasks_blocked()
    failures = []

    async def wait():
        try:
            async with UNIQUE.lock("key"):
                await trio.sleep_forever()
        except NoProcessError as error:
            failures.append(error)

    spawn(wait)
    await trio.testing.wait_all_tasks_blocked()
    waiting = spawn(wait)
    await trio.testing.wait_all_tasks_blocked()
    keeper.exit("gone")
    await waiting.wait_exited()
    assert len(failures) == 1
