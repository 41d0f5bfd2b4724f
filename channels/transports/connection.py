"""`Connection`: the process of one WebSocket client (Phoenix: the transport process).

Its Trio task does nothing but read; everything else that happens to it is handled in place, see
`base`. What it reads is counted against the limits of the connection and of its address, once for
each read of the socket.

Owner of the engine and the outbox: this process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import attrs
import structlog
import trio

from actors import NORMAL
from actors.sleep import Sleep
from channels.excerpts import excerpt, excerpts
from channels.multiplexer import TopicInfo
from channels.transports.base import Drain, TransportProcess, drop
from channels.transports.frames import CloseCode
from channels.transports.limits import Limits, explain
from channels.transports.outbox import Outbox
from channels.transports.polled import Polled
from channels.transports.poller import Poller
from channels.transports.websocket import ConnectionClosed, Engine, Inbound, SansIOEngine

__all__ = ("DISCONNECT", "Connection", "ConnectionStatistics", "Drain", "Limits")

_log = structlog.get_logger("channels")

DISCONNECT = "disconnect"
"""The event that, broadcast on a socket's id, closes its connections."""

CHECKS_PER_IDLE_TIMEOUT = 60
"""Times at which silence may be noticed: with the default limits, one a second."""
SECONDS_PER_TURN = 0.000_1
"""After this long the others get their turn, before more of one read's messages are handled."""
FEW = 4
"""Messages of one read that are handled in the same step."""

_ENDED = ConnectionClosed(1006, "the connection's process ended")

LINGER_TIMEOUT = 0.5
"""Seconds that a client has to read the last of what we sent and to close its side."""


@attrs.frozen
class ConnectionStatistics:
    """A snapshot of one connection, for tests, logs and the dashboard."""

    peer: str
    socket_id: str | None
    topics: tuple[TopicInfo, ...]
    frames_in: int  # messages
    bytes_in: int  # as they came from the wire
    frames_out: int
    bytes_out: int
    queued_bytes: int
    since: float  # Trio's clock, seconds


