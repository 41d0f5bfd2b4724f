"""What is logged of ends that are not orderly (semantics G31, G32, PL4)."""

import pytest
import structlog

from actors import (
    NORMAL,
    SHUTDOWN,
    CallError,
    GenServer,
    Shutdown,
    Stop,
    exit,
    monitor,
    receive,
    register,
    self_pid,
)
from actors import introspection as sys
from actors.reports import shorten
from tests.actors.helpers import Boom


class Fragile(GenServer):
    """Crashes on demand."""

    async def init(self):
        self.secret = "password"
        self.steps = ["init"]

    async def handle_call(self, request, sender):
        return self.act(request)

    async def handle_cast(self, message):
        return self.act(message)

    def act(self, message):
        if isinstance(message, Exception):
            raise message
        return message

    async def terminate(self, reason):
        self.steps.append("terminate")


async def logs_of(server_class, message, *, prepare=None):
    pid = await server_class.start()
    if prepare is not None:
        await prepare(pid)
    ref = monitor(pid)
    with structlog.testing.capture_logs() as logs:
        pid.cast(message)
        await receive(ref)
    return pid, logs


async def test_a_crash_report_says_who_last_message_state_and_reason(node):
    error = Boom("why")
    register("main", self_pid())
    pid, [log] = await logs_of(Fragile, error)
    assert log["event"] == "GenServer terminating"
    assert log["log_level"] == "error"
    assert str(pid) in log["process"]
    assert log["last_message"] == repr(error)
    assert "'secret': 'password'" in log["state"]
    assert "why" in log["reason"]
    assert log["exc_info"] is error
    assert log["ancestors"] == ["main"]


async def test_the_report_is_made_after_terminate_ran(node):
    _, [log] = await logs_of(Fragile, Boom())
    assert "'terminate'" in log["state"]


async def test_the_report_of_a_failed_call_says_who_had_called(node):
    pid = await Fragile.start()
    with structlog.testing.capture_logs() as logs, pytest.raises(CallError):
        await pid.call(Boom())
    assert logs[0]["client"] == repr(self_pid())


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x")])
async def test_an_orderly_stop_is_not_reported(node, reason):
    _, logs = await logs_of(Fragile, Stop(reason))
    assert logs == []


async def test_an_abnormal_stop_is_reported_without_an_exception(node):
    _, [log] = await logs_of(Fragile, Stop("because"))
    assert log["exc_info"] is None
    assert log["reason"] == "'because'"


async def test_a_bad_return_is_reported(node):
    _, [log] = await logs_of(Fragile, 42)
    assert "BadReturn(42, from handle_cast)" in log["reason"]


async def test_a_server_that_dies_of_a_signal_is_not_reported(node):
    class Plain(GenServer):
        pass

    pid = await Plain.start()
    with structlog.testing.capture_logs() as logs:
        exit(pid, "signal")
        await pid.wait_exited()
    assert logs == []


async def test_the_report_shows_the_sys_log_if_there_is_one(node):
    _, [log] = await logs_of(Fragile, Boom("last"), prepare=sys.log)
    assert "last" in log["log"]


async def test_format_status_may_rewrite_every_field(node):
    class Discreet(Fragile):
        def format_status(self, status):
            return {field: f"formatted {field}" for field in status}

    _, [log] = await logs_of(Discreet, Boom("x"), prepare=sys.log)
    assert log["state"] == "'formatted state'"
    assert log["last_message"] == "'formatted message'"
    assert log["reason"] == "'formatted reason'"
    assert log["log"] == "'formatted log'"


async def test_format_status_may_leave_fields_as_they_are(node):
    class Discreet(Fragile):
        def format_status(self, status):
            return {"state": "redacted"}

    _, [log] = await logs_of(Discreet, Boom("x"))
    assert log["state"] == "'redacted'"
    assert "Boom" in log["last_message"]


async def test_a_format_status_that_raises_does_not_lose_the_report(node):
    class Broken(Fragile):
        def format_status(self, status):
            raise KeyError("oops")

    _, [log] = await logs_of(Broken, Boom("x"))
    assert "oops" in log["state"]
    assert "Boom" in log["reason"]


async def test_a_format_status_that_returns_junk_does_not_lose_the_report(node):
    class Broken(Fragile):
        def format_status(self, status):
            return "junk"

    _, [log] = await logs_of(Broken, Boom("x"))
    assert "format_status" in log["state"]


async def test_terminate_that_crashes_is_what_is_reported(node):
    class Broken(Fragile):
        async def terminate(self, reason):
            raise Boom("in terminate")

        def format_status(self, status):
            return status | {"state": "formatted"}

    _, [log] = await logs_of(Broken, Boom("in cast"))
    assert "in terminate" in log["reason"]
    assert log["state"] == "'formatted'"


async def test_a_label_shows_in_the_report(node):
    class Labelled(Fragile):
        async def init(self):
            from actors import set_label

            await super().init()
            set_label("worker 7")

    _, [log] = await logs_of(Labelled, Boom())
    assert "worker 7" in log["process"]


async def test_a_repr_that_raises_is_told(node):
    class Ugly:
        def __repr__(self):
            raise Boom("repr")

    class Holding(Fragile):
        async def init(self):
            self.ugly = Ugly()

        async def terminate(self, reason):
            pass

    _, [log] = await logs_of(Holding, Boom())
    assert "its repr raised" in log["state"]


def test_long_values_are_cut_and_say_how_long_they_were():
    text = shorten("x" * 10_000)
    assert len(text) < 2_100
    assert text.endswith("(10002 characters)")


async def test_the_traceback_of_a_crash_begins_in_the_users_callback(node):
    """G32: the runtime's own frame says nothing, and would hold the process."""
    pid, ref = await Fragile.start_monitor()
    pid.cast(Boom("why"))
    down = await receive(ref)
    trace = down.reason.exception.__traceback__
    assert trace.tb_frame.f_code.co_name == "handle_cast"
