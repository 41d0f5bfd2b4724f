"""What a supervisor does when a child ends: S8 to S12, S14 to S16; OTP cases 29 to 34, 41 to 56, 78, 80, 81, 87."""

from __future__ import annotations

from typing import Any

import pytest

from actors import KILL, NORMAL, SHUTDOWN, Pid, Shutdown, whereis
from supervisors import RESTARTING, ChildSpec, DynamicSupervisor, Restart, Strategy, Supervisor
from tests.supervisors.workers import Brittle, Play, end, info, pid, pids, refusal, settle

REASONS = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "shutdown-with-detail": Shutdown("detail"),
    "killed": KILL,
    "other": "any other value",
}
ORDERLY = {"normal", "shutdown", "shutdown-with-detail"}
GROUPS = {"one_for_one": "b", "rest_for_one": "bc", "one_for_all": "abc"}  # who is replaced with b


def is_restarted(restart: Restart, reason: str) -> bool:
    """S8, in one line."""
    return restart == "permanent" or (restart == "transient" and reason not in ORDERLY)


@pytest.mark.parametrize("strategy", Strategy, ids=str)
@pytest.mark.parametrize("restart", Restart, ids=str)
@pytest.mark.parametrize("reason", REASONS)
async def test_who_is_replaced_when_a_child_exits(
    play: Play, reason: str, restart: Restart, strategy: Strategy
):
    """S8, S10, S11, S12; one_for_one, one_for_all, rest_for_one, permanent_normal … temporary_abnormal."""
    specs = [play.child("a"), play.child("b", restart=restart), play.child("c")]
    supervisor = await Supervisor.start_link(specs, strategy=strategy)
    before = await pids(supervisor)
    await end(before["b"], REASONS[reason])
    after = await pids(supervisor)
    if is_restarted(restart, reason):
        replaced = [id for id in "abc" if after[id] is not before[id]]
        assert replaced == list(GROUPS[strategy])
        assert all(isinstance(each, Pid) and each.is_alive() for each in after.values())
    elif restart is Restart.TEMPORARY:
        assert after == {"a": before["a"], "c": before["c"]}
    else:
        assert after == {"a": before["a"], "b": None, "c": before["c"]}


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_a_child_that_crashes_is_replaced(play: Play, strategy: Strategy):
    """S8: an exception that nobody caught."""
    supervisor = await Supervisor.start_link(play.children("abc"), strategy=strategy)
    before = await pids(supervisor)
    before["b"].send("crash")
    await settle()
    after = await pids(supervisor)
    assert [id for id in "abc" if after[id] is not before[id]] == list(GROUPS[strategy])


# -- order ---------------------------------------------------------------------------------------

ORDERS = {
    "one_for_one": "stop b, start b",
    "rest_for_one": "stop b, stop d, stop c, start b, start c, start d",
    "one_for_all": "stop b, stop d, stop c, stop a, start a, start b, start c, start d",
}


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_a_group_stops_in_reverse_and_starts_in_order(play: Play, strategy: Strategy):
    """S10, S11, S12; order_of_children."""
    supervisor = await Supervisor.start_link(play.children("abcd"), strategy=strategy)
    play.entries()
    (await pid(supervisor, "b")).send("crash")
    await settle()
    assert play.entries() == ORDERS[strategy]


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_the_place_of_a_child_survives_its_restart(play: Play, strategy: Strategy):
    """S10; order_of_children."""
    supervisor = await Supervisor.start_link(play.children("abc"), strategy=strategy)
    await end(await pid(supervisor, "b"), KILL)
    assert list(await pids(supervisor)) == ["a", "b", "c"]
    play.entries()
    await supervisor.stop()
    assert play.entries() == "stop c, stop b, stop a"


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE], ids=str)
async def test_a_group_restart_resurrects_what_was_stopped(play: Play, strategy: Strategy):
    """S12: children stopped by terminate_child, and transient ones that had finished."""
    specs = [play.child("a"), play.child("b"), play.child("c", restart="transient")]
    supervisor = await Supervisor.start_link(specs, strategy=strategy)
    await Supervisor.terminate_child(supervisor, "b")
    await end(await pid(supervisor, "c"), NORMAL)
    assert (await pids(supervisor)) | {"a": None} == {"a": None, "b": None, "c": None}
    await end(await pid(supervisor, "a"), KILL)
    assert all((await pids(supervisor)).values())


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE], ids=str)
async def test_a_group_restart_drops_temporary_siblings(play: Play, strategy: Strategy):
    """S12; temporary_bystander."""
    specs = [play.child("a"), play.child("b", restart="temporary"), play.child("c")]
    supervisor = await Supervisor.start_link(specs, strategy=strategy)
    await end(await pid(supervisor, "a"), KILL)
    assert list(await pids(supervisor)) == ["a", "c"]
    assert play.starts["b"] == 1


