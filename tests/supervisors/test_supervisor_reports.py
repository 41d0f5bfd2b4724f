"""What supervisors tell the log: S21, S36, S37; OTP case 44."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from actors import KILL, KILLED, NORMAL, SHUTDOWN, Exit, GenServer, ProcessExit, Shutdown, Stop
from supervisors import BRUTAL_KILL, ChildSpec, ChildStartError, Restart, Supervisor
from supervisors.exits import REACHED_MAX_RESTART_INTENSITY
from supervisors.termination import is_expected
from tests.actors.helpers import Boom
from tests.supervisors.workers import Brittle, Play, end, failure, pid, settle

EVENTS = {"progress", "child_terminated", "start_error", "shutdown_error", "shutdown"}


def reports(log: list[Any]) -> list[tuple[str, str, Any]]:
    """(level, event, reason or started id) of the supervisors' reports."""
    return [
        (
            entry["log_level"],
            entry["event"],
            entry["started"]["id"] if entry["event"] == "progress" else entry["reason"],
        )
        for entry in log
        if entry["event"] in EVENTS
    ]


async def test_progress_is_told_at_the_start_and_at_a_restart(play: Play):
    """S36."""
    with capture_logs() as log:
        supervisor = await Supervisor.start_link(play.children("ab"), name="app")
        await end(await pid(supervisor, "b"), KILL)
    assert reports(log) == [
        ("info", "progress", "a"),
        ("info", "progress", "b"),
        ("error", "child_terminated", KILLED),
        ("info", "progress", "b"),
    ]
    assert {entry["supervisor"] for entry in log} == {"app"}


async def test_a_start_by_hand_is_only_told_to_those_who_debug(play: Play):
    """S36; external_start_no_progress_log."""
    supervisor = await Supervisor.start_link([])
    with capture_logs() as log:
        await Supervisor.start_child(supervisor, play.child("a"))
        await Supervisor.terminate_child(supervisor, "a")
        await Supervisor.restart_child(supervisor, "a")
    assert reports(log) == [("debug", "progress", "a"), ("debug", "progress", "a")]


async def test_a_report_names_supervisor_context_reason_and_offender(play: Play):
    """S36: without a name the supervisor is its pid and class."""
    supervisor = await Supervisor.start_link(play.children("a", restart="transient"))
    child = await pid(supervisor, "a")
    with capture_logs() as log:
        await end(child, KILL)
    (report,) = (entry for entry in log if entry["event"] == "child_terminated")
    assert report["supervisor"] == (supervisor, "Supervisor")
    assert report["reason"] is KILLED
    assert report["offender"] == {
        "pid": child,
        "id": "a",
        "start": (repr(play.start), repr(("a", play.child("a").start[1][1])), "{}"),
        "restart_type": "transient",
        "significant": False,
        "shutdown": 5.0,
        "child_type": "worker",
    }


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=str)
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x")], ids=repr)
async def test_the_orderly_end_of_a_child_that_is_not_permanent_is_not_told(
    play: Play, restart: Restart, reason: Any
):
    """S8."""
    supervisor = await Supervisor.start_link(play.children("a", restart=restart))
    with capture_logs() as log:
        await end(await pid(supervisor, "a"), reason)
    assert reports(log) == []


async def test_the_abnormal_end_of_a_temporary_child_is_told(play: Play):
    """S8."""
    supervisor = await Supervisor.start_link(play.children("a", restart="temporary"))
    with capture_logs() as log:
        await end(await pid(supervisor, "a"), KILL)
    assert reports(log) == [("error", "child_terminated", KILLED)]


async def test_a_start_by_hand_that_fails_is_told_to_who_asked_and_nobody_else(play: Play):
    """S36, as in OTP."""
    supervisor = await Supervisor.start_link(play.children("a"))
    play.script("b", "error")
    play.script("a", "error")
    await Supervisor.terminate_child(supervisor, "a")
    with capture_logs() as log:
        with pytest.raises(ChildStartError):
            await Supervisor.start_child(supervisor, play.child("b"))
        with pytest.raises(ChildStartError):
            await Supervisor.restart_child(supervisor, "a")
    assert reports(log) == []


async def test_a_failed_start_tells_the_failure_and_no_ordinary_stops(play: Play):
    """S7, S37."""
    play.script("b", "error")
    with capture_logs() as log:
        await failure(Supervisor.start_link(play.children("ab")))
    assert reports(log) == [("info", "progress", "a"), ("error", "start_error", "refused")]


async def test_a_configuration_error_is_left_to_the_starter_to_tell(play: Play):
    """S36, ours: whoever called start_link gets it with the path of the child; see Application."""

    async def start() -> Any:
        raise OSError("the port is taken")

    from supervisors import ChildSpec

    with capture_logs() as log:
        await failure(Supervisor.start_link([ChildSpec("web", start)]))
    assert reports(log) == []


