"""Reading a failed start: which child, and what was really wrong. Pure.

The reason of a nested start is wrapped once per level: `Shutdown(FailedToStartChild("web",
Shutdown(...)))`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from actors.exceptions import StartError
from actors.exits import BadReturn, Crash, Shutdown
from supervisors.exceptions import ApplicationStartError, ConfigurationError
from supervisors.exits import FailedToStartChild

__all__ = ("explain", "is_configuration_error", "show_cause")

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
    return f"{where}{_text(cause)}".replace("\n", " ")


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
    return id.__qualname__ if isinstance(id, type) else str(id)


def _text(cause: object) -> str:
    if isinstance(cause, OSError | ValueError) and str(cause):
        return str(cause)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {cause}"
    if isinstance(cause, BadReturn):
        return f"{cause.callback} may not return {cause.value!r}"
    return cause if isinstance(cause, str) else repr(cause)
