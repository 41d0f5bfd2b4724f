"""What a multiplexer wants done: values that the connection process carries out, one after the
other.

`H` is what a topic is routed to (a channel class), `C` the address of a running channel (a pid).
Effects are made once per message, so they are Structs: 30 ns each.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from channels.messages import Message, Ref

__all__ = (
    "Effect",
    "Forward",
    "Join",
    "Leave",
    "Notice",
    "NoticeKind",
    "Refresh",
    "Send",
    "SendReply",
    "StopChannel",
    "StopReason",
)

H = TypeVar("H")
C = TypeVar("C")

StopReason: TypeAlias = Literal["duplicate_join", "closed", "draining"]
NoticeKind: TypeAlias = Literal["unmatched topic", "too many channels joined", "duplicate join"]


class Join(msgspec.Struct, Generic[H], frozen=True, gc=False):
    """Start a channel of class `handler`. `join_ref` is the channel's own: the message's, or else
    its ref.
    """

    key: int
    handler: H
    topic: str
    join_ref: Ref
    ref: Ref
    payload: Any


class Forward(msgspec.Struct, Generic[C], frozen=True, gc=False):
    """Give a push to the channel."""

    channel: C
    message: Message


class Leave(msgspec.Struct, Generic[C], frozen=True, gc=False):
    """Give a `phx_leave` to the channel, which replies `ok {}` to it and stops."""

    channel: C
    message: Message


class StopChannel(msgspec.Struct, Generic[C], frozen=True, gc=False):
    """Make the channel exit with `Shutdown(reason)`."""

    channel: C
    reason: StopReason


class SendReply(msgspec.Struct, frozen=True, gc=False):
    """Write a reply: the arguments of `Serializer.encode_reply`, in their order."""

    join_ref: Ref
    ref: Ref
    topic: str
    status: str
    response: Any


class Send(msgspec.Struct, frozen=True, gc=False):
    """Write a message: `phx_close` or `phx_error`."""

    message: Message


class Refresh(msgspec.Struct, frozen=True, gc=False):
    """Give new credentials to the user's page, and reply what it says."""

    message: Message


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Log what became of a join."""

    what: NoticeKind
    topic: str


Effect: TypeAlias = (
    Join[H] | Forward[C] | Leave[C] | StopChannel[C] | SendReply | Send | Refresh | Notice
)
