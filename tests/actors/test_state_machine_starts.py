"""Starting and stopping machines as any server (semantics SM1, PL1 to PL5, G1, G5; BM)."""

import gc
import math

import pytest
import structlog
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    TIMEOUT,
    AlreadyStartedError,
    BadReturn,
    Bounded,
    CallEvent,
    Crash,
    Down,
    Exit,
    Ignore,
    KeepState,
    MailboxFullError,
    NextState,
    Overflow,
    ReceiveTimeoutError,
    ReplyTo,
    StartError,
    StartIgnoredError,
    StateMachine,
    Stop,
    open_node,
    receive,
    self_pid,
    spawn,
    trap_exit,
)
from actors.testing import assert_down, wait_settled
from tests.actors.helpers import Boom
from tests.actors.machines import MODES, Starting, use

BOOM = Boom("in init")
FAILURES = {  # what `init` does: the reason of the StartError, or the error itself
    "stop": (("return", Stop("no")), "no"),
    "refuse": (("raise", StartError("refused")), "refused"),
    "ignore": (("return", Ignore()), StartIgnoredError),
    "junk": (("return", "junk"), BadReturn("junk", "init")),
    "crash": (("raise", BOOM), Crash(BOOM)),
    "slow": (("sleep", 100), TIMEOUT),
}
each_failure = pytest.mark.parametrize(("does", "reason"), FAILURES.values(), ids=FAILURES.keys())


async def nothing_came():
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


def is_expected(error, reason):
    return type(error) is reason or (type(error) is StartError and error.reason == reason)


# -- start_monitor -------------------------------------------------------------------------------


@MODES
async def test_start_monitor_gives_the_pid_and_a_monitor(door, node):
    """G1, SM1."""
    pid, ref = await door.start_monitor("1234", name="door")
    await use("door")
    pid.exit(KILL)
    assert await receive(ref) == Down(ref, pid, KILLED)
    await nothing_came()


@each_failure
async def test_a_monitored_start_that_fails_leaves_no_down(does, reason, node, autojump_clock):
    """G1, PL2."""
    with pytest.raises(StartError) as failed:
        await Starting.start_monitor(*does, timeout=1)
    assert is_expected(failed.value, reason)
    await nothing_came()


async def test_a_monitored_start_under_a_taken_name_is_told_with_its_holder(node):
    """G1, G3."""
    holder, _ = await Starting.start_monitor("go", name="x")
    with pytest.raises(AlreadyStartedError) as failed:
        await Starting.start_monitor("go", name="x")
    assert failed.value.pid is holder


# -- failing starts (gen_statem_SUITE loop_start_fail) -------------------------------------------


@each_failure
@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_the_same_failure_five_times_leaks_nothing(verb, does, reason, autojump_clock):
    """PL2, G5."""
    async with open_node() as node:
        trap_exit()
        with structlog.testing.capture_logs():
            for _ in range(5):
                with pytest.raises(StartError) as failed:
                    await getattr(Starting, verb)(*does, name="x", timeout=1)
                assert is_expected(failed.value, reason)
                await nothing_came()
        statistics = node.statistics()
        assert (statistics.processes, statistics.names, statistics.deadlines) == (1, 0, 0)
        assert not node.main.links
        assert not node.main.monitors


@each_failure
async def test_what_a_failed_start_does_to_a_linked_starter(does, reason, node, autojump_clock):
    """G5: the table holds for machines too."""

    async def starter():
        with pytest.raises(StartError):
            await Starting.start_link(*does, timeout=1)
        await trio.lowlevel.checkpoint()

    with structlog.testing.capture_logs():
        ended = await spawn(starter).wait_exited()
    dies = reason in ("no", Crash(BOOM)) or isinstance(reason, BadReturn)
    assert ended == (reason if dies else NORMAL)


# -- options -------------------------------------------------------------------------------------


class Gated(StateMachine):
    """Answers when its gate is open."""

    async def init(self, gate):
        self.gate = gate
        return NextState("only")

    async def handle_event(self, event, state):
        await self.gate.wait()
        match event:
            case CallEvent(request, sender):
                return KeepState(ReplyTo(sender, request))


