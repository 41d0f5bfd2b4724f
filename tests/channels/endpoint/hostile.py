"""Clients that do what no library does: raw bytes on a socket of another loopback address."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from actors import Node
from channels import Channel, Endpoint, Limits, Reply, UserSocket
from tests.channels.phoenix import DEADLINE

ATTACKER = "127.0.0.2"  # the healthy clients of these tests come from 127.0.0.1
UPGRADE = (
    b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
    b"connection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def masked(data: bytes, first: int = 0x81) -> bytes:
    """A whole client frame; the mask is zero."""
    size = len(data)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + data


def message(*parts: Any) -> bytes:
    return masked(json.dumps(parts).encode())


class Attacker:
    """One upgraded socket; what is read is kept apart by kind."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.texts: list[Any] = []
        self.close: tuple[int, str] | None = None
        self._frames = Connection(ConnectionType.CLIENT)
        self._piece = ""

    async def send(self, data: bytes) -> bool:
        """All of it, or as much as the server took before it closed."""
        try:
            with trio.move_on_after(DEADLINE):
                await self.stream.send_all(data)
        except trio.BrokenResourceError:
            return False
        return True

    async def read(self) -> bool:
        """One read; False at the end."""
        try:
            with trio.fail_after(DEADLINE):
                data = bytes(await self.stream.receive_some())
        except trio.BrokenResourceError:
            return False
        self._frames.receive_data(data or None)
        for event in self._frames.events():
            if isinstance(event, TextMessage):
                self._piece += event.data
                if event.message_finished:
                    self.texts.append(json.loads(self._piece))
                    self._piece = ""
            elif isinstance(event, CloseConnection) and data:
                self.close = (event.code, event.reason or "")
        return bool(data) and self.close is None

    async def read_until(self, count: int) -> None:
        while len(self.texts) < count:
            assert await self.read(), (len(self.texts), self.close)

    async def read_to_the_end(self) -> None:
        while await self.read():
            pass

    def answers(self) -> Counter[str]:
        """How often which status and reason came."""
        replies = [text[4] for text in self.texts if text[3] == "phx_reply"]
        return Counter(reply["response"].get("reason", reply["status"]) for reply in replies)


@asynccontextmanager
async def attacking(endpoint: Endpoint) -> AsyncIterator[Attacker]:
    async with await attacker_stream(endpoint) as stream:
        await stream.send_all(UPGRADE)
        head = b""
        with trio.fail_after(DEADLINE):
            while not head.endswith(b"\r\n\r\n"):
                head += await stream.receive_some(1)
        assert b" 101 " in head
        yield Attacker(stream)


async def attacker_stream(endpoint: Endpoint) -> trio.SocketStream:
    host, port = endpoint.addresses[0]
    return await trio.open_tcp_stream(host, port, local_address=ATTACKER)


# -- whom they attack ------------------------------------------------------------------------------


UNLIMITED = Limits().without_rates()
PING = masked(b"", first=0x89)


class Room(Channel):
    log_join = None
    handled = itertools.count()

    async def join(self, topic: str, payload: Any) -> Any:
        if topic == "room:slow":
            await trio.sleep_forever()

    async def handle_in(self, event: str, payload: Any) -> Any:
        next(self.handled)
        return Reply.ok()


class Socket(UserSocket):
    channels = {"room:*": Room}


def endpoint_with(limits: Limits, socket: type[UserSocket] = Socket) -> Endpoint:
    return Endpoint({"/socket": socket}, port=0, limits=limits)


async def joined(attacker: Attacker, topic: str = "room:1") -> None:
    await attacker.send(message("1", "1", topic, "phx_join", {}))
    await attacker.read_until(1)


async def until_exceeded(endpoint: Endpoint, limit: str, count: int) -> None:
    with trio.fail_after(DEADLINE):
        while endpoint.statistics().exceeded.get(limit, 0) < count:
            await trio.lowlevel.checkpoint()
    assert endpoint.statistics().exceeded[limit] >= count


async def until_connections(endpoint: Endpoint, count: int) -> None:
    with trio.fail_after(DEADLINE):
        while endpoint.statistics().connections != count:
            await trio.lowlevel.checkpoint()


async def until_no_rooms(node: Node) -> None:
    while any(pid.label == "Room" for pid in node.processes):
        await trio.lowlevel.checkpoint()
