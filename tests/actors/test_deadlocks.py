"""Deadlock detection: a circle of calls is told by the call that closes it."""

from typing import Any

import pytest
import trio

from actors import (
    CallFailed,
    Continue,
    GenServer,
    Node,
    Pid,
    Reply,
    StartError,
    call,
    open_node,
    self_pid,
    spawn,
)
from actors.deadlocks import DeadlockError
from actors.telemetry import attach
from actors.testing import assert_down, open_test_node, wait_settled
from supervisors import Supervisor


class Asker(GenServer):
    """Passes a request on to the others in it, first to last; keeps the error that it gets."""

    async def init(self) -> None:
        self.error: DeadlockError | None = None

    async def handle_call(self, request: list[Pid], sender: Any) -> Any:
        if not request:
            return "reached"
        try:
            return await request[0].call(request[1:], timeout=5.0)
        except DeadlockError as error:
            self.error = error
            return "deadlock"


@pytest.fixture
async def node():
    async with open_node(detect_deadlocks=True) as node:
        yield node


def error_of(pid: Pid) -> Any:
    server: Any = pid.target
    return server.server.error


async def test_two_servers_that_call_each_other_are_told_at_once(node: Node):
    """DL1."""
    a, b = await Asker.start(), await Asker.start()
    with trio.fail_after(1):
        assert await a.call([b, a]) == "deadlock"
    assert error_of(b).chain == (b, a, b)
    assert error_of(a) is None


async def test_a_circle_of_three_is_found(node: Node):
    """DL1."""
    a, b, c = [await Asker.start() for _ in range(3)]
    assert await a.call([b, c, a]) == "deadlock"
    assert error_of(c).chain == (c, a, b, c)
    assert "waits for" in str(error_of(c))


async def test_a_circle_that_does_not_lead_back_to_the_start_is_found(node: Node):
    a, b, c = [await Asker.start() for _ in range(3)]
    assert await a.call([b, c, b]) == "deadlock"
    assert error_of(c).chain == (c, b, c)


async def test_a_chain_without_a_circle_is_answered(node: Node):
    a, b, c = [await Asker.start() for _ in range(3)]
    assert await a.call([b, c]) == "reached"
    assert await c.call([b, a]) == "reached"


async def test_many_callers_of_one_busy_server_are_no_circle(node: Node):
    class Gate(GenServer):
        async def init(self, gate: trio.Event) -> None:
            self.gate = gate

        async def handle_call(self, request: Any, sender: Any) -> Any:
            await self.gate.wait()
            return request

    gate = trio.Event()
    server = await Gate.start(gate)
    replies: list[int] = []

    async def ask(number: int) -> None:
        replies.append(await call(server, number))

    for number in range(5):
        spawn(ask, number)
    await wait_settled()
    gate.set()
    await wait_settled()
    assert sorted(replies) == list(range(5))


async def test_a_call_in_another_task_of_a_server_does_not_keep_it_from_serving(node: Node):
    class Helper(GenServer):
        async def handle_call(self, request: Any, sender: Any) -> Any:
            if request == "ping":
                return "pong"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ask_other, request)
            return "asked"

        async def ask_other(self, other: Pid) -> None:
            self.answer = await other.call([], timeout=1.0)

    helper, other = await Helper.start(), await Asker.start()
    assert await helper.call(other) == "asked"


async def test_a_deadlock_that_nobody_catches_is_the_exit_reason(node: Node):
    class Careless(GenServer):
        async def handle_call(self, request: Pid, sender: Any) -> Any:
            return await request.call(self.pid)

    a, b = await Careless.start(), await Careless.start()
    spawn(call, a, b)
    reason = await assert_down(b)
    assert isinstance(reason, CallFailed)
    assert reason.reason == ("deadlock", (b, a, b))


async def test_a_child_that_calls_its_supervisor_from_init_is_told(node: Node):
    """DL1, S25."""

    class Curious(GenServer):
        async def init(self) -> None:
            self.siblings = await Supervisor.which_children("app")

    node.main.trap_exit = True
    with pytest.raises(StartError) as failed:
        await Supervisor.start_link([Curious], name="app")
    assert "deadlock" in repr(failed.value.reason)


async def test_a_deadlock_is_an_event(node: Node):
    told: list[Any] = []
    attach("h", "call.deadlock", lambda _event, _measured, metadata, _: told.append(metadata))
    a, b = await Asker.start(), await Asker.start()
    await a.call([b, a])
    assert [metadata["chain"] for metadata in told] == [(b, a, b)]


async def test_without_detection_the_call_times_out(autojump_clock):
    async with open_node():
        a, b = await Asker.start(), await Asker.start()
        with pytest.raises(Exception, match="timeout"):
            await a.call([b, a], timeout=4.0)


async def test_a_test_node_detects_deadlocks():
    async with open_test_node():
        a, b = await Asker.start(), await Asker.start()
        assert await a.call([b, a]) == "deadlock"


async def test_a_test_node_does_not_pass_over_zombies(autojump_clock):
    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    with pytest.raises(AssertionError, match="1 killed processes did not unwind"):
        async with open_test_node(kill_grace=0.1):
            pid = spawn(stubborn)
            await wait_settled()
            pid.exit("x")
            assert self_pid().is_alive()


async def test_who_has_been_answered_and_has_only_not_run_since_waits_for_nobody(node: Node):
    """DL1, G10: the reply goes out before what follows it, so it closes no circle to call back."""
    called_back: list[Any] = []

    class Asks(GenServer):
        async def handle_call(self, request: Any, sender: Any) -> Any:
            return request if isinstance(request, str) else await request.call(self.pid)

    class Answers(GenServer):
        async def handle_call(self, request: Pid, sender: Any) -> Any:
            return Reply("early", then=Continue(request))

        async def handle_continue(self, token: Pid) -> None:
            called_back.append(await token.call("hello", timeout=1))

    asks, answers = await Asks.start(), await Answers.start()
    assert await asks.call(answers) == "early"
    await wait_settled()
    assert called_back == ["hello"]
