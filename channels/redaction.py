"""What is hidden wherever a stranger's parameters are shown, in logs and in the `repr` of messages.
Pure.

Source: Phoenix's `:filter_parameters`, and how `Phoenix.Socket.Message` is inspected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

import attrs
import msgspec

__all__ = ("FILTERED", "SECRET_WORDS", "fields_of", "hide_in_text", "names_secret", "redact")

FILTERED: Final = "[FILTERED]"

SECRET_WORDS: Final = ("password", "token")
"""The values of keys with one of these in them are hidden, in any case; as in Phoenix."""

_MAX_DEPTH: Final = 64


def names_secret(key: object, words: Iterable[str] = SECRET_WORDS) -> bool:
    """Whether the value of `key` is to be hidden; `words` are in lower case."""
    name = str(key).lower()
    return any(word in name for word in words)


def hide_in_text(text: str, words: Iterable[str] = SECRET_WORDS) -> str:
    """Text with the secrets of a form in it hidden: `user=ann&password=x`. Other text stays."""
    if "=" not in text:
        return text
    return "&".join(_hide_in_pair(pair, words) for pair in text.split("&"))


def _hide_in_pair(pair: str, words: Iterable[str]) -> str:
    key, equals, _ = pair.partition("=")
    hidden = equals and names_secret(unquote_plus(key), words)  # which takes any text
    return f"{key}={FILTERED}" if hidden else pair


def fields_of(value: Any) -> dict[str, Any] | None:
    """What JSON writes as an object and is no mapping: the fields of an attrs class, a dataclass or
    a Struct, by name; None for anything else.
    """
    kind = type(value)
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind)]
    elif isinstance(value, msgspec.Struct):
        names = list(value.__struct_fields__)
    elif is_dataclass(kind):
        names = [field.name for field in dataclass_fields(kind)]
    else:
        return None
    return {name: getattr(value, name, "...") for name in names}


def redact(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """A copy of a payload without its secrets; objects and arrays are searched through."""
    match value:
        case str():
            return hide_in_text(value)
        case Mapping() | list() | tuple() | set() | frozenset() if not depth:
            return "..."
        case Mapping():
            return {
                key: FILTERED if names_secret(key) else redact(inner, depth - 1)
                for key, inner in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [redact(item, depth - 1) for item in value]
    fields = fields_of(value)
    if fields is None:
        return value
    shown = redact(fields, depth)
    return shown if FILTERED in repr(shown) else value  # what has no secret is shown as it is
