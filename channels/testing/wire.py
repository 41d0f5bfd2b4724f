"""Reading and writing as a client does: RFC 6455 frames of a server, V2 messages. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from channels.messages import Binary, Message, Opcode

__all__ = ("read", "unframe", "write")


def unframe(data: bytes) -> tuple[Opcode, bytes]:
    """Opcode and payload of a server's frame (RFC 6455, 5.2)."""
    size = data[1]
    head = {126: 4, 127: 10}.get(size, 2)
    return Opcode(data[0] & 0x0F), data[head:]


def write(message: Message) -> tuple[Opcode, bytes]:
    """A client's frame of the V2 serializer. Raises ValueError for what a client cannot send."""
    if not isinstance(message.payload, Binary):
        return Opcode.TEXT, msgspec.json.encode(message)
    parts = (message.join_ref or "", message.ref or "", message.topic, message.event)
    fields = [str(part).encode() for part in parts]
    head = bytes([0, *map(len, fields)])
    return Opcode.BINARY, head + b"".join(fields) + message.payload.data


def read(opcode: Opcode, data: bytes) -> Message:
    """A frame of the V2 serializer, as the client reads it."""
    if opcode is Opcode.TEXT:
        return msgspec.json.decode(data, type=Message)
    kind, sizes, names = data[0], *_BINARY_FIELDS[data[0]]
    at, fields = 1 + sizes, {}
    for index, name in enumerate(names):
        end = at + data[1 + index]
        fields[name] = data[at:end].decode()
        at = end
    payload: Any = Binary(data[at:])
    if kind == 1:
        payload = {"status": fields.pop("status"), "response": payload}
        fields["event"] = "phx_reply"
    return Message(
        fields.get("join_ref"), fields.get("ref"), fields["topic"], fields["event"], payload
    )


_BINARY_FIELDS: Final = {
    0: (3, ("join_ref", "topic", "event")),
    1: (4, ("join_ref", "ref", "topic", "status")),
    2: (2, ("topic", "event")),
}
