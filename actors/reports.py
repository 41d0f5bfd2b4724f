"""What the runtime logs, through structlog: crash reports, zombies, dead letters.

A crash report carries OTP's four facts: who, the last message, the state, the reason. Orderly exits
are not logged.
"""

from __future__ import annotations

from typing import Any

import structlog

from actors.exits import Crash

__all__ = (
    "dead_letter",
    "deadline_failed",
    "events_lost",
    "handler_failed",
    "hook_failed",
    "listener_failed",
    "long_schedule",
    "process_crashed",
    "server_crashed",
    "task_crashed",
    "telemetry_handler_failed",
    "timer_failed",
    "traced",
    "unexpected_message",
    "zombie",
)

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


def server_crashed(process: Any, status: dict[str, Any]) -> None:
    """A GenServer ended for a reason that is not orderly; logged after `terminate` ran (G32).

    `status` is what `system.describe` made: state, message, reason, perhaps log and client.
    """
    facts = {field: shorten(status[field]) for field in ("log", "client") if field in status}
    _log.error(
        "GenServer terminating",
        process=repr(process.pid),
        last_message=shorten(status["message"]),
        state=shorten(status["state"]),
        reason=shorten(status["reason"]),
        ancestors=[str(ancestor) for ancestor in process.ancestors],
        exc_info=_exception(status["reason"]),
        **facts,
    )


def task_crashed(pid: Any, job: Any, reason: Any) -> None:
    """A task failed (T7): who, what it did, for whom, why."""
    _log.error(
        "Task terminating",
        process=repr(pid),
        function=shorten(job.function),
        args=shorten(job.args),
        callers=[str(caller) for caller in job.callers],
        reason=shorten(reason),
        exc_info=_exception(reason),
    )


def traced(pid: Any, event: Any) -> None:
    """An event of a server that is traced (OTP: `sys:trace/2`)."""
    peer = {} if event.peer is None else {"peer": repr(event.peer)}
    _log.info("trace", process=repr(pid), kind=event.kind, message=shorten(event.message), **peer)


def timer_failed(destination: Any, error: Exception) -> None:
    """A timer could not find out who holds the name to which it sends."""
    _log.error("timer failed", destination=shorten(destination), exc_info=error)


def deadline_failed(callback: Any, error: Exception) -> None:
    """What was to be done at a deadline raised; the other deadlines are kept."""
    _log.error("deadline failed", callback=shorten(callback), exc_info=error)


def handler_failed(manager: Any, handler: Any, item: Any, reason: Any) -> None:
    """An event handler failed and was removed (GE2); `item` is what it was given."""
    _log.error(
        "event handler failed",
        manager=repr(manager),
        handler=shorten(handler),
        item=shorten(item),
        reason=shorten(reason),
        exc_info=_exception(reason),
    )


def hook_failed(hook_id: Any, error: Exception) -> None:
    """A debug hook raised and was removed."""
    _log.warning("debug hook removed", hook=shorten(hook_id), exc_info=error)


def telemetry_handler_failed(id: str, event: str, error: BaseException) -> None:
    """A telemetry handler raised and was detached (TE1)."""
    _log.error("telemetry handler failed", handler=id, event_name=event, exc_info=error)


def unexpected_message(pid: Any, message: Any) -> None:
    """A GenServer without `handle_info` got a message."""
    _log.error("unexpected message", process=repr(pid), message=shorten(message))


def zombie(pid: Any, grace: float, stack: str) -> None:
    """A killed process did not unwind within the grace period and was declared dead."""
    _log.warning("killed process does not end", process=repr(pid), grace=grace, stack=stack)


def events_lost(pid: Any, count: int) -> None:
    """The buffer of a stage was full (GS3)."""
    _log.warning("events lost: the buffer is full", process=repr(pid), count=count)


def long_schedule(pid: Any, task: str, seconds: float, stack: str) -> None:
    """A step of a task holds the loop, and still does."""
    _log.warning(
        "long schedule", process=repr(pid), task=task, seconds=round(seconds, 3), stack=stack
    )


def dead_letter(pid: Any, message: Any) -> None:
    """A message reached a process that has begun to exit."""
    _log.debug("dead letter", process=repr(pid), message=shorten(message))


def listener_failed(listener: Any, error: BaseException) -> None:
    """A death listener raised; it is kept, and the others are called."""
    _log.error("death listener failed", listener=repr(listener), exc_info=error)


def shorten(value: Any) -> str:
    """`repr`, cut; a `repr` that raises is told, because a report must not be lost."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}: its repr raised {error!r}>"
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}… ({len(text)} characters)"


def _exception(reason: Any) -> BaseException | None:
    return reason.exception if isinstance(reason, Crash) else None
