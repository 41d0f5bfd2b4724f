"""Application as a program: AP3 to AP5; real programs, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from actors import TIMEOUT, Crash, Shutdown, StartError
from supervisors import ConfigurationError, FailedToStartChild
from supervisors.start_failure import explain, is_configuration_error

ROOT = Path(__file__).parents[2]
Program = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
HEAD = """
    import os, signal, sys, time
    import trio
    from actors import GenServer, StartError
    from supervisors import Application, ConfigurationError, InvalidFlagError, Restart, Supervisor

    class Worker(GenServer):
        async def init(self, name, slow=0.0):
            self.name, self.slow = name, slow
            print("start", name, flush=True)

        async def handle_info(self, message):
            raise RuntimeError("told to crash")

        async def terminate(self, reason):
            await trio.sleep(self.slow)
            print("stop", self.name, flush=True)

    def worker(name, **options):
        return Worker.child_spec(name, id=name, **options)
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Starts a program made of HEAD and the text that it is given."""

    @contextmanager
    def start(text: str) -> Iterator[subprocess.Popen[str]]:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(text))
        process = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return start


def read_until(process: subprocess.Popen[str], line: str) -> list[str]:
    """The lines that the program prints up to and with `line`."""
    assert process.stdout is not None
    lines: list[str] = []
    for each in process.stdout:
        lines.append(each.rstrip())
        if lines[-1] == line:
            return lines
    raise AssertionError(f"{line!r} never came; {lines}")


def only_workers(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("start ", "stop "))]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_signal_is_an_ordered_stop_with_exit_code_0(program: Program, signum: signal.Signals):
    """AP3 to AP5."""
    with program("""
        Application([worker("a"), worker("b"), worker("c")]).run()
    """) as process:
        read_until(process, "start c")
        process.send_signal(signum)
        out, err = process.communicate(timeout=10)
    assert only_workers(out) == ["stop c", "stop b", "stop a"]
    assert (process.returncode, err) == (0, "")


def test_a_second_signal_kills_even_while_a_child_takes_its_time(program: Program):
    """AP4."""
    with program("""
        Application([Worker.child_spec("slow", slow=60.0, shutdown=60.0)]).run()
    """) as process:
        read_until(process, "start slow")
        process.send_signal(signal.SIGTERM)
        read_stopping(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_second_signal_kills_even_while_the_event_loop_hangs(
    program: Program, signum: signal.Signals
):
    """AP4: also where it hung already when the first one came."""
    with program("""
        from actors import Continue

        class Busy(Worker):
            async def init(self, name):
                return Continue("go")

            async def handle_continue(self, token):
                import signal
                print("hangs", flush=True)
                while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
                    pass
                print("told", flush=True)
                while True:
                    pass

        Application([Busy.child_spec("busy")]).run()
    """) as process:
        read_until(process, "hangs")
        process.send_signal(signum)
        read_until(process, "told")
        process.send_signal(signum)
        process.communicate(timeout=10)
    assert process.returncode == -signum


def read_stopping(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any("stopping" in line for line in process.stdout)


def test_a_signal_that_comes_during_the_start_stops_in_order_when_all_have_started(
    program: Program,
):
    """A supervisor is asked nothing while it starts its children (S5)."""
    with program("""
        class Slow(Worker):
            async def init(self, name):
                print("starting", name, flush=True)
                await trio.sleep(0.5)
                await super().init(name)

        Application([worker("a"), Slow.child_spec("b")]).run()
    """) as process:
        read_until(process, "starting b")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    assert only_workers(out) == ["start b", "stop b", "stop a"]
    assert process.returncode == 0


def test_the_hooks_are_called_in_their_order(program: Program):
    """AP3: prep_stop while the tree runs, stopped when it has ended."""
    with program("""
        class Program(Application):
            async def started(self, root):
                print("hook started", (await Supervisor.count_children(root)).active, flush=True)

            async def prep_stop(self):
                print("hook prep_stop", (await Supervisor.count_children("root")).active, flush=True)

            async def stopped(self, reason):
                print("hook stopped", reason, flush=True)

        Program([worker("a")], name="root").run()
    """) as process:
        read_until(process, "hook started 1")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    assert [line for line in out.splitlines() if line.startswith(("hook", "stop "))] == [
        "hook prep_stop 1",
        "stop a",
        "hook stopped shutdown",
    ]


def test_init_of_a_subclass_gives_the_tree(program: Program):
    with program("""
        from supervisors import SupervisorFlags, Strategy

        class Program(Application):
            async def init(self):
                return SupervisorFlags(Strategy.ONE_FOR_ALL), [worker("x")]

        Program().run()
    """) as process:
        read_until(process, "start x")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_tree_that_gives_up_ends_the_program_with_exit_code_1(program: Program):
    """AP2, AP5."""
    with program("""
        class Program(Application):
            async def started(self, root):
                (await Supervisor.which_children(root))[0].pid.send("crash")

        Program([worker("a"), worker("b")], max_restarts=0).run()
    """) as process:
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert only_workers(out) == ["start a", "start b", "stop b", "stop a"]
    assert "application ended" in out


def test_stopping_the_root_by_hand_is_exit_code_0(program: Program):
    """AP5."""
    with program("""
        class Program(Application):
            async def started(self, root):
                await Supervisor.stop("root")

        Program([worker("a")], name="root").run()
    """) as process:
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert only_workers(out) == ["start a", "stop a"]


CONFIGURATION = {
    "a port that is taken": (
        'OSError(98, "Address already in use")',
        "program.py: web: [Errno 98] Address already in use",
    ),
    "a folder that is missing": (
        'FileNotFoundError("no folder ./static")',
        "program.py: web: no folder ./static",
    ),
    "a refusal": (
        'StartError(ConfigurationError("port must be 0 to 65535"))',
        "program.py: web: port must be 0 to 65535",
    ),
    "a wrong flag": (
        'InvalidFlagError("invalid_intensity", -1, "at least 0")',
        "program.py: web: invalid_intensity: got -1; expected at least 0",
    ),
}


@pytest.mark.parametrize(("error", "line"), CONFIGURATION.values(), ids=CONFIGURATION)
def test_a_wrong_configuration_is_one_line_on_stderr_and_exit_code_2(
    program, error: str, line: str
):
    """AP5."""
    with program(f"""
        async def start():
            raise {error}

        inner = Supervisor.child_spec([worker("a"), {{"id": "web", "start": start}}], id="inner")
        Application([inner]).run()
    """) as process:
        out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert err.splitlines() == [line.replace("web", "inner: web")]
    assert "error" not in out
    assert only_workers(out) == ["start a", "stop a"]


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ("[{'id': 1}]", "missing_start"),
        ("[int]", "invalid_child_spec"),
        ("[worker('a'), worker('a')]", "duplicate_child_name"),
        ("[worker('a', shutdown='soon')]", "invalid_shutdown"),
    ],
)
def test_a_wrong_child_is_one_line_on_stderr_and_exit_code_2(
    program: Program, children: str, message: str
):
    """S3, AP5."""
    with program(f"""
        Application({children}).run()
    """) as process:
        out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("program.py: ")
    assert message in err
    assert out == ""


def test_a_child_that_crashes_during_the_start_is_exit_code_1(program: Program):
    """AP5."""
    with program("""
        class Buggy(GenServer):
            async def init(self):
                raise ZeroDivisionError("a bug")

        Application([Buggy]).run()
    """) as process:
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert err.splitlines() == ["program.py: Buggy: ZeroDivisionError: a bug"]
    assert "Traceback" in out


@pytest.mark.parametrize(
    "error",
    ['KeyError("a bug")', 'TypeError("a bug")', 'ValueError("a bug")', 'TimeoutError("a bug")'],
)
def test_what_may_be_a_bug_is_not_taken_for_a_wrong_configuration(program: Program, error: str):
    """S36, AP5: it is reported as any failed start, with its traceback, and exit code 1."""
    with program(f"""
        async def start():
            raise {error}

        Application([worker("a"), {{"id": "web", "start": start}}]).run()
    """) as process:
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert err.startswith("program.py: web: ")
    assert "a bug" in err
    assert "start_error" in out
    assert only_workers(out) == ["start a", "stop a"]


# -- reading a failed start ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "line", "configuration"),
    [
        (Crash(OSError(98, "in use")), "[Errno 98] in use", True),
        (Shutdown(FailedToStartChild("db", ConfigurationError("bad url"))), "db: bad url", True),
        (Shutdown(FailedToStartChild(dict, Crash(KeyError("X")))), "dict: KeyError: 'X'", False),
        (StartError(Crash(ImportError("no redis"))), "ImportError: no redis", False),
        (Crash(ValueError("bad value")), "bad value", False),
        (Crash(TimeoutError("nobody answered")), "nobody answered", False),
        (Crash(RuntimeError("two\nlines")), "RuntimeError: two lines", False),
        ("in words", "in words", False),
        (Crash(ValueError("a\x1b[31mred\r\n  b")), r"a\x1b[31mred b", False),
        (Crash(ValueError("x" * 5_000)), "x" * 2_000 + "… (5000 characters)", False),
        (TIMEOUT, "timeout", False),
    ],
    ids=repr,
)
def test_a_failed_start_is_told_in_one_line(reason: object, line: str, configuration: bool):
    error = StartError(reason)
    assert explain(error) == line
    assert is_configuration_error(error) is configuration


class Unspeakable(OSError):
    """There is a mistake in its own words."""

    def __str__(self) -> str:
        raise AttributeError("nothing")

    __repr__ = __str__


def test_a_failed_start_is_told_even_if_the_error_cannot_say_what_it_is():
    error = StartError(Crash(Unspeakable()))
    assert explain(error) == "<Unspeakable: its repr raised AttributeError>"
    assert is_configuration_error(error)
