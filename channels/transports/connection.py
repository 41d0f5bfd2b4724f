"""`Connection`: the process of one WebSocket client (Phoenix: the transport process,
`Phoenix.Socket`).

Its Trio task does nothing but read. Everything else that happens to a connection, a channel that
answers a join, a channel that ends, a broadcast that disconnects it, reaches it as a message that
is handled in place, in the step of whoever sends it; since every effect of the multiplexer is
synchronous, nothing ever waits here and heartbeats are always answered.

    bytes -> engine -> serializer.decode -> multiplexer -> effects -> a channel's mailbox
                                                              |
    socket <- outbox <- frame <- serializer.encode <----------+------ the channel's own replies

Owner of the multiplexer and the outbox: this process. Channels are supervised elsewhere and
monitored here: a channel that crashes costs its client a `phx_error`, and a connection that ends
takes its channels with it, because they monitor it in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import structlog
import trio

from actors import KILL, NORMAL, Down, Exit, Pid, Shutdown, is_orderly
from actors.process import Process
from channels.channel import JoinRequest
from channels.effects import Effect, Forward, Join, Leave, Refresh, Send, SendReply, StopChannel
from channels.exceptions import MalformedFrameError
from channels.messages import Broadcast, Message, Opcode
from channels.multiplexer import Multiplexer, TopicInfo
from channels.pubsub import PubSub
from channels.serializers import Serializer
from channels.socket import ConnectInfo, Route, UserSocket
from channels.transports.child_start import start_child_in_place
from channels.transports.frames import CloseCode, frame
from channels.transports.outbox import Outbox
from channels.transports.refresh import Outcome, refresh
from channels.transports.websocket import ConnectionClosed, Engine
from supervisors import ChildSpec

__all__ = ("DISCONNECT", "Connection", "ConnectionStatistics", "Drain", "Limits")

_log = structlog.get_logger("channels")

DISCONNECT = "disconnect"
"""The event that, broadcast on a socket's id, closes its connections."""

CHANNEL_STOP_TIMEOUT = 5.0
"""Seconds that a channel has to stop before it is killed (protocol reference 1.10)."""
LINGER_TIMEOUT = 0.5
"""Seconds that a client has to read the last of what we sent and to close its side."""


@attrs.frozen
class Limits:
    """What one connection may do. Zero means: no limit.

    `idle_timeout` is the seconds without a frame from the client after which it is closed;
    `max_message_size` is in bytes, fragments together; `outbox` the bytes that may wait for a slow
    client; `close_timeout` the seconds that a client has to answer our close frame.
    """

    idle_timeout: float = 60.0
    max_message_size: int = 1024 * 1024
    outbox: int = 1024 * 1024
    close_timeout: float = 5.0


class Drain:
    """The message that asks a connection to send its client elsewhere (1012)."""


@attrs.frozen
class ConnectionStatistics:
    """A snapshot of one connection, for tests, logs and the dashboard."""

    peer: str
    socket_id: str | None
    topics: tuple[TopicInfo, ...]
    frames_in: int
    bytes_in: int
    frames_out: int
    bytes_out: int
    queued_bytes: int
    since: float  # Trio's clock, seconds


