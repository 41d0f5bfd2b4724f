"""Bounded mailboxes: each policy, for each way to send."""

from contextlib import suppress
from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    CallTimeoutError,
    Exit,
    GenServer,
    MailboxFullError,
    ServerExitedError,
    cast,
    exit,
    open_node,
    receive,
    self_pid,
    send,
    send_after,
    send_interval,
    spawn,
    trap_exit,
)
from actors.bounded import Bounded, Overflow
from actors.introspection import process_info
from actors.telemetry import attach
from actors.testing import assert_down, wait_settled

POLICIES = list(Overflow)


class Slow(GenServer):
    """Works when it is told to go on."""

    async def init(self, gate: trio.Event) -> None:
        self.gate = gate
        self.got: list[Any] = []

    async def handle_call(self, request, sender):
        await self.gate.wait()
        self.got.append(request)
        return request

    async def handle_cast(self, message):
        await self.gate.wait()
        self.got.append(message)

    async def handle_info(self, message):
        await self.gate.wait()
        self.got.append(message)


async def full(overflow, capacity: int = 2):
    """A server that is busy with "first", and whose mailbox is full of "a" and "b"."""
    gate = trio.Event()
    server = await Slow.start(gate, mailbox=Bounded(capacity, overflow))
    server.send("first")
    await wait_settled()
    for message in "abcdefgh"[:capacity]:
        server.send(message)
    return server, gate


def got(server) -> Any:
    return server.target.server.got


def test_a_mailbox_of_nothing_is_refused():
    with pytest.raises(ValueError, match="1 message or more"):
        Bounded(0)


async def test_below_its_capacity_a_bounded_mailbox_is_like_any_other(node):
    """BM1."""
    server, gate = await full("refuse")
    gate.set()
    await wait_settled()
    assert await server.call("c") == "c"
    assert got(server) == ["first", "a", "b", "c"]


@pytest.mark.parametrize("policy", ["refuse", "block"])
@pytest.mark.parametrize("verb", [send, cast], ids=["send", "cast"])
async def test_who_cannot_wait_is_refused(policy, verb, node):
    """BM3, BM4."""
    server, gate = await full(policy)
    with pytest.raises(MailboxFullError) as refused:
        verb(server, "c")
    assert (refused.value.pid, refused.value.message, refused.value.capacity) == (server, "c", 2)
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "a", "b"]


@pytest.mark.parametrize("policy", ["refuse", "drop_newest"])
async def test_a_call_that_finds_no_room_is_told_so(policy, node):
    server, _ = await full(policy)
    with pytest.raises(MailboxFullError):
        await server.call("c")
    info = process_info(server)
    assert info is not None
    assert info.pending_calls == 0


@pytest.mark.parametrize("verb", [send, cast], ids=["send", "cast"])
async def test_the_newest_message_is_dropped(verb, node):
    """BM3."""
    server, gate = await full("drop_newest")
    verb(server, "c")
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "a", "b"]


@pytest.mark.parametrize("verb", [send, cast], ids=["send", "cast"])
async def test_the_oldest_message_is_dropped(verb, node):
    """BM3."""
    server, gate = await full("drop_oldest")
    verb(server, "c")
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "b", "c"]


async def test_a_call_that_is_dropped_as_the_oldest_is_told_so(node):
    server, _gate = await full("drop_oldest", capacity=1)
    refused = []

    async def caller():
        try:
            await server.call("c")
        except MailboxFullError as error:
            refused.append(error.message)

    spawn(caller)
    await wait_settled()
    server.send("d")
    await wait_settled()
    assert refused == ["c"]


async def test_a_blocked_call_waits_for_room_and_is_answered(node):
    """BM4."""
    server, gate = await full("block")
    replies = []

    async def caller(request):
        replies.append(await server.call(request))

    for request in "xyz":
        spawn(caller, request)
        await wait_settled()
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "a", "b", "x", "y", "z"]
    assert replies == ["x", "y", "z"]


async def test_asend_waits_for_room_in_order(node):
    server, gate = await full("block")
    done = []

    async def sender(message):
        await server.asend(message)
        done.append(message)

    for message in "xy":
        spawn(sender, message)
        await wait_settled()
    assert done == []
    gate.set()
    await wait_settled()
    assert done == ["x", "y"]
    assert got(server) == ["first", "a", "b", "x", "y"]


async def test_who_comes_later_does_not_overtake_who_waits():
    """BM4."""
    async with open_node():
        gate, taken = trio.Event(), []

        async def reader():
            await gate.wait()
            taken.extend([await receive() for _ in range(3)])

        pid = spawn(reader, mailbox=Bounded(1, "block"))
        pid.send("a")
        spawn(pid.asend, "b")
        await wait_settled()
        with pytest.raises(MailboxFullError):
            pid.send("c")
        gate.set()
        await pid.asend("d")
        await wait_settled()
        assert taken == ["a", "b", "d"]


