"""Failures of a server that are neither an exception nor an exit alone, and nested failed starts (semantics G3, G5, G14
to G17)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    AlreadyStartedError,
    Crash,
    GenServer,
    Ignore,
    ProcessExit,
    StartError,
    StartIgnoredError,
    Stop,
    is_alive,
    monitor,
    receive,
    whereis,
)
from tests.actors.helpers import Boom


class Odd(BaseException):
    """Neither an Exception nor an exit."""


FAILURES = [
    Odd(),
    BaseExceptionGroup("mixed", [ProcessExit("bye"), Boom()]),
    BaseExceptionGroup("odd", [Odd()]),
    ExceptionGroup("errors", [Boom(), Boom()]),
]
each_failure = pytest.mark.parametrize("error", FAILURES, ids=repr)


class Server(GenServer):
    """Raises what it is cast, or what it is to raise in the end."""

    async def init(self, ends=None, last=None):
        self.ends, self.last = [] if ends is None else ends, last

    async def handle_cast(self, message):
        raise message

    async def handle_call(self, request, sender):
        return Stop("stopped", reply="the reply")

    async def terminate(self, reason):
        self.ends.append(reason)
        if self.last is not None:
            raise self.last


@each_failure
async def test_whatever_a_callback_raises_is_a_crash_with_terminate_and_a_report(error, node):
    """G14, G17."""
    ends: list[Any] = []
    pid = await Server.start(ends)
    ref = monitor(pid)
    with structlog.testing.capture_logs() as logs:
        pid.cast(error)
        assert (await receive(ref)).reason == Crash(error)
    assert ends == [Crash(error)]
    assert [log["event"] for log in logs] == ["GenServer terminating"]


@each_failure
async def test_whatever_terminate_raises_is_the_reason_and_the_reply_comes(error, node):
    """G11, G16."""
    pid = await Server.start(None, error)
    ref = monitor(pid)
    with structlog.testing.capture_logs() as logs:
        assert await pid.call("stop") == "the reply"
        assert (await receive(ref)).reason == Crash(error)
    assert [log["event"] for log in logs] == ["GenServer terminating"]


async def test_a_group_that_holds_a_cancellation_is_none_of_the_servers(node):
    """G17: an exit signal that is not trapped runs no `terminate`, whatever a helper makes of it."""
    ends: list[Any] = []

    class Nursing(Server):
        trap_exit = False

        async def handle_cast(self, message):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail_when_cancelled)
                await trio.sleep_forever()

        async def fail_when_cancelled(self):
            try:
                await trio.sleep_forever()
            finally:
                raise Boom

    pid = await Nursing.start(ends)
    ref = monitor(pid)
    pid.cast("x")
    await trio.testing.wait_all_tasks_blocked()
    pid.exit("signal")
    assert (await receive(ref)).reason == "signal"
    assert ends == []


# -- a start that fails in another's init --------------------------------------------------------


class Inner(GenServer):
    """Started by the `init` of another."""

    async def init(self, result=None):
        return result


class Outer(GenServer):
    """Starts another in its `init`."""

    async def init(self, *args, **options):
        await Inner.start_link(*args, **options)


async def test_a_name_that_is_taken_for_a_server_of_init_is_not_ones_own(node):
    """G3: "already started" would say that there is an outer server."""
    holder = await Inner.start(name="inner")

    class Nesting(GenServer):
        async def init(self):
            await Inner.start_link(name="inner")

    with pytest.raises(StartError) as failed:
        await Nesting.start(name="outer")
    assert not isinstance(failed.value, AlreadyStartedError)
    assert failed.value.reason == ("already_started", holder)
    assert whereis("outer") is None
    assert is_alive(holder)


async def test_an_ignored_server_of_init_does_not_make_the_outer_one_ignored(node):
    """G5, S6: a supervisor would keep the outer one as if that were no failure."""
    with pytest.raises(StartError) as failed:
        await Outer.start(Ignore())
    assert not isinstance(failed.value, StartIgnoredError)
    assert failed.value.reason == "ignore"


async def test_the_failure_of_a_server_of_init_is_the_reason_of_the_outer_one(node):
    """G5."""
    with pytest.raises(StartError) as failed:
        await Outer.start(Stop("no"))
    assert failed.value.reason == "no"