@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_the_mailbox_of_a_machine_can_be_bounded(verb, node):
    """SM1, BM1, BM3."""
    gate = trio.Event()
    started = await getattr(Gated, verb)(gate, mailbox=Bounded(1, Overflow.REFUSE))
    pid = started[0] if verb == "start_monitor" else started
    pid.cast("taken")
    await wait_settled()
    pid.cast("waiting")
    with pytest.raises(MailboxFullError):
        pid.cast("refused")
    gate.set()
    await wait_settled()
    assert await pid.call("room again") == "room again"


async def test_a_machine_under_a_supervisor_may_have_a_bounded_mailbox(node):
    """SM1: options of the start go through `child_spec`."""
    function, args, kwargs = Gated.child_spec(trio.Event(), mailbox=Bounded(1))["start"]
    pid = await function(*args, **kwargs)
    pid.cast("taken")
    await wait_settled()
    pid.cast("waiting")
    with pytest.raises(MailboxFullError):
        pid.cast("refused")


# -- a plain init --------------------------------------------------------------------------------


class Plain(StateMachine):
    """Its `init` is a plain function."""

    def init(self, does, value=None):
        self.began_as = self_pid()
        match does:
            case "return":
                return value
            case "raise":
                raise value
        return NextState("started")

    async def handle_event(self, event, state):
        match event:
            case CallEvent("who", sender):
                return KeepState(ReplyTo(sender, (self.began_as, state)))


async def test_a_plain_init_runs_as_the_machine_in_the_step_of_the_start(node):
    """PL1."""
    pid = await Plain.start("go")
    assert await pid.call("who") == (pid, "started")


@pytest.mark.parametrize(
    ("does", "reason"),
    [row for name, row in FAILURES.items() if name != "slow"],
    ids=[name for name in FAILURES if name != "slow"],
)
async def test_a_plain_init_may_fail_in_every_way(does, reason, node):
    """PL1, G5."""
    with structlog.testing.capture_logs(), pytest.raises(StartError) as failed:
        await Plain.start(*does, name="x")
    assert is_expected(failed.value, reason)
    assert (node.statistics().processes, node.statistics().names) == (1, 0)


# -- stopping ------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("timeout", ["soon", object(), -5, math.nan])
async def test_a_stop_with_a_timeout_that_is_none_raises_and_harms_nobody(door, timeout, node):
    """PL5, G22; gen_statem_SUITE stop3."""
    pid = await door.start()
    for stop in (pid.stop, lambda **options: StateMachine.stop(pid, **options)):
        with pytest.raises((TypeError, ValueError)):
            await stop(timeout=timeout)
    with pytest.raises((TypeError, ValueError)):
        await StateMachine.call(pid, "state", timeout)
    await use(pid)
    await pid.stop()


@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_a_start_with_a_timeout_that_is_none_starts_nothing(verb, node):
    """PL3."""
    for wrong in ("soon", -1, math.nan):
        with pytest.raises((TypeError, ValueError)):
            await getattr(Starting, verb)("go", name="x", timeout=wrong)
    assert (node.statistics().processes, node.statistics().names) == (1, 0)


async def test_the_exit_of_a_machine_that_was_started_linked_is_heard(node):
    """SM1, L4."""
    async with open_node():
        trap_exit()
        pid = await Starting.start_link("go")
        pid.exit(KILL)
        await assert_down(pid)
        assert await receive(Exit) == Exit(pid, KILLED)


async def test_a_machine_that_is_ended_before_its_first_step_never_awaits_its_init(node):
    """P13; and Python does not complain of a coroutine that nobody awaited."""
    ran = []

    class Waits(StateMachine):
        async def init(self):
            ran.append(1)

    with trio.CancelScope() as given_up:
        given_up.cancel()
        await Waits.start_link()
    await wait_settled()
    gc.collect()
    assert given_up.cancelled_caught
    assert ran == []
    assert len(node.processes) == 1
