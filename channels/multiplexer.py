"""One connection's protocol as a pure table: topic and input → effects. It starts nothing,
it never waits.

Phoenix keeps this table in `Phoenix.Socket` (`channels`, `channels_inverse`). The connection
process owns its multiplexer, tells it what happened, and carries out what it returns, in the
tuple's order.

What the shell must do
1. `Join`: start a channel process; call `started(key, channel)` when it is there, and `joined` or
   `refused` when its `join` has answered, before any other frame of that channel is written. For
   each `Join`, call `exited` once, last: when the process is dead or could not be started.
2. `StopChannel`: tell the process to exit with `Shutdown(reason)`; kill it if it lives 5 s later.
3. `Forward`, `Leave`: give the message to the channel, which answers a leave `ok {}` and stops.
4. `SendReply`, `Send`: encode and write. `Refresh`: ask the user's page, then reply to the message.
   `Notice`: log it.
5. Call `closed` when the connection ends.

Rules, with their numbers in the protocol reference
- 1.6 A heartbeat is answered at once, whatever its join_ref and payload. Nobody can join `phoenix`.
  Beyond Phoenix, `auth_token` on that topic is given to the user's page.
- 1.7 A join does not hold up the connection (in Phoenix it does): its topic is JOINING, the others
  go on. What comes for that topic is held, at most `max_held` messages a topic and `max_held_bytes`
  for all, and goes to the channel in order, after the join's reply; what is more is answered `join
  pending`. After a refusal or a crash
  it is answered as on a topic that is not joined. The channel's own join_ref is the message's ref
  when the join had none; the table keeps what was sent.
- 1.8 A message of another join (stale join_ref) is dropped. Null is never stale, on either side.
- 1.9 After a leave the topic is LEAVING: events are answered `unmatched topic`, a second leave
  `ok {}`. However its channel ends, the client has left: `phx_close`.
- 1.10 A join of a topic that has an entry supersedes it: the old channel is stopped, the new one
  starts only when it is dead. The client sees the new join's reply, then `phx_close` with the old
  join_ref. A join not yet answered (the client lost patience) gets neither reply nor close; what
  was held for it is answered as after a refusal. The handler stays: routes do not change.
- 1.11 An end that the channel has announced is `phx_close`, any other is a crash, `phx_error`;
  either during a join is `join crashed`.
- 1.12 An event on a topic that is not joined is answered `unmatched topic` with a null join_ref.

| topic is | input | effects | topic becomes |
|---|---|---|---|
| - | phx_join | Join | JOINING |
| - | phx_join, no route | SendReply error "unmatched topic", Notice | - |
| - | phx_join, table full | SendReply error "too many channels joined", Notice | - |
| - | phx_leave | SendReply ok {} | - |
| - | event | SendReply error "unmatched topic" | - |
| any | stale join_ref | none | as it was |
| WAITING | old channel exited | Join | JOINING |
| WAITING | phx_join | SendReply to each held, Notice | WAITING, for the newest join |
| WAITING, JOINING | event, phx_leave | held, or SendReply error "join pending" | as it was |
| JOINING | phx_join | StopChannel, SendReply to each held, Notice | WAITING |
| JOINING | joined | SendReply ok, owed phx_close, Forward or Leave each held | JOINED, LEAVING |
| JOINING | refused | SendReply error, owed phx_close, SendReply to each held | - |
| JOINING | exited | as refused, with "join crashed" | - |
| JOINED | event | Forward | JOINED |
| JOINED | phx_leave | Leave | LEAVING |
| JOINED | phx_join | StopChannel, Notice | WAITING |
| JOINED | exited | Send phx_close or phx_error | - |
| LEAVING | event | SendReply error "unmatched topic" | LEAVING |
| LEAVING | phx_leave | SendReply ok {} | LEAVING |
| LEAVING | phx_join | StopChannel | WAITING |
| LEAVING | exited | Send phx_close | - |

Whatever concerns a key that is gone is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

import attrs

from channels.effects import (
    Effect,
    Forward,
    Join,
    Leave,
    Notice,
    Refresh,
    Send,
    SendReply,
    StopChannel,
    StopReason,
)
from channels.excerpts import excerpts
from channels.messages import (
    AUTH_TOKEN,
    CLOSE,
    ERROR,
    HEARTBEAT,
    HEARTBEAT_TOPIC,
    JOIN,
    LEAVE,
    Message,
    Ref,
)
from channels.topic_entry import TopicEntry, TopicState

__all__ = (
    "Effect",
    "Forward",
    "Join",
    "Leave",
    "Multiplexer",
    "Notice",
    "Refresh",
    "Send",
    "SendReply",
    "Statistics",
    "StopChannel",
    "StopReason",
    "TopicInfo",
    "TopicState",
)

H = TypeVar("H")  # handler: what a topic is routed to, a channel class
C = TypeVar("C")  # channel: the address of a running channel, a pid

_JOINED: Final = TopicState.JOINED  # a local name: an enum's lookup is slow before Python 3.12


@attrs.frozen
class TopicInfo:
    """One topic of a connection, for the dashboard."""

    topic: str
    state: TopicState
    join_ref: Ref
    channel: object | None
    held: int


@attrs.frozen
class Statistics:
    """What one connection's table holds and has refused."""

    topics: int
    held: int  # messages that wait for a join
    held_bytes: int
    heartbeats: int
    stale: int  # messages dropped because of their join_ref
    unmatched: int  # messages and joins answered "unmatched topic"
    refused: int  # joins for `max_channels`, messages for `max_held` or `max_held_bytes`


