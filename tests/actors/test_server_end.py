"""GenServer: `terminate`, and callbacks that are missing (semantics G17 to G20)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    Continue,
    Crash,
    Exit,
    GenServer,
    ProcessExit,
    ServerExitedError,
    exit,
    receive,
    self_pid,
    send,
    spawn,
    trap_exit,
)
from actors.gen_server import UndefinedCallbackError
from tests.actors.helpers import Boom
from tests.actors.servers import Scripted, end_of, start

# -- terminate (G17 to G20) ----------------------------------------------------------------------


async def test_the_exit_of_the_parent_runs_terminate(node):
    """G17."""
    log: list[Any] = []

    async def parent():
        pid = await Scripted.start_link(log)
        send(me, pid)
        raise ProcessExit(await receive())

    me = self_pid()
    for reason in (NORMAL, SHUTDOWN, "crash"):
        log.clear()
        parent_pid = spawn(parent)
        pid = await receive()
        send(parent_pid, reason)
        assert await end_of(pid) == reason
        assert log == [("terminate", reason)]


async def test_the_exit_of_the_parent_waits_behind_earlier_messages_and_later_ones_are_dropped(
    node, autojump_clock
):
    """G18."""
    log: list[Any] = []
    me = self_pid()

    async def parent():
        pid = await Scripted.start_link(log)
        pid.cast(("sleep", 1))
        pid.cast("before")
        exit(pid, "parent")
        pid.cast("after")
        send(me, pid)
        await trio.sleep_forever()

    spawn(parent)
    assert await end_of(await receive()) == "parent"
    assert log == [("cast", ("sleep", 1)), ("cast", "before"), ("terminate", "parent")]


async def test_an_exit_from_somebody_else_is_an_ordinary_message(node):
    """G18."""
    pid, log = await start()
    exit(pid, SHUTDOWN)
    await pid.call("x")
    assert log[0] == ("info", Exit(self_pid(), SHUTDOWN))


async def test_a_server_without_terminate_does_not_trap_exits(node):
    class Plain(GenServer):
        pass

    pid = await Plain.start()
    exit(pid, "x")
    assert await end_of(pid) == "x"


async def test_a_server_that_says_so_does_not_trap_although_it_has_terminate(node):
    class Untrapping(Scripted):
        trap_exit = False

    log: list[Any] = []
    pid = await Untrapping.start(log)
    exit(pid, SHUTDOWN)
    assert await end_of(pid) is SHUTDOWN
    assert log == []


async def test_a_mixin_with_terminate_counts(node):
    class Cleanup:
        async def terminate(self, reason):
            log.append(reason)

    class Server(Cleanup, GenServer):
        pass

    log: list[Any] = []
    pid = await Server.start_link()
    await pid.stop()
    assert log == [NORMAL]
    assert node.processes[await Server.start()].trap_exit is True


async def test_kill_does_not_run_terminate(node):
    """G17."""
    pid, log = await start()
    exit(pid, KILL)
    assert await end_of(pid) is KILLED
    assert log == []


async def test_an_exception_in_terminate_replaces_the_reason(node):
    """G16."""
    error = Boom()

    class Bad(GenServer):
        async def terminate(self, reason):
            raise error

    pid = await Bad.start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.stop()
    assert caught.value.reason == Crash(error)


async def test_an_exit_in_terminate_replaces_the_reason(node):
    class Bad(GenServer):
        async def terminate(self, reason):
            raise ProcessExit("other")

    pid, ref = await Bad.start_monitor()
    with pytest.raises(ServerExitedError):
        await pid.stop("orig")
    assert (await receive(ref)).reason == "other"


async def test_nobody_hears_of_the_end_before_terminate_has_finished(node, autojump_clock):
    """G20."""

    class Slow(GenServer):
        async def terminate(self, reason):
            await trio.sleep(3)

    trap_exit()
    pid = await Slow.start_link()
    await pid.stop()
    assert trio.current_time() == pytest.approx(3)
    assert await receive(timeout=0) == Exit(pid, NORMAL)


async def test_a_kill_during_terminate_wins(node, autojump_clock):
    """G20."""

    class Slow(GenServer):
        async def terminate(self, reason):
            await trio.sleep(60)

    pid, ref = await Slow.start_monitor()
    with trio.move_on_after(1):
        await pid.stop()
    exit(pid, KILL)
    assert (await receive(ref)).reason is KILLED
    assert trio.current_time() < 3


async def test_terminate_may_use_the_node(node):
    me = self_pid()

    class Last(GenServer):
        async def terminate(self, reason):
            send(me, "last words")
            await other.call("x")

    other, _ = await start()
    pid = await Last.start()
    await pid.stop()
    assert await receive() == "last words"


# -- missing callbacks (G19) ---------------------------------------------------------------------


class Bare(GenServer):
    """Has no callbacks."""


async def test_a_call_without_handle_call_crashes_the_server_and_tells_the_caller(node):
    pid = await Bare.start()
    with pytest.raises(ServerExitedError) as caught:
        await pid.call("x")
    assert isinstance(caught.value.reason.exception, UndefinedCallbackError)
    assert "Bare has no handle_call" in str(caught.value.reason.exception)


async def test_a_cast_without_handle_cast_crashes_the_server(node):
    pid = await Bare.start()
    pid.cast("x")
    assert isinstance((await end_of(pid)).exception, UndefinedCallbackError)


async def test_a_continue_without_handle_continue_crashes_the_server(node):
    class OnlyInit(GenServer):
        async def init(self):
            return Continue("x")

    _, ref = await OnlyInit.start_monitor()
    assert isinstance((await receive(ref)).reason.exception, UndefinedCallbackError)


async def test_a_message_without_handle_info_is_logged_and_dropped(node):
    """G19."""
    pid = await Bare.start()
    with structlog.testing.capture_logs() as logs:
        send(pid, "surprise")
        await wait_all_tasks_blocked()
    assert [log["event"] for log in logs] == ["unexpected message"]
    assert "surprise" in logs[0]["message"]
    assert pid.is_alive()


async def test_an_undefined_function_inside_a_callback_is_not_taken_for_a_missing_callback(node):
    class Broken(GenServer):
        async def handle_info(self, message):
            self.no_such_method()  # type: ignore[attr-defined]  # on purpose

        async def terminate(self, reason):
            self.no_such_method_either()  # type: ignore[attr-defined]  # on purpose

    pid = await Broken.start()
    send(pid, "x")
    reason = await end_of(pid)
    assert isinstance(reason.exception, AttributeError)
    assert "no_such_method_either" in str(reason.exception)
