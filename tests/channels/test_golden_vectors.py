"""The golden vectors of the protocol reference (appendix A), byte for byte: what a client sends and what it gets, over a
real connection, and what the V2 serializer reads and writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog.testing
import trio

from channels import Binary, Broadcast, Channel, Endpoint, Message, Reply, UserSocket
from channels.messages import Opcode
from channels.serializers import V2
from tests.channels.endpoint.hostile import UPGRADE, masked
from tests.channels.phoenix import DEADLINE, running

TEXT, BINARY = 0x81, 0x82  # the first byte of a whole frame


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any: ...

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "push":
                self.push("joined", payload)
            case "broadcast":
                self.broadcast("new_msg", payload)
            case "crash":
                raise RuntimeError("asked for")
            case "event":  # the binary one
                self.push("event", payload)
                self.broadcast("event", payload)
                return Reply.ok(payload)
            case "π":
                self.push("π", payload)
            case _:
                return Reply.ok(payload)
        return None


class Socket(UserSocket):
    channels = {"room:*": Room, "topic": Room}


class Wire:
    """Frames as bytes: the first byte and the payload."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def send(self, first: int, payload: bytes) -> None:
        await self._stream.send_all(masked(payload, first))

    async def read(self) -> tuple[int, bytes]:
        first, size = await self._take(2)
        assert size < 126, "vectors are short, and a server masks nothing"
        return first, await self._take(size)

    async def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._data:
            await self._receive()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return head

    async def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            await self._receive()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    async def _receive(self) -> None:
        with trio.fail_after(DEADLINE):
            data = await self._stream.receive_some()
        assert data, "the server has closed"
        self._data += data


@asynccontextmanager
async def wired() -> AsyncIterator[Wire]:
    async with running(Endpoint({"/socket": Socket}, port=0)) as endpoint:
        host, port = endpoint.addresses[0]
        async with await trio.open_tcp_stream(host, port) as stream:
            wire = Wire(stream)
            await stream.send_all(UPGRADE)
            assert (await wire.read_head()).startswith(b"HTTP/1.1 101 ")
            yield wire


JOIN = b'["1","1","room:lobby","phx_join",{}]'
UNMATCHED = (
    b'[null,"3","nope","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]'
)
JOINED = b'["1","1","room:lobby","phx_reply",{"status":"ok","response":{}}]'


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        pytest.param(
            b'["1","2","room:lobby","ping",{"a":1}]',
            [b'["1","2","room:lobby","phx_reply",{"status":"ok","response":{"a":1}}]'],
            id="reply",
        ),
        pytest.param(
            b'["1","2","room:lobby","push",{"a":1}]',
            [b'["1",null,"room:lobby","joined",{"a":1}]'],
            id="push",
        ),
        pytest.param(
            b'["1","2","room:lobby","broadcast",{"a":1}]',
            [b'[null,null,"room:lobby","new_msg",{"a":1}]'],
            id="broadcast",
        ),
        pytest.param(
            b'[null,"9","phoenix","heartbeat",{}]',
            [b'[null,"9","phoenix","phx_reply",{"status":"ok","response":{}}]'],
            id="heartbeat",
        ),
        pytest.param(
            b'["1","3","nope","x",{}]',
            [UNMATCHED],
            id="unmatched",
        ),
        pytest.param(
            b'["1","4","room:lobby","phx_leave",{}]',
            [
                b'["1","4","room:lobby","phx_reply",{"status":"ok","response":{}}]',
                b'["1","1","room:lobby","phx_close",{}]',
            ],
            id="leave",
        ),
        pytest.param(
            b'["1","5","room:lobby","crash",{}]',
            [b'["1","1","room:lobby","phx_error",{"reason":"channel_crash"}]'],
            id="crash",
        ),
    ],
)
async def test_every_text_frame_of_a_conversation_is_that_of_the_reference(node, sent, got):
    async with wired() as wire:
        await wire.send(TEXT, JOIN)
        assert await wire.read() == (TEXT, JOINED)
        with structlog.testing.capture_logs():
            await wire.send(TEXT, sent)
            assert [await wire.read() for _ in got] == [(TEXT, frame) for frame in got]


async def test_every_binary_frame_of_a_conversation_is_that_of_the_reference(node):
    async with wired() as wire:
        await wire.send(TEXT, b'["12","12","topic","phx_join",{}]')
        await wire.read()
        await wire.send(BINARY, bytes.fromhex("00 02 03 05 05") + b"12123topicevent\x65\x66\x67")
        assert [await wire.read() for _ in range(3)] == [
            (BINARY, bytes.fromhex("00 02 05 05") + b"12topicevent\x65\x66\x67"),
            (BINARY, bytes.fromhex("02 05 05") + b"topicevent\x65\x66\x67"),
            (BINARY, bytes.fromhex("01 02 03 05 02") + b"12123topicok\x65\x66\x67"),
        ]


async def test_the_sizes_of_a_binary_frame_count_bytes_of_utf_8(node):
    async with wired() as wire:
        await wire.send(TEXT, '["🚀","🚀","room:café","phx_join",{}]'.encode())
        await wire.read()
        head = bytes([0, 4, 1, 10, 2])
        await wire.send(BINARY, head + "🚀1room:caféπ".encode() + b"\x01")
        pushed = bytes([0, 4, 10, 2]) + "🚀room:caféπ".encode() + b"\x01"
        assert await wire.read() == (BINARY, pushed)


@pytest.mark.parametrize(
    ("hex_head", "rest", "message"),
    [
        ("00 01 01 01 01", b"01te\x01", Message("0", "1", "t", "e", Binary(b"\x01"))),
        ("00 02 01 03 02", b"101topev\x01", Message("10", "1", "top", "ev", Binary(b"\x01"))),
    ],
)
def test_a_clients_binary_push_is_read(hex_head, rest, message):
    assert V2().decode(bytes.fromhex(hex_head) + rest, Opcode.BINARY) == message


def test_a_servers_binary_reply_broadcast_and_push_are_written():
    payload = Binary(b"\x01\x01")
    assert V2().encode_reply("100", "12", "top", "ok", payload) == (
        Opcode.BINARY,
        bytes.fromhex("01 03 02 03 02") + b"10012topok\x01\x01",
    )
    assert V2().encode_broadcast(Broadcast("top", "some-event", payload)) == (
        Opcode.BINARY,
        bytes.fromhex("02 03 0a") + b"topsome-event\x01\x01",
    )
    assert V2().encode_message(Message("123", None, "top", "some-event", payload)) == (
        Opcode.BINARY,
        bytes.fromhex("00 03 03 0a") + b"123topsome-event\x01\x01",
    )
