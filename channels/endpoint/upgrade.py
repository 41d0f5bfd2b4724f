"""The way from an HTTP request to a running WebSocket, in Phoenix's order (protocol reference 1.1).

Origin, then token and subprotocol, then serializer (`vsn`), then the user's `connect` and `id`, and
only then whether the request is an upgrade at all. What is refused is refused before the upgrade,
as an HTTP answer, or behind it by a close code, where the mount or the user's page wants that. Runs
in the connection's process.
"""

from __future__ import annotations

import base64
import binascii
import math
from time import perf_counter
from typing import Any, Final

import attrs
import structlog

from actors.tracebacks import plain_traceback
from channels.close_reason import close_reason
from channels.endpoint.config import MountPoint, PublicUrl
from channels.endpoint.http import Headers, Request, Response, text
from channels.endpoint.origin import Origin
from channels.exceptions import REFUSED, ConnectRefused
from channels.excerpts import excerpt, excerpts
from channels.serializers import Serializer, negotiate
from channels.socket import ConnectInfo, PeerData, UserSocket, split_host
from channels.transports.websocket import BadUpgradeError, check_upgrade
from channels.transports.websocket.handshake import header_tokens, is_token

__all__ = ("Accepted", "Refused", "admit", "identify", "may_connect")

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
    """Who was refused, and what they hear: an HTTP answer, or a close frame after the upgrade.

    `reason` is the JSON object of the close frame. `subprotocol` is agreed to for the moment that
    it takes to close, because browsers look at no code where none of theirs is.
    """

    status: int
    words: str
    after_upgrade: bool = False
    code: int = REFUSED
    reason: str = ""
    retry_after: float | None = None
    subprotocol: str | None = None

    @property
    def headers(self) -> Headers:
        """The advice when to come back."""
        if self.retry_after is None:
            return ()
        return (("retry-after", str(math.ceil(self.retry_after))),)

    def response(self) -> Response:
        """The HTTP answer."""
        return text(self.status, self.words, self.headers)


async def admit(
    point: MountPoint,
    request: Request,
    variables: dict[str, str],
    peer: PeerData,
    *,
    secure: bool,
) -> Accepted | Refused | Response:
    """Decide on a request to a WebSocket's path. A `Response` refuses it before the upgrade, a
    `Refused` is told behind it.
    """
    if request.method != "GET":
        return text(400, "A WebSocket upgrade must be a GET request.")
    decision = await identify(point, request, variables, peer, secure=secure)
    if isinstance(decision, Refused) and not decision.after_upgrade:
        return decision.response()
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
) -> Accepted | Refused:
    """All checks but those of the upgrade itself."""
    of_websocket = transport == "websocket"
    offered = header_tokens(request.headers, "sec-websocket-protocol") if of_websocket else []
    later = point.mount.refuse_after_upgrade
    agreeable = point.mount.agreeable
    subprotocol = next((name for name in offered if name in agreeable), None)

    def refuse(words: str, reason: str) -> Refused:
        names = (n for n in offered if is_token(n) and not n.startswith(TOKEN_PREFIX))
        agreed = subprotocol or next(names, None)
        return Refused(403, words, later, reason=close_reason(reason), subprotocol=agreed)

    if not may_connect(point, request, peer, secure=secure):
        return refuse("This origin may not connect.", "origin not allowed")
    try:
        token, others = _token(point, request, offered, transport)
    except ValueError as error:
        _log.warning("malformed auth token", problem=str(error), peer=str(peer))
        return refuse(_NOT_LET_IN, "malformed auth token")
    if others and agreeable and subprotocol is None:
        named = [name for name in others if not name.startswith(TOKEN_PREFIX)]  # no secret
        _log.warning(
            "no common subprotocol", offered=excerpts(named[:8]), spoken=agreeable, peer=str(peer)
        )
        return refuse("None of these subprotocols is spoken here.", "no common subprotocol")
    info = ConnectInfo(
        peer,
        request.path,
        request.query_string,
        request.headers,
        transport=transport,
        scheme=point.public.scheme or ("https" if secure else "http"),
        auth_token=token,
        custom=point.mount.connect_info,
    )
    vsn = request.params.get("vsn")
    serializer = negotiate(vsn, point.serializers) if vsn is None or isinstance(vsn, str) else None
    if serializer is None:
        _log.warning("unsupported vsn", vsn=repr(vsn)[:80], peer=str(peer))
        return refuse("This version of the protocol (vsn) is not spoken here.", "unsupported vsn")
    params = {**request.params, **variables}
    decision = await _connect(point, params, info, serializer, subprotocol)
    return decision or refuse(_NOT_LET_IN, "refused")


