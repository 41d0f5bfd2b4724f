"""The engine on the sans-IO protocol of `websockets`, begun in its open state.

`websockets` leaves checking that text is UTF-8 to whoever drives it; here it is done for whole
messages at once, and for fragments as they come.
"""

from __future__ import annotations

import codecs

import trio
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.frames import Opcode as WireOpcode
from websockets.protocol import Protocol, Side, State

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
from channels.transports.websocket.plain_frames import take_plain

__all__ = ("WebsocketsEngine", "accept")

_MAX_CONTROL = 125  # bytes of a control frame's payload (RFC 6455, 5.5)

_new_decoder = codecs.getincrementaldecoder("utf-8")


async def accept(
    outbox: Outbox,
    request: UpgradeRequest,
    *,
    nursery: trio.Nursery | None,  # noqa: ARG001  # of the seam; this engine needs no task
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    subprotocol: str | None = None,
    deflate: bool = False,
) -> WebsocketsEngine:
    """See `engine.Accept`."""
    offers = header_tokens(request.headers, "sec-websocket-extensions") if deflate else []
    extensions = agree(offers)
    await outbox.send_all(
        switching_protocols(request.headers, subprotocol=subprotocol, extensions=extensions)
    )
    return WebsocketsEngine(
        outbox, request.leftover, max_message_size, deflate=extensions is not None
    )


class _TooBigError(Exception):
    pass


class _ServerProtocol(Protocol):
    """`websockets`' protocol, which takes a close frame in the middle of a message for a breach.

    RFC 6455, 5.4 allows control frames there, and Autobahn's case 7.1.5 wants the echo.
    """

    between_frames = True  # what was received ended where a frame ends

    def recv_frame(self, frame: Frame) -> None:
        self.between_frames = not self.reader.buffer
        if frame.opcode is WireOpcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class WebsocketsEngine(SansIOEngine):
    """See `engine.Engine`."""

    __slots__ = ("_decoder", "_limit", "_message", "_opcode", "_protocol")

    def __init__(
        self, outbox: Outbox, received: bytes, max_message_size: int, *, deflate: bool = False
    ) -> None:
        super().__init__(outbox, received)
        self._limit = max_message_size
        # `websockets` also counts a control frame against what its limit leaves to a message.
        self._protocol = _ServerProtocol(
            Side.SERVER, state=State.OPEN, max_size=max_message_size + _MAX_CONTROL
        )
        if deflate:
            self._protocol.extensions = [
                PerMessageDeflate(
                    remote_no_context_takeover=True,
                    local_no_context_takeover=True,
                    remote_max_window_bits=15,
                    local_max_window_bits=15,
                )
            ]
        self._message: bytearray | None = None  # what has come of a fragmented message
        self._opcode = Opcode.BINARY  # of that message
        self._decoder: codecs.IncrementalDecoder | None = None  # of that message, if it is text

    def _feed(self, data: bytes | bytearray) -> list[Inbound]:
        messages: list[Inbound] = []
        if data and self._protocol.between_frames and self._message is None:
            messages, data = take_plain(data, self._limit)
            self._frames = len(messages)
            if not data:
                return messages
        return self._feed_protocol(data, messages)

    def _feed_protocol(self, data: bytes | bytearray, messages: list[Inbound]) -> list[Inbound]:
        """Append to `messages` what `data` completes."""
        protocol = self._protocol
        if data:
            protocol.between_frames = False
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        frames = protocol.events_received()
        self._frames = len(messages) + len(frames)
        try:
            for frame in frames:
                self._take_frame(frame, messages)  # type: ignore[arg-type]  # open: only frames
        except UnicodeDecodeError as error:
            self._fail(CloseCode.INVALID_TEXT, f"text that is not UTF-8: {error.reason}")
            return messages
        except _TooBigError:
            self._fail(CloseCode.TOO_BIG, f"a message may have {self._limit} bytes")
            return messages
        answers = [answer for answer in protocol.data_to_send() if answer]  # b"": close the socket
        if answers:
            self._answer(answers)
        self._notice_end()
        return messages

    def _take_frame(self, frame: Frame, messages: list[Inbound]) -> None:
        data: bytes = frame.data  # type: ignore[assignment]  # unmasked into bytes
        if len(data) > self._limit and frame.opcode < WireOpcode.CLOSE:
            raise _TooBigError
        match frame.opcode:
            case WireOpcode.TEXT if frame.fin:
                if not data.isascii():
                    data.decode()  # raises UnicodeDecodeError
                messages.append((Opcode.TEXT, data))
            case WireOpcode.BINARY if frame.fin:
                messages.append((Opcode.BINARY, data))
            case WireOpcode.TEXT:
                self._decoder = _new_decoder()
                self._decoder.decode(data)
                self._message, self._opcode = bytearray(data), Opcode.TEXT
            case WireOpcode.BINARY:
                self._message, self._opcode = bytearray(data), Opcode.BINARY
            case WireOpcode.CONT if self._message is not None:
                if self._decoder is not None:
                    self._decoder.decode(data, frame.fin)
                self._message += data
                if len(self._message) > self._limit:
                    raise _TooBigError
                if frame.fin:
                    messages.append((self._opcode, bytes(self._message)))
                    self._message = self._decoder = None

    def _notice_end(self) -> None:
        protocol = self._protocol
        closed, failed = protocol.close_rcvd, protocol.parser_exc
        if failed is None and closed is None:
            return
        if self._end is not None:
            return
        if isinstance(failed, EOFError):
            self._end = ConnectionClosed(ABNORMAL, "the peer hung up")
        elif failed is None and closed is not None:
            self._end = ConnectionClosed(closed.code, closed.reason, clean=True)
        else:
            sent = protocol.close_sent
            code = CloseCode.PROTOCOL_ERROR if sent is None else sent.code
            self._end = ConnectionClosed(code, str(failed))
