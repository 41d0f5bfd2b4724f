"""A TCP proxy that treats its connections badly, on command."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator

import trio

CHUNK = 16_384  # bytes


class FaultyProxy:
    """Listens on a port of its own in front of `target_port`. Faults meet the newest connection.

    Used by one client at a time: a new connection takes the place of the one before, whose
    undelivered bytes are dropped as if they had got lost on the way.
    """

    def __init__(self, target_port: int, seed: int) -> None:
        self._target_port = target_port
        self._random = random.Random(seed)
        self._link: _Link | None = None
        self._arrived = trio.Event()  # a connection that is newer than the present one
        self.port = 0
        self.connections = 0

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; started when it listens."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            task_status.started()
            await trio.serve_listeners(self._serve_one, [listener], handler_nursery=nursery)

    async def traffic(self, chunks: int) -> None:
        """Wait until so many more chunks of bytes have passed, on whatever connection."""
        left = chunks
        while left > 0:
            if self._link is None or self._link.ended.is_set():
                await self._arrived.wait()
                continue
            await self._link.next_chunk()
            left -= 1

    def cut(self, *, reset: bool) -> None:
        """End the connection at both sides now: with a reset, or as if both sides had closed."""
        if self._link is not None:
            self._link.end(reset=reset)

    async def cut_within_a_chunk(self) -> None:
        """Pass the first half of the next chunk, in whichever direction, and end the connection."""
        if self._link is not None:
            self._link.halve_and_cut = True
            await self._link.ended.wait()

    async def pause(self, seconds: float) -> None:
        """Hold everything back for that long; then it goes on."""
        link = self._link
        if link is not None:
            link.gate = trio.Event()
            await trio.sleep(seconds)
            link.gate.set()

    async def swallow(self) -> None:
        """Pass nothing more in either direction, until the client has made a new connection."""
        link = self._link
        if link is not None:
            link.gate = trio.Event()  # never opened
            await link.ended.wait()

    async def crumble(self, chunks: int) -> None:
        """Pass the next chunks byte for byte or in a few pieces."""
        link = self._link
        if link is not None:
            link.crumbs = self._random
            for _ in range(chunks):
                await link.next_chunk()
            link.crumbs = None

    async def _serve_one(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_tcp_stream("127.0.0.1", self._target_port) as server:
            if self._link is not None:
                self._link.end(reset=True)
            self._link = link = _Link(client, server)
            self.connections += 1
            self._arrived.set()
            self._arrived = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.pump, client, server)
                nursery.start_soon(link.pump, server, client)
                await link.ended.wait()
                nursery.cancel_scope.cancel()


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self._sides = (client, server)
        self._passed = trio.Event()
        self.ended = trio.Event()
        self.gate = trio.Event()
        self.gate.set()
        self.halve_and_cut = False
        self.crumbs: random.Random | None = None

    async def pump(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            while data := bytes(await source.receive_some(CHUNK)):
                await self.gate.wait()
                await self._pass(data, sink)
                self._passed.set()
                self._passed = trio.Event()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # a side has hung up, or was cut off
        self.end(reset=False)

    async def _pass(self, data: bytes, sink: trio.SocketStream) -> None:
        if self.halve_and_cut:
            await sink.send_all(data[: len(data) // 2])
            self.end(reset=False)
            return
        for piece in self._pieces(data):
            await sink.send_all(piece)
            if len(piece) < len(data):
                await trio.sleep(0)  # so that the other side may see them apart

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if self.crumbs is None:
            yield data
            return
        size = self.crumbs.choice((1, 2, 7, len(data) // 2 + 1))
        if len(data) > 400:
            size = max(size, len(data) // 20)
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async def next_chunk(self) -> None:
        """Wait until something has passed, or will never pass."""
        async with trio.open_nursery() as nursery:

            async def stop_when(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop_when, self._passed)
            nursery.start_soon(stop_when, self.ended)

    def end(self, *, reset: bool) -> None:
        if self.ended.is_set():
            return
        self.ended.set()
        for side in self._sides:
            if reset:  # close() then sends RST and drops what is under way
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.socket.close()
