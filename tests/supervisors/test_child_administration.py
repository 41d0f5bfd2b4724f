"""The API of a running supervisor: S26 to S31; OTP cases 3 to 5, 11, 23, 25, 71 to 73, 75, 76, 91."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import pytest

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    AlreadyStartedError,
    BadReturn,
    Crash,
    GenServer,
    NoProcessError,
    StartError,
    spawn,
)
from supervisors import (
    RESTARTING,
    AlreadyPresentError,
    ChildAlreadyStartedError,
    ChildCount,
    ChildInfo,
    ChildNotFoundError,
    ChildRunningError,
    ChildSpec,
    ChildStartError,
    ChildType,
    InvalidSpecError,
    Restart,
    Supervisor,
)
from tests.supervisors.workers import Play, Worker, end, info, pid, pids, settle


@pytest.fixture
async def supervisor(play: Play) -> Any:
    """A running supervisor of the child "old"."""
    return await Supervisor.start_link(play.children(["old"]), name="app", max_restarts=1000)


# -- start_child ---------------------------------------------------------------------------------


async def test_a_started_child_stands_behind_all_others(play: Play, supervisor: Any):
    """S26."""
    child = await Supervisor.start_child(supervisor, play.child("new"))
    assert list(await pids(supervisor)) == ["old", "new"]
    assert await pid(supervisor, "new") is child


@pytest.mark.parametrize("form", ["class", "class with arguments", "mapping", "specification"])
async def test_a_child_is_given_in_any_form(play: Play, supervisor: Any, form: str):
    """S2; Elixir Supervisor 11 to 13."""

    class Plain(GenServer):
        async def init(self, *args: Any) -> None:
            self.args = args

    forms: dict[str, Any] = {
        "class": Plain,
        "class with arguments": (Plain, 1, 2),
        "mapping": {"id": Plain, "start": (Plain.start_link, (1,))},
        "specification": ChildSpec(Plain, Plain.start_link),
    }
    child = await Supervisor.start_child(supervisor, forms[form])
    assert await pid(supervisor, Plain) is child


async def test_an_id_that_runs_is_refused_with_its_pid(play: Play, supervisor: Any):
    """S26: already_started."""
    running = await pid(supervisor, "old")
    with pytest.raises(ChildAlreadyStartedError, match="already_started") as caught:
        await Supervisor.start_child(supervisor, play.child("old"))
    assert caught.value.pid is running


async def test_an_id_that_is_stopped_is_refused(play: Play, supervisor: Any):
    """S26: already_present."""
    await Supervisor.terminate_child(supervisor, "old")
    with pytest.raises(AlreadyPresentError, match="already_present"):
        await Supervisor.start_child(supervisor, play.child("old"))


async def test_the_info_of_a_start_function_comes_back(play: Play, supervisor: Any):
    """S26, S28; extra_return."""
    play.script("new", "info", "info")
    child, extra = await Supervisor.start_child(supervisor, play.child("new"))
    assert extra == "info"
    assert await pid(supervisor, "new") is child
    await Supervisor.terminate_child(supervisor, "new")
    child, extra = await Supervisor.restart_child(supervisor, "new")
    assert extra == "info"
    assert await pid(supervisor, "new") is child


@pytest.mark.parametrize("restart", Restart, ids=str)
async def test_an_ignored_child_is_kept_unless_temporary(
    play: Play, supervisor: Any, restart: Restart
):
    """S26: {ok, undefined}; sup_start_ignore_child, sup_start_ignore_temporary_child_start_child."""
    play.script("new", "ignore")
    assert await Supervisor.start_child(supervisor, play.child("new", restart=restart)) is None
    kept = await info(supervisor, "new")
    assert kept == (
        None if restart is Restart.TEMPORARY else ChildInfo("new", None, ChildType.WORKER)
    )


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("error", "refused"), ("exit", "start exited"), ("junk", BadReturn("junk", "Play.start"))],
)
async def test_a_child_that_does_not_start_is_not_kept(
    play: Play, supervisor: Any, outcome: str, reason: Any
):
    """S26: {error, {Reason, Child}}."""
    play.script("new", outcome)
    with pytest.raises(ChildStartError, match="'new' did not start") as caught:
        await Supervisor.start_child(supervisor, play.child("new"))
    assert (caught.value.id, caught.value.reason) == ("new", reason)
    assert list(await pids(supervisor)) == ["old"]


async def test_an_exception_of_the_start_function_is_the_reason(play: Play, supervisor: Any):
    """S6."""
    play.script("new", "raise")
    with pytest.raises(StartError) as caught:
        await Supervisor.start_child(supervisor, play.child("new"))
    assert isinstance(caught.value.reason, Crash)


async def test_a_name_that_is_taken_elsewhere_is_told_unwrapped(play: Play, supervisor: Any):
    """S26; already_started_outside_supervisor."""
    outside = await Worker.start(play, "outside", name="taken")
    spec = ChildSpec("new", (Worker.start_link, (play, "new"), {"name": "taken"}))
    with pytest.raises(AlreadyStartedError) as caught:
        await Supervisor.start_child(supervisor, spec)
    assert type(caught.value) is AlreadyStartedError
    assert caught.value.pid is outside
    assert await info(supervisor, "new") is None


async def test_a_wrong_specification_is_refused_without_asking_the_supervisor(play: Play):
    """S3, S26; Elixir Supervisor 14."""
    with pytest.raises(InvalidSpecError, match="missing_start"):
        await Supervisor.start_child("nobody", {"id": 1})


async def test_a_significant_child_needs_an_auto_shutdown(play: Play, supervisor: Any):
    """S33: in start_child too."""
    spec = play.child("new", restart="transient", significant=True)
    with pytest.raises(InvalidSpecError, match="bad_combination"):
        await Supervisor.start_child(supervisor, spec)


# -- terminate_child -----------------------------------------------------------------------------


async def test_a_terminated_child_stays_specified(play: Play, supervisor: Any):
    """S27."""
    child = await pid(supervisor, "old")
    await Supervisor.terminate_child(supervisor, "old")
    assert not child.is_alive()
    assert await info(supervisor, "old") == ChildInfo("old", None, ChildType.WORKER)
    assert play.reasons["old"] == [SHUTDOWN]


async def test_terminating_a_stopped_child_is_no_error(play: Play, supervisor: Any):
    """S27."""
    await Supervisor.terminate_child(supervisor, "old")
    await Supervisor.terminate_child(supervisor, "old")
    assert play.reasons["old"] == [SHUTDOWN]


async def test_a_terminated_temporary_child_is_forgotten(play: Play, supervisor: Any):
    """S27; do_not_save_child_specs_for_temporary_children."""
    await Supervisor.start_child(supervisor, play.child("new", restart="temporary"))
    await Supervisor.terminate_child(supervisor, "new")
    with pytest.raises(ChildNotFoundError):
        await Supervisor.get_child_spec(supervisor, "new")


async def test_a_temporary_child_that_ended_is_forgotten(play: Play, supervisor: Any):
    """S8; do_not_save_child_specs_for_temporary_children."""
    child = await Supervisor.start_child(supervisor, play.child("new", restart="temporary"))
    await end(child, NORMAL)
    assert await info(supervisor, "new") is None


# -- restart_child, delete_child -----------------------------------------------------------------


async def test_a_stopped_child_can_be_started_again(play: Play, supervisor: Any):
    """S28."""
    await Supervisor.terminate_child(supervisor, "old")
    child = await Supervisor.restart_child(supervisor, "old")
    assert await pid(supervisor, "old") is child


async def test_a_running_child_cannot_be_started_again(play: Play, supervisor: Any):
    """S28: running."""
    with pytest.raises(ChildRunningError, match="running"):
        await Supervisor.restart_child(supervisor, "old")


async def test_a_child_may_ignore_being_started_again(play: Play, supervisor: Any):
    """S28: {ok, undefined}."""
    await Supervisor.terminate_child(supervisor, "old")
    play.script("old", "ignore")
    assert await Supervisor.restart_child(supervisor, "old") is None
    assert (await pids(supervisor)) == {"old": None}


@pytest.mark.parametrize("outcome", ["error", "raise", "exit", "junk"])
async def test_a_child_that_cannot_be_started_again_stays_stopped(
    play: Play, supervisor: Any, outcome: str
):
    """S28; sup_start_restart_child_returns_error."""
    await Supervisor.terminate_child(supervisor, "old")
    play.script("old", outcome)
    with pytest.raises(ChildStartError):
        await Supervisor.restart_child(supervisor, "old")
    assert (await pids(supervisor)) == {"old": None}


async def test_a_stopped_child_can_be_deleted(play: Play, supervisor: Any):
    """S29."""
    await Supervisor.terminate_child(supervisor, "old")
    await Supervisor.delete_child(supervisor, "old")
    assert await Supervisor.which_children(supervisor) == []


async def test_a_running_child_cannot_be_deleted(play: Play, supervisor: Any):
    """S29: running; Elixir Supervisor 16."""
    with pytest.raises(ChildRunningError):
        await Supervisor.delete_child(supervisor, "old")


@pytest.mark.parametrize(
    "request_",
    ["terminate_child", "restart_child", "delete_child", "get_child_spec", "which_child"],
)
@pytest.mark.parametrize("id", ["nobody", None, ["old"], {"old": 1}], ids=repr)
async def test_an_unknown_id_is_not_found(play: Play, supervisor: Any, request_: str, id: Any):
    """S27 to S30: not_found, for what could not be an id too; child_adm."""
    with pytest.raises(ChildNotFoundError, match=rf"not_found.*{re.escape(repr(id))}"):
        await getattr(Supervisor, request_)(supervisor, id)
    assert (await pid(supervisor, "old")).is_alive()


async def test_the_life_of_a_child(play: Play, supervisor: Any):
    """Elixir Supervisor 16; child_adm: which, count, delete refused, terminate, restart, delete."""
    child = await pid(supervisor, "old")
    assert await Supervisor.which_children("app") == [ChildInfo("old", child, ChildType.WORKER)]
    assert await Supervisor.count_children("app") == ChildCount(1, 1, 0, 1)
    with pytest.raises(ChildRunningError):
        await Supervisor.delete_child("app", "old")
    await Supervisor.terminate_child("app", "old")
    assert await Supervisor.count_children("app") == ChildCount(1, 0, 0, 1)
    again = await Supervisor.restart_child("app", "old")
    assert again is not child
    await Supervisor.terminate_child("app", "old")
    await Supervisor.delete_child("app", "old")
    assert await Supervisor.count_children("app") == ChildCount(0, 0, 0, 0)


# -- questions -----------------------------------------------------------------------------------


async def test_children_are_counted_through_their_life(play: Play, supervisor: Any):
    """S30; count_children, count_children_supervisor."""
    await Supervisor.start_child(supervisor, Supervisor.child_spec([], id="inner"))
    await Supervisor.start_child(supervisor, play.child("new", restart="temporary"))
    assert await Supervisor.count_children(supervisor) == ChildCount(3, 3, 1, 2)
    await Supervisor.terminate_child(supervisor, "inner")
    await Supervisor.terminate_child(supervisor, "new")
    assert await Supervisor.count_children(supervisor) == ChildCount(2, 1, 1, 1)
    await Supervisor.delete_child(supervisor, "inner")
    assert await Supervisor.count_children(supervisor) == ChildCount(1, 1, 0, 1)


async def test_a_restarting_child_is_counted_but_not_active(play: Play, supervisor: Any):
    """S30; count_restarting_children."""
    play.script("old", *["error"] * 500)
    (await pid(supervisor, "old")).exit(KILL)
    while (await info(supervisor, "old")).pid is not RESTARTING:  # type: ignore[union-attr]  # its row is there
        pass
    assert await Supervisor.count_children(supervisor) == ChildCount(1, 0, 0, 1)


async def test_one_child_can_be_asked_for(play: Play, supervisor: Any):
    """S30: which_child, in each state of the child."""
    child = await pid(supervisor, "old")
    assert await Supervisor.which_child("app", "old") == ChildInfo("old", child, ChildType.WORKER)
    play.script("old", *["error"] * 500)
    child.exit(KILL)
    while (found := await Supervisor.which_child("app", "old")).pid is child:
        pass
    assert found.pid is RESTARTING
    await Supervisor.terminate_child("app", "old")
    assert (await Supervisor.which_child("app", "old")).pid is None


async def test_a_specification_is_found_by_id_and_by_pid(play: Play, supervisor: Any):
    """S30; sup_start_map."""
    by_id = await Supervisor.get_child_spec(supervisor, "old")
    assert by_id == play.child("old")
    assert await Supervisor.get_child_spec(supervisor, await pid(supervisor, "old")) is by_id


async def test_a_pid_of_somebody_else_is_not_found(play: Play, supervisor: Any):
    """S30."""

    async def stranger() -> None:
        """Ends at once."""

    with pytest.raises(ChildNotFoundError):
        await Supervisor.get_child_spec(supervisor, spawn(stranger))


async def test_a_supervisor_that_is_not_there_is_an_error(play: Play):
    with pytest.raises(NoProcessError):
        await Supervisor.which_children("nobody")


class Large:
    """A start argument that can be watched."""


async def test_the_arguments_of_temporary_children_are_let_go(play: Play, supervisor: Any):
    """S31; do_not_save_start_parameters_for_temporary_children."""

    async def start(large: Large) -> Any:
        return await play.start("new")

    large = Large()
    gone = weakref.ref(large)
    await Supervisor.start_child(
        supervisor, ChildSpec("new", (start, (large,)), restart=Restart.TEMPORARY)
    )
    del large
    await settle()
    gc.collect()
    assert gone() is None
    assert (await pid(supervisor, "new")).is_alive()
