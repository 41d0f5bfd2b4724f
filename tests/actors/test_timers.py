"""Timers of processes (semantics TM)."""

from typing import Any

import pytest
import structlog
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors import (
    KILL,
    KILLED,
    NORMAL,
    TIMEOUT,
    Exit,
    Pid,
    ReceiveTimeoutError,
    TimerExpired,
    Via,
    apply_after,
    apply_interval,
    cancel_timer,
    exit,
    exit_after,
    kill_after,
    read_timer,
    receive,
    register,
    run,
    self_pid,
    send_after,
    send_interval,
    spawn,
    spawn_link,
    start_timer,
    trap_exit,
    unregister,
)
from tests.actors.helpers import Boom, exit_with, forever


async def test_send_after_sends_when_the_time_has_passed(node, autojump_clock):
    send_after(2, self_pid(), "now")
    assert await receive() == "now"
    assert trio.current_time() == pytest.approx(2)


async def test_start_timer_says_which_timer_it_was(node, autojump_clock):
    first = start_timer(2, self_pid(), "a")
    second = start_timer(1, self_pid(), "b")
    assert await receive(first) == TimerExpired(first, "a")
    assert await receive() == TimerExpired(second, "b")


async def test_cancel_says_the_seconds_that_were_left_and_nothing_comes(node, autojump_clock):
    timer = send_after(3, self_pid(), "x")
    await trio.sleep(1)
    assert read_timer(timer) == pytest.approx(2)
    assert cancel_timer(timer) == pytest.approx(2)
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=5)


async def test_cancelling_a_timer_that_is_over_gives_none_and_leaves_its_message(
    node, autojump_clock
):
    timer = send_after(1, self_pid(), "x")
    await trio.sleep(2)
    assert read_timer(timer) is None
    assert cancel_timer(timer) is None
    assert await receive(timeout=0) == "x"


async def test_a_name_is_looked_up_when_the_time_has_passed(node, autojump_clock):
    register("target", spawn(forever))
    send_after(1, "target", "x")
    unregister("target")
    register("target", self_pid())
    assert await receive(timeout=2) == "x"


async def test_a_name_that_nobody_has_then_is_no_error(node, autojump_clock):
    send_after(1, "nobody", "x")
    send_after(2, self_pid(), "still running")
    assert await receive() == "still running"


async def test_a_registry_that_raises_does_not_stop_the_other_timers(node, autojump_clock):
    class Broken:
        def register_name(self, key, pid):
            return True

        def unregister_name(self, key):
            pass

        def whereis_name(self, key) -> Pid | None:
            if trio.current_time() > 0.5:
                raise Boom
            return None

    send_after(1, Via(Broken(), "x"), "x")
    send_after(2, self_pid(), "still running")
    with structlog.testing.capture_logs() as logs:
        assert await receive() == "still running"
    assert [log["event"] for log in logs] == ["timer failed"]


async def test_a_timer_ends_with_the_process_to_which_it_sends(node, autojump_clock):
    pid = spawn(forever)
    timer = send_after(5, pid, "x")
    exit(pid, KILL)
    await pid.wait_exited()
    assert cancel_timer(timer) is None
    assert node.statistics().deadlines == 0


async def test_a_timer_to_the_dead_is_over_before_it_begins(node):
    pid = spawn(exit_with, "x")
    await pid.wait_exited()
    assert read_timer(send_after(5, pid, "x")) is None


async def test_a_timer_outlives_the_process_that_began_it(node, autojump_clock):
    async def begins(target):
        send_after(1, target, "x")

    await spawn(begins, self_pid()).wait_exited()
    assert await receive(timeout=2) == "x"


async def test_an_interval_beats_without_drift_until_it_is_cancelled(node, autojump_clock):
    timer = send_interval(0.1, self_pid(), "beat")
    times: list[Any] = []
    for _ in range(5):
        await receive()
        times.append(trio.current_time())
        await trio.sleep(0.03)
    assert times == [pytest.approx(0.1 * n) for n in range(1, 6)]
    assert cancel_timer(timer) is not None
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=1)


