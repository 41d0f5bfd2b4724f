"""Looking at a server at work: log, trace, statistics, hooks (semantics SY4, SY5)."""

from typing import Any

import pytest
import structlog

from actors import CallError, Continue, NoReply, self_pid
from actors import introspection as sys
from tests.actors.helpers import Boom
from tests.actors.servers import Counter


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
