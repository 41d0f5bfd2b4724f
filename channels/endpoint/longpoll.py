"""Long poll over HTTP: for clients whose way to us lets no WebSocket through (Phoenix:
`Phoenix.Transports.LongPoll`; protocol reference, section 2).

One URL, `<mount>/longpoll`. Every answer of the protocol is HTTP 200 with the real status in the
JSON body:

| request | JSON status |
|---|---|
| GET without a token, or for a session that is gone | 410 and the token of a new session |
| the same, and `connect` or the version refuses | 403 |
| GET | 200 and messages, or 204 when a window has passed or a newer GET has taken over |
| POST | 200 once every frame is handed on; no handler is waited for, so there is no 408 |
| POST without a good token or for a session that is gone, unread; with a frame that ends it | 410 |
| POST beyond a limit on rates, or on bodies that arrive at once | 429 and the reason |
| GET, but no session can be had | 500, with HTTP 429 (limit of the address), 503 or 500 |
| of an origin that may not connect | 403 |

OPTIONS gives the CORS headers. A body that is too large and any other method are HTTP 400.
Sessions live in this process, so the requests of one client must all reach it. Runs in the process
of the TCP connection.
"""

from __future__ import annotations

import math
import secrets
from typing import Any, Final

import attrs
import msgspec
import structlog
import trio

from actors import NORMAL, ActorsError, Pid, StartIgnoredError
from actors.node import current_node
from actors.process import current_process
from channels.endpoint.bodies import Arriving, TooMuchError
from channels.endpoint.config import EndpointConfig
from channels.endpoint.http import HttpConnection, HttpError, Request, Response, text
from channels.endpoint.mounts import LongPoll
from channels.endpoint.services import Services
from channels.endpoint.upgrade import Accepted, Refused, identify, may_connect
from channels.exceptions import MalformedFrameError
from channels.messages import Opcode
from channels.socket import PeerData
from channels.token import TokenError
from channels.transports.limits import explain
from channels.transports.limits_addresses import Address
from channels.transports.longpoll_body import frames_of
from channels.transports.longpoll_session import LongPollSession, SessionEndedError
from supervisors import ChildSpec, DynamicSupervisor, Restart

__all__ = ("answer_long_poll",)

_log = structlog.get_logger("channels")

TOKEN_HEADER: Final = "x-phoenix-longpoll-token"  # noqa: S105  # the name of a header
SALT: Final = "long poll session"
MAX_AGE: Final = 14 * 86_400.0  # seconds, as Phoenix's
SHUTDOWN: Final = 5.0  # seconds that a session has to end when its supervisor stops

_ANY_ORIGIN: Final = ("access-control-allow-origin", "*")
_JSON: Final = (
    ("content-type", "application/json; charset=utf-8"),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    _ANY_ORIGIN,
)


async def answer_long_poll(
    config: EndpointConfig,
    services: Services,
    http: HttpConnection,
    request: Request,
    peer: PeerData,
    *,
    address: Address,
    secure: bool,
) -> Response | None:
    """The answer to a request for a long poll; None: its path is not one of them.

    `address` is where the TCP connection has entered; bodies count there as they come.
    """
    found = config.longpolls.find(request.target)
    if found is None:
        return None
    point, variables = found
    if not may_connect(point, request, peer, secure=secure):
        return _status(403)
    match request.method:
        case "OPTIONS":
            return _preflight(request)
        case "POST":
            assert point.mount.longpoll is not None
            options = point.mount.longpoll
            return await _post(config, services, http, request, address=address, options=options)
        case "GET":
            session, token = _session(services, request)
            if session is not None:
                answer = await _poll(http, session, token)
                if answer is not None:
                    return answer
            if services.draining:
                return _not_now(503, "the server restarts")
            accepted = await identify(
                point, request, variables, peer, secure=secure, transport="longpoll"
            )
            if not isinstance(accepted, Accepted):
                return _refusal(accepted)
            return await _begin(config, services, accepted)
    return text(400, "A long poll is a GET, a POST or an OPTIONS request.", (_ANY_ORIGIN,))


# -- the three kinds of request ------------------------------------------------------------------


async def _poll(http: HttpConnection, session: LongPollSession, token: str) -> Response | None:
    """None: the session has ended. A client that hangs up while it polls takes nothing."""
    messages: list[bytes] | None = []
    async with trio.open_nursery() as nursery:

        async def hang_up() -> None:
            await http.wait_hung_up()
            nursery.cancel_scope.cancel()

        nursery.start_soon(hang_up)
        try:
            messages = await session.poll()
        except SessionEndedError:
            messages = None
        nursery.cancel_scope.cancel()
    if messages is None:
        return None
    return _status(
        200 if messages else 204, token=token, messages=[message.decode() for message in messages]
    )


async def _post(
    config: EndpointConfig,
    services: Services,
    http: HttpConnection,
    request: Request,
    *,
    address: Address,
    options: LongPoll,
) -> Response:
    session, _ = _session(services, request)
    if session is None:
        return _status(410)  # and the body is not read: who has no session keeps nothing here
    arriving = Arriving(address)
    try:
        body = await _read_body(http, options, arriving)
        frames = frames_of(body, request.header("content-type"))
        _check_sizes(frames, config.limits.max_message_size)
        limit = session.post(frames, len(body))
    except MalformedFrameError as error:
        session.close(error.close_code, error.problem)
        return _status(410)
    except SessionEndedError:
        return _status(410)
    except TooMuchError as error:
        services.gatekeeper.note(error.limit)
        limit = error.limit
    finally:
        arriving.forget()
    if limit is None:
        return _status(200)
    return _status(429, reason=explain(config.limits, limit))


