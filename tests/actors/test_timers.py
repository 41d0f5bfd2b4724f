"""Timers of processes (semantics TM)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    KILL,
    Pid,
    ReceiveTimeoutError,
    TimerExpired,
    Via,
    cancel_timer,
    exit,
    read_timer,
    receive,
    register,
    self_pid,
    send_after,
    send_interval,
    spawn,
    spawn_link,
    start_timer,
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


async def test_a_destination_of_the_wrong_kind_is_refused_at_once(node):
    with pytest.raises(TypeError, match="Pid, a name"):
        send_after(1, 42, "x")  # type: ignore[arg-type]  # on purpose


async def test_a_timer_shows_where_it_sends_and_what_is_left(node):
    timer = send_after(5, "somebody", "x")
    assert "somebody" in repr(timer)
    timer.cancel()
    assert "over" in repr(timer)
