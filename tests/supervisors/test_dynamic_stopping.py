"""How a DynamicSupervisor stops its children: D6, D7, S20 to S22."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from actors import KILLED, NORMAL, SHUTDOWN, GenServer, Pid, ProcessExit, Shutdown
from actors.reports import fact
from supervisors import (
    BRUTAL_KILL,
    INFINITY,
    ChildNotFoundError,
    ChildSpec,
    DynamicSupervisor,
    SimpleOneForOneError,
    Supervisor,
)
from tests.supervisors.workers import (
    ANY_TIME,
    Brittle,
    Play,
    Worker,
    settle,
)

start_child = DynamicSupervisor.start_child


async def running(supervisor: Pid) -> list[Any]:
    """The pids of all children, or `RESTARTING`."""
    return [child.pid for child in await DynamicSupervisor.which_children(supervisor)]


@pytest.fixture
async def supervisor(play: Play) -> Pid:
    """A dynamic supervisor without children."""
    return await DynamicSupervisor.start_link(max_restarts=1000)


# -- terminate_child -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shutdown", "reason"),
    [(BRUTAL_KILL, KILLED), (1.0, SHUTDOWN), (INFINITY, SHUTDOWN), (0.25, KILLED)],
)
async def test_a_terminated_child_is_gone(play: Play, supervisor: Pid, shutdown: Any, reason: Any):
    """D6; Elixir 39, 40."""
    child: Pid = await start_child(supervisor, play.child("a", shutdown=shutdown, slow=0.5))
    ending = child.target
    await DynamicSupervisor.terminate_child(supervisor, child)
    assert ending.exit_reason is reason  # type: ignore[attr-defined]  # a process
    with pytest.raises(ChildNotFoundError):
        await DynamicSupervisor.terminate_child(supervisor, child)
    assert await running(supervisor) == []


async def test_a_child_can_be_terminated_by_its_name(play: Play, supervisor: Pid):
    """D6; wherever a pid is taken, a name is taken too."""
    spec = ChildSpec("a", (Worker.start_link, (play, "a"), {"name": "worker"}))
    child = await start_child(supervisor, spec)
    await DynamicSupervisor.terminate_child(supervisor, "worker")
    assert not child.is_alive()
    with pytest.raises(ChildNotFoundError):
        await DynamicSupervisor.terminate_child(supervisor, "worker")


async def test_a_living_stranger_is_not_found(play: Play, supervisor: Pid):
    """D6; child_adm_simple."""
    stranger = await Worker.start(play, "s")
    with pytest.raises(ChildNotFoundError):
        await DynamicSupervisor.terminate_child(supervisor, stranger)
    assert stranger.is_alive()


async def test_what_is_neither_pid_nor_name_is_a_type_error(play: Play, supervisor: Pid):
    """S27; child_adm_simple."""
    with pytest.raises(TypeError):
        await DynamicSupervisor.terminate_child(supervisor, 7)  # type: ignore[arg-type]  # what the


@pytest.mark.parametrize(
    "request_",
    ["terminate_child", "restart_child", "delete_child", "get_child_spec", "which_child"],
)
async def test_what_asks_for_a_child_by_its_id_is_refused(
    play: Play, supervisor: Pid, request_: str
):
    """S27 to S30: simple_one_for_one; child_adm_simple."""
    child = await start_child(supervisor, play.child("a"))
    with pytest.raises(SimpleOneForOneError, match=rf"simple_one_for_one.*{request_}"):
        await getattr(Supervisor, request_)(supervisor, "a")
    assert await running(supervisor) == [child]
    await Supervisor.terminate_child(supervisor, child)  # by pid it can be asked
    assert await running(supervisor) == []


# -- the end -------------------------------------------------------------------------------------


async def stopped(supervisor: Pid) -> tuple[list[Any], float]:
    """Stop it; how each child ended, and the seconds that it took."""
    children = [(pid, pid.target) for pid in await running(supervisor)]
    began = trio.current_time()
    await supervisor.stop(SHUTDOWN)
    assert not any(pid.is_alive() for pid, _ in children)
    return [process.exit_reason for _, process in children], trio.current_time() - began


async def test_all_children_stop_at_the_same_time(play: Play, supervisor: Pid):
    """S22, D7; simple_one_for_one_shutdown."""
    for _ in range(5):
        await start_child(supervisor, play.child("a", slow=0.2))
    reasons, seconds = await stopped(supervisor)
    assert reasons == [SHUTDOWN] * 5
    assert seconds == pytest.approx(0.2)


async def test_those_that_take_too_long_are_killed_together(play: Play, supervisor: Pid):
    """D7; Elixir 36; sup_stop_timeout_dynamic: in one timeout."""
    await start_child(supervisor, play.child("fast", slow=0.9, shutdown=1))
    for _ in range(3):
        await start_child(supervisor, play.child("slow", slow=9, shutdown=1))
    reasons, seconds = await stopped(supervisor)
    assert reasons == [SHUTDOWN, KILLED, KILLED, KILLED]
    assert seconds == pytest.approx(1)


async def test_each_child_is_stopped_by_its_own_rule(play: Play, supervisor: Pid):
    """D7; Elixir 31, 32, 34, 36, 38."""
    await start_child(supervisor, play.child("brutal", shutdown=BRUTAL_KILL, slow=ANY_TIME))
    await start_child(supervisor, play.child("patient", shutdown=INFINITY, slow=50))
    await start_child(supervisor, play.child("late", shutdown=2, slow=50))
    await start_child(supervisor, play.child("in time", shutdown=3, slow=2.5))
    await start_child(supervisor, play.child("deaf", worker=Brittle, shutdown=1, slow=50))
    reasons, seconds = await stopped(supervisor)
    assert reasons == [KILLED, SHUTDOWN, KILLED, SHUTDOWN, SHUTDOWN]
    assert seconds == pytest.approx(50)


class Wilful(Worker):
    """Ends for its own reason when it is asked to."""

    async def terminate(self, reason: Any) -> None:
        raise ProcessExit(self.id)


@pytest.mark.parametrize("shutdown", [INFINITY, 1])
@pytest.mark.parametrize(
    ("reason", "restart", "told"),
    [
        (SHUTDOWN, "permanent", False),
        (Shutdown("oops"), "permanent", False),
        (Shutdown("oops"), "temporary", False),
        (NORMAL, "permanent", True),
        (NORMAL, "transient", False),
        ("other", "temporary", True),
    ],
    ids=str,
)
async def test_unexpected_ends_are_told_once_per_reason(
    play: Play, supervisor: Pid, reason: Any, restart: str, told: bool, shutdown: float
):
    """S21, D7; Elixir 33, 35, 37; sup_stop_non_shutdown_exit_dynamic: {shutdown, _} is accepted always."""
    for _ in range(2):
        await start_child(
            supervisor, play.child(reason, worker=Wilful, restart=restart, shutdown=shutdown)
        )
    with capture_logs() as log:
        reasons, _ = await stopped(supervisor)
    assert reasons == [reason, reason]
    reports = [entry for entry in log if entry["event"] == "shutdown_error"]
    assert [(entry["reason"], entry["offender"]["nb_children"]) for entry in reports] == (
        [(fact(reason), 2)] if told else []
    )


class Incomparable:
    """A reason that can neither be hashed nor compared, as an array of numbers."""

    __hash__ = None  # type: ignore[assignment]  # what the test is about

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")


class Blunt(GenServer):
    """Ends for a reason of its own when it is asked to."""

    async def init(self, reason: Any) -> None:
        self.reason = reason

    async def terminate(self, reason: Any) -> None:
        raise ProcessExit(self.reason)


async def test_any_value_may_be_the_reason_of_an_unexpected_end(supervisor: Pid):
    """S21, D7: equal reasons are told once, whether they have a hash or not."""
    lone, other = Incomparable(), Incomparable()
    given: list[Any] = [["x"], {"y": 1}, ["x"], "z", lone, "z", other]
    for reason in given:
        await start_child(supervisor, (Blunt, reason))
    with capture_logs() as log:
        reasons, _ = await stopped(supervisor)
    assert len(reasons) == len(given)
    reports = [entry for entry in log if entry["event"] == "shutdown_error"]
    assert [(entry["reason"], entry["offender"]["nb_children"]) for entry in reports] == [
        ("z", 2),
        (repr(["x"]), 2),
        (repr({"y": 1}), 1),
        (repr(lone), 1),
        (repr(other), 1),
    ]


async def test_each_report_names_its_own_child_and_only_alike_ones_are_told_together(play: Play):
    """S36, D7: the id of one is not that of the other, although both are temporary."""
    supervisor = await DynamicSupervisor.start_link()

    class Late(Worker):
        async def terminate(self, reason: Any) -> None:
            raise ProcessExit("late")

    for id in ("ann", "bob", "bob"):
        spec = play.child(id, worker=Late, restart="temporary")
        await DynamicSupervisor.start_child(supervisor, spec)
    crashing = await DynamicSupervisor.start_child(
        supervisor, play.child("cyd", restart="temporary")
    )
    with capture_logs() as log:
        crashing.send("crash")
        await settle()
        await DynamicSupervisor.stop(supervisor)
    told = [
        (entry["event"], entry["offender"]["id"], entry["offender"].get("nb_children"))
        for entry in log
        if entry["event"] in {"child_terminated", "shutdown_error"}
    ]
    assert told == [
        ("child_terminated", "cyd", None),
        ("shutdown_error", "ann", 1),
        ("shutdown_error", "bob", 2),
    ]
