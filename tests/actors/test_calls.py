"""Calls, casts and stops from the side of whoever asks (semantics G21 to G29)."""

import gc
import math
import weakref
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    CALLING_SELF,
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    CallError,
    CallFailed,
    CallingSelfError,
    CallTimeoutError,
    Crash,
    Exit,
    GenServer,
    NoProcessError,
    NoReply,
    ReceiveTimeoutError,
    ServerExitedError,
    Via,
    call,
    cast,
    exit,
    introspection,
    is_alive,
    monitor,
    receive,
    receive_response,
    register,
    self_pid,
    send,
    send_request,
    spawn,
    spawn_monitor,
    stop,
    trap_exit,
    whereis,
)
from tests.actors.helpers import Boom, forever, info_of
from tests.actors.registries import DictRegistry


class Echo(GenServer):
    """Answers what it is asked, after as many seconds as it is told."""

    async def init(self):
        self.handled = []

    async def handle_call(self, request, sender):
        match request:
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case "silence":
                return NoReply()
            case "handled":
                return list(self.handled)
            case "crash":
                raise Boom("asked for")
        self.handled.append(request)
        return request

    async def handle_cast(self, message):
        self.handled.append(message)

    async def handle_info(self, message):
        self.handled.append(message)


async def test_call_by_pid_by_name_and_by_registry(node):
    name = Via(DictRegistry(), "key")
    pid = await Echo.start(name=name)
    register("echo", pid)
    assert await pid.call(1) == 1
    assert await call("echo", 2) == 2
    assert await call(name, 3) == 3
    assert await Echo.call("echo", 4) == 4


async def test_a_call_waits_five_seconds_by_default(node, autojump_clock):
    """G21."""
    pid = await Echo.start()
    with pytest.raises(CallTimeoutError) as caught:
        await pid.call("silence")
    assert trio.current_time() == pytest.approx(5)
    assert (caught.value.reason, caught.value.server) == (TIMEOUT, pid)
    assert caught.value.request == "silence"
    assert isinstance(caught.value, TimeoutError)


async def test_none_waits_for_ever(node, autojump_clock):
    """G21."""
    pid = await Echo.start()
    assert await pid.call(("sleep", 10_000), timeout=None) == ("sleep", 10_000)


async def test_a_request_that_timed_out_is_handled_and_its_late_reply_is_dropped(
    node, autojump_clock
):
    """G23, M5."""
    pid = await Echo.start()
    with pytest.raises(CallTimeoutError):
        await pid.call(("sleep", 2), timeout=1)
    assert await pid.call("next") == "next"
    assert await pid.call("handled") == [("sleep", 2), "next"]
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_reply_at_the_last_moment_is_taken(node, autojump_clock):
    pid = await Echo.start()
    assert await pid.call(("sleep", 1), timeout=1.001) == ("sleep", 1)


async def test_a_call_leaves_nothing_behind(node):
    pid = await Echo.start()
    for _ in range(10):
        await pid.call("x")
    assert node.statistics().deadlines == 0
    assert not node.processes[pid].pending


async def test_a_caller_that_gives_up_leaves_nothing_behind(node, autojump_clock):
    pid = await Echo.start()
    with trio.move_on_after(1):
        await pid.call("silence", timeout=100)
    assert node.statistics().deadlines == 0
    assert not node.processes[pid].pending


async def test_calling_the_dead_is_noproc_at_once(node):
    """G22."""
    pid = await Echo.start()
    await pid.stop()
    with pytest.raises(NoProcessError) as caught:
        await pid.call("x")
    assert caught.value.reason is NOPROC


async def test_calling_a_name_that_nobody_has_is_noproc(node):
    with pytest.raises(NoProcessError) as caught:
        await call("nobody", "x")
    assert caught.value.server == "nobody"


async def test_calling_one_that_has_begun_to_exit_is_noproc(node):
    pid = await Echo.start()
    exit(pid, "x")
    with pytest.raises(NoProcessError):
        await pid.call("x")


@pytest.mark.parametrize("reason", [SHUTDOWN, "crash", KILL])
async def test_a_server_that_dies_fails_every_call_with_its_reason(node, reason):
    pid = await Echo.start()
    failures: list[Any] = []

    async def caller():
        try:
            await pid.call("silence")
        except ServerExitedError as error:
            failures.append(error.reason)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        exit(pid, reason)
    assert failures == [KILLED if reason is KILL else reason] * 3


