"""The engine seam: what the endpoint needs of a WebSocket library, and nothing else.

An engine reads RFC 6455 frames from the outbox's stream and hands on complete messages in order. It
answers pings, echoes the close frame, checks masks, sizes and UTF-8, and ends the connection with
the code that the RFC asks for. It writes control frames only; data frames are the business of
`frames.frame` and `Outbox.push`, which it never sees. Its owner is the connection's task, which
alone calls it.
"""

from __future__ import annotations

import socket
from typing import Final, Protocol, TypeAlias

import trio

from channels.transports.frames import CloseCode, Opcode, close_frame, frame
from channels.transports.outbox import Outbox

__all__ = (
    "ABNORMAL",
    "DEFAULT_MAX_MESSAGE_SIZE",
    "PONG",
    "Accept",
    "ConnectionClosed",
    "Engine",
    "EngineBase",
    "Inbound",
    "SansIOEngine",
    "UpgradeRequest",
    "Watcher",
)

DEFAULT_MAX_MESSAGE_SIZE: Final = 1024 * 1024  # bytes

# What one read asks for, in bytes: more inside a large frame, less where many tiny ones come, so
# that a flood is handled in small portions and others get their turns.
_FRAMES: Final = 8
_LEAST: Final = 256
_READ: Final = 1024
_MOST: Final = 16 * 1024

ABNORMAL: Final = 1006  # RFC 6455, 7.1.5: the peer went without a close frame

PONG: Final = "pong"  # the key of pongs: where they queue, the latest one is answer enough

Inbound: TypeAlias = tuple[Opcode, bytes]
"""One message: TEXT (checked to be UTF-8) or BINARY, and its payload."""


class ConnectionClosed(Exception):
    """The connection has ended: nothing more will come.

    `code` and `reason` are the peer's (1005: it gave none), or ours where it broke the protocol, or
    1006 where it just went. `clean` says whether it sent a close frame that we have answered, or
    has answered ours.
    """

    def __init__(self, code: int, reason: str = "", *, clean: bool = False) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.clean = clean

    def __str__(self) -> str:
        words = "closed" if self.clean else "ended"
        return f"WebSocket {words} with {self.code}" + (f": {self.reason}" if self.reason else "")


class UpgradeRequest(Protocol):
    """What an engine needs of the HTTP request that asks for a WebSocket."""

    @property
    def target(self) -> str:
        """Path and query as they came."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Name in lower case, value; in order."""
        ...

    @property
    def leftover(self) -> bytes:
        """What was read behind the head: the first frames."""
        ...


class Watcher(Protocol):
    """Who counts what comes in: the connection."""

    def on_read(self, frames: int, size: int) -> None:
        """One read of the stream brought `size` bytes, which completed so many `frames` of any
        kind, pings too. May raise `ConnectionClosed`, which then ends the engine.
        """
        ...


class _Nobody:
    def on_read(self, frames: int, size: int) -> None:
        pass


NOBODY: Final = _Nobody()


class Engine(Protocol):
    """One connection's reader."""

    watcher: Watcher
    """Told of every read; at first nobody is."""

    async def receive(self) -> list[Inbound]:
        """Wait for messages; return, in order, all that one read of the stream completed.

        After `close` no further message is returned. Raises `ConnectionClosed` at the end, and
        again at each later call. May be cancelled; nothing is lost.
        """
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Queue the close frame, the last frame of this connection. Does nothing the second time.

        The peer answers with its own: call `receive` until it raises, with a deadline, then close
        the outbox. Raises ValueError for a code that must not be sent.
        """
        ...

    def ping(self, payload: bytes = b"") -> None:
        """Queue a ping of up to 125 bytes. The answer shows as life on the stream, not here."""
        ...


class Accept(Protocol):
    """An engine module's `accept`: answers the upgrade with 101 and returns the engine."""

    async def __call__(
        self,
        outbox: Outbox,
        request: UpgradeRequest,
        *,
        nursery: trio.Nursery | None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        subprotocol: str | None = None,
        deflate: bool = False,
    ) -> Engine:
        """Accept `request`, which `handshake.check_upgrade` has found good.

        `nursery` runs what the engine needs beside the caller (only trio-websocket does); it must
        live as long as the connection. `max_message_size` in bytes, fragments together, after
        decompression. `deflate` agrees to permessage-deflate (RFC 7692) for what comes in, if the
        client offers it and the engine can.
        """
        ...


