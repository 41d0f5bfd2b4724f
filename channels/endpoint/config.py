"""What an `Endpoint` is told, checked: `EndpointConfig` and its `MountPoint`s. Values; they start
nothing.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from channels.endpoint.mounts import Mount, PathTable
from channels.endpoint.origin import CheckOrigin, OriginOption
from channels.endpoint.static import StaticFiles
from channels.endpoint.tls import TLS
from channels.exceptions import InvalidMountError
from channels.serializers import DEFAULT_SERIALIZERS, Serializers
from channels.socket import Route, UserSocket, router_of
from channels.topics import TopicRouter
from channels.transports.limits import Limits
from channels.transports.websocket import ENGINES, load_engine

__all__ = (
    "DEFAULT_ENGINE",
    "DrainOptions",
    "EndpointConfig",
    "MountOption",
    "MountPoint",
    "PublicUrl",
    "configure",
)

DEFAULT_ENGINE: Final = "websockets"
"""Measured on the whole path: 1.8 times the pushes answered per server CPU of trio-websocket, and
13 KiB less for each connection (docs/performance.md)."""

_HOST: Final = re.compile(
    r"[^/:@?#\[\]]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*"
)  # a name, or IPv6

MountOption: TypeAlias = type[UserSocket] | Mount


@attrs.frozen
class DrainOptions:
    """How clients are sent away when the endpoint stops (Phoenix: `drainer`).

    `batch_size` connections at a time, `batch_interval` seconds between two batches, so that they
    do not all come back at once elsewhere; `shutdown` is the seconds that all of it may take, 0: as
    long as it takes. With
    `retry_within` each client is advised to come back after a time of its own, by chance, of at
    most so many seconds (docs/protocol-extensions.md); 0: no advice.
    """

    batch_size: int = attrs.field(default=10_000, validator=attrs.validators.ge(1))
    batch_interval: float = attrs.field(default=2.0, validator=attrs.validators.ge(0))
    shutdown: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    retry_within: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))


@attrs.frozen
class PublicUrl:
    """How browsers reach the endpoint, where a proxy stands in front of it (Phoenix: `url: [...]`).

    None: as the request says. Raises ValueError, in the words of the endpoint's options.
    """

    host: str | None = None
    scheme: str | None = None
    port: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise ValueError(f"public_host={self.host!r}; expected a name or an address alone")
        if self.scheme not in {None, "http", "https"}:
            raise ValueError(f"public_scheme={self.scheme!r}; expected 'http' or 'https'")
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise ValueError(f"public_port={self.port!r}; expected 1 to 65535")


@attrs.frozen
class MountPoint:
    """A mounted socket, with what is worked out once for all of its connections."""

    path: str  # of the mount, without a suffix
    mount: Mount
    router: TopicRouter[Route]
    check_origin: CheckOrigin
    serializers: Serializers
    public: PublicUrl

    @property
    def socket_class(self) -> type[UserSocket]:
        """The user's page."""
        return self.mount.socket_class


@attrs.frozen(kw_only=True)
class EndpointConfig:
    """The options of an `Endpoint`; its docstring says what they mean."""

    mounts: PathTable[MountPoint]  # by path of the WebSocket
    longpolls: PathTable[MountPoint]  # by path of the long poll
    host: str
    port: int
    tls: TLS | None
    static: StaticFiles | None
    engine: str
    limits: Limits
    drainer: DrainOptions | None