@given(began=st.floats(0, 1e6), seconds=st.floats(0.001, 100))
def test_an_interval_beats_once_in_each_period_wherever_the_clock_stands(began, seconds):
    """TM3: also where the division by the period rounds down."""

    async def main():
        await trio.sleep_until(began)
        send_interval(seconds, self_pid(), "beat")
        for number in range(1, 8):
            await receive()
            assert trio.current_time() == pytest.approx(began + number * seconds)
            with pytest.raises(ReceiveTimeoutError):
                await receive(timeout=0)

    clock = trio.testing.MockClock(autojump_threshold=0)
    run(main, clock=clock)


async def test_an_interval_leaves_out_the_beats_that_were_missed(node, mock_clock):
    send_interval(1, self_pid(), "beat")
    mock_clock.jump(3.5)
    await receive()
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
    mock_clock.jump(0.5)
    await receive()


async def test_an_interval_ends_with_the_process_that_began_it(node, autojump_clock):
    async def begins(target):
        send_interval(1, target, "beat")
        await trio.sleep(2.5)

    spawn(begins, self_pid())
    await trio.sleep(10)
    assert [await receive(timeout=0) for _ in range(2)] == ["beat", "beat"]
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_an_interval_ends_with_the_process_to_which_it_sends(node, autojump_clock):
    pid = spawn_link(forever)
    send_interval(1, pid, "beat")
    pid.unlink()
    exit(pid, KILL)
    await pid.wait_exited()
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize("seconds", [-1, float("nan")])
async def test_a_time_that_is_not_legal_is_refused(node, seconds):
    with pytest.raises(ValueError, match="0 or more seconds"):
        send_after(seconds, self_pid(), "x")
    with pytest.raises(ValueError, match="longer than 0"):
        send_interval(seconds, self_pid(), "x")


@pytest.mark.parametrize("begin", [send_after, start_timer, send_interval])
async def test_a_time_that_is_no_number_is_refused(node, begin):
    with pytest.raises(TypeError, match="a number of seconds"):
        begin("5", self_pid(), "x")


# -- absolute times (TM1) ------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [send_after, start_timer])
async def test_a_timer_may_be_given_a_time_of_the_clock(begin, node, autojump_clock):
    """TM1."""
    await trio.sleep(5)
    timer = begin(7.0, self_pid(), "x", absolute=True)
    assert read_timer(timer) == pytest.approx(2)
    await receive()
    assert trio.current_time() == pytest.approx(7)


async def test_a_time_of_the_clock_that_has_passed_is_due_at_once(node, autojump_clock):
    """TM1."""
    await trio.sleep(5)
    send_after(-1.0, self_pid(), "x", absolute=True)
    assert await receive() == "x"
    assert trio.current_time() == pytest.approx(5)


@pytest.mark.parametrize("wrong", [float("nan"), "noon"], ids=repr)
async def test_a_time_of_the_clock_that_is_none_is_refused(wrong, node):
    """TM1."""
    with pytest.raises((ValueError, TypeError)):
        send_after(wrong, self_pid(), "x", absolute=True)
    assert node.statistics().deadlines == 0


# -- exit signals and functions (TM3) ------------------------------------------------------------


async def test_an_exit_signal_comes_later_in_the_name_of_who_began_the_timer(node, autojump_clock):
    """TM3, P10."""
    got: list[Any] = []

    async def trapping():
        trap_exit()
        got.append(await receive())

    plain, careful = spawn(forever), spawn(trapping)
    exit_after(2, plain, "time is up")
    exit_after(1, careful, "time is up")
    await trio.sleep(1.5)
    assert got == [Exit(self_pid(), "time is up")]
    assert plain.is_alive()
    assert await plain.wait_exited() == "time is up"
    assert trio.current_time() == pytest.approx(2)