class EngineBase:
    """What every engine does alike: sending its own close frame and pings."""

    __slots__ = ("_closing", "_outbox", "watcher")  # one for each connection

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.watcher: Watcher = NOBODY
        self._closing = False  # we have sent a close frame, unasked

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """See `Engine.close`."""
        self._closing = True
        self._outbox.finish(close_frame(code, reason))

    def ping(self, payload: bytes = b"") -> None:
        """See `Engine.ping`."""
        self._outbox.push_control(frame(Opcode.PING, payload))


class SansIOEngine(EngineBase):
    """An engine around a protocol object that knows no streams.

    A subclass gives `_feed(data)`: it takes what was read (b"": the end), answers pings through the
    outbox, returns the messages that are complete, sets `_frames` to how many frames of any kind
    were completed, and sets `_end` once there will be no more. The
    close frame goes out when the caller comes back for more: what it answers to messages that came
    in the same packet still goes before it.
    """

    __slots__ = ("_end", "_frames", "_last_frame", "_received", "read_size")

    def __init__(self, outbox: Outbox, received: bytes) -> None:
        super().__init__(outbox)
        self._received = received  # read behind the request's head, not yet fed
        self._frames = 0  # by the last read
        self.read_size = _READ
        """How many bytes the next read should ask for."""
        self._end: ConnectionClosed | None = None
        self._last_frame = b""  # our close frame, to be sent

    async def receive(self) -> list[Inbound]:
        """See `Engine.receive`."""
        while True:
            data: bytes | bytearray = self._received
            if data:
                self._received = b""
                await trio.lowlevel.checkpoint()
            elif self._end is None:
                try:  # here, not in a method: every frame on this stack lives with the connection
                    data = await self._outbox.receive_some(self.read_size)
                except trio.BrokenResourceError as error:
                    self._end = ConnectionClosed(ABNORMAL, str(error))
                except trio.ClosedResourceError:
                    self._end = ConnectionClosed(ABNORMAL, "closed by us")
            messages = self.take(data)
            data = b""
            if messages:
                return messages

    def take(self, data: bytes | bytearray) -> list[Inbound]:
        """What one read brought, b"" at the end of the stream: the messages that it completed, none
        after `close`. Raises `ConnectionClosed` as `receive` does, when no messages come before it.
        """
        if self._end is None:
            messages = self._feed(data)
            self.read_size = _next_size(self._frames, len(data))
            self.watcher.on_read(self._frames, len(data))
            if messages and not self._closing:
                return messages
        if self._end is not None:
            self._outbox.finish(self._last_frame)
            raise ConnectionClosed(self._end.code, self._end.reason, clean=self._end.clean)
        return []

    def take_what_was_read(self) -> list[Inbound]:
        """As `take`, for what came behind the request's head."""
        data, self._received = self._received, b""
        return self.take(data) if data else []

    @property
    def ended(self) -> bool:
        """Will the next `take` raise, whatever is read?"""
        return self._end is not None

    @property
    def plain_socket(self) -> socket.socket | None:
        """What to read from without waiting; None where that cannot be done (TLS)."""
        return self._outbox.plain_socket

    def _feed(self, data: bytes | bytearray) -> list[Inbound]:
        raise NotImplementedError

    def _answer(self, control_frames: list[bytes]) -> None:
        """Send what the protocol object wants sent, one frame an item; a close frame ends all."""
        pongs: list[bytes] = []
        for data in control_frames:
            if data[0] & 0x0F == Opcode.CLOSE:
                break
            pongs.append(data)
        if pongs:
            self._outbox.push_control(b"".join(pongs), PONG)
        if len(pongs) < len(control_frames):
            self._last_frame = control_frames[len(pongs)]

    def _fail(self, code: int, reason: str) -> None:
        """End the connection for what the peer did (RFC 6455, 7.1.7)."""
        self._end = ConnectionClosed(code, reason)
        self._last_frame = close_frame(code, reason)


def _next_size(frames: int, size: int) -> int:
    """After a read of `size` bytes that completed so many `frames`."""
    if not frames:
        return _MOST
    return min(_READ, max(_LEAST, _FRAMES * size // frames))
