"""Tests of supervisors run on a clock that jumps, in a node whose main process traps exits.

So a supervisor may take its time and may end without the test.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors import Node
from tests.supervisors.workers import Play


def _run_on_jumping_clock(main: Any, **options: Any) -> Any:
    if options.get("clock") is None:
        options["clock"] = MockClock(autojump_threshold=0)
    return trio.run(main, **options)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As if every test here asked for `autojump_clock`."""
    for item in items:
        if Path(__file__).parent in item.path.parents and inspect.iscoroutinefunction(
            getattr(item, "obj", None)
        ):
            item.add_marker(pytest.mark.trio(run=_run_on_jumping_clock))


@pytest.fixture
def play(node: Node) -> Play:
    """An empty play."""
    node.main.trap_exit = True
    return Play()
