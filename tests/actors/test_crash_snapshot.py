"""What a crash report shows besides the crash: what waited, and who stood around (semantics PL4, G31, G32)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    Bounded,
    GenServer,
    Task,
    cast,
    link,
    monitor,
    open_node,
    receive,
    register,
    self_pid,
    set_label,
    spawn,
    spawn_link,
    trap_exit,
)
from actors import introspection as sys
from actors.testing import assert_down, wait_settled
from tests.actors.helpers import Boom, forever


class Fragile(GenServer):
    """Does something at first, then raises what it was cast."""

    async def init(self, first=None):
        self.first = first

    async def handle_cast(self, message):
        if self.first is not None:
            await self.first()
        raise message


def rest_of(log):
    """The facts of the surroundings that are there."""
    rows = ("message_queue_len", "trap_exit", "messages", "links", "monitors", "monitored_by")
    return {row: log[row] for row in (*rows, "neighbours") if row in log}


async def crash(server) -> Any:
    """The report of a server that crashes with what waits in its mailbox now."""
    ref = monitor(server)
    with structlog.testing.capture_logs() as logs:
        await assert_down(ref)
    [log] = [log for log in logs if log["event"] == "GenServer terminating"]
    return log


async def test_a_report_of_a_server_that_is_alone_says_so(node):
    """PL4, G32."""
    server = await Fragile.start()
    server.cast(Boom())
    assert rest_of(await crash(server)) == {
        "message_queue_len": 0,
        "trap_exit": False,
        "monitored_by": [repr(self_pid())],
    }


async def test_a_report_shows_what_waited_in_the_mailbox(node):
    """PL4: the user's part of each, in order."""
    server = await Fragile.start()
    server.cast(Boom())
    cast(server, "a cast")
    server.send("a message")
    spawn(server.call, "a call")
    await wait_settled_but_not(server)
    log = await crash(server)
    assert log["message_queue_len"] == 3
    assert log["messages"] == ["'a cast'", "'a message'", "'a call'"]


async def wait_settled_but_not(server):
    """Let a caller's request arrive before the server takes its next step: hold the server up."""
    gate = trio.Event()
    server.target.server.first = gate.wait
    await wait_settled()
    gate.set()


async def test_many_and_large_messages_are_counted_and_cut(node):
    """PL4: bounded."""
    server = await Fragile.start()
    server.cast(Boom())
    for number in range(1_000):
        server.send("x" * 10_000 + str(number))
    log = await crash(server)
    assert log["message_queue_len"] == 1_000
    assert len(log["messages"]) == 10
    assert all(len(message) < 250 for message in log["messages"])
    assert log["messages"][0].endswith("(10003 characters)")


@pytest.mark.parametrize("overflow", ["refuse", "block"])
async def test_a_bounded_mailbox_and_one_that_was_read_selectively_are_shown_too(overflow, node):
    """PL4."""

    async def skim():
        await receive(str)

    server = await Fragile.start(skim, mailbox=Bounded(4, overflow))
    server.cast(Boom())
    for message in (1, "skimmed", 2):
        server.send(message)
    log = await crash(server)
    assert log["messages"] == ["1", "2"]


async def test_format_status_decides_how_a_message_that_waited_is_shown(node):
    """G31: each as the message of a status, without any other field."""
    asked: list[Any] = []

    class Discreet(Fragile):
        def format_status(self, status):
            asked.append(sorted(status))
            return status | {"message": "hidden", "state": "hidden"}

    server = await Discreet.start()
    server.cast(Boom())
    server.send("password")
    log = await crash(server)
    assert log["messages"] == ["'hidden'"]
    assert "password" not in repr(log)
    assert asked == [["message", "reason", "state"], ["message"]]


async def test_a_format_status_that_raises_shows_no_message_that_waited(node):
    """G31."""

    class Broken(Fragile):
        def format_status(self, status):
            raise Boom("in format_status")

    server = await Broken.start()
    server.cast(Boom())
    server.send("password")
    log = await crash(server)
    assert "format_status raised" in log["messages"][0]
    assert "password" not in repr(log)


async def test_a_report_shows_links_monitors_and_ancestors(node):
    """PL4."""
    register("starter", self_pid())
    other = spawn(forever)

    async def tie():
        link(other)
        monitor("nobody in particular")
        monitor(other)

    trapping = spawn(trap_for_ever)
    server = await Fragile.start(tie)
    server.cast(Boom())
    await wait_settled_links(trapping, server)
    log = await crash(server)
    assert log["ancestors"] == ["starter"]
    assert set(log["links"]) == {repr(other), repr(trapping)}
    assert log["monitors"] == [repr(other)]
    assert log["monitored_by"] == [repr(self_pid())]
    trapping.exit(KILL)


async def trap_for_ever():
    trap_exit()
    pid = await receive()
    link(pid)
    await forever()


