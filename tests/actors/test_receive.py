"""Selective receive (semantics P4)."""

import time
from typing import Any

import pytest
import trio

from actors import (
    Down,
    ReceiveTimeoutError,
    exit,
    monitor,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
)
from actors.selective import SelectiveQueue
from tests.actors.helpers import exit_when_told, forever, info_of


def send_all(*messages):
    for message in messages:
        send(self_pid(), message)


async def rest():
    return [await receive() for _ in range(queued())]


def queued():

    return info_of(self_pid()).message_queue_len


async def test_receive_takes_the_oldest_message(node):
    send_all(1, 2)
    assert await receive() == 1
    assert await receive() == 2


async def test_receive_waits_for_a_message(node, autojump_clock):
    async def later(pid):
        await trio.sleep(3)
        send(pid, "late")

    spawn(later, self_pid())
    assert await receive() == "late"
    assert trio.current_time() >= 3


async def test_a_type_takes_the_oldest_of_that_type_and_leaves_the_others_in_order(node):
    send_all("a", 1, "b", 2)
    assert await receive(int) == 1
    assert await rest() == ["a", "b", 2]


async def test_several_types_match_any_of_them(node):
    send_all("a", 1, 2.0)
    assert await receive((int, float)) == 1
    assert await receive((int, float)) == 2.0


async def test_a_predicate_takes_the_oldest_for_which_it_is_true(node):
    send_all(1, 5, 3)
    assert await receive(lambda message: message > 2) == 5
    assert await rest() == [1, 3]


async def test_a_monitor_ref_takes_its_down_and_no_other(node):
    _, first = spawn_monitor(exit_when_told)
    pid, second = spawn_monitor(exit_when_told)
    first.object.send("x")
    pid.send("y")
    assert (await receive(second)).reason == "y"
    assert (await receive(Down)).reason == "x"


async def test_a_timeout_raises_and_leaves_everything(node, autojump_clock):
    send_all("a")
    with pytest.raises(ReceiveTimeoutError, match="int"):
        await receive(int, 2)
    assert trio.current_time() == pytest.approx(2)
    assert await rest() == ["a"]


async def test_timeout_zero_looks_once(node):
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
    send_all(1)
    assert await receive(timeout=0) == 1


async def test_a_timeout_that_was_not_needed_leaves_no_deadline(node, autojump_clock):
    send_all(1)
    await receive(timeout=100)
    assert node.statistics().deadlines == 0


async def test_messages_that_do_not_match_do_not_extend_the_timeout(node, autojump_clock):
    async def chatter(pid):
        while True:
            await trio.sleep(1)
            send(pid, "noise")

    spawn_link(chatter, self_pid())
    with pytest.raises(ReceiveTimeoutError):
        await receive(int, 3.5)
    assert trio.current_time() == pytest.approx(3.5)


async def test_a_receive_that_is_cancelled_loses_nothing(node, autojump_clock):
    with trio.move_on_after(1):
        await receive(int)
    send_all("a", 1)
    assert await receive(int) == 1
    assert await rest() == ["a"]


async def test_what_was_skipped_is_found_by_another_matcher(node):
    send_all("a", 1, "b")
    assert await receive(int) == 1
    assert await receive(str) == "a"
    assert await receive(str) == "b"


async def test_what_a_matcher_did_not_find_it_finds_when_it_arrives(node):
    send_all("a")
    for number in range(3):
        with pytest.raises(ReceiveTimeoutError):
            await receive(int, 0)
        send_all(number)
        assert await receive(int, 0) == number


async def test_a_predicate_whose_defaults_differ_each_time_misses_nothing(node):
    """P4: a function with defaults is as good as a closure."""

    def matcher(wanted):
        def by_keyword(message, *, want=wanted):
            return message == want

        def by_position(message, want=wanted):
            return message == want

        return by_keyword if wanted % 2 else by_position

    send_all(*range(6))
    for wanted in (5, 4, 3, 2, 1, 0):
        assert await receive(matcher(wanted), 0) == wanted


async def test_a_closure_may_change_its_mind(node):
    wanted = 1

    def is_wanted(message):
        return message == wanted

    send_all(0, 2, 1)
    assert await receive(is_wanted) == 1
    wanted = 2
    assert await receive(is_wanted) == 2
    assert await rest() == [0]


async def test_a_predicate_that_raises_takes_nothing(node):
    send_all("a", "b")
    with pytest.raises(TypeError):
        await receive(lambda message: message < 1)
    assert await rest() == ["a", "b"]


async def test_only_the_own_task_may_receive(node):
    caught: list[Any] = []

    async def process():
        async def helper():
            try:
                await receive()
            except RuntimeError as error:
                caught.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper)

    await spawn(process).wait_exited()
    assert "own task" in caught[0]


