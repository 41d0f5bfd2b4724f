"""How a supervisor starts: S1, S3 to S7; OTP cases 1 to 15, 28."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio

from actors import (
    KILL,
    KILLED,
    NORMAL,
    AlreadyStartedError,
    BadReturn,
    CallTimeoutError,
    Crash,
    GenServer,
    Ignore,
    ProcessExit,
    Shutdown,
    StartError,
    StartIgnoredError,
    Via,
    exit,
    spawn,
    whereis,
)
from supervisors import (
    ChildInfo,
    ChildSpec,
    ChildType,
    DynamicSupervisor,
    FailedToStartChild,
    InvalidFlagError,
    InvalidSpecError,
    Restart,
    Strategy,
    Supervisor,
    SupervisorFlags,
)
from tests.supervisors.workers import Names, Play, failure, info, pids, settle


async def test_children_start_in_list_order_and_stop_in_reverse(play: Play):
    """S5, S22; sup_start_normal, order_of_children."""
    supervisor = await Supervisor.start_link(play.children("abc"))
    assert play.entries() == "start a, start b, start c"
    await supervisor.stop()
    assert play.entries() == "stop c, stop b, stop a"


async def test_a_supervisor_that_is_stopped_ends_with_that_reason(play: Play):
    """S24, PL5; Elixir DynamicSupervisor 6."""
    supervisor = await Supervisor.start_link(play.children("a"))
    ending = supervisor.target
    await supervisor.stop("enough")
    assert not supervisor.is_alive()
    assert ending.exit_reason == "enough"  # type: ignore[attr-defined]  # a process


async def test_start_link_returns_when_every_child_has_started(play: Play):
    """S4."""
    supervisor = await Supervisor.start_link(play.children("ab"))
    assert all((await pids(supervisor)).values())


async def test_a_supervisor_that_starts_a_child_serves_nobody(play: Play):
    """S5: which_children waits for a slow init."""

    class Slow(GenServer):
        async def init(self) -> None:
            await trio.sleep(0.18)

    supervisor = await Supervisor.start_link(play.children("a"))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Supervisor.start_child, supervisor, Slow)
        await settle()
        await Supervisor.which_children(supervisor)
        assert trio.current_time() - began == pytest.approx(0.18)


async def test_an_empty_supervisor_is_a_supervisor(play: Play):
    supervisor = await Supervisor.start_link([])
    assert await Supervisor.which_children(supervisor) == []


async def test_a_supervisor_with_a_name_is_reached_by_it(play: Play):
    """Elixir Supervisor 7."""
    supervisor = await Supervisor.start_link(play.children("a"), name="app")
    assert whereis("app") is supervisor
    assert (await Supervisor.count_children("app")).active == 1


async def test_a_supervisor_may_have_its_name_in_a_registry(play: Play):
    """Elixir Supervisor 5."""
    name = Via(Names(), "app")
    supervisor = await Supervisor.start_link(play.children("a"), name=name)
    assert whereis(name) is supervisor
    assert (await Supervisor.count_children(name)).active == 1
    await Supervisor.stop(name)


async def test_a_name_that_is_taken_is_refused_before_any_child_starts(play: Play):
    """G3."""
    await Supervisor.start_link([], name="app")
    with pytest.raises(AlreadyStartedError):
        await Supervisor.start_link(play.children("a"), name="app")
    assert play.entries() == ""


async def test_a_name_of_another_kind_is_an_error(play: Play):
    """Elixir Supervisor 8: invalid names raise."""
    with pytest.raises(TypeError):
        await Supervisor.start_link([], name=7)  # type: ignore[arg-type]  # what the test is about


# -- module-based --------------------------------------------------------------------------------


async def test_a_subclass_gives_flags_and_children_from_init(play: Play):
    """S1; Elixir Supervisor 10."""

    class App(Supervisor):
        async def init(self, ids: str, *, strategy: Strategy) -> Any:
            return SupervisorFlags(strategy), play.children(ids)

    supervisor = await App.start_link("ab", strategy=Strategy.ONE_FOR_ALL, name="app")
    assert list(await pids(supervisor)) == ["a", "b"]
    assert "App" in repr(supervisor)


async def test_a_supervisor_that_ignores_its_start_is_not_there(play: Play):
    """S3; sup_start_ignore_init."""

    class Unwanted(Supervisor):
        async def init(self) -> Any:
            return Ignore()

    with pytest.raises(StartIgnoredError):
        await Unwanted.start_link(name="unwanted")
    assert whereis("unwanted") is None


@pytest.mark.parametrize("junk", [None, 1, [], (SupervisorFlags(), 1)], ids=repr)
async def test_what_init_may_not_return_is_a_bad_return(play: Play, junk: Any):
    """S3; sup_start_error_return."""

    class Junk(Supervisor):
        async def init(self) -> Any:
            return junk

    assert await failure(Junk.start_link()) == BadReturn(junk, "Junk.init")


async def test_an_init_that_raises_fails_the_start(play: Play):
    """sup_start_fail."""
    error = RuntimeError("no")

    class Raises(Supervisor):
        async def init(self) -> Any:
            raise error

    assert await failure(Raises.start_link()) == Crash(error)


async def test_a_subclass_can_be_a_child(play: Play):
    """Elixir Supervisor 1: use gives a child_spec."""

    class App(Supervisor):
        async def init(self, ids: str) -> Any:
            return SupervisorFlags(), play.children(ids)

    spec = ChildSpec.of((App, "ab"))
    assert (spec.id, spec.type, spec.start) == (
        App,
        ChildType.SUPERVISOR,
        (App.start_link, ("ab",), {}),
    )
    outer = await Supervisor.start_link([spec])
    assert (await info(outer, App)).pid.is_alive()  # type: ignore[union-attr]  # it runs


def test_the_fields_of_a_specification_do_not_go_to_start_link():
    spec = ChildSpec.of(
        Supervisor.child_spec([], name="inner", restart="transient", max_restarts=0)
    )
    assert (spec.id, spec.restart) == ("inner", Restart.TRANSIENT)
    assert spec.start == (Supervisor.start_link, ([],), {"name": "inner", "max_restarts": 0})


# -- wrong lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [{"strategy": "all"}, {"max_restarts": -1}, {"max_seconds": 0}, {"auto_shutdown": "some"}],
    ids=str,
)
async def test_a_wrong_flag_fails_the_start(play: Play, flags: dict[str, Any]):
    """S3; sup_flags."""
    reason = await failure(Supervisor.start_link(play.children("a"), **flags))
    assert isinstance(reason.exception, InvalidFlagError)
    assert play.entries() == ""


@pytest.mark.parametrize(
    ("children", "word"),
    [
        ([{"id": 1}], "missing_start"),
        ([1], "invalid_child_spec"),
        ([ChildSpec("a", print), ChildSpec("a", print)], "duplicate_child_name"),
        ([ChildSpec("a", print, restart="transient", significant=True)], "bad_combination"),
    ],
    ids=["no-start", "junk", "duplicate", "significant-but-auto-shutdown-never"],
)
async def test_a_wrong_child_fails_the_start_before_any_child_starts(
    play: Play, children: Any, word: str
):
    """S3, S33; child_specs, sup_start_map_faulty_specs."""
    reason = await failure(Supervisor.start_link([*play.children("z"), *children]))
    assert isinstance(reason.exception, InvalidSpecError)
    assert reason.exception.word == word
    assert play.entries() == ""


# -- children that do not start ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("error", "refused"),
        ("exit", "start exited"),
        ("junk", BadReturn("junk", "Play.start")),
    ],
)
async def test_a_child_that_does_not_start_ends_those_before_it_in_reverse(
    play: Play, outcome: str, reason: Any
):
    """S6, S7; sup_start_child_returns_error."""
    play.script("c", outcome)
    found = await failure(Supervisor.start_link(play.children("abcd"), name="app"))
    assert found == Shutdown(FailedToStartChild("c", reason))
    started = [entry for entry in play.diary if entry != "fail c"]
    assert started == ["start a", "start b", "stop b", "stop a"]
    assert whereis("app") is None


async def test_a_start_function_that_raises_gives_its_exception_as_the_reason(play: Play):
    """S6: raise gives {'EXIT', {Exception, Stack}}."""
    play.script("a", "raise")
    reason = await failure(Supervisor.start_link(play.children("a")))
    assert isinstance(reason.detail.reason, Crash)
    assert str(reason.detail.reason.exception) == "start raised"


async def test_a_failed_start_leaves_no_exit_behind_in_a_starter_that_traps(play: Play):
    """PL2, S7."""
    from actors import Exit, current_node

    play.script("a", "error")
    await failure(Supervisor.start_link(play.children("a")))
    await settle()
    assert not any(isinstance(m, Exit) for m in current_node().main.mailbox.queue or ())


async def test_nested_failures_name_the_whole_path(play: Play):
    """S7."""
    play.script("a", "error")
    inner = Supervisor.child_spec(play.children("a"), id="inner")
    reason = await failure(Supervisor.start_link([inner]))
    assert reason.detail.id == "inner"
    assert reason.detail.reason == Shutdown(FailedToStartChild("a", "refused"))


async def test_a_failed_start_shows_the_exception_of_the_child_as_its_cause(play: Play):
    play.script("a", "raise")
    inner = Supervisor.child_spec(play.children("a"), id="inner")
    with pytest.raises(StartError) as caught:
        await Supervisor.start_link([inner])
    assert str(caught.value.__cause__) == "start raised"


@pytest.mark.parametrize(
    ("restart", "kept"), [("permanent", True), ("transient", True), ("temporary", False)]
)
async def test_a_child_that_ignores_its_start_is_kept_unless_temporary(
    play: Play, restart: str, kept: bool
):
    """S6; sup_start_ignore_child, sup_start_ignore_temporary_child."""
    play.script("b", "ignore")
    specs = [play.child("a"), play.child("b", restart=restart), play.child("c")]
    supervisor = await Supervisor.start_link(specs)
    expected = ChildInfo("b", None, ChildType.WORKER) if kept else None
    assert await info(supervisor, "b") == expected
    assert play.entries() == "start a, start c"


async def test_the_info_of_a_start_function_is_ignored_in_the_first_start(play: Play):
    """S6; extra_return."""
    play.script("a", "info")
    supervisor = await Supervisor.start_link(play.children("a"))
    assert (await pids(supervisor))["a"].is_alive()


async def test_starting_consumes_no_restarts(play: Play):
    """S7: a supervisor that fails to start has used none of its parent's intensity either."""
    play.script("a", "error", "error")
    outer = await Supervisor.start_link([], max_restarts=0)
    for _ in range(2):
        inner = Supervisor.child_spec(play.children("a"), id="inner")
        await failure(Supervisor.start_child(outer, inner))
    assert outer.is_alive()


