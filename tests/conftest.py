"""Fixtures and helpers of the whole suite.

Trio runs every `async def test_...` (`trio_mode`); `nursery`, `mock_clock` and `autojump_clock` come from pytest-trio.
A fixture and its test run in different Trio tasks but share one context, so the current node is the same in both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from actors import Node, open_node

# A slow machine is not a counterexample. Under `CI` Hypothesis itself starts from its "ci" profile.
hypothesis.settings.register_profile("house", parent=hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("house")

ROOT = Path(__file__).parent.parent
CONFORMANCE = ROOT / "tests" / "conformance"

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Node.js or a browser, so that `-m 'not conformance'` leaves it out; refuse names that vary."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "node_js" in fixtures:
            item.add_marker("conformance")
        if "chromium" in fixtures:
            item.add_marker("browser")
    _refuse_names_that_vary(items)


def _refuse_names_that_vary(items: list[pytest.Item]) -> None:
    """A name that differs from run to run cannot be asked for again, nor shared out by pytest-xdist."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError("give these cases ids of their own: " + ", ".join(unstable))


def missing(what: str, how_to_get_it: str) -> NoReturn:
    """Skip on a developer's machine; fail where `CI` is set, because CI must not pass by running less."""
    message = f"{what} is missing; to get it: {how_to_get_it}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def require(tool: str, how_to_get_it: str) -> str:
    """Return the path of program `tool`, or skip (under `CI`: fail) with one line that says how to get it."""
    return shutil.which(tool) or missing(tool, how_to_get_it)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """An open node: the current one for the test and for everything that it spawns.

    Its main process lives in the fixture's task, so a test that itself calls `receive()` opens a node of its own.
    """
    async with open_node() as node:
        yield node


@pytest.fixture(scope="session")
def node_js() -> str:
    """The path of the Node.js program."""
    return require("node", "apt install nodejs npm, or https://nodejs.org (20 or newer)")


@pytest.fixture(scope="session")
def npm_packages(node_js: str) -> Path:
    """`tests/conformance/node_modules`, installed at the exact versions of `package.json`; quick when it is there."""
    npm = require("npm", "apt install npm, or https://nodejs.org (20 or newer)")
    with (CONFORMANCE / "package.json").open() as package:
        fcntl.flock(package, fcntl.LOCK_EX)  # workers of pytest-xdist come here at the same time
        return _install_npm_packages(npm)


def _install_npm_packages(npm: str) -> Path:
    modules = CONFORMANCE / "node_modules"
    stamp = modules / ".set-up"  # the one that `make node` keeps
    if stamp.exists() and stamp.stat().st_mtime >= (CONFORMANCE / "package.json").stat().st_mtime:
        return modules
    command = [
        npm,
        "install",
        "--prefix",
        str(CONFORMANCE),
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
    ]
    installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if installed.returncode != 0:
        missing("npm's packages", f"make node, with a network ({installed.stderr.strip()[-200:]})")
    stamp.touch()
    return modules


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome browser."""
    found = (shutil.which(name) for name in CHROMIUM_NAMES)
    return next(filter(None, found), None) or missing("Chromium", "apt install chromium")
