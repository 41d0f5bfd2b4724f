"""Serializers: bytes of one WebSocket frame ↔ values of `messages.py`, and how a client picks one
(`vsn`).

A serializer is stateless; all connections share one instance, and the fastlane encodes a broadcast
once for each instance. Which ones a server speaks is an ordered list of pairs (serializer,
requirement): the first requirement that the client's `vsn` meets wins, so a MessagePack serializer
of an application is one more pair. Source: Phoenix `Socket.Serializer` and `Socket.Transport`;
protocol reference 1.2 to 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from channels.messages import Broadcast, Encoded, Message, Opcode, Ref
from channels.serializers.v1 import V1
from channels.serializers.v2 import V2
from channels.serializers.versions import Requirement, Version

__all__ = (
    "DEFAULT_SERIALIZERS",
    "V1",
    "V2",
    "Requirement",
    "Serializer",
    "Serializers",
    "Version",
    "negotiate",
)

_OLDEST: Final = "1.0.0"  # clients that do not send a vsn are from before there was one


class Serializer(Protocol):
    """Reads what a client sends and writes what it gets. Its methods must not keep state."""

    @property
    def name(self) -> str:
        """A short word for logs and the dashboard."""
        ...

    def decode(self, data: bytes | bytearray | memoryview, opcode: Opcode) -> Message:
        """Read one frame; `opcode` is TEXT or BINARY. Raises `MalformedFrameError`."""
        ...

    def encode_message(self, message: Message) -> Encoded:
        """Write a push. Raises `InvalidPayloadError`, and `FieldTooLongError` where fields are
        limited.
        """
        ...

    def encode_reply(
        self, join_ref: Ref, ref: Ref, topic: str, status: str, response: Any
    ) -> Encoded:
        """Write the reply to the push `ref`. Raises as `encode_message` does."""
        ...

    def encode_broadcast(self, broadcast: Broadcast) -> Encoded:
        """Write a broadcast: runs in the broadcasting process, once for all clients. Raises as
        `encode_message` does.
        """
        ...


Serializers: TypeAlias = Sequence[tuple[Serializer, Requirement]]

DEFAULT_SERIALIZERS: Final[Serializers] = (
    (V1(), Requirement("~> 1.0.0")),
    (V2(), Requirement("~> 2.0.0")),
)


def negotiate(vsn: str | None, serializers: Serializers = DEFAULT_SERIALIZERS) -> Serializer | None:
    """Return the serializer for the connect parameter `vsn`, or `None`: refuse with 403.

    An absent `vsn` is 1.0.0. Anything that is not a full semantic version (`2`, `two`, a list) fits
    nothing.
    """
    version = Version.parse(_OLDEST if vsn is None else vsn)
    if version is None:
        return None
    return next((serializer for serializer, wanted in serializers if wanted.accepts(version)), None)
