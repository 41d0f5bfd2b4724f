"""The way from an HTTP request to a running WebSocket, in Phoenix's order (protocol reference 1.1).

Origin, then token and subprotocol, then serializer (`vsn`), then the user's `connect` and `id`, and
only then whether the request is an upgrade at all. Everything that is refused is refused before the
upgrade, as an HTTP answer, except where the user's page wants its refusal told by a close code.
Runs in the connection's process.
"""

from __future__ import annotations

import base64
import binascii
import math
from time import perf_counter
from typing import Any, Final

import attrs
import structlog

from channels.endpoint.config import MountPoint
from channels.endpoint.http import Headers, Request, Response, text
from channels.endpoint.origin import Origin
from channels.exceptions import ConnectRefused
from channels.log_filter import plain_traceback
from channels.serializers import Serializer, negotiate
from channels.socket import ConnectInfo, PeerData, UserSocket, split_host
from channels.transports.websocket import BadUpgradeError, check_upgrade
from channels.transports.websocket.handshake import header_tokens

__all__ = ("Accepted", "Refused", "admit", "identify", "own_origin")

_log = structlog.get_logger("channels")

TOKEN_PREFIX: Final = "base64url.bearer.phx."  # noqa: S105  # not a token, what stands before one
TOKEN_HEADER: Final = "x-phoenix-authtoken"  # noqa: S105  # the name of a header; long poll's

_NOT_LET_IN: Final = "The connection was refused."


@attrs.frozen
class Accepted:
    """Who was let in, and how they speak."""

    point: MountPoint
    socket: UserSocket
    socket_id: str | None
    serializer: Serializer
    info: ConnectInfo
    subprotocol: str | None


@attrs.frozen
class Refused:
    """Who was refused, to be told by a close frame after the upgrade."""

    code: int
    reason: str
    subprotocol: str | None


async def admit(
    point: MountPoint,
    request: Request,
    variables: dict[str, str],
    peer: PeerData,
    *,
    secure: bool,
) -> Accepted | Refused | Response:
    """Decide on a request to a WebSocket's path. A `Response` refuses it before the upgrade."""
    if request.method != "GET":
        return text(400, "A WebSocket upgrade must be a GET request.")
    decision = await identify(point, request, variables, peer, secure=secure)
    if isinstance(decision, Response):
        return decision
    try:
        check_upgrade(request)
    except BadUpgradeError as error:
        return text(error.status, str(error), error.headers)
    return decision


async def identify(
    point: MountPoint,
    request: Request,
    variables: dict[str, str],
    peer: PeerData,
    *,
    secure: bool,
    transport: str = "websocket",
) -> Accepted | Refused | Response:
    """All checks but those of the upgrade itself; `Refused` only for transport "websocket"."""
    origin, own = request.header("origin"), own_origin(request, secure=secure)
    if not point.check_origin.allows(origin, own):
        _log.error(point.check_origin.explain(origin or ""), peer=str(peer))
        return text(403, "This origin may not connect.")
    try:
        token, offered = _token(point, request, transport)
    except ValueError as error:
        _log.warning("malformed auth token", problem=str(error), peer=str(peer))
        return text(403, _NOT_LET_IN)
    agreeable = point.mount.agreeable
    subprotocol = next((name for name in offered if name in agreeable), None)
    if offered and agreeable and subprotocol is None:
        _log.warning("no common subprotocol", offered=offered[:8], spoken=agreeable, peer=str(peer))
        return text(403, "None of these subprotocols is spoken here.")
    info = ConnectInfo(
        peer,
        request.path,
        request.query_string,
        request.headers,
        transport=transport,
        scheme="https" if secure else "http",
        auth_token=token,
        custom=point.mount.connect_info,
    )
    vsn = request.params.get("vsn")
    serializer = negotiate(vsn, point.serializers) if vsn is None or isinstance(vsn, str) else None
    if serializer is None:
        _log.warning("unsupported vsn", vsn=repr(vsn)[:80], peer=str(peer))
        return text(403, "This version of the protocol (vsn) is not spoken here.")
    return await _connect(point, {**request.params, **variables}, info, serializer, subprotocol)


async def _connect(
    point: MountPoint,
    params: dict[str, Any],
    info: ConnectInfo,
    serializer: Serializer,
    subprotocol: str | None,
) -> Accepted | Refused | Response:
    socket = point.socket_class()
    name = point.socket_class.__name__
    started = perf_counter()
    try:
        await socket.connect(params, info)
        socket_id = socket.id()
    except ConnectRefused as refusal:
        _log_connect("connect refused", socket, info, params, started, reason=repr(refusal.reason))
        return _refuse(point, info, refusal, subprotocol)
    except Exception as error:
        stack = plain_traceback(error)
        _log.error("connect crashed", socket=name, peer=str(info.peer), stack=stack)
        return text(500, "The server could not handle this connection.")
    if socket_id is not None and not isinstance(socket_id, str):
        _log.error("id() must return a str or None", socket=name, got=repr(socket_id)[:80])
        return text(403, _NOT_LET_IN)
    _log_connect(
        "connected", socket, info, params, started, serializer=serializer.name, socket_id=socket_id
    )
    return Accepted(point, socket, socket_id, serializer, info, subprotocol)


def _refuse(
    point: MountPoint, info: ConnectInfo, refusal: ConnectRefused, subprotocol: str | None
) -> Refused | Response:
    later = refusal.after_upgrade
    if later is None:
        later = point.mount.refuse_after_upgrade
    if later and info.transport == "websocket":
        return Refused(refusal.code, refusal.close_reason, subprotocol)
    headers: Headers = ()
    if refusal.retry_after is not None:
        headers = (("retry-after", str(math.ceil(refusal.retry_after))),)
    return text(refusal.status, _NOT_LET_IN, headers)


def _token(point: MountPoint, request: Request, transport: str) -> tuple[str | None, list[str]]:
    """The token that a client sent as such, and the subprotocols that it offers beside it.

    Raises ValueError for a token that is not base64 of UTF-8.
    """
    offered = header_tokens(request.headers, "sec-websocket-protocol")
    if transport != "websocket":
        return (request.header(TOKEN_HEADER) if point.mount.auth_token else None), []
    if not point.mount.auth_token:
        return None, offered
    encoded = [name for name in offered if name.startswith(TOKEN_PREFIX)]
    if len(encoded) != 1:  # Phoenix extracts nothing then either
        return None, offered
    offered.remove(encoded[0])
    return _decode_token(encoded[0].removeprefix(TOKEN_PREFIX)), offered


def _decode_token(encoded: str) -> str:
    """Both alphabets: the prefix promises the URL-safe one, Phoenix's client sends the standard."""
    standard = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        padded = standard + "=" * (-len(standard) % 4)
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, ValueError):  # without the token: it goes to the log
        raise ValueError("it is not base64 of UTF-8 text") from None


def _log_connect(
    what: str,
    socket: UserSocket,
    info: ConnectInfo,
    params: dict[str, Any],
    started: float,
    **facts: Any,
) -> None:
    if socket.log:
        getattr(_log, socket.log)(
            what,
            socket=type(socket).__name__,
            transport=info.transport,
            peer=str(info.peer),
            params=socket.log_filter(params),
            microseconds=round((perf_counter() - started) * 1e6),
            **facts,
        )


def own_origin(request: Request, *, secure: bool) -> Origin:
    """Where the request itself went, by its Host header."""
    scheme = "https" if secure else "http"
    host, port = split_host(request.header("host") or "")
    return Origin(scheme, host, port or (443 if secure else 80))
