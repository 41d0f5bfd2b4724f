"""Query strings as Plug reads them (Plug.Conn.Query): pure, text in, nested parameters out.

`a=1&a=2` is {"a": "2"}: the last one wins. `a[]=1&a[]=2` is {"a": ["1", "2"]}, `a[b]=1` is
{"a": {"b": "1"}}, `a` alone is {"a": ""}.
"""

from __future__ import annotations

import re
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

__all__ = ("Param", "Params", "QueryTooDeepError", "decode_query", "percent_decode")

Param: TypeAlias = "str | list[str] | dict[str, Param]"
Params: TypeAlias = dict[str, Param]

_MAX_DEPTH = 16  # of brackets; enough for people, too little to exhaust a stack
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


class QueryTooDeepError(ValueError):
    """A query parameter has more brackets than is legal."""

    def __init__(self, depth: int) -> None:
        super().__init__(f"a query parameter nests {depth} deep; at most {_MAX_DEPTH} is legal")


def percent_decode(text: str) -> str:
    """Undoes percent-encoding. Raises ValueError unless the result is UTF-8 text without NUL."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"{text!r} holds a % that is not followed by two hexadecimal digits")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{text!r} does not decode to UTF-8") from None
    if "\0" in decoded:
        raise ValueError(f"{text!r} holds a NUL")
    return decoded


def decode_query(query: str) -> Params:
    """Decodes what stands behind the question mark. Raises ValueError where it is malformed,
    `QueryTooDeepError` among them.
    """
    params: Params = {}
    for pair in query.split("&"):
        if not pair:
            continue
        key, _, value = pair.replace("+", " ").partition("=")
        _put(params, _path(percent_decode(key)), percent_decode(value))
    return params


def _path(key: str) -> list[str]:
    """`a[b][]` is ["a", "b", ""]; what does not follow the pattern is one plain key."""
    match = _KEY.fullmatch(key)
    if match is None:
        return [key]
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > _MAX_DEPTH:
        raise QueryTooDeepError(len(path))
    return path


def _put(params: Params, path: list[str], value: str) -> None:
    *parents, last = path
    if parents and not last:  # `a[]`: add to a list
        parents, name = parents[:-1], parents[-1]
        into = _descend(params, parents)
        values = into.get(name)
        if not isinstance(values, list):
            values = into[name] = []
        values.append(value)
    else:
        _descend(params, parents)[last] = value


def _descend(params: Params, parents: list[str]) -> Params:
    for name in parents:
        inner = params.get(name)
        if not isinstance(inner, dict):
            inner = params[name] = {}
        params = inner
    return params
