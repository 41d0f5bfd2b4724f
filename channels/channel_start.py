"""What a channel process is started with: `JoinRequest`, and in it the `Transport` that it talks
through. Values and a seam; they start nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol

import attrs

from actors import Pid
from channels.excerpts import excerpt
from channels.log_filter import DEFAULT_FILTER, ParameterFilter
from channels.messages import Ref
from channels.pubsub import PubSub
from channels.serializers import Serializer

__all__ = ("JoinRequest", "Transport")


class Transport(Protocol):
    """What a channel needs of its connection. Every verb is synchronous, and none but `joined` and
    `refused` raises: what the serializer does when it cannot write the response. The join is then
    not answered.
    """

    @property
    def pid(self) -> Pid:
        """The connection's process."""

    @property
    def serializer(self) -> Serializer:
        """What its client speaks."""

    @property
    def pubsub(self) -> PubSub:
        """Where its channels subscribe and broadcast."""

    def push(self, data: bytes, key: Hashable | None = None) -> None:
        """Send a WebSocket frame; a newer one with the same key may take the place of a waiting
        one (`CoalesceByKey`).
        """

    @property
    def push_all(self) -> Callable[[Sequence[bytes], bytes], None] | None:
        """`push` for several frames in one write, given as they are and in one piece; None where
        there is no such thing.
        """

    @property
    def channel_pids(self) -> Iterable[Pid]:
        """The processes of all channels of the connection."""

    def started(self, key: int, channel: Pid) -> None:
        """The channel's process is there."""

    def awaits(self, key: int) -> bool:
        """Is the join still to be answered? Not if the client has gone or joined again."""

    def joined(self, key: int, response: Any) -> None:
        """The join was accepted."""

    def refused(self, key: int, response: Any) -> None:
        """The join was refused."""

    def closing(self, key: int) -> None:
        """The channel stops in order, and may still push from `terminate`."""


@attrs.frozen
class JoinRequest:
    """What a channel process is started with."""

    transport: Transport
    key: int
    topic: str = attrs.field(repr=lambda topic: repr(excerpt(topic)))
    join_ref: Ref = attrs.field(repr=False)
    payload: Any = attrs.field(repr=False)  # it may carry a password, and supervisors log it
    assigns: dict[str, Any] = attrs.field(repr=False)
    log_filter: ParameterFilter = DEFAULT_FILTER
