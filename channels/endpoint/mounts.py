"""Where sockets are mounted: `Mount` is what an `Endpoint` is told, `PathTable` finds what serves a
path (Phoenix: `socket "/socket", UserSocket, websocket: [...]`). Values; they start nothing.

A path has any number of segments; one that begins with a colon is a variable (`/ws/:user_id`) that
stands for exactly one segment, whose decoded text becomes a parameter of `connect`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from channels.endpoint.origin import OriginOption
from channels.endpoint.query import percent_decode
from channels.serializers import Serializers
from channels.socket import UserSocket
from channels.transports.websocket.handshake import is_token

__all__ = ("AUTH_SUBPROTOCOL", "LongPoll", "Mount", "PathTable")

T = TypeVar("T")

AUTH_SUBPROTOCOL = "phoenix"
"""The subprotocol beside which a client sends its token, and which the server agrees to."""


@attrs.frozen
class LongPoll:
    """How a mount serves clients without WebSockets (Phoenix: `longpoll: [...]`).

    `suffix` is what follows the mount's path; `window` the seconds that a poll may wait for
    something to say, 0: until the client hangs up; `max_body` the bytes of a POST, 0: any number;
    `body_timeout` the seconds in which they must have come, 0: any time.
    """

    suffix: str = "/longpoll"
    window: float = attrs.field(default=10.0, validator=attrs.validators.ge(0))
    max_body: int = attrs.field(default=8_000_000, validator=attrs.validators.ge(0))
    body_timeout: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))


def _long_poll(option: bool | LongPoll | None) -> LongPoll | None:  # noqa: FBT001  # an option
    if option is True:
        return LongPoll()
    if option and not isinstance(option, LongPoll):
        raise TypeError(f"longpoll={option!r}; expected True, False or LongPoll(...)")
    return option or None


@attrs.frozen
class Mount:
    """A socket class and the options of its mount.

    - `suffix`: what follows the mount's path in the path of the WebSocket.
    - `check_origin`, `serializers`: as the endpoint's, for this mount; None: the endpoint's.
    - `auth_token`: take a token from the Sec-WebSocket-Protocol header (long poll: from
      X-Phoenix-AuthToken) into `ConnectInfo.auth_token`.
    - `subprotocols`: those that the server speaks; the first one that the client offers is agreed
      to, and a client that offers others only is refused.
    - `longpoll`: also serve clients without WebSockets: True, or a `LongPoll`.
    - `connect_info`: what `ConnectInfo.custom` holds, for every connection.
    - `refuse_after_upgrade`: tell refusals by a close code, unless they say otherwise
      (`ConnectRefused`).
    """

    socket_class: type[UserSocket]
    suffix: str = attrs.field(default="/websocket", kw_only=True)
    check_origin: OriginOption | None = attrs.field(default=None, kw_only=True)
    serializers: Serializers | None = attrs.field(default=None, kw_only=True)
    auth_token: bool = attrs.field(default=False, kw_only=True)
    subprotocols: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    connect_info: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    refuse_after_upgrade: bool = attrs.field(default=False, kw_only=True)
    longpoll: LongPoll | None = attrs.field(default=None, converter=_long_poll, kw_only=True)

    @subprotocols.validator
    def _check_subprotocols(self, _attribute: object, value: object) -> None:
        names = value if isinstance(value, tuple | list) else [None]
        if not all(isinstance(name, str) and is_token(name) for name in names):
            raise ValueError(f"subprotocols={value!r}; expected a tuple of names, of ASCII letters")

    @property
    def agreeable(self) -> tuple[str, ...]:
        """All subprotocols that the server agrees to."""
        return (AUTH_SUBPROTOCOL, *self.subprotocols) if self.auth_token else self.subprotocols


class PathTable(Generic[T]):
    """Path to anything. A path without variables wins over those with, which are tried in order.

    As for Plug, slashes only separate: `/socket//websocket/` is `/socket/websocket`.
    """

    __slots__ = ("_exact", "_patterns")

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._patterns: list[tuple[list[str], T]] = []
        for pattern, entry in entries:
            segments = _segments(pattern)
            if any(segment.startswith(":") for segment in segments):
                self._patterns.append((segments, entry))
            else:
                self._exact.setdefault(_join(segments), entry)

    def __repr__(self) -> str:
        return f"<PathTable {' '.join(self.paths())}>"

    def paths(self) -> tuple[str, ...]:
        """All paths, as they were written but for needless slashes."""
        return (*self._exact, *(_join(segments) for segments, _ in self._patterns))

    def find(self, target: str) -> tuple[T, dict[str, str]] | None:
        """What serves the target of a request (path and query as they came), and the variables.

        Raises ValueError where a segment is not well encoded.
        """
        raw = target.partition("?")[0]
        entry = self._exact.get(raw)
        if entry is not None:
            return entry, {}
        if self._patterns or "%" in raw or "//" in raw or raw.endswith("/"):
            return self._search(raw)
        return None

    def _search(self, raw: str) -> tuple[T, dict[str, str]] | None:
        # Split before decoding, so that an encoded slash stays inside its segment.
        segments = [percent_decode(segment) for segment in _segments(raw)]
        if not any("/" in segment for segment in segments):
            entry = self._exact.get(_join(segments))
            if entry is not None:
                return entry, {}
        for pattern, candidate in self._patterns:
            variables = _match(pattern, segments)
            if variables is not None:
                return candidate, variables
        return None


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _join(segments: Iterable[str]) -> str:
    return "/" + "/".join(segments)


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    variables: dict[str, str] = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith(":"):
            variables[expected[1:]] = segment
        elif expected != segment:
            return None
    return variables
