"""The opening handshake of RFC 6455, section 4.2: is this request an upgrade, and the answer to it.

Pure: headers in, bytes out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final, Protocol

__all__ = (
    "BadUpgradeError",
    "accept_key",
    "announces_body",
    "check_upgrade",
    "header_tokens",
    "is_token",
    "switching_protocols",
)

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_VERSION: Final = "13"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

Headers = Iterable[tuple[str, str]]


class BadUpgradeError(Exception):
    """The request does not ask for a WebSocket as RFC 6455 wants it.

    `status` and `headers` are for the HTTP answer, the text for its body.
    """

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class _Request(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def http_version(self) -> str: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...


def header_tokens(headers: Headers, name: str) -> list[str]:
    """All comma-separated values of a header, over all its lines, in order."""
    values = (value for key, value in headers if key == name)
    return [token for value in values for token in map(str.strip, value.split(",")) if token]


def is_token(text: str) -> bool:
    """Whether `text` is a token of HTTP (RFC 9110, 5.6.2), as the name of a subprotocol must be."""
    return _TOKEN.fullmatch(text) is not None


def announces_body(headers: Headers) -> bool:
    """Whether a request with these headers has a body (RFC 9112, 6.3)."""
    return any(
        name == "transfer-encoding" or (name == "content-length" and value != "0")
        for name, value in headers
    )


def check_upgrade(request: _Request) -> None:
    """Raises `BadUpgradeError` unless the request is a good WebSocket upgrade (RFC 6455, 4.2.1).

    Always 400, as Phoenix answers, with a text that says what is missing.
    """
    if request.method != "GET":
        raise BadUpgradeError(
            400, "A WebSocket upgrade must be a GET request.", (("allow", "GET"),)
        )
    if request.http_version != "1.1":
        raise BadUpgradeError(400, "A WebSocket upgrade needs HTTP/1.1.")
    headers = request.headers
    if "websocket" not in map(str.lower, header_tokens(headers, "upgrade")):
        raise BadUpgradeError(
            400,
            "This is a WebSocket: ask for it with `Upgrade: websocket`.",
            (("upgrade", "websocket"), ("connection", "upgrade")),
        )
    if "upgrade" not in map(str.lower, header_tokens(headers, "connection")):
        raise BadUpgradeError(400, "A WebSocket upgrade needs `Connection: Upgrade`.")
    if header_tokens(headers, "sec-websocket-version") != [_VERSION]:
        raise BadUpgradeError(
            400,
            f"Only WebSocket version {_VERSION} is spoken here.",
            (("sec-websocket-version", _VERSION),),
        )
    if announces_body(headers):
        raise BadUpgradeError(400, "A WebSocket upgrade has no body.")
    if _key_of(headers) is None:
        raise BadUpgradeError(400, "Sec-WebSocket-Key must be the base64 of 16 bytes, once.")


def accept_key(key: str) -> str:
    """The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def switching_protocols(
    headers: Headers, *, subprotocol: str | None = None, extensions: str | None = None
) -> bytes:
    """The 101 response to the upgrade request with these headers.

    Raises ValueError for a request that `check_upgrade` would have refused.
    """
    key = _key_of(headers)
    if key is None:
        raise ValueError("no valid Sec-WebSocket-Key; ask check_upgrade first")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions is not None:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _key_of(headers: Headers) -> str | None:
    keys = [value for name, value in headers if name == "sec-websocket-key"]
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    return keys[0] if valid else None
