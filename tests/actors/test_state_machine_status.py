"""StateMachine: hibernation, what is shown of it, its end (semantics SM8)."""

import gc
import weakref
from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    SHUTDOWN,
    CallTimeoutError,
    CastEvent,
    Enter,
    Exit,
    Hibernate,
    InfoEvent,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    ServerExitedError,
    Shutdown,
    introspection,
    self_pid,
    spawn,
)
from tests.actors.machines import ByEvents, ByFunctions, EnteringMachine, Machine, by_event, seen

# -- hibernate, status, terminate ----------------------------------------------------------------


class Sleeper(Machine):
    async def init(self, *args, **options):
        self.naps = 0
        return await super().init(*args, **options)

    def hibernate(self):
        self.naps += 1


async def test_hibernate_calls_the_hook_when_no_events_are_left(node):
    script = {
        "start": by_event(
            nap=KeepState(Hibernate()),
            both=KeepState(Hibernate(), NextEvent(InternalEvent("x"))),
        )
    }
    machine = await Sleeper.start(script)
    machine.cast("nap")
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 1
    machine.cast("both")
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 1


async def test_a_machine_hibernates_when_nothing_has_come_for_its_seconds(node, autojump_clock):
    class Sleepy(Sleeper):
        hibernate_after = 5

    machine = await Sleepy.start({})
    await trio.sleep(4)
    machine.cast("awake")
    await trio.sleep(4)
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 0
    await trio.sleep(20)
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 1


async def test_a_process_may_turn_into_a_machine(node):
    async def become():
        machine = EnteringMachine()
        machine.script, machine.seen = {}, []
        await machine.enter_loop("ready", NextEvent(InternalEvent(1)))

    pid = spawn(become)
    assert await pid.call("state") == "ready"
    assert await seen(pid) == [("ready", Enter("ready")), ("ready", InternalEvent(1))]
    await pid.stop()


async def test_a_machine_cannot_turn_into_another(node):
    class Confused(Machine):
        async def handle_event(self, event, state):
            await Machine().enter_loop("ready")

    machine = await Confused.start({})
    with pytest.raises(ServerExitedError) as failed:
        await machine.call("go")
    assert isinstance(failed.value.reason.exception, RuntimeError)


async def test_the_state_of_a_machine_is_its_state_and_its_data(node):
    machine = await ByFunctions.start("9")
    assert await introspection.get_state(machine) == ("locked", {"code": "9", "tries": 0})

    def change(state):
        name, data = state
        return "unlocked", {"code": data["code"] + name, "extra": 1}

    assert await introspection.replace_state(machine, change) == (
        "unlocked",
        {"code": "9locked", "extra": 1},
    )
    assert await introspection.get_state(machine) == (
        "unlocked",
        {"code": "9locked", "extra": 1},
    )
    assert await machine.call("state") == "unlocked"


