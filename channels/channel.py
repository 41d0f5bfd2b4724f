"""`Channel`: the user's page (Phoenix: `Phoenix.Channel`). One process for each joined topic of
each connection.

    client                         channel process
    ------                         ---------------
    phx_join               -----> join(topic, payload)        gives the reply, or raises JoinRefused
    push(event, payload)   -----> handle_in(event, payload)   gives Reply.ok(...), None, Stop(...)
    others' broadcasts     -----> handle_out(event, payload)  only events listed in `intercept`
    send(pid, message)     -----> handle_info(message)        it is a GenServer: calls, casts too
    phx_leave, disconnect  -----> terminate(reason)

A channel that crashes gives its client `phx_error`, and the client joins again; neither its
connection nor the connection's other topics notice. The server never restarts a channel.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, ClassVar, Final, Literal

import msgspec
import structlog

from actors import (
    NO_REPLY,
    NOPROC,
    BadReturnError,
    Down,
    Exit,
    GenServer,
    Hibernate,
    MonitorRef,
    NoReply,
    Pid,
    ProcessExit,
    ReceiveTimeoutError,
    Shutdown,
    Stop,
    is_orderly,
    receive,
)
from actors.reports import emit, shorten
from channels import fastlane
from channels.channel_start import JoinRequest, Transport
from channels.exceptions import (
    InvalidPayloadError,
    JoinRefused,
    NotAcknowledgedError,
    NotJoinedError,
)
from channels.excerpts import excerpt
from channels.log_filter import LogLevel, is_enabled
from channels.messages import ACK, LEAVE, Binary, Broadcast, Message, Ref, Reply
from channels.notices import with_notice
from channels.socket_ref import SocketRef, reply
from channels.transports.frames import frame
from channels.typed_events import EventHandler, check_events, events_of
from supervisors import Restart

__all__ = ("Channel", "JoinRequest", "SocketRef", "Transport", "reply")

_log = structlog.get_logger("channels")

DRAINING = Shutdown("draining")
UNMATCHED_EVENT = {"reason": "unmatched event"}
_MAX_SHOWN: Final = 200  # characters of a message in a log line


class Channel(GenServer):
    """Subclass it, write `join` and `handle_in`, and route a topic to it in a `UserSocket`.

    All callbacks run in the channel's own process. `assigns` begins as a copy of the socket's;
    `topic` and `join_ref` are set before `join`.
    """

    intercept: ClassVar[Iterable[str]] = ()
    """Events that go through `handle_out` instead of straight to the client."""
    log_join: ClassVar[LogLevel | None] = "info"
    """The level at which joins are logged, with their parameters; None: they are not."""
    log_handle_in: ClassVar[LogLevel | None] = "debug"
    """The level at which each push of the client is logged, with its payload; None: none is.
    Whether structlog writes at that level is asked once, at the join.
    """

    hibernate_after: ClassVar[float | None] = 15.0
    """Seconds without a message after which the process gives up its task until the next one, as
    in Phoenix; broadcasts go past it and do not count. None: never. It also does so after its join.
    """

    topic: str
    join_ref: Ref
    assigns: dict[str, Any]

    # -- callbacks -------------------------------------------------------------------------------

    async def join(self, topic: str, payload: Any) -> Any:
        """Let the client in: return what the join's reply carries (None: `{}`).

        Raise `JoinRefused(response)` to refuse. `push` and `broadcast` are possible only after it
        has returned: send yourself a message and go on in `handle_info`. Any other exception, or an
        exit, is answered `{"reason": "join crashed"}`.
        """
        raise self._undefined("join", topic)

    async def handle_in(self, event: str, payload: Any) -> Any:
        """Take a push of the client: return `Reply.ok(...)`, `Reply.error(...)`, None for no reply,
        `NoReply(then=...)`, or `Stop(reason, reply=Reply...)`.

        `payload` is what JSON gave, or `Binary`. Pass events that you do not know to
        `super().handle_in`: it calls the method that serves the event with `@on(event)`, or answers
        `{"reason": "unmatched event"}`.
        """
        handler = self._events().get(event)
        if handler is not None:
            try:
                called = handler.call(self, payload)
            except msgspec.ValidationError as error:
                return Reply.error(handler.describe(payload, error))
            return await called
        self._log_unmatched(event)
        return Reply.error(UNMATCHED_EVENT)

    async def handle_out(self, event: str, payload: Any) -> Any:
        """Take a broadcast of an event in `intercept`; `self.push(event, payload)` passes it on."""
        self.push(event, payload)

    async def handle_info(self, message: Any) -> Any:
        """Take whatever else was sent to the process; by default it is logged, filtered."""
        shown = shorten(self._shown(message))[:_MAX_SHOWN]
        told = {"topic": excerpt(self.topic), "channel": _name(self), "process": repr(self.pid)}
        emit(_log, "warning", "unexpected message", **told, message=shown)

    # -- verbs -----------------------------------------------------------------------------------

    def push(self, event: str, payload: Any, *, key: Hashable | None = None) -> None:
        """Send `event` to this client; `payload` is written as a JSON object, or is `Binary`.

        `key`: see `broadcast`. Raises `NotJoinedError`, `InvalidPayloadError`.
        """
        self._check_joined("push")
        transport = self._transport
        message = Message(self.join_ref, None, self.topic, event, payload)
        encoded = frame(*transport.serializer.encode_message(message))
        if key is None:
            transport.push(encoded)
        else:
            transport.push(encoded, (self.topic, event, key))

    async def push_and_wait(self, event: str, payload: Any, *, timeout: float = 5.0) -> Any:
        """Send `event` and wait until this client says that it has taken it; what it answers.

        Beyond Phoenix: the push carries a `ref`, and the client answers with an event `phx_ack`,
        `{"ref": ref, "response": ...}`, on the topic. A client that does not know of it takes the
        push like any other and never answers. Meanwhile the channel takes no other message.

        Raises `NotAcknowledgedError` after `timeout` seconds or when the client leaves,
        `NotJoinedError`, `InvalidPayloadError`, for `Binary` too.
        """
        self._check_joined("push_and_wait")
        if isinstance(payload, Binary):
            raise InvalidPayloadError(self.topic, event, "is Binary, which cannot carry a ref")
        self._last_ack += 1
        ref = f"ack{self._last_ack}"
        message = Message(self.join_ref, ref, self.topic, event, payload)
        self._transport.push(frame(*self._transport.serializer.encode_message(message)))
        try:
            answer = await receive(partial(self._ends_wait, ref), timeout)
        except ReceiveTimeoutError:
            problem = f"nothing came in {timeout} s"
            raise NotAcknowledgedError(self.topic, event, problem) from None
        if type(answer) is Message and answer.event == ACK:
            return answer.payload.get("response")
        self.pid.send(answer)  # the end is taken as any other, when we have returned
        raise NotAcknowledgedError(self.topic, event, "the client has left")

    def _ends_wait(self, ref: str, message: Any) -> bool:
        if type(message) is Message:
            payload = message.payload
            is_ack = (
                message.event == ACK and isinstance(payload, dict) and payload.get("ref") == ref
            )
            return is_ack or message.event == LEAVE
        if type(message) is Exit:
            return message.pid in (self._transport.pid, self._pubsub)
        return type(message) is Down and message.ref is self._transport_ref

    def broadcast(self, event: str, payload: Any, *, key: Hashable | None = None) -> None:
        """Send `event` to every subscriber of the topic, this client included.

        With a `key`, a slow client of a socket with `overflow = CoalesceByKey()` gets only the
        newest of the topic, event and key: fits state that is sent whole each time.
        """
        self._check_joined("broadcast")
        message = Broadcast(self.topic, event, payload, key)
        self._transport.pubsub.broadcast(self.topic, message, fastlane.dispatch)

    def broadcast_from(self, event: str, payload: Any, *, key: Hashable | None = None) -> None:
        """Send `event` to every subscriber of the topic but this channel.

        `key`: see `broadcast`.
        """
        self._check_joined("broadcast_from")
        message = Broadcast(self.topic, event, payload, key)
        self._transport.pubsub.broadcast_from(self.pid, self.topic, message, fastlane.dispatch)

    def socket_ref(self) -> SocketRef:
        """For answering the push that is being handled later, with `reply(socket_ref, Reply...)`.

        Raises `NotJoinedError` outside `handle_in` and for a push without a ref.
        """
        message = self._message
        if message is None or message.ref is None:
            raise NotJoinedError("socket_ref (only in handle_in of a push with a ref)", self.topic)
        return SocketRef(self._transport, self.topic, self.join_ref, message.ref)

    # -- the process -----------------------------------------------------------------------------

    _message: Message | None = None  # the push that is being handled
    _events_of_class: ClassVar[dict[str, EventHandler[Any]]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Raises `DuplicateEventError`, `InvalidHandlerError` (see `typed_events`), and TypeError
        where `intercept` is one name instead of several.
        """
        super().__init_subclass__(**options)
        if isinstance(cls.intercept, str):
            words = f"expected the names of events, ({cls.intercept!r},) for one"
            raise TypeError(f"{cls.__name__}.intercept = {cls.intercept!r}; {words}")
        if isinstance(cls.intercept, Iterator):
            cls.intercept = tuple(cls.intercept)  # each channel reads it
        check_events(cls)

    @classmethod
    def _events(cls) -> dict[str, EventHandler[Any]]:
        """Worked out at the first push, when every name in an annotation is defined."""
        if "_events_of_class" not in cls.__dict__:
            cls._events_of_class = events_of(cls)
        return cls._events_of_class

    _joined = False
    _logs_pushes: LogLevel | Literal[""] = ""
    _pubsub: Pid | None = None  # with which its subscription ends
    _last_ack = 0
    _unmatched = 0  # events

    @classmethod
    def child_spec(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """A channel is never restarted: its client joins again."""
        return super().child_spec(*args, **{"restart": Restart.TEMPORARY, **options})

    def init(self, request: JoinRequest) -> None:
        """Not for overriding: `join` is the channel's init; nobody waits for it."""
        self._transport = request.transport
        self._key = request.key
        self.topic = request.topic
        self.join_ref = request.join_ref
        self.assigns = request.assigns
        self._log_filter = request.log_filter
        self._transport_ref: MonitorRef = request.transport.pid.monitor()
        request.transport.started(request.key, self.pid)
        self.pid.send(request)

    async def _receive(self, message: Any) -> Any:
        kind = type(message)
        if kind is Message:
            return await self._on_message(message)
        if kind is Broadcast and message.topic == self.topic and message.event in self.intercept:
            return await self.handle_out(message.event, message.payload)
        if kind is JoinRequest and not self._joined:
            return await self._begin(message)
        if kind is Down and message.ref is self._transport_ref:
            return self._end_with_transport(message.reason)
        if kind is Exit and message.pid in (self._transport.pid, self._pubsub):
            raise ProcessExit(message.reason)  # without its subscription a channel is deaf
        return await self.handle_info(message)

    def _end_with_transport(self, reason: Any) -> Stop:
        if not self._joined:
            self._forgo_terminate()
        # Not there any more (NOPROC): the client went while its channel was started.
        closed = reason == NOPROC or (is_orderly(reason) and reason != DRAINING)
        return Stop(Shutdown("closed") if closed else reason)

    async def _begin(self, request: JoinRequest) -> Any:
        try:
            return await self._join(request)
        except BaseException:
            self._forgo_terminate()
            raise

    def _forgo_terminate(self) -> None:
        """A channel that has let nobody in ends without `terminate`, as in Phoenix."""
        vars(self)["terminate"] = _nothing_to_clean_up

    async def _join(self, request: JoinRequest) -> Any:
        transport = self._transport
        try:
            response = await self.join(request.topic, request.payload)
        except JoinRefused as refusal:
            self._forgo_terminate()
            transport.refused(self._key, refusal.response)
            self._log_join("join refused", request)
            return Stop(Shutdown("refused"))
        if not transport.awaits(self._key):
            self._forgo_terminate()
            return Stop(Shutdown("closed"))
        # Subscribed and answered in one step, so no broadcast comes before the reply.
        intercepts = frozenset(self.intercept) or fastlane.NOTHING
        lane = fastlane.Fastlane(
            transport.push, transport.serializer, intercepts, transport.push_all
        )
        transport.pubsub.subscribe(request.topic, lane)
        self._pubsub = transport.pubsub.pid
        self._joined = True
        level = self.log_handle_in
        if level and not self.topic.startswith("phoenix") and is_enabled(_log, level):
            self._logs_pushes = level
        transport.joined(self._key, {} if response is None else response)
        self._log_join("joined", request)
        return NoReply(then=Hibernate())  # most members of a room only listen

    async def _on_message(self, message: Message) -> Any:
        if message.event == LEAVE:
            self._answer(message, Reply.ok())
            return Stop(Shutdown("left"))
        if message.event == ACK:  # of a push that nobody waits for any more
            return None
        self._message = message
        started = perf_counter() if self._logs_pushes else 0.0
        result = await self.handle_in(message.event, message.payload)
        self._message = None
        if started:
            self._log_push(message, perf_counter() - started)
        kind = type(result)
        if kind is Reply:
            self._answer(message, result)
            return None
        if kind is Stop:
            if result.reply is not NO_REPLY:
                self._answer(message, result.reply)
            return result
        if result is None or kind is NoReply:
            return result
        returned = self._wrongly_returned(result)
        raise BadReturnError(
            f"{_name(self)}.handle_in returned {returned} for {message.event[:80]!r}; "
            "expected Reply.ok(...), Reply.error(...), None, NoReply or Stop"
        )

    def _wrongly_returned(self, result: Any) -> str:
        """What an error may show of it: as a rule it is the client's payload, without a Reply."""
        return shorten(self._log_filter(result), _MAX_SHOWN)

    def _answer(self, message: Message, answer: Reply) -> None:
        transport = self._transport
        encoded = transport.serializer.encode_reply(
            self.join_ref, message.ref, self.topic, answer.status, answer.response
        )
        transport.push(frame(*encoded))

    def _stopping(self, reason: Any) -> None:
        """The client hears `phx_close`, before `terminate`, of every end that a callback has asked
        for in order; any other end is `phx_error` to it, as in Phoenix.
        """
        if is_orderly(reason):
            self._transport.closing(self._key)

    def _check_joined(self, verb: str) -> None:
        if not self._joined:
            raise NotJoinedError(verb, self.topic)
        if self._process.dead:  # a zombie's: see actors.fence
            raise ProcessExit(self._process.exit_reason)

    def _log_join(self, what: str, request: JoinRequest) -> None:
        if self.log_join and not self.topic.startswith("phoenix"):
            getattr(_log, self.log_join)(
                what,
                topic=excerpt(self.topic),
                channel=_name(self),
                connection=repr(request.transport.pid),
                params=self._log_filter(request.payload),
            )

    def _log_push(self, message: Message, seconds: float) -> None:
        getattr(_log, self._logs_pushes)(
            "handled",
            event_name=message.event[:80],
            topic=excerpt(self.topic),
            channel=_name(self),
            connection=repr(self._transport.pid),
            params=self._log_filter(message.payload),
            microseconds=round(seconds * 1e6),
        )

    def _log_unmatched(self, event: str) -> None:
        self._unmatched += 1
        more = with_notice(self._unmatched)
        if more is not None:
            told = {"topic": excerpt(self.topic), "event_name": event[:80], "channel": _name(self)}
            _log.warning("unmatched event", **told, **more)

    def _shown(self, message: Any) -> Any:
        """What a log shows of a message: what holds parameters goes through the socket's filter."""
        if isinstance(message, Message | Broadcast):
            payload = self._log_filter(message.payload)
            return msgspec.structs.replace(message, payload=payload)
        if isinstance(message, Pid | Down | Exit):  # the runtime's own
            return message
        return self._log_filter(message)

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """What crash reports show: payload and state go through the socket's filter."""
        if "message" in status:
            status["message"] = self._shown(status["message"])
        state = {name: value for name, value in vars(self).items() if _is_state(name)}
        status["state"] = self._log_filter(state)
        return status


def _is_state(name: str) -> bool:
    return not name.startswith("_") and name != "terminate"


async def _nothing_to_clean_up(_reason: Any) -> None:
    pass


def _name(channel: Channel) -> str:
    return type(channel).__name__
