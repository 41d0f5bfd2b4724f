"""`UserSocket`: the user's page for a connection (Phoenix: `Phoenix.Socket`), and `ConnectInfo`.

A `UserSocket` is made for each connection that asks for an upgrade. It says who is there
(`connect`), what to call them (`id`), and which channel serves which topic (`channels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from channels.channel import Channel, JoinRequest
from channels.exceptions import InvalidRouteError
from channels.log_filter import DEFAULT_FILTER, LogLevel, ParameterFilter
from channels.topics import TopicRouter
from channels.transports.backlog import Disconnect, OverflowPolicy

__all__ = (
    "ConnectInfo",
    "PeerData",
    "Route",
    "RouteOption",
    "Uri",
    "UserSocket",
    "router_of",
    "split_host",
)

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PORT_DIGITS: Final = 5
_TRACE_HEADERS: Final = ("traceparent", "tracestate")  # W3C Trace Context

Headers: TypeAlias = tuple[tuple[str, str], ...]


@attrs.frozen
class PeerData:
    """The other end of the connection. `certificate` is its TLS client certificate (DER), if the
    endpoint asks for one.
    """

    address: str
    port: int
    certificate: bytes | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@attrs.frozen
class Uri:
    """Where a request went, by its Host header."""

    scheme: str
    host: str | None
    port: int
    path: str
    query: str = attrs.field(repr=False)


@attrs.frozen
class ConnectInfo:
    """What is known of a connection beside its parameters (Phoenix: `connect_info`).

    `headers` are in the order in which they came, names in lower case. `auth_token` is what a
    client sent as such, where the mount asks for it; `custom` what the mount adds. Neither tokens
    nor headers are part of its `repr`.
    """

    peer: PeerData
    path: str
    query: str = attrs.field(repr=False)
    headers: Headers = attrs.field(repr=False)
    transport: str = "websocket"
    scheme: str = "http"  # or https
    auth_token: str | None = attrs.field(default=None, repr=False)
    custom: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    @property
    def user_agent(self) -> str | None:
        """What the client calls itself."""
        return self.header("user-agent")

    @property
    def uri(self) -> Uri:
        """Scheme, host, port, path and query of the request."""
        host, port = split_host(self.header("host") or "")
        return Uri(self.scheme, host, port or _DEFAULT_PORTS[self.scheme], self.path, self.query)

    @property
    def x_headers(self) -> Headers:
        """The headers that begin with `x-`."""
        return self._with_prefix("x-")

    @property
    def sec_websocket_headers(self) -> Headers:
        """The headers that begin with `sec-websocket-`."""
        return self._with_prefix("sec-websocket-")

    @property
    def trace_context_headers(self) -> Headers:
        """`traceparent` and `tracestate` (W3C Trace Context)."""
        return tuple((key, value) for key, value in self.headers if key in _TRACE_HEADERS)

    def _with_prefix(self, prefix: str) -> Headers:
        return tuple((key, value) for key, value in self.headers if key.startswith(prefix))


def split_host(text: str) -> tuple[str | None, int | None]:
    """Host, in lower case, and port of a Host header; None for what it does not say. What cannot be
    a port, because it has more than five digits, belongs to the host.
    """
    host, colon, port = text.rpartition(":")
    if not colon or len(port) > _PORT_DIGITS or not (port.isascii() and port.isdigit()):
        host, port = text, ""
    return host.strip("[]").lower() or None, int(port) if port else None


@attrs.frozen
class Route:
    """What serves a topic: a channel class, and what its assigns have beside the socket's."""

    channel: type[Channel]
    assigns: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    log_filter: ParameterFilter = DEFAULT_FILTER

    def child_spec(self, request: JoinRequest) -> dict[str, Any]:
        """How a supervisor starts the channel of one join."""
        assigns = {**request.assigns, **self.assigns}
        request = attrs.evolve(request, assigns=assigns, log_filter=self.log_filter)
        return self.channel.child_spec(request)


RouteOption: TypeAlias = type[Channel] | tuple[type[Channel], Mapping[str, Any]]
"""A channel class, or one with static assigns: `(RoomChannel, {"kind": "public"})`."""


class UserSocket:
    """Subclass it, list the channels, and mount it in an `Endpoint`.

    `assigns` is what `connect` learnt; each channel starts with a copy of it.
    """

    channels: ClassVar[Mapping[str, RouteOption]] = {}
    """Topic pattern (`room:*`) to channel class, or to a pair of it and static assigns, which go
    over the socket's; the first that matches serves the topic.
    """
    max_channels: ClassVar[int] = 100
    """Topics that one connection may have joined; 0 is no limit."""
    overflow: ClassVar[OverflowPolicy] = Disconnect()
    """What becomes of frames for a client that reads too slowly, once `Limits.outbox` bytes wait:
    `Disconnect` (4008; it comes back), `DropOldest`, `DropNewest`, or `CoalesceByKey`.
    """
    log: ClassVar[LogLevel | None] = "info"
    """The level at which connects are logged; None: they are not."""
    log_filter: ClassVar[ParameterFilter] = DEFAULT_FILTER
    """What the logs show of parameters and payloads."""

    def __init__(self) -> None:
        self.assigns: dict[str, Any] = {}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        """Let the client in, or raise `ConnectRefused`. Runs in the connection's process.

        `params` are the URL's query parameters, `vsn` among them, and the variables of the mount's
        path, which win.
        """

    async def refresh(self, params: dict[str, Any]) -> Any:
        """Take new credentials of a client that is connected; `params` is what it sent, usually
        `{"token": ...}`. Return what its reply carries (None: `{}`).

        Raise `ConnectRefused` to refuse: the reply then has status "error" and the reason, and with
        `after_upgrade=True` the connection is closed too. What it changes in `assigns` is seen by
        channels that are joined later. Runs in a task of the connection's process, one at a time
        and for at most five seconds. Beyond Phoenix; a class without it answers `unmatched topic`.
        """
        raise NotImplementedError

    def id(self) -> str | None:
        """The topic on which this connection can be told to `disconnect`; None: it cannot."""
        return None


def router_of(socket_class: type[UserSocket]) -> TopicRouter[Route]:
    """The routes of a socket class. Raises `InvalidRouteError`, `InvalidPatternError`."""
    return TopicRouter(
        (pattern, _route(socket_class, pattern, option))
        for pattern, option in socket_class.channels.items()
    )


def _route(socket_class: type[UserSocket], pattern: str, option: object) -> Route:
    match option:
        case (channel, Mapping() as assigns):
            pass
        case channel:
            assigns = {}
    if not (isinstance(channel, type) and issubclass(channel, Channel)):
        raise InvalidRouteError(socket_class, pattern, option)
    return Route(channel, assigns, socket_class.log_filter)
