"""Tracebacks for logs: the frames and the words of an exception, and no values of variables."""

from __future__ import annotations

import traceback
from collections import deque
from traceback import FrameSummary, format_exception_only, format_list, walk_tb
from types import TracebackType
from typing import Final

__all__ = ("plain_traceback",)

_MAX_TRACEBACK: Final = 8_000  # characters
_MAX_FRAMES: Final = 30


def plain_traceback(error: BaseException) -> str:
    """An exception as Python prints it, cut to what helps.

    Log it in place of `exc_info`: what structlog does with that by default, where `rich` is
    installed, is to draw it with the values of all variables, passwords among them, which holds the
    loop for a tenth of a second and more. As a structlog processor:
    `ExceptionRenderer(lambda exc_info: plain_traceback(exc_info[1]))`.

    An exception that stands alone is written without the marks under the source lines: they take
    Python five times as long as all the rest, and a process that crashes holds the loop meanwhile.
    """
    text = "".join(_lines(error)).rstrip()
    return text if len(text) <= _MAX_TRACEBACK else f"...{text[-_MAX_TRACEBACK:]}"


def _lines(error: BaseException) -> list[str]:
    if error.__cause__ or error.__context__ or isinstance(error, BaseExceptionGroup):
        return traceback.format_exception(error, limit=-_MAX_FRAMES)
    head = ["Traceback (most recent call last):\n"] if error.__traceback__ else []
    return [*head, *format_list(_frames(error.__traceback__)), *format_exception_only(error)]


def _frames(trace: TracebackType | None) -> list[FrameSummary]:
    """The last of them, without the columns from which the marks are made."""
    return [
        FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name, lookup_line=False)
        for frame, line in deque(walk_tb(trace), _MAX_FRAMES)
    ]