class Multiplexer(Generic[H, C]):
    """The topic table of one connection; the module says what it does.

    `routes` gives the handler of a topic, or `None` (`TopicRouter.route`). `max_channels` is how
    many topics may be joined, joining or leaving at once; 0 or `None` is no limit. `max_held` is
    how many messages wait for one pending join; 0 holds none. `max_held_bytes` is how many bytes
    may wait for all of them; 0 is no limit. `exceeded` is called with "topics" or "held" for each
    message that is refused because of such a limit. Raises `ValueError` for a negative number.
    """

    __slots__ = (
        "_by_key",
        "_ended",
        "_exceeded",
        "_heartbeats",
        "_held_bytes",
        "_last_key",
        "_max_channels",
        "_max_held",
        "_max_held_bytes",
        "_refused",
        "_routes",
        "_stale",
        "_topics",
        "_unmatched",
    )

    def __init__(
        self,
        routes: Callable[[str], H | None],
        *,
        max_channels: int | None = 100,
        max_held: int = 32,
        max_held_bytes: int = 0,
        exceeded: Callable[[str], object] | None = None,
    ) -> None:
        if (max_channels or 0) < 0 or max_held < 0 or max_held_bytes < 0:
            raise ValueError(
                f"max_channels={max_channels}, max_held={max_held}, "
                f"max_held_bytes={max_held_bytes}; expected 0 or more "
                "(max_channels: 0 or None for no limit)"
            )
        self._routes = routes
        self._max_channels = max_channels or None
        self._max_held = max_held
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._exceeded = exceeded
        self._topics: dict[str, TopicEntry[H, C]] = {}  # topic -> its newest join
        self._by_key: dict[int, TopicEntry[H, C]] = {}  # every join whose channel may live
        self._last_key = 0
        self._ended: StopReason | None = None
        self._heartbeats = self._stale = self._unmatched = self._refused = 0

    def receive(self, message: Message, size: int = 0) -> tuple[Effect[H, C], ...]:
        """Take one message of the client; `size` is the bytes of its frame."""
        entry = self._topics.get(message.topic)
        if (
            entry is not None
            and message.join_ref == entry.join_ref
            and entry.state is _JOINED
            and (event := message.event) != LEAVE
            and event != JOIN
        ):
            # `joined` saw to it that there is a channel; checking it again would cost time here.
            return (Forward(entry.channel, message),)  # type: ignore[arg-type]  # see above
        return self._receive_rest(entry, message, size)

    def _receive_rest(
        self, entry: TopicEntry[H, C] | None, message: Message, size: int
    ) -> tuple[Effect[H, C], ...]:
        if self._ended:
            return ()
        if message.event == JOIN:
            return self._join(entry, message)
        if entry is None:
            return (self._answer_unjoined(message),)
        if not entry.accepts(message.join_ref):
            self._stale += 1
            return ()
        if entry.state is TopicState.JOINED:
            return (self._pass_on(entry, message),)
        if entry.state is TopicState.LEAVING or entry.leaving:
            return (self._turn_away(message),)
        return self._hold(entry, message, size)

    def started(self, key: int, channel: C) -> tuple[Effect[H, C], ...]:
        """The process of join `key` is there; `channel` is what later effects call it."""
        entry = self._by_key.get(key)
        if entry is None:
            return (StopChannel(channel, self._ended),) if self._ended else ()
        entry.channel = channel
        if entry.state is TopicState.SUPERSEDED:
            return (StopChannel(channel, "duplicate_join"),)
        return ()

    def answer(self, key: int, status: str, response: Any) -> SendReply | None:
        """What `joined` ("ok") or `refused` ("error") would answer first, or None: nothing.

        Changes nothing: for finding out whether it can be written, before it is too late to say
        something else.
        """
        entry = self._by_key.get(key)
        if entry is None or entry.state is not TopicState.JOINING:
            return None
        return entry.reply(status, response)

    def awaits(self, key: int) -> bool:
        """Whether the join `key` is still to be answered: its client is there, and has neither
        joined again nor been answered.
        """
        entry = self._by_key.get(key)
        return entry is not None and entry.state is TopicState.JOINING

    def joined(self, key: int, response: Any) -> tuple[Effect[H, C], ...]:
        """The channel's `join` has accepted."""
        entry = self._by_key.get(key)
        if entry is None or entry.state is not TopicState.JOINING:
            return ()
        if entry.channel is None:
            raise RuntimeError(f"joined({key}) on {entry.topic!r} without started({key}, channel)")
        entry.state = TopicState.JOINED
        held = self._release(entry)
        answer = self._answer_join(entry, "ok", response)
        return (*answer, *[self._pass_on(entry, message) for message in held])

    def refused(self, key: int, response: Any) -> tuple[Effect[H, C], ...]:
        """The channel's `join` has refused; its process ends by itself."""
        entry = self._by_key.get(key)
        if entry is None or entry.state is not TopicState.JOINING:
            return ()
        del self._by_key[key]
        return self._fail(entry, response)

    def closing(self, key: int) -> tuple[Effect[H, C], ...]:
        """The channel of join `key` announces its end, and still lives. The client hears of it now,
        unless it has joined again: then the new channel waits for its death (1.10).
        """
        entry = self._by_key.get(key)
        if entry is None or entry.state is TopicState.SUPERSEDED:
            return ()
        return self.exited(key, crashed=False)

    def exited(self, key: int, *, crashed: bool) -> tuple[Effect[H, C], ...]:
        """The process of join `key` is dead or could not be started; `crashed` unless it has
        announced its end.
        """
        entry = self._by_key.pop(key, None)
        if entry is None:
            return ()
        if entry.state is TopicState.SUPERSEDED:
            return (self._begin(self._topics[entry.topic]),)
        if entry.state is TopicState.JOINING:
            return self._fail(entry, {"reason": "join crashed"})
        del self._topics[entry.topic]
        if crashed and entry.state is TopicState.JOINED:
            return (entry.push(ERROR, {"reason": "channel_crash"}),)
        return (entry.push(CLOSE, {}),)

    def closed(self, reason: StopReason = "closed") -> tuple[StopChannel[C], ...]:
        """The connection ends: every channel is stopped, and one that starts later too. Nothing is
        sent any more.
        """
        if self._ended is None:
            self._ended = reason
        doomed = [
            entry.channel
            for entry in self._by_key.values()
            if entry.channel is not None and entry.state is not TopicState.SUPERSEDED
        ]
        self._by_key.clear()
        self._topics.clear()
        self._held_bytes = 0
        return tuple(StopChannel(channel, self._ended) for channel in doomed)

    def topics(self) -> tuple[TopicInfo, ...]:
        """Every topic of this connection, oldest join first."""
        return tuple(
            TopicInfo(
                entry.topic, entry.state, entry.join_ref, entry.channel, len(entry.held or ())
            )
            for entry in self._topics.values()
        )

    def topic_names(self) -> Iterator[str]:
        """The names of `topics`, for who needs no more."""
        return (entry.topic for entry in self._topics.values())

    def statistics(self) -> Statistics:
        """Numbers for the dashboard and the log of the connection's end."""
        return Statistics(
            topics=len(self._topics),
            held=sum(len(entry.held or ()) for entry in self._topics.values()),
            held_bytes=self._held_bytes,
            heartbeats=self._heartbeats,
            stale=self._stale,
            unmatched=self._unmatched,
            refused=self._refused,
        )

    # -- joins

    def _join(self, old: TopicEntry[H, C] | None, message: Message) -> tuple[Effect[H, C], ...]:
        if old is not None:
            return self._supersede(old, message)
        topic = message.topic
        handler = None if topic == HEARTBEAT_TOPIC else self._routes(topic)
        if handler is None:
            return self._unmatched_topic(message), Notice("unmatched topic", topic)
        if self._max_channels is not None and len(self._topics) >= self._max_channels:
            refusal = self._refuse(message, "topics", "too many channels joined")
            return refusal, Notice("too many channels joined", topic)
        entry: TopicEntry[H, C] = TopicEntry(message, handler)
        self._topics[topic] = entry
        return (self._begin(entry),)

    def _begin(self, entry: TopicEntry[H, C]) -> Join[H]:
        self._last_key = key = self._last_key + 1
        self._by_key[key] = entry
        entry.state = TopicState.JOINING
        payload, entry.payload = entry.payload, None
        own_join_ref = entry.ref if entry.join_ref is None else entry.join_ref
        return Join(key, entry.handler, entry.topic, own_join_ref, entry.ref, payload)

    def _supersede(self, old: TopicEntry[H, C], message: Message) -> tuple[Effect[H, C], ...]:
        new: TopicEntry[H, C] = TopicEntry(message, old.handler)
        # Deleted first: `topics()` lists the oldest join first.
        del self._topics[message.topic]
        self._topics[message.topic] = new
        answered = old.state in (TopicState.JOINED, TopicState.LEAVING)
        # An unanswered join is never closed, but hands on the close that it owes itself.
        new.owed_close = old.push(CLOSE, {}) if answered else old.owed_close
        effects: list[Effect[H, C]] = []
        if old.channel is not None:  # otherwise still starting: `started` stops it. Or never begun.
            effects.append(StopChannel(old.channel, "duplicate_join"))
        effects += [self._turn_away(held) for held in self._release(old)]
        if old.state is not TopicState.LEAVING and not old.leaving:
            effects.append(Notice("duplicate join", old.topic))
        old.state = TopicState.SUPERSEDED
        return tuple(effects)

    def _answer_join(
        self, entry: TopicEntry[H, C], status: str, response: Any
    ) -> tuple[Effect[H, C], ...]:
        reply = entry.reply(status, response)
        close, entry.owed_close = entry.owed_close, None
        return (reply,) if close is None else (reply, close)

    def _fail(self, entry: TopicEntry[H, C], response: Any) -> tuple[Effect[H, C], ...]:
        del self._topics[entry.topic]
        answer = self._answer_join(entry, "error", response)
        return (*answer, *[self._turn_away(message) for message in self._release(entry)])

    # -- other messages

    def _pass_on(self, entry: TopicEntry[H, C], message: Message) -> Forward[C] | Leave[C]:
        assert entry.channel is not None
        if message.event != LEAVE:
            return Forward(entry.channel, message)
        entry.state = TopicState.LEAVING
        return Leave(entry.channel, message)

    def _hold(self, entry: TopicEntry[H, C], message: Message, size: int) -> tuple[SendReply, ...]:
        if entry.held is None:
            entry.held = []
        if message.event == LEAVE:
            entry.leaving = True  # held beyond the limits too: it is the last one
        elif len(entry.held) >= self._max_held or self._too_large(size):
            return (self._refuse(message, "held", "join pending"),)
        entry.held.append(message)
        entry.held_bytes += size
        self._held_bytes += size
        return ()

    def _too_large(self, size: int) -> bool:
        return 0 < self._max_held_bytes < self._held_bytes + size

    def _release(self, entry: TopicEntry[H, C]) -> list[Message]:
        """What was held for this join; it is held no more."""
        held, entry.held = entry.held or [], None
        self._held_bytes -= entry.held_bytes
        entry.held_bytes = 0
        return held

    def _refuse(self, message: Message, limit: str, reason: str) -> SendReply:
        self._refused += 1
        if self._exceeded is not None:
            self._exceeded(limit)
        return SendReply(message.join_ref, message.ref, message.topic, "error", {"reason": reason})

    def _answer_unjoined(self, message: Message) -> SendReply | Refresh:
        if message.topic == HEARTBEAT_TOPIC and message.event == HEARTBEAT:
            self._heartbeats += 1
            return SendReply(None, message.ref, HEARTBEAT_TOPIC, "ok", {})
        if message.topic == HEARTBEAT_TOPIC and message.event == AUTH_TOKEN:
            return Refresh(message)
        return self._turn_away(message)

    def _turn_away(self, message: Message) -> SendReply:
        """Answer a message for which there is no channel."""
        if message.event == LEAVE:
            return SendReply(message.join_ref, message.ref, message.topic, "ok", {})
        return self._unmatched_topic(message)

    def _unmatched_topic(self, message: Message) -> SendReply:
        self._unmatched += 1
        return SendReply(None, message.ref, message.topic, "error", {"reason": "unmatched topic"})

    def __repr__(self) -> str:
        states = excerpts(f"{entry.topic}={entry.state.value}" for entry in self._topics.values())
        return f"<Multiplexer {' '.join(states) or 'no topics'}>"
