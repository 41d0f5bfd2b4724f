"""Process groups within one node (semantics PG1 and PG2)."""

from collections import Counter

import pytest
import trio

from actors import (
    KILL,
    AlreadyStartedError,
    Bounded,
    GroupJoined,
    GroupLeft,
    NoProcessError,
    Overflow,
    ProcessGroups,
    ReceiveTimeoutError,
    monitor,
    open_node,
    process_groups,
    receive,
    self_pid,
    spawn,
)
from actors.context import current
from tests.actors.looks import Looks

SCOPE = ProcessGroups("scope")


@pytest.fixture
async def scope(node):
    await SCOPE.start_link()
    return SCOPE


def member():
    return spawn(trio.sleep_forever)


async def nothing_arrives():
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_scope_is_started_once_under_its_name(scope):
    with pytest.raises(AlreadyStartedError):
        await scope.start_link()
    assert scope.child_spec()["id"] == "scope"


async def test_a_scope_that_is_not_started_is_no_process(node):
    with pytest.raises(NoProcessError, match="scope"):
        SCOPE.members("group")


async def test_members_stand_in_the_order_of_joining(scope):
    first, second = member(), member()
    scope.join("group", first)
    scope.join("group", [second, self_pid()])
    assert scope.members("group") == [first, second, self_pid()]
    assert scope.local_members("group") == scope.members("group")
    assert scope.members("other") == []


async def test_who_joins_twice_leaves_twice(scope):
    pid = member()
    scope.join("group", [pid, pid])
    assert scope.members("group") == [pid, pid]
    assert scope.leave("group", pid)
    assert scope.members("group") == [pid]
    assert scope.leave("group", pid)
    assert not scope.leave("group", pid)


async def test_leaving_says_whether_anybody_was_a_member(scope):
    inside, outside = member(), member()
    scope.join("group", inside)
    assert not scope.leave("group", outside)
    assert not scope.leave("absent", inside)
    assert scope.leave("group", [inside, outside])


async def test_a_group_is_there_while_it_has_members(scope):
    first, second = member(), member()
    scope.join(("a", 1), first)
    scope.join("b", [first, second])
    assert scope.groups() == [("a", 1), "b"]
    scope.leave(("a", 1), first)
    scope.leave("b", first)
    assert scope.groups() == ["b"]


async def test_the_dead_have_left_before_any_down(scope):
    pid, seen = member(), []
    scope.join("a", [pid, pid])
    scope.join("b", pid)

    async def watch():
        await receive(monitor(pid))
        seen.append(scope.groups())

    watcher = spawn(watch)
    await trio.testing.wait_all_tasks_blocked()
    pid.exit(KILL)
    await watcher.wait_exited()
    assert seen == [[]]


async def test_the_dead_cannot_join(scope):
    pid = member()
    pid.exit(KILL)
    await pid.wait_exited()
    scope.join("group", [pid, self_pid()])
    assert scope.members("group") == [self_pid()]


@pytest.mark.parametrize("verb", [SCOPE.join, SCOPE.leave], ids=["join", "leave"])
async def test_processes_of_other_nodes_are_refused(verb, scope):
    """PG1: nobody would remove them when they end."""
    here = current.get()
    async with open_node("other"):
        living, dead = member(), spawn(trio.lowlevel.checkpoint)
        await dead.wait_exited()
        token = current.set(here)
        for stranger in (living, dead):
            with pytest.raises(ValueError, match="another node"):
                verb("group", [self_pid(), stranger])
        current.reset(token)
    assert scope.groups() == []


@pytest.mark.parametrize("verb", [SCOPE.join, SCOPE.leave], ids=["join", "leave"])
@pytest.mark.parametrize("nonsense", ["worker", 42, None, ["worker"], [None]], ids=repr)
async def test_what_is_no_process_is_refused_in_words(nonsense, verb, scope):
    with pytest.raises(TypeError, match="members of a group are given as a Pid"):
        verb("group", nonsense)
    assert scope.groups() == []


async def test_one_that_is_refused_keeps_the_others_from_joining(scope):
    with pytest.raises(TypeError):
        scope.join("group", [self_pid(), "worker"])
    assert scope.members("group") == []


async def test_several_may_come_from_a_generator(scope):
    pids = [member(), member()]
    scope.join("group", (pid for pid in pids))
    assert scope.members("group") == pids


async def test_members_outlive_the_scope_and_their_memberships_do_not(node):
    async def owner():
        await SCOPE.start_link()
        await trio.sleep_forever()

    keeper, pid = spawn(owner), member()
    await trio.testing.wait_all_tasks_blocked()
    SCOPE.join("group", pid)
    keeper.exit("gone")
    await keeper.wait_exited()
    await trio.testing.wait_all_tasks_blocked()
    await SCOPE.start_link()
    assert pid.is_alive()
    assert SCOPE.members("group") == []


async def test_a_monitor_gets_the_members_and_then_every_change():
    async with open_node():
        await SCOPE.start_link()
        first, second = member(), member()
        SCOPE.join("group", first)
        ref, members = SCOPE.monitor("group")
        assert members == [first]
        SCOPE.join("group", [second, second])
        SCOPE.leave("group", first)
        SCOPE.join("other", first)
        second.exit(KILL)
        assert await receive() == GroupJoined(ref, "group", (second, second))
        assert await receive() == GroupLeft(ref, "group", (first,))
        assert await receive() == GroupLeft(ref, "group", (second, second))
        await nothing_arrives()


