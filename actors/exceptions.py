"""What is raised to callers: the errors of whoever asked. Exits are values (`exits.py`)."""

from __future__ import annotations

from typing import Any

from actors.exits import CALLING_SELF, NOPROC, TIMEOUT, CallFailed, Crash

__all__ = (
    "ActorsError",
    "AlreadyStartedError",
    "BadReturnError",
    "CallError",
    "CallTimeoutError",
    "CallingSelfError",
    "MailboxFullError",
    "NameTakenError",
    "NoNodeError",
    "NoProcessError",
    "NodeExitedError",
    "ProcessExit",
    "ServerExitedError",
    "StartError",
    "StartIgnoredError",
    "call_error",
    "reason_of",
)


class ActorsError(Exception):
    """The root of this package's errors."""


class ProcessExit(BaseException):  # it is OTP's exit/1, not an error
    """Ends the process that raises it, with `reason` (OTP: `exit/1`).

    A BaseException, so that `except Exception` in application code does not swallow an exit.
    """

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason


class NoNodeError(ActorsError, RuntimeError):
    """Something that needs a process was called outside `run()` and `open_node()`."""


class NodeExitedError(ActorsError):
    """The node's main process was ended by an exit signal; `reason` says why."""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"the node's main process exited: {reason!r}")
        self.reason = reason


class CallError(ActorsError):
    """A call got no reply. `reason` is OTP's: why; `server` and `request` say what was asked of
    whom.

    A process that does not catch it exits with `CallFailed(reason, server, request)`.
    """

    def __init__(self, reason: Any, server: Any, request: Any) -> None:
        super().__init__(reason, server, request)
        self.reason = reason
        self.server = server
        self.request = request

    def __str__(self) -> str:
        return f"call to {self.server!r} failed: {self.reason!r} (request: {self.request!r})"

    @property
    def exit_reason(self) -> CallFailed:
        """The reason with which a process ends that lets this error pass."""
        return CallFailed(self.reason, self.server, self.request)


class CallTimeoutError(CallError, TimeoutError):
    """No reply in time. The request stays queued and will be handled; its late reply is dropped."""


class NoProcessError(CallError, LookupError):
    """There is no such process or name."""

    def __init__(self, reason: Any = NOPROC, server: Any = None, request: Any = None) -> None:
        super().__init__(reason, server, request)

    def __str__(self) -> str:
        return f"no process: {self.server!r} is not alive or not registered"


class CallingSelfError(CallError, RuntimeError):
    """A process called itself, which could only ever time out."""

    def __str__(self) -> str:
        return f"{self.server!r} called itself and would wait for ever; call a plain method instead"


class ServerExitedError(CallError):
    """The server ended before it replied; `reason` is its exit reason."""


class StartError(ActorsError):
    """A process did not start; `reason` is why (OTP: `{error, Reason}`)."""

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the process did not start: {self.reason!r}"


class AlreadyStartedError(StartError):
    """The name is held by another process, `pid` (OTP: `{already_started, Pid}`)."""

    def __init__(self, pid: Any) -> None:
        super().__init__(("already_started", pid))
        self.pid = pid

    def __str__(self) -> str:
        return f"the name is taken by {self.pid!r}"


class StartIgnoredError(StartError):
    """`init` returned `Ignore()`: no process, and that is not a failure (OTP: `ignore`)."""

    def __init__(self) -> None:
        super().__init__("ignore")

    def __str__(self) -> str:
        return "init returned Ignore(): no process was started"


class NameTakenError(ActorsError, ValueError):
    """`register` of a name that is taken, or by a process that has a name already."""


class BadReturnError(ActorsError, TypeError):
    """A function returned what it may not; the text lists what would have been legal."""


class MailboxFullError(ActorsError):
    """A bounded mailbox refused `message`."""

    def __init__(self, pid: Any, message: Any, capacity: int) -> None:
        super().__init__(f"the mailbox of {pid!r} is full ({capacity} messages)")
        self.pid = pid
        self.message = message
        self.capacity = capacity


def call_error(reason: Any, server: Any, request: Any) -> CallError:
    """The error of a call that failed for `reason`, in its most telling class."""
    if reason is TIMEOUT:
        return CallTimeoutError(reason, server, request)
    if reason is NOPROC:
        return NoProcessError(reason, server, request)
    if reason is CALLING_SELF:
        return CallingSelfError(reason, server, request)
    return ServerExitedError(reason, server, request)


def reason_of(error: BaseException) -> Any:
    """The exit reason of a process that lets `error` pass (P6, G22).

    A group, from a nursery in the process, is one `Crash(group)`; a group of nothing but
    `ProcessExit` is an exit, with the first one's reason.
    """
    if isinstance(error, ProcessExit):
        return error.reason
    if isinstance(error, CallError):
        return error.exit_reason
    if isinstance(error, BaseExceptionGroup) and error.split(ProcessExit)[1] is None:
        return reason_of(error.exceptions[0])
    return Crash(error)
