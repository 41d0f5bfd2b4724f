"""One join of one topic: a row of the multiplexer's table, which alone changes it."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from channels.effects import Send, SendReply
from channels.messages import Message, Ref

__all__ = ("TopicEntry", "TopicState")

H = TypeVar("H")  # handler: a channel class
C = TypeVar("C")  # channel: a pid


class TopicState(Enum):
    """Where the newest join of a topic stands."""

    WAITING = "waiting"  # for the channel that it supersedes to exit
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    SUPERSEDED = "superseded"  # no longer the topic's entry; its channel is being stopped


class TopicEntry(Generic[H, C]):
    """One join of one topic. Slots: there is one for every joined topic of every connection."""

    __slots__ = (
        "channel",
        "handler",
        "held",
        "held_bytes",
        "join_ref",
        "leaving",
        "owed_close",
        "payload",
        "ref",
        "state",
        "topic",
    )

    def __init__(self, message: Message, handler: H) -> None:
        self.topic = message.topic
        self.join_ref = message.join_ref  # as it was sent: what later messages are compared with
        self.ref = message.ref
        self.payload = message.payload  # until the Join effect is made
        self.handler = handler
        self.state = TopicState.WAITING
        self.channel: C | None = None  # from `started` on
        self.held: list[Message] | None = None  # in the order of arrival; a leave is the last
        self.held_bytes = 0
        self.leaving = False  # a leave is held
        self.owed_close: Send | None = None  # for the answered join that this one supersedes

    def accepts(self, join_ref: Ref) -> bool:
        """Whether a message with this join_ref belongs to this join (1.8, and 1.4 for a stored
        null).
        """
        return join_ref == self.join_ref or join_ref is None or self.join_ref is None

    def push(self, event: str, payload: dict[str, str]) -> Send:
        """`phx_close` or `phx_error` of this join."""
        return Send(Message(self.join_ref, self.join_ref, self.topic, event, payload))

    def reply(self, status: str, response: Any) -> SendReply:
        """The answer to this join."""
        return SendReply(self.join_ref, self.ref, self.topic, status, response)
