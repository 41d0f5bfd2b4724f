"""The chaos run (`make chaos`) in small: nothing is broken, and a seed does the same again."""

from __future__ import annotations

from collections import Counter

import pytest
import structlog

from tests.chaos import __main__ as chaos


@pytest.fixture(autouse=True)
def structlog_as_before():
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("episode", range(3))
def test_random_operations_break_nothing(episode: int) -> None:
    done: Counter[str] = Counter()
    chaos.run_episode(2024, episode, 1_000, done)
    assert done.total() == 1_000
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