async def test_a_supervisor_takes_its_children_down_when_it_is_killed(play: Play):
    """S9: trapping servers see their parent's exit and terminate; there is no order."""
    supervisor = await Supervisor.start_link(play.children("ab"))
    supervisor.exit(KILL)
    await settle()
    assert sorted(play.entries().split(", ")[2:]) == ["stop a", "stop b"]
    assert play.reasons == {"a": [KILLED], "b": [KILLED]}


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
async def test_the_exits_of_strangers_are_dropped(play: Play, kind: type[Any], linked: bool):
    """S9: of one that is linked and ends, and of one that only sends an exit signal."""

    async def stranger(target: Any) -> None:
        if linked:
            target.link()
            raise ProcessExit("of a stranger")
        target.exit("of a stranger")

    supervisor = await kind.start_link(*[[]] * (kind is Supervisor))
    child = await kind.start_child(supervisor, play.child("a"))
    pid = spawn(stranger, supervisor)
    await settle()
    assert not pid.is_alive()
    assert [each.pid for each in await kind.which_children(supervisor)] == [child]
    assert play.entries() == "start a"


async def test_a_supervisor_survives_what_it_does_not_know(play: Play):
    """S9: OTP's crashes on an unknown call or cast; ours logs and drops it."""
    supervisor = await Supervisor.start_link(play.children("a"))
    before = await pids(supervisor)
    supervisor.send("hello")
    supervisor.cast("hello")
    with pytest.raises(CallTimeoutError):
        await supervisor.call("hello")
    assert await pids(supervisor) == before


