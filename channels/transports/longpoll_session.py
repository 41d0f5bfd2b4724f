"""`LongPollSession`: the process of one long poll client, which stands where a `Connection` would
(Phoenix: `Phoenix.Transports.LongPoll.Server`).

HTTP requests come and go, each in the process of the TCP connection that carries it; the session
holds the channels and keeps what they send until the next poll takes it. It ends when no poll has
come for one and a half windows (15 seconds where polls may wait for ever), and a poll for a session
that is gone begins a new one.

Owner of the buffer: this process. Requests call `post` and `poll` in their own step, as channels
call `push`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import structlog
import trio

from actors import Shutdown
from channels.excerpts import excerpt, excerpts
from channels.messages import Opcode
from channels.transports.backlog import Backlog, Verdict
from channels.transports.base import TransportProcess
from channels.transports.longpoll_body import text_of

__all__ = ("LongPollSession", "SessionEndedError")

_log = structlog.get_logger("channels")

PATIENCE = 1.5
"""Windows without a poll after which the client is gone."""
WINDOW = 10.0
"""The window in place of none, in seconds."""


class SessionEndedError(Exception):
    """The session has ended: the client has to begin a new one."""


class LongPollSession(TransportProcess):
    """One long poll client, from its first poll to the end. Entity; see the module."""

    __slots__ = (
        "_backlog",
        "_ended",
        "_last_poll",
        "_patience",
        "_poll",
        "_since",
        "_timer",
        "window",
    )

    def __init__(self, *args: Any, window: float, **options: Any) -> None:
        """As `TransportProcess`; `window` is the seconds that a poll may wait, 0: for ever."""
        super().__init__(*args, **options)
        self.window = window
        self._patience = PATIENCE * (window or WINDOW)
        self.push = self._keep
        self._backlog = Backlog()
        self._ended = False
        self._poll: trio.Event | None = None  # of the request that waits
        self._last_poll = self._since = trio.current_time()
        self._timer: Any = None

    def __repr__(self) -> str:
        name = excerpt(self._socket_id)
        return f"<LongPollSession {self._peer} id={name!r} {self._multiplexer!r}>"

    async def run(self) -> None:
        """Live until something ends it. Runs in the session's process."""
        if self._socket_id is not None:
            self.pubsub.subscribe(self._socket_id)
        self._process.handle_in_place(self.on_message)
        self._watch_idleness()
        try:
            await trio.sleep_forever()
        finally:
            self._end()

    # -- what requests ask -----------------------------------------------------------------------

    def post(self, frames: list[tuple[Opcode, bytes]], size: int) -> str | None:
        """Take frames of the client, in order; None, or the limit that they exceed.

        `size` is the bytes of the body, which its address has counted. Raises `SessionEndedError`,
        also for a frame that ends it.
        """
        self._check_alive()
        now = trio.current_time()
        limit = self._meter.take(len(frames), size, now)
        if limit is None and (limit := self._address.take(len(frames), 0, now)) is not None:
            limit = f"address_{limit}"
        if limit is not None:
            self._gatekeeper.note(limit)
            return limit
        for opcode, data in frames:
            self.take(opcode, data)
            self._check_alive()
        return None

    async def poll(self) -> list[bytes]:
        """What waits for the client, oldest first; waits up to a window for something to come.

        A newer poll takes over: the older one returns nothing. Raises `SessionEndedError`.
        """
        self._check_alive()
        if self._poll is not None:
            self._poll.set()
        mine = self._poll = trio.Event()
        try:
            if not self._backlog.size:
                with trio.move_on_after(self.window or math.inf):
                    await mine.wait()
            else:
                await trio.lowlevel.checkpoint()
            if self._poll is not mine:
                return []
        finally:
            if self._poll is mine:
                self._poll = None
                self._last_poll = trio.current_time()
        self._check_alive()
        return self._backlog.take_all()

    def _check_alive(self) -> None:
        if self._ended:
            raise SessionEndedError

    # -- frames out ------------------------------------------------------------------------------

    def _keep(self, frame: bytes, key: Hashable | None = None) -> None:
        """`push`: keep a frame for the next poll."""
        text = text_of(frame)
        if self._ended:
            return
        if text is None:
            _log.warning("long poll cannot carry a binary frame", **self._who(), size=len(frame))
            return
        if not self._has_room(len(text)):
            return
        self._backlog.append(text, key if self._socket.overflow.coalesces else None)
        if self._poll is not None:
            self._poll.set()

    def _has_room(self, size: int) -> bool:
        backlog, limit = self._backlog, self._limits.outbox
        excess = backlog.size + size - limit
        if not limit or not backlog.size or excess <= 0:
            return True
        verdict = self._socket.overflow.make_room(backlog, excess)
        if verdict is Verdict.DISCONNECT:
            self._gatekeeper.note("slow_clients")
            self.close(0, "slow client")
        return verdict is Verdict.QUEUE

    # -- the end ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End; a long poll has no close code. The next poll is told 410 and begins anew."""
        if self._ended:
            return
        _log.info(
            "session ended",
            **self._who(),
            reason=reason,
            seconds=round(trio.current_time() - self._since, 3),
            topics=excerpts(info.topic for info in self._multiplexer.topics()),
        )
        self._end()
        self._process.begin_exit(self.exit_reason if self._drained else Shutdown(reason))

    def _end(self) -> None:
        self._ended = True
        self.end_channels()
        if self._timer is not None:
            self._timer.cancel()
        if self._poll is not None:
            self._poll.set()

    def _watch_idleness(self) -> None:
        self._timer = self._process.node.deadlines.call_at(
            self._last_poll + self._patience, self._check_idleness
        )

    def _check_idleness(self) -> None:
        now = trio.current_time()
        if self._poll is not None:
            self._last_poll = now
        if now - self._last_poll >= self._patience:
            self._gatekeeper.note("idle")
            self.close(0, "inactive")
        else:
            self._watch_idleness()
