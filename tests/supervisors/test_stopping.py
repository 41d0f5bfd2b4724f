"""How children are stopped: S20 to S25; OTP cases 16, 17, 19, 21, 55, 88."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    CallError,
    CallTimeoutError,
    Exit,
    GenServer,
    Pid,
    ProcessExit,
    Shutdown,
    receive,
    spawn_link,
    trap_exit,
)
from supervisors import BRUTAL_KILL, INFINITY, ChildSpec, DynamicSupervisor, Restart, Supervisor
from tests.supervisors.workers import ANY_TIME, Brittle, Play, end, pid, pids, settle


async def ends_of(supervisor: Pid, stop: Any) -> dict[Any, Any]:
    """Stop; the reasons with which the children ended, and how long it took under "seconds"."""
    children = {id: pid for id, pid in (await pids(supervisor)).items() if pid}
    reasons: dict[Any, Any] = {}

    async def watch(id: Any, child: Pid) -> None:
        reasons[id] = await child.wait_exited()

    async with trio.open_nursery() as nursery:
        for id, child in children.items():
            nursery.start_soon(watch, id, child)
        await settle()
        began = trio.current_time()
        await stop
        reasons["seconds"] = round(trio.current_time() - began, 6)
    return reasons


async def test_a_child_may_take_as_long_as_its_shutdown_says(play: Play):
    """S20; sup_stop_timeout: the fast child ends in order, the slow one is killed."""
    specs = [play.child("fast", slow=0.9, shutdown=1), play.child("slow", slow=2, shutdown=1)]
    supervisor = await Supervisor.start_link(specs)
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons == {"fast": SHUTDOWN, "slow": KILLED, "seconds": 1.9}


async def test_a_child_with_infinite_shutdown_is_awaited(play: Play):
    """S20; sup_stop_infinity, for workers and supervisors."""
    slow = play.child("worker", slow=ANY_TIME, shutdown=INFINITY)
    inner = Supervisor.child_spec(
        [play.child("below", slow=ANY_TIME, shutdown=INFINITY)], id="inner"
    )
    supervisor = await Supervisor.start_link([slow, inner])
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons == {"worker": SHUTDOWN, "inner": SHUTDOWN, "seconds": 2 * ANY_TIME}


async def test_a_brutal_kill_asks_nothing(play: Play):
    """S20; sup_stop_brutal_kill: that child is killed, the others end in order."""
    specs = [play.child("a"), play.child("b", shutdown=BRUTAL_KILL, slow=ANY_TIME)]
    supervisor = await Supervisor.start_link(specs)
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons == {"a": SHUTDOWN, "b": KILLED, "seconds": 0.0}
    assert "stop b" not in play.entries()


async def test_no_patience_kills_what_does_not_end_at_once(play: Play):
    """S20: shutdown 0."""
    supervisor = await Supervisor.start_link([play.child("a", shutdown=0, slow=1)])
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons == {"a": KILLED, "seconds": 0.0}


async def test_children_stop_one_after_the_other(play: Play):
    """S22: the time is the sum."""
    supervisor = await Supervisor.start_link(play.children("abc", slow=0.1))
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons["seconds"] == pytest.approx(0.3)


async def test_a_child_that_does_not_trap_exits_ends_without_terminate(play: Play):
    """S23."""
    supervisor = await Supervisor.start_link(play.children("a", worker=Brittle, slow=ANY_TIME))
    reasons = await ends_of(supervisor, supervisor.stop())
    assert reasons == {"a": SHUTDOWN, "seconds": 0.0}
    assert play.reasons == {}


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x"), "other"], ids=repr)
async def test_the_exit_of_its_parent_stops_a_supervisor_in_order_with_that_reason(
    play: Play, reason: Any
):
    """S24: any reason, NORMAL too."""
    supervisor = await Supervisor.start_link(play.children("ab"))
    ending = supervisor.wait_exited()
    play.entries()
    supervisor.exit(reason)
    assert await ending == reason
    assert play.entries() == "stop b, stop a"


async def test_a_supervisor_ends_with_the_process_that_started_it(play: Play):
    """S24: the parent need not ask."""
    started: list[Pid] = []

    async def parent() -> None:
        started.append(await Supervisor.start_link(play.children("ab")))
        raise ProcessExit("parent's reason")

    spawn_link(parent)
    await settle()
    assert not started[0].is_alive()
    assert play.reasons["a"] == [SHUTDOWN]
    assert play.entries() == "start a, start b, stop b, stop a"


async def test_a_child_that_stops_its_own_supervisor_waits_for_itself(play: Play):
    """S25: until its shutdown time kills it."""

    class Suicidal(GenServer):
        async def init(self, supervisor: str) -> None:
            self.supervisor = supervisor

        async def handle_cast(self, message: Any) -> None:
            await Supervisor.stop(self.supervisor)

        async def terminate(self, reason: Any) -> None:
            """Makes it trap exits."""

    supervisor = await Supervisor.start_link([(Suicidal, "app")], name="app")
    (await pid(supervisor, Suicidal)).cast("now")
    began = trio.current_time()
    assert await supervisor.wait_exited() is NORMAL
    assert trio.current_time() - began == pytest.approx(5.0)


async def test_a_child_that_calls_its_supervisor_from_init_waits_in_vain(play: Play):
    """S25: the supervisor is in the start function; only a time limit gets the child out."""

    class Curious(GenServer):
        async def init(self, supervisor: str) -> None:
            with pytest.raises(CallTimeoutError):
                await self.call(supervisor, ("which_children",), 1.0)

    supervisor = await Supervisor.start_link([(Curious, "app")], name="app")
    assert (await pid(supervisor, Curious)).is_alive()


async def test_a_child_that_unlinked_itself_can_still_be_stopped(play: Play):
    """S20; child_unlink."""
    supervisor = await Supervisor.start_link(play.children("a"))
    child = await pid(supervisor, "a")
    child.send("unlink")
    await settle()
    await Supervisor.terminate_child(supervisor, "a")
    assert not child.is_alive()


async def test_a_child_that_unlinked_itself_and_died_does_not_hang_its_supervisor(play: Play):
    """S20: reason child_process_unlinked; child_unlink."""
    supervisor = await Supervisor.start_link(play.children("a"))
    child = await pid(supervisor, "a")
    child.send("unlink")
    await end(child, "secretly")
    assert (await pids(supervisor))["a"] is child
    await Supervisor.terminate_child(supervisor, "a")
    assert (await pids(supervisor))["a"] is None


async def test_children_that_end_by_themselves_meanwhile_do_not_disturb_a_stop(play: Play):
    """S21; sup_stop_race: each keeps its own reason, nobody is restarted, the supervisor ends as asked."""
    reasons = {"normal": NORMAL, "shutdown": SHUTDOWN, "detail": Shutdown("x"), "other": "other"}

    class Stubborn(Brittle):
        """Ends for its own reason when it is asked to."""

        trap_exit = True

        async def init(self, play: Play, id: Any, slow: float = 0.0) -> None:
            await super().init(play, id, slow)

        async def terminate(self, reason: Any) -> None:
            raise ProcessExit(reasons[self.id[1]])

    ids = [
        (restart, name) for restart in ("permanent", "transient", "temporary") for name in reasons
    ]
    specs = [play.child(id, worker=Stubborn, restart=id[0]) for id in ids]
    supervisor = await Supervisor.start_link(specs)
    ended = await ends_of(supervisor, supervisor.stop(SHUTDOWN))
    assert {id: ended[id] for id in ids} == {id: reasons[id[1]] for id in ids}
    assert all(play.starts[id] == 1 for id in ids)


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
async def test_children_that_had_ended_before_they_could_be_stopped_keep_their_reasons(
    play: Play, kind: type[Any]
):
    """S21, D7; sup_stop_race: they end behind the supervisor's back, which is told to stop first."""
    ends = {"normal": NORMAL, "shutdown": SHUTDOWN, "detail": Shutdown("x"), "other": "other"}
    ids = [(restart, name) for restart in Restart for name in ends]
    supervisor = await kind.start_link(*[[]] * (kind is Supervisor))
    children = {
        id: await kind.start_child(supervisor, play.child(id, worker=Brittle, restart=id[0]))
        for id in ids
    }
    endings = {id: (child, child.target) for id, child in children.items()}
    supervising, go = supervisor.target, trio.Event()

    async def keep_busy() -> Any:
        await go.wait()
        return await play.start("x")

    with capture_logs() as log:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kind.start_child, supervisor, ChildSpec("x", keep_busy))
            await settle()
            nursery.start_soon(supervisor.stop, SHUTDOWN)
            await settle()
            for (_, name), child in children.items():
                await end(child, ends[name])
            go.set()
    assert {id: process.exit_reason for id, (_, process) in endings.items()} == {
        id: ends[id[1]] for id in ids
    }
    assert supervising.exit_reason is SHUTDOWN
    assert all(play.starts[id] == 1 for id in ids)
    told = [str(entry["reason"]) for entry in log if entry["event"] == "shutdown_error"]
    each = ["normal", "other", "other", "other"]
    if kind is Supervisor:  # a dynamic one accepts it from whoever it stops
        each.insert(0, "Shutdown(detail='x')")
    assert sorted(told) == each


