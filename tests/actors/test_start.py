"""Starting servers: the whole matrix of OTP (semantics PL, G1 to G5)."""

from contextvars import ContextVar
from typing import Any

import attrs
import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    Continue,
    Crash,
    Down,
    Exit,
    GenServer,
    Hibernate,
    IdleTimeout,
    Ignore,
    ReceiveTimeoutError,
    Shutdown,
    StartError,
    StartIgnoredError,
    Stop,
    Timeout,
    exit,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_monitor,
    trap_exit,
    whereis,
)
from actors.process import STEPS_PER_TURN
from tests.actors.helpers import forever, info_of
from tests.actors.starters import BOOM, PlainlyStarting, Starting, exits, gives, raises


@attrs.frozen
class Row:
    """One row of the matrix: what init does, what start raises, what kills a linked starter."""

    behaviour: Any
    error: Any
    kills_with: Any = None
    logged: bool = False


def ends_with(reason, *, logged):
    """Start fails with the reason, and a linked starter that does not trap dies of it."""
    return {"error": StartError(reason), "kills_with": reason, "logged": logged}


MATRIX = {
    "Stop(reason)": Row(gives(Stop("r")), **ends_with("r", logged=True)),
    "Stop(NORMAL)": Row(gives(Stop(NORMAL)), StartError(NORMAL)),
    "Stop(SHUTDOWN)": Row(gives(Stop(SHUTDOWN)), **ends_with(SHUTDOWN, logged=False)),
    "Stop(Shutdown)": Row(gives(Stop(Shutdown(1))), **ends_with(Shutdown(1), logged=False)),
    "StartError": Row(raises(StartError("r")), StartError("r")),
    "Ignore": Row(gives(Ignore()), StartIgnoredError()),
    "junk": Row(gives(42), **ends_with(BadReturn(42, "init"), logged=True)),
    "raise": Row(raises(BOOM), **ends_with(Crash(BOOM), logged=True)),
    "exit": Row(exits("r"), **ends_with("r", logged=False)),
    "exit normal": Row(exits(NORMAL), StartError(NORMAL)),
}


@pytest.fixture(params=list(MATRIX.values()), ids=list(MATRIX))
def row(request):
    return request.param


@pytest.fixture(params=[Starting, PlainlyStarting])
def starting(request):
    return request.param


def same_error(one, other):
    return type(one) is type(other) and one.reason == other.reason


async def test_a_failed_start_raises_what_otp_returns(node, starting, row):
    with pytest.raises(StartError) as caught:
        await starting.start(row.behaviour, name="x")
    assert same_error(caught.value, row.error)
    assert whereis("x") is None
    assert len(node.processes) == 1


async def test_a_failed_linked_start_leaves_a_trapping_starter_alive_and_without_an_exit(
    node, starting, row
):
    trap_exit()
    with pytest.raises(StartError) as caught:
        await starting.start_link(row.behaviour, name="x")
    assert same_error(caught.value, row.error)
    assert whereis("x") is None
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_failed_linked_start_ends_a_starter_that_does_not_trap(node, starting, row):
    me = self_pid()

    async def starter():
        try:
            await starting.start_link(row.behaviour)
        except StartError as error:
            send(me, error)

    _, ref = spawn_monitor(starter)
    down = await receive(ref)
    if row.kills_with is not None:
        assert down.reason == row.kills_with
    else:
        assert down.reason is NORMAL
        assert same_error(await receive(timeout=0), row.error)


async def test_only_failures_that_are_not_orderly_are_reported(node, starting, row):
    with structlog.testing.capture_logs() as logs, pytest.raises(StartError):
        await starting.start(row.behaviour)
    assert len(logs) == (1 if row.logged else 0)


async def test_a_monitored_start_that_fails_leaves_no_down(node, starting, row):
    with pytest.raises(StartError) as caught:
        await starting.start_monitor(row.behaviour, name="x")
    assert same_error(caught.value, row.error)
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_the_same_failure_five_times_leaks_nothing(node, starting, row):
    """PL2."""
    for _ in range(5):
        with pytest.raises(StartError) as caught:
            await starting.start(row.behaviour, name="x")
        assert same_error(caught.value, row.error)
    assert node.statistics().processes == 1
    assert node.statistics().deadlines == 0


@pytest.mark.parametrize(
    "result", [None, Continue("x"), Timeout(5, "x"), IdleTimeout(5), Hibernate()]
)
async def test_a_start_returns_the_pid_for_every_legal_result(node, starting, result):
    """PL1."""
    for start in (starting.start, starting.start_link):
        pid = await start(gives(result))
        assert await pid.call("x") == "served"


async def test_start_monitor_gives_the_pid_and_a_monitor(node):
    pid, ref = await Starting.start_monitor(gives(None))
    exit(pid, "reason")
    assert await receive(ref) == Down(ref, pid, "reason")


async def test_a_crash_is_the_cause_of_the_start_error(node):
    with pytest.raises(StartError) as caught:
        await Starting.start(raises(BOOM))
    assert caught.value.__cause__ is BOOM


async def test_an_init_that_is_ignored_inside_another_init_is_an_ordinary_refusal(node):
    async def starts_another(server):
        await Starting.start(gives(Ignore()))

    with pytest.raises(StartError) as caught:
        await Starting.start(starts_another)
    assert not isinstance(caught.value, StartIgnoredError)


async def test_a_server_without_init_takes_no_arguments(node):
    class Bare(GenServer):
        pass

    await Bare.start()
    with pytest.raises(StartError) as caught:
        await Bare.start(1)
    assert isinstance(caught.value.reason.exception, TypeError)


# -- an init that is a plain function (PL1) ------------------------------------------------------


