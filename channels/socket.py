"""`UserSocket`: the user's page for a connection (Phoenix: `Phoenix.Socket`), and `ConnectInfo`.

A `UserSocket` is made for each connection that asks for an upgrade. It says who is there
(`connect`), what to call them (`id`), and which channel serves which topic (`channels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from channels.channel import Channel
from channels.exceptions import InvalidRouteError
from channels.topics import TopicRouter

__all__ = ("ConnectInfo", "PeerData", "UserSocket", "router_of")


@attrs.frozen
class PeerData:
    """The other end of the connection."""

    address: str
    port: int

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@attrs.frozen
class ConnectInfo:
    """What is known of a connection beside its parameters (Phoenix: `connect_info`).

    `headers` are in the order in which they came, names in lower case.
    """

    peer: PeerData
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    transport: str = "websocket"

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    @property
    def user_agent(self) -> str | None:
        """What the client calls itself."""
        return self.header("user-agent")

    @property
    def x_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that begin with `x-`."""
        return tuple((key, value) for key, value in self.headers if key.startswith("x-"))


class UserSocket:
    """Subclass it, list the channels, and mount it in an `Endpoint`.

    `assigns` is what `connect` learnt; each channel starts with a copy of it.
    """

    channels: ClassVar[Mapping[str, type[Channel]]] = {}
    """Topic pattern (`room:*`) to channel class; the first that matches serves the topic."""
    max_channels: ClassVar[int] = 100
    """Topics that one connection may have joined; 0 is no limit."""

    def __init__(self) -> None:
        self.assigns: dict[str, Any] = {}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        """Let the client in, or raise `ConnectRefused`. Runs in the connection's process.

        `params` are the URL's query parameters, `vsn` among them.
        """

    def id(self) -> str | None:
        """The topic on which this connection can be told to `disconnect`; None: it cannot."""
        return None


def router_of(socket_class: type[UserSocket]) -> TopicRouter[type[Channel]]:
    """The routes of a socket class. Raises `InvalidRouteError`, `InvalidPatternError`."""
    for pattern, channel in socket_class.channels.items():
        if not (isinstance(channel, type) and issubclass(channel, Channel)):
            raise InvalidRouteError(socket_class, pattern, channel)
    return TopicRouter(socket_class.channels)
