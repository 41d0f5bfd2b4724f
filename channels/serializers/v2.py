"""Phoenix's V2 wire format: JSON arrays in text frames, and binary frames for payloads of raw
bytes.

Source: Phoenix `Socket.V2.JSONSerializer`; protocol reference 1.3 and 1.5.

Text, both ways: `[join_ref, ref, topic, event, payload]`; more than five elements are ignored. What
the server sends as a push or broadcast carries an object; a reply carries `{"status": string,
"response": any value}`.

Binary: one byte for the kind, one length byte for each field, the fields in UTF-8, the payload:

| kind | direction | fields |
|---|---|---|
| 0 push | client → server | join_ref, ref, topic, event |
| 0 push | server → client | join_ref, topic, event |
| 1 reply | server → client | join_ref, ref, topic, status |
| 2 broadcast | server → client | topic, event |

A null ref is written with size 0 and, as in Phoenix, a size of 0 is read as an empty string.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from channels.exceptions import FieldTooLongError, InvalidPayloadError, MalformedFrameError
from channels.messages import REPLY, Binary, Broadcast, Encoded, Message, Opcode, Ref, Reply

__all__ = ("V2",)

_TEXT: Final = Opcode.TEXT  # a local name: the enum's own lookup costs as much as a small encode
_BINARY: Final = Opcode.BINARY

_PUSH: Final = 0
_REPLY: Final = 1
_BROADCAST: Final = 2
_HEAD: Final = 5  # bytes before the fields of a client's push

_LEGAL_TEXT: Final = (
    "a JSON array [join_ref, ref, topic, event, payload] with strings or null as refs "
    "and strings as topic and event"
)
_LEGAL_BINARY: Final = (
    "0, the sizes of join_ref, ref, topic and event, these four in UTF-8, and the payload"
)


class V2:
    """The serializer of `vsn` 2.0.x. Stateless: one instance serves every connection."""

    __slots__ = ("_decode", "_encode")
    name = "V2"

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(Message).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, data: bytes | bytearray | memoryview, opcode: Opcode) -> Message:
        """Read one frame from a client; raises `MalformedFrameError`."""
        if opcode == _BINARY:
            return _decode_push(bytes(data))
        try:
            return self._decode(data)
        except (ValueError, RecursionError) as error:
            raise MalformedFrameError(
                f"malformed V2 text frame: {error}",
                legal=_LEGAL_TEXT,
                data=data,
                invalid_utf8=isinstance(error, UnicodeDecodeError),
            ) from error

    def encode_message(self, message: Message) -> Encoded:
        """Write a push. Raises `InvalidPayloadError` unless the payload is an object or
        `Binary`.
        """
        topic, event, payload = message.topic, message.event, message.payload
        if isinstance(payload, Binary):
            head = _head(_PUSH, join_ref=message.join_ref, topic=topic, event=event)
            return _BINARY, head + payload.data
        self._check_object(topic, event, payload)
        return _TEXT, self._write(message, topic, event)

    def encode_reply(
        self, join_ref: Ref, ref: Ref, topic: str, status: str, response: Any
    ) -> Encoded:
        """Write the reply to the push `ref`. `response` is any JSON value or `Binary`. Raises
        `InvalidPayloadError`.
        """
        if isinstance(response, Binary):
            head = _head(_REPLY, join_ref=join_ref, ref=ref, topic=topic, status=status)
            return _BINARY, head + response.data
        frame = (join_ref, ref, topic, REPLY, Reply(status, response))
        return _TEXT, self._write(frame, topic, REPLY)

    def encode_broadcast(self, broadcast: Broadcast) -> Encoded:
        """Write a broadcast. Raises `InvalidPayloadError` unless the payload is an object or
        `Binary`.
        """
        topic, event, payload = broadcast.topic, broadcast.event, broadcast.payload
        if isinstance(payload, Binary):
            return _BINARY, _head(_BROADCAST, topic=topic, event=event) + payload.data
        self._check_object(topic, event, payload)
        return _TEXT, self._write((None, None, topic, event, payload), topic, event)

    def _write(self, value: object, topic: str, event: str) -> bytes:
        try:
            return self._encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidPayloadError(
                topic, event, f"cannot be written as JSON: {error}"
            ) from error

    def _check_object(self, topic: str, event: str, payload: object) -> None:
        if type(payload) is dict:
            return
        # Dataclasses, attrs classes and Structs are written as objects too; only the writing tells.
        if self._write(payload, topic, event)[:1] != b"{":
            raise InvalidPayloadError(
                topic,
                event,
                f"is a {type(payload).__name__}; expected an object (a dict, or an instance that "
                "JSON writes as one) or Binary",
            )

    def __repr__(self) -> str:
        return f"<serializer {self.name}>"


def _head(kind: int, **fields: Ref) -> bytes:
    """Kind, sizes, fields: what comes before the payload of a binary frame."""
    texts = [_field(name, value) for name, value in fields.items()]
    return bytes((kind, *map(len, texts))) + b"".join(texts)


def _field(name: str, value: Ref) -> bytes:
    text = "" if value is None else str(value)
    data = text.encode()
    if len(data) > 255:
        raise FieldTooLongError(name, text, len(data))
    return data


def _decode_push(data: bytes) -> Message:
    if len(data) < _HEAD:
        raise _malformed("a binary frame shorter than its head of 5 bytes", data)
    if data[0] != _PUSH:
        raise _malformed(
            f"a binary frame of kind {data[0]}, where a client may only push (kind 0)", data
        )
    ref_at = _HEAD + data[1]
    topic_at = ref_at + data[2]
    event_at = topic_at + data[3]
    payload_at = event_at + data[4]
    if payload_at > len(data):
        raise _malformed(
            f"a binary frame whose fields end at byte {payload_at}, beyond its end", data
        )
    try:
        return Message(
            data[_HEAD:ref_at].decode(),
            data[ref_at:topic_at].decode(),
            data[topic_at:event_at].decode(),
            data[event_at:payload_at].decode(),
            Binary(data[payload_at:]),
        )
    except UnicodeDecodeError as error:
        # Not 1007: RFC 6455 keeps that for text frames that are not UTF-8.
        raise _malformed(f"a binary frame with a field that is not UTF-8: {error}", data) from error


def _malformed(problem: str, data: bytes) -> MalformedFrameError:
    return MalformedFrameError(problem, legal=_LEGAL_BINARY, data=data)
