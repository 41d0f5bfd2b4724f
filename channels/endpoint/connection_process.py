"""One accepted TCP connection, from its first byte to its last: a process of the endpoint.

It answers HTTP requests one after another (static files, `/health`) until one of them is admitted
as a WebSocket; from then on it is a `Connection`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import structlog
import trio

from actors import Pid
from actors.node import current_node
from actors.process import current_process
from channels.endpoint.config import EndpointConfig
from channels.endpoint.http import HttpConnection, HttpError, Request, Response, text
from channels.endpoint.services import Services
from channels.endpoint.upgrade import Accepted, admit
from channels.multiplexer import Multiplexer
from channels.socket import PeerData
from channels.transports.connection import Connection, Drain
from channels.transports.websocket import load_engine

__all__ = ("start_connection",)

_log = structlog.get_logger("channels")

HEAD_TIMEOUT: Final = 10.0
"""Seconds in which the head of a request must have arrived."""

LINGER_TIMEOUT: Final = 0.5
"""Seconds that a client has to read the last answer before its connection is closed."""

NEEDS_NURSERY: Final = "trio-websocket"  # the one engine that runs a task of its own


async def start_connection(
    config: EndpointConfig, services: Services, stream: trio.SocketStream
) -> Pid:
    """The start function of a connection's process; runs in the connection supervisor."""
    process = current_node().spawn(
        _serve, (config, services, stream), label="Connection", parent=current_process(), link=True
    )
    return process.pid


async def _serve(config: EndpointConfig, services: Services, stream: trio.SocketStream) -> None:
    try:
        admitted = await _HttpPhase(config, stream).serve()
    except BaseException:  # cancelled, or our own fault: either way the client must not wait
        await trio.aclose_forcefully(stream)
        raise
    if admitted is not None:
        await _run_websocket(config, services, *admitted, stream)


class _HttpPhase:
    """A connection as long as it speaks HTTP. Told to drain, it finishes its answer and closes."""

    def __init__(self, config: EndpointConfig, stream: trio.SocketStream) -> None:
        self._config = config
        self._http = HttpConnection(stream)
        self._peer = _peer_of(stream)
        self._draining = False
        self._waiting = trio.CancelScope()  # around the wait for a request

    async def serve(self) -> tuple[Request, Accepted] | None:
        """Answer requests until one is admitted as a WebSocket; None: the connection is closed."""
        current_process().handle_in_place(self._on_message)
        try:
            try:
                admitted = await self._answer_requests()
                if admitted is not None:
                    return admitted
            except HttpError as error:
                _log.info("bad request", peer=str(self._peer), problem=str(error))
                await self._http.respond(error.response)
        except trio.BrokenResourceError:
            _log.debug("connection lost", peer=str(self._peer))
        await self._http.aclose(timeout=LINGER_TIMEOUT)
        return None

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Drain):
            self._draining = True
            self._waiting.cancel()

    async def _answer_requests(self) -> tuple[Request, Accepted] | None:
        while not self._draining and (request := await self._next_request()) is not None:
            answer = await self._answer(request)
            if isinstance(answer, Accepted):
                return request, answer
            if not await self._http.respond(answer):
                break
        return None

    async def _next_request(self) -> Request | None:
        with trio.CancelScope() as self._waiting:
            return await self._http.read_head(timeout=HEAD_TIMEOUT)
        return None

    async def _answer(self, request: Request) -> Response | Accepted:
        mount = self._config.mounts.get(request.path)
        if mount is None:
            return await _respond(self._config, request)
        return await admit(self._config, mount, request, self._peer, secure=False)


async def _respond(config: EndpointConfig, request: Request) -> Response:
    if request.path == "/health":
        return Response(200, (("content-type", "application/json"),), b'{"status":"ok"}')
    if config.static is None:
        return text(404, "There is nothing here.")
    return await config.static.respond_to(request)


async def _run_websocket(
    config: EndpointConfig,
    services: Services,
    request: Request,
    accepted: Accepted,
    stream: trio.SocketStream,
) -> None:
    process, mount = current_process(), accepted.mount
    process.trap_exit = True  # its supervisor's exit becomes a close frame
    connection = Connection(
        process,
        accepted.socket,
        accepted.info,
        Multiplexer(mount.router.route, max_channels=mount.socket_class.max_channels),
        serializer=accepted.serializer,
        pubsub=services.pubsub,
        channel_supervisor=services.channel_supervisor,
        limits=config.limits,
    )
    accept = partial(
        load_engine(config.engine),
        connection.make_outbox(stream),
        request,
        max_message_size=config.limits.max_message_size,
    )
    if config.engine == NEEDS_NURSERY:
        async with trio.open_nursery() as nursery:
            await connection.run(await accept(nursery=nursery), accepted.socket_id)
            nursery.cancel_scope.cancel()
    else:
        await connection.run(await accept(nursery=None), accepted.socket_id)


def _peer_of(stream: trio.SocketStream) -> PeerData:
    try:
        address, port, *_ = stream.socket.getpeername()
    except OSError:  # it is gone again
        return PeerData("unknown", 0)
    return PeerData(address, port)
