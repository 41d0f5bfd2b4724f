"""DynamicSupervisor: D1, D2, S13, S31; Elixir DynamicSupervisor 1 to 18 and 30; its restarts and its end have files of their own."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors import (
    KILL,
    NORMAL,
    AlreadyStartedError,
    BadReturn,
    CallTimeoutError,
    Crash,
    GenServer,
    Ignore,
    Pid,
    ProcessExit,
    StartError,
    StartIgnoredError,
    spawn,
    whereis,
)
from supervisors import (
    ChildCount,
    ChildSpec,
    ChildType,
    DynamicSupervisor,
    DynamicSupervisorFlags,
    InvalidFlagError,
    InvalidSpecError,
    MaxChildrenError,
    Restart,
    Supervisor,
)
from tests.supervisors.workers import Brittle, Play, end, failure, pids, settle

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


# -- the book ------------------------------------------------------------------------------------


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
    for _ in range(3):
        await start_child(supervisor, play.child("a", restart="temporary"))
    assert len({id(spec) for spec in server._running.values()}) == 1
    await start_child(supervisor, play.child("a", restart="temporary", shutdown=1))
    await start_child(supervisor, play.child("b", restart="temporary"))
    assert [spec.shutdown for spec in server._running.values()] == [5, 5, 5, 1, 5]
    assert [spec.id for spec in server._running.values()] == ["a", "a", "a", "a", "b"]


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


UNKNOWN = [None, 7, "", (), ("start_child",), ("start_child", "a"), ("start_child", 1, 2), {"a": 1}]


@pytest.mark.parametrize("request_", UNKNOWN, ids=repr)
async def test_a_call_that_it_does_not_know_is_dropped(play: Play, supervisor: Pid, request_: Any):
    """S9: with a report; it harms neither the supervisor nor, but for the wait, the caller."""
    with capture_logs() as log, pytest.raises(CallTimeoutError):
        await supervisor.call(request_)
    assert [entry["event"] for entry in log] == ["unexpected_message"]
    assert await running(supervisor) == []


async def test_unknown_messages_are_dropped(play: Play, supervisor: Pid):
    """S9."""
    supervisor.send("hello")
    supervisor.cast("hello")
    assert await running(supervisor) == []
