"""Agreeing on permessage-deflate (RFC 7692): pure, from the client's offers to our answer.

Only what the client sends is compressed. Frames of ours go to many connections as the same bytes,
so they are sent uncompressed, which the extension always allows. Each message stands for itself
(`client_no_context_takeover`): an idle connection keeps no window in memory.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ("agree",)

_NAME = "permessage-deflate"
_FLAGS = {"server_no_context_takeover", "client_no_context_takeover"}
_WINDOWS = {"server_max_window_bits", "client_max_window_bits"}


def agree(offers: Iterable[str]) -> str | None:
    """Return our `Sec-WebSocket-Extensions` for the first offer that we can take, None for none.

    `offers` are the comma-separated parts of the client's header. An offer with an unknown, doubled
    or malformed parameter is passed over (RFC 7692, 7.1).
    """
    for offer in offers:
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name.lower() != _NAME:
            continue
        asked = _parse(parameters)
        if asked is None:
            continue
        answer = [_NAME, "server_no_context_takeover", "client_no_context_takeover"]
        window = asked.get("server_max_window_bits")
        if window is not None:  # we never compress, so any window will do
            answer.append(f"server_max_window_bits={window}")
        return "; ".join(answer)
    return None


def _parse(parameters: list[str]) -> dict[str, str] | None:
    asked: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        value = value.strip('"')
        if name in asked or not _is_legal(name, value, has_value=bool(equals)):
            return None
        asked[name] = value
    return asked


def _is_legal(name: str, value: str, *, has_value: bool) -> bool:
    if name in _FLAGS:
        return not has_value
    if name not in _WINDOWS:
        return False
    if not has_value:
        return name == "client_max_window_bits"  # "I understand it"
    return value in {"8", "9", "10", "11", "12", "13", "14", "15"}
