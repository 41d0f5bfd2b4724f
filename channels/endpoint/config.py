"""What an `Endpoint` is told, checked: `EndpointConfig` and `Mount`. Values; they start nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import attrs

from channels.channel import Channel
from channels.endpoint.origin import CheckOrigin, OriginOption
from channels.endpoint.static import StaticFiles
from channels.exceptions import InvalidMountError
from channels.serializers import DEFAULT_SERIALIZERS, Serializers
from channels.socket import UserSocket, router_of
from channels.topics import TopicRouter
from channels.transports.connection import Limits
from channels.transports.websocket import ENGINES

__all__ = ("DEFAULT_ENGINE", "EndpointConfig", "Mount", "configure")

DEFAULT_ENGINE: Final = "websockets"
"""Measured on the whole path: 1.8 times the pushes answered per server CPU of trio-websocket, and
13 KiB less for each connection (docs/performance.md)."""

WEBSOCKET_SUFFIX: Final = "/websocket"


@attrs.frozen
class Mount:
    """A socket class at a path, with what is worked out once for all of its connections."""

    path: str  # of the WebSocket: the mount's path and /websocket
    socket_class: type[UserSocket]
    router: TopicRouter[type[Channel]]


@attrs.frozen(kw_only=True)
class EndpointConfig:
    """The options of an `Endpoint`; its docstring says what they mean."""

    mounts: Mapping[str, Mount]  # by path of the WebSocket
    host: str
    port: int
    static: StaticFiles | None
    check_origin: CheckOrigin
    serializers: Serializers
    engine: str
    limits: Limits
    drain_timeout: float


def configure(
    sockets: Mapping[str, type[UserSocket]],
    *,
    host: str,
    port: int,
    static: str | os.PathLike[str] | StaticFiles | None,
    check_origin: OriginOption,
    serializers: Serializers = DEFAULT_SERIALIZERS,
    engine: str,
    limits: Limits,
    drain_timeout: float,
) -> EndpointConfig:
    """Check the options.

    Raises `InvalidMountError`, `InvalidRouteError`, `NotADirectoryError`, `ValueError`.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port={port!r}; expected 0 (any free one) to 65535")
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}; expected one of {', '.join(ENGINES)}")
    files = static if static is None or isinstance(static, StaticFiles) else StaticFiles(static)
    mounts = [_mount(path, socket_class) for path, socket_class in sockets.items()]
    return EndpointConfig(
        mounts={mount.path: mount for mount in mounts},
        host=host,
        port=port,
        static=files,
        check_origin=CheckOrigin(check_origin),
        serializers=serializers,
        engine=engine,
        limits=limits,
        drain_timeout=drain_timeout,
    )


def _mount(path: str, socket_class: type[UserSocket]) -> Mount:
    if not path.startswith("/"):
        raise InvalidMountError(path, socket_class, "the path must begin with /")
    if not (isinstance(socket_class, type) and issubclass(socket_class, UserSocket)):
        raise InvalidMountError(path, socket_class, "expected a subclass of channels.UserSocket")
    return Mount(path.rstrip("/") + WEBSOCKET_SUFFIX, socket_class, router_of(socket_class))
