"""Supervisor reports (S36): what a supervisor tells the log, through structlog.

| event | level | when |
|---|---|---|
| `progress` | info | a child was started with its supervisor, or restarted |
| `progress` | debug | a child was started by `start_child` or `restart_child` |
| `child_terminated` | error | a child ended and is restarted, or ended abnormally |
| `start_error` | error | a child did not start |
| `shutdown_error` | error | a child that was asked to stop ended otherwise |
| `shutdown` | error | the supervisor gives up |

Errors carry OTP's four facts: supervisor, context (the event), reason, offender. What users gave is
shortened, and a report that cannot be made or logged harms nobody (`actors.reports.emit`). Progress
is only sent once the program has configured structlog, because OTP's logger drops it too unless
asked.
"""

from __future__ import annotations

from typing import Any

import structlog

from actors.pid import Pid
from actors.reports import emit, fact, shorten
from supervisors.child_spec import ChildSpec

__all__ = ("Reporter",)

_log = structlog.get_logger("supervisors")


def _describe(spec: ChildSpec, pid: Pid | None) -> dict[str, Any]:
    function, args, kwargs = spec.start
    return {
        "pid": pid,
        "id": fact(spec.id),
        "start": (shorten(function), shorten(args), shorten(dict(kwargs))),
        "restart_type": str(spec.restart),
        "significant": spec.significant,
        "shutdown": fact(spec.shutdown),
        "child_type": str(spec.type),
    }


class Reporter:
    """The reports of one supervisor. `name` is its registered name, or its pid and class."""

    __slots__ = ("_name",)

    def __init__(self, name: object) -> None:
        self._name = name

    def started(self, spec: ChildSpec, pid: Pid, *, by_hand: bool = False) -> None:
        """A child runs."""
        if structlog.is_configured():
            level = "debug" if by_hand else "info"
            emit(_log, level, "progress", supervisor=self._name, started=_describe(spec, pid))

    def child_terminated(self, spec: ChildSpec, pid: Pid | None, reason: object) -> None:
        """A running child ended."""
        self._error("child_terminated", spec, pid, reason)

    def start_error(self, spec: ChildSpec, pid: Pid | None, reason: object) -> None:
        """A child did not start; `pid` is its process before, if there was one."""
        self._error("start_error", spec, pid, reason)

    def shutdown_error(self, spec: ChildSpec, pid: Pid | None, reason: object) -> None:
        """A child was asked to stop and ended for another reason."""
        self._error("shutdown_error", spec, pid, reason)

    def shutdown(self, spec: ChildSpec, pid: Pid | None, reason: object) -> None:
        """The supervisor gives up because of this child."""
        self._error("shutdown", spec, pid, reason)

    def grouped_shutdown_error(self, spec: ChildSpec, count: int, reason: object) -> None:
        """`count` dynamic children ended for another reason than the one they were asked to."""
        offender = {key: value for key, value in _describe(spec, None).items() if key != "pid"}
        offender["nb_children"] = count
        self._tell("shutdown_error", reason, offender)

    def unexpected(self, message: object) -> None:
        """A message that means nothing to a supervisor; it is dropped (S9)."""
        emit(_log, "error", "unexpected_message", supervisor=self._name, message=fact(message))

    def _error(self, context: str, spec: ChildSpec, pid: Pid | None, reason: object) -> None:
        self._tell(context, reason, _describe(spec, pid))

    def _tell(self, context: str, reason: object, offender: dict[str, Any]) -> None:
        told = {"supervisor": self._name, "reason": fact(reason), "offender": offender}
        emit(_log, "error", context, **told)
