"""Where the chat's log goes, and in which form."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import Processor

from actors import plain_traceback

__all__ = ("configure_logging",)


def drop_progress(_logger: Any, _method: str, event: Any) -> Any:
    """Leave out the supervisors' reports of what starts well, as OTP's logger does."""
    if event["event"] == "progress":
        raise structlog.DropEvent
    return event


def configure_logging(*, debug: bool) -> None:
    """One line for each event, on stderr; the address alone goes to stdout.

    People at a terminal get columns, everything else gets JSON: a program reads it without
    guessing, and it costs the node a fifth of the time.
    """
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *([] if debug else [drop_progress]),
            structlog.processors.add_log_level,
            *(for_people() if sys.stderr.isatty() else for_programs()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def for_people() -> list[Processor]:
    """Columns, in colour."""
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]


def for_programs() -> list[Processor]:
    """JSON lines."""
    return [
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(lambda info: plain_traceback(info[1])),
        structlog.processors.JSONRenderer(default=repr),
    ]
