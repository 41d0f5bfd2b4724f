"""The node's one deadline queue."""

import math
from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import GenServer, IdleTimeout, NoReply, ProcessExit, Timeout, receive, spawn
from actors.deadlines import Deadlines
from actors.testing import assert_down
from actors.waiter import Waiter
from tests.actors.helpers import Boom


class Entry(Waiter):
    """An entry that writes down when it expired."""

    def __init__(self, log, name):
        super().__init__()
        self.log = log
        self.name = name

    def expire(self):
        self.log.append((self.name, trio.current_time()))


@pytest.fixture
def interrupts() -> list[BaseException]:
    """The interrupts of which the queue has told its node."""
    return []


@pytest.fixture
async def deadlines(nursery, interrupts):
    queue = Deadlines(interrupts.append)
    nursery.start_soon(queue.run)
    return queue


async def test_entries_expire_at_their_deadline_and_are_forgotten(deadlines, autojump_clock):
    log: list[Any] = []
    deadlines.add(Entry(log, "a"), 2)
    deadlines.add(Entry(log, "b"), 1)
    assert len(deadlines) == 2
    await trio.sleep(5)
    assert log == [("b", pytest.approx(1)), ("a", pytest.approx(2))]
    assert len(deadlines) == 0


async def test_entries_of_one_length_expire_in_the_order_in_which_they_came(
    deadlines, autojump_clock
):
    log: list[Any] = []
    for name in range(5):
        deadlines.add(Entry(log, name), 1)
    await trio.sleep(1.5)
    assert [name for name, _ in log] == [0, 1, 2, 3, 4]


async def test_an_entry_that_is_answered_leaves_the_queue(deadlines, autojump_clock):
    log: list[Any] = []
    entry = Entry(log, "a")
    deadlines.add(entry, 1)
    entry.resolve("answer")
    assert len(deadlines) == 0
    await trio.sleep(2)
    assert log == []


async def test_more_lengths_than_there_are_queues_expire_all_the_same(deadlines, autojump_clock):
    log: list[Any] = []
    for length in range(100, 0, -1):
        deadlines.add(Entry(log, length), length)
    assert len(deadlines) == 100
    await trio.sleep(101)
    assert [(name, round(when)) for name, when in log] == [(n, n) for n in range(1, 101)]
    assert len(deadlines) == 0


async def test_an_entry_of_an_uncommon_length_can_leave_too(deadlines, autojump_clock):
    log: list[Any] = []
    entries = [Entry(log, length) for length in range(1, 101)]
    for entry in entries:
        deadlines.add(entry, entry.name)
    for entry in entries:
        entry.resolve(None)
    await trio.sleep(101)
    assert log == []
    assert len(deadlines) == 0


async def test_a_timer_calls_back_once(deadlines, autojump_clock):
    calls: list[Any] = []
    timer = deadlines.call_later(1, lambda: calls.append(trio.current_time()))
    assert timer.remaining() == pytest.approx(1)
    await trio.sleep(3)
    assert calls == [pytest.approx(1)]
    assert timer.remaining() is None
    assert timer.cancel() is None


async def test_a_cancelled_timer_does_not_call_and_says_what_was_left(deadlines, autojump_clock):
    calls: list[Any] = []
    timer = deadlines.call_later(2, lambda: calls.append(1))
    await trio.sleep(0.5)
    assert timer.cancel() == pytest.approx(1.5)
    assert timer.cancel() is None
    await trio.sleep(5)
    assert calls == []


async def test_nobody_wakes_up_for_timers_that_were_cancelled(deadlines, autojump_clock):
    """But for the one that was the earliest when it was."""
    timers = [deadlines.call_later(1 + n, lambda: None) for n in range(10)]
    await wait_all_tasks_blocked()
    for timer in timers:
        timer.cancel()
    await trio.sleep(1)
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
    assert len(deadlines) == 0


async def test_cancelled_timers_do_not_pile_up(deadlines):
    for _ in range(10_000):
        deadlines.call_later(1_000, lambda: None).cancel()
    assert len(deadlines) == 0
    assert len(deadlines._heap) < 200


async def test_a_timer_that_is_earlier_than_the_earliest_wakes_the_queue(deadlines, autojump_clock):
    calls: list[Any] = []
    deadlines.call_later(10, lambda: calls.append("late"))
    await trio.sleep(1)
    deadlines.call_later(1, lambda: calls.append("early"))
    await trio.sleep(2)
    assert calls == ["early"]


async def test_a_callback_may_set_the_next_timer(deadlines, autojump_clock):
    times: list[Any] = []

    def again():
        times.append(trio.current_time())
        if len(times) < 3:
            deadlines.call_later(1, again)

    deadlines.call_later(1, again)
    await trio.sleep(10)
    assert times == [pytest.approx(n) for n in (1, 2, 3)]


