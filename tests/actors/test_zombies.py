"""Processes: kill, and those that it does not end (semantics K)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    SHUTDOWN,
    CallTimeoutError,
    GenServer,
    NoReply,
    ProcessExit,
    ProcessGroups,
    Registry,
    Via,
    call,
    cast,
    exit,
    monitor,
    open_node,
    receive,
    register,
    reply,
    self_pid,
    send_request,
    spawn,
    spawn_monitor,
    trap_exit,
    unregister,
    wait_response,
    whereis,
)
from tests.actors.helpers import forever

# -- kill and zombies (K1) -----------------------------------------------------------------------


async def test_finally_blocks_run_when_a_process_is_killed(node):
    cleaned = []

    async def cleans_up():
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(True)

    pid, ref = spawn_monitor(cleans_up)
    await wait_all_tasks_blocked()
    exit(pid, KILL)
    await receive(ref)
    assert cleaned == [True]


async def shielded(seconds, then):
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    then()


async def test_a_killed_process_that_does_not_unwind_is_declared_dead(autojump_clock):
    """K1."""
    async with open_node(kill_grace=0.5) as node:
        pid, ref = spawn_monitor(shielded, 60, lambda: None)
        register("stuck", pid)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with structlog.testing.capture_logs() as logs:
            exit(pid, KILL)
            assert (await receive(ref)).reason is KILLED
        assert trio.current_time() - began == pytest.approx(0.5)
        assert whereis("stuck") is None
        assert node.statistics().zombies == 1
        assert [log["event"] for log in logs] == ["killed process does not end"]
        assert "shielded" in logs[0]["stack"]


async def test_kill_gives_an_exiting_process_the_grace_and_not_more(autojump_clock):
    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(shielded, 60, lambda: None)
        await wait_all_tasks_blocked()
        exit(pid, SHUTDOWN)
        exit(pid, KILL)
        assert (await receive(ref, 1)).reason is SHUTDOWN


async def test_a_killed_process_that_unwinds_in_time_is_no_zombie(autojump_clock):
    async with open_node(kill_grace=0.5) as node:
        pid, ref = spawn_monitor(shielded, 0.25, lambda: None)
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(1)
        assert node.statistics().zombies == 0
        assert node.statistics().deadlines == 0


async def test_a_zombie_is_fenced_off(autojump_clock):
    outcomes: list[Any] = []

    def act():
        for verb in (self_pid, lambda: spawn(forever), lambda: monitor("x"), trap_exit):
            try:
                verb()
            except ProcessExit as stopped:
                outcomes.append(stopped.reason)

    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(shielded, 2, act)
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(5)
    assert outcomes == [KILLED] * 4


GROUPS = ProcessGroups("groups")
TABLE = Registry("table")

CHANGES = {
    "register": lambda pid, _: register("late", pid),
    "unregister": lambda *_: unregister("taken"),
    "join a group": lambda pid, _: GROUPS.join("other", pid),
    "leave a group": lambda pid, _: GROUPS.leave("group", pid),
    "monitor a group": lambda *_: GROUPS.monitor("group"),
    "monitor all groups": lambda *_: GROUPS.monitor_scope(),
    "demonitor a group": lambda _, ref: GROUPS.demonitor(ref),
    "enter itself": lambda *_: TABLE.register("late"),
    "remove itself": lambda *_: TABLE.unregister("key"),
    "remove itself by value": lambda *_: TABLE.unregister_match("key", "value"),
    "update a value": lambda *_: TABLE.update_value("key", str),
    "put metadata": lambda *_: TABLE.put_meta("meta", "late"),
    "delete metadata": lambda *_: TABLE.delete_meta("meta"),
    "register a name": lambda pid, _: TABLE.register_name("late", pid),
    "register a name with a value": lambda pid, _: TABLE.via("late", 1).registry.register_name(
        "late", pid
    ),
    "unregister a name": lambda *_: TABLE.unregister_name("key"),
}


def what_is_there():
    """Everything that `CHANGES` would change."""
    names = whereis("late"), whereis("taken")
    groups = GROUPS.members("group"), GROUPS.members("other")
    return names, groups, TABLE.select(), TABLE.meta("meta")


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
async def test_a_zombie_changes_no_names_no_groups_and_no_registries(change, autojump_clock):
    """K1: what it would free or overwrite may be its successor's."""
    outcomes: list[Any] = []

    def act(victim, ref):
        try:
            outcomes.append(change(victim, ref))
        except ProcessExit as stopped:
            outcomes.append(stopped.reason)

    async with open_node(kill_grace=0.5):
        await GROUPS.start_link()
        await TABLE.start_link()
        victim = spawn(forever)
        register("taken", await Holder.start(name=Via(TABLE, "key")))
        GROUPS.join("group", victim)
        ref, _ = GROUPS.monitor("group")
        TABLE.put_meta("meta", "early")
        before = what_is_there()
        pid = spawn(shielded, 2, lambda: act(victim, ref))
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await trio.sleep(5)
        assert outcomes == [KILLED]
        assert what_is_there() == before
        assert GROUPS.demonitor(ref)


