"""The way from an HTTP request to a running WebSocket, in Phoenix's order (protocol reference 1.1).

Origin, then serializer (`vsn`), then the user's `connect` and `id`, and only then whether the
request is an upgrade at all. Everything that is refused is refused before the upgrade, as an HTTP
answer. Runs in the connection's process.
"""

from __future__ import annotations

import attrs
import structlog

from channels.endpoint.config import EndpointConfig, Mount
from channels.endpoint.http import Request, Response, text
from channels.endpoint.origin import Origin
from channels.exceptions import ConnectRefused
from channels.serializers import Serializer, negotiate
from channels.socket import ConnectInfo, PeerData, UserSocket
from channels.transports.websocket import BadUpgradeError, check_upgrade

__all__ = ("Accepted", "admit")

_log = structlog.get_logger("channels")


@attrs.frozen
class Accepted:
    """Who was let in, and how they speak."""

    mount: Mount
    socket: UserSocket
    socket_id: str | None
    serializer: Serializer
    info: ConnectInfo


async def admit(
    config: EndpointConfig, mount: Mount, request: Request, peer: PeerData, *, secure: bool
) -> Accepted | Response:
    """Decide on a request to a socket's path: `Accepted`, or the answer that refuses it."""
    info = ConnectInfo(peer, request.path, request.query_string, request.headers)
    if request.method != "GET":
        return text(400, "A WebSocket upgrade must be a GET request.")
    origin = request.header("origin")
    if not config.check_origin.allows(origin, _own_origin(request, secure=secure)):
        _log.error(config.check_origin.explain(origin or ""), peer=str(peer))
        return text(403, "This origin may not connect.")
    vsn = request.params.get("vsn")
    serializer = negotiate(vsn, config.serializers) if vsn is None or isinstance(vsn, str) else None
    if serializer is None:
        _log.warning("unsupported vsn", vsn=repr(vsn)[:80], peer=str(peer))
        return text(403, "This version of the protocol (vsn) is not spoken here.")
    return await _connect(mount, request, info, serializer)


async def _connect(
    mount: Mount, request: Request, info: ConnectInfo, serializer: Serializer
) -> Accepted | Response:
    socket = mount.socket_class()
    name = mount.socket_class.__name__
    try:
        await socket.connect(dict(request.params), info)
        socket_id = socket.id()
    except ConnectRefused as refusal:
        _log.info("connect refused", socket=name, peer=str(info.peer), reason=repr(refusal.reason))
        return text(refusal.status, "The connection was refused.")
    except Exception:
        _log.exception("connect crashed", socket=name, peer=str(info.peer))
        return text(500, "The server could not handle this connection.")
    if socket_id is not None and not isinstance(socket_id, str):
        _log.error("id() must return a str or None", socket=name, got=repr(socket_id)[:80])
        return text(403, "The connection was refused.")
    try:
        check_upgrade(request)
    except BadUpgradeError as error:
        return text(error.status, str(error), error.headers)
    return Accepted(mount, socket, socket_id, serializer, info)


def _own_origin(request: Request, *, secure: bool) -> Origin:
    """Where the request itself went, by its Host header."""
    scheme = "https" if secure else "http"
    host, port = _split_host(request.header("host") or "")
    return Origin(scheme, host, port or (443 if secure else 80))


def _split_host(text_: str) -> tuple[str | None, int | None]:
    host, colon, port = text_.rpartition(":")
    if not colon or not port.isdigit():
        host, port = text_, ""
    return host.strip("[]").lower() or None, int(port) if port else None
