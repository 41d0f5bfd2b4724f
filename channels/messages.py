"""The values that travel: Phoenix's `Socket.Message`, `Socket.Reply` and `Socket.Broadcast`, and
what frames are made of.

They are made once or more per message of every connection, so they are `msgspec.Struct`s: built in
30 ns and, without `gc`, invisible to the cycle collector (payloads come from JSON or go to it, and
JSON has no cycles).
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from channels.excerpts import excerpt
from channels.redaction import redact

__all__ = (
    "ACK",
    "AUTH_TOKEN",
    "CLOSE",
    "ERROR",
    "HEARTBEAT",
    "HEARTBEAT_TOPIC",
    "JOIN",
    "LEAVE",
    "REPLY",
    "Binary",
    "Broadcast",
    "Encoded",
    "Message",
    "Opcode",
    "Ref",
    "Reply",
)

JOIN: Final = "phx_join"
LEAVE: Final = "phx_leave"
REPLY: Final = "phx_reply"
CLOSE: Final = "phx_close"  # the channel ended in order; the client does not come back
ERROR: Final = "phx_error"  # the channel crashed; the client rejoins with back-off
HEARTBEAT_TOPIC: Final = "phoenix"
HEARTBEAT: Final = "heartbeat"
# Beyond Phoenix; its clients neither send nor miss them (docs/protocol-extensions.md).
ACK: Final = "phx_ack"  # the client has taken a push that asked for it
# On topic "phoenix": new credentials for a connection that stands.
AUTH_TOKEN: Final = "auth_token"  # noqa: S105  # the name of an event

Ref: TypeAlias = str | int | None
"""`ref` and `join_ref`: opaque to the server. Phoenix's own client sends decimal strings; null
means "no reply"."""


class Opcode(IntEnum):
    """RFC 6455, section 5.2: what a WebSocket frame is."""

    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


Encoded: TypeAlias = tuple[Opcode, bytes]
"""What a serializer writes: the opcode and the payload of one WebSocket frame. `frame(*encoded)`
frames it."""


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message of the protocol, in either direction: `[join_ref, ref, topic, event, payload]`.

    `join_ref` says which join of the topic it belongs to, `ref` which push a reply answers.
    `payload` is any JSON value or `Binary` on the way in; on the way out it must be written as a
    JSON object, or be `Binary`. Its `repr` hides passwords and tokens, as Phoenix's does.
    """

    join_ref: Ref
    ref: Ref
    topic: str
    event: str
    payload: Any

    def __repr__(self) -> str:
        refs = f"join_ref={excerpt(self.join_ref)!r}, ref={excerpt(self.ref)!r}"
        return f"Message({refs}, {_shown(self)})"


class Broadcast(msgspec.Struct, frozen=True, gc=False):
    """What is broadcast on a topic: subscribed processes receive it, clients get it as a message
    without refs.

    `key` says what it is news of; a slow client under `CoalesceByKey` gets only the newest of the
    same topic, event and key. It does not leave the node's processes. Its `repr` hides passwords
    and tokens.
    """

    topic: str
    event: str
    payload: Any
    key: Hashable | None = None

    def __repr__(self) -> str:
        key = "" if self.key is None else f", key={self.key!r}"
        return f"Broadcast({_shown(self)}{key})"


def _shown(message: Message | Broadcast) -> str:
    payload = message.payload
    if not isinstance(payload, Binary):
        payload = redact(payload)
    topic, event = excerpt(message.topic), excerpt(message.event)
    return f"topic={topic!r}, event={event!r}, payload={payload!r}"


class Reply(msgspec.Struct, frozen=True, gc=False):
    """The answer to a client's push: `status` is any string ("ok" and "error" by convention),
    `response` any JSON value or `Binary`.

    >>> Reply.ok({"id": 9})
    Reply(status='ok', response={'id': 9})
    >>> Reply.error({"reason": "unmatched event"})
    Reply(status='error', response={'reason': 'unmatched event'})
    """

    status: str
    response: Any

    @classmethod
    def ok(cls, payload: Any = msgspec.UNSET) -> Reply:
        """The push was good; `payload` is `{}` unless given."""
        return cls("ok", {} if payload is msgspec.UNSET else payload)

    @classmethod
    def error(cls, payload: Any = msgspec.UNSET) -> Reply:
        """The push was refused; `payload` is `{}` unless given."""
        return cls("error", {} if payload is msgspec.UNSET else payload)


if TYPE_CHECKING:
    BinaryFrame: TypeAlias = bytes
else:

    class BinaryFrame:
        """What `Binary.data` is for msgspec: nothing that it could make of JSON."""


class Binary(msgspec.Struct, frozen=True, gc=False):
    """A payload of raw bytes (Phoenix: `{:binary, data}`). Sent only by V2, in a binary frame; no
    JSON is one, so that whoever gets it knows how it came.
    """

    data: BinaryFrame