class Connection:
    """One client's WebSocket, from the accepted upgrade to the end. Entity; see the module."""

    # One for each connection, used for each frame: slots.
    __slots__ = (
        "_bytes_in",
        "_channel_supervisor",
        "_close_timer",
        "_end",
        "_engine",
        "_frames_in",
        "_heard",
        "_idle_timer",
        "_info",
        "_keys",
        "_limits",
        "_multiplexer",
        "_outbox",
        "_process",
        "_refreshing",
        "_since",
        "_socket",
        "_socket_id",
        "pid",
        "pubsub",
        "push",
        "serializer",
    )

    def __init__(
        self,
        process: Process,
        socket: UserSocket,
        info: ConnectInfo,
        multiplexer: Multiplexer[Route, Pid],
        *,
        serializer: Serializer,
        pubsub: PubSub,
        channel_supervisor: Callable[[], Pid],
        limits: Limits,
    ) -> None:
        self.pid = process.pid
        self.pubsub = pubsub
        self.serializer = serializer
        self.push: Callable[[bytes], None] = _drop  # until there is an outbox
        self._process = process
        self._socket = socket
        self._socket_id: str | None = None
        self._info = info
        self._multiplexer = multiplexer
        self._channel_supervisor = channel_supervisor
        self._limits = limits
        self._keys: dict[Pid, int] = {}  # channel -> the multiplexer's key of its join
        self._engine: Engine | None = None
        self._outbox: Outbox | None = None
        self._end: tuple[int, str] | None = None  # (code, reason), once we have begun to close
        self._refreshing = False
        self._close_timer: Any = None
        self._idle_timer: Any = None
        self._heard = self._since = trio.current_time()
        self._frames_in = 0
        self._bytes_in = 0

    def __repr__(self) -> str:
        return f"<Connection {self._info.peer} id={self._socket_id!r} {self._multiplexer!r}>"

    def statistics(self) -> ConnectionStatistics:
        """Numbers for tests, logs and the dashboard."""
        outbox = self._outbox
        return ConnectionStatistics(
            peer=str(self._info.peer),
            socket_id=self._socket_id,
            topics=self._multiplexer.topics(),
            frames_in=self._frames_in,
            bytes_in=self._bytes_in,
            frames_out=outbox.frames_out if outbox else 0,
            bytes_out=outbox.bytes_out if outbox else 0,
            queued_bytes=outbox.queued_bytes if outbox else 0,
            since=self._since,
        )

    # -- life ------------------------------------------------------------------------------------

    def make_outbox(self, stream: trio.abc.Stream) -> Outbox:
        """Take over `stream`; what is written from now on goes through the connection's outbox."""
        node, process = self._process.node, self._process
        self._outbox = outbox = Outbox(
            stream,
            spawn=lambda function: node.start_helper(process, function),
            limit=self._limits.outbox,
            on_overflow=lambda _: self.close(CloseCode.SLOW_CLIENT, "slow client"),
            on_broken=lambda _: self._process.begin_exit(NORMAL),
        )
        self.push = outbox.push
        return outbox

    async def run(self, engine: Engine, socket_id: str | None) -> None:
        """Serve the client until either side ends it. Runs in the connection's process."""
        self._engine = engine
        self._socket_id = socket_id
        if socket_id is not None:
            self.pubsub.subscribe(socket_id)
        self._process.handle_in_place(self._on_message)
        self._watch_idleness()
        end = ConnectionClosed(1006, "the connection's process ended")
        try:
            await self._read(engine)
        except ConnectionClosed as closed:
            end = closed
        finally:
            self._stop_timers()
            self._log_end(end)
            if self._outbox is not None:
                # After both close frames a client may wait for us to close (RFC 6455, 7.1.1).
                await self._outbox.close_after_flush(  # noqa: ASYNC102  # it has a limit of its own
                    LINGER_TIMEOUT, lingering=not end.clean
                )

    async def _read(self, engine: Engine) -> None:
        outbox = self._outbox
        assert outbox is not None
        while True:
            batch = await engine.receive()
            self._heard = trio.current_time()
            outbox.cork()  # all answers to one read leave in one write
            try:
                for opcode, data in batch:
                    self._take(opcode, data)
            finally:
                outbox.uncork()

    def _take(self, opcode: Opcode, data: bytes | bytearray) -> None:
        self._frames_in += 1
        self._bytes_in += len(data)
        if self._end is not None:
            return
        try:
            message = self.serializer.decode(data, opcode)
        except MalformedFrameError as error:
            # Not the frame itself: what does not parse may still hold a password.
            _log.warning("malformed frame", **self._who(), problem=error.problem)
            self.close(error.close_code, error.problem)
            return
        for effect in self._multiplexer.receive(message):
            if type(effect) is Forward:
                effect.channel.target.deliver(effect.message)
            else:
                self._carry_out(effect)

    # -- effects ---------------------------------------------------------------------------------

    def _carry_out(self, effect: Effect[Route, Pid]) -> None:
        match effect:
            case Forward() | Leave():
                effect.channel.target.deliver(effect.message)
            case SendReply(join_ref, ref, topic, status, response):
                self.push(
                    frame(*self.serializer.encode_reply(join_ref, ref, topic, status, response))
                )
            case Send(message):
                self.push(frame(*self.serializer.encode_message(message)))
            case Join():
                self._start_channel(effect)
            case StopChannel(channel, reason):
                self._stop_channel(channel, reason)
            case Refresh(message):
                self._refresh(message)

    def _carry_out_all(self, effects: tuple[Effect[Route, Pid], ...]) -> None:
        for effect in effects:
            self._carry_out(effect)

    def _start_channel(self, join: Join[Route]) -> None:
        """Ask the channel supervisor; the channel itself says when it has started."""
        assigns = dict(self._socket.assigns)
        request = JoinRequest(self, join.key, join.topic, join.join_ref, join.payload, assigns)
        spec = ChildSpec.of(join.handler.child_spec(request))

        def answered(outcome: Any) -> None:
            if not isinstance(outcome, Pid):
                _log.error("channel did not start", topic=join.topic, reason=repr(outcome))
                self._carry_out_all(self._multiplexer.exited(join.key, crashed=True))

        start_child_in_place(self.pid, self._channel_supervisor(), spec, answered)

    def _stop_channel(self, channel: Pid, reason: str) -> None:
        channel.target.receive_exit(self.pid, Shutdown(reason), linked=False)
        self._process.node.deadlines.call_later(
            CHANNEL_STOP_TIMEOUT,
            lambda: channel.target.receive_exit(self.pid, KILL, linked=False),
        )

    def _refresh(self, message: Message) -> None:
        """New credentials: the user's page decides in a task of its own, one at a time."""
        if self._refreshing:
            self._answer_refresh(message, Outcome("error", {"reason": "refresh pending"}))
            return

        async def ask() -> None:
            try:
                self._answer_refresh(message, await refresh(self._socket, message.payload))
            finally:
                self._refreshing = False

        self._refreshing = True
        self._process.node.start_helper(self._process, ask)

    def _answer_refresh(self, message: Message, outcome: Outcome) -> None:
        reply = SendReply(None, message.ref, message.topic, outcome.status, outcome.response)
        self._carry_out(reply)
        if outcome.close is not None:
            self.close(*outcome.close)

    # -- what channels tell (Transport) ----------------------------------------------------------

    def started(self, key: int, channel: Pid) -> None:
        """A channel process is there; from now on its end is noticed."""
        self._keys[channel] = key
        self._process.watch(channel, channel)
        self._carry_out_all(self._multiplexer.started(key, channel))

    def joined(self, key: int, response: Any) -> None:
        """A channel has let its client in."""
        self._carry_out_all(self._multiplexer.joined(key, response))

    def refused(self, key: int, response: Any) -> None:
        """A channel has refused its client."""
        self._carry_out_all(self._multiplexer.refused(key, response))

    def closing(self, key: int) -> None:
        """A channel stops in order; its client hears of it before `terminate`."""
        self._carry_out_all(self._multiplexer.exited(key, crashed=False))

    # -- messages, handled in place --------------------------------------------------------------

    def _on_message(self, message: Any) -> None:
        match message:
            case Down(object=channel, reason=reason):
                key = self._keys.pop(channel, None)
                if key is not None:
                    crashed = not is_orderly(reason)
                    self._carry_out_all(self._multiplexer.exited(key, crashed=crashed))
            case Broadcast(event="disconnect"):
                self.close(CloseCode.GOING_AWAY, "disconnected by the server")
            case Drain() | Exit():
                self.close(CloseCode.SERVICE_RESTART, "the server restarts")
            case _:
                _log.warning("unexpected message", **self._who(), message=repr(message)[:200])

    # -- the end ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Begin to close: the client gets `code`, and some seconds to answer. Once."""
        if self._end is not None or self._engine is None:
            return
        self._end = (int(code), reason)
        self._engine.close(code, reason)
        self._close_timer = self._process.node.deadlines.call_later(
            self._limits.close_timeout, lambda: self._process.begin_exit(NORMAL)
        )

    def _watch_idleness(self) -> None:
        if self._limits.idle_timeout:
            self._idle_timer = self._process.node.deadlines.call_later(
                self._limits.idle_timeout, self._check_idleness
            )

    def _check_idleness(self) -> None:
        """One timer per timeout, not per frame: frames only leave the time at which they came."""
        limit, deadlines = self._limits.idle_timeout, self._process.node.deadlines
        if trio.current_time() - self._heard >= limit:
            self.close(CloseCode.PROTOCOL_ERROR, "idle timeout")
        else:
            self._idle_timer = deadlines.call_at(self._heard + limit, self._check_idleness)

    def _stop_timers(self) -> None:
        for timer in (self._idle_timer, self._close_timer):
            if timer is not None:
                timer.cancel()

    def _log_end(self, end: ConnectionClosed) -> None:
        numbers = self.statistics()
        code, reason = self._end or (end.code, end.reason)
        _log.info(
            "disconnected",
            **self._who(),
            code=code,
            reason=reason,
            by="server" if self._end else "client",
            clean=end.clean,
            seconds=round(trio.current_time() - self._since, 3),
            topics=[info.topic for info in numbers.topics],
            frames_in=numbers.frames_in,
            bytes_in=numbers.bytes_in,
            frames_out=numbers.frames_out,
            bytes_out=numbers.bytes_out,
        )

    def _who(self) -> dict[str, Any]:
        return {
            "connection": repr(self.pid),
            "peer": str(self._info.peer),
            "socket_id": self._socket_id,
        }


def _drop(_data: bytes) -> None:
    """Nothing can be sent before the upgrade has been answered."""
