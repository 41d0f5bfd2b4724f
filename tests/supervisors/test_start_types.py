"""Applications that need others: the order of their start, and what the end of one means (AP1, AP2)."""

from __future__ import annotations

import signal

import pytest

from actors import NORMAL, SHUTDOWN
from supervisors.start_types import StartType, ends_program, start_order
from tests.supervisors.test_application import Program, program

__all__ = ("program",)  # a fixture

NEEDS = {"web": ["cache", "db"], "cache": ["db"], "db": [], "alone": []}

PROGRAM = """
    class App(Application):
        async def prep_stop(self):
            print("prep_stop", self.name, flush=True)

        async def stopped(self, reason):
            print("stopped", self.name, reason, flush=True)

    db = App([worker("db")], name="db", start_type="{start_type}")
    cache = App([worker("cache")], name="cache", applications=[db])
    web = App([worker("web")], name="web", applications=[db, cache])
"""


def test_an_application_starts_after_all_that_it_needs_and_each_only_once():
    assert start_order("web", NEEDS.__getitem__) == ["db", "cache", "web"]
    assert start_order("alone", NEEDS.__getitem__) == ["alone"]


@pytest.mark.parametrize(
    ("start_type", "reason", "ends"),
    [
        (StartType.PERMANENT, NORMAL, True),
        (StartType.PERMANENT, SHUTDOWN, True),
        (StartType.TRANSIENT, NORMAL, False),
        (StartType.TRANSIENT, SHUTDOWN, True),
        (StartType.TRANSIENT, "crash", True),
        (StartType.TEMPORARY, "crash", False),
    ],
)
def test_what_the_end_of_an_application_means_depends_on_its_start_type(start_type, reason, ends):
    assert ends_program(start_type, reason) is ends


def lines(process, count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_needed_applications_start_before_and_stop_after(program: Program):
    with program(PROGRAM.format(start_type="temporary") + "\n    web.run()\n") as process:
        assert lines(process, 3) == ["start db", "start cache", "start web"]
        process.send_signal(signal.SIGTERM)
        signalled, *output = lines(process, 10)
        assert process.wait(timeout=20) == 0
    assert "SIGTERM" in signalled
    assert output == [
        what.format(name)
        for name in ("web", "cache", "db")
        for what in ("prep_stop {}", "stop {}", "stopped {} shutdown")
    ]


ENDS = """
    class Ender(Application):
        async def started(self, root):
            from actors import SHUTDOWN
            await Supervisor.stop("db", SHUTDOWN)

    ended = Ender([worker("web")], name="web", applications=[db])
    ended.run()
"""


def test_the_end_of_a_permanent_application_ends_the_program_in_order(program: Program):
    with program(PROGRAM.format(start_type="permanent") + ENDS) as process:
        output = process.communicate(timeout=20)[0].split("\n")
    assert process.returncode == 1
    assert output.index("stopped db shutdown") < output.index("stop web")


def test_the_end_of_a_temporary_application_is_reported_and_the_others_go_on(program: Program):
    with program(PROGRAM.format(start_type="temporary") + ENDS) as process:
        *_, stopped, told = lines(process, 5)
        assert stopped == "stopped db shutdown"
        assert "application ended" in told
        process.send_signal(signal.SIGTERM)  # the program goes on: only this ends it
        assert "stop web" in process.communicate(timeout=20)[0]
    assert process.returncode == 0


def test_a_start_that_fails_stops_what_was_started_before(program: Program):
    text = """
    class Refuses(GenServer):
        async def init(self):
            raise StartError(OSError("no room"))

    Application([Refuses], name="web", applications=[db]).run()
    """
    with program(PROGRAM.format(start_type="temporary") + text) as process:
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "no room" in errors
    assert "stop db" in output


def test_a_needed_application_that_does_not_start_is_named(program: Program):
    """AP1: its name stands before the path to the child."""
    text = """
    class Refuses(GenServer):
        async def init(self):
            raise StartError(OSError("no room"))

    broken = App([Refuses], name="broken", applications=[db])
    Application([worker("web")], name="web", applications=[broken]).run()
    """
    with program(PROGRAM.format(start_type="temporary") + text) as process:
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors.splitlines() == ["program.py: broken: Refuses: no room"]
    assert "start web" not in output
    assert "stopped db shutdown" in output


@pytest.mark.parametrize("which", ["db", "web"])
def test_an_application_whose_init_ignores_is_an_error_that_names_it(program: Program, which: str):
    """AP1: OTP takes what is no `{ok, Pid}` as a bad return; the program does not go without it."""
    text = f"""
    from actors import Ignore

    class Unwanted(Application):
        async def init(self):
            return Ignore()

    db = (Unwanted if "{which}" == "db" else Application)(name="db")
    web = (Unwanted if "{which}" == "web" else Application)([worker("web")], name="web", applications=[db])
    web.run()
    """
    with program(text) as process:
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    named = "db: " if which == "db" else ""
    assert errors.splitlines() == [f"program.py: {named}{which}.init may not return Ignore()"]
    assert "start web" not in output


RAISING = """
    class Raising(App):
        async def {hook}(self, *args):
            raise {error}

    raising = Raising([worker("raising")], name="raising", applications=[db])
    web = App([worker("web")], name="web", applications=[raising])
    web.run()
"""
ERRORS = [
    "RuntimeError('a bug')",
    "StartError('a bug')",
    "__import__('actors').ProcessExit('a bug')",
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("hook", ["prep_stop", "stopped"])
def test_a_hook_that_raises_harms_no_other_application(program: Program, hook: str, error: str):
    """AP3: the other hooks are called, and the trees stop in their order and their own time."""
    text = PROGRAM.format(start_type="temporary") + RAISING.format(hook=hook, error=error)
    with program(text) as process:
        assert lines(process, 3) == ["start db", "start raising", "start web"]
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert "application hook failed" in output
    assert "a bug" in output
    every = [
        (name, what.format(name))
        for name in ("web", "raising", "db")
        for what in ("prep_stop {}", "stop {}", "stopped {} shutdown")
    ]
    left_out = "prep_stop raising" if hook == "prep_stop" else "stopped raising shutdown"
    told = [line for line in output.splitlines() if line.startswith(("prep_stop", "stop"))]
    assert [line for line in told if line != "stopping"] == [
        line for _, line in every if line != left_out
    ]


def test_an_application_whose_started_raises_has_not_started(program: Program):
    """AP1, AP3: its tree is stopped in order, then what it needed; its error is told."""
    text = PROGRAM.format(start_type="temporary") + RAISING.format(hook="started", error=ERRORS[0])
    with program(text) as process:
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.splitlines() == ["program.py: raising: RuntimeError: a bug"]
    told = [line for line in output.splitlines() if line.startswith(("prep_stop", "stop", "start"))]
    assert told == [
        "start db",
        "start raising",
        *(each.format("raising") for each in ("prep_stop {}", "stop {}", "stopped {} shutdown")),
        *(each.format("db") for each in ("prep_stop {}", "stop {}", "stopped {} shutdown")),
    ]
