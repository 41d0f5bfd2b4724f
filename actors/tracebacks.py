"""Tracebacks for logs: the frames and the words of an exception, and no values of variables."""

from __future__ import annotations

import traceback
from typing import Final

__all__ = ("plain_traceback",)

_MAX_TRACEBACK: Final = 8_000  # characters
_MAX_FRAMES: Final = 30


def plain_traceback(error: BaseException) -> str:
    """An exception as Python prints it, cut to what helps.

    Log it in place of `exc_info`: what structlog does with that by default, where `rich` is
    installed, is to draw it with the values of all variables, passwords among them, which holds the
    loop for a tenth of a second and more.
    """
    text = "".join(traceback.format_exception(error, limit=-_MAX_FRAMES)).rstrip()
    return text if len(text) <= _MAX_TRACEBACK else f"...{text[-_MAX_TRACEBACK:]}"