@pytest.mark.parametrize("overflow", Overflow, ids=str)
async def test_a_full_watcher_misses_no_change_and_harms_nobody(overflow, scope):
    """PG2, BM2: `join` is one step, and the dead leave every group."""
    gate, told = trio.Event(), []

    async def watch():
        scope.monitor("a")
        scope.monitor_scope()
        self_pid().send("the only message for which there is room")
        await gate.wait()
        told.extend([await receive((GroupJoined, GroupLeft)) for _ in range(6)])

    watcher = spawn(watch, mailbox=Bounded(1, overflow))
    await trio.testing.wait_all_tasks_blocked()
    pid = member()
    scope.join("a", pid)
    scope.join("b", pid)
    pid.exit(KILL)
    await pid.wait_exited()
    assert scope.groups() == []
    gate.set()
    await watcher.wait_exited()
    assert Counter((type(change), change.group) for change in told) == {
        (GroupJoined, "a"): 2,
        (GroupJoined, "b"): 1,
        (GroupLeft, "a"): 2,
        (GroupLeft, "b"): 1,
    }


async def test_a_monitor_of_the_scope_hears_of_all_groups():
    async with open_node():
        await SCOPE.start_link()
        pid = member()
        SCOPE.join("a", pid)
        ref, groups = SCOPE.monitor_scope()
        assert groups == {"a": [pid]}
        SCOPE.join("b", pid)
        SCOPE.leave("a", pid)
        assert await receive() == GroupJoined(ref, "b", (pid,))
        assert await receive() == GroupLeft(ref, "a", (pid,))


async def test_each_monitor_is_told():
    async with open_node():
        await SCOPE.start_link()
        refs = [SCOPE.monitor("group")[0], SCOPE.monitor("group")[0], SCOPE.monitor_scope()[0]]
        SCOPE.join("group", self_pid())
        assert [(await receive()).monitor for _ in refs] == refs


async def test_a_monitor_that_was_undone_hears_nothing():
    async with open_node():
        await SCOPE.start_link()
        one, _ = SCOPE.monitor("group")
        all_, _ = SCOPE.monitor_scope()
        assert SCOPE.demonitor(one)
        assert SCOPE.demonitor(all_)
        assert not SCOPE.demonitor(one)
        SCOPE.join("group", self_pid())
        await nothing_arrives()


async def test_what_an_undone_monitor_has_told_is_dropped_and_nothing_else():
    """PG2: as `pg:demonitor` does."""
    async with open_node():
        await SCOPE.start_link()
        undone, kept, all_ = (
            SCOPE.monitor("group")[0],
            SCOPE.monitor("group")[0],
            SCOPE.monitor_scope()[0],
        )
        self_pid().send("first")
        SCOPE.join("group", self_pid())
        self_pid().send("second")
        SCOPE.leave("group", self_pid())
        assert SCOPE.demonitor(undone)
        assert SCOPE.demonitor(all_)
        left = [await receive() for _ in range(4)]
        assert left[0] == "first"
        assert left[1] == GroupJoined(kept, "group", (self_pid(),))
        assert left[2] == "second"
        assert left[3] == GroupLeft(kept, "group", (self_pid(),))
        await nothing_arrives()


async def test_undoing_the_monitor_of_another_drops_nothing(scope):
    told = []

    async def watch(gate):
        told.append(scope.monitor("group")[0])
        await gate.wait()
        told.append(await receive(timeout=0))

    gate = trio.Event()
    watcher = spawn(watch, gate)
    await trio.testing.wait_all_tasks_blocked()
    scope.join("group", self_pid())
    assert scope.demonitor(told[0])
    gate.set()
    await watcher.wait_exited()
    assert told[1] == GroupJoined(told[0], "group", (self_pid(),))


async def test_the_monitors_of_a_process_end_with_it(scope):
    refs = []

    async def watch():
        refs.extend([SCOPE.monitor("group")[0], SCOPE.monitor_scope()[0]])

    await spawn(watch).wait_exited()
    assert not any(map(SCOPE.demonitor, refs))


# -- what it costs -------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch):
    """Counts who looks at the monitors that are made from now on."""
    looks = Looks()
    counting = looks.entries(process_groups.GroupMonitor)
    monkeypatch.setattr(process_groups, "GroupMonitor", counting)
    return looks


async def test_a_death_costs_nothing_for_what_others_watch(looks, scope):
    for number in range(100):
        scope.monitor(number)
        scope.monitor_scope()
    looks.count = 0
    await spawn(trio.lowlevel.checkpoint).wait_exited()
    assert looks.count == 0


async def test_the_death_of_a_watcher_costs_what_it_watches(looks, scope):
    async def watch():
        for group in ("a", "b"):
            scope.monitor(group)
        await trio.sleep_forever()

    watcher = spawn(watch)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(100):
        scope.monitor("a")
    looks.count = 0
    watcher.exit(KILL)
    await watcher.wait_exited()
    assert looks.count < 10
