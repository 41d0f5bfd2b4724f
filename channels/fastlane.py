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

from actors import MailboxFullError, Pid
from channels.messages import Broadcast
from channels.pubsub.adapter import Subscription
from channels.serializers import Serializer
from channels.transports.frames import frame

__all__ = ("Fastlane", "dispatch")


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
    """Deliver `broadcast` to all but `sender`. Raises `InvalidPayloadError` before any delivery."""
    frames: dict[Serializer, bytes] = {}
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
            data = frames[serializer] = frame(*serializer.encode_broadcast(broadcast))
        if key is None:
            lane.push(data)
        else:
            lane.push(data, key)
