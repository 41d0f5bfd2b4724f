"""Reading a failed start: which child, and what was really wrong. Pure.

The reason of a nested start is wrapped once per level: `Shutdown(FailedToStartChild("web",
Shutdown(...)))`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from actors.exceptions import StartError
from actors.exits import BadReturn, Crash, Shutdown
from actors.reports import shorten
from supervisors.exceptions import ApplicationStartError, ConfigurationError
from supervisors.exits import FailedToStartChild

__all__ = ("explain", "is_configuration_error", "show_cause")

_LONGEST: Final = 2000
"""Characters of the line."""

CONFIGURATION_ERRORS: Final = (OSError, ConfigurationError)
"""What is raised for a port that is taken, a folder that is missing, a wrong specification."""


def is_configuration_error(error: StartError) -> bool:
    """Is the cause something that whoever configured the program can mend?

    Only what can hardly be a bug: Python raises ValueError, TypeError and KeyError for those too,
    and a TimeoutError is an OSError of whom nobody answered.
    """
    cause = _unwrap(error)[1]
    return isinstance(cause, CONFIGURATION_ERRORS) and not isinstance(cause, TimeoutError)


def explain(error: StartError) -> str:
    """One line: the path of the child that did not start, and its cause."""
    path, cause = _unwrap(error)
    where = "".join(f"{_name(id)}: " for id in path)
    return _in_one_line(f"{where}{_text(cause)}")


def show_cause(error: StartError) -> None:
    """Let `error` show as its cause the exception at the bottom, with its traceback."""
    cause = _unwrap(error)[1]
    if error.__cause__ is None and isinstance(cause, BaseException):
        error.__cause__ = cause


def _unwrap(error: StartError) -> tuple[list[Hashable], object]:
    path: list[Hashable] = []
    cause: object = error
    while True:
        match cause:
            case ApplicationStartError(application=application, reason=inner):
                path.append(application.title)
                cause = inner
            case StartError(reason=inner) | Crash(exception=inner) | Shutdown(detail=inner):
                cause = inner
            case FailedToStartChild(id=id, reason=inner):
                path.append(id)
                cause = inner
            case _:
                return path, cause


def _name(id: Hashable) -> str:
    return id.__qualname__ if isinstance(id, type) else _words(id)


def _text(cause: object) -> str:
    if isinstance(cause, OSError | ValueError) and _words(cause):
        return _words(cause)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {_words(cause)}"
    if isinstance(cause, BadReturn):
        return f"{cause.callback} may not return {shorten(cause.value)}"
    return cause if isinstance(cause, str) else shorten(cause)


def _words(value: object) -> str:
    """`str`; what cannot be said that way is shown as far as it can be."""
    try:
        return str(value)
    except Exception:
        return shorten(value)


def _in_one_line(text: str) -> str:
    """Cut, without line ends, and with nothing in it that a terminal would obey."""
    line = " ".join(text.split())
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in line[:_LONGEST])
    return shown if len(line) <= _LONGEST else f"{shown}… ({len(line)} characters)"
