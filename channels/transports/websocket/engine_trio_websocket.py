"""The engine on trio-websocket: `wrap_server_stream` on a stream that goes through the outbox.

trio-websocket wants to do the handshake itself, so it is given a request of our own, which says
what was found in the client's. It runs a reader task of its own and a queue to it; while that queue
is full it does not read, so pings wait as well.
"""

from __future__ import annotations

import trio
import trio_websocket

from channels.transports.frames import CloseCode, Opcode, close_frame
from channels.transports.outbox import Outbox
from channels.transports.websocket.engine import (
    ABNORMAL,
    DEFAULT_MAX_MESSAGE_SIZE,
    PONG,
    ConnectionClosed,
    EngineBase,
    Inbound,
    UpgradeRequest,
)

__all__ = ("TrioWebSocketEngine", "accept")

_HANDSHAKE_TIMEOUT = 10.0  # seconds; it only computes, so this guards against a misunderstanding
_QUEUE_SIZE = 4  # messages that may wait for us; each may be as large as the limit
_RECEIVE_SIZE = 16 * 1024  # bytes


async def accept(
    outbox: Outbox,
    request: UpgradeRequest,
    *,
    nursery: trio.Nursery | None,
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    subprotocol: str | None = None,
    deflate: bool = False,  # noqa: ARG001  # trio-websocket negotiates no extension
) -> TrioWebSocketEngine:
    """See `engine.Accept`. Raises trio.TooSlowError where trio-websocket finds fault with it."""
    if nursery is None:
        raise ValueError("trio-websocket needs a nursery for its reader")
    stream = _Replay(outbox, _head_for(request, subprotocol), request.leftover)
    with trio.fail_after(_HANDSHAKE_TIMEOUT):
        proposal = await trio_websocket.wrap_server_stream(
            nursery,
            stream,
            message_queue_size=_QUEUE_SIZE,
            max_message_size=max_message_size,
            receive_buffer_size=_RECEIVE_SIZE,
        )
        connection = await proposal.accept(subprotocol=subprotocol)
    stream.accepted.set()
    return TrioWebSocketEngine(outbox, stream, connection, max_message_size)


class TrioWebSocketEngine(EngineBase):
    """See `engine.Engine`."""

    __slots__ = ("_connection", "_end", "_limit", "_stream")

    def __init__(
        self,
        outbox: Outbox,
        stream: _Replay,
        connection: trio_websocket.WebSocketConnection,
        max_message_size: int,
    ) -> None:
        super().__init__(outbox)
        self._stream = stream
        self._connection = connection
        self._limit = max_message_size
        self._end: ConnectionClosed | None = None

    async def receive(self) -> list[Inbound]:
        """See `engine.Engine.receive`. One message at a time: trio-websocket tells no more."""
        while self._end is None:
            try:
                message = await self._connection.get_message()
            except trio_websocket.ConnectionClosed as closed:
                self._notice_end(closed.reason)
                break
            data = message.encode() if isinstance(message, str) else message
            self.watcher.on_read(1, len(data))  # it says nothing of pings and of single fragments
            if len(data) > self._limit:  # trio-websocket counts characters
                self._end = ConnectionClosed(
                    CloseCode.TOO_BIG, f"a message may have {self._limit} bytes"
                )
                self._outbox.finish(close_frame(self._end.code, self._end.reason))
            elif not self._closing:
                return [(Opcode.TEXT if isinstance(message, str) else Opcode.BINARY, data)]
        assert self._end is not None
        raise ConnectionClosed(self._end.code, self._end.reason, clean=self._end.clean)

    def _notice_end(self, reason: trio_websocket.CloseReason | None) -> None:
        if reason is None or reason.code == ABNORMAL:
            self._end = ConnectionClosed(ABNORMAL, "the peer hung up")
            return
        # It answers a peer's close frame, and says itself when a message is too large; at any other
        # breach of the protocol it only hangs up, so that the close frame is left to us.
        clean = self._stream.answered_close and reason.code != CloseCode.TOO_BIG
        self._end = ConnectionClosed(reason.code, reason.reason or "", clean=clean)
        if not self._stream.answered_close:
            self._outbox.finish(close_frame(reason.code, reason.reason or ""))


class _Replay(trio.abc.Stream):
    """What trio-websocket reads and writes: first a request, then the outbox.

    Frames that came with the request are held back until it is accepted: before, trio-websocket
    would put them aside and only look at them when more comes.
    """

    # One for each connection.
    __slots__ = ("_closed", "_head", "_leftover", "_outbox", "accepted", "answered_close")

    def __init__(self, outbox: Outbox, head: bytes, leftover: bytes) -> None:
        self._outbox = outbox
        self._head = head
        self._leftover = leftover
        self._closed = False
        self.accepted = trio.Event()
        self.answered_close = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._closed:
            raise trio.ClosedResourceError("trio-websocket has closed this stream")
        if self._head:
            data, self._head = self._head, b""
            await trio.lowlevel.checkpoint()
            return data
        if not self.accepted.is_set():
            await self.accepted.wait()
        if self._leftover:
            data, self._leftover = self._leftover, b""
            return data
        return await self._outbox.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Every call is one frame, or the answer to the handshake."""
        await trio.lowlevel.checkpoint()
        head = data[0]
        if head == 0x80 | Opcode.CLOSE:
            self.answered_close = True
            self._outbox.finish(bytes(data))
        elif self._outbox.is_open:
            self._outbox.push_control(bytes(data), PONG if head == 0x80 | Opcode.PONG else None)
        else:
            raise trio.BrokenResourceError("the connection is closing")

    async def wait_send_all_might_not_block(self) -> None:
        await self._outbox.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """The stream itself belongs to the connection, which closes the outbox."""
        self._closed = True
        await trio.lowlevel.checkpoint()


def _head_for(request: UpgradeRequest, subprotocol: str | None) -> bytes:
    """A request that asks for what has been agreed on, without extensions, so that there are none.

    Nothing of the client's but its key, which `check_upgrade` has found to be one: trio-websocket
    is stricter than we about hosts, offers and lines of the same name, and fails where it finds
    fault.
    """
    lines = [
        "GET / HTTP/1.1",
        "host: localhost",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {dict(request.headers)['sec-websocket-key']}",
    ]
    if subprotocol is not None:
        lines.append(f"sec-websocket-protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")
