"""Applications that are started and stopped on a running node: AP1 to AP4 of OTP's `application`."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    AlreadyStartedError,
    CallTimeoutError,
    Crash,
    NodeExitedError,
    Pid,
    Shutdown,
    is_orderly,
    open_node,
    spawn,
    whereis,
)
from supervisors import (
    Application,
    ApplicationEnded,
    ApplicationNotStartedError,
    ApplicationStartError,
    StartType,
    Supervisor,
)
from tests.supervisors.workers import Play, settle


class App(Application):
    """One child, named as the application, and hooks that write into the diary."""

    def __init__(self, play: Play, name: str, *applications: Application, **options: Any) -> None:
        super().__init__([play.child(name)], name=name, applications=applications, **options)
        self.play = play

    async def prep_stop(self) -> None:
        self.play.diary.append(f"prep_stop {self.name}")

    async def stopped(self, reason: object) -> None:
        self.play.diary.append(f"stopped {self.name} {reason}")


STOPS = "prep_stop {0}, stop {0}, stopped {0} shutdown"


def stops(*names: str) -> str:
    """What the diary says of an orderly stop of these, one after the other."""
    return ", ".join(STOPS.format(name) for name in names)


@pytest.fixture
def db(play: Play) -> App:
    return App(play, "db")


@pytest.fixture
def web(play: Play, db: App) -> App:
    return App(play, "web", App(play, "cache", db), db)


async def names() -> list[str | None]:
    """The names of the applications that run, newest first."""
    return [each.application.name for each in await Application.which_applications()]


# -- starting ------------------------------------------------------------------------------------


async def test_an_application_is_started_and_its_root_is_told(play: Play, db: App):
    """AP1."""
    root = await db.start()
    assert whereis("db") is root
    (running,) = await Application.which_applications()
    assert (running.application, running.root, running.start_type) == (
        db,
        root,
        StartType.TEMPORARY,
    )
    assert play.entries() == "start db"


async def test_an_application_does_not_start_before_what_it_needs(play: Play, web: App):
    """AP1: not_started."""
    with pytest.raises(ApplicationNotStartedError, match=r"not_started.*cache.*'?web"):
        await web.start()
    assert play.entries() == ""


async def test_an_application_starts_once(play: Play, db: App):
    """AP1: already_started."""
    root = await db.start()
    with pytest.raises(AlreadyStartedError) as caught:
        await db.start()
    assert caught.value.pid is root
    assert play.entries() == "start db"


async def test_what_an_application_needs_is_started_with_it(play: Play, db: App, web: App):
    """AP1: ensure_all_started gives those that did not run before."""
    await db.start()
    assert [each.name for each in await web.ensure_all_started()] == ["cache", "web"]
    assert await web.ensure_all_started() == []
    assert await names() == ["web", "cache", "db"]
    assert play.entries() == "start db, start cache, start web"


@pytest.mark.parametrize("running", [True, False])
async def test_a_start_that_fails_stops_what_it_has_started(
    play: Play, db: App, web: App, running: bool
):
    """AP1: and nothing that ran before."""
    if running:
        await db.start()
    play.script("web", "error")
    with pytest.raises(ApplicationStartError, match=r"web.*refused") as caught:
        await web.ensure_all_started()
    assert caught.value.application is web
    assert await names() == (["db"] if running else [])
    assert play.entries().split(", fail web, ")[1] == (
        stops("cache") if running else stops("cache", "db")
    )


async def test_what_is_needed_may_end_before_it_is_used(play: Play, db: App):
    """AP1: then the start fails as any other."""

    class Saboteur(App):
        async def started(self, root: Pid) -> None:
            await Supervisor.stop("db")

    web = App(play, "web", db, Saboteur(play, "saboteur", db))
    with pytest.raises(ApplicationStartError, match=r"web.*not_started.*db") as caught:
        await web.ensure_all_started()
    assert caught.value.application is web
    assert await names() == []
    assert play.entries().endswith(stops("saboteur"))


async def test_who_asks_for_an_application_that_is_starting_waits_for_it(play: Play):
    """OTP answers all of them when it has started."""

    class Slow(App):
        async def started(self, root: Pid) -> None:
            await trio.sleep(1)

    slow = Slow(play, "slow")
    roots: list[Pid] = []

    async def start() -> None:
        roots.append(await slow.start())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        nursery.start_soon(start)
        await settle()
        assert await names() == []  # the controller serves others meanwhile
        with pytest.raises(ApplicationNotStartedError):
            await slow.stop()
    assert roots == [whereis("slow")] * 2
    assert play.entries() == "start slow"


async def test_a_hook_may_start_another_application(play: Play, db: App):
    class Starter(App):
        async def started(self, root: Pid) -> None:
            await db.start()

    await Starter(play, "starter").start()
    assert await names() == ["starter", "db"]  # in the order in which they had started


async def test_an_application_whose_started_raises_is_stopped_again(play: Play):
    """AP1, AP3."""

    class Raising(App):
        async def started(self, root: Pid) -> None:
            raise RuntimeError("a bug")

    with capture_logs() as log, pytest.raises(ApplicationStartError) as caught:
        await Raising(play, "raising").start()
    assert isinstance(caught.value.reason, Crash)
    assert await names() == []
    assert play.entries() == f"start raising, {stops('raising')}"
    (told,) = [entry for entry in log if entry["event"] == "application hook failed"]
    assert (told["application"], told["hook"]) == ("raising", "started")


async def test_an_application_whose_master_is_killed_has_not_started(play: Play):
    class Slow(App):
        async def started(self, root: Pid) -> None:
            await trio.sleep_forever()

    slow = Slow(play, "slow")
    failures: list[Any] = []

    async def start() -> None:
        with pytest.raises(ApplicationStartError) as caught:
            await slow.start()
        failures.append(caught.value.reason)

    spawn(start)
    await settle()
    (master, *_) = whereis("slow").target.ancestors  # type: ignore[union-attr]  # a process
    master.exit(KILL)
    await settle()
    assert failures == [KILLED]
    assert whereis("slow") is None


# -- stopping ------------------------------------------------------------------------------------


async def test_an_application_stops_without_what_it_needs(play: Play, web: App):
    """AP3: prep_stop, the tree, stopped; nothing else."""
    await web.ensure_all_started()
    play.entries()
    await web.stop()
    assert play.entries() == stops("web")
    assert await names() == ["cache", "db"]
    assert not whereis("web")


async def test_what_strangers_send_to_a_master_is_dropped(play: Play, db: App):
    """A mailbox that nobody empties would grow as long as the application runs."""
    root = await db.start()
    (master, *_) = root.target.ancestors  # type: ignore[attr-defined]  # a process
    process = master.target
    for stranger in ("junk", root):
        master.send(stranger)
    await settle()
    assert process.at_rest
    await db.stop()
    assert play.entries() == f"start db, {stops('db')}"


@pytest.mark.parametrize("junk", [None, "start", ("start", 1, 2), ["stop"]], ids=repr)
async def test_what_the_controller_does_not_know_is_dropped(play: Play, db: App, junk: Any):
    """As supervisors do (S9): it must not end all applications."""
    await db.start()
    controller = whereis("application_controller")
    assert controller is not None
    with capture_logs() as log, pytest.raises(CallTimeoutError):
        controller.cast(junk)
        controller.send(junk)
        await controller.call(junk)
    assert [entry["event"] for entry in log] == ["unexpected_message"] * 3
    assert await names() == ["db"]


async def test_an_application_that_does_not_run_is_not_stopped(play: Play, db: App):
    """AP3: not_started."""
    with pytest.raises(ApplicationNotStartedError, match=r"not_started.*db"):
        await db.stop()


async def test_a_stopped_application_starts_again(play: Play, db: App):
    await db.start()
    await db.stop()
    await db.start()
    assert play.entries() == f"start db, {stops('db')}, start db"


async def test_an_application_has_all_the_time_that_its_children_have(play: Play):
    """AP3: infinite patience; the limits are the children's own."""
    slow = Application([play.child("slow", slow=300.0, shutdown=600.0)], name="slow")
    await slow.start()
    began = trio.current_time()
    await slow.stop()
    assert trio.current_time() - began == pytest.approx(300.0)
    assert play.reasons["slow"] == [SHUTDOWN]


