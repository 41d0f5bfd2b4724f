"""A report that cannot be made or logged harms nobody (semantics K4; OTP's logger removes a handler that fails)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from actors import Crash, GenServer, ProcessExit, spawn
from actors.reports import emit, fact, shorten
from actors.testing import assert_down
from tests.actors.helpers import Boom, fail


class Odd(BaseException):
    """Neither an Exception nor an exit."""


class Unshowable(Exception):
    """Raises when somebody wants to see it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self):
        raise self.error


RAISED = [Boom("on purpose"), ProcessExit("on purpose"), Odd(), BaseExceptionGroup("", [Odd()])]


def kind(error: Any) -> str:
    return type(error).__name__


@pytest.fixture(params=RAISED, ids=kind)
def failing_log(request) -> Iterator[None]:
    """The program's log has a processor that raises."""

    def broken(*_: Any) -> Any:
        raise request.param

    structlog.configure(processors=[broken])
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("raised", RAISED, ids=kind)
async def test_a_reason_that_cannot_be_shown_is_told_as_such_and_harms_nobody(raised, node):
    """K4: the report is made in the death procedure."""
    error = Unshowable(raised)
    with structlog.testing.capture_logs() as logs:
        assert await assert_down(spawn(fail, error)) == Crash(error)
    [log] = logs
    assert "its repr raised" in log["reason"]


async def test_a_log_that_raises_harms_no_process_that_dies(failing_log, node, capsys):
    """K4: of a plain process and of a server; one line on stderr takes the place of the report."""

    class Fragile(GenServer):
        async def handle_cast(self, message):
            raise message

    error = Boom("the true reason")
    assert await assert_down(spawn(fail, error)) == Crash(error)
    server = await Fragile.start()
    server.cast(error)
    assert await assert_down(server) == Crash(error)
    lines = capsys.readouterr().err.splitlines()
    assert [("process exited" in line, "GenServer terminating" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]
    assert all("the true reason" in line for line in lines)


async def test_a_report_that_cannot_even_be_told_on_stderr_is_lost(failing_log, node, monkeypatch):
    """K4."""

    class Closed:
        def write(self, text):
            raise OSError("closed")

    monkeypatch.setattr(sys, "stderr", Closed())
    error = Boom()
    assert await assert_down(spawn(fail, error)) == Crash(error)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_failure_of_the_log(interrupt):
    """N3: it ends the program, wherever it hits."""

    class Log:
        def error(self, event):
            raise interrupt

    with pytest.raises(interrupt):
        emit(Log(), "error", "x")


PROGRAM = """
import os, sys, trio
from actors import run, spawn

async def crash():
    raise OSError("why")

async def main():
    for _ in range(3):
        await spawn(crash).wait_exited()
    print("alive", file=sys.stderr)

run(main)
sys.stderr.flush()
os._exit(0)  # the interpreter itself would complain about its closed stdout
"""


def test_a_program_whose_output_nobody_reads_any_more_survives_a_crash():
    """K4: `python program.py | head -1`, with structlog as it comes, which prints to stdout."""
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    *reports, last = ran.stderr.splitlines()
    assert last == "alive"
    assert len(reports) == 3
    assert all("BrokenPipeError" in line and "why" in line for line in reports)
    assert ran.returncode == 0


class Named(str):
    """A string that may show itself as anything."""

    __slots__ = ()


@pytest.mark.parametrize("plain", [None, True, 5, 5.0, "text"], ids=repr)
def test_plain_values_are_facts_as_they_are(plain):
    assert fact(plain) is plain


@pytest.mark.parametrize("value", [["x"], 10**100, Named("x"), Boom("x")], ids=kind)
def test_other_values_are_facts_as_they_show_themselves(value):
    assert fact(value) == shorten(value) == repr(value)


def test_a_long_text_is_a_fact_only_as_far_as_it_is_short():
    assert fact("x" * 10_000).endswith("(10002 characters)")


async def test_a_program_without_a_log_of_its_own_sees_a_plain_traceback_without_values(
    node, capsys
):
    """LG1: what structlog draws by default, where rich is installed, holds the loop and shows what variables hold."""

    async def fragile():
        password = "sword" + "fish"  # so that the source line does not show it
        raise Boom(f"length {len(password)}")

    structlog.reset_defaults()
    await assert_down(spawn(fragile))
    out = capsys.readouterr().out
    assert "in fragile" in out
    assert "Boom: length 9" in out
    assert "swordfish" not in out
