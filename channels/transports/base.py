"""`TransportProcess`: what every transport's process does for its channels, whether frames come by
WebSocket or by long poll (Phoenix: `Phoenix.Socket`).

    frame -> serializer.decode -> multiplexer -> effects -> a channel's mailbox
                                                    |
    push(frame) <- serializer.encode <--------------+------ the channel's own replies

Every effect of the multiplexer is synchronous and every message is handled in place, in the step of
whoever sends it; so nothing ever waits here and heartbeats are always answered.

Owner of the multiplexer: this process. Channels are supervised elsewhere and monitored here: a
channel that crashes costs its client a `phx_error`, and a transport that ends takes its channels
with it, because they monitor it in turn; one that is too busy to hear of it is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import structlog
import trio

from actors import KILL, NORMAL, Down, Exit, Pid, Shutdown
from actors.process import Process
from channels.channel import JoinRequest
from channels.close_reason import close_reason
from channels.effects import (
    Effect,
    Forward,
    Join,
    Leave,
    Notice,
    NoticeKind,
    Refresh,
    Send,
    SendReply,
    StopChannel,
    StopReason,
)
from channels.exceptions import ChannelsError, MalformedFrameError
from channels.excerpts import excerpt
from channels.log_filter import LogLevel
from channels.messages import Broadcast, Message, Opcode
from channels.multiplexer import Multiplexer
from channels.notices import with_notice
from channels.pubsub import PubSub
from channels.serializers import Serializer
from channels.socket import Route, UserSocket
from channels.transports.child_start import start_child_in_place
from channels.transports.frames import CloseCode, frame
from channels.transports.limits import Limits
from channels.transports.limits_addresses import Address, Gatekeeper
from channels.transports.limits_meter import Meter
from channels.transports.limits_queue import Behind
from channels.transports.refresh import Outcome, refresh
from supervisors import ChildSpec

__all__ = ("Drain", "TransportProcess")

_log = structlog.get_logger("channels")

_NOTICE_LEVELS: Final[Mapping[NoticeKind, LogLevel]] = {  # as Phoenix's
    "unmatched topic": "warning",
    "too many channels joined": "error",
    "duplicate join": "debug",
}

NO_KEYS: Final[frozenset[int]] = frozenset()  # one for all: each empty one takes 216 bytes
CHANNEL_STOP_TIMEOUT = 5.0
"""Seconds that a channel has to stop before it is killed (protocol reference 1.10)."""


@attrs.frozen
class Drain:
    """The message that asks a transport to send its client elsewhere (1012), and to advise it to
    come back after so many seconds.
    """

    retry_after: float | None = None


class TransportProcess:
    """One client's side of its channels. A subclass gives `push` and `close`."""

    # One for each connection, used for each frame: slots.
    __slots__ = (
        "_address",
        "_behind",
        "_channel_supervisor",
        "_drained",
        "_gatekeeper",
        "_keys",
        "_limits",
        "_meter",
        "_multiplexer",
        "_notices",
        "_peer",
        "_process",
        "_refreshing",
        "_socket",
        "_socket_id",
        "_starting",
        "pid",
        "pubsub",
        "push",
        "push_all",
        "serializer",
    )

    def __init__(
        self,
        process: Process,
        socket: UserSocket,
        socket_id: str | None,
        peer: str,
        routes: Callable[[str], Route | None],
        *,
        serializer: Serializer,
        pubsub: PubSub,
        channel_supervisor: Callable[[], Pid],
        limits: Limits,
        gatekeeper: Gatekeeper,
        address: Address,
    ) -> None:
        """`process` is the calling one; `address` is where the client has entered."""
        self.pid = process.pid
        self.pubsub = pubsub
        self.serializer = serializer
        self.push: Callable[..., None] = drop  # until there is somewhere to push to
        self.push_all: Callable[[Sequence[bytes], bytes], None] | None = None
        self._process = process
        self._socket = socket
        self._socket_id = socket_id
        self._peer = peer
        self._multiplexer: Multiplexer[Route, Pid] = Multiplexer(
            routes,
            max_channels=socket.max_channels,
            max_held=limits.held,
            max_held_bytes=limits.held_bytes,
            exceeded=gatekeeper.note,
        )
        self._channel_supervisor = channel_supervisor
        self._limits = limits
        self._gatekeeper = gatekeeper
        self._address = address
        self._meter = Meter(limits, trio.current_time())
        self._drained = False
        self._notices = 0
        self._refreshing = False
        self._behind: Behind[Pid] | None = None  # made when a channel is, for the first time
        self._keys: dict[Pid, int] = {}  # channel -> the multiplexer's key of its join
        self._starting = NO_KEYS  # keys of joins without a process

    def close(self, code: int, reason: str) -> None:
        """Begin to end. Once."""
        raise NotImplementedError

    @property
    def channel_pids(self) -> Iterable[Pid]:
        """The processes of its channels."""
        return self._keys

    def end_channels(self) -> None:
        """The transport has ended. Its channels hear of it by their monitors, behind what waits for
        them; they count at the address until they are dead.
        """
        why: StopReason = "draining" if self._drained else "closed"
        doomed = [effect.channel for effect in self._multiplexer.closed(why)]
        if doomed:
            self._kill_in_time(doomed)

    @property
    def exit_reason(self) -> Any:
        """The exit reason of an orderly end; what the channels hear."""
        return Shutdown("draining") if self._drained else NORMAL

    # -- frames in -------------------------------------------------------------------------------

    def take(self, opcode: Opcode, data: bytes | bytearray) -> None:
        """One frame of the client."""
        try:
            message = self.serializer.decode(data, opcode)
        except MalformedFrameError as error:
            # Not the frame itself: what does not parse may still hold a password.
            _log.warning("malformed frame", **self._who(), problem=error.problem)
            self.close(error.close_code, error.problem)
            return
        for effect in self._multiplexer.receive(message, len(data)):
            if type(effect) is Forward:
                # Alive, or its DOWN would have been here: so it is a process, with a mailbox.
                target: Any = effect.channel.target
                if not target.mailbox.queue or self._may_wait(effect, len(data)):
                    target.deliver(effect.message)
            else:
                self._carry_out(effect)

    def _may_wait(self, effect: Forward[Pid], size: int) -> bool:
        """Whether this too may wait for its channel, which is behind; else it is answered."""
        if self._behind is None:
            limits = self._limits
            self._behind = Behind(limits.queued, limits.queued_bytes, _mailbox_length)
        if self._behind.take(effect.channel, size):
            return True
        self._gatekeeper.note("queued")
        message = effect.message
        busy = {"reason": "channel busy"}
        self._carry_out(SendReply(message.join_ref, message.ref, message.topic, "error", busy))
        return False

    # -- effects ---------------------------------------------------------------------------------

    def _carry_out(self, effect: Effect[Route, Pid]) -> None:
        match effect:
            case Forward() | Leave():
                effect.channel.target.deliver(effect.message)
            case SendReply():
                self.push(self._write(effect))
            case Send(message):
                self.push(frame(*self.serializer.encode_message(message)))
            case Join():
                self._start_channel(effect)
            case StopChannel(channel, reason):
                self._stop_channel(channel, reason)
            case Refresh(message):
                self._refresh(message)
            case Notice(what, topic):
                self._log_notice(what, topic)

    def _log_notice(self, what: NoticeKind, topic: str) -> None:
        level, more = _NOTICE_LEVELS[what], with_notice(1)
        if level != "debug":
            self._notices += 1
            more = with_notice(self._notices)
        if more is not None:
            socket = type(self._socket).__name__
            getattr(_log, level)(what, **self._who(), socket=socket, topic=excerpt(topic), **more)

    def _write(self, reply: SendReply) -> bytes:
        join_ref, ref, topic = reply.join_ref, reply.ref, reply.topic
        return frame(
            *self.serializer.encode_reply(join_ref, ref, topic, reply.status, reply.response)
        )

    def _carry_out_all(self, effects: tuple[Effect[Route, Pid], ...]) -> None:
        for effect in effects:
            self._carry_out(effect)

    def _start_channel(self, join: Join[Route]) -> None:
        """Ask the channel supervisor; the channel itself says when it has started."""
        if (reason := self._too_many()) is not None:
            self._carry_out_all(self._multiplexer.refused(join.key, {"reason": reason}))
            return
        self._starting |= {join.key}
        assigns = dict(self._socket.assigns)
        request = JoinRequest(self, join.key, join.topic, join.join_ref, join.payload, assigns)
        spec = ChildSpec.of(join.handler.child_spec(request))

        def answered(outcome: Any) -> None:
            if not isinstance(outcome, Pid):
                topic, reason = excerpt(join.topic), repr(outcome)[:200]
                _log.error("channel did not start", **self._who(), topic=topic, reason=reason)
                if join.key in self._starting:  # otherwise there was a process, which holds it
                    self._is_begun(join.key)
                    self._address.topics -= 1
                self._carry_out_all(self._multiplexer.exited(join.key, crashed=True))

        start_child_in_place(self.pid, self._channel_supervisor(), spec, answered)

    def _is_begun(self, key: int) -> None:
        self._starting = self._starting - {key} or NO_KEYS

    def _too_many(self) -> str | None:
        """Why no channel may be started now."""
        now, gatekeeper = trio.current_time(), self._gatekeeper
        if not self._meter.take_join(now):
            gatekeeper.note("joins")
        elif not self._address.take_join(now):
            gatekeeper.note("address_joins")
        elif not self._address.take_topic():
            gatekeeper.note("address_topics")
            return "too many topics"
        else:
            return None
        return "too many joins"

    def _stop_channel(self, channel: Pid, reason: str) -> None:
        channel.target.receive_exit(self.pid, Shutdown(reason), linked=False)
        self._kill_in_time([channel])

    def _kill_in_time(self, channels: list[Pid]) -> None:
        self._process.node.deadlines.add(_Patience(self.pid, channels), CHANNEL_STOP_TIMEOUT)

    def _refresh(self, message: Message) -> None:
        """New credentials: the user's page decides in a task of its own, one at a time."""
        if self._refreshing:
            pending = Outcome("error", {"reason": "refresh pending"}, limit="refreshes")
            self._answer_refresh(message, pending)
            return

        async def ask() -> None:
            try:
                self._answer_refresh(message, await refresh(self._socket, message.payload))
            finally:
                self._refreshing = False

        self._refreshing = True
        self._process.node.start_helper(self._process, ask)

    def _answer_refresh(self, message: Message, outcome: Outcome) -> None:
        if outcome.limit is not None:
            self._gatekeeper.note(outcome.limit)
        reply = SendReply(None, message.ref, message.topic, outcome.status, outcome.response)
        try:
            self._carry_out(reply)
        except ChannelsError as error:
            _log.error("refresh crashed", **self._who(), problem=str(error)[:200])
            crashed = {"reason": "refresh crashed"}
            self._carry_out(SendReply(None, message.ref, message.topic, "error", crashed))
        if outcome.close is not None:
            self.close(*outcome.close)

    # -- what channels tell (Transport) ----------------------------------------------------------

    def started(self, key: int, channel: Pid) -> None:
        """A channel process is there; from now on its end is noticed."""
        self._keys[channel] = key
        self._is_begun(key)
        self._gatekeeper.hold_topic(channel, self._address)
        self._process.watch(channel, channel)
        self._carry_out_all(self._multiplexer.started(key, channel))

    def awaits(self, key: int) -> bool:
        """Is the join still to be answered?"""
        return self._multiplexer.awaits(key)

    def joined(self, key: int, response: Any) -> None:
        """A channel has let its client in. Raises what the serializer raises; then it has not."""
        answer = self._multiplexer.answer(key, "ok", response)
        if answer is not None:
            data = self._write(answer)
            self._go_on(data, self._multiplexer.joined(key, response))

    def refused(self, key: int, response: Any) -> None:
        """A channel has refused its client. Raises as `joined` does."""
        answer = self._multiplexer.answer(key, "error", response)
        if answer is not None:
            data = self._write(answer)
            self._go_on(data, self._multiplexer.refused(key, response))

    def _go_on(self, answer: bytes, effects: tuple[Effect[Route, Pid], ...]) -> None:
        """Carry out what follows on the answer of a join, of which the first effect is that."""
        self.push(answer)
        self._carry_out_all(effects[1:])

    def closing(self, key: int) -> None:
        """A channel stops in order; its client hears of it before `terminate`."""
        self._carry_out_all(self._multiplexer.closing(key))

    # -- messages, handled in place --------------------------------------------------------------

    def on_message(self, message: Any) -> None:
        """For `Process.handle_in_place`."""
        match message:
            case Down(object=channel):
                key = self._keys.pop(channel, None)
                if self._behind is not None:
                    self._behind.forget(channel)
                if key is not None:  # if it was announced, the client knows already
                    self._carry_out_all(self._multiplexer.exited(key, crashed=True))
            case Broadcast(event="disconnect"):
                self.close(CloseCode.GOING_AWAY, "disconnected by the server")
            case Drain(retry_after):
                self._drain(retry_after)
            case Exit():
                self._drain(None)
            case _:
                _log.warning("unexpected message", **self._who(), message=repr(message)[:200])

    def _drain(self, retry_after: float | None) -> None:
        words = "the server restarts"
        self._drained = True
        self.close(
            CloseCode.SERVICE_RESTART,
            words if retry_after is None else close_reason(words, retry_after),
        )

    def _who(self) -> dict[str, Any]:
        socket_id = excerpt(self._socket_id)
        return {"connection": repr(self.pid), "peer": self._peer, "socket_id": socket_id}


def _mailbox_length(channel: Pid) -> int:
    process: Any = channel.target
    return len(process.mailbox)


class _Patience:
    """How long channels may take to stop: an entry of the deadline queue."""

    __slots__ = ("_channels", "_sender", "deadlines")

    def __init__(self, sender: Pid, channels: list[Pid]) -> None:
        self._sender = sender
        self._channels = channels
        self.deadlines: Any = None

    def expire(self) -> None:
        """Kill those that still live."""
        for channel in self._channels:
            channel.target.receive_exit(self._sender, KILL, linked=False)


def drop(_data: bytes, _key: object = None) -> None:
    """What is pushed while there is nowhere to push to."""
