"""Phoenix's V1 wire format: JSON objects `{topic, event, payload, ref}` in text frames.

Source: Phoenix `Socket.V1.JSONSerializer`; protocol reference 1.4. A client may send a `join_ref`;
none is ever written. There is no binary form, and the WebSocket opcode is ignored.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from channels.exceptions import InvalidPayloadError, MalformedFrameError
from channels.messages import REPLY, Binary, Broadcast, Encoded, Message, Opcode, Ref, Reply

__all__ = ("V1",)

_TEXT: Final = Opcode.TEXT
_LEGAL: Final = (
    "a JSON object with topic and event (strings), payload (any value), ref (string or null) "
    "and, if wanted, join_ref"
)


class _Incoming(msgspec.Struct, frozen=True, gc=False):
    topic: str
    event: str
    payload: Any
    ref: Ref
    join_ref: Ref = None


class _Outgoing(msgspec.Struct, frozen=True, gc=False):
    topic: str
    event: str
    payload: Any
    ref: Ref


class V1:
    """The serializer of `vsn` 1.0.x. Stateless: one instance serves every connection."""

    __slots__ = ("_decode", "_encode")
    name = "V1"

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Incoming).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, data: bytes | bytearray | memoryview, opcode: Opcode) -> Message:
        """Read one frame from a client; raises `MalformedFrameError`."""
        try:
            got = self._decode(data)
        except (ValueError, RecursionError) as error:
            raise MalformedFrameError(
                f"malformed V1 frame: {error}",
                legal=_LEGAL,
                data=data,
                invalid_utf8=isinstance(error, UnicodeDecodeError),
            ) from error
        return Message(got.join_ref, got.ref, got.topic, got.event, got.payload)

    def encode_message(self, message: Message) -> Encoded:
        """Write a push; its `join_ref` is left out. Raises `InvalidPayloadError`."""
        return self._write(message.topic, message.event, message.payload, message.ref)

    def encode_reply(
        self, join_ref: Ref, ref: Ref, topic: str, status: str, response: Any
    ) -> Encoded:
        """Write the reply to the push `ref`; `join_ref` is left out. Raises
        `InvalidPayloadError`.
        """
        del join_ref
        payload = response if isinstance(response, Binary) else Reply(status, response)
        return self._write(topic, REPLY, payload, ref)

    def encode_broadcast(self, broadcast: Broadcast) -> Encoded:
        """Write a broadcast. Its payload may be any JSON value here. Raises
        `InvalidPayloadError`.
        """
        return self._write(broadcast.topic, broadcast.event, broadcast.payload, None)

    def _write(self, topic: str, event: str, payload: object, ref: Ref) -> Encoded:
        if isinstance(payload, Binary):
            raise InvalidPayloadError(
                topic,
                event,
                "is Binary, which V1 cannot carry; expected a JSON value, or vsn=2.0.0",
            )
        try:
            return _TEXT, self._encode(_Outgoing(topic, event, payload, ref))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidPayloadError(
                topic, event, f"cannot be written as JSON: {error}"
            ) from error

    def __repr__(self) -> str:
        return f"<serializer {self.name}>"
