"""Plain processes whose own loops answer system messages (semantics SY1 to SY6; sys_SUITE special_process)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    NORMAL,
    CallError,
    Crash,
    GenServer,
    ReceiveTimeoutError,
    ServerExitedError,
    SpecialProcess,
    Task,
    exit,
    monitor,
    receive,
    send,
    spawn,
    spawn_link,
    stop,
    trap_exit,
)
from actors import introspection as sys
from actors.testing import assert_down, wait_settled
from tests.actors.helpers import Boom, info_of


class Adder(SpecialProcess):
    """Adds up the numbers that it is sent, one at a time, and keeps the words for later."""

    def __init__(self):
        self.total = 0
        self.ended: list[Any] = []

    async def run(self):
        self.answer_system_messages()
        while True:
            number = await receive(int)
            self.record("in", number)
            self.total += number

    async def terminate(self, reason):
        self.ended.append(reason)
        if reason == "crash":
            raise Boom


async def start(adder=None) -> tuple[Any, Any]:
    adder = Adder() if adder is None else adder
    pid = spawn(adder.run, label="adder")
    await wait_settled()
    return pid, adder


async def test_its_state_can_be_seen_and_replaced(node):
    """SY1, SY3."""
    pid, adder = await start()
    send(pid, 1)
    assert await sys.get_state(pid) == {"total": 1, "ended": []}
    await sys.replace_state(pid, lambda state: state | {"total": 40})
    send(pid, 2)
    assert (await sys.get_state(pid))["total"] == 42
    assert adder.total == 42


async def test_a_state_that_does_not_fit_changes_nothing(node):
    """SY3."""
    pid, adder = await start()
    for change in (lambda _: 1 // 0, lambda _: "junk"):
        with pytest.raises(CallError, match="callback_failed"):
            await sys.replace_state(pid, change)
    assert await sys.get_state(pid) == {"total": 0, "ended": []}
    assert adder.pid is pid


async def test_system_messages_queue_behind_the_others_and_pass_what_is_skipped(node):
    """SY1, P4."""
    pid, _ = await start()
    for message in ("a word", 1, "another", 2):
        send(pid, message)
    assert (await sys.get_state(pid))["total"] == 3
    assert info_of(pid).message_queue_len == 2


async def test_it_can_be_suspended_and_resumed(node, autojump_clock):
    """SY2."""
    pid, adder = await start()
    await sys.suspend(pid)
    await sys.suspend(pid)
    send(pid, 1)
    await trio.sleep(1)
    assert adder.total == 0
    assert (await sys.get_status(pid))["status"] == "suspended"
    await sys.resume(pid)
    await sys.resume(pid)
    assert (await sys.get_state(pid))["total"] == 1


async def test_its_status_is_known(node):
    """SY3, G31."""

    class Discreet(Adder):
        def format_status(self, status):
            return dict.fromkeys(status, "hidden")

    pid, _ = await start(Discreet())
    status = await sys.get_status(pid)
    assert (status["pid"], status["module"]) == (pid, Discreet)
    assert (status["status"], status["state"]) == ("running", "hidden")
    assert info_of(pid).module is Discreet


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("reason", [NORMAL, "because"], ids=str)
async def test_it_can_be_stopped_in_order(reason, suspended, node):
    """SY6, PL5."""
    pid, adder = await start()
    if suspended:
        await sys.suspend(pid)
    with structlog.testing.capture_logs():
        await sys.terminate(pid, reason)
    assert adder.ended == [reason]
    with pytest.raises(CallError):
        await stop(pid)


async def test_a_crash_while_it_cleans_up_is_its_reason(node):
    """SY6."""
    pid, _ = await start()
    ref = monitor(pid)
    with structlog.testing.capture_logs(), pytest.raises(ServerExitedError):
        await sys.terminate(pid, "crash")
    assert isinstance((await assert_down(ref)).exception, Boom)


async def test_its_parents_exit_ends_it_in_order_while_it_is_suspended(node):
    """SY2."""
    adder = Adder()

    async def run():
        trap_exit()
        await adder.run()

    async def parent():
        spawn_link(run, label="adder")
        await trio.sleep_forever()

    starter = spawn(parent)
    await wait_settled()
    await sys.suspend(adder.pid)
    ref = monitor(adder.pid)
    exit(starter, "going")
    assert await assert_down(ref) == "going"
    assert adder.ended == ["going"]


async def test_its_events_are_those_that_it_records(node):
    """SY4, SY5."""
    seen: list[Any] = []
    pid, _ = await start()
    send(pid, 1)
    await sys.log(pid)
    await sys.install(pid, lambda _, event, state: seen.append((event.message, state["total"])))
    send(pid, 2)
    send(pid, 3)
    assert await sys.get_log(pid) == [sys.DebugEvent("in", 2), sys.DebugEvent("in", 3)]
    assert seen == [(2, 1), (3, 3)]
    await sys.no_debug(pid)
    send(pid, 4)
    assert await sys.get_log(pid) == []


async def test_what_it_does_not_know_it_says(node):
    """SY1."""
    pid, _ = await start()
    with pytest.raises(CallError, match="unknown_system_msg"):
        await pid.target.system(pid, ("no such verb",), None)
    assert pid.is_alive()


async def test_a_receive_may_time_out_while_the_process_is_suspended(node, autojump_clock):
    """SY2: it hears of it when it is resumed."""
    waited: list[Any] = []

    class Waiting(SpecialProcess):
        async def run(self):
            self.answer_system_messages()
            try:
                await receive(int, timeout=1)
            except ReceiveTimeoutError:
                waited.append(trio.current_time())

    pid = spawn(Waiting().run)
    await wait_settled()
    await sys.suspend(pid)
    await trio.sleep(5)
    assert waited == []
    await sys.resume(pid)
    await wait_settled()
    assert waited == [pytest.approx(5)]


async def test_only_a_process_without_behaviour_can_be_one(node):
    """G6, SY1."""

    class Confused(GenServer):
        async def handle_call(self, request, sender):
            Adder().answer_system_messages()

    async def task():
        Adder().answer_system_messages()

    async def twice():
        Adder().answer_system_messages()
        Adder().answer_system_messages()

    with structlog.testing.capture_logs():
        with pytest.raises(ServerExitedError) as failed:
            await (await Confused.start()).call("x")
        reasons = [failed.value.reason, await (await Task.start(task)).wait_exited()]
        reasons.append(await spawn(twice).wait_exited())
    assert all(isinstance(reason, Crash) for reason in reasons)
    assert {type(reason.exception) for reason in reasons} == {RuntimeError}
