"""Looking at a server does not harm it, whatever the code of those who look raises (semantics SY3, SY5, G31)."""

from typing import Any

import pytest
import structlog

from actors import (
    CallError,
    Crash,
    EventHandler,
    EventManager,
    GenServer,
    KeepState,
    NextState,
    ProcessExit,
    StateMachine,
)
from actors import introspection as sys
from actors.testing import assert_down
from tests.actors.helpers import Boom


class Odd(BaseException):
    """Neither an Exception nor an exit."""


ERRORS = [Boom("x"), ProcessExit("bye"), Odd(), BaseExceptionGroup("", [ProcessExit("bye")])]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


class Pair(GenServer):
    """Two attributes, and one that can only be read."""

    async def init(self):
        self.a, self.b = 1, 2

    @property
    def ro(self):
        return self.a

    async def handle_call(self, request, sender):
        return self.a, self.b

    async def handle_cast(self, message):
        raise message


def raising(error):
    def function(*_: Any) -> Any:
        raise error

    return function


def giving(value):
    return lambda *_: value


@each_error
async def test_a_change_of_state_that_raises_changes_nothing_and_tells_the_caller(error, node):
    """SY3."""
    pid = await Pair.start()
    for _ in range(2):  # in a suspended server too
        with pytest.raises(CallError) as failed:
            await sys.replace_state(pid, raising(error))
        assert failed.value.reason == ("callback_failed", Crash(error))
        await sys.suspend(pid)
    await sys.resume(pid)
    assert await pid.call("both") == (1, 2)


@pytest.mark.parametrize("state", [{"a": 9, "ro": 5, "b": 9}, {"ro": 5}, "junk", None], ids=repr)
async def test_a_state_that_cannot_be_set_wholly_is_not_set_at_all(state, node):
    """SY3."""
    pid = await Pair.start()
    with pytest.raises(CallError, match="callback_failed"):
        await sys.replace_state(pid, lambda _: state)
    assert await pid.call("both") == (1, 2)


async def test_a_state_that_does_not_fit_a_machine_changes_nothing(node):
    """SY3: state and data are a pair."""

    class Machine(StateMachine):
        async def init(self):
            self.value = 1
            return NextState("first")

        async def handle_event(self, event, state):
            return KeepState()

    pid = await Machine.start()
    for wrong in ("junk", ("second", None), ("second", {"value": 2}, "more")):
        with pytest.raises(CallError, match="callback_failed"):
            await sys.replace_state(pid, giving(wrong))
    assert await sys.get_state(pid) == ("first", {"value": 1})


async def test_a_state_that_does_not_fit_the_handlers_of_a_manager_changes_nothing(node):
    """SY3."""

    class Handler(EventHandler):
        async def init(self, value):
            self.value = value

    manager = await EventManager.start()
    for id in ("a", "b"):
        await EventManager.add_handler(manager, (Handler, id), id)
    before = await sys.get_state(manager)
    wrong = [(before[0][0], {"value": "changed"}), ("another", {})]
    with pytest.raises(CallError, match="callback_failed"):
        await sys.replace_state(manager, lambda _: wrong)
    assert await sys.get_state(manager) == before


@each_error
async def test_a_hook_that_raises_is_removed_and_harms_nobody(error, node):
    """SY5."""
    pid = await Pair.start()
    await sys.install(pid, raising(error), id="broken")
    with structlog.testing.capture_logs() as logs:
        assert await pid.call("both") == (1, 2)
        assert await pid.call("both") == (1, 2)
    assert [log["event"] for log in logs] == ["debug hook removed"]


@each_error
async def test_a_format_status_that_raises_is_told_and_harms_nobody(error, node):
    """G31: in `get_status`, and in the report of the true reason."""

    class Broken(Pair):
        format_status = raising(error)

    pid = await Broken.start()
    assert "format_status raised" in (await sys.get_status(pid))["state"]
    with structlog.testing.capture_logs() as logs:
        pid.cast(Boom("the true reason"))
        reason = await assert_down(pid)
    assert isinstance(reason.exception, Boom)
    [log] = logs
    assert "format_status raised" in log["state"]
    assert "the true reason" in log["reason"]


async def test_a_format_status_whose_error_cannot_be_shown_is_told_as_such(node):
    """G31."""

    class Unshowable(Exception):
        def __repr__(self):
            raise Boom

    class Broken(Pair):
        format_status = raising(Unshowable())

    assert "its repr raised" in (await sys.get_status(await Broken.start()))["state"]


@pytest.mark.parametrize(
    ("hook", "id"),
    [
        ("nonsense", None),
        (None, "id"),
        (print, ["x"]),
        (print, {}),
        (type("H", (), {"__call__": print, "__hash__": None})(), None),
    ],
    ids=["no function", "None", "a list as id", "a dict as id", "a hook without a hash"],
)
async def test_what_can_be_no_hook_is_refused_in_the_caller(hook, id, node):
    """SY5."""
    pid = await Pair.start()
    with pytest.raises(TypeError, match="hook"):
        await sys.install(pid, hook, id=id)
    assert await pid.call("both") == (1, 2)
    assert node.processes[pid].debug is None


async def test_an_id_without_a_hash_names_no_hook(node):
    """SY5."""
    pid = await Pair.start()
    no_id: Any = ["x"]
    with pytest.raises(TypeError, match="hashable"):
        await sys.remove(pid, no_id)
    await sys.remove(pid, "no such hook")
    assert await pid.call("both") == (1, 2)


@pytest.mark.parametrize("size", [0, -1, 2.5, "many", True, [3]], ids=repr)
async def test_a_log_of_a_size_that_is_none_is_refused_in_the_caller(size, node):
    """SY4."""
    pid = await Pair.start()
    with pytest.raises(ValueError, match="a positive number of events, or None"):
        await sys.log(pid, size)
    assert await pid.call("both") == (1, 2)


async def test_a_suspended_server_that_cannot_answer_stays_suspended(node):
    """SY2, SY3: what was asked fails, and the server goes on waiting."""
    pid = await Pair.start()
    await sys.suspend(pid)
    with pytest.raises(CallError, match="unknown_system_msg"):
        await pid.target.system(pid, ("no such verb",), None)
    assert (await sys.get_status(pid))["status"] == "suspended"


# -- what get_status gives away ------------------------------------------------------------------


async def test_get_status_shows_the_log_as_format_status_does(node):
    """G31; gen_server_SUITE call_format_status, with a log."""

    class Discreet(Pair):
        def format_status(self, status):
            return {field: f"formatted {field}" for field in status}

    pid = await Discreet.start()
    await sys.log(pid)
    await pid.call("password")
    status = await sys.get_status(pid)
    assert status["state"] == "formatted state"
    assert status["debug"]["log"] == "formatted log"
    assert "password" not in repr(status)


async def test_a_format_status_that_raises_does_not_give_the_log_away(node):
    """G31."""

    class Broken(Pair):
        format_status = raising(Boom())

    pid = await Broken.start()
    await sys.log(pid)
    await pid.call("password")
    status = await sys.get_status(pid)
    assert "password" not in repr(status)
    assert "format_status raised" in status["debug"]["log"]


async def test_get_status_shows_what_is_switched_on(node):
    """SY3, SY4: without a log there is none to format."""
    pid = await Pair.start()
    await sys.statistics(pid)
    assert (await sys.get_status(pid))["debug"]["log"] is None
    await sys.log(pid)
    assert (await sys.get_status(pid))["debug"]["log"] == []
    await pid.call("x")
    assert [event.kind for event in (await sys.get_status(pid))["debug"]["log"]] == ["in", "out"]
