"""One accepted TCP connection, from its first byte to its last: a process of the endpoint.

It answers HTTP requests one after another (static files, `/health`) until one of them is admitted
as a WebSocket; from then on it is a `Connection`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import structlog
import trio

from actors import NORMAL, Pid, StartIgnoredError
from actors.node import current_node
from actors.process import current_process
from actors.sleep import Sleep
from channels.endpoint.config import EndpointConfig
from channels.endpoint.first_head import FirstHead
from channels.endpoint.http import (
    HttpConnection,
    HttpError,
    PeerDoesNotReadError,
    Request,
    Response,
    text,
)
from channels.endpoint.longpoll import answer_long_poll
from channels.endpoint.services import Services
from channels.endpoint.upgrade import Accepted, Refused, admit
from channels.socket import PeerData
from channels.transports.connection import Connection, Drain
from channels.transports.limits import explain
from channels.transports.limits_addresses import Address
from channels.transports.outbox import Outbox
from channels.transports.websocket import ConnectionClosed, Engine, load_engine

__all__ = ("start_connection",)

_log = structlog.get_logger("channels")

NO_LIMIT: Final = 1 << 31
"""Bytes, where a library must be given a limit."""

LINGER_TIMEOUT: Final = 0.5
"""Seconds that a client has to read the last answer before its connection is closed."""

REFUSAL_TIMEOUT: Final = 5.0
"""Seconds that a client refused by a close frame has to answer it."""

RETRY_AFTER: Final = "1"
"""Seconds after which a client that comes while the endpoint drains may come again."""

NEEDS_NURSERY: Final = "trio-websocket"  # the one engine that runs a task of its own


Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Admitted: TypeAlias = tuple[Request, Accepted | Refused]
Run: TypeAlias = Callable[[], Awaitable[Sleep | None]]


def start_connection(
    config: EndpointConfig, services: Services, stream: trio.SocketStream, address: Address
) -> Pid:
    """The start function of a connection's process; runs in the connection supervisor.

    The client has entered at `address`, where the process takes over what `stream` holds. Raises
    `StartIgnoredError` where the listener has given it up.
    """
    node = current_node()
    process = node.prepare("Connection", parent=current_process(), link=True)
    moved = services.gatekeeper.move(stream, process.pid)
    first = None
    if moved and config.tls is None and services.poller.available:
        first = FirstHead(
            process,
            stream,
            services.poller,
            max_head=config.limits.max_head_size or NO_LIMIT,
            timeout=config.limits.head_timeout or math.inf,
        )
    sleep = Sleep(_serve, ([config, services, stream, address, first],), in_place=first is not None)
    process.sleep(sleep, None)
    if not moved:
        process.begin_exit(NORMAL)  # before its first step: it takes none
        raise StartIgnoredError
    if first is None:
        process.wake_up()
    services.unserved[process.pid] = stream
    return process.pid


async def _serve(parts: list[Any]) -> Sleep | None:
    """The frame of this coroutine lives as long as a WebSocket does, and its arguments too; so what
    only the beginning needs comes in a list, and leaves it.
    """
    parts[1].unserved.pop(current_process().pid, None)  # from here on it closes its stream itself
    run = await _answer_http(*parts)
    parts.clear()
    return None if run is None else await run()


async def _answer_http(
    config: EndpointConfig,
    services: Services,
    socket: trio.SocketStream,
    address: Address,
    first: FirstHead | None,
) -> Run | None:
    """Everything up to the upgrade; what is left to do after it."""
    received, patience = (b"", None) if first is None else first.leave()
    if first is not None and not received:  # it has left, or said nothing in time
        socket.socket.close()
        return None
    try:
        stream = await _encrypt(config, services, socket)
        if stream is None:
            return None
        phase = _HttpPhase(config, services, stream, address, received=received, patience=patience)
        admitted = await phase.serve()
    except BaseException:  # cancelled, or our own fault: either way the client must not wait
        await trio.aclose_forcefully(socket)
        raise
    match admitted:
        case request, Accepted() as accepted:
            try:
                connection = _connection(config, services, accepted, address)
            except BaseException:  # as above
                await trio.aclose_forcefully(stream)
                raise
            accept = _accept(config, request, accepted.subprotocol)
            if config.engine == NEEDS_NURSERY:
                return partial(_run_in_nursery, connection, stream, accept)
            await connection.upgrade(stream, partial(accept, nursery=None))
            return partial(connection.run, services.poller if services.poller.available else None)
        case request, Refused() as refused:
            await _tell_refusal(config, request, refused, stream)
    return None


async def _encrypt(
    config: EndpointConfig, services: Services, socket: trio.SocketStream
) -> Stream | None:
    """The stream to speak HTTP on; None: the client did not shake hands, the socket is closed."""
    if config.tls is None:
        return socket
    try:
        with trio.CancelScope() as patience:
            current_process().handle_in_place(lambda message: _hurry(message, patience))
            return await config.tls.shake_hands(socket)
    except (trio.BrokenResourceError, trio.TooSlowError) as error:
        if isinstance(error, trio.TooSlowError):
            services.gatekeeper.note("handshake_timeout")
        problem = error.__cause__ or error
        _log.info("no TLS handshake", peer=str(_peer_of(socket)), problem=str(problem)[:200])
    await trio.aclose_forcefully(socket)
    return None


def _hurry(message: Any, patience: trio.CancelScope) -> None:
    if isinstance(message, Drain):
        patience.cancel()


class _HttpPhase:
    """A connection as long as it speaks HTTP. Told to drain, it finishes its answer and closes."""

    def __init__(
        self,
        config: EndpointConfig,
        services: Services,
        stream: Stream,
        address: Address,
        *,
        received: bytes,
        patience: float | None,
    ) -> None:
        """`received` has been read of `stream` before; `patience` is the seconds that are left for
        the first head, if it has been waited for.
        """
        self._config = config
        self._services = services
        self._address = address
        self._http = HttpConnection(
            stream, received, max_head=config.limits.max_head_size or NO_LIMIT
        )
        self._patience = patience
        self._secure = isinstance(stream, trio.SSLStream)
        self._peer = _peer_of(stream)
        self._draining = services.draining  # it may have begun while hands were shaken
        self._waiting = trio.CancelScope()  # around the wait for a request

    async def serve(self) -> Admitted | None:
        """Answer requests until one is admitted as a WebSocket; None: the connection is closed."""
        current_process().handle_in_place(self._on_message)
        try:
            try:
                admitted = await self._answer_requests()
                if admitted is not None:
                    return admitted
            except HttpError as error:
                _log.info("bad request", peer=str(self._peer), problem=str(error))
                if error.limit is not None:
                    self._services.gatekeeper.note(error.limit)
                await self._http.respond(error.response)
        except trio.BrokenResourceError as error:
            if isinstance(error, PeerDoesNotReadError):
                self._services.gatekeeper.note("write_timeout")
            _log.debug("connection lost", peer=str(self._peer))
        await self._http.aclose(timeout=LINGER_TIMEOUT)
        return None

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Drain):
            self._draining = True
            self._waiting.cancel()

    async def _answer_requests(self) -> Admitted | None:
        """Reading a head, letting somebody in and answering the upgrade take some hundred
        microseconds each and wait for nothing: between them the others have their turns.
        """
        waker = current_node().waker
        while not self._draining and (request := await self._next_request()) is not None:
            await waker.turn()
            answer = await self._answer(request)
            await waker.turn()
            if not isinstance(answer, Response):
                if not self._is_draining():
                    return request, answer
                answer = text(503, "The server restarts.", (("retry-after", RETRY_AFTER),))
            if not await self._http.respond(answer):
                break
        return None

    def _is_draining(self) -> bool:
        """It may have begun while the user's page was asked."""
        return self._draining or self._services.draining

    async def _next_request(self) -> Request | None:
        timeout = self._patience
        if timeout is None:
            timeout = self._config.limits.head_timeout or math.inf
        self._patience = None
        with trio.CancelScope() as self._waiting:
            return await self._http.read_head(timeout=timeout)
        return None

    async def _answer(self, request: Request) -> Response | Accepted | Refused:
        if (limit := self._address.take(1, len(request.target), trio.current_time())) is not None:
            self._services.gatekeeper.note(f"address_{limit}")
            return text(429, explain(self._config.limits, f"address_{limit}"))
        found = self._config.mounts.find(request.target)
        if found is None:
            polled = await answer_long_poll(
                self._config,
                self._services,
                self._http,
                request,
                self._peer,
                address=self._address,
                secure=self._secure,
            )
            return polled or await _respond(self._config, request)
        point, variables = found
        return await admit(point, request, variables, self._peer, secure=self._secure)