async def test_a_blocked_call_that_runs_out_of_time_is_withdrawn(node, autojump_clock):
    """BM4."""
    server, gate = await full("block")
    with pytest.raises(CallTimeoutError):
        await server.call("c", timeout=1.0)
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "a", "b"]


async def test_a_sender_that_is_cancelled_takes_its_message_with_it(node, autojump_clock):
    server, gate = await full("block")
    with trio.move_on_after(1.0):
        await server.asend("c")
    gate.set()
    await wait_settled()
    assert got(server) == ["first", "a", "b"]


async def test_who_waits_for_room_hears_of_the_end(node):
    """BM5."""
    server, _ = await full("block")
    ended = []

    async def caller():
        try:
            await server.call("c")
        except ServerExitedError as error:
            ended.append(error.reason)

    async def sender():
        await server.asend("d")
        ended.append("sent")

    spawn(caller)
    spawn(sender)
    await wait_settled()
    exit(server, "bye")
    await wait_settled()
    assert sorted(map(str, ended)) == ["bye", "sent"]


async def test_selective_receive_makes_room(node):
    taken = []

    async def reader():
        taken.append(await receive(int))
        taken.append(await receive(str))
        taken.append(await receive())

    pid = spawn(reader, mailbox=Bounded(2, "block"))
    pid.send("a")
    await wait_settled()
    pid.send(1)
    with trio.fail_after(1):
        await pid.asend("b")
    await assert_down(pid)
    assert taken == [1, "a", "b"]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
async def test_what_the_runtime_promised_to_deliver_always_comes(policy, node):
    """BM2."""
    got: list[Any] = []
    gate = trio.Event()
    friend = spawn(trio.sleep_forever)

    async def reader():
        trap_exit()
        friend.link()
        ref = friend.monitor()
        await gate.wait()
        got.extend([await receive(Exit), await receive(ref)])

    pid = spawn(reader, mailbox=Bounded(1, policy))
    await wait_settled()
    pid.send("a")
    exit(friend, KILL)
    gate.set()
    await assert_down(pid)
    assert [type(message).__name__ for message in got] == ["Exit", "Down"]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
async def test_a_full_server_can_be_stopped(policy, node):
    server, gate = await full(policy)
    gate.set()
    await server.stop()


@pytest.mark.parametrize("policy", POLICIES, ids=str)
async def test_a_lost_message_is_told(policy, node):
    told = []
    attach("h", "mailbox.overflow", lambda _event, measured, lost, _: told.append((measured, lost)))
    server, _ = await full(policy)
    with suppress(MailboxFullError):
        cast(server, "c")
    message = "a" if policy is Overflow.DROP_OLDEST else "c"
    assert told == [({"capacity": 2}, {"pid": server, "message": message, "policy": str(policy)})]


async def test_asend_to_an_unbounded_process_or_a_dead_one_does_not_wait():
    async with open_node():
        await self_pid().asend("a")
        assert await receive() == "a"
        dead = spawn(trio.lowlevel.checkpoint)
        await assert_down(dead)
        await dead.asend("b")


async def test_a_timer_that_finds_no_room_stops_no_other_timer(node, autojump_clock):
    server, gate = await full("refuse")
    with structlog.testing.capture_logs() as reports:
        send_interval(1.0, server, "tick")
        send_after(1.0, server, "late")
        await trio.sleep(2.5)
        gate.set()
        await trio.sleep(1.0)
    assert got(server) == ["first", "a", "b", "tick"]
    assert reports == []


async def test_those_who_gave_up_waiting_for_room_leave_nothing_behind(node, autojump_clock):
    """BM4: however many they are."""
    pid = await Slow.start(trio.Event(), mailbox=Bounded(1, overflow=Overflow.BLOCK))

    async def calls():
        with suppress(CallTimeoutError):
            await pid.call("x", timeout=1)

    async def sends():
        with trio.move_on_after(1):
            await pid.asend("x")

    for attempt in (calls, sends):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(attempt)
        for _ in range(100):
            await attempt()
        assert len(node.processes[pid].mailbox.blocked) < 220  # 100 waited together
    for _ in range(100):
        await calls()
    assert len(node.processes[pid].mailbox.blocked) < 20


@pytest.mark.parametrize("wrong", [1.5, float("nan"), "10", None], ids=repr)
def test_a_capacity_that_is_no_whole_number_is_refused(wrong):
    with pytest.raises(TypeError, match="a whole number of messages"):
        Bounded(wrong)
