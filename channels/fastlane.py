"""The fastlane: a broadcast goes straight to the connections, past the channel processes.

A joined channel subscribes with a `Fastlane` as metadata. Its dispatcher encodes once for each
serializer, frames once, and hands the same bytes to every outbox; a channel process is woken only
for events that it intercepts. Whoever subscribed with other metadata, or none, gets the
`Broadcast` as a message.

A decision, not a process: it runs wherever the broadcast is dispatched. Source:
`Phoenix.Channel.Server.dispatch/3`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from actors import MailboxFullError, Pid
from actors.reports import emit
from channels.exceptions import ChannelsError
from channels.messages import Binary, Broadcast
from channels.pubsub.adapter import Subscription
from channels.serializers import Serializer
from channels.transports.frames import frame

__all__ = ("NOTHING", "Fastlane", "dispatch")

_log = structlog.get_logger("channels")

NOTHING: Final[frozenset[str]] = frozenset()
"""What most channels intercept; one for all, because each empty set takes 216 bytes."""


class Fastlane:
    """The way past a channel process: its connection's `push`, what it speaks and intercepts.

    One for each joined channel, read for each delivery: slots, no attrs.
    """

    __slots__ = ("intercepts", "push", "serializer")

    def __init__(
        self,
        push: Callable[..., None],
        serializer: Serializer,
        intercepts: frozenset[str],
    ) -> None:
        self.push = push
        self.serializer = serializer
        self.intercepts = intercepts


def dispatch(
    subscriptions: Iterable[Subscription], sender: Pid | None, broadcast: Broadcast
) -> None:
    """Deliver `broadcast` to all but `sender`.

    Clients whose serializer cannot write it miss it, which is logged: neither the others nor the
    broadcaster suffer for who is there. Raises `InvalidPayloadError` or `FieldTooLongError` where
    no serializer that is asked can write it, unless the payload is `Binary`, which is legal and yet
    not for everybody.
    """
    frames: dict[Serializer, bytes] = {}
    failures: dict[Serializer, ChannelsError] | None = None
    event = broadcast.event
    key = None if broadcast.key is None else (broadcast.topic, event, broadcast.key)
    for subscription in subscriptions:
        pid = subscription.pid
        if pid is sender:
            continue
        lane = subscription.metadata
        if type(lane) is not Fastlane or event in lane.intercepts:
            try:
                pid.send(broadcast)
            except MailboxFullError:
                continue  # telemetry has told; the others must not miss it
            continue
        serializer = lane.serializer
        data = frames.get(serializer)
        if data is None:
            if failures is not None and serializer in failures:
                continue
            try:
                data = frames[serializer] = frame(*serializer.encode_broadcast(broadcast))
            except ChannelsError as error:
                failures = {**(failures or {}), serializer: error}
                continue
        if key is None:
            lane.push(data)
        else:
            lane.push(data, key)
    if failures is not None:
        _tell(broadcast, failures, written=bool(frames))


def _tell(
    broadcast: Broadcast, failures: dict[Serializer, ChannelsError], *, written: bool
) -> None:
    is_binary = isinstance(broadcast.payload, Binary)
    if not written and not is_binary:
        raise next(iter(failures.values()))
    for serializer, error in failures.items():
        emit(
            _log,
            "debug" if is_binary else "error",
            "broadcast not written",
            serializer=serializer.name,
            problem=str(error)[:200],
        )
