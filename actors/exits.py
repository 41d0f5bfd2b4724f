"""Exit reasons: why a process ended, as values.

A reason is written once, when the process ends, and given unchanged to its links, its monitors and
its supervisor (OTP: *exit reasons*, `erlang:exit/1`). Any value may be a reason; the ones that the
runtime itself uses are here. Three of them are *orderly*: `NORMAL`, `SHUTDOWN` and
`Shutdown(detail)`. Everything else is abnormal: it is reported, and a transient child is restarted.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

__all__ = (
    "ALIVE",
    "CALLING_SELF",
    "KILL",
    "KILLED",
    "NOCONNECTION",
    "NOPROC",
    "NORMAL",
    "SHUTDOWN",
    "TIMEOUT",
    "BadReturn",
    "CallFailed",
    "Crash",
    "Reason",
    "Shutdown",
    "is_orderly",
)


class Reason(enum.Enum):
    """The reasons that are one word."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILL = "kill"
    KILLED = "killed"
    NOPROC = "noproc"
    NOCONNECTION = "noconnection"
    TIMEOUT = "timeout"
    CALLING_SELF = "calling_self"

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


NORMAL: Final = Reason.NORMAL
SHUTDOWN: Final = Reason.SHUTDOWN
KILL: Final = Reason.KILL
"""The signal that cannot be trapped; what it leaves behind is `KILLED`."""
KILLED: Final = Reason.KILLED
NOPROC: Final = Reason.NOPROC
"""There is no such process."""
NOCONNECTION: Final = Reason.NOCONNECTION
TIMEOUT: Final = Reason.TIMEOUT
CALLING_SELF: Final = Reason.CALLING_SELF


class _Alive(enum.Enum):
    ALIVE = "alive"


ALIVE: Final = _Alive.ALIVE
"""For the runtime: where a reason is kept, that there is none yet. None is a reason like others."""


@attrs.frozen
class Shutdown:
    """An orderly end that says more than `SHUTDOWN` (OTP: `{shutdown, Term}`)."""

    detail: Any


@attrs.frozen
class Crash:
    """An exception that nobody caught, with its traceback (OTP: `{Exception, Stacktrace}`)."""

    exception: BaseException

    def __repr__(self) -> str:
        return f"Crash({self.exception!r})"


@attrs.frozen
class BadReturn:
    """A callback returned what it may not (OTP: `{bad_return_value, Value}`)."""

    value: Any
    callback: str

    def __repr__(self) -> str:
        return f"BadReturn({self.value!r}, from {self.callback})"


@attrs.frozen
class CallFailed:
    """A call failed and its caller did not catch it (OTP: `{Reason, {gen_server, call, Args}}`)."""

    reason: Any
    server: Any
    request: Any


def is_orderly(reason: object) -> bool:
    """Is this one of the three reasons that mean "nothing went wrong"?"""
    return reason is NORMAL or reason is SHUTDOWN or isinstance(reason, Shutdown)
