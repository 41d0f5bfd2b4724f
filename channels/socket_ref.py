"""`SocketRef`: which push a later `reply` answers (Phoenix: `socket_ref/1`, `reply/2`)."""

from __future__ import annotations

import attrs

from channels.channel_start import Transport
from channels.messages import Ref, Reply
from channels.transports.frames import frame

__all__ = ("SocketRef", "reply")


@attrs.frozen
class SocketRef:
    """Which push a later `reply` answers; see `Channel.socket_ref`."""

    transport: Transport
    topic: str
    join_ref: Ref
    ref: Ref


def reply(socket_ref: SocketRef, answer: Reply) -> None:
    """Answer a push after its handler has returned, from any process (Phoenix: `reply/2`)."""
    transport = socket_ref.transport
    encoded = transport.serializer.encode_reply(
        socket_ref.join_ref, socket_ref.ref, socket_ref.topic, answer.status, answer.response
    )
    transport.push(frame(*encoded))