async def test_a_supervisor_that_gives_up_says_so(play: Play):
    """S17, S36."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=0)
    with capture_logs() as log:
        await end(await pid(supervisor, "a"), KILL)
    assert reports(log) == [
        ("error", "child_terminated", KILLED),
        ("error", "shutdown", repr(REACHED_MAX_RESTART_INTENSITY)),
    ]


async def test_failed_attempts_are_told_each(play: Play):
    """S14."""
    supervisor = await Supervisor.start_link(play.children("a"))
    play.script("a", "error", "error")
    with capture_logs() as log:
        await end(await pid(supervisor, "a"), KILL)
    assert [event for _, event, _ in reports(log)] == [
        "child_terminated",
        "start_error",
        "start_error",
        "progress",
    ]


EXPECTED: dict[
    str, dict[bool, list[Any]]
] = {  # shutdown -> restart is permanent -> reasons that are not told (S21)
    "seconds": {True: [SHUTDOWN], False: [SHUTDOWN, NORMAL, Shutdown("x")]},
    "brutal_kill": {True: [KILLED], False: [SHUTDOWN, KILLED, NORMAL, Shutdown("x")]},
}


@pytest.mark.parametrize("reason", [SHUTDOWN, KILLED, NORMAL, Shutdown("x"), "other"], ids=repr)
@pytest.mark.parametrize("restart", Restart, ids=str)
@pytest.mark.parametrize("shutdown", EXPECTED)
def test_which_ends_are_expected_of_a_child_that_was_asked_to_stop(
    shutdown: str, restart: Restart, reason: Any
):
    """S21."""
    spec = Play().child(
        "a", restart=restart, shutdown=BRUTAL_KILL if shutdown == "brutal_kill" else 5
    )
    expected = EXPECTED[shutdown][restart is Restart.PERMANENT]
    assert is_expected(spec, reason) == (reason in expected)


async def test_a_child_that_has_to_be_killed_is_told(play: Play):
    """S21: killed after an expired time."""
    supervisor = await Supervisor.start_link([play.child("a", shutdown=1, slow=2)])
    with capture_logs() as log:
        await Supervisor.terminate_child(supervisor, "a")
    assert reports(log) == [("error", "shutdown_error", KILLED)]


async def test_the_true_reason_of_a_child_that_had_died_before_is_told(play: Play):
    """S20: DOWN says noproc, the exit in the mailbox says why."""

    specs = [play.child("a", worker=Brittle), play.child("b", slow=1)]
    supervisor = await Supervisor.start_link(specs)
    victim = await pid(supervisor, "a")
    with capture_logs() as log:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop)
            await settle()
            victim.exit("died meanwhile")
    assert ("error", "shutdown_error", "died meanwhile") in reports(log)


async def test_an_unexpected_message_is_told_and_dropped(play: Play):
    """S9."""
    supervisor = await Supervisor.start_link([])
    with capture_logs() as log:
        supervisor.send("hello")
        supervisor.cast("hello")
        await settle()
    assert [(entry["event"], entry["message"]) for entry in log] == [
        ("unexpected_message", "hello")
    ] * 2


class Unshowable:
    """Raises when somebody wants to see it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class Holder(GenServer):
    """Takes any arguments; ends when it is told to."""

    async def init(self, *args: Any, **options: Any) -> None:
        pass

    async def handle_info(self, message: Any) -> Stop:
        return Stop(message[1])


@pytest.mark.parametrize("raised", [Boom(), ProcessExit("bye")], ids=repr)
async def test_a_child_whose_arguments_cannot_be_shown_is_reported_and_harms_nobody(
    raised: BaseException, play: Play
):
    """S36, K4: neither its start, nor its end, nor a message that cannot be shown."""
    unshowable = Unshowable(raised)

    with capture_logs() as log:
        supervisor = await Supervisor.start_link(
            [ChildSpec("a", (Holder.start_link, (unshowable,)))]
        )
        await end(await pid(supervisor, "a"), KILL)
        await end(await pid(supervisor, "a"), unshowable)
        supervisor.send(unshowable)
        await settle()
    assert (await pid(supervisor, "a")).is_alive()
    killed, ended = [entry for entry in log if entry["event"] == "child_terminated"]
    [unexpected] = [entry for entry in log if entry["event"] == "unexpected_message"]
    assert "its repr raised" in killed["offender"]["start"][1]
    assert "its repr raised" in ended["reason"]
    assert "its repr raised" in unexpected["message"]


async def test_large_values_are_cut_in_a_report(play: Play):
    """S36; supervisor_SUITE format_log_1 and 2."""
    large = ["x" * 1_000] * 1_000

    specs = [ChildSpec("a", (Holder.start_link, (large,), {"option": large}))]
    with capture_logs() as log:
        supervisor = await Supervisor.start_link(specs)
        await end(await pid(supervisor, "a"), large)
    [terminated] = [entry for entry in log if entry["event"] == "child_terminated"]
    _, args, kwargs = terminated["offender"]["start"]
    assert [len(text) < 2_100 for text in (args, kwargs, terminated["reason"])] == [True] * 3
    assert args.endswith("characters)")


@pytest.mark.parametrize("error", [OSError("closed"), ProcessExit("bye")], ids=repr)
async def test_a_log_that_raises_does_not_end_a_supervisor(error: BaseException, play: Play):
    """S36, K4."""

    def broken(*_: Any) -> Any:
        raise error

    structlog.configure(processors=[broken])
    try:
        supervisor = await Supervisor.start_link(play.children("a"))
        await end(await pid(supervisor, "a"), KILL)
        assert (await pid(supervisor, "a")).is_alive()
    finally:
        structlog.reset_defaults()


async def test_the_exit_of_a_stranger_is_not_told(play: Play):
    """S9."""
    supervisor = await Supervisor.start_link([])
    with capture_logs() as log:
        supervisor.send(Exit(supervisor, "stranger"))
        await settle()
    assert log == []


async def test_progress_is_only_told_by_programs_that_configured_their_log(
    play: Play, capsys: pytest.CaptureFixture[str]
):
    """S36: OTP's logger drops it too unless asked."""
    structlog.reset_defaults()
    await Supervisor.start_link(play.children("a"))
    assert "progress" not in capsys.readouterr().out
