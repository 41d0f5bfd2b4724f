"""A Phoenix client for tests: one WebSocket of trio-websocket, frames as Python values."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio_websocket

from channels import Endpoint
from supervisors import Supervisor

DEADLINE = 5.0  # seconds after which a frame that should come will not


class Client:
    """What arrived and what was sent; `expect` reads the next frame."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self.websocket = websocket
        self._refs = 0

    def ref(self) -> str:
        self._refs += 1
        return str(self._refs)

    async def send(self, *frame: Any) -> None:
        await self.websocket.send_message(json.dumps(frame))

    async def push(self, join_ref: str | None, topic: str, event: str, payload: Any = None) -> str:
        ref = self.ref()
        await self.send(join_ref, ref, topic, event, {} if payload is None else payload)
        return ref

    async def join(self, topic: str, payload: Any = None) -> str:
        """Join and read the ok reply; the join_ref."""
        ref = self.ref()
        await self.send(ref, ref, topic, "phx_join", {} if payload is None else payload)
        reply = await self.expect()
        assert reply[3] == "phx_reply", reply
        assert reply[4]["status"] == "ok", reply
        return ref

    async def expect(self) -> list[Any]:
        with trio.fail_after(DEADLINE):
            frame: list[Any] = json.loads(await self.websocket.get_message())
        return frame

    async def expect_reply(self, ref: str) -> dict[str, Any]:
        frame = await self.expect()
        assert frame[1] == ref, frame
        assert frame[3] == "phx_reply", frame
        reply: dict[str, Any] = frame[4]
        return reply

    async def expect_close(self) -> tuple[int, str]:
        """Read until the server closes; its code and reason."""
        with trio.fail_after(DEADLINE), pytest.raises(trio_websocket.ConnectionClosed) as closed:
            while True:
                await self.websocket.get_message()
        reason = closed.value.reason
        assert reason is not None
        return int(reason.code), reason.reason or ""

    async def settle(self) -> None:
        """Everything sent before has been handled: heartbeats are answered in order."""
        ref = self.ref()
        await self.send(None, ref, "phoenix", "heartbeat", {})
        assert await self.expect_reply(ref) == {"status": "ok", "response": {}}


@asynccontextmanager
async def running(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    """Run an endpoint under a supervisor of its own."""
    supervisor = await Supervisor.start_link([endpoint], max_restarts=0)
    try:
        yield endpoint
    finally:
        await Supervisor.stop(supervisor)


@asynccontextmanager
async def connected(
    endpoint: Endpoint,
    path: str = "/socket/websocket?vsn=2.0.0",
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    subprotocols: list[str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Client]:
    """Connect one client; a `HandshakeError` says that it was refused."""
    host, port = endpoint.addresses[0]
    stream: Any = await trio.open_tcp_stream(host, port)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
    # trio-websocket leaves its socket open when the server closes first, so the stream is ours.
    async with stream, trio.open_nursery() as nursery:
        websocket = await trio_websocket.wrap_client_stream(
            nursery,
            stream,
            f"{host}:{port}",
            path,
            subprotocols=subprotocols,
            extra_headers=headers or [],
        )
        yield Client(websocket)
        await websocket.aclose()
        nursery.cancel_scope.cancel()


async def refusal(
    endpoint: Endpoint, path: str, headers: list[tuple[bytes, bytes]] | None = None
) -> int:
    """The HTTP status with which an upgrade is refused."""
    host, port = endpoint.addresses[0]
    wanted = [
        (b"host", f"{host}:{port}".encode()),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        *(headers or []),
    ]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in wanted)
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(b"GET " + path.encode() + b" HTTP/1.1\r\n" + head + b"\r\n")
        with trio.fail_after(DEADLINE):
            answer = bytes(await stream.receive_some())
    return int(answer.split()[1])