class Connection(TransportProcess):
    """One client's WebSocket, from the upgrade to the end. Entity; see the module."""

    # One for each connection, used for each frame: slots.
    __slots__ = (
        "_bytes_in",
        "_close_timer",
        "_end",
        "_engine",
        "_frames_in",
        "_heard",
        "_idle_timer",
        "_left",
        "_outbox",
        "_since",
        "_written",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `TransportProcess`."""
        super().__init__(*args, **options)
        self._engine: Engine | None = None
        self._outbox: Outbox | None = None
        self._end: tuple[int, str] | None = None  # (code, reason), once we have begun to close
        self._close_timer: Any = None
        self._idle_timer: Any = None
        self._heard = self._since = trio.current_time()
        self._left: deque[Inbound] | None = None  # read, and not yet handled
        self._frames_in = 0
        self._bytes_in = 0
        self._written = -1  # bytes, by the last check in which something waited to be written

    def __repr__(self) -> str:
        name = excerpt(self._socket_id)
        return f"<Connection {self._peer} id={name!r} {self._multiplexer!r}>"

    def statistics(self) -> ConnectionStatistics:
        """Numbers for tests, logs and the dashboard."""
        outbox = self._outbox
        return ConnectionStatistics(
            peer=self._peer,
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

    async def upgrade(
        self, stream: trio.abc.Stream, accept: Callable[[Outbox], Awaitable[Engine]]
    ) -> None:
        """Take over `stream` and have `accept` answer the upgrade. Raises what it raises."""
        self._outbox = outbox = Outbox(
            stream,
            spawn=self._start_writer,
            limit=self._limits.outbox,
            policy=self._socket.overflow,
            on_overflow=self._give_up,
            on_broken=self._lost,
        )
        try:
            self._engine = await accept(outbox)
        except BaseException:  # cancelled, or the peer is gone: nobody else will close it
            self._stop_timers()
            await trio.aclose_forcefully(outbox)
            raise
        self.push, self.push_all = outbox.push, outbox.push_all
        self._engine.watcher = self

    async def run(self, poller: Poller | None = None) -> Sleep | None:
        """Serve the client until either side ends it. Runs in the connection's process.

        With a `poller`, and a plain socket, what the client sends is read in the poller's steps,
        and the process sleeps until the end; else this task waits for it. The frames of this
        coroutine and of those above it then live as long as the connection does, so they hold
        nothing that is not needed until then.
        """
        end = _ENDED
        polled: Polled | None = None
        try:
            engine = self._begin()
            if poller is not None and isinstance(engine, SansIOEngine):
                polled = await self._be_polled(engine, poller)
            while polled is None:
                await self._take(await engine.receive())
        except ConnectionClosed as closed:
            end = closed.with_traceback(None)  # which would hold this frame, which holds it
        finally:
            if polled is None:
                await self._finish(end)  # noqa: ASYNC102  # it has a limit of its own
        if polled is not None:
            return Sleep(self._finish_polled, (polled,), in_place=True)
        self._process.begin_exit(self.exit_reason)  # not in `_finish`: a crash has another
        return None

    async def _be_polled(self, engine: SansIOEngine, poller: Poller) -> Polled | None:
        plain = engine.plain_socket
        if plain is None:
            return None
        await self._take(engine.take_what_was_read())
        if engine.ended:
            engine.take(b"")  # raises
        return Polled(self, self._process, engine, plain, poller)

    async def _finish_polled(self, polled: Polled) -> None:
        polled.leave()
        await self._finish(polled.end or _ENDED)
        self._process.begin_exit(self.exit_reason)

    async def _finish(self, end: ConnectionClosed) -> None:
        self._stop_timers()
        self._log_end(end)
        self.end_channels()
        outbox = self._detach()
        # After both close frames a client may wait for us to close (RFC 6455, 7.1.1).
        await outbox.close_after_flush(LINGER_TIMEOUT, lingering=not end.clean)

    def _detach(self) -> Outbox:
        """Let go of what holds us in turn, so that nothing of us waits for the cycle collector."""
        outbox, self._outbox = self._outbox, None
        assert outbox is not None
        self.push, self.push_all = drop, None
        self._engine = self._idle_timer = self._close_timer = None
        return outbox

    def _begin(self) -> Engine:
        assert self._engine is not None  # by `upgrade`
        if self._socket_id is not None:
            self.pubsub.subscribe(self._socket_id)
        if self._end is not None:  # it was told to close while the upgrade was answered
            self._engine.close(*self._end)
        self._watch_idleness()
        return self._engine

    def on_read(self, frames: int, size: int) -> None:
        """The engine has read `size` bytes, which completed so many `frames`, of any kind.

        A frame is a sign of life, single bytes are not: who sends one a second sends nothing.
        Raises `ConnectionClosed` for what is beyond a limit.
        """
        now = trio.current_time()
        if frames:
            self._heard = now
        self._bytes_in += size
        limit = self._meter.take(frames, size, now)
        if limit is None:
            limit = self._address.take(frames, size, now)
            if limit is None:
                return
            limit = f"address_{limit}"
        self._gatekeeper.note(limit)
        words = explain(self._limits, limit)
        self.close(CloseCode.TOO_MANY, words)
        raise ConnectionClosed(CloseCode.TOO_MANY, words)  # not a byte more is read of it

    async def _take(self, batch: list[Inbound]) -> None:
        behind = self.take_turn(batch)
        while behind:
            await trio.lowlevel.checkpoint()
            behind = self.go_on()

    def take_turn(self, batch: list[Inbound]) -> bool:
        """Handle what one read brought, but no more than one turn's worth, and no more at all where
        it is much: reading that was a turn. Is something left?
        """
        self._frames_in += len(batch)
        if len(batch) == 1:
            if self._end is None:
                self.take(*batch[0])
            return False
        self._left = deque(batch)
        return len(batch) > FEW or self.go_on()

    def go_on(self) -> bool:
        """Handle another turn's worth of what is left. Is something left still?"""
        left, outbox = self._left, self._outbox
        if left is None or outbox is None:
            return False
        ends = perf_counter() + SECONDS_PER_TURN
        outbox.cork()  # all answers of a turn leave in one write
        try:
            while left and self._end is None:
                self.take(*left.popleft())
                if perf_counter() > ends:
                    break
        finally:
            outbox.uncork()
        if left and self._end is None:
            return True
        self._left = None
        return False

    # -- the end ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Begin to close: the client gets `code`, and some seconds to answer. Once."""
        if self._end is not None:
            return
        self._end = (int(code), reason)
        if self._engine is not None:  # otherwise the upgrade is not answered yet, or all is over
            self._engine.close(code, reason)
        if self._limits.close_timeout:
            self._close_timer = self._process.node.deadlines.call_later(
                self._limits.close_timeout, self._close_now
            )

    def _close_now(self) -> None:
        self._gatekeeper.note("close_timeout")
        self._process.begin_exit(self.exit_reason)

    def _start_writer(self, function: Callable[[], Awaitable[None]]) -> None:
        self._process.node.start_helper(self._process, function)

    def _lost(self, _: object) -> None:
        self._process.begin_exit(NORMAL)

    def _give_up(self, _: object = None) -> None:
        self._gatekeeper.note("slow_clients")
        self.close(CloseCode.SLOW_CLIENT, "slow client")

    def _watch_idleness(self) -> None:
        if 0 < self._limits.idle_timeout < math.inf:
            self._check_idleness_at(trio.current_time() + self._limits.idle_timeout)

    def _check_idleness_at(self, due: float) -> None:
        """A little later than `due`, so that the checks of many connections fall together: each
        time wakes the node once.
        """
        grain = self._limits.idle_timeout / CHECKS_PER_IDLE_TIMEOUT
        due = max(due, math.ceil(due / grain) * grain)
        self._idle_timer = self._process.node.deadlines.call_at(due, self._check_idleness)

    def _check_idleness(self) -> None:
        """One timer per timeout, not per frame: frames only leave the time at which they came."""
        due = self._heard + self._limits.idle_timeout
        if trio.current_time() >= due:
            self._gatekeeper.note("idle")
            self.close(CloseCode.PROTOCOL_ERROR, "idle timeout")
        elif self._is_stuck():
            self._give_up()
        else:
            self._check_idleness_at(due)

    def _is_stuck(self) -> bool:
        """Whether something waits of which nothing was written since the last check."""
        outbox = self._outbox
        assert outbox is not None
        before, self._written = self._written, outbox.bytes_out if outbox.queued_bytes else -1
        return before == self._written >= 0

    def _stop_timers(self) -> None:
        for timer in (self._idle_timer, self._close_timer):
            if timer is not None:
                timer.cancel()

    def _log_end(self, end: ConnectionClosed) -> None:
        outbox = self._outbox
        assert outbox is not None
        code, reason = self._end or (end.code, end.reason)
        if code == CloseCode.TOO_BIG and not end.clean:
            self._gatekeeper.note("message_size")
        _log.info(
            "disconnected",
            **self._who(),
            code=code,
            reason=reason,
            by="server" if self._end or end is _ENDED else "client",
            clean=end.clean,
            seconds=round(trio.current_time() - self._since, 3),
            topics=excerpts(self._multiplexer.topic_names()),
            frames_in=self._frames_in,
            bytes_in=self._bytes_in,
            frames_out=outbox.frames_out,
            bytes_out=outbox.bytes_out,
        )
