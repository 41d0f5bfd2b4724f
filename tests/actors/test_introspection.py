"""sys and process_info (semantics SY1 to SY6, G30, G31)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    CALLING_SELF,
    NOPROC,
    NORMAL,
    CallError,
    CallTimeoutError,
    Continue,
    Crash,
    GenServer,
    Hibernate,
    NoProcessError,
    NoReply,
    Reply,
    exit,
    monitor,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_link,
    trap_exit,
)
from actors import introspection as sys
from tests.actors.helpers import Boom, forever


class Counter(GenServer):
    """Counts calls and casts."""

    async def init(self, count=0):
        self.count = count

    async def handle_call(self, request, sender):
        self.count += 1
        return self.count

    async def handle_cast(self, message):
        if isinstance(message, NoReply):
            return message
        self.count += 1
        return None

    async def handle_continue(self, token):
        pass


# -- state ---------------------------------------------------------------------------------------


async def test_get_state_gives_the_attributes_by_pid_and_by_name(node):
    pid = await Counter.start(5, name="counter")
    assert await sys.get_state(pid) == {"count": 5}
    assert await sys.get_state("counter") == {"count": 5}


async def test_a_state_that_was_given_away_does_not_follow_the_server(node):
    pid = await Counter.start()
    state = await sys.get_state(pid)
    await pid.call("x")
    assert state == {"count": 0}


async def test_the_state_of_a_server_with_slots_is_seen_too(node):
    class Slotted(GenServer):
        __slots__ = ("value",)

        async def init(self):
            self.value = 1

    assert await sys.get_state(await Slotted.start()) == {"value": 1}


async def test_replace_state_runs_in_the_server_and_gives_the_new_state(node):
    pid = await Counter.start()
    ran_in: list[Any] = []

    def change(state):
        ran_in.append(self_pid())
        return {"count": state["count"] + 10, "extra": True}

    assert await sys.replace_state(pid, change) == {"count": 10, "extra": True}
    assert ran_in == [pid]
    assert await pid.call("x") == 11
    assert await sys.replace_state(pid, lambda _: {"count": 0}) == {"count": 0}
    assert await sys.get_state(pid) == {"count": 0}


async def test_a_change_that_raises_leaves_the_state_and_tells_the_caller(node):
    pid = await Counter.start()
    error = Boom()

    def change(state):
        state["count"] = 99
        raise error

    with pytest.raises(CallError) as caught:
        await sys.replace_state(pid, change)
    assert caught.value.reason == ("callback_failed", Crash(error))
    assert await sys.get_state(pid) == {"count": 0}


async def test_get_status_tells_what_is_known(node):
    register("main", self_pid())
    trap_exit()
    pid = await Counter.start_link(name="counter")
    status = await sys.get_status(pid)
    assert status == {
        "pid": pid,
        "module": Counter,
        "status": "running",
        "name": "counter",
        "parent": self_pid(),
        "ancestors": ("main",),
        "debug": {},
        "state": {"count": 0},
    }


class Discreet(Counter):
    """Does not show its count."""

    def format_status(self, status):
        return dict.fromkeys(status, "hidden")


async def test_get_status_shows_the_state_as_format_status_does(node):
    for pid in (await Discreet.start(), await Discreet.start(name="discreet")):
        assert (await sys.get_status(pid))["state"] == "hidden"


async def test_a_format_status_that_raises_is_told_in_the_status(node):
    class Broken(Counter):
        def format_status(self, status):
            raise Boom("oops")

    assert "oops" in (await sys.get_status(await Broken.start()))["state"]


# -- who can be asked ----------------------------------------------------------------------------


async def test_asking_the_dead_or_an_unknown_name_is_noproc(node):
    pid = await Counter.start()
    await pid.stop()
    for server in (pid, "nobody"):
        with pytest.raises(NoProcessError) as caught:
            await sys.get_state(server)
        assert caught.value.reason is NOPROC


async def test_asking_oneself_is_told(node):
    class Selfish(GenServer):
        async def handle_call(self, request, sender):
            try:
                await sys.get_state(self.pid)
            except CallError as error:
                return error.reason

    assert await (await Selfish.start()).call("x") is CALLING_SELF


async def test_a_plain_process_says_that_it_does_not_know(node):
    async def plain():
        while True:
            await receive(int)

    pid = spawn(plain)
    with pytest.raises(CallError) as caught:
        await sys.get_state(pid)
    assert caught.value.reason == ("unknown_system_msg", ("get_state",))
    assert pid.is_alive()


async def test_system_messages_queue_behind_the_others_and_time_out(node, autojump_clock):
    class Slow(GenServer):
        async def handle_cast(self, message):
            await trio.sleep(10)

    pid = await Slow.start()
    pid.cast("x")
    with pytest.raises(CallTimeoutError):
        await sys.get_state(pid)
    assert trio.current_time() == pytest.approx(5)
    assert await sys.get_state(pid, timeout=None) == {}


async def test_a_server_that_dies_fails_what_it_was_asked(node, autojump_clock):
    class Slow(GenServer):
        async def handle_cast(self, message):
            await trio.sleep(1)
            raise Boom

    pid = await Slow.start()
    pid.cast("x")
    with pytest.raises(CallError) as caught:
        await sys.get_state(pid)
    assert isinstance(caught.value.reason, Crash)


# -- suspend and resume (SY2) --------------------------------------------------------------------


async def test_a_suspended_server_answers_no_calls_until_it_is_resumed(node, autojump_clock):
    pid = await Counter.start()
    await sys.suspend(pid)
    with pytest.raises(CallTimeoutError):
        await pid.call("x", timeout=1)
    pid.cast("y")
    assert (await sys.get_state(pid))["count"] == 0
    assert (await sys.get_status(pid))["status"] == "suspended"
    await sys.resume(pid)
    assert await pid.call("z") == 3


async def test_suspend_and_resume_are_idempotent(node):
    pid = await Counter.start()
    await sys.resume(pid)
    await sys.suspend(pid)
    await sys.suspend(pid)
    await sys.resume(pid)
    await sys.resume(pid)
    assert await pid.call("x") == 1


async def test_a_suspended_servers_state_can_be_replaced(node):
    pid = await Counter.start()
    await sys.suspend(pid)
    await sys.replace_state(pid, lambda _: {"count": 41})
    with pytest.raises(CallError):
        await sys.replace_state(pid, lambda state: state["no such key"])
    await sys.resume(pid)
    assert await pid.call("x") == 42


async def test_messages_keep_their_order_while_a_server_is_suspended(node):
    class Listening(GenServer):
        async def init(self):
            self.got = []

        async def handle_info(self, message):
            self.got.append(message)

    pid = await Listening.start()
    await sys.suspend(pid)
    for number in range(3):
        send(pid, number)
        await sys.get_state(pid)
    await sys.resume(pid)
    assert await sys.get_state(pid) == {"got": [0, 1, 2]}


async def test_the_parents_exit_ends_a_suspended_server_in_order(node):
    log: list[Any] = []
    me = self_pid()

    class Server(GenServer):
        async def terminate(self, reason):
            log.append(reason)

    async def parent():
        send(me, await Server.start_link())
        await trio.sleep_forever()

    parent_pid = spawn(parent)
    pid = await receive()
    await sys.suspend(pid)
    ref = monitor(pid)
    exit(parent_pid, "going")
    assert (await receive(ref)).reason == "going"
    assert log == ["going"]


async def test_a_suspended_server_can_be_stopped(node):
    pid = await Counter.start()
    await sys.suspend(pid)
    await pid.stop()
    assert not pid.is_alive()


async def test_a_hibernating_server_can_be_suspended_and_goes_on(node):
    pid = await Counter.start()
    pid.cast(NoReply(then=Hibernate()))
    await sys.suspend(pid)
    await sys.resume(pid)
    assert await pid.call("x") == 1


# -- debugging (SY4, SY5) ------------------------------------------------------------------------


async def test_the_log_keeps_the_last_events(node):
    """SY4, SY5."""
    pid = await Counter.start()
    me = self_pid()
    await sys.log(pid, 6)
    await pid.call("a")
    pid.cast("b")
    pid.cast(NoReply(then=Continue("c")))
    assert await sys.get_log(pid) == [
        sys.DebugEvent("in", "b"),
        sys.DebugEvent("noreply"),
        sys.DebugEvent("in", NoReply(then=Continue("c"))),
        sys.DebugEvent("noreply"),
        sys.DebugEvent("continue", "c"),
        sys.DebugEvent("noreply"),
    ]
    await pid.call("d")
    assert (await sys.get_log(pid))[-2:] == [
        sys.DebugEvent("in", "d", me),
        sys.DebugEvent("out", 2 + 1, me),
    ]


async def test_the_log_keeps_ten_events_unless_told_otherwise(node):
    pid = await Counter.start()
    await sys.log(pid)
    for number in range(20):
        pid.cast(number)
    events = await sys.get_log(pid)
    assert len(events) == 10
    assert [event.message for event in events if event.kind == "in"] == list(range(15, 20))


async def test_switching_the_log_off_forgets_it(node):
    pid = await Counter.start()
    await sys.log(pid)
    await pid.call("x")
    await sys.log(pid, None)
    assert await sys.get_log(pid) == []
    assert node.processes[pid].debug is None


async def test_a_log_of_no_size_is_refused(node):
    pid = await Counter.start()
    with pytest.raises(ValueError, match="positive"):
        await sys.log(pid, 0)


async def test_statistics_count_messages_and_replies(node):
    pid = await Counter.start()
    assert await sys.get_statistics(pid) is None
    await sys.statistics(pid)
    await pid.call("x")
    pid.cast("y")
    counted = await sys.get_statistics(pid)
    assert counted is not None
    assert (counted.messages_in, counted.messages_out) == (2, 1)
    assert counted.start_time <= counted.current_time
    await sys.statistics(pid, False)
    assert await sys.get_statistics(pid) is None
    assert node.processes[pid].debug is None


async def test_trace_logs_each_event(node):
    pid = await Counter.start()
    await sys.trace(pid)
    with structlog.testing.capture_logs() as logs:
        await pid.call("x")
        await sys.trace(pid, False)
        await pid.call("y")
    assert [(log["event"], log["kind"], log["message"]) for log in logs] == [
        ("trace", "in", "'x'"),
        ("trace", "out", "1"),
    ]


async def test_a_hook_sees_each_event_with_its_own_state_and_the_servers(node):
    seen: list[Any] = []

    def hook(count, event, state):
        seen.append((count, event.kind, event.message, state))
        return count + 1

    pid = await Counter.start()
    await sys.install(pid, hook, 0)
    await pid.call("x")
    pid.cast("y")
    await sys.remove(pid, hook)
    await pid.call("z")
    assert seen == [
        (0, "in", "x", {"count": 0}),
        (1, "out", 1, {"count": 1}),
        (2, "in", "y", {"count": 1}),
        (3, "noreply", None, {"count": 2}),
    ]


async def test_a_hook_that_says_done_is_removed(node):
    seen: list[Any] = []

    def hook(_, event, state):
        seen.append(event.message)
        return sys.DONE

    pid = await Counter.start()
    await sys.install(pid, hook, id="once")
    await pid.call("x")
    await pid.call("y")
    assert seen == ["x"]


async def test_a_hook_that_raises_is_removed_and_harms_nobody(node):
    def hook(_, event, state):
        raise Boom

    pid = await Counter.start()
    await sys.install(pid, hook, id="broken")
    with structlog.testing.capture_logs() as logs:
        assert await pid.call("x") == 1
        assert await pid.call("y") == 2
    assert [log["event"] for log in logs] == ["debug hook removed"]


async def test_two_hooks_of_one_id_are_refused_and_of_two_ids_both_called(node):
    seen: list[Any] = []

    def hook(name, event, state):
        seen.append(name)
        return name

    pid = await Counter.start()
    await sys.install(pid, hook, "a", id="a")
    await sys.install(pid, hook, "b", id="b")
    with pytest.raises(CallError, match="already_installed"):
        await sys.install(pid, hook, "c", id="a")
    pid.cast("x")
    await sys.no_debug(pid)
    pid.cast("y")
    await pid.call("z")
    assert seen == ["a", "b"] * 2  # "in" and "noreply"
    assert node.processes[pid].debug is None


async def test_a_server_that_nobody_looks_at_has_no_debugging_state(node):
    pid = await Counter.start()
    await pid.call("x")
    await sys.get_state(pid)
    await sys.get_log(pid)
    assert node.processes[pid].debug is None


# -- terminate (SY6) -----------------------------------------------------------------------------


async def test_terminate_ends_a_server_in_order(node):
    log: list[Any] = []

    class Server(GenServer):
        async def terminate(self, reason):
            log.append(reason)

    pid = await Server.start()
    await sys.terminate(pid, "enough")
    assert log == ["enough"]
    assert not pid.is_alive()


# -- process_info --------------------------------------------------------------------------------


async def test_process_info_shows_a_process_from_outside(node):
    trap_exit()
    pid = spawn_link(forever, label="sleeper")
    ref = monitor(pid)
    register("sleeper", pid)
    await wait_all_tasks_blocked()
    info = sys.process_info("sleeper")
    assert info is not None
    assert (info.pid, info.name, info.label) == (pid, "sleeper", "sleeper")
    assert (info.links, info.monitored_by) == ((self_pid(),), (self_pid(),))
    assert (info.status, info.trap_exit, info.module) == ("running", False, None)
    assert "forever" in info.stack
    mine = sys.process_info(self_pid())
    assert mine is not None
    assert mine.monitors == (ref,)


async def test_process_info_shows_queues_and_whether_it_waits(node):
    pid = await Counter.start()
    await wait_all_tasks_blocked()
    idle = sys.process_info(pid)
    pid.cast("x")
    pid.cast("y")
    busy = sys.process_info(pid)
    assert idle is not None
    assert busy is not None
    assert (idle.status, idle.message_queue_len) == ("waiting", 0)
    assert busy.message_queue_len == 2


async def test_process_info_of_an_exiting_and_of_a_dead_process(node):
    pid = spawn(forever)
    exit(pid, "x")
    info = sys.process_info(pid)
    assert info is not None
    assert info.status == "exiting"
    await wait_all_tasks_blocked()
    assert sys.process_info(pid) is None
    assert sys.process_info("nobody") is None


async def test_replies_with_an_action_are_events_too(node):
    class Replying(GenServer):
        async def handle_call(self, request, sender):
            return Reply(1, then=Continue("x"))

        async def handle_continue(self, token):
            pass

    pid = await Replying.start()
    await sys.log(pid)
    await pid.call("x")
    assert [event.kind for event in await sys.get_log(pid)] == ["in", "out", "continue", "noreply"]
    await pid.stop(NORMAL)
