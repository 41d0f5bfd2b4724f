"""The chaos run (`make chaos`) in small: nothing is broken, and a seed does the same again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import structlog

from actors import EventManager, ProcessExit, Task, TaskDone
from actors.key_locks import KeyLocks
from actors.process_groups import _Scope
from supervisors import supervisor_server
from supervisors.application_controller import ApplicationController
from supervisors.partition_supervisor import PartitionSupervisorServer
from tests.chaos import __main__ as chaos


@pytest.fixture(autouse=True)
def structlog_as_before():
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("episode", range(3))
def test_random_operations_break_nothing(episode: int) -> None:
    done: Counter[str] = Counter()
    chaos.run_episode(2024, episode, 2_000, done)
    assert done.total() == 2_000
    assert set(done) == {operation.__name__ for operation in chaos.OPERATIONS}


def test_a_seed_does_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trails: list[list[tuple[str, int]]] = []

    def recorded(world: chaos.World) -> str:
        operation = operate(world)
        trails[-1].append((operation, world.trail[-1][1].serial))
        return operation

    operate = chaos.operate
    monkeypatch.setattr(chaos, "operate", recorded)
    for _ in range(2):
        trails.append([])
        chaos.run_episode(7, 0, 500, Counter())
    assert len(trails[0]) == 500
    assert trails[0] == trails[1]


# -- what it would see ---------------------------------------------------------------------------


def tell_twice(task: Task[Any]) -> None:
    if task.owner is not None and task.outcome is not None:
        for _ in range(2):
            task.owner.send(TaskDone(task, task.outcome))


def give_to_two(locks: KeyLocks, key: Any, turn: Any) -> None:
    turns = locks._turns.get(key)
    if turns is not None and turn in turns:
        del turns[turn]
        for other in list(turns)[:2]:
            other.resolve(None)
        if not turns:
            del locks._turns[key]


async def say_nothing(*_: Any) -> None:
    """Where something should have been said."""


async def end_the_manager(_manager: EventManager, _installed: Any, reason: Any, _item: Any) -> None:
    raise ProcessExit(reason)


async def all_in_use(server: PartitionSupervisorServer, partitions: int) -> int:
    """Stops partitions, and still sends people there."""
    for number in range(partitions, len(server._children)):
        child = server._children.by_id(number)
        if child is not None:
            await server._stop(child)
    return partitions


BROKEN: dict[str, tuple[Any, str, Any, str]] = {
    "groups keep the dead": (_Scope, "process_ended", lambda *_: None, "and dead"),
    "monitors of groups are not told": (_Scope, "_tell", lambda *_: None, "but there are"),
    "two hold a lock": (KeyLocks, "_leave", give_to_two, "hold 'key"),
    "an owner is notified twice": (Task, "_tell_owner", tell_twice, "2 times"),
    "an owner is not notified": (Task, "_tell_owner", lambda _: None, "0 times"),
    "a handler ends its manager": (EventManager, "_fail", end_the_manager, "the event manager"),
    "a handler outlives its owner": (
        EventManager,
        "handle_info",
        say_nothing,
        "outlives its owner",
    ),
    "significant children end nobody": (
        supervisor_server,
        "shutdown_due",
        lambda *_: False,
        "outlives its significant children",
    ),
    "partitions in use are stopped": (
        PartitionSupervisorServer,
        "_resize",
        all_in_use,
        "has not restarted",
    ),
    "the end of an application is not noticed": (
        ApplicationController,
        "_has_ended",
        say_nothing,
        "the controller believes",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    owner, name, replacement, told = BROKEN[what]
    monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(AssertionError, match=told):
        for episode in range(60):  # the first that shows it ends the search
            chaos.run_episode(5, episode, 1_000, Counter())


def test_a_failure_names_the_seed_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaos.report(5, range(3, 4), ["Traceback: broken"]) == 1
    assert "python -m tests.chaos --seed 5 --episode 3" in capsys.readouterr().err


def test_an_exception_that_nobody_injected_is_kept() -> None:
    reports = chaos.Reports()
    for error in (chaos.Boom(), KeyError("ours")):
        with pytest.raises(structlog.DropEvent):
            reports(None, "error", {"event": "process exited", "exc_info": error})
    assert len(reports.unexpected) == 1