async def test_a_kill_later_cannot_be_trapped(node, autojump_clock):
    """TM3, P10."""

    async def trapping():
        trap_exit()
        await forever()

    pid = spawn(trapping)
    kill_after(1, pid)
    assert await pid.wait_exited() is KILLED
    assert trio.current_time() == pytest.approx(1)


async def test_a_process_may_limit_its_own_time(node, autojump_clock):
    """TM3: and take the limit back."""

    async def work(seconds):
        timer = exit_after(5, self_pid(), TIMEOUT)
        await trio.sleep(seconds)
        cancel_timer(timer)
        await trio.sleep(10)

    quick, slow = spawn(work, 1), spawn(work, 100)
    assert await slow.wait_exited() is TIMEOUT
    assert await quick.wait_exited() is NORMAL


async def test_an_exit_signal_to_a_name_goes_to_who_has_it_then(node, autojump_clock):
    """TM1, TM3."""
    before, after = spawn(forever), spawn(forever)
    register("target", before)
    kill_after(1, "target")
    kill_after(1, "nobody")
    unregister("target")
    register("target", after)
    await after.wait_exited()
    assert before.is_alive()


async def test_a_function_runs_later_in_a_process_of_its_own(node, autojump_clock):
    """TM3."""
    ran: list[Any] = []

    async def work(*args):
        ran.append((self_pid(), trio.current_time(), args))
        raise Boom

    register("starter", self_pid())
    timer = apply_after(2, work, "a", 1)
    assert "work" in repr(timer)
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(3)
    [(pid, when, args)] = ran
    assert pid is not self_pid()
    assert (when, args) == (pytest.approx(2), ("a", 1))
    assert [(log["event"], log["ancestors"]) for log in logs] == [("process exited", ["starter"])]
    assert read_timer(timer) is None


async def test_a_function_that_was_called_off_does_not_run(node, autojump_clock):
    """TM3, TM2."""
    ran: list[Any] = []

    async def work():
        ran.append(1)

    assert cancel_timer(apply_after(2, work)) == pytest.approx(2)
    await trio.sleep(3)
    assert ran == []


async def test_a_function_runs_although_the_process_that_asked_for_it_has_ended(
    node, autojump_clock
):
    """TM3."""
    ran: list[Any] = []

    async def work():
        ran.append(1)

    async def asks():
        apply_after(1, work)

    await spawn(asks).wait_exited()
    await trio.sleep(2)
    assert ran == [1]


async def test_a_function_runs_at_each_beat_until_the_process_ends_that_asked(node, autojump_clock):
    """TM3: runs may overlap."""
    times: list[Any] = []

    async def work():
        times.append(trio.current_time())
        await trio.sleep(2)

    async def asks():
        apply_interval(1, work)
        await trio.sleep(3.5)

    spawn(asks)
    await trio.sleep(10)
    assert times == [pytest.approx(n) for n in (1, 2, 3)]
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize("begin", [apply_after, apply_interval])
async def test_what_cannot_be_run_later_is_refused_at_once(begin, node):
    """TM3."""
    with pytest.raises(TypeError, match="a function that can be awaited"):
        begin(1, "no function")
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            begin(wrong, forever)
    assert node.statistics().deadlines == 0


async def test_exit_signals_refuse_what_other_timers_refuse(node):
    """TM3."""
    with pytest.raises(TypeError, match="Pid, a name"):
        exit_after(1, 42, "x")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="0 or more seconds"):
        kill_after(-1, self_pid())


async def test_a_destination_of_the_wrong_kind_is_refused_at_once(node):
    with pytest.raises(TypeError, match="Pid, a name"):
        send_after(1, 42, "x")  # type: ignore[arg-type]  # on purpose


async def test_a_timer_shows_where_it_sends_and_what_is_left(node):
    timer = send_after(5, "somebody", "x")
    assert "somebody" in repr(timer)
    timer.cancel()
    assert "over" in repr(timer)