async def test_a_request_that_the_server_did_not_get_to_fails_with_its_reason(node, autojump_clock):
    pid = await Echo.start()
    pid.cast("x")
    failures: list[Any] = []

    async def caller(request):
        try:
            await pid.call(request)
        except ServerExitedError as error:
            failures.append(error.reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller, ("sleep", 3))
        await wait_all_tasks_blocked()
        nursery.start_soon(caller, "queued")
        await wait_all_tasks_blocked()
        exit(pid, "gone")
    assert failures == ["gone", "gone"]


async def test_a_crash_reaches_the_caller_with_the_exception(node):
    pid = await Echo.start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.call("crash")
    assert isinstance(caught.value.reason, Crash)
    assert "asked for" in str(caught.value)


async def test_a_linked_caller_that_does_not_trap_dies_of_the_raw_reason(node):
    """G24."""

    async def caller():
        pid = await Echo.start_link()
        try:
            await pid.call("crash")
        except CallError:
            await trio.sleep_forever()

    _, ref = spawn_monitor(caller)
    assert isinstance((await receive(ref)).reason, Crash)


async def test_a_linked_caller_that_traps_gets_both(node):
    """G24."""
    trap_exit()
    pid = await Echo.start_link()
    with pytest.raises(ServerExitedError) as caught:
        await pid.call("crash")
    assert await receive() == Exit(pid, caught.value.reason)


async def test_a_call_error_that_nobody_catches_names_the_call(node):
    async def caller():
        await call("nobody", "question")

    _, ref = spawn_monitor(caller)
    assert (await receive(ref)).reason == CallFailed(NOPROC, "nobody", "question")


async def test_a_server_that_calls_itself_is_told_at_once_by_any_name(node):
    class Selfish(GenServer):
        async def handle_call(self, request, sender):
            try:
                await call(request, "x")
            except CallingSelfError as error:
                return error.reason

    name = Via(DictRegistry(), "key")
    pid = await Selfish.start(name=name)
    register("selfish", pid)
    for address in (pid, "selfish", name):
        assert await pid.call(address) is CALLING_SELF


NO_TIMEOUTS = [
    ("soon", TypeError),
    (object(), TypeError),
    ([], TypeError),
    (-5, ValueError),
    (-0.1, ValueError),
    (math.nan, ValueError),
]


@pytest.mark.parametrize(("timeout", "error"), NO_TIMEOUTS, ids=lambda value: type(value).__name__)
async def test_a_timeout_that_is_none_raises_and_harms_nobody(node, timeout, error):
    """G22: an argument error in the caller; nothing is asked, nothing left behind."""
    pid = await Echo.start()
    for asking in (
        lambda: pid.call("x", timeout=timeout),
        lambda: call(pid, "x", timeout),
        lambda: pid.stop(timeout=timeout),
        lambda: stop(pid, timeout=timeout),
        lambda: introspection.get_state(pid, timeout=timeout),
    ):
        with pytest.raises(error):
            await asking()
        assert info_of(pid).pending_calls == 0
    assert node.statistics().deadlines == 0
    assert await pid.call("alive") == "alive"
    assert await pid.call("handled") == ["alive"]


async def test_a_reply_may_be_an_exception_object(node):
    pid = await Echo.start()
    error = Boom("just a value")
    assert await pid.call(error) is error


async def test_a_call_costs_the_same_however_many_messages_the_caller_has(node):
    pid = await Echo.start()
    for number in range(100_000):
        send(self_pid(), number)
    process = node.processes[self_pid()]
    before = process.mailbox.queue
    assert await pid.call("x") == "x"
    assert process.mailbox.queue is before  # it did not even look
    process.mailbox.clear()


async def test_callers_and_replies_are_not_kept_alive(node):
    class Payload:
        pass

    pid = await Echo.start()
    payload = Payload()
    reference = weakref.ref(payload)
    await pid.call("x")
    assert await pid.call(payload) is payload
    await pid.call("handled")
    del payload
    state = node.processes[pid].server
    state.handled.clear()
    await pid.call("x")
    gc.collect()
    assert reference() is None


