"""Registry: listeners, Via, locks (semantics R5, R7, R8)."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    AlreadyStartedError,
    Down,
    GenServer,
    Keys,
    NoProcessError,
    Registered,
    Registry,
    Unregistered,
    Via,
    monitor,
    open_node,
    receive,
    register,
    self_pid,
    spawn,
)
from actors.context import current
from tests.actors.registries import DUPLICATE, UNIQUE, Counter, Doer, other


@pytest.fixture
async def started(node):
    """Both registries, on an open node."""
    await UNIQUE.start_link()
    await DUPLICATE.start_link()
    return node


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


@pytest.mark.parametrize("listener", [42, None, Via(UNIQUE, "key")], ids=["int", "None", "Via"])
def test_what_can_be_no_listener_is_refused_when_the_registry_is_named(listener):
    """R7: not in the step of whoever registers."""
    with pytest.raises(TypeError, match="a listener is a name"):
        Registry("rooms", listeners=[listener])


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
    pids: list[Any] = []
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
    failures: list[Any] = []

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


async def test_a_process_of_another_node_is_refused(started):
    """Nobody would remove it when it ends."""
    here = current.get()
    async with open_node("other"):
        stranger = spawn(trio.sleep_forever)
        token = current.set(here)
        with pytest.raises(ValueError, match="another node"):
            UNIQUE.register_name("key", stranger)
        current.reset(token)
    assert UNIQUE.whereis("key") is None
