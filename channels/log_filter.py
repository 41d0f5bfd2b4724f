"""What may stand in a log: of a client's parameters (`ParameterFilter`; Phoenix:
`:filter_parameters`), and of an exception. Pure.

The filter also shortens, because a log line must not carry a stranger's ten-megabyte payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import attrs

from channels.messages import Binary
from channels.redaction import FILTERED, SECRET_WORDS, fields_of, hide_in_text, names_secret

__all__ = (
    "DEFAULT_FILTER",
    "FILTERED",
    "LogLevel",
    "ParameterFilter",
    "is_enabled",
)

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
"""At which level something is logged; None in its place: not at all."""

_LEVELS: Final[Mapping[LogLevel, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_MAX_DEPTH: Final = 8
_MAX_ITEMS: Final = 32  # of one object or array
_MAX_TEXT: Final = 200  # characters


def _lower(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _frozen(keys: Iterable[str] | None) -> frozenset[str] | None:
    return None if keys is None else frozenset(keys)


@attrs.frozen
class ParameterFilter:
    """Replaces what a log must not show by "[FILTERED]".

    `discard`: the values of all keys that contain one of these words, in any case. `keep`, in its
    place: only the values of exactly these keys are shown. Objects, arrays, sets, instances with
    fields and forms in text (`user=ann&password=x`) are searched through; a value of a key that is
    filtered goes as a whole.
    """

    discard: tuple[str, ...] = attrs.field(default=SECRET_WORDS, converter=_lower)
    keep: frozenset[str] | None = attrs.field(default=None, converter=_frozen)

    def __call__(self, parameters: Any) -> Any:
        """A copy for the log."""
        return self._filter(parameters, _MAX_DEPTH, shown=self.keep is None)

    def _filter(self, value: Any, depth: int, *, shown: bool) -> Any:
        fields = None if isinstance(value, Binary) else fields_of(value)
        if fields is not None:  # what it is called is nothing that a filter knows
            value = fields
        if isinstance(value, Mapping | list | tuple | set | frozenset) and not depth:
            return "..."
        if isinstance(value, Mapping):
            return self._filter_object(value, depth, shown=shown)
        if isinstance(value, list | tuple | set | frozenset):
            some = islice(value, _MAX_ITEMS)
            items = [self._filter(item, depth - 1, shown=shown) for item in some]
            return [*items, "..."] if len(value) > _MAX_ITEMS else items
        if not shown:
            return FILTERED
        shortened = _shorten(value)
        if isinstance(shortened, str) and self.keep is None:
            return hide_in_text(shortened, self.discard)
        return shortened

    def _filter_object(
        self, value: Mapping[Any, Any], depth: int, *, shown: bool
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, inner in value.items():
            if len(result) == _MAX_ITEMS:
                result["..."] = "..."
                break
            name = str(_shorten(str(key)))
            if self.keep is not None:
                shows = shown or key in self.keep
                result[name] = self._filter(inner, depth - 1, shown=shows)
            elif names_secret(key, self.discard):
                result[name] = FILTERED
            else:
                result[name] = self._filter(inner, depth - 1, shown=True)
        return result


def _shorten(value: Any) -> Any:
    if isinstance(value, Binary):
        return f"<{len(value.data)} bytes>"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return f"{value[:_MAX_TEXT]}..."
    return value


def is_enabled(log: Any, level: LogLevel) -> bool:
    """Whether a structlog logger writes what is logged at `level`, as far as it can tell."""
    logger = log.bind()
    for name in ("is_enabled_for", "isEnabledFor"):  # structlog's own, the standard library's
        if hasattr(type(logger), name):
            try:
                return bool(getattr(logger, name)(_LEVELS[level]))
            except AttributeError:  # it asks a logger that knows no levels
                return True
    # structlog before 25.1: a level that is filtered away is a function that does nothing
    return getattr(getattr(logger, level, None), "__name__", "") != "_nop"


DEFAULT_FILTER: Final = ParameterFilter()
"""Keys with "password" or "token" in them, as Phoenix does."""
