"""DynamicSupervisor: D1 to D7, S13, S22; Elixir DynamicSupervisor 1 to 41, OTP's simple_one_for_one cases."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    AlreadyStartedError,
    BadReturn,
    Crash,
    GenServer,
    Ignore,
    Pid,
    ProcessExit,
    Shutdown,
    StartError,
    StartIgnoredError,
    spawn,
    whereis,
)
from actors.reports import fact
from supervisors import (
    BRUTAL_KILL,
    INFINITY,
    RESTARTING,
    ChildCount,
    ChildNotFoundError,
    ChildSpec,
    ChildType,
    DynamicSupervisor,
    DynamicSupervisorFlags,
    InvalidFlagError,
    InvalidSpecError,
    MaxChildrenError,
    Restart,
    SimpleOneForOneError,
    Supervisor,
)
from tests.supervisors.workers import ANY_TIME, Brittle, Play, Worker, end, failure, pids, settle

start_child = DynamicSupervisor.start_child


async def running(supervisor: Pid) -> list[Any]:
    """The pids of all children, or `RESTARTING`."""
    return [child.pid for child in await DynamicSupervisor.which_children(supervisor)]


@pytest.fixture
async def supervisor(play: Play) -> Pid:
    """A dynamic supervisor without children."""
    return await DynamicSupervisor.start_link(max_restarts=1000)


# -- starting it ---------------------------------------------------------------------------------


async def test_it_starts_without_children(play: Play, supervisor: Pid):
    """D2."""
    assert await DynamicSupervisor.which_children(supervisor) == []
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(0, 0, 0, 0)


async def test_it_is_found_by_its_name_and_frees_it(play: Play):
    """Elixir 6."""
    supervisor = await DynamicSupervisor.start_link(name="rooms")
    assert whereis("rooms") is supervisor
    with pytest.raises(AlreadyStartedError):
        await DynamicSupervisor.start_link(name="rooms")
    await DynamicSupervisor.stop("rooms")
    assert whereis("rooms") is None


async def test_it_is_linked_to_its_starter(play: Play):
    """Elixir 6, S24."""
    started: list[Pid] = []

    async def starter() -> None:
        started.append(await DynamicSupervisor.start_link())
        await start_child(started[0], play.child("a"))
        raise ProcessExit("gone")

    spawn(starter)
    await settle()
    assert not started[0].is_alive()
    assert play.entries() == "start a, stop a"


async def test_it_can_be_a_child_and_several_under_different_ids(play: Play):
    """Elixir 1 to 3."""

    class Rooms(DynamicSupervisor):
        async def init(self, limit: int) -> Any:
            return DynamicSupervisorFlags(max_children=limit)

    specs = [DynamicSupervisor, DynamicSupervisor.child_spec(id="b"), (Rooms, 1)]
    supervisor = await Supervisor.start_link(specs)
    assert list(await pids(supervisor)) == [DynamicSupervisor, "b", Rooms]
    assert all(c.type == "supervisor" for c in await Supervisor.which_children(supervisor))


def test_its_flags_have_elixirs_defaults():
    """D1; Elixir 4."""
    assert DynamicSupervisorFlags() == DynamicSupervisorFlags(
        max_restarts=3, max_seconds=5.0, max_children=None, extra_arguments=()
    )


@pytest.mark.parametrize(
    ("flag", "value", "word"),
    [
        ("max_restarts", -1, "invalid_intensity"),
        ("max_seconds", 0, "invalid_period"),
        ("max_children", -1, "invalid_max_children"),
        ("max_children", "many", "invalid_max_children"),
        ("extra_arguments", 1, "invalid_extra_arguments"),
    ],
)
async def test_a_wrong_flag_fails_the_start(play: Play, flag: str, value: Any, word: str):
    """D1; Elixir 5."""
    reason = await failure(DynamicSupervisor.start_link(**{flag: value}))
    assert isinstance(reason.exception, InvalidFlagError)
    assert reason.exception.word == word


@pytest.mark.parametrize("flag", ["strategy", "auto_shutdown"])
async def test_it_has_but_one_strategy_and_no_auto_shutdown(play: Play, flag: str):
    """D1, S33; significant_simple."""
    reason = await failure(DynamicSupervisor.start_link(**{flag: "one_for_all"}))
    assert isinstance(reason.exception, TypeError)


async def test_init_may_ignore_and_must_return_flags(play: Play):
    """Elixir 5."""

    class Unwanted(DynamicSupervisor):
        async def init(self) -> Any:
            return Ignore()

    class Junk(DynamicSupervisor):
        async def init(self) -> Any:
            return "junk"

    with pytest.raises(StartIgnoredError):
        await Unwanted.start_link()
    assert await failure(Junk.start_link()) == BadReturn("junk", "Junk.init")


# -- start_child ---------------------------------------------------------------------------------


async def test_children_are_started_from_every_form(play: Play, supervisor: Pid):
    """Elixir 11 to 13."""

    class Plain(GenServer):
        async def init(self, *args: Any) -> None:
            self.args = args

    forms: list[Any] = [Plain, (Plain, 1), {"id": 1, "start": Plain.start_link}, play.child(1)]
    children = [await start_child(supervisor, form) for form in forms]
    assert await running(supervisor) == children


async def test_ids_are_ignored_and_may_repeat(play: Play, supervisor: Pid):
    """D2."""
    first = await start_child(supervisor, play.child("a"))
    second = await start_child(supervisor, play.child("a"))
    assert first is not second
    assert [c.id for c in await DynamicSupervisor.which_children(supervisor)] == [None, None]


async def test_extra_arguments_come_first_at_every_start(play: Play):
    """D1, S13; Elixir 14, 25; simple_one_for_one_extra."""
    given: list[tuple[Any, ...]] = []

    async def start(*args: Any) -> Any:
        given.append(args)
        return await play.start("a")

    supervisor = await DynamicSupervisor.start_link(extra_arguments=["x", "y"])
    child = await start_child(supervisor, ChildSpec("a", (start, (1, 2))))
    await end(child, KILL)
    assert given == [("x", "y", 1, 2)] * 2


async def test_a_wrong_specification_is_refused_without_any_server(play: Play):
    """D2; Elixir 15, 30."""
    with pytest.raises(InvalidSpecError, match="invalid_shutdown"):
        await start_child("nobody", {"id": 1, "start": play.start, "shutdown": -1})


async def test_significant_children_are_refused(play: Play, supervisor: Pid):
    """D1, S33; Elixir 15, significant_simple."""
    spec = play.child("a", restart="transient", significant=True)
    with pytest.raises(InvalidSpecError, match="invalid_significant"):
        await start_child(supervisor, spec)


async def test_info_comes_back_and_ignored_children_are_not_kept(play: Play, supervisor: Pid):
    """D2; Elixir 16; sup_start_ignore_child_start_child_simple."""
    play.script("a", "info", "ignore")
    child, info = await start_child(supervisor, play.child("a"))
    assert info == "info"
    assert await start_child(supervisor, play.child("a")) is None
    assert await running(supervisor) == [child]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("error", "refused"), ("exit", "start exited"), ("junk", BadReturn("junk", "Play.start"))],
)
async def test_a_failed_start_gives_its_reason_unwrapped(
    play: Play, supervisor: Pid, outcome: str, reason: Any
):
    """D2; Elixir 16, 17; sup_start_child_returns_error_simple."""
    play.script("a", outcome)
    with pytest.raises(StartError) as caught:
        await start_child(supervisor, play.child("a"))
    assert caught.value.reason == reason
    assert await running(supervisor) == []


async def test_a_start_that_raises_gives_the_exception(play: Play, supervisor: Pid):
    """D2; Elixir 17."""
    play.script("a", "raise")
    with pytest.raises(StartError) as caught:
        await start_child(supervisor, play.child("a"))
    assert isinstance(caught.value.reason, Crash)


@pytest.mark.parametrize("limit", [0, 2])
async def test_there_are_never_more_than_max_children(play: Play, limit: int):
    """D3; Elixir 18."""
    supervisor = await DynamicSupervisor.start_link(max_children=limit)
    for _ in range(limit):
        await start_child(supervisor, play.child("a"))
    with pytest.raises(MaxChildrenError, match=f"max_children.*{limit}"):
        await start_child(supervisor, play.child("a"))


async def test_a_place_is_free_when_a_child_is_gone(play: Play):
    """D3."""
    supervisor = await DynamicSupervisor.start_link(max_children=1)
    child = await start_child(supervisor, play.child("a", restart="temporary"))
    await end(child, NORMAL)
    assert (await start_child(supervisor, play.child("a"))).is_alive()


# -- restarts ------------------------------------------------------------------------------------

REASONS = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "detail": Shutdown("x"),
    "killed": KILL,
    "other": "x",
}


@pytest.mark.parametrize("restart", Restart, ids=str)
@pytest.mark.parametrize("reason", REASONS)
async def test_who_is_restarted(play: Play, supervisor: Pid, reason: str, restart: Restart):
    """S8, D5; Elixir 19 to 21; simple_one_for_one: the other child is untouched."""
    child = await start_child(supervisor, play.child("a", restart=restart))
    other = await start_child(supervisor, play.child("b"))
    await end(child, REASONS[reason])
    again = restart == "permanent" or (restart == "transient" and reason in {"killed", "other"})
    after = await running(supervisor)
    assert len(after) == 1 + again
    assert other in after
    assert child not in after
    assert play.starts["a"] == 1 + again


@pytest.mark.parametrize("outcome", ["ok", "info"])
async def test_a_restarted_child_has_a_new_pid(play: Play, supervisor: Pid, outcome: str):
    """Elixir 22; extra_return."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", outcome)
    await end(child, KILL)
    (after,) = await running(supervisor)
    assert after.is_alive()