def may_connect(point: MountPoint, request: Request, peer: PeerData, *, secure: bool) -> bool:
    """Whether a page of this origin may connect; logged where it may not."""
    origin, own = request.header("origin"), own_origin(point.public, request, secure=secure)
    try:
        allowed = point.check_origin.allows(origin, own)
    except Exception as error:  # a function of the program's
        _log.error("check_origin crashed", peer=str(peer), stack=plain_traceback(error))
        return False
    if not allowed:
        _log.error(point.check_origin.explain(origin or "", own), peer=str(peer))
    return allowed


async def _connect(
    point: MountPoint,
    params: dict[str, Any],
    info: ConnectInfo,
    serializer: Serializer,
    subprotocol: str | None,
) -> Accepted | Refused | None:
    """Ask the user's page. None: its `id` is none."""
    started = perf_counter()
    try:
        socket = point.socket_class()
    except Exception as error:
        return _crashed(point, info, error)
    try:
        await socket.connect(params, info)
        socket_id = socket.id()
    except ConnectRefused as refusal:
        _log_connect("connect refused", socket, info, params, started, reason=repr(refusal.reason))
        return _refuse(point, refusal, subprotocol)
    except Exception as error:
        return _crashed(point, info, error)
    if socket_id is not None and not isinstance(socket_id, str):
        name = point.socket_class.__name__
        _log.error("id() must return a str or None", socket=name, got=repr(socket_id)[:80])
        return None
    _log_connect(
        "connected",
        socket,
        info,
        params,
        started,
        serializer=serializer.name,
        socket_id=excerpt(socket_id),
    )
    return Accepted(point, socket, socket_id, serializer, info, subprotocol)


def _crashed(point: MountPoint, info: ConnectInfo, error: Exception) -> Refused:
    name, stack = point.socket_class.__name__, plain_traceback(error)
    _log.error("connect crashed", socket=name, peer=str(info.peer), stack=stack)
    return Refused(500, "The server could not handle this connection.")


def _refuse(point: MountPoint, refusal: ConnectRefused, subprotocol: str | None) -> Refused:
    later = refusal.after_upgrade
    return Refused(
        refusal.status,
        _NOT_LET_IN,
        point.mount.refuse_after_upgrade if later is None else later,
        refusal.code,
        refusal.close_reason,
        refusal.retry_after,
        subprotocol,
    )


def _token(
    point: MountPoint, request: Request, offered: list[str], transport: str
) -> tuple[str | None, list[str]]:
    """The token that a client sent as such, and the subprotocols that it offers beside it.

    Raises ValueError for a token that is not base64 of UTF-8.
    """
    if not point.mount.auth_token:
        return None, offered
    if transport != "websocket":
        return request.header(TOKEN_HEADER), offered
    encoded = [name for name in offered if name.startswith(TOKEN_PREFIX)]
    if len(encoded) != 1:  # Phoenix extracts nothing then either
        return None, offered
    others = [name for name in offered if name != encoded[0]]
    return _decode_token(encoded[0].removeprefix(TOKEN_PREFIX)), others


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


def own_origin(public: PublicUrl, request: Request, *, secure: bool) -> Origin:
    """Where the request itself went: by its Host header, and by what the endpoint was told."""
    scheme = public.scheme or ("https" if secure else "http")
    host, port = split_host(request.header("host") or "")
    return Origin(scheme, host, port or public.port or (443 if scheme == "https" else 80))
