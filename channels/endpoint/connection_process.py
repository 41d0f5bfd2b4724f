"""One accepted TCP connection, from its first byte to its last: a process of the endpoint.

It answers HTTP requests one after another (static files, `/health`) until one of them is admitted
as a WebSocket; from then on it is a `Connection`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

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
from channels.transports.connection import Connection
from channels.transports.websocket import load_engine

__all__ = ("start_connection",)

_log = structlog.get_logger("channels")

HEAD_TIMEOUT: Final = 10.0
"""Seconds in which the head of a request must have arrived."""

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
        admitted = await _serve_http(config, stream)
    except BaseException:  # cancelled, or our own fault: either way the client must not wait
        await trio.aclose_forcefully(stream)
        raise
    if admitted is not None:
        await _run_websocket(config, services, *admitted, stream)


async def _serve_http(
    config: EndpointConfig, stream: trio.SocketStream
) -> tuple[Request, Accepted] | None:
    """Answer requests until one is admitted as a WebSocket; None when the connection is closed."""
    peer = _peer_of(stream)
    http = HttpConnection(stream)
    try:
        while (request := await http.read_head(timeout=HEAD_TIMEOUT)) is not None:
            mount = config.mounts.get(request.path)
            answer = (
                await _respond(config, request)
                if mount is None
                else await admit(config, mount, request, peer, secure=False)
            )
            if isinstance(answer, Accepted):
                return request, answer
            if not await http.respond(answer):
                break
    except HttpError as error:
        _log.info("bad request", peer=str(peer), problem=str(error))
        await http.respond(error.response)
    except trio.BrokenResourceError:
        _log.debug("connection lost", peer=str(peer))
    await http.aclose()
    return None


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
