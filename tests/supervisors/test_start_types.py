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
            import actors
            actors.whereis("db").exit(actors.SHUTDOWN)

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
