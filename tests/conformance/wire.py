"""A WebSocket client without manners: V2 messages when asked, and any bytes at all when not."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import trio
import trio_websocket

from tests.conformance.demo_node import DemoNode
from tests.conformance.node_script import DEADLINE

V2 = "/socket/websocket?vsn=2.0.0"

TEXT = 0x1
BINARY = 0x2

Frame: TypeAlias = list[Any]
"""`[join_ref, ref, topic, event, payload]`"""


class Wire:
    """One connection. Every wait fails after `DEADLINE`."""

    def __init__(
        self, websocket: trio_websocket.WebSocketConnection, stream: trio.SocketStream
    ) -> None:
        self._websocket = websocket
        self._stream = stream
        self._refs = itertools.count(100)

    async def send(self, *frame: Any) -> None:
        """Send one text frame: the JSON array of the arguments."""
        await self.send_text(json.dumps(frame))

    async def send_text(self, text: str) -> None:
        """Send any text as a text frame."""
        with trio.fail_after(DEADLINE):
            await self._websocket.send_message(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        with trio.fail_after(DEADLINE):
            await self._websocket.send_message(data)

    async def send_raw(self, data: bytes) -> None:
        """Write to the TCP connection, past the WebSocket."""
        with trio.fail_after(DEADLINE):
            await self._stream.send_all(data)

    async def receive(self) -> Any:
        """The next frame: what the JSON of a text frame says, the bytes of a binary one."""
        with trio.fail_after(DEADLINE):
            data = await self._websocket.get_message()
        return json.loads(data) if isinstance(data, str) else data

    async def closed(self) -> int:
        """Wait for the end, whatever comes before it; the close code that the server sent."""
        with trio.fail_after(DEADLINE):
            while True:
                try:
                    await self._websocket.get_message()
                except trio_websocket.ConnectionClosed as closed:
                    # None: the connection broke without a close frame
                    return 1006 if closed.reason is None else closed.reason.code

    async def join(self, topic: str, join_ref: str = "1") -> None:
        """Join, and see that it was answered ok."""
        await self.send(join_ref, join_ref, topic, "phx_join", {})
        assert await self.receive() == reply(join_ref, join_ref, topic)

    async def expect_silence(self, topic: str, join_ref: str = "1") -> None:
        """See that nothing is on its way: the next frame is the answer to a push made now."""
        ref = str(next(self._refs))
        await self.send(join_ref, ref, topic, "ping", {})
        assert await self.receive() == reply(join_ref, ref, topic)


def reply(
    join_ref: str | None, ref: str | None, topic: str, status: str = "ok", response: Any = None
) -> Frame:
    """A `phx_reply` as V2 writes it."""
    answer = {"status": status, "response": {} if response is None else response}
    return [join_ref, ref, topic, "phx_reply", answer]


def raw_frame(
    payload: bytes, *, opcode: int = TEXT, head: int = 0x80, masked: bool = True
) -> bytes:
    """A WebSocket frame of less than 126 bytes, masked as a client must, `head` its first bits."""
    assert len(payload) < 126
    if not masked:
        return bytes([head | opcode, len(payload)]) + payload
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([head | opcode, 0x80 | len(payload)]) + mask + body


@contextlib.asynccontextmanager
async def connect(
    node: DemoNode, target: str = V2, *, origin: str | None = None
) -> AsyncIterator[Wire]:
    """A connection until the block ends. Raises `trio_websocket.ConnectionRejected` if refused."""
    headers = [] if origin is None else [(b"Origin", origin.encode())]
    host = f"127.0.0.1:{node.port}"
    stream = await trio.open_tcp_stream("127.0.0.1", node.port)
    async with stream, trio.open_nursery() as nursery:
        with trio.fail_after(DEADLINE):
            websocket = await trio_websocket.wrap_client_stream(
                nursery, stream, host, target, extra_headers=headers
            )
        try:
            yield Wire(websocket, stream)
        finally:
            nursery.cancel_scope.cancel()


async def refusal(node: DemoNode, target: str = V2, *, origin: str | None = None) -> int:
    """The HTTP status with which a connection is refused."""
    try:
        async with connect(node, target, origin=origin):
            raise AssertionError("it was accepted")
    except* trio_websocket.ConnectionRejected as refused:
        status: int = refused.exceptions[0].status_code  # type: ignore[union-attr]  # one, not a group
    return status