async def test_one_for_one_leaves_a_temporary_bystander_alone(play: Play):
    """temporary_bystander."""
    specs = [play.child("a"), play.child("b", restart="temporary")]
    supervisor = await Supervisor.start_link(specs)
    bystander = await pid(supervisor, "b")
    await end(await pid(supervisor, "a"), KILL)
    assert await pid(supervisor, "b") is bystander


async def test_a_restarted_child_is_a_fresh_instance_from_its_start_arguments(play: Play):
    supervisor = await Supervisor.start_link(play.children("a"))
    first = await pid(supervisor, "a")
    await end(first, KILL)
    second = await pid(supervisor, "a")
    assert not first.is_alive()
    assert await second.call("who") == ("who", "a")


async def test_the_name_of_a_child_is_free_for_its_successor(play: Play):
    """P7; simple_global_supervisor, with names of the node."""
    from tests.supervisors.workers import Worker

    specs = [ChildSpec(n, (Worker.start_link, (play, n), {"name": n})) for n in ("x", "y")]
    for strategy in Strategy:
        inner = Supervisor.child_spec(specs, strategy=strategy, name="inner")
        outer = await Supervisor.start_link([inner])
        for killed in ("x", "inner"):  # the child, and then the supervisor with its children
            before, victim = whereis("x"), whereis(killed)
            assert victim is not None
            await end(victim, KILL)
            after = whereis("x")
            assert after is not None
            assert after is not before
        await outer.stop()


# -- a restart that fails ------------------------------------------------------------------------


async def test_a_failed_restart_is_tried_again_until_it_succeeds(play: Play):
    """S14; one_for_one."""
    supervisor = await Supervisor.start_link(play.children("a"))
    play.script("a", "error", "raise")
    play.entries()
    await end(await pid(supervisor, "a"), "x")
    assert play.entries() == "stop a, fail a, fail a, start a"
    assert (await pid(supervisor, "a")).is_alive()


async def test_one_for_all_takes_down_again_what_it_had_started(play: Play):
    """S15: the exact trace; one_for_all_other_child_fails_restart."""
    supervisor = await Supervisor.start_link(play.children([1, 2, 3]), strategy="one_for_all")
    play.entries()
    play.script(2, "error")
    (await pid(supervisor, 3)).send("crash")
    await settle()
    assert play.entries() == (
        "stop 3, stop 2, stop 1, start 1, fail 2, stop 1, start 1, start 2, start 3"
    )


async def test_rest_for_one_keeps_what_it_had_started_before_the_one_that_failed(play: Play):
    """S15: the exact trace; rest_for_one_other_child_fails_restart."""
    supervisor = await Supervisor.start_link(play.children([1, 2, 3, 4]), strategy="rest_for_one")
    play.entries()
    play.script(3, "error")
    (await pid(supervisor, 2)).send("crash")
    await settle()
    assert play.entries() == "stop 2, stop 4, stop 3, start 2, fail 3, start 3, start 4"


async def test_the_info_of_a_start_function_is_ignored_at_a_restart(play: Play):
    """S6; extra_return."""
    supervisor = await Supervisor.start_link(play.children("a"))
    before = await pid(supervisor, "a")
    play.script("a", "info")
    await end(before, KILL)
    assert await pid(supervisor, "a") is not before


async def test_a_child_that_ignores_its_restart_stays_stopped(play: Play):
    """S16."""
    supervisor = await Supervisor.start_link(play.children("a"))
    play.script("a", "ignore")
    await end(await pid(supervisor, "a"), KILL)
    assert (await info(supervisor, "a")).pid is None  # type: ignore[union-attr]  # its row is kept
    assert play.starts["a"] == 2


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_a_supervisor_whose_child_cannot_start_still_answers(play: Play, strategy: Strategy):
    """S14; hanging_restart_loop, hanging_restart_loop_rest_for_one: every request while retries go on."""
    supervisor = await Supervisor.start_link(
        [play.child("a"), play.child("b")], strategy=strategy, max_restarts=1_000_000
    )
    play.script("b", *["error"] * 100_000)
    (await pid(supervisor, "b")).exit(KILL)
    while (await pids(supervisor))["b"] is not RESTARTING:
        pass
    child = play.child("b")
    assert await refusal(Supervisor.start_child(supervisor, child)) == "AlreadyPresentError"
    assert await refusal(Supervisor.restart_child(supervisor, "b")) == "ChildRestartingError"
    assert await refusal(Supervisor.delete_child(supervisor, "b")) == "ChildRestartingError"
    assert (await Supervisor.count_children(supervisor)).active <= 1
    await Supervisor.terminate_child(supervisor, "b")
    tried = play.starts["b"]
    await settle()
    assert play.starts["b"] == tried
    assert (await pids(supervisor))["b"] is None