def configure(
    sockets: Mapping[str, MountOption],
    *,
    host: str,
    port: int,
    tls: TLS | ssl.SSLContext | None,
    static: str | os.PathLike[str] | StaticFiles | None,
    check_origin: OriginOption | None,
    public: PublicUrl,
    serializers: Serializers = DEFAULT_SERIALIZERS,
    engine: str,
    limits: Limits,
    drainer: DrainOptions | Literal[False] | None,
) -> EndpointConfig:
    """Check the options.

    Raises `InvalidMountError`, `InvalidRouteError`, `NotADirectoryError`, `TypeError`,
    `ValueError`, and ImportError where the library of the engine is missing.
    """
    _check_kind("sockets", sockets, Mapping, 'a mapping of paths, {"/socket": UserSocket}')
    _check_kind("port", port, int, "a number")
    _check_kind("tls", tls, TLS | ssl.SSLContext | None, "TLS(certificate, key), a context or None")
    _check_kind("limits", limits, Limits, "Limits(...)")
    if drainer is False:  # Phoenix's spelling
        drainer = None
    _check_kind("drainer", drainer, DrainOptions | None, "DrainOptions(...) or None")
    if not 0 <= port <= 65_535:
        raise ValueError(f"port={port!r}; expected 0 (any free one) to 65535")
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}; expected one of {', '.join(ENGINES)}")
    load_engine(engine)  # now, so that no client waits for it
    files = static if static is None or isinstance(static, StaticFiles) else StaticFiles(static)
    if isinstance(check_origin, Iterator):
        check_origin = tuple(check_origin)  # each mount reads it
    if check_origin is None:
        check_origin = "conn" if public.host is None else True
    points = [
        _mount(path, option, check_origin, public, serializers) for path, option in sockets.items()
    ]
    return EndpointConfig(
        mounts=PathTable((point.path + point.mount.suffix, point) for point in points),
        longpolls=PathTable(
            (point.path + point.mount.longpoll.suffix, point)
            for point in points
            if point.mount.longpoll is not None
        ),
        host=host,
        port=port,
        tls=TLS(context=tls) if isinstance(tls, ssl.SSLContext) else tls,
        static=files,
        engine=engine,
        limits=limits,
        drainer=drainer,
    )


def _mount(
    path: str,
    option: Any,
    check_origin: OriginOption,
    public: PublicUrl,
    serializers: Serializers,
) -> MountPoint:
    mount = option if isinstance(option, Mount) else None
    socket_class = option if mount is None else mount.socket_class
    if not path.startswith("/"):
        raise InvalidMountError(path, socket_class, "the path must begin with /")
    if not (isinstance(socket_class, type) and issubclass(socket_class, UserSocket)):
        raise InvalidMountError(path, socket_class, "expected a subclass of channels.UserSocket")
    _check_options(path, socket_class)
    mount = mount or Mount(socket_class)
    if not mount.suffix.startswith("/"):
        raise InvalidMountError(path, socket_class, "the suffix must begin with /")
    spoken = serializers if mount.serializers is None else mount.serializers
    _check_serializers(spoken)
    return MountPoint(
        path.rstrip("/"),
        mount,
        router_of(socket_class),
        _origin_check(
            check_origin if mount.check_origin is None else mount.check_origin, public.host
        ),
        spoken,
        public,
    )


def _check_options(path: str, socket_class: type[UserSocket]) -> None:
    most = socket_class.max_channels
    if most is not None and not (isinstance(most, int) and most >= 0):
        problem = f"max_channels={most!r}; expected a number, 0 for no limit"
        raise InvalidMountError(path, socket_class, problem)
    policy = socket_class.overflow
    if isinstance(policy, type) or not callable(getattr(policy, "make_room", None)):
        problem = f"overflow={policy!r}; expected a policy, DropOldest() for example"
        raise InvalidMountError(path, socket_class, problem)


def _check_serializers(serializers: Serializers) -> None:
    try:
        pairs = [(serializer.name, wanted.accepts) for serializer, wanted in serializers]
    except (TypeError, ValueError, AttributeError):
        pairs = []
    if not pairs:
        words = "expected pairs of a serializer and a Requirement, one at least"
        raise TypeError(f"serializers={serializers!r}; {words}")


def _check_kind(name: str, value: object, kind: Any, expected: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}={value!r}; expected {expected}")


def _origin_check(option: OriginOption, public_host: str | None) -> CheckOrigin:
    if option is True and public_host is None:  # it would let every page in
        raise ValueError("check_origin=True compares with the public_host, and none is given")
    return CheckOrigin(option, host=public_host)
