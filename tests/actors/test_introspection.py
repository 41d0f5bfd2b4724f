"""sys and process_info (semantics SY1 to SY3, SY6, G30, G31)."""

from typing import Any

import pytest
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
from tests.actors.servers import Counter

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


async def test_asking_the_dead_says_who_is_dead(node):
    pid = await Counter.start()
    await pid.stop()
    with pytest.raises(NoProcessError, match="Counter") as caught:
        await sys.get_state(pid)
    assert caught.value.server is pid