async def test_a_stop_that_comes_while_the_tree_ends_waits_for_it(play: Play, db: App):
    await db.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(db.stop)
        whereis("db").exit(KILL)  # type: ignore[union-attr]  # it runs
    assert await names() == []


# -- ends ----------------------------------------------------------------------------------------


async def give_up(name: str, reason: Any) -> None:
    """Let the root of an application end for `reason`."""
    if is_orderly(reason):
        await Supervisor.stop(name, reason)
    else:
        whereis(name).exit(KILL)  # type: ignore[union-attr]  # it runs


ENDS = [
    (StartType.PERMANENT, NORMAL, True),
    (StartType.PERMANENT, SHUTDOWN, True),
    (StartType.PERMANENT, KILLED, True),
    (StartType.TRANSIENT, NORMAL, False),
    (StartType.TRANSIENT, SHUTDOWN, True),
    (StartType.TEMPORARY, KILLED, False),
]


@pytest.mark.parametrize(("start_type", "reason", "ends"), ENDS)
async def test_the_end_of_an_application_ends_the_node_if_its_start_type_says_so(
    start_type: StartType, reason: Any, ends: bool
):
    """AP2: the other applications stop in order first."""
    play = Play()
    told: list[Any] = []
    try:
        async with open_node():
            db = App(play, "db", start_type=start_type)
            await App(play, "web", db).ensure_all_started()
            play.entries()
            await give_up("db", reason)
            await settle()
            assert await names() == ["web"]
            told.append("goes on")
    except NodeExitedError as error:
        told.append(error.reason)
    if ends:
        assert told == [Shutdown(ApplicationEnded("db", reason))]
        diary = play.entries().split(", ")
        assert diary[-3:] == stops("web").split(", ")
        assert f"stopped db {reason}" in diary
    else:
        assert told == ["goes on"]


async def test_the_end_of_an_application_is_reported(play: Play, db: App):
    """AP2."""
    await db.start()
    with capture_logs() as log:
        await give_up("db", SHUTDOWN)
        await settle()
    (told,) = [entry for entry in log if entry["event"] == "application ended"]
    assert (told["application"], told["reason"], told["log_level"]) == ("db", SHUTDOWN, "error")


async def test_the_end_of_a_node_stops_its_applications_newest_first():
    """AP4."""
    play = Play()
    async with open_node():
        db = App(play, "db")
        await App(play, "web", App(play, "cache", db), db).ensure_all_started()
        play.entries()
    assert play.entries() == stops("web", "cache", "db")


async def test_the_end_of_a_node_stops_an_application_that_is_starting():
    """AP4."""
    play = Play()

    class Slow(App):
        async def started(self, root: Pid) -> None:
            await trio.sleep(1)

    async with open_node():
        spawn(Slow(play, "slow").start)
        await settle()
        play.entries()
    assert play.entries() == stops("slow")


async def test_a_node_without_applications_has_none(play: Play):
    assert await Application.which_applications() == []
    assert whereis("application_controller") is None
