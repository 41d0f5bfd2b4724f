"""PartitionSupervisor: PS1 to PS4; Elixir PartitionSupervisor 1 to 22."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from actors import (
    KILL,
    AlreadyStartedError,
    GenServer,
    NoProcessError,
    Pid,
    StartError,
    Via,
    call,
    send,
    whereis,
)
from supervisors import (
    ChildCount,
    ChildSpec,
    DynamicSupervisor,
    InvalidFlagError,
    InvalidSpecError,
    PartitionSupervisor,
    Supervisor,
)
from supervisors.partition_supervisor import partition_of
from tests.supervisors.workers import Names, Play, Worker, end, settle


class Counter(GenServer):
    """One per partition."""

    async def init(self, *args: Any) -> None:
        self.args = args

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return self.pid if request == "pid" else self.args


async def start(partitions: int = 3, **options: Any) -> Pid:
    return await PartitionSupervisor.start_link(
        child_spec=options.pop("child_spec", Counter),
        name="counters",
        partitions=partitions,
        **options,
    )


def via(key: object) -> Via:
    return PartitionSupervisor.via("counters", key)


# -- starting it ---------------------------------------------------------------------------------


async def test_there_is_one_child_per_partition_with_its_number_as_id(play: Play):
    """PS2; Elixir 3, 18."""
    await start(3)
    children = await PartitionSupervisor.which_children("counters")
    assert sorted(child.id for child in children) == [0, 1, 2]  # type: ignore[type-var]  # numbers
    assert PartitionSupervisor.partitions("counters") == 3


async def test_by_default_there_are_as_many_partitions_as_processors(play: Play):
    """PS1."""
    import os

    await PartitionSupervisor.start_link(child_spec=Counter, name="counters")
    assert PartitionSupervisor.partitions("counters") == os.cpu_count()


async def test_its_id_in_a_tree_is_its_name(play: Play):
    """Elixir 1."""
    spec = PartitionSupervisor.child_spec(child_spec=Counter, name="counters", partitions=2)
    other = PartitionSupervisor.child_spec(child_spec=Counter, name="others", partitions=1, id="x")
    supervisor = await Supervisor.start_link([spec, other])
    ids = [child.id for child in await Supervisor.which_children(supervisor)]
    assert ids == ["x", "counters"]
    assert PartitionSupervisor.partitions("counters") == 2


@pytest.mark.parametrize("kind", [PartitionSupervisor, DynamicSupervisor, Supervisor])
def test_the_id_of_a_supervisor_with_a_via_name_is_its_key(kind: type[Any]):
    """Elixir 2: the name within the registry."""
    spec = ChildSpec.of(kind.child_spec(name=Via(Names(), ("rooms", 7))))
    assert spec.id == ("rooms", 7)


async def test_each_partition_may_get_its_own_arguments(play: Play):
    """PS1; Elixir 5."""

    def with_arguments(args: tuple[Any, ...], partition: int) -> list[Any]:
        return [*args, partition]

    await start(3, child_spec=(Counter, "x"), with_arguments=with_arguments)
    assert [await call(via(n), "args") for n in range(3)] == [("x", 0), ("x", 1), ("x", 2)]


@pytest.mark.parametrize("missing", ["name", "child_spec"])
async def test_name_and_child_spec_are_mandatory(play: Play, missing: str):
    """PS1; Elixir 6, 7."""
    options: dict[str, Any] = {"name": "counters", "child_spec": Counter}
    del options[missing]
    with pytest.raises(TypeError, match=missing):
        await PartitionSupervisor.start_link(**options)


@pytest.mark.parametrize("name", [None, 7, b"counters"])
async def test_a_name_of_another_kind_is_refused(play: Play, name: Any):
    with pytest.raises(InvalidFlagError, match="invalid_name"):
        await PartitionSupervisor.start_link(child_spec=Counter, name=name)


@pytest.mark.parametrize("partitions", [0, -1, "two", 1.5, True])
async def test_a_wrong_number_of_partitions_is_refused(play: Play, partitions: Any):
    """Elixir 8."""
    with pytest.raises(InvalidFlagError, match="invalid_partitions"):
        await start(partitions)


@pytest.mark.parametrize(
    "with_arguments", [7, lambda args, partition: partition, lambda args, partition: "ab"]
)
async def test_arguments_that_are_no_sequence_are_refused(play: Play, with_arguments: Any):
    """Elixir 9."""
    with pytest.raises(InvalidFlagError, match="invalid_with_arguments"):
        await start(2, with_arguments=with_arguments)
    assert whereis("counters") is None


async def test_it_has_no_auto_shutdown(play: Play):
    """Elixir 10."""
    with pytest.raises(InvalidFlagError, match="invalid_auto_shutdown"):
        await start(2, auto_shutdown="any_significant")


async def test_a_wrong_child_is_refused(play: Play):
    with pytest.raises(InvalidSpecError):
        await start(2, child_spec=7)


async def test_a_partition_that_does_not_start_ends_the_others(play: Play):
    """S7."""
    play.script("a", "ok", "error")
    with pytest.raises(StartError):
        await start(2, child_spec=play.child("a"))
    assert play.entries() == "start a, fail a, stop a"


# -- addressing it -------------------------------------------------------------------------------


async def test_numbers_choose_their_partition_by_remainder(play: Play):
    """PS2; Elixir 3."""
    await start(3)
    chosen = {c.id: c.pid for c in await PartitionSupervisor.which_children("counters")}
    for key in (0, 1, 2, 3, 5, -4):
        assert await call(via(key), "pid") is chosen[abs(key) % 3]


async def test_any_other_key_always_meets_the_same_partition(play: Play):
    """PS2; Elixir 3."""
    supervisor = await start(3)
    for key in ("room:lobby", b"bytes", ("a", 1, None, 2.5), 1.5, None, supervisor, frozenset({1})):
        assert await call(via(key), "pid") is await call(via(key), "pid")


@pytest.mark.parametrize("partitions", [2, 3, 8])
def test_keys_spread_over_all_partitions(partitions: int):
    hits = [0] * partitions
    for number in range(1000):
        hits[partition_of(f"room:{number}", partitions)] += 1
    assert min(hits) > 0.7 * 1000 / partitions


@pytest.mark.parametrize(
    ("one", "equal"), [(1, 1.0), (True, 1), ((1, "a"), (True, "a")), ((2,), (2.0,)), (-0.0, 0)]
)
def test_equal_keys_meet_the_same_partition(one: object, equal: object):
    assert one == equal
    assert partition_of(one, 1000) == partition_of(equal, 1000)


def test_a_text_that_is_no_unicode_meets_a_partition_too():
    assert 0 <= partition_of("\ud800", 8) < 8


def test_a_key_meets_the_same_partition_in_every_run():
    """PS2: `hash` would differ from run to run."""
    program = (
        "from supervisors.partition_supervisor import partition_of as p; import enum;"
        "Color = enum.Enum('Color', 'RED');"
        "keys = ('room:lobby', b'x', ('a', 1, None, 2.5), 1.5, None, Color.RED);"
        "print([p(k, 1000) for k in keys])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


async def test_a_supervisor_is_found_through_a_via_name_too(play: Play):
    """Elixir 4, 12, 22."""
    name = Via(Names(), "counters")
    supervisor = await PartitionSupervisor.start_link(child_spec=Counter, name=name, partitions=2)
    assert isinstance(await call(PartitionSupervisor.via(name, 1), "pid"), Pid)
    assert PartitionSupervisor.partitions(name) == 2
    assert (await PartitionSupervisor.count_children(name)).specs == 2
    await PartitionSupervisor.stop(name)
    assert not supervisor.is_alive()


@pytest.mark.parametrize(
    "name", ["nobody", PartitionSupervisor.via("nobody", 1)], ids=["str", "via"]
)
async def test_an_unknown_supervisor_is_no_process(play: Play, name: Any):
    """PS3; Elixir 13, 14, 21."""
    with pytest.raises(NoProcessError):
        PartitionSupervisor.partitions(name)
    with pytest.raises(NoProcessError):
        await PartitionSupervisor.count_children(name)
    with pytest.raises(NoProcessError):
        await call(PartitionSupervisor.via(name, 1), "pid")


async def test_another_kind_of_process_has_no_partitions(play: Play):
    await Worker.start(play, "w", name="worker")
    with pytest.raises(TypeError, match="not a PartitionSupervisor"):
        PartitionSupervisor.partitions("worker")
    supervisor = await Supervisor.start_link([])
    with pytest.raises(TypeError, match="not a PartitionSupervisor"):
        await PartitionSupervisor.resize(supervisor, 1)


async def test_nobody_registers_as_a_partition(play: Play):
    """PS2: registering through it raises."""
    supervisor = await start(2)
    with pytest.raises(AlreadyStartedError):
        await Counter.start_link(name=via("x"))
    with pytest.raises(TypeError, match="cannot be registered"):
        via("x").registry.register_name("x", supervisor)
    with pytest.raises(TypeError, match="not registered by hand"):
        via("x").registry.unregister_name("x")


async def test_while_it_starts_the_partitions_that_have_started_are_found(play: Play):
    """PS2: and the others are as one that is restarting."""
    found: list[Any] = []

    class Curious(GenServer):
        async def init(self) -> None:
            found.append([whereis(via(number)) for number in range(3)])

    await start(3, child_spec=Curious)
    pids = [whereis(via(number)) for number in range(3)]
    assert found == [[*pids[:number], *[None] * (3 - number)] for number in range(3)]


async def test_dynamic_supervisors_are_partitioned(play: Play):
    await start(2, child_spec=DynamicSupervisor)
    for number in range(10):
        await DynamicSupervisor.start_child(via(number), play.child(number))
    counts = [(await DynamicSupervisor.count_children(via(n))).active for n in range(2)]
    assert counts == [5, 5]


# -- resizing it ---------------------------------------------------------------------------------


async def test_it_shrinks_from_the_highest_and_grows_again(play: Play):
    """PS3; Elixir 15."""
    await start(3)
    before = {c.id: c.pid for c in await PartitionSupervisor.which_children("counters")}
    assert await PartitionSupervisor.resize("counters", 1) == 3
    assert PartitionSupervisor.partitions("counters") == 1
    assert await call(via(2), "pid") is before[0]
    assert await PartitionSupervisor.resize("counters", 3) == 1
    assert await call(via(2), "pid") not in before.values()


async def test_it_grows_again_after_all_partitions_were_restarted(play: Play):
    """PS3, S12: the restart of the group has brought back those that were out of use."""
    await start(3, child_spec=play.child("a"), strategy="one_for_all")
    await PartitionSupervisor.resize("counters", 1)
    (first,) = {whereis(via(number)) for number in range(3)}
    await end(first, KILL)  # type: ignore[arg-type]  # it runs
    assert await PartitionSupervisor.resize("counters", 3) == 1
    assert len({whereis(via(number)) for number in range(3)} - {None, first}) == 3


async def test_with_no_partitions_a_lookup_raises(play: Play):
    """PS3; Elixir 16."""
    await start(2)
    await PartitionSupervisor.resize("counters", 0)
    with pytest.raises(LookupError, match="no partitions"):
        send(via(1), "x")


@pytest.mark.parametrize("partitions", [3, -1, "one", 1.0, True])
async def test_it_never_grows_beyond_its_first_number(play: Play, partitions: Any):
    """PS3; Elixir 17."""
    await start(2)
    with pytest.raises(InvalidFlagError, match="0 to 2"):
        await PartitionSupervisor.resize("counters", partitions)


async def test_a_partition_that_does_not_come_back_stays_out_of_use(play: Play):
    await start(2, child_spec=play.child("a"))
    await PartitionSupervisor.resize("counters", 0)
    play.script("a", "ok", "error")
    with pytest.raises(StartError):
        await PartitionSupervisor.resize("counters", 2)
    assert PartitionSupervisor.partitions("counters") == 1


# -- the rest of a supervisor --------------------------------------------------------------------


async def test_workers_and_supervisors_are_counted(play: Play):
    """PS4; Elixir 19, 20."""
    await start(2)
    assert await PartitionSupervisor.count_children("counters") == ChildCount(2, 2, 0, 2)
    await PartitionSupervisor.start_link(child_spec=DynamicSupervisor, name="dynamic", partitions=2)
    assert await PartitionSupervisor.count_children("dynamic") == ChildCount(2, 2, 2, 0)


async def test_a_partition_that_dies_comes_back_in_its_place(play: Play):
    await start(2, child_spec=play.child("a"))
    before = whereis(via(1))
    assert before is not None
    await end(before, KILL)
    after = whereis(via(1))
    assert after is not None
    assert after is not before


async def test_stop_waits_for_the_end(play: Play):
    """PS4; Elixir 11, 12."""
    supervisor = await start(2)
    await PartitionSupervisor.stop("counters")
    assert not supervisor.is_alive()
    assert whereis("counters") is None


async def test_all_partitions_end_with_their_supervisor(play: Play):
    """PS4."""
    supervisor = await start(2)
    partitions = [whereis(via(n)) for n in range(2)]
    supervisor.exit(KILL)
    await settle()
    assert [p.is_alive() for p in partitions if p] == [False, False]
