"""What coverage-guided fuzzing is aimed at: one function for each pure room; bytes in, or a finding."""

from __future__ import annotations

from collections.abc import Callable

import trio
import trio.testing

from channels.endpoint.http import HttpConnection, HttpError
from channels.exceptions import MalformedFrameError
from channels.messages import Message, Opcode
from channels.multiplexer import Join, Multiplexer
from channels.serializers import V1, V2
from channels.transports.longpoll_body import MAX_FRAMES, NDJSON, frames_of


def decode_all(data: bytes) -> list[Message]:
    """Read `data` with every serializer; only `MalformedFrameError` is a legal refusal."""
    read = []
    for serializer in (V1(), V2()):
        for opcode in (Opcode.TEXT, Opcode.BINARY):
            try:
                read.append(serializer.decode(data, opcode))
            except MalformedFrameError as error:
                assert len(str(error)) < 1_000  # a log line, not the attacker's whole frame
    return read


def messages(data: bytes) -> None:
    """Serializers: whatever is read can be written again as a reply."""
    for message in decode_all(data):
        for serializer in (V1(), V2()):
            serializer.encode_reply(message.join_ref, message.ref, message.topic, "ok", {})


def multiplexer(data: bytes) -> None:
    """The topic table: any messages in any order, with channels that start, join and crash."""
    table: Multiplexer[str, str] = Multiplexer(lambda topic: topic or None, max_channels=4)
    pending: list[int] = []
    for line in data.split(b"\n"):
        for message in decode_all(line):
            for effect in table.receive(message):
                if isinstance(effect, Join):
                    table.started(effect.key, f"pid {effect.key}")
                    pending.append(effect.key)
        if pending and len(line) % 3 == 0:
            key = pending.pop(0)
            table.joined(key, {})
            if len(line) % 2:
                table.exited(key, crashed=bool(len(line) % 4))
    assert table.statistics().topics <= 4
    table.closed()


def http(data: bytes) -> None:
    """HTTP heads and bodies: an answerable `HttpError`, a request, or the end."""

    async def serve() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(data or b"\r\n")
        await theirs.send_eof()
        connection = HttpConnection(ours)
        try:
            while (request := await connection.read_head(timeout=1)) is not None:
                if request.has_body:
                    await connection.read_body(max_bytes=1_000, timeout=1)
                break
        except HttpError as error:
            assert 400 <= error.response.status < 600
        except trio.BrokenResourceError:
            pass  # the client went in the middle

    trio.run(serve)


def bodies(data: bytes) -> None:
    """What long poll clients post: at most a hundred frames, or a documented refusal."""
    for content_type in (NDJSON, "application/json", None):
        try:
            frames = frames_of(data, content_type)
        except MalformedFrameError:
            continue
        assert len(frames) <= MAX_FRAMES
        for _, frame in frames:
            decode_all(frame)


TARGETS: dict[str, tuple[Callable[[bytes], None], str]] = {
    "messages": (messages, "messages"),
    "multiplexer": (multiplexer, "messages"),
    "http": (http, "http"),
    "bodies": (bodies, "bodies"),
}
