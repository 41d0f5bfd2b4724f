"""The engine on wsproto's frame level: `wsproto.connection.Connection`, without its handshake.

wsproto checks UTF-8 as fragments come in. It hands data frames on as they arrive, in pieces, so a
message that is too large is noticed once more than the limit has been read.
"""

from __future__ import annotations

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from channels.transports.frames import CloseCode, Opcode
from channels.transports.outbox import Outbox
from channels.transports.websocket.deflate import agree
from channels.transports.websocket.engine import (
    ABNORMAL,
    DEFAULT_MAX_MESSAGE_SIZE,
    ConnectionClosed,
    Inbound,
    SansIOEngine,
    UpgradeRequest,
)
from channels.transports.websocket.handshake import header_tokens, switching_protocols

__all__ = ("WsprotoEngine", "accept")

# wsproto inflates whatever it is fed in one go, so compressed input is fed in small pieces: DEFLATE
# grows at most about 1,000 times, so at most about 4 MB exist before the size is checked.
_DEFLATED_PIECE = 4096


async def accept(
    outbox: Outbox,
    request: UpgradeRequest,
    *,
    nursery: trio.Nursery | None,  # noqa: ARG001  # of the seam; this engine needs no task
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    subprotocol: str | None = None,
    deflate: bool = False,
) -> WsprotoEngine:
    """See `engine.Accept`."""
    offers = header_tokens(request.headers, "sec-websocket-extensions") if deflate else []
    extensions = agree(offers)
    await outbox.send_all(
        switching_protocols(request.headers, subprotocol=subprotocol, extensions=extensions)
    )
    return WsprotoEngine(outbox, request.leftover, max_message_size, extensions)


class WsprotoEngine(SansIOEngine):
    """See `engine.Engine`."""

    __slots__ = ("_connection", "_limit", "_message", "_piece")

    def __init__(
        self,
        outbox: Outbox,
        received: bytes,
        max_message_size: int,
        extensions: str | None = None,
    ) -> None:
        super().__init__(outbox, received)
        self._limit = max_message_size
        self._message: bytearray | None = None  # what has come of an unfinished message
        self._piece = 0  # bytes to feed at once, 0: all
        compression = []
        if extensions is not None:
            compression.append(PerMessageDeflate())
            compression[0].finalize(extensions)
            self._piece = _DEFLATED_PIECE
        self._connection = Connection(ConnectionType.SERVER, list(compression))

    def _feed(self, data: bytes | bytearray) -> list[Inbound]:
        messages: list[Inbound] = []
        self._frames = 0
        if not data:
            self._end = self._end or ConnectionClosed(ABNORMAL, "the peer hung up")
        elif not self._piece:
            self._feed_piece(bytes(data), messages)
        else:
            for start in range(0, len(data), self._piece):
                self._feed_piece(bytes(data[start : start + self._piece]), messages)
                if self._end is not None:
                    break
        return messages

    def _feed_piece(self, data: bytes, messages: list[Inbound]) -> None:
        connection = self._connection
        connection.receive_data(data)
        answers: list[bytes] = []
        for event in connection.events():
            # Of a data frame that comes in pieces only the last piece counts.
            self._frames += getattr(event, "frame_finished", True)
            if isinstance(event, TextMessage | BytesMessage):
                if not self._take_message(event, messages):
                    break
            elif isinstance(event, Ping):
                answers.append(connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                self._take_close(event, answers)
                break
        if answers:
            self._answer(answers)

    def _take_message(self, event: TextMessage | BytesMessage, messages: list[Inbound]) -> bool:
        """Add a piece of a message; False where it has grown too large."""
        piece: bytes
        if isinstance(event, TextMessage):
            opcode, piece = Opcode.TEXT, event.data.encode()
        else:
            opcode, piece = Opcode.BINARY, bytes(event.data)
        if self._message is not None:
            self._message += piece
        if len(self._message or piece) > self._limit:
            self._fail(CloseCode.TOO_BIG, f"a message may have {self._limit} bytes")
            return False
        if event.message_finished:
            messages.append((opcode, piece if self._message is None else bytes(self._message)))
            self._message = None
        elif self._message is None:
            self._message = bytearray(piece)
        return True

    def _take_close(self, event: CloseConnection, answers: list[bytes]) -> None:
        if self._connection.state is ConnectionState.REMOTE_CLOSING:
            self._end = ConnectionClosed(event.code, event.reason or "", clean=True)
            answers.append(self._connection.send(event.response()))
        else:  # wsproto reports a breach of the protocol as if the peer had closed for it
            self._answer(answers)
            answers.clear()
            self._fail(event.code, event.reason or "")