async def wait_settled_links(process, server):
    gate = trio.Event()
    first = server.target.server.first

    async def wait_then_tie():
        await gate.wait()
        await first()

    server.target.server.first = wait_then_tie
    process.send(server)
    await wait_settled()
    gate.set()


async def test_a_report_shows_the_neighbours_that_the_crash_takes_along(node):
    """PL4: linked, to it or to each other, and not trapping exits; with what can be seen of them."""
    chain: list[Any] = []

    async def member(depth):
        set_label(f"member {depth}")
        chain.append(self_pid())
        if depth == 1:
            register("second", self_pid())
        if depth < 2:
            spawn_link(member, depth + 1)
        await forever()

    async def tie():
        spawn_link(member, 0)
        spawn_link(trap_for_ever, label="survivor")
        await wait_settled()
        chain[0].send("unread")

    server = await Fragile.start(tie)
    server.cast(Boom())
    neighbours = (await crash(server))["neighbours"]
    assert [(n["label"], n["name"], n["message_queue_len"]) for n in neighbours] == [
        ("member 0", None, 1),
        ("member 1", "second", 0),
        ("member 2", None, 0),
    ]
    assert neighbours[0]["ancestors"][0] == repr(server)
    assert "member 0" in neighbours[0]["process"]


async def test_at_most_fifteen_neighbours_are_shown(node):
    """PL4."""

    async def tie():
        for _ in range(100):
            spawn_link(forever)
        await wait_settled()

    server = await Fragile.start(tie)
    server.cast(Boom())
    log = await crash(server)
    assert len(log["neighbours"]) == 15
    assert len(log["links"]) == 20


async def test_the_report_of_a_plain_process_is_made_while_its_mailbox_and_links_are_there(node):
    """PL4, P7."""

    async def process():
        spawn_link(forever, label="neighbour")
        self_pid().send("unread")
        register("mortal", self_pid())
        raise Boom

    pid = spawn(process)
    with structlog.testing.capture_logs() as logs:
        await assert_down(pid)
    [log] = logs
    assert log["event"] == "process exited"
    assert log["messages"] == ["'unread'"]
    assert [neighbour["label"] for neighbour in log["neighbours"]] == ["neighbour"]
    assert '"mortal"' in log["process"]


async def test_the_report_of_a_task_says_the_same(node):
    """PL4, T7."""

    async def work():
        self_pid().send("unread")
        spawn_link(forever, label="neighbour")
        raise Boom

    register("owner", self_pid())
    with structlog.testing.capture_logs() as logs:
        await (await Task.start(work)).wait_exited()
    [log] = logs
    assert log["event"] == "Task terminating"
    assert log["messages"] == ["'unread'"]
    assert log["ancestors"] == ["owner"]
    assert [neighbour["label"] for neighbour in log["neighbours"]] == ["neighbour"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_out_of_the_log_of_a_dying_process_ends_the_node_in_order(interrupt):
    """N3, P7: its links hear of the end all the same."""
    ended: list[Any] = []

    def interrupted(*_: Any) -> Any:
        raise interrupt

    async def watch(pid):
        trap_exit()
        link(pid)
        ended.append((await receive()).reason)

    async def process():
        await wait_settled()
        raise Boom

    structlog.configure(processors=[interrupted])
    try:
        with pytest.raises(interrupt):
            async with open_node():
                spawn(watch, spawn(process))
                await trio.sleep_forever()
    finally:
        structlog.reset_defaults()
    assert isinstance(ended[0].exception, Boom)


# -- the last messages, from the start ------------------------------------------------------------


async def test_debug_options_say_what_is_recorded_from_the_start(node):
    """G1, SY4: so that a crash report has the last messages without anybody having looked before."""
    server = await Fragile.start(debug=sys.DebugOptions(log=3, statistics=True))
    server.send("first")
    server.send("second")
    await wait_settled()
    counted = await sys.get_statistics(server)
    assert counted is not None
    assert counted.messages_in == 2
    server.cast(Boom("last"))
    log = await crash(server)
    assert "second" in log["log"]
    assert "last" in log["log"]
    assert "first" not in log["log"]


async def test_debug_options_may_trace(node):
    """G1, SY4."""
    server = await Fragile.start(debug=sys.DebugOptions(trace=True))
    with structlog.testing.capture_logs() as logs:
        server.send("seen")
        await wait_settled()
    assert ("trace", "'seen'") in [(log["event"], log.get("message")) for log in logs]


async def test_debug_options_that_switch_nothing_on_cost_nothing(node):
    """G1."""
    server = await Fragile.start(debug=sys.DebugOptions())
    assert node.processes[server].debug is None


@pytest.mark.parametrize("size", [0, -1, 2.5, True], ids=repr)
def test_debug_options_with_a_log_of_no_size_are_refused(size):
    with pytest.raises(ValueError, match="a positive number of events, or None"):
        sys.DebugOptions(log=size)