class Holder(GenServer):
    """Holds a name."""


async def test_a_zombie_may_read(autojump_clock):
    """K1: that takes nothing from anybody."""
    seen: list[Any] = []
    async with open_node(kill_grace=0.5):
        await GROUPS.start_link()
        await TABLE.start_link()
        register("taken", self_pid())
        TABLE.register("key", "value")
        GROUPS.join("group", self_pid())
        pid = spawn(shielded, 2, lambda: seen.append(what_is_there()))
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await trio.sleep(5)
        assert seen == [what_is_there()]


async def test_what_a_zombie_sends_reaches_nobody(autojump_clock):
    class Listening(GenServer):
        def init(self):
            self.got: list[Any] = []

        async def handle_call(self, request, sender):
            return self.got

        async def handle_cast(self, message):
            self.got.append(message)

        async def handle_info(self, message):
            self.got.append(message)

    async def sends_late(server, late):
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    await trio.sleep(1)
                    server.send(late)
                    server.cast(late)
                    await server.asend(late)
                    cast(server, late)
                    nursery.start_soon(in_a_task, server, late)

    async def in_a_task(server, late):
        server.send(late)

    async with open_node(kill_grace=0.5) as node:
        server = await Listening.start()
        pid, ref = spawn_monitor(sends_late, server, "from a zombie")
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        for _ in range(10):
            await trio.sleep(0.5)
            server.send("from the living")
        assert await server.call("what came?") == ["from the living"] * 10
        assert not node._fence  # and no instrument is left
        assert not node.fenced


async def test_a_zombie_sends_no_exit_signal_and_no_reply(autojump_clock):
    outcomes: list[Any] = []

    async def acts_late(victim, sender):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            outcomes.append(await reply(sender, "late"))
            exit(victim, "late")

    class Asked(GenServer):
        async def handle_call(self, request, sender):
            self.zombie = spawn(acts_late, request, sender)
            return NoReply()

    async with open_node(kill_grace=0.5) as node:
        victim = spawn(forever)
        server = await Asked.start()
        request = send_request(server, victim)
        await wait_all_tasks_blocked()
        exit(node.processes[server].server.zombie, KILL)
        await trio.sleep(5)
        assert victim.is_alive()
        with pytest.raises(CallTimeoutError):
            await wait_response(request, 0)
    assert outcomes == [False]


async def test_a_zombie_cannot_call(autojump_clock):
    outcomes: list[Any] = []

    async def calls_late(server):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            try:
                await call(server, "hello")
            except ProcessExit as stopped:
                outcomes.append(stopped.reason)

    async with open_node(kill_grace=0.5):
        pid, ref = spawn_monitor(calls_late, spawn(forever))
        await wait_all_tasks_blocked()
        exit(pid, KILL)
        await receive(ref)
        await trio.sleep(5)
    assert outcomes == [KILLED]
