"""The listener: a process that accepts TCP connections and has each started as a process.

The port is bound in the start function, so that a port that is taken fails the start of the
endpoint with the operating system's own words.
"""

from __future__ import annotations

import contextlib
import errno
from socket import SHUT_WR
from typing import Final

import structlog
import trio

from actors import ActorsError, Pid
from actors.node import current_node
from actors.process import current_process
from channels.endpoint.config import EndpointConfig
from channels.endpoint.connection_process import start_connection
from channels.endpoint.services import Services
from channels.transports.limits import explain
from channels.transports.limits_addresses import Address
from channels.transports.sockets import take_over
from supervisors import ChildSpec, DynamicSupervisor, Restart

__all__ = ("start_listener",)

_log = structlog.get_logger("channels")

BACKLOG: Final = (
    4096  # connections that the kernel keeps for us; a whole room may come back at once
)
SHUTDOWN: Final = 5.0  # seconds that a connection has to end when its supervisor stops
TOO_MANY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
)
ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x31"  # TLS, fatal: access_denied (RFC 8446, 6.2)
RETRY_SECONDS: Final = 0.1
OUT_OF_RESOURCES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


async def start_listener(config: EndpointConfig, services: Services) -> Pid:
    """The start function: bind, then accept in a process of its own. Raises OSError."""
    listeners = await _bind(config.host, config.port)
    services.listeners, services.draining = listeners, False
    services.addresses = tuple(listener.socket.getsockname()[:2] for listener in listeners)
    process = current_node().spawn(
        _accept_all,
        (config, services, listeners),
        label="Listener",
        parent=current_process(),
        link=True,
    )
    return process.pid


async def _bind(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        words = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {words}") from error


async def _accept_all(
    config: EndpointConfig, services: Services, listeners: list[trio.SocketListener]
) -> None:
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(_accept, config, services, listener)
        await trio.sleep_forever()  # drained: to end would mean to be started again
    finally:
        for listener in listeners:
            listener.socket.close()


async def _accept(
    config: EndpointConfig, services: Services, listener: trio.SocketListener
) -> None:
    while True:
        try:
            stream = await listener.accept()
        except trio.ClosedResourceError:
            if not services.draining:
                raise
            return
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
            _log.error("cannot accept connections", problem=str(error))
            await trio.sleep(RETRY_SECONDS)
            continue
        address = services.gatekeeper.enter(_address_of(stream), trio.current_time())
        if isinstance(address, str):
            _turn_away(config, stream, address)
        else:
            await _start(config, services, stream, address)


def _address_of(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it is gone again
        return "unknown"


def _turn_away(config: EndpointConfig, stream: trio.SocketStream, limit: str) -> None:
    """Say why, if that can be done at once; who comes too often gets no task of ours, and no
    handshake.
    """
    socket = take_over(stream)
    with socket, contextlib.suppress(OSError):
        socket.send(_too_many(explain(config.limits, limit)) if config.tls is None else ALERT)
        socket.shutdown(SHUT_WR)


def _too_many(words: str) -> bytes:
    body = f"{words}\n".encode()
    return TOO_MANY % len(body) + body


async def _start(
    config: EndpointConfig, services: Services, stream: trio.SocketStream, address: Address
) -> None:
    spec = ChildSpec(
        "connection",
        (start_connection, (config, services, stream, address)),
        restart=Restart.TEMPORARY,
        shutdown=SHUTDOWN,
    )
    services.gatekeeper.hold(stream, address)  # until the connection's process does
    try:
        await current_node().waker.turn()
        await DynamicSupervisor.start_child(services.connection_supervisor(), spec)
    except ActorsError as error:  # the supervisor may be full, or just being replaced
        _log.error("connection refused", problem=str(error)[:200])
    finally:
        if services.gatekeeper.gone(stream, trio.current_time()):
            stream.socket.close()