async def test_a_child_that_ignores_its_restart_is_dropped(play: Play, supervisor: Pid):
    """D5; Elixir 22; simple_one_for_one_restart_ignore, sup_start_ignore_permanent_child_start_child_simple."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", "ignore")
    await end(child, KILL)
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(0, 0, 0, 0)


async def restarting(play: Play, supervisor: Pid, outcome: str = "error") -> Pid:
    """A child that does not come back; its old pid."""
    child: Pid = await start_child(supervisor, play.child("a"))
    play.script("a", *[outcome] * 500)
    child.exit(KILL)
    while await running(supervisor) != [RESTARTING]:
        pass
    return child


@pytest.mark.parametrize("outcome", ["error", "junk", "raise", "exit"])
async def test_a_child_that_fails_its_restart_is_restarting(
    play: Play, supervisor: Pid, outcome: str
):
    """D4; Elixir 22."""
    await restarting(play, supervisor, outcome)
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(1, 0, 0, 1)


async def test_a_retry_may_succeed(play: Play, supervisor: Pid):
    """D4; Elixir 26."""
    child = await start_child(supervisor, play.child("a"))
    play.script("a", "error", "junk", "raise")
    await end(child, KILL)
    assert play.starts["a"] == 5
    assert [p.is_alive() for p in await running(supervisor)] == [True]


async def test_restarting_and_restarted_children_count_to_max_children(play: Play):
    """D3; Elixir 23, 24."""
    supervisor = await DynamicSupervisor.start_link(max_children=1, max_restarts=1000)
    await restarting(play, supervisor)
    with pytest.raises(MaxChildrenError):
        await start_child(supervisor, play.child("b"))
    play.outcomes["a"].clear()
    await settle()
    with pytest.raises(MaxChildrenError):
        await start_child(supervisor, play.child("b"))


async def test_a_restarting_child_is_terminated_by_its_old_pid(play: Play, supervisor: Pid):
    """D4; Elixir 41; hanging_restart_loop_simple."""
    child = await restarting(play, supervisor)
    await DynamicSupervisor.terminate_child(supervisor, child)
    tried = play.starts["a"]
    with pytest.raises(ChildNotFoundError):
        await DynamicSupervisor.terminate_child(supervisor, child)
    await settle()
    assert play.starts["a"] == tried
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(0, 0, 0, 0)


async def test_a_supervisor_in_a_restart_loop_can_be_stopped(play: Play, supervisor: Pid):
    """hanging_restart_loop_simple."""
    await restarting(play, supervisor)
    await supervisor.stop()
    assert not supervisor.is_alive()


async def test_too_many_restarts_end_it(play: Play):
    """S17, D4; Elixir 27; simple_one_for_one."""
    supervisor = await DynamicSupervisor.start_link(max_restarts=1)
    other = await start_child(supervisor, play.child("b"))
    child = await start_child(supervisor, play.child("a"))
    ending = supervisor.target
    await end(child, KILL)
    await end((await running(supervisor))[-1], KILL)
    assert ending.exit_reason is SHUTDOWN  # type: ignore[attr-defined]  # a process
    assert not other.is_alive()


async def test_too_many_retries_end_it(play: Play):
    """S17, D4; Elixir 28; simple_one_for_one_escalation."""
    supervisor = await DynamicSupervisor.start_link(max_restarts=3)
    child = await start_child(supervisor, play.child("a"))
    play.script("a", *["error"] * 10)
    await end(child, KILL)
    assert not supervisor.is_alive()
    assert play.starts["a"] == 4


async def test_temporary_deaths_leave_the_others_in_the_book(play: Play, supervisor: Pid):
    """simple_one_for_one_corruption."""
    mortal = await start_child(supervisor, play.child("a", restart="temporary"))
    keeper = await start_child(supervisor, play.child("b"))
    await end(mortal, KILL)
    await end(keeper, KILL)
    (after,) = await running(supervisor)
    assert await after.call("who") == ("who", "b")


class Large:
    """A start argument that can be watched."""


async def test_the_arguments_of_temporary_children_are_let_go(play: Play, supervisor: Pid):
    """S31."""

    async def start(large: Large) -> Any:
        return await play.start("a")

    large = Large()
    gone = weakref.ref(large)
    await start_child(supervisor, ChildSpec("a", (start, (large,)), restart=Restart.TEMPORARY))
    del large
    await settle()
    gc.collect()
    assert gone() is None


async def started_and_stopped(supervisor: Pid, spec: ChildSpec) -> weakref.ref[Any]:
    """Its start function, as far as somebody still keeps it."""
    pid = await start_child(supervisor, spec)
    await DynamicSupervisor.terminate_child(supervisor, pid)
    return weakref.ref(spec.start[0])


async def test_nothing_is_kept_of_temporary_children_that_are_gone(play: Play, supervisor: Pid):
    """S31: of 500 children with a start function each, not even the functions."""

    def child() -> ChildSpec:
        async def start(number: int) -> Any:
            return await play.start("a")

        return ChildSpec("a", (start, (1,)), restart=Restart.TEMPORARY)

    functions = [await started_and_stopped(supervisor, child()) for _ in range(500)]
    gc.collect()
    assert [function() for function in functions if function() is not None] == []


async def test_temporary_children_that_are_alike_share_one_specification(
    play: Play, supervisor: Pid
):
    """S31: a million connections are a million pids in the book, and one specification."""
    server = supervisor.target.server  # type: ignore[attr-defined]  # a process
    for name in "abc":
        await start_child(supervisor, play.child(name, restart="temporary"))
    assert len({id(spec) for spec in server._running.values()}) == 1
    await start_child(supervisor, play.child("d", restart="temporary", shutdown=1))
    assert [spec.shutdown for spec in server._running.values()] == [5, 5, 5, 1]


class Unhashable:
    """A start function that is an object, and one with an `==` but without a hash."""

    __hash__ = None  # type: ignore[assignment]  # what the tests are about

    def __init__(self, play: Play) -> None:
        self.play = play

    def __eq__(self, other: object) -> bool:
        return self is other

    async def __call__(self, id: Any) -> Any:
        return await self.play.start(id)


async def test_a_start_function_needs_no_hash(play: Play, supervisor: Pid):
    """S31; D2: the book of temporary children is kept whatever starts them."""
    spec = ChildSpec("a", (Unhashable(play), ("a",)), restart=Restart.TEMPORARY)
    child = await start_child(supervisor, spec)
    assert await running(supervisor) == [child]
    await end(child, KILL)
    assert await running(supervisor) == []


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


async def test_supervisors_are_counted_apart(play: Play, supervisor: Pid):
    """D6; count_children_supervisor."""
    await start_child(supervisor, DynamicSupervisor)
    await start_child(supervisor, play.child("a"))
    assert await DynamicSupervisor.count_children(supervisor) == ChildCount(2, 2, 1, 1)
    assert [c.type for c in await DynamicSupervisor.which_children(supervisor)] == [
        ChildType.SUPERVISOR,
        ChildType.WORKER,
    ]


async def test_a_thousand_children_are_counted(play: Play, supervisor: Pid):
    """count_children: 1000 dynamic children."""
    for _ in range(1000):
        await start_child(supervisor, play.child("a", worker=Brittle))
    assert (await DynamicSupervisor.count_children(supervisor)).active == 1000


async def seconds_for(play: Play, count: int) -> float:
    supervisor = await DynamicSupervisor.start_link()
    spec = play.child("a", worker=Brittle, restart="temporary")
    began = time.process_time()
    for _ in range(count):
        await start_child(supervisor, spec)
    for child in await running(supervisor):
        child.exit(KILL)
    await settle()
    await supervisor.stop()
    play.diary.clear()
    return time.process_time() - began


async def test_many_temporary_children_are_not_quadratic(play: Play):
    """simple_one_for_one_scale_many_temporary_children: eight times the children, not 64 times the time."""
    await seconds_for(play, 100)
    small = min([await seconds_for(play, 250) for _ in range(3)])
    assert await seconds_for(play, 2_000) < 24 * small


async def test_unknown_messages_are_dropped(play: Play, supervisor: Pid):
    """S9."""
    supervisor.send("hello")
    supervisor.cast("hello")
    assert await running(supervisor) == []