async def _read_body(http: HttpConnection, options: LongPoll, arriving: Arriving) -> bytes:
    timeout = options.body_timeout or math.inf
    try:
        return await http.read_body(max_bytes=options.max_body, timeout=timeout, take=arriving.take)
    except HttpError as error:
        if error.response.status == 413:
            words = "The body is too large."
            raise HttpError(400, words, (_ANY_ORIGIN,), limit=error.limit) from error
        raise


def _check_sizes(frames: list[tuple[Opcode, bytes]], most: int) -> None:
    if 0 < most < max((len(data) for _, data in frames), default=0):
        words = f"A message may have {most} bytes."
        raise HttpError(400, words, (_ANY_ORIGIN,), limit="message_size")


def _preflight(request: Request) -> Response:
    wanted = request.header("access-control-request-headers") or ""
    return Response(
        200,
        (
            _ANY_ORIGIN,
            ("access-control-allow-headers", wanted),
            ("access-control-allow-methods", "get, post, options"),
            ("access-control-max-age", "3600"),
        ),
    )


# -- sessions ------------------------------------------------------------------------------------


def _session(services: Services, request: Request) -> tuple[LongPollSession | None, str]:
    """The session of the request's token, and the token. The header wins."""
    token = request.header(TOKEN_HEADER) or request.params.get("token")
    if not isinstance(token, str):
        return None, ""
    try:
        key = services.tokens.verify(SALT, token, max_age=MAX_AGE)
    except TokenError:
        return None, ""
    return services.sessions.get(key), token


async def _begin(config: EndpointConfig, services: Services, accepted: Accepted) -> Response:
    address = services.gatekeeper.enter(accepted.info.peer.address, trio.current_time())
    if isinstance(address, str):
        return _not_now(429, explain(config.limits, address))
    key = secrets.token_urlsafe(16)
    spec = ChildSpec(
        "long poll",
        (start_session, (config, services, accepted, address, key)),
        restart=Restart.TEMPORARY,
        shutdown=SHUTDOWN,
    )
    services.gatekeeper.hold(key, address)  # until the session's process does
    try:
        await DynamicSupervisor.start_child(services.connection_supervisor(), spec)
    except ActorsError as error:  # the supervisor may be full, or just being replaced
        _log.error("session refused", problem=str(error)[:200])
        return _not_now(503, "no session could be started")
    finally:
        services.gatekeeper.gone(key, trio.current_time())
    token = services.tokens.sign(SALT, key, max_age=MAX_AGE)
    return _status(410, token=token, messages=[])


async def start_session(
    config: EndpointConfig, services: Services, accepted: Accepted, address: Address, key: str
) -> Pid:
    """The start function of a session's process; runs in the connection supervisor.

    The client has entered at `address`, where the process takes over what `key` holds. Raises
    `StartIgnoredError` where the request has given it up.
    """
    parts: list[LongPollSession] = []
    process = current_node().spawn(
        _serve, (parts,), label="LongPoll", parent=current_process(), link=True, trap_exit=True
    )
    if not services.gatekeeper.move(key, process.pid):
        process.begin_exit(NORMAL)  # before its first step: it takes none
        raise StartIgnoredError
    assert accepted.point.mount.longpoll is not None
    session = LongPollSession(
        process,
        accepted.socket,
        accepted.socket_id,
        str(accepted.info.peer),
        accepted.point.router.route,
        window=accepted.point.mount.longpoll.window,
        serializer=accepted.serializer,
        pubsub=services.pubsub,
        channel_supervisor=services.channel_supervisor,
        limits=config.limits,
        gatekeeper=services.gatekeeper,
        address=address,
    )

    services.sessions[key] = session
    services.session_keys[process.pid] = key
    parts.append(session)
    return process.pid


async def _serve(parts: list[LongPollSession]) -> None:
    await parts.pop().run()


# -- answers -------------------------------------------------------------------------------------


def _status(status: int, **rest: Any) -> Response:
    return Response(200, _JSON, msgspec.json.encode({"status": status, **rest}))


def _refusal(refused: Refused) -> Response:
    """Whoever is refused hears 403, whatever a WebSocket would hear, and the advice when to come
    back; a crash is a crash. The reason is told where the mount or the refusal says so.
    """
    if refused.status == 500:
        return _not_now(500, "connect crashed")
    told = msgspec.json.decode(refused.reason) if refused.after_upgrade else {}
    if refused.retry_after is not None:
        told["retry_after"] = refused.retry_after
    answer = _status(403, **told)
    return attrs.evolve(answer, headers=(*answer.headers, *refused.headers))


def _not_now(status: int, reason: str) -> Response:
    """No session. Phoenix's client stumbles over a status that it does not know, and comes back
    after 500.
    """
    body = msgspec.json.encode({"status": 500, "reason": reason})
    return Response(status, (*_JSON, ("retry-after", "1")), body)