async def test_a_process_may_exit_in_a_start_function_without_harm_to_the_supervisor(play: Play):
    """S6: exit R."""

    async def exits() -> Any:
        raise ProcessExit(NORMAL)

    supervisor = await Supervisor.start_link([])
    with pytest.raises(StartError):
        await Supervisor.start_child(supervisor, ChildSpec("x", exits))
    assert supervisor.is_alive()


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
async def test_an_exit_out_of_a_nursery_of_a_start_function_is_its_reason(
    play: Play, kind: type[Any]
):
    """S6, P6: Trio wraps it in a group, which is no `Exception`."""

    async def exits() -> Any:
        async with trio.open_nursery():
            raise ProcessExit("nope")

    supervisor = await kind.start_link(*[[]] * (kind is Supervisor))
    assert await failure(kind.start_child(supervisor, ChildSpec("x", exits))) == "nope"
    assert supervisor.is_alive()


async def test_a_group_of_an_exit_and_an_exception_is_a_crash(play: Play):
    """S6, P6."""

    async def fails() -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crashes)
            raise ProcessExit("nope")

    async def crashes() -> None:
        raise RuntimeError("boom")

    supervisor = await Supervisor.start_link([])
    reason = await failure(Supervisor.start_child(supervisor, ChildSpec("x", fails)))
    assert isinstance(reason, Crash)
    assert {type(error) for error in reason.exception.exceptions} == {ProcessExit, RuntimeError}  # type: ignore[attr-defined]  # a group
    assert supervisor.is_alive()


