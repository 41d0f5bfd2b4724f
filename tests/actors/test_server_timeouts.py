"""GenServer: timeouts and hibernation (semantics G13, P14)."""

from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    SHUTDOWN,
    TIMEOUT,
    Continue,
    GenServer,
    Hibernate,
    IdleTimeout,
    NoReply,
    Reply,
    Timeout,
    send,
)
from actors import introspection as sys
from tests.actors.servers import Scripted, start

# -- timeouts (G13) ------------------------------------------------------------------------------


async def test_an_idle_timeout_comes_when_nothing_has_arrived(node, autojump_clock):
    """G13."""
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2))))
    await trio.sleep(1.9)
    assert log[1:] == []
    await trio.sleep(0.2)
    assert log[1:] == [("info", TIMEOUT)]


async def test_any_message_cancels_an_idle_timeout(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(1)
    send(pid, "something")
    await trio.sleep(10)
    assert ("info", "idle") not in log


async def test_an_idle_timeout_comes_once(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(10)
    assert log.count(("info", "idle")) == 1


async def test_a_message_that_waits_already_wins_over_an_idle_timeout_of_zero(node):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(0, "idle"))))
    pid.cast("message")
    await pid.call("x")
    assert ("info", "idle") not in log


async def test_an_idle_timeout_of_zero_comes_at_once_if_nothing_waits(node):
    pid, log = await start()
    assert await pid.call(("return", Reply(1, then=IdleTimeout(0, "idle")))) == 1
    await wait_all_tasks_blocked()
    assert log[-1] == ("info", "idle")


async def test_a_system_message_restarts_an_idle_timeout(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(2, "idle"))))
    await trio.sleep(1.5)
    await sys.get_state(pid)
    await trio.sleep(1.5)
    assert ("info", "idle") not in log
    await trio.sleep(1)
    assert ("info", "idle") in log


@pytest.mark.parametrize("seconds", [0, 2])
async def test_a_system_message_that_waits_already_does_not_cancel_an_idle_timeout(
    node, autojump_clock, seconds
):
    """G13: OTP hands the limit on to the loop that follows the system message."""
    pid, log = await start()
    pid.cast(("return", NoReply(then=IdleTimeout(seconds, "idle"))))
    await sys.get_state(pid)  # it stands in the mailbox behind the cast
    await trio.sleep(10)
    assert log.count(("info", "idle")) == 1


async def test_a_timer_that_was_cancelled_in_the_mailbox_does_not_cancel_an_idle_timeout(
    node, autojump_clock
):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(1, "replaced"))))
    pid.cast(("sleep", 2))  # it fires meanwhile
    pid.cast(("return", NoReply(then=Timeout(None))))
    pid.cast(("return", NoReply(then=IdleTimeout(1, "idle"))))
    await trio.sleep(10)
    assert [message for kind, message in log if kind == "info"] == ["idle"]


@pytest.mark.parametrize("wrong", ["5", -1, float("nan")], ids=repr)
@pytest.mark.parametrize("action", [Timeout, IdleTimeout])
async def test_seconds_that_are_none_end_the_server_with_an_error_that_says_so(node, action, wrong):
    pid, _ = await start()
    pid.cast(("return", NoReply(then=action(wrong))))
    with structlog.testing.capture_logs():
        reason = await pid.wait_exited()
    assert "a time limit is" in str(reason.exception)


async def test_a_timer_comes_whatever_arrives_meanwhile(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(2, "timer"))))
    await trio.sleep(1)
    send(pid, "something")
    await sys.get_state(pid)
    await trio.sleep(1.1)
    assert log[-1] == ("info", "timer")


async def test_a_timer_of_zero_comes_before_the_mailbox(node):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(0, "timer"))))
    pid.cast("message")
    await pid.call("x")
    assert log[1:] == [("info", "timer"), ("cast", "message"), ("call", "x")]


async def test_a_later_timer_replaces_the_earlier_and_none_cancels(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(1, "first"))))
    pid.cast(("return", NoReply(then=Timeout(2, "second"))))
    await trio.sleep(5)
    assert [message for _, message in log[2:]] == ["second"]
    pid.cast(("return", NoReply(then=Timeout(1, "third"))))
    pid.cast(("return", NoReply(then=Timeout(None))))
    await trio.sleep(5)
    assert ("info", "third") not in log


