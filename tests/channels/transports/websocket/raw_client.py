"""A WebSocket client of bytes: it can break every rule, which libraries cannot."""

import struct

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
KEY = b"\x12\x34\x56\x78"


def frame(opcode, payload=b"", *, fin=True, masked=True, rsv=0):
    """One client frame."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([masked << 7 | size])
    elif size < 65536:
        head += struct.pack("!BH", masked << 7 | 126, size)
    else:
        head += struct.pack("!BQ", masked << 7 | 127, size)
    if not masked:
        return head + payload
    mask = (KEY * (size // 4 + 1))[:size]
    scrambled = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
    return head + KEY + scrambled


def close(code=None, reason=b""):
    """A client's close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def upgrade(path="/", **headers):
    """The request of a good client, headers replaced or left off (None)."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class RawClient:
    """Reads the server's head and frames from a stream."""

    def __init__(self, stream):
        self.stream = stream
        self.buffer = b""

    async def send(self, *frames):
        await self.stream.send_all(b"".join(frames))

    async def read(self, count):
        while len(self.buffer) < count:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    async def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += await self.stream.receive_some()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    async def frame(self):
        """(opcode, payload) of the next server frame, which must be whole and unmasked."""
        first, size = await self.read(2)
        assert first & 0x80
        if size == 126:
            (size,) = struct.unpack("!H", await self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.read(8))
        return first & 0x0F, await self.read(size)

    async def frames(self, count):
        return [await self.frame() for _ in range(count)]

    async def close_code(self):
        """The code of the server's close frame, which must come next; then the stream must end."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        return struct.unpack("!H", payload[:2])[0] if payload else None

    async def ends(self):
        """Whether the server has closed the stream, and sent nothing before."""
        return not self.buffer and not await self.stream.receive_some()