async def test_a_supervisor_that_is_killed_while_a_start_function_waits_in_a_nursery_ends(
    play: Play,
):
    """S9, K2: what Trio cancels is no failed start."""

    async def waits() -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ProcessExit("meanwhile")

    supervisor = await Supervisor.start_link([])
    ending = supervisor.target
    spawn(Supervisor.start_child, supervisor, ChildSpec("x", waits))
    await settle()
    supervisor.exit(KILL)
    await settle()
    assert ending.exit_reason is KILLED  # type: ignore[attr-defined]  # a process


async def test_children_that_a_generator_gives_are_there_after_a_restart_too(play: Play):
    """S8, S18."""
    specs = (play.child(name) for name in "ab")
    inner = Supervisor.child_spec(specs, name="inner")
    await Supervisor.start_link([inner])
    exit("inner", KILL)
    await settle()
    assert (await Supervisor.count_children("inner")).active == 2


@pytest.mark.parametrize("children", [GenServer, {"id": "a", "start": ()}, "a", 5], ids=repr)
async def test_children_that_are_no_list_are_refused_in_words(play: Play, children: Any):
    with pytest.raises(StartError, match="expected a list of children") as caught:
        await Supervisor.start_link(children)
    assert isinstance(caught.value.reason, Crash)


async def test_init_of_a_supervisor_may_be_a_plain_function(play: Play):
    """As that of a GenServer."""

    class App(Supervisor):
        def init(self, names: str) -> Any:
            return SupervisorFlags(), play.children(names)

    await App.start_link("ab")
    assert play.entries() == "start a, start b"


async def test_arguments_of_a_subclass_reach_its_init_as_they_are():
    """A file or an endless iterator is not read when the specification is made."""

    class Pool(Supervisor):
        async def init(self, numbers: Any) -> Any:
            return SupervisorFlags(), []

    numbers = itertools.count(1)
    assert Pool.child_spec(numbers)["start"][1] == (numbers,)