async def test_a_timer_that_fired_into_the_mailbox_can_still_be_replaced(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(1, "first"))))
    pid.cast(("sleep", 0.5))
    pid.cast("noted")
    await trio.sleep(0.25)

    class Late(Scripted):
        async def handle_cast(self, message):
            await trio.sleep(2)  # meanwhile the timer fires into the mailbox
            return NoReply(then=Timeout(1, "second"))

    late_log: list[Any] = []
    late = await Late.start(late_log, Timeout(1, "first"))
    late.cast("x")
    await trio.sleep(5)
    assert late_log == [("info", "second")]
    assert ("info", "first") in log


async def test_the_message_of_a_timeout_may_be_anything(node, autojump_clock):
    pid, log = await start()
    pid.cast(("return", NoReply(then=Timeout(0, None))))
    pid.cast(("return", NoReply(then=Timeout(1, None))))
    await trio.sleep(2)
    assert log.count(("info", None)) == 2


async def test_timers_of_a_server_end_with_it(node):
    pid, _ = await start()
    pid.cast(("return", NoReply(then=Timeout(5))))
    pid.cast(("return", NoReply(then=IdleTimeout(5))))
    await pid.stop()
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize("action", [Timeout(1, "t"), IdleTimeout(1, "t")])
async def test_init_may_set_a_timeout(node, autojump_clock, action):
    log: list[Any] = []
    await Scripted.start(log, action)
    await trio.sleep(2)
    assert log == [("info", "t")]


# -- hibernate (P14) -----------------------------------------------------------------------------


class Sleeper(Scripted):
    """Counts how often it hibernates."""

    naps = 0

    def hibernate(self):
        self.naps += 1


async def test_hibernate_calls_the_hook_and_a_message_wakes(node):
    """P14."""
    pid = await Sleeper.start([], Hibernate())
    assert await pid.call(("return", Reply(1, then=Hibernate()))) == 1
    pid.cast(("return", NoReply(then=Hibernate())))
    send(pid, ("return", NoReply(then=Hibernate())))
    assert await pid.call("awake?") is None
    assert (await sys.get_state(pid))["naps"] == 4


async def test_a_server_that_is_idle_for_long_enough_hibernates_once(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 2.0

    pid = await Napping.start()
    await trio.sleep(1.5)
    await pid.call("awake")
    await trio.sleep(1.5)
    assert node.processes[pid].server.naps == 0
    await trio.sleep(10)
    assert node.processes[pid].server.naps == 1
    for act in (pid.call("x"), pid.call("y")):
        await act
    pid.cast("x")
    pid.cast(("return", NoReply(then=Continue("y"))))
    await trio.sleep(3)
    assert node.processes[pid].server.naps == 2


async def test_a_server_that_hibernates_by_itself_still_has_its_idle_timeout(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 1.0

    log: list[Any] = []
    await Napping.start(log, IdleTimeout(3, "idle"))
    await trio.sleep(10)
    assert log == [("info", "idle")]


async def test_an_idle_timeout_that_is_shorter_than_the_hibernation_comes_first(
    node, autojump_clock
):
    class Napping(Sleeper):
        hibernate_after = 3.0

    log: list[Any] = []
    pid = await Napping.start(log, IdleTimeout(1, "idle"))
    await trio.sleep(2)
    assert log == [("info", "idle")]
    assert node.processes[pid].server.naps == 0


async def test_both_at_the_same_time_lose_neither(node, autojump_clock):
    class Napping(Sleeper):
        hibernate_after = 1.0

    log: list[Any] = []
    await Napping.start(log, IdleTimeout(1, "idle"))
    await trio.sleep(5)
    assert log == [("info", "idle")]


# -- what is left --------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Timeout, IdleTimeout])
@pytest.mark.parametrize("reason", [SHUTDOWN, KILL])
async def test_a_server_that_is_ended_by_a_signal_leaves_no_timer(node, action, reason):
    """TM1."""

    class Waits(GenServer):
        def init(self):
            return action(86_400)

    pid = await Waits.start()
    await wait_all_tasks_blocked()
    pid.exit(reason)
    await pid.wait_exited()
    assert node.statistics().deadlines == 0


async def test_a_server_that_hibernates_again_and_again_leaves_no_timers_of_its_naps(
    node, autojump_clock
):
    class Naps(Scripted):
        hibernate_after = 1.0

    pid = await Naps.start()
    for number in range(5):
        pid.cast(("return", NoReply(then=IdleTimeout(0.5, number))))
        await trio.sleep(3)
    assert node.processes[pid].timers == set()
