"""The raw limit of a server: one non-blocking send of one prepared frame to each socket.

No WebSocket library, no tasks but one for each connection, no queues: a client's letter B sends the
frame to all, E sends it back. What a full socket buffer would refuse is not handled, and cannot
happen here, because the load waits until everybody has got a message before it goes on.
"""

from __future__ import annotations

import base64
import hashlib
import socket

import trio

from benchmarks.harness.greeting import say_port
from benchmarks.harness.machine import allow_many_files

_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def _accept(head: bytes) -> bytes:
    key = head.lower().split(b"sec-websocket-key:")[1].split(b"\r\n")[0]
    start = head.lower().index(key)
    digest = hashlib.sha1(head[start : start + len(key)].strip() + _ACCEPT_SUFFIX).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def unmasked(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The payload of the client's frame at `start`, and where the next one starts; None: more."""
    if len(data) - start < 6:
        return None
    size, body = data[start + 1] & 0x7F, start + 2
    if size == 126:
        size, body = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
    end = body + 4 + size
    if end > len(data):
        return None
    pattern = (data[body : body + 4] * (size // 4 + 1))[:size]
    clear = int.from_bytes(data[body + 4 : end], "big") ^ int.from_bytes(pattern, "big")
    return clear.to_bytes(size, "big"), end


def framed(payload: bytes) -> bytes:
    """One text frame from server to client, shorter than 65,536 bytes."""
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


class RawServer:
    def __init__(self) -> None:
        self._members: set[socket.socket] = set()

    async def serve(self, nursery: trio.Nursery) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        say_port(listener.getsockname()[1], ["trio"])
        while True:
            await trio.lowlevel.wait_readable(listener)
            connected, _ = listener.accept()
            connected.setblocking(False)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            nursery.start_soon(self._connection, connected)

    async def _connection(self, connected: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            await trio.lowlevel.wait_readable(connected)
            head += connected.recv(4096)
        connected.send(_accept(head))
        self._members.add(connected)
        try:
            await self._frames(connected)
        except OSError:
            pass  # the load closes without a farewell
        finally:
            self._members.discard(connected)
            connected.close()

    async def _frames(self, connected: socket.socket) -> None:
        rest = b""
        while True:
            await trio.lowlevel.wait_readable(connected)
            data = connected.recv(65_536)
            if not data:
                return
            rest, start = rest + data, 0
            while found := unmasked(rest, start):
                payload, start = found
                self._answer(connected, payload)
            rest = rest[start:]

    def _answer(self, connected: socket.socket, payload: bytes) -> None:
        frame = framed(payload)
        if payload.startswith(b"B"):
            for member in self._members:
                member.send(frame)
        else:
            connected.send(frame)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        await RawServer().serve(nursery)


if __name__ == "__main__":
    allow_many_files()
    trio.run(main)
