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
    TIMEOUT,
    AlreadyStartedError,
    BadReturn,
    Continue,
    Crash,
    Down,
    Exit,
    GenServer,
    Hibernate,
    IdleTimeout,
    Ignore,
    Pid,
    ReceiveTimeoutError,
    Shutdown,
    StartError,
    StartIgnoredError,
    Stop,
    Timeout,
    Via,
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
from tests.actors.helpers import Boom, forever, info_of

BOOM = Boom("init")


class Starting(GenServer):
    """Its `init` does what it is told."""

    async def init(self, behaviour):
        return await behaviour(self)

    async def handle_call(self, request, sender):
        return "served"

    async def handle_info(self, message):
        pass

    async def handle_continue(self, token):
        pass


class PlainlyStarting(Starting):
    """The same, with an `init` that is a plain function."""

    def init(self, behaviour):  # the base has it async
        try:
            behaviour(self).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")


def gives(value):
    async def behaviour(server):
        return value

    return behaviour


def raises(error):
    async def behaviour(server):
        raise error

    return behaviour


def exits(reason):
    async def behaviour(server):
        exit(server.pid, reason)

    return behaviour


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


# -- the time that init may take (PL3) -----------------------------------------------------------


async def slow(server):
    await trio.sleep(60)


@pytest.mark.parametrize("traps", [False, True])
async def test_a_slow_init_is_killed_and_its_linked_starter_survives(node, autojump_clock, traps):
    """PL3."""
    trap_exit(traps)
    with structlog.testing.capture_logs() as logs, pytest.raises(StartError) as caught:
        await Starting.start_link(slow, timeout=2, name="x")
    assert caught.value.reason is TIMEOUT
    assert trio.current_time() == pytest.approx(2)
    assert whereis("x") is None
    assert logs == []
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=1)


@pytest.mark.parametrize("wrong", [float("nan"), -1, "soon"], ids=repr)
@pytest.mark.parametrize("verb", ["start", "start_link", "start_monitor"])
async def test_a_timeout_that_is_none_is_refused_before_anything_starts(wrong, verb, node):
    """PL3, G1: an argument error in the starter."""

    class Plain(GenServer):
        def init(self):
            pass

    class Waiting(GenServer):
        async def init(self):
            await trio.sleep_forever()

    for server in (Plain, Waiting):
        with pytest.raises((TypeError, ValueError), match="a time limit is"):
            await getattr(server, verb)(name="name", timeout=wrong)
    assert node.statistics().processes == 1
    assert node.statistics().names == 0


async def test_an_init_that_is_quick_enough_leaves_no_deadline(node):
    await Starting.start(gives(None), timeout=2)
    assert node.statistics().deadlines == 0


async def test_a_starter_that_gives_up_takes_the_unfinished_server_down(node, autojump_clock):
    pids: list[Any] = []

    async def tells(server):
        pids.append(server.pid)
        await trio.sleep_forever()

    with trio.move_on_after(1):
        await Starting.start_link(tells)
    await wait_all_tasks_blocked()
    assert not pids[0].is_alive()
    assert self_pid().is_alive()


async def test_a_starter_that_dies_takes_the_server_that_it_starts_with_it(node):
    pids: list[Any] = []

    async def tells(server):
        pids.append(server.pid)
        await trio.sleep_forever()

    async def starter():
        await Starting.start_link(tells)

    pid = spawn(starter)
    await wait_all_tasks_blocked()
    exit(pid, "x")
    await wait_all_tasks_blocked()
    assert not pids[0].is_alive()


async def test_a_starter_that_dies_leaves_the_server_alone_that_it_starts_without_a_link(
    node, autojump_clock
):
    pids: list[Any] = []

    async def slow_init(server):
        pids.append(server.pid)
        await trio.sleep(1)

    async def starter():
        await Starting.start(slow_init)

    pid = spawn(starter)
    await wait_all_tasks_blocked()
    exit(pid, "x")
    await trio.sleep(2)
    assert await pids[0].call("x") == "served"


async def test_a_server_that_is_killed_during_init_fails_its_start(node):
    async def is_killed(server):
        exit(server.pid, KILL)
        await trio.sleep_forever()

    with pytest.raises(StartError) as caught:
        await Starting.start(is_killed)
    assert caught.value.reason is KILLED


async def test_an_exit_signal_during_init_fails_the_start_even_if_init_returns(node):
    async def is_hit(server):
        spawn(_send_exit, server.pid)
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()

    with pytest.raises(StartError) as caught:
        await Starting.start(is_hit)
    assert caught.value.reason == "hit"


async def _send_exit(pid):
    exit(pid, "hit")


# -- names (G2, G3, PL6) -------------------------------------------------------------------------


async def test_the_name_is_taken_before_init_runs(node):
    seen: list[Any] = []

    async def looks(server):
        seen.append(whereis("x"))

    pid = await Starting.start(looks, name="x")
    assert seen == [pid]


async def test_a_taken_name_is_told_with_its_holder_and_init_is_not_run(node):
    ran: list[Any] = []

    async def init(server):
        ran.append(1)

    first = await Starting.start(init, name="x")
    for start in (Starting.start, Starting.start_link, Starting.start_monitor):
        with pytest.raises(AlreadyStartedError) as caught:
            await start(init, name="x")
        assert caught.value.pid is first
        assert caught.value.reason == ("already_started", first)
    assert ran == [1]


async def test_a_name_of_the_wrong_kind_is_refused_before_anything_starts(node):
    with pytest.raises(TypeError, match="Via"):
        await Starting.start(gives(None), name=42)  # type: ignore[arg-type]  # on purpose
    assert len(node.processes) == 1


class DictRegistry:
    """The smallest registry that `Via` can use."""

    def __init__(self, error: Exception | None = None) -> None:
        self.names: dict[Any, Pid] = {}
        self.error = error

    def register_name(self, key: Any, pid: Pid) -> bool:
        if self.error is not None:
            raise self.error
        return self.names.setdefault(key, pid) is pid

    def unregister_name(self, key: Any) -> None:
        del self.names[key]

    def whereis_name(self, key: Any) -> Pid | None:
        return self.names.get(key)


async def test_a_server_can_have_a_name_in_a_registry(node):
    name = Via(DictRegistry(), "x")
    pid = await Starting.start(gives(None), name=name)
    assert whereis(name) is pid
    assert await Starting.call(name, "hello") == "served"
    with pytest.raises(AlreadyStartedError) as caught:
        await Starting.start(gives(None), name=name)
    assert caught.value.pid is pid


async def test_a_registry_that_refuses_leaves_no_process_and_no_message(node):
    trap_exit()
    ran: list[Any] = []

    async def init(server):
        ran.append(1)

    with pytest.raises(Boom):
        await Starting.start_link(init, name=Via(DictRegistry(Boom()), "x"))
    await wait_all_tasks_blocked()
    assert ran == []
    assert len(node.processes) == 1
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_name_that_somebody_takes_meanwhile_is_already_started(node):
    class Race(DictRegistry):
        def register_name(self, key, pid):
            self.names[key] = winner
            return False

    winner = spawn(forever)
    with pytest.raises(AlreadyStartedError) as caught:
        await Starting.start(gives(None), name=Via(Race(), "x"))
    assert caught.value.pid is winner
    await wait_all_tasks_blocked()
    assert len(node.processes) == 2


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
