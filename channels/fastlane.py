"""The fastlane: a broadcast goes straight to the connections, past the channel processes.

A joined channel subscribes with a `Fastlane` as metadata. Its dispatcher encodes once for each
serializer, frames once, and hands the same bytes to every outbox; a channel process is woken only
for events that it intercepts. Whoever subscribed with other metadata, or none, gets the
`Broadcast` as a message. Broadcasts that wait together for one large room leave together: their
frames in one write for each client.

A decision, not a process: it runs wherever the broadcast is dispatched. Source:
`Phoenix.Channel.Server.dispatch/3`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, TypeAlias

import structlog

from actors import MailboxFullError, Pid
from actors.reports import emit
from channels.exceptions import ChannelsError
from channels.messages import Binary, Broadcast
from channels.pubsub.adapter import Subscription
from channels.serializers import Serializer
from channels.transports.frames import frame

__all__ = ("NOTHING", "Fastlane", "FastlaneDispatcher", "dispatch")

_log = structlog.get_logger("channels")

_MOST_TOGETHER: Final = 64 * 1024
"""Bytes of frames that leave in one write."""

NOTHING: Final[frozenset[str]] = frozenset()
"""What most channels intercept; one for all, because each empty set takes 216 bytes."""


class Fastlane:
    """The way past a channel process: its connection's `push`, what it speaks and intercepts.

    One for each joined channel, read for each delivery: slots, no attrs.
    """

    __slots__ = ("intercepts", "push", "push_all", "serializer")

    def __init__(
        self,
        push: Callable[..., None],
        serializer: Serializer,
        intercepts: frozenset[str],
        push_all: Callable[[Sequence[bytes], bytes], None] | None = None,
    ) -> None:
        self.push = push
        self.serializer = serializer
        self.intercepts = intercepts
        self.push_all = push_all


class Parcel:
    """A broadcast, and its frame for each serializer that was asked. Encoded once for each, when it
    is broadcast: what the broadcaster changes later does not show.
    """

    __slots__ = ("broadcast", "event", "failures", "frames", "key")

    def __init__(self, broadcast: Broadcast) -> None:
        self.broadcast = broadcast
        self.event = broadcast.event
        self.key: Hashable | None = None
        if broadcast.key is not None:
            self.key = (broadcast.topic, broadcast.event, broadcast.key)
        self.frames: dict[Serializer, bytes] = {}
        self.failures: dict[Serializer, ChannelsError] = {}

    def __repr__(self) -> str:
        return repr(self.broadcast)

    def frame(self, serializer: Serializer) -> bytes | None:
        """None: it cannot be written."""
        if serializer not in self.frames and serializer not in self.failures:
            try:
                self.frames[serializer] = frame(*serializer.encode_broadcast(self.broadcast))
            except ChannelsError as error:
                self.failures[serializer] = error
        return self.frames.get(serializer)

    def tell_failures(self) -> None:
        """Clients whose serializer cannot write it miss it, which is logged. Raises where none can,
        unless the payload is `Binary`, which is legal and yet not for everybody.
        """
        is_binary = isinstance(self.broadcast.payload, Binary)
        if self.failures and not self.frames and not is_binary:
            raise next(iter(self.failures.values()))
        for serializer, error in self.failures.items():
            emit(
                _log,
                "debug" if is_binary else "error",
                "broadcast not written",
                serializer=serializer.name,
                problem=str(error)[:200],
            )


class FastlaneDispatcher:
    """See the module; without state, so one is enough: `dispatch`."""

    __slots__ = ()

    def prepare(self, subscriptions: Iterable[Subscription], broadcast: Broadcast) -> Parcel:
        """Encode `broadcast` for all to whom it goes as it is. Raises as a call does."""
        parcel, event = Parcel(broadcast), broadcast.event
        lanes = (entry.metadata for entry in subscriptions if type(entry.metadata) is Fastlane)
        for serializer in {lane.serializer for lane in lanes if event not in lane.intercepts}:
            parcel.frame(serializer)
        parcel.tell_failures()
        return parcel

    def siblings(self, server: object) -> Iterable[Pid]:
        """Of a channel, joined or about to be: the channels of its connection."""
        # By name: channels are a room above this one, and `server` may be anybody's.
        connection = getattr(server, "_transport", None)
        return getattr(connection, "channel_pids", ())

    def __call__(
        self,
        subscriptions: Iterable[Subscription],
        sender: Pid | None,
        broadcast: Broadcast | Parcel,
    ) -> None:
        """Deliver `broadcast` to all but `sender`.

        Clients whose serializer cannot write it miss it: neither the others nor the broadcaster
        suffer for who is there. Raises `InvalidPayloadError` or `FieldTooLongError` where no
        serializer that is asked can write it.
        """
        if isinstance(broadcast, Parcel):
            _deliver(subscriptions, sender, broadcast)
        else:
            parcel = Parcel(broadcast)
            _deliver(subscriptions, sender, parcel)
            if sender is not None and not (parcel.frames or parcel.failures):
                # The sender may be alone: it hears all the same of what nobody could be sent.
                self.prepare(subscriptions, broadcast)
            parcel.tell_failures()

    def together(
        self, subscriptions: Iterable[Subscription], parcels: Sequence[tuple[Pid | None, Parcel]]
    ) -> None:
        """As one call for each of the pairs (sender, parcel), in this order."""
        batches: dict[Serializer, _Batch | None] = {}
        senders = {sender for sender, _ in parcels}
        apart: list[Subscription] = []
        for subscription in subscriptions:
            lane = subscription.metadata
            if (
                type(lane) is not Fastlane
                or lane.push_all is None
                or lane.intercepts
                or subscription.pid in senders
            ):
                apart.append(subscription)
                continue
            serializer = lane.serializer
            if serializer not in batches:
                batches[serializer] = _batch([parcel for _, parcel in parcels], serializer)
            batch = batches[serializer]
            if batch is None:
                apart.append(subscription)
            else:
                lane.push_all(*batch)
        for sender, parcel in parcels:
            _deliver(apart, sender, parcel)


dispatch: Final = FastlaneDispatcher()
"""The dispatcher of channels."""


def _deliver(subscriptions: Iterable[Subscription], sender: Pid | None, parcel: Parcel) -> None:
    event, key, frames = parcel.event, parcel.key, parcel.frames
    for subscription in subscriptions:
        pid = subscription.pid
        if pid is sender:
            continue
        lane = subscription.metadata
        if type(lane) is not Fastlane or event in lane.intercepts:
            try:
                pid.send(parcel.broadcast)
            except MailboxFullError:
                continue  # telemetry has told; the others must not miss it
            continue
        data = frames.get(lane.serializer) or parcel.frame(lane.serializer)
        if data is None:
            continue
        if key is None:
            lane.push(data)
        else:
            lane.push(data, key)


_Batch: TypeAlias = tuple[Sequence[bytes], bytes]
"""Some frames, and their bytes in one piece."""


def _batch(parcels: Sequence[Parcel], serializer: Serializer) -> _Batch | None:
    """None where these do not go together: one that cannot be written, one that may take the place
    of another one, too many bytes.
    """
    frames: list[bytes] = []
    for parcel in parcels:
        data = parcel.frame(serializer)
        if data is None or parcel.key is not None:
            return None
        frames.append(data)
    return (frames, b"".join(frames)) if sum(map(len, frames)) <= _MOST_TOGETHER else None