@pytest.mark.parametrize("strategy", Strategy, ids=str)
async def test_a_supervisor_in_a_restart_loop_can_be_stopped(play: Play, strategy: Strategy):
    """S14; hanging_restart_loop, hanging_restart_loop_rest_for_one."""
    supervisor = await Supervisor.start_link(
        play.children("ab"), strategy=strategy, max_restarts=1_000_000
    )
    play.script("b", *["error"] * 100_000)
    (await pid(supervisor, "b")).exit(KILL)
    while (await pids(supervisor))["b"] is not RESTARTING:
        pass
    await supervisor.stop()
    assert not supervisor.is_alive()
    assert 1 < play.starts["b"] < 100_000


async def test_a_retry_that_was_withdrawn_does_not_come_back_to_a_later_life(play: Play):
    """S27: terminate_child ends the loop, even if the child is started and fails again."""
    supervisor = await Supervisor.start_link(play.children("a"), max_restarts=1_000_000)
    play.script("a", *["error"] * 100_000)
    (await pid(supervisor, "a")).exit(KILL)
    while (await pids(supervisor))["a"] is not RESTARTING:
        pass
    await Supervisor.terminate_child(supervisor, "a")
    play.outcomes["a"].clear()
    revived = await Supervisor.restart_child(supervisor, "a")
    await settle()
    assert await pid(supervisor, "a") is revived


# -- odd children --------------------------------------------------------------------------------


async def test_a_child_that_ends_while_it_starts_its_siblings_is_restarted_afterwards(play: Play):
    """S19: its exit waits in the mailbox until the supervisor has time."""

    first: list[Pid] = []

    async def start_first() -> Any:
        first.append(await play.start("a"))
        return first[-1]

    async def sabotage() -> Any:
        first[0].send("crash")
        await first[0].wait_exited()
        return await play.start("b")

    specs = [ChildSpec("a", start_first), ChildSpec("b", sabotage)]
    supervisor = await Supervisor.start_link(specs)
    await settle()
    assert (await pid(supervisor, "a")).is_alive()
    assert play.starts["a"] == 2


async def test_a_tree_heals_at_its_lowest_level(play: Play):
    """S18; tree: the inner supervisor restarts its child, the outer one does not notice."""
    inner = Supervisor.child_spec(play.children("ab"), id="inner", strategy="one_for_all")
    supervisor = await Supervisor.start_link([play.child("z"), inner])
    inner_pid = await pid(supervisor, "inner")
    before = await pids(inner_pid)
    await end(before["a"], KILL)
    after = await pids(inner_pid)
    assert await pid(supervisor, "inner") is inner_pid
    assert after["a"] is not before["a"]
    assert after["b"] is not before["b"]


async def test_a_plain_function_can_be_a_child(play: Play):
    from actors import spawn_link

    async def forever() -> None:
        import trio

        await trio.sleep_forever()

    async def start() -> Pid:
        return spawn_link(forever)

    supervisor = await Supervisor.start_link([ChildSpec("f", start)])
    before = await pid(supervisor, "f")
    before.exit("x")
    await settle()
    assert await pid(supervisor, "f") is not before


@pytest.mark.parametrize("kind", ["static", "dynamic"])
async def test_an_exit_signal_that_a_child_sends_is_not_its_end(play: Play, kind: str):
    """A difference from OTP, whose supervisor forgets such a child, which then outlives it."""
    if kind == "static":
        supervisor = await Supervisor.start_link([play.child("a", worker=Brittle)])
        child = await pid(supervisor, "a")
    else:
        supervisor = await DynamicSupervisor.start_link()
        child = await DynamicSupervisor.start_child(supervisor, play.child("a", worker=Brittle))
    child.send(("signal", supervisor))
    await settle()
    assert play.starts["a"] == 1
    await supervisor.stop()
    assert not child.is_alive()


class Feigning(Brittle):
    """Says to its supervisor that it ends in order, and crashes in the same step."""

    async def handle_info(self, message: Any) -> Any:
        self._process.parent.exit(NORMAL)
        raise RuntimeError("told to crash")

    async def terminate(self, reason: Any) -> None:
        """Without a checkpoint, in which the supervisor would see that it lives."""


async def test_the_first_exit_of_a_child_that_has_ended_is_taken_for_its_end(play: Play):
    """S8: OTP's supervisor acts on any EXIT from a pid in its book, and the first takes it out."""
    feigning = play.child("a", worker=Feigning, restart="transient")
    supervisor = await Supervisor.start_link([feigning])
    (await pid(supervisor, "a")).send("crash")
    await settle()
    assert await pids(supervisor) == {"a": None}
    assert play.starts["a"] == 1
