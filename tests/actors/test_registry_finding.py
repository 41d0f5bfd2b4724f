"""Registry: unregistering, finding, values, dispatching (semantics R4 to R6)."""

from typing import Any

import pytest

from actors import ANY, NotRegisteredError, Registration, Registry, self_pid
from tests.actors.registries import BOTH, DUPLICATE, UNIQUE, other


@pytest.fixture
async def started(node):
    """Both registries, on an open node."""
    await UNIQUE.start_link()
    await DUPLICATE.start_link()
    return node


# -- unregistering -------------------------------------------------------------------------------


@BOTH
async def test_unregister_removes_all_entries_of_the_calling_process_under_the_key(
    started, registry
):
    """R4."""
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
    """R4."""
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


async def test_an_update_that_removes_its_own_entry_brings_nothing_back(started):
    """R5: an entry that nobody would remove at the end of its process."""
    UNIQUE.register("key", 1)
    with pytest.raises(NotRegisteredError):
        UNIQUE.update_value("key", lambda _: UNIQUE.unregister("key"))
    assert UNIQUE.lookup("key") == []
    assert UNIQUE.count() == 0


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
    """R6."""
    runs: list[Any] = []
    registry.register("key", 1)
    pid = await other(registry, "key" if registry is DUPLICATE else "other", 2)
    registry.dispatch("key", lambda entries: runs.append((self_pid(), entries)))
    expected = [(self_pid(), 1), (pid, 2)]
    assert runs == [(self_pid(), expected if registry is DUPLICATE else expected[:1])]


@BOTH
async def test_dispatch_to_nobody_does_not_run(started, registry):
    """R6."""
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