async def _respond(config: EndpointConfig, request: Request) -> Response:
    if request.path == "/health":
        return Response(200, (("content-type", "application/json"),), b'{"status":"ok"}')
    if config.static is None:
        return text(404, "There is nothing here.")
    return await config.static.respond_to(request)


def _connection(
    config: EndpointConfig, services: Services, accepted: Accepted, address: Address
) -> Connection:
    process = current_process()
    connection = Connection(
        process,
        accepted.socket,
        accepted.socket_id,
        str(accepted.info.peer),
        accepted.point.router.route,
        serializer=accepted.serializer,
        pubsub=services.pubsub,
        channel_supervisor=services.channel_supervisor,
        limits=config.limits,
        gatekeeper=services.gatekeeper,
        address=address,
    )
    # From this step on, so that no Drain is lost; its supervisor's exit becomes a close frame.
    process.trap_exit = True
    process.handle_in_place(connection.on_message)
    services.websockets[process.pid] = connection
    return connection


async def _run_in_nursery(
    connection: Connection, stream: Stream, accept: Callable[..., Awaitable[Engine]]
) -> None:
    async with trio.open_nursery() as nursery:
        await connection.upgrade(stream, partial(accept, nursery=nursery))
        await connection.run()
        nursery.cancel_scope.cancel()