async def test_an_exit_behind_a_terminate_child_finds_nobody_in_the_book(play: Play):
    """S19, S20: the child died before it could be stopped; it is not restarted."""
    supervisor = await Supervisor.start_link(play.children("a"))
    child = await pid(supervisor, "a")
    go = trio.Event()

    async def keep_busy() -> Any:
        await go.wait()
        return await play.start("x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Supervisor.start_child, supervisor, ChildSpec("x", keep_busy))
        await settle()
        nursery.start_soon(Supervisor.terminate_child, supervisor, "a")
        await settle()
        child.exit(KILL)
        await settle()
        go.set()
    await settle()
    assert (await pids(supervisor))["a"] is None
    assert play.starts["a"] == 1


async def test_killing_a_supervisor_that_stops_a_child_takes_the_child_down(play: Play):
    """S20: the child stays linked meanwhile."""
    heard: list[Any] = []

    async def stubborn() -> None:
        trap_exit()
        while KILLED not in heard:  # being asked to stop is not enough
            heard.append((await receive(Exit)).reason)

    async def start() -> Pid:
        return spawn_link(stubborn)

    supervisor = await Supervisor.start_link([ChildSpec("a", start, shutdown=INFINITY)])
    child = await pid(supervisor, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused_stop, supervisor)
        await settle()
        assert heard == [SHUTDOWN]
        supervisor.exit(KILL)
    await settle()
    assert heard == [SHUTDOWN, KILLED]
    assert not child.is_alive()


async def refused_stop(supervisor: Pid) -> None:
    with pytest.raises(CallError):
        await supervisor.stop()


async def seconds_for(play: Play, count: int) -> float:
    began = time.process_time()
    supervisor = await Supervisor.start_link(play.children(range(count), worker=Brittle))
    await supervisor.stop()
    play.diary.clear()
    return time.process_time() - began


async def test_starting_and_stopping_many_children_is_not_quadratic(play: Play):
    """scale_start_stop_many_children: eight times the children may take 24 times as long, not 64 times."""
    await seconds_for(play, 100)
    small = min([await seconds_for(play, 250) for _ in range(3)])
    assert await seconds_for(play, 2_000) < 24 * small
