"""Telemetry: handlers of events, and the events of the runtime (TE1)."""

from typing import Any

import pytest
import structlog
import trio
import trio.testing

from actors import (
    KILL,
    KILLED,
    SHUTDOWN,
    CallTimeoutError,
    GenServer,
    NoNodeError,
    NoReply,
    ProcessExit,
    current_node,
    exit,
    open_node,
    receive,
    register,
    run,
    self_pid,
    send,
    spawn,
)
from actors.telemetry import HandlerExistsError, attach, detach, execute, list_handlers, span
from actors.testing import wait_settled
from tests.actors.helpers import exit_with, forever


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def __call__(self, event, measurements, metadata, config) -> None:
        self.events.append((event, dict(measurements), dict(metadata)))

    def names(self) -> list[str]:
        return [event for event, _, _ in self.events]

    def metadata(self, event: str) -> list[dict[str, Any]]:
        return [metadata for name, _, metadata in self.events if name == event]


async def test_a_handler_is_called_in_the_step_of_the_sender_with_its_config(node):
    heard = []
    attach("h", "sale", lambda *told: heard.append((self_pid(), *told)), "config")
    execute("sale", {"price": 3}, {"what": "tea"})
    assert heard == [(self_pid(), "sale", {"price": 3}, {"what": "tea"}, "config")]


async def test_names_are_compared_exactly(node):
    log = Log()
    attach("h", "sale", log)
    execute("sale.tea")
    assert log.events == []


async def test_a_handler_may_hear_of_many_events(node):
    log = Log()
    attach("h", ["a", "b"], log)
    for event in "abc":
        execute(event)
    assert log.names() == ["a", "b"]


async def test_an_id_is_given_once(node):
    attach("h", "a", Log())
    with pytest.raises(HandlerExistsError, match="'h' is attached already"):
        attach("h", "b", Log())


async def test_a_detached_handler_is_not_called(node):
    log = Log()
    attach("h", "a", log)
    assert detach("h")
    assert not detach("h")
    execute("a")
    assert log.events == []


async def test_a_node_that_nobody_listens_to_has_no_table(node):
    assert node.telemetry is None
    attach("h", "a", Log())
    detach("h")
    assert node.telemetry is None


async def test_handlers_are_listed_by_event(node):
    attach("one", "a", Log())
    attach("two", ["a", "b"], Log())
    assert [entry.id for entry in list_handlers()] == ["one", "two"]
    assert [entry.id for entry in list_handlers("b")] == ["two"]


class Odd(BaseException):
    """Neither an Exception nor an exit."""


@pytest.mark.parametrize(
    "error",
    [RuntimeError("broken handler"), ProcessExit("bye"), Odd(), BaseExceptionGroup("", [Odd()])],
    ids=repr,
)
async def test_a_handler_that_raises_is_detached_and_told(error, node):
    """TE1: whatever it raises; the runtime calls it in a dying process, too."""
    log = Log()

    def broken(*_told) -> None:
        raise error

    attach("broken", "a", broken)
    attach("log", ["a", "telemetry.handler.failed"], log)
    with structlog.testing.capture_logs() as reports:
        execute("a")
        execute("a")
    assert log.names() == ["telemetry.handler.failed", "a", "a"]
    assert log.events[0][2] == {"id": "broken", "event": "a", "error": error}
    assert [report["event"] for report in reports] == ["telemetry handler failed"]


async def test_a_handler_may_detach_another_while_an_event_is_told(node):
    log = Log()
    attach("first", "a", lambda *_: detach("second"))
    attach("second", "a", log)
    execute("a")
    assert log.events == []


async def test_handlers_go_with_their_node():
    async with open_node():
        attach("h", "a", Log())
    async with open_node():
        assert list_handlers() == []


async def test_outside_a_node_there_is_no_telemetry():
    with pytest.raises(NoNodeError):
        execute("a")