NO_SECONDS = [
    (math.nan, ValueError, "0 or more seconds; got nan"),
    (-1, ValueError, "0 or more seconds; got -1"),
    (-math.inf, ValueError, "0 or more seconds; got -inf"),
    ("soon", TypeError, "a number of seconds, or None for none; got 'soon'"),
    (None, TypeError, "a number of seconds"),
    (1j, TypeError, "a number of seconds"),
    (10**400, ValueError, "at most, or infinite"),
]


@pytest.mark.parametrize(("seconds", "error", "text"), NO_SECONDS, ids=repr)
async def test_a_length_that_is_none_is_refused_and_leaves_nothing_behind(
    seconds, error, text, deadlines, autojump_clock
):
    """K4: it is the failure of whoever asks, not of the task that keeps the deadlines."""
    entry = Entry([], "a")
    for _ in range(2):  # a refused length gets no queue of its own
        with pytest.raises(error, match=text):
            deadlines.add(entry, seconds)
    with pytest.raises(error, match=text):
        deadlines.call_later(seconds, lambda: None)
    assert entry.deadlines is None
    assert len(deadlines) == len(deadlines._fifos) == 0
    await trio.sleep(1)


@pytest.mark.parametrize(("deadline", "error"), [(math.nan, ValueError), ("soon", TypeError)])
async def test_a_time_that_is_none_is_refused(deadline, error, deadlines, autojump_clock):
    with pytest.raises(error, match="a time of Trio's clock"):
        deadlines.call_at(deadline, lambda: None)
    await trio.sleep(1)


async def test_an_infinite_length_never_passes(deadlines, autojump_clock):
    log: list[Any] = []
    deadlines.add(Entry(log, "a"), math.inf)
    deadlines.call_later(math.inf, lambda: log.append("b"))
    await trio.sleep(1_000_000)
    assert log == []


class Odd(BaseException):
    """Neither an Exception nor an exit."""


@pytest.mark.parametrize("error", [Boom(), ProcessExit("bye"), Odd()], ids=repr)
async def test_a_callback_that_raises_does_not_stop_the_others(error, deadlines, autojump_clock):
    def broken():
        raise error

    calls: list[Any] = []
    deadlines.call_later(1, broken)
    deadlines.call_later(1, lambda: calls.append("next"))
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(2)
    assert calls == ["next"]
    assert [log["event"] for log in logs] == ["deadline failed"]


class Obedient(GenServer):
    """Returns what it is cast."""

    async def handle_cast(self, message):
        return message


@pytest.mark.parametrize("wrong", [math.nan, "soon", -1], ids=repr)
async def test_a_receive_with_a_limit_that_is_none_fails_alone(wrong, node, autojump_clock):
    """K4."""
    reason = await assert_down(spawn(receive, int, wrong))
    assert isinstance(reason.exception, ValueError | TypeError)
    await trio.sleep(1)


@pytest.mark.parametrize("then", [Timeout, IdleTimeout])
@pytest.mark.parametrize("wrong", [math.nan, "soon"], ids=repr)
async def test_a_server_that_asks_for_a_limit_that_is_none_fails_alone(
    then, wrong, node, autojump_clock
):
    """K4."""
    server = await Obedient.start()
    server.cast(NoReply(then=then(wrong)))
    reason = await assert_down(server)
    assert isinstance(reason.exception, ValueError | TypeError)
    await trio.sleep(1)


async def test_an_entry_that_leaves_frees_its_place_however_many_lengths_there_are(deadlines):
    """An answered call is held no longer than it waits."""
    for number in range(100):  # most of them share no FIFO
        entry = Entry([], number)
        deadlines.add(entry, 3600 + number)
        entry.resolve("answered")
    assert len(deadlines) == 0
    assert len(deadlines._heap) < 100


async def test_what_expires_may_take_others_with_it_that_are_due(deadlines, autojump_clock):
    log: list[Any] = []

    class Takes(Entry):
        def expire(self):
            super().expire()
            other.resolve("taken")

    first, other = Takes(log, "a"), Entry(log, "b")
    deadlines.add(first, 1)
    deadlines.add(other, 1)
    await trio.sleep(2)
    assert log == [("a", pytest.approx(1))]
    assert len(deadlines) == 0


async def test_timers_that_begin_anew_at_once_let_the_others_run(deadlines, autojump_clock):
    """N5: a callback with a deadline that has passed is not called again in the same step."""
    calls: list[float] = []

    def again():
        calls.append(trio.current_time())
        if len(calls) < 10_000:
            deadlines.call_at(0, again)

    deadlines.call_later(0, again)
    await wait_all_tasks_blocked()
    before = len(calls)
    await trio.lowlevel.checkpoint()
    assert before < len(calls) + 1 <= before + 3 or before == 10_000


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_a_callback_that_exits_the_program_does_not_stop_the_others(
    error, deadlines, interrupts, autojump_clock
):
    """N3: the node is told, and ends in order."""

    def exits():
        raise error

    calls: list[Any] = []
    deadlines.call_later(1, exits)
    deadlines.call_later(1, lambda: calls.append("next"))
    await trio.sleep(2)
    assert calls == ["next"]
    assert interrupts == [error]
