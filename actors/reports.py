"""What the runtime logs, through structlog: crash reports, zombies, dead letters.

A crash report carries OTP's four facts: who, the last message, the state, the reason. Orderly exits
are not logged.
"""

from __future__ import annotations

from typing import Any

import structlog

from actors.exits import BadReturn, Crash

__all__ = ("dead_letter", "process_crashed", "server_crashed", "unexpected_message", "zombie")

_log = structlog.get_logger("actors")
_LIMIT = 2_000  # characters of a state or message in a log line


def process_crashed(pid: Any, ancestors: Any, reason: Any) -> None:
    """A process ended for a reason that is not orderly (OTP: proc_lib's crash report)."""
    _log.error(
        "process exited",
        process=repr(pid),
        reason=repr(reason),
        ancestors=[str(ancestor) for ancestor in ancestors],
        exc_info=_exception(reason),
    )


def server_crashed(pid: Any, ancestors: Any, last: Any, state: Any, reason: Any) -> None:
    """A GenServer ended for a reason that is not orderly; logged after `terminate` ran (G32)."""
    _log.error(
        "GenServer terminating",
        process=repr(pid),
        last_message=shorten(last),
        state=shorten(state),
        reason=repr(reason),
        ancestors=[str(ancestor) for ancestor in ancestors],
        exc_info=_exception(reason),
    )


def unexpected_message(pid: Any, message: Any) -> None:
    """A GenServer without `handle_info` got a message."""
    _log.error("unexpected message", process=repr(pid), message=shorten(message))


def zombie(pid: Any, grace: float, stack: str) -> None:
    """A killed process did not unwind within the grace period and was declared dead."""
    _log.warning("killed process does not end", process=repr(pid), grace=grace, stack=stack)


def dead_letter(pid: Any, message: Any) -> None:
    """A message reached a process that has begun to exit."""
    _log.debug("dead letter", process=repr(pid), message=shorten(message))


def shorten(value: Any) -> str:
    """`repr`, cut; a `repr` that raises is told, because a report must not be lost."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}: its repr raised {error!r}>"
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}… ({len(text)} characters)"


def _exception(reason: Any) -> BaseException | None:
    if isinstance(reason, Crash):
        return reason.exception
    if isinstance(reason, BadReturn):
        return None
    return None