async def _tell_refusal(
    config: EndpointConfig, request: Request, refused: Refused, stream: Stream
) -> None:
    """Upgrade, close with the refusal's code, wait a moment for the client to have read it."""
    node, process = current_node(), current_process()
    outbox = Outbox(
        stream,
        spawn=lambda function: node.start_helper(process, function),
        on_broken=lambda _: process.begin_exit(NORMAL),
    )
    accept = _accept(config, request, refused.subprotocol)
    try:
        async with trio.open_nursery() as nursery:
            engine = await accept(outbox, nursery=nursery)
            engine.close(refused.code, refused.reason)
            with trio.move_on_after(REFUSAL_TIMEOUT) as patience:
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await engine.receive()
            await outbox.close_after_flush(LINGER_TIMEOUT, lingering=patience.cancelled_caught)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(outbox)


def _accept(
    config: EndpointConfig, request: Request, subprotocol: str | None
) -> Callable[..., Awaitable[Engine]]:
    """The engine's `accept`, waiting for an outbox and a nursery."""

    async def accept(outbox: Outbox, *, nursery: trio.Nursery | None) -> Engine:
        return await load_engine(config.engine)(
            outbox,
            request,
            nursery=nursery,
            max_message_size=config.limits.max_message_size or NO_LIMIT,
            subprotocol=subprotocol,
        )

    return accept


def _peer_of(stream: Stream) -> PeerData:
    socket = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    try:
        address, port, *_ = socket.socket.getpeername()
    except OSError:  # it is gone again
        return PeerData("unknown", 0)
    certificate = None
    if isinstance(stream, trio.SSLStream):
        certificate = stream.getpeercert(binary_form=True)
    return PeerData(address, port, certificate)