async def test_a_span_tells_its_start_and_stop(node):
    log = Log()
    attach("h", ["work.start", "work.stop"], log)
    with span("work", {"id": 1}) as found:
        found["rows"] = 7
    assert log.names() == ["work.start", "work.stop"]
    assert log.events[1][1]["duration"] >= 0
    assert log.events[1][2] == {"id": 1, "rows": 7}


async def test_a_span_tells_an_exception_and_lets_it_pass(node):
    log = Log()
    attach("h", ["work.stop", "work.exception"], log)
    with pytest.raises(RuntimeError), span("work"):
        raise RuntimeError("no")
    assert log.names() == ["work.exception"]
    assert isinstance(log.events[0][2]["error"], RuntimeError)


# -- events of the runtime -----------------------------------------------------------------------


async def test_starts_and_ends_of_processes_are_told(node):
    log = Log()
    attach("h", ["process.started", "process.exited"], log)
    pid = spawn(forever)
    register("somebody", pid)
    exit(pid, KILL)
    await pid.wait_exited()
    started, exited = (metadata for _, _, metadata in log.events)
    assert started["pid"] is pid
    assert started["parent"] is self_pid()
    assert exited == {"pid": pid, "label": "forever", "name": "somebody", "reason": KILLED}


async def test_dead_letters_are_told(node):
    log = Log()
    attach("h", "message.dead_letter", log)
    pid = spawn(forever)
    await wait_settled()
    send(pid, "unread")
    exit(pid, KILL)
    send(pid, "while it exits")
    await pid.wait_exited()
    send(pid, "afterwards")
    assert [(m["pid"], m["message"]) for m in log.metadata("message.dead_letter")] == [
        (pid, "while it exits"),
        (pid, "unread"),
        (None, "afterwards"),
    ]


async def test_timeouts_of_calls_are_told(node, autojump_clock):
    class Silent(GenServer):
        async def handle_call(self, request, sender):
            return NoReply()

    log = Log()
    attach("h", "call.timeout", log)
    server = await Silent.start_link()
    with pytest.raises(CallTimeoutError):
        await server.call("?", timeout=1.0)
    assert log.metadata("call.timeout") == [
        {"caller": self_pid(), "server": server, "request": "?"}
    ]
    assert trio.current_time() >= 1.0


# -- interrupts out of handlers and listeners (N3) -----------------------------------------------


class Ends(GenServer):
    """Notes how it ends."""

    def init(self, ends):
        self.ends = ends

    async def handle_call(self, request, sender):
        return NoReply()

    async def terminate(self, reason):
        self.ends.append(reason)


def interrupts(*_):
    detach("fatal")
    raise SystemExit(3)


async def until_a_process_ends():
    watched = spawn(exit_with, "x").monitor()
    assert (await receive(watched)).reason == "x"
    await trio.sleep_forever()


async def until_a_call_expires():
    await (await Ends.start([])).call("x", timeout=0.1)


async def until_a_process_starts():
    spawn(forever)
    await trio.sleep_forever()


HAPPENINGS = {
    "process.started": until_a_process_starts,
    "process.exited": until_a_process_ends,
    "call.timeout": until_a_call_expires,
}


@pytest.mark.parametrize("event", HAPPENINGS)
def test_a_handler_that_exits_the_program_ends_the_node_in_order(event):
    """N3, K4: whoever's step it is, the others hear of the ends, and `terminate` is called."""
    ends: list[Any] = []

    async def main():
        await Ends.start_link(ends)
        attach("fatal", event, interrupts)
        await HAPPENINGS[event]()

    clock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.raises(SystemExit) as caught:
        run(main, clock=clock)
    assert caught.value.code == 3
    assert ends == [SHUTDOWN]
    assert clock.current_time() < 1  # nobody had to be waited for


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_listener_of_ends_that_exits_the_program_ends_the_node_in_order(error):
    ends: list[Any] = []

    def listener(_):
        current_node().remove_exit_listener(listener)
        raise error

    async def main():
        await Ends.start_link(ends)
        current_node().on_exit(listener)
        await until_a_process_ends()

    with pytest.raises(type(error)):
        run(main)
    assert ends == [SHUTDOWN]
