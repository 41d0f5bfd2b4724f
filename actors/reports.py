"""What the runtime logs, through structlog: crash reports, zombies, dead letters.

A crash report carries OTP's four facts: who, the last message, the state, the reason; and what
stood around it (`snapshot`). Orderly exits are not logged. Reports are made in the step of whoever
failed, of a dying process too, so a value that cannot be shown and a log that cannot be written
must harm nobody (LG1, K4): every value is shortened, and `emit` never raises.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from typing import Any, Final

import structlog
from structlog.dev import ConsoleRenderer
from structlog.processors import ExceptionPrettyPrinter, ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer

from actors.exits import Crash, Reason
from actors.failures import concerns_trio
from actors.pid import Pid
from actors.tracebacks import plain_traceback

__all__ = (
    "dead_letter",
    "deadline_failed",
    "emit",
    "events_lost",
    "fact",
    "handler_failed",
    "hook_failed",
    "listener_failed",
    "long_schedule",
    "process_crashed",
    "server_crashed",
    "shorten",
    "task_crashed",
    "telemetry_handler_failed",
    "timer_failed",
    "traced",
    "unexpected_message",
    "zombie",
)

_log = structlog.get_logger("actors")
_LIMIT = 2_000  # characters of a state or message in a log line
_LIMIT_IN_ROW = 200  # characters of each of many

_DEFAULT_FORMATTERS: Final = tuple(  # which of them there are differs between its versions
    getattr(structlog.dev, name)
    for name in ("default_exception_formatter", "default_monochrome_exception_formatter")
    if hasattr(structlog.dev, name)
)


def process_crashed(process: Any, reason: Any, around: Any) -> None:
    """A process ended for a reason that is not orderly (OTP: proc_lib's crash report); `around` is
    its `snapshot`.
    """
    emit(
        _log,
        "error",
        "process exited",
        process=shorten(process.pid),
        reason=shorten(reason),
        ancestors=_lineage(process.ancestors),
        exc_info=_exception(reason),
        **_surroundings(around),
    )


def server_crashed(process: Any, status: dict[str, Any]) -> None:
    """A GenServer ended for a reason that is not orderly; logged after `terminate` ran (G32).

    `status` is what `system.describe` made: state, message, reason, what is around it, perhaps log
    and client.
    """
    facts = {field: shorten(status[field]) for field in ("log", "client") if field in status}
    emit(
        _log,
        "error",
        "GenServer terminating",
        process=shorten(process.pid),
        last_message=shorten(status["message"]),
        state=shorten(status["state"]),
        reason=shorten(status["reason"]),
        ancestors=_lineage(process.ancestors),
        exc_info=_exception(status["reason"]),
        **facts,
        **_surroundings(status["around"]),
    )


def task_crashed(process: Any, job: Any, reason: Any, around: Any) -> None:
    """A task failed (T7): who, what it did, for whom, why; `around` is its `snapshot`."""
    emit(
        _log,
        "error",
        "Task terminating",
        process=shorten(process.pid),
        function=shorten(job.function),
        args=shorten(job.args),
        callers=_lineage(job.callers),
        reason=shorten(reason),
        ancestors=_lineage(process.ancestors),
        exc_info=_exception(reason),
        **_surroundings(around),
    )


def traced(pid: Any, event: Any) -> None:
    """An event of a server that is traced (OTP: `sys:trace/2`)."""
    peer = {} if event.peer is None else {"peer": shorten(event.peer)}
    message = shorten(event.message)
    emit(_log, "info", "trace", process=shorten(pid), kind=event.kind, message=message, **peer)


def timer_failed(destination: Any, error: BaseException) -> None:
    """A timer could not find out who holds the name to which it sends."""
    emit(_log, "error", "timer failed", destination=shorten(destination), exc_info=error)


def deadline_failed(callback: Any, error: BaseException) -> None:
    """What was to be done at a deadline raised; the other deadlines are kept."""
    emit(_log, "error", "deadline failed", callback=shorten(callback), exc_info=error)


def handler_failed(manager: Any, handler: Any, item: Any, reason: Any) -> None:
    """An event handler failed and was removed (GE2); `item` is what it was given."""
    emit(
        _log,
        "error",
        "event handler failed",
        manager=shorten(manager),
        handler=shorten(handler),
        item=shorten(item),
        reason=shorten(reason),
        exc_info=_exception(reason),
    )


def hook_failed(hook_id: Any, error: BaseException) -> None:
    """A debug hook raised and was removed."""
    emit(_log, "warning", "debug hook removed", hook=shorten(hook_id), exc_info=error)


def telemetry_handler_failed(id: str, event: str, error: BaseException) -> None:
    """A telemetry handler raised and was detached (TE1)."""
    emit(
        _log,
        "error",
        "telemetry handler failed",
        handler=fact(id),
        event_name=fact(event),
        exc_info=error,
    )


def unexpected_message(pid: Any, message: Any) -> None:
    """A GenServer without `handle_info` got a message."""
    emit(_log, "error", "unexpected message", process=shorten(pid), message=shorten(message))


def zombie(pid: Any, grace: float, stack: str) -> None:
    """A killed process did not unwind within the grace period and was declared dead."""
    told = {"process": shorten(pid), "grace": grace, "stack": stack}
    emit(_log, "warning", "killed process does not end", **told)


def events_lost(pid: Any, count: int) -> None:
    """The buffer of a stage was full (GS3)."""
    emit(_log, "warning", "events lost: the buffer is full", process=shorten(pid), count=count)


def long_schedule(pid: Any, task: str, seconds: float, stack: str) -> None:
    """A step of a task holds the loop, and still does."""
    told = {"task": task, "seconds": round(seconds, 3), "stack": stack}
    emit(_log, "warning", "long schedule", process=shorten(pid), **told)


def dead_letter(pid: Any, message: Any) -> None:
    """A message reached a process that has begun to exit."""
    emit(_log, "debug", "dead letter", process=shorten(pid), message=shorten(message))


def listener_failed(listener: Any, error: BaseException) -> None:
    """A death listener raised; it is kept, and the others are called."""
    emit(_log, "error", "death listener failed", listener=shorten(listener), exc_info=error)


# -- sending ---------------------------------------------------------------------------------------


def emit(log: Any, level: str, event: str, /, **facts: Any) -> None:
    """Send one report to `log`. Never raises: a report that cannot be logged must harm nobody.

    A processor may raise, or the program's output be closed (`python program.py | head -1`). Then
    one line goes to stderr, and if that fails too, nothing is told.
    """
    try:
        if facts.get("exc_info") is not None:
            facts = _without_values(log, **facts)
        getattr(log, level)(event, **facts)
    except BaseException as error:  # noqa: ASYNC103  # raised again where it is nobody's failure
        if concerns_trio(error):
            raise
        _tell_stderr(event, facts, error)


def _tell_stderr(event: str, facts: dict[str, Any], error: BaseException) -> None:
    with suppress(Exception):
        line = (
            f"actors: this report could not be logged ({shorten(error)}): {event} {shorten(facts)}"
        )
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # the log itself has failed


# -- exceptions ------------------------------------------------------------------------------------


def _without_values(log: Any, /, *, exc_info: BaseException, **facts: Any) -> dict[str, Any]:
    """The facts of a report to `log` that tells of an exception (C21).

    It is left to the processors of the program, unless they would write the values of variables,
    payloads and passwords among them: structlog's do by default, without anybody having asked. Then
    it is written here; where all write dictionaries as one of those, for programs read them.
    """
    error, formatters = exc_info, list(_formatters(log))
    if not any(map(_writes_values, formatters)):
        return {**facts, "exc_info": error}
    exception: Any = plain_traceback(error)
    if all(isinstance(formatter, ExceptionDictTransformer) for formatter in formatters):
        discreet = copy(formatters[0])
        discreet.show_locals = False
        exception = discreet((type(error), error, error.__traceback__))
    return {**facts, "exception": exception}


def _writes_values(formatter: Any) -> bool:
    """What structlog takes by itself may do so (`better_exceptions`), and is slow at best."""
    by_default = any(formatter is default for default in _DEFAULT_FORMATTERS)
    return by_default or bool(getattr(formatter, "show_locals", False))


def _formatters(log: Any) -> Iterator[Any]:
    """What writes the exceptions of `log`; in each chain the first processor that does takes them
    away from the others.
    """
    for chain in _chains(log.bind()):
        for processor in chain:
            if isinstance(processor, ConsoleRenderer):
                yield getattr(processor, "_exception_formatter", None)  # public only since 25.5
                break
            if isinstance(processor, ExceptionRenderer | ExceptionPrettyPrinter):
                yield processor.format_exception
                break


def _chains(logger: Any) -> Iterator[tuple[Any, ...]]:
    """The processors of a bound logger. Where they hand over to the standard library's logging,
    those of each handler there come behind them.
    """
    processors = tuple(getattr(logger, "_processors", ()))
    if not processors or processors[-1] is not ProcessorFormatter.wrap_for_formatter:
        yield processors
        return
    for handler in _handlers(getattr(logger, "_logger", None)):
        yield (*processors, *getattr(handler.formatter, "processors", ()))


def _handlers(logger: Any) -> Iterator[logging.Handler]:
    while isinstance(logger, logging.Logger):
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


# -- values ----------------------------------------------------------------------------------------


def shorten(value: Any, limit: int = _LIMIT) -> str:
    """`repr`, cut to `limit` characters; one that raises is told, because a report must not be
    lost.
    """
    try:
        text = repr(value)
    except BaseException as error:  # noqa: ASYNC103  # raised again where it is nobody's failure
        if concerns_trio(error):
            raise
        text = f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def fact(value: Any) -> Any:
    """A value for a structured log: plain ones that are small as they are, others by `shorten`."""
    match value:
        case None | bool() | float() | Pid() | Reason():
            return value
        case int() if value.bit_length() < 64:
            return value
        case str() if type(value) is str and len(value) <= _LIMIT:
            return value
    return shorten(value)


def _surroundings(around: Any) -> dict[str, Any]:
    """The facts of a `snapshot`; rows that are empty are left out."""
    rows = {
        "messages": [shorten(message, _LIMIT_IN_ROW) for message in around.messages],
        "links": [shorten(pid) for pid in around.links],
        "monitors": [shorten(watched) for watched in around.monitors],
        "monitored_by": [shorten(pid) for pid in around.monitored_by],
        "neighbours": [_neighbour(neighbour) for neighbour in around.neighbours],
    }
    facts = {"message_queue_len": around.message_queue_len, "trap_exit": around.trap_exit}
    return facts | {name: row for name, row in rows.items() if row}


def _neighbour(neighbour: Any) -> dict[str, Any]:
    return {
        "process": shorten(neighbour.pid),
        "name": fact(neighbour.name),
        "label": fact(neighbour.label),
        "message_queue_len": neighbour.message_queue_len,
        "ancestors": _lineage(neighbour.ancestors),
    }


def _lineage(pids: Any) -> list[str]:
    return [pid if type(pid) is str else shorten(pid) for pid in pids]


def _exception(reason: Any) -> BaseException | None:
    return reason.exception if isinstance(reason, Crash) else None