async def test_a_change_of_state_from_outside_that_raises_changes_nothing(node):
    machine = await ByEvents.start()
    with pytest.raises(ServerExitedError) as failed:
        await introspection.replace_state(machine, lambda _: 1 // 0)
    assert failed.value.reason[0] == "callback_failed"
    assert await machine.call("state") == "locked"


async def test_a_suspended_machine_handles_nothing_until_it_is_resumed(node, autojump_clock):
    machine = await ByEvents.start()
    await introspection.suspend(machine)
    with pytest.raises(CallTimeoutError):
        await machine.call("state", timeout=1)
    await introspection.resume(machine)
    assert await machine.call("state") == "locked"


class Secretive(Machine):
    def format_status(self, status):
        state, data = status["state"]
        return status | {"state": (state, {"script": "hidden", "seen": len(data["seen"])})}


class Broken(Machine):
    def format_status(self, status):
        raise ValueError("no")


async def test_format_status_decides_what_is_shown(node):
    machine = await Secretive.start({})
    status = await introspection.get_status(machine)
    assert status["state"] == ("start", {"script": "hidden", "seen": 0})
    assert status["module"].__name__ == "MachineServer"
    status = await introspection.get_status(await Machine.start({}))
    assert status["state"][0] == "start"


@pytest.mark.parametrize(
    ("kind", "shown"), [(Secretive, "hidden"), (Broken, "format_status raised"), (Machine, "seen")]
)
async def test_a_crash_is_reported_with_state_and_data_as_format_status_shows_them(
    node, kind, shown
):
    machine = await kind.start({"start": by_event(go=lambda _: 1 // 0)})
    with structlog.testing.capture_logs() as logs:
        machine.cast("go")
        await machine.wait_exited()
    [report] = [log for log in logs if log["event"] == "GenServer terminating"]
    assert shown in report["state"]
    assert kind.__name__ in report["process"]


class Discreet(Machine):
    """Shows nothing; crashes in `terminate` if it is told to."""

    def format_status(self, status):
        return {field: f"formatted {field}" for field in status}

    async def terminate(self, reason):
        if reason == "crash":
            raise ValueError("in terminate")


async def test_format_status_may_rewrite_every_field(node):
    """G31: state, message, reason and log, and each message that waits."""
    machine = await Discreet.start({"start": by_event(go=lambda _: 1 // 0)})
    await introspection.log(machine)
    with structlog.testing.capture_logs() as logs:
        machine.cast("go")
        machine.cast("password")
        await machine.wait_exited()
    [report] = [log for log in logs if log["event"] == "GenServer terminating"]
    shown = {field: report[field] for field in ("state", "last_message", "reason", "log")}
    assert shown == {
        "state": "'formatted state'",
        "last_message": "'formatted message'",
        "reason": "'formatted reason'",
        "log": "'formatted log'",
    }
    assert report["messages"] == ["'formatted message'"]
    assert report["exc_info"] is None
    assert "password" not in repr(report)


async def test_get_status_shows_state_and_log_as_format_status_does(node):
    """G31."""
    machine = await Discreet.start({})
    await introspection.log(machine)
    machine.cast("password")
    status = await introspection.get_status(machine)
    assert (status["state"], status["debug"]["log"]) == ("formatted state", "formatted log")
    assert "password" not in repr(status)


async def test_a_crash_in_terminate_is_reported_as_format_status_shows_it(node):
    """G16, G31: the reason is that of `terminate`."""

    class Open(Discreet):
        def format_status(self, status):
            return status | {"state": "formatted state"}

    for kind, reason in ((Open, "in terminate"), (Discreet, "formatted reason")):
        machine = await kind.start({})
        with structlog.testing.capture_logs() as logs, pytest.raises(ServerExitedError):
            await machine.stop("crash")
        [report] = [log for log in logs if log["event"] == "GenServer terminating"]
        assert report["state"] == "'formatted state'"
        assert reason in report["reason"]


async def test_an_orderly_end_is_not_reported(node):
    machine = await ByEvents.start()
    with structlog.testing.capture_logs() as logs:
        machine.cast(("stop", Shutdown("done")))
        await machine.wait_exited()
    assert logs == []


class Terminating(Machine):
    async def terminate(self, reason):
        self.script["ended"].append((self.state, reason))
        if reason == "crash":
            raise ValueError("in terminate")


async def test_terminate_runs_with_the_last_state(node):
    ended: list[Any] = []
    machine = await Terminating.start({"ended": ended, "start": NextState("last")})
    machine.cast("go")
    await machine.stop(SHUTDOWN)
    assert ended == [("last", SHUTDOWN)]


async def test_an_exception_in_terminate_replaces_the_reason(node):
    machine = await Terminating.start({"ended": []})
    with pytest.raises(ServerExitedError) as failed:
        await machine.stop("crash")
    assert isinstance(failed.value.reason.exception, ValueError)


async def test_a_machine_with_terminate_traps_exits_and_one_without_does_not(node):
    trapping = await Terminating.start({"ended": []})
    plain = await Machine.start({})
    for pid in (trapping, plain):
        pid.exit(SHUTDOWN)
    await trio.testing.wait_all_tasks_blocked()
    assert not plain.is_alive()
    assert await seen(trapping) == [("start", InfoEvent(Exit(self_pid(), SHUTDOWN)))]


async def test_a_machine_without_terminate_stops_all_the_same(node):
    machine = await Machine.start({})
    await machine.stop(SHUTDOWN)
    assert not machine.is_alive()


async def test_a_machine_knows_its_pid_and_shows_its_class(node):
    pids: list[Any] = []

    class Knowing(Machine):
        async def handle_event(self, event, state):
            pids.append(self.pid)

    machine = await Knowing.start({})
    machine.cast("go")
    await introspection.get_state(machine)
    assert pids == [machine]
    assert "Knowing" in repr(machine)


async def test_hibernation_gives_up_the_task_as_that_of_a_server_does(node):
    """P14: by an action of `init`, of an enter call, or of an event."""
    script = {"start": by_event(nap=KeepState(Hibernate()))}
    machine = await Sleeper.start(script, Hibernate())
    await wait_all_tasks_blocked()
    assert node.processes[machine].task is None
    machine.cast("nap")
    await wait_all_tasks_blocked()
    assert node.processes[machine].task is None
    _, data = await introspection.get_state(machine)
    assert data["naps"] == 2
    machine.cast("awake")
    assert ("start", CastEvent("awake")) in await seen(machine)


async def test_a_machine_that_has_ended_is_freed_without_the_cycle_collector(node):
    machines: list[weakref.ref[Any]] = []

    class Remembered(Machine):
        async def init(self, *args, **options):
            machines.append(weakref.ref(self))
            return await super().init(*args, **options)

    gc.disable()
    try:
        await (await Remembered.start({})).stop()
        await wait_all_tasks_blocked()
        assert machines[0]() is None
    finally:
        gc.enable()
