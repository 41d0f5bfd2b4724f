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

from collections.abc import Callable, Iterable, Sequence
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


class FastlaneDispatcher:
    """See the module; without state, so one is enough: `dispatch`."""

    __slots__ = ()

    def __call__(
        self, subscriptions: Iterable[Subscription], sender: Pid | None, broadcast: Broadcast
    ) -> None:
        """Deliver `broadcast` to all but `sender`.

        Clients whose serializer cannot write it miss it, which is logged: neither the others nor
        the broadcaster suffer for who is there. Raises `InvalidPayloadError` or `FieldTooLongError`
        where no serializer that is asked can write it, unless the payload is `Binary`, which is
        legal and yet not for everybody.
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

    def together(
        self,
        subscriptions: Sequence[Subscription],
        broadcasts: Sequence[tuple[Pid | None, Broadcast]],
    ) -> None:
        """As one call for each of the pairs (sender, broadcast), in this order."""
        batches = _Batches([broadcast for _, broadcast in broadcasts])
        senders = {sender for sender, _ in broadcasts}
        single: list[Subscription] = []
        for subscription in subscriptions:
            lane = subscription.metadata
            if (
                type(lane) is Fastlane
                and lane.push_all is not None
                and not lane.intercepts
                and subscription.pid not in senders
                and (batch := batches.of(lane.serializer)) is not None
            ):
                lane.push_all(*batch)
            else:
                single.append(subscription)
        if single:
            _dispatch_each(single, broadcasts)


def _dispatch_each(
    subscriptions: Sequence[Subscription], broadcasts: Sequence[tuple[Pid | None, Broadcast]]
) -> None:
    """One by one; one that fails costs the others nothing, and is raised when all have gone."""
    failure: Exception | None = None
    for sender, broadcast in broadcasts:
        try:
            dispatch(subscriptions, sender, broadcast)
        except Exception as error:  # raised below
            failure = failure or error
    if failure is not None:
        raise failure


dispatch: Final = FastlaneDispatcher()
"""The dispatcher of channels."""


_Batch: TypeAlias = tuple[Sequence[bytes], bytes]
"""Some frames, and their bytes in one piece."""


class _Batches:
    """Some broadcasts, encoded once for each serializer that can write all of them."""

    def __init__(self, broadcasts: Sequence[Broadcast]) -> None:
        self._broadcasts = broadcasts
        self._batches: dict[Serializer, _Batch | None] = {}

    def of(self, serializer: Serializer) -> _Batch | None:
        """None: these do not go together."""
        if serializer not in self._batches:
            self._batches[serializer] = self._encode(serializer)
        return self._batches[serializer]

    def _encode(self, serializer: Serializer) -> _Batch | None:
        if any(broadcast.key is not None for broadcast in self._broadcasts):
            return None  # a frame that may take the place of another one goes by itself
        try:
            frames = [frame(*serializer.encode_broadcast(each)) for each in self._broadcasts]
        except Exception:  # a serializer of the application may raise what it likes
            return None  # and does so again when they go one by one
        if sum(map(len, frames)) > _MOST_TOGETHER:
            return None
        return frames, b"".join(frames)


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