# -- cast (G25) ----------------------------------------------------------------------------------


async def test_cast_reaches_handle_cast_by_pid_and_by_name(node):
    pid = await Echo.start(name="echo")
    pid.cast(1)
    cast("echo", 2)
    cast(pid, 3)
    assert await pid.call("handled") == [1, 2, 3]


async def test_cast_never_fails(node):
    """G25."""
    pid = await Echo.start()
    await pid.stop()
    pid.cast("x")
    cast("nobody", "x")
    cast(Via(DictRegistry(), "nobody"), "x")
    cast(NOBODY, "x")


NOBODY: Any = None


async def test_none_is_the_name_of_nobody(node):
    """G22, G29, P3, M2; Elixir's GenServer takes `nil` so."""
    for asking in (
        lambda: call(NOBODY, "x"),
        lambda: stop(NOBODY),
        lambda: GenServer.call(NOBODY, "x"),
        lambda: introspection.get_state(NOBODY),
        lambda: receive_response(send_request(NOBODY, "x")),
    ):
        with pytest.raises(NoProcessError) as caught:
            await asking()
        assert caught.value.reason is NOPROC
    with pytest.raises(NoProcessError):
        send(NOBODY, "x")
    assert whereis(NOBODY) is None
    assert not is_alive(NOBODY)
    down = await receive(monitor(NOBODY))
    assert (down.object, down.reason) == (None, NOPROC)


# -- stop (G29, PL5) -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, "custom"])
async def test_stop_ends_the_server_with_the_reason_and_returns(node, reason):
    pid = await Echo.start()
    await pid.stop(reason)
    assert not pid.is_alive()


async def test_stop_by_name(node):
    await Echo.start(name="echo")
    await stop("echo")
    with pytest.raises(NoProcessError):
        await stop("echo")


async def test_stopping_the_dead_is_noproc(node):
    pid = await Echo.start()
    await pid.stop()
    with pytest.raises(NoProcessError):
        await pid.stop()


async def test_stop_waits_behind_the_messages_that_are_queued(node):
    """G29."""
    handled: list[Any] = []

    class Slow(GenServer):
        async def handle_cast(self, message):
            await trio.lowlevel.checkpoint()
            handled.append(message)

    pid = await Slow.start()
    for number in range(3):
        pid.cast(number)
    await pid.stop()
    assert handled == [0, 1, 2]


async def test_a_stop_that_takes_too_long_leaves_the_server_ending(node, autojump_clock):
    class Slow(GenServer):
        async def terminate(self, reason):
            await trio.sleep(3)

    pid = await Slow.start()
    with pytest.raises(CallTimeoutError):
        await pid.stop(timeout=1)
    assert await pid.wait_exited() is NORMAL
    assert trio.current_time() == pytest.approx(3)


async def test_a_server_that_ends_for_another_reason_tells_whoever_stops_it(node):
    """PL5."""
    pid = await Echo.start()
    pid.send("x")
    exit(pid, "other")
    with pytest.raises(ServerExitedError) as caught:
        await pid.stop()
    assert caught.value.reason == "other"


async def test_a_server_that_stops_itself_is_told(node):
    """G29."""

    class Selfish(GenServer):
        async def handle_call(self, request, sender):
            try:
                await self.pid.stop()
            except CallingSelfError as error:
                return error.reason

    pid = await Selfish.start()
    assert await pid.call("x") is CALLING_SELF


async def test_two_may_stop_the_same_server(node):
    pid = await Echo.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pid.stop)
        nursery.start_soon(pid.stop)
    assert not pid.is_alive()


async def test_a_plain_process_that_never_receives_cannot_be_stopped_in_order(node, autojump_clock):
    pid = spawn(forever)
    with pytest.raises(CallTimeoutError):
        await pid.stop(timeout=1)
    assert pid.is_alive()


async def test_stop_by_registry_name(node):
    registry = DictRegistry()
    pid = await Echo.start(name=Via(registry, "key"))
    await stop(Via(registry, "key"))
    assert not pid.is_alive()
    with pytest.raises(NoProcessError):
        await stop(Via(registry, "key"))