async def test_a_server_whose_init_is_plain_is_up_before_anybody_else_has_run(node):
    ran: list[Any] = []

    async def other():
        ran.append(1)

    spawn(other)
    starts = PlainlyStarting.start, PlainlyStarting.start_link
    pids = [await start(gives(None)) for start in starts]
    assert all(pid.is_alive() for pid in pids)
    assert ran == []
    assert [await pid.call("x") for pid in pids] == ["served"] * 2


async def test_a_plain_init_runs_as_the_new_server_and_in_its_context(node):
    variable: ContextVar[str] = ContextVar("variable")

    class Plain(GenServer):
        def init(self):
            assert self_pid() is self.pid
            variable.set("the server's")

        async def handle_call(self, request, sender):
            return self_pid(), variable.get()

    variable.set("the starter's")
    pid = await Plain.start()
    assert await pid.call("x") == (pid, "the server's")
    assert variable.get() == "the starter's"
    assert self_pid() is not pid


async def test_a_plain_init_may_return_something_to_be_awaited(node, autojump_clock):
    class Plain(GenServer):
        def init(self):
            return self._set_up()

        async def _set_up(self):
            assert trio.lowlevel.current_task() is node.processes[self.pid].task
            await trio.sleep(1)
            return Continue("go")

        async def handle_continue(self, token):
            self.token = token

        async def handle_call(self, request, sender):
            return self.token

    pid = await Plain.start()
    assert trio.current_time() == 1
    assert await pid.call("x") == "go"


async def test_what_a_server_sends_itself_in_a_plain_init_is_handled_first(node):
    class Plain(GenServer):
        def init(self):
            self.got = []
            self.pid.send("first")

        async def handle_info(self, message):
            self.got.append(message)

        async def handle_call(self, request, sender):
            return self.got

    pid = await Plain.start()
    await wait_all_tasks_blocked()
    assert node.processes[pid].server.got == ["first"]
    pid.send("second")
    assert await pid.call("x") == ["first", "second"]


async def test_a_starter_of_many_lets_the_others_run_now_and_then(node):
    ran: list[Any] = []

    async def other():
        ran.append(1)

    spawn(other)
    for _ in range(2 * STEPS_PER_TURN + 2):
        await PlainlyStarting.start(gives(None))
    assert ran == [1]


@pytest.mark.parametrize("reason", [KILL, SHUTDOWN, "x"])
async def test_a_server_that_has_had_no_message_yet_dies_of_an_exit_signal(node, reason):
    pid, ref = await PlainlyStarting.start_monitor(gives(None))
    await wait_all_tasks_blocked()
    exit(pid, reason)
    assert (await receive(ref)).reason is (KILLED if reason is KILL else reason)


async def test_a_server_that_is_ended_before_its_first_step_never_awaits_its_init(node):
    ran: list[Any] = []

    async def behaviour(server):
        ran.append(1)

    with trio.CancelScope() as scope:
        scope.cancel()
        await Starting.start_link(behaviour)
    await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert ran == []
    assert len(node.processes) == 1


# -- links and parents (G4) ----------------------------------------------------------------------


async def test_start_link_links_and_start_does_not(node):
    trap_exit()
    linked = await Starting.start_link(gives(None))
    alone = await Starting.start(gives(None))
    assert info_of(self_pid()).links == (linked,)
    assert info_of(linked).parent is self_pid()
    assert info_of(alone).parent is alone
    exit(linked, "x")
    assert await receive() == Exit(linked, "x")


async def test_the_exit_of_the_starter_is_an_ordinary_message_for_an_unlinked_server(node):
    got: list[Any] = []

    class Listening(GenServer):
        trap_exit = True

        async def handle_info(self, message):
            got.append(message)

    pid = await Listening.start()
    exit(pid, SHUTDOWN)
    await wait_all_tasks_blocked()
    assert got == [Exit(self_pid(), SHUTDOWN)]
    assert pid.is_alive()


async def test_ancestors_of_a_server_are_its_starters(node):
    register("main", self_pid())
    pid = await Starting.start_link(gives(None))
    assert info_of(pid).ancestors == ("main",)
    assert info_of(pid).module is Starting


# -- child specs (G33) ---------------------------------------------------------------------------


def test_a_child_spec_says_how_to_start_the_server():
    spec = Starting.child_spec("argument")
    assert spec == {"id": Starting, "start": (Starting.start_link, ("argument",), {})}


def test_a_child_spec_can_be_overridden():
    spec = Starting.child_spec(id="x", restart="temporary", shutdown=1, significant=True, name="n")
    assert spec == {
        "id": "x",
        "restart": "temporary",
        "shutdown": 1,
        "significant": True,
        "start": (Starting.start_link, (), {"name": "n"}),
    }


def test_the_id_of_a_child_spec_is_the_name_if_there_is_one():
    assert Starting.child_spec(name="n")["id"] == "n"


# -- arguments that are none ---------------------------------------------------------------------


@attrs.frozen
class Frozen(GenServer):
    """Cannot be given its process."""


@pytest.mark.parametrize("options", [{"mailbox": 10}, {"debug": True}], ids=repr)
@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_an_option_of_the_wrong_kind_is_refused_and_nothing_has_started(node, verb, options):
    """PL2."""
    with pytest.raises(TypeError, match=next(iter(options))):
        await getattr(Starting, verb)(gives(None), **options)
    assert node.statistics().processes == 1
    with pytest.raises(TypeError, match="mailbox"):
        spawn(forever, mailbox=10)  # type: ignore[arg-type]  # that is the point
    assert node.statistics().processes == 1


async def test_a_class_that_cannot_be_started_leaves_nothing(node):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        await Frozen.start_link()
    assert node.statistics().processes == 1
