"""Exit reasons and errors, by value."""

import pytest

from actors import (
    CALLING_SELF,
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    AlreadyStartedError,
    BadReturn,
    CallError,
    CallFailed,
    CallingSelfError,
    CallTimeoutError,
    Crash,
    MailboxFullError,
    NodeExitedError,
    NoProcessError,
    ProcessExit,
    ServerExitedError,
    Shutdown,
    StartError,
    StartIgnoredError,
    is_orderly,
)
from actors.exceptions import call_error, reason_of
from tests.actors.helpers import Boom


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("detail")])
def test_three_reasons_are_orderly(reason):
    assert is_orderly(reason)


@pytest.mark.parametrize(
    "reason", [KILL, KILLED, NOPROC, TIMEOUT, Crash(Boom()), "normal", None, BadReturn(1, "init")]
)
def test_every_other_reason_is_not(reason):
    assert not is_orderly(reason)


def test_reasons_are_values_that_compare_and_print_as_otp_writes_them():
    assert Shutdown("x") == Shutdown("x")
    assert Shutdown("x") != Shutdown("y")
    assert [str(reason) for reason in (NORMAL, KILLED, CALLING_SELF)] == [
        "normal",
        "killed",
        "calling_self",
    ]
    assert repr(Crash(Boom("x"))) == "Crash(Boom('x'))"
    assert repr(BadReturn(42, "init")) == "BadReturn(42, from init)"


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (TIMEOUT, CallTimeoutError),
        (NOPROC, NoProcessError),
        (CALLING_SELF, CallingSelfError),
        (SHUTDOWN, ServerExitedError),
        ("anything", ServerExitedError),
    ],
)
def test_a_failed_call_raises_the_most_telling_error(reason, error):
    raised = call_error(reason, "server", "request")
    assert type(raised) is error
    assert raised.exit_reason == CallFailed(reason, "server", "request")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CallError("why", "srv", "ask"), ["srv", "why", "ask"]),
        (call_error(NOPROC, "srv", "ask"), ["srv", "not alive or not registered"]),
        (call_error(CALLING_SELF, "srv", "ask"), ["srv", "call a plain method instead"]),
        (StartError("why"), ["did not start", "why"]),
        (AlreadyStartedError("pid"), ["taken by 'pid'"]),
        (StartIgnoredError(), ["Ignore()", "no process"]),
        (NodeExitedError("why"), ["main process", "why"]),
        (MailboxFullError("pid", "message", 7), ["pid", "full", "7"]),
    ],
)
def test_an_error_says_what_was_asked_of_whom(error, words):
    assert all(word in str(error) for word in words)


def test_the_reason_of_what_a_process_lets_pass():
    boom = Boom()
    group = ExceptionGroup("two", [boom, Boom()])
    exits = BaseExceptionGroup("exits", [BaseExceptionGroup("", [ProcessExit("x")])])
    mixed = BaseExceptionGroup("mixed", [ProcessExit("x"), boom])
    assert reason_of(ProcessExit("x")) == "x"
    assert reason_of(call_error(NOPROC, "a", "b")) == CallFailed(NOPROC, "a", "b")
    assert reason_of(boom) == Crash(boom)
    assert reason_of(group) == Crash(group)
    assert reason_of(exits) == "x"
    assert reason_of(mixed) == Crash(mixed)


def test_an_exit_is_no_ordinary_exception():
    assert not issubclass(ProcessExit, Exception)