async def test_a_matcher_of_the_wrong_kind_says_what_is_legal(node):
    with pytest.raises(TypeError, match="a type, a tuple of types, a MonitorRef or a predicate"):
        await receive(3)  # type: ignore[arg-type]  # on purpose


async def test_a_plain_process_that_receives_can_be_stopped(node):
    async def server():
        await receive(int)

    pid = spawn(server)
    register("plain", pid)
    await pid.stop("enough")
    assert not pid.is_alive()


# -- the cost does not grow with what is skipped -------------------------------------------------


async def test_a_receive_by_type_looks_once_at_each_skipped_message(node):
    looks = 0

    class Counting(type):
        def __instancecheck__(cls, message):
            nonlocal looks
            looks += 1
            return type.__instancecheck__(cls, message)

    class Wanted(metaclass=Counting):
        pass

    send_all(*["skipped"] * 100_000)
    for _ in range(50):
        send_all(Wanted())
        await receive(Wanted)
    assert looks < 100_000 + 50 * 3


async def test_a_receive_by_predicate_looks_once_at_each_skipped_message(node):
    looked_at.clear()
    send_all(*["skipped"] * 100_000)
    for number in range(50):
        send_all(number)
        assert await receive(is_number) == number
    assert len(looked_at) < 100_000 + 50 * 3


looked_at: list[Any] = []


def is_number(message: Any) -> bool:
    looked_at.append(message)
    return isinstance(message, int)


async def test_lambdas_of_the_same_code_share_what_they_have_seen(node):
    looked_at.clear()
    send_all(*["skipped"] * 1_000)
    for _ in range(50):
        send_all(1)
        assert await receive(lambda message: is_number(message) and message > 0) == 1
    assert len(looked_at) < 1_000 + 50 * 3


async def test_a_receive_of_a_fresh_monitor_skips_everything_older(node):
    async def seconds_per_monitor():
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(100):
                await receive(monitor("nobody"))
            best = min(best, time.perf_counter() - began)
        return best / 100

    send_all("skipped")
    with pytest.raises(ReceiveTimeoutError):
        await receive(int, 0)
    before = await seconds_per_monitor()
    send_all(*["skipped"] * 100_000)
    with pytest.raises(ReceiveTimeoutError):
        await receive(int, 0)
    assert await seconds_per_monitor() < 10 * before  # without the mark: 1,000 times


async def test_an_emptied_mailbox_is_a_plain_queue_again(node):
    send_all("a", 1)
    await receive(int)
    assert isinstance(node.processes[self_pid()].mailbox.queue, SelectiveQueue)
    await receive(str)
    spawn(forever)
    with trio.move_on_after(0):
        await receive()
    assert node.processes[self_pid()].mailbox.queue is None


# -- fairness ------------------------------------------------------------------------------------


async def test_a_process_that_finds_its_messages_waiting_lets_others_run(node):
    """N5."""
    turns: list[int] = []

    async def bystander():
        while True:
            await trio.lowlevel.checkpoint()
            turns.append(queued())

    spawn(bystander)
    send_all(*range(10_000))
    for _ in range(10_000):
        await receive()
    assert len(turns) > 100


async def test_a_process_that_always_finds_a_message_can_be_ended(node):
    """N5."""

    async def never_idle():
        while True:
            send(self_pid(), "again")
            await receive()

    pid, ref = spawn_monitor(never_idle)
    await trio.lowlevel.checkpoint()
    exit(pid, "enough")
    assert (await receive(ref)).reason == "enough"


async def test_two_tasks_of_a_body_cannot_wait_for_messages_at_the_same_time(node, autojump_clock):
    """The body of a node has no task of its own, so several may ask; none waits for ever."""
    got: list[Any] = []

    async def first():
        got.append(await receive(timeout=5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(1)
        with pytest.raises(RuntimeError, match="waits for a message of this process already"):
            await receive(timeout=5)
        send(self_pid(), "x")
    assert got == ["x"]


async def test_equal_predicates_of_two_modules_do_not_share_what_they_have_seen(node):
    """Their code objects are equal, but what a name means differs."""
    text = "matches = lambda message: isinstance(message, wanted)"
    one: dict[str, Any] = {"wanted": int}
    other: dict[str, Any] = {"wanted": str}
    exec(text, one)  # stands for two modules
    exec(text, other)  # as above
    assert one["matches"].__code__ == other["matches"].__code__
    send(self_pid(), "text")
    with pytest.raises(ReceiveTimeoutError):
        await receive(one["matches"], timeout=0)
    assert await receive(other["matches"], timeout=0) == "text"
