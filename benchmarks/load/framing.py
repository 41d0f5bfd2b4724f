"""The client's side of RFC 6455, as far as a load client needs it."""

from __future__ import annotations

import base64
import os

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def handshake(host: str, port: int, path: str) -> bytes:
    """An opening handshake for `path` (section 4.1)."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole frame from client to server, masked as the RFC demands (section 5.3)."""
    mask = os.urandom(4)
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    pattern = (mask * (size // 4 + 1))[:size]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return head + mask + body.to_bytes(size, "big")


class Frames:
    """Splits what a server sends into (opcode, payload) pairs; keeps the unfinished rest."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def unfinished(self) -> bool:
        """Whether the last bytes fed ended inside a frame."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now; raises ValueError for what no server may send."""
        data = self._rest + data
        frames = []
        start, end = 0, len(data)
        while end - start >= 2:
            size, body = data[start + 1], start + 2
            if size > 127:
                raise ValueError("the server sent a masked frame")
            if size == 126:
                body += 2
                size = int.from_bytes(data[start + 2 : body], "big")
            elif size == 127:
                body += 8
                size = int.from_bytes(data[start + 2 : body], "big")
            if body + size > end:
                break
            frames.append((data[start] & 0x0F, data[body : body + size]))
            start = body + size
        self._rest = data[start:]
        return frames


def whole_frame(buffer: bytearray, size: int) -> bool:
    """Whether `size` bytes in `buffer` are exactly one text frame of fewer than 65,536 bytes.

    The common case by far, told without a copy; everything else goes through `Frames`.
    """
    if buffer[0] != 0x81:
        return False
    length = buffer[1]
    if length < 126:
        return length + 2 == size
    return length == 126 and (buffer[2] << 8 | buffer[3]) + 4 == size
