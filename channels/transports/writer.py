"""The sending half of an `Outbox`: frames go to the wire at once, or wait for a writer task.

Owner: the outbox, which is one. Kept apart from the stream that the outbox is as well, because
this half is all decisions about what leaves when, and the hot path of every broadcast.
"""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence

import attrs
import trio

from channels.transports.backlog import Backlog, Disconnect, OverflowPolicy, Verdict
from channels.transports.sockets import take_over

__all__ = ("DEFAULT_LIMIT", "OutboxStatistics", "Spawn", "Writer")

DEFAULT_LIMIT = 1024 * 1024  # bytes

# One write takes at most this much: a frame that is inside a write can no longer be dropped.
_BATCH = 64 * 1024

Spawn = Callable[[Callable[[], Awaitable[None]]], object]  # `nursery.start_soon` is one


@attrs.frozen
class OutboxStatistics:
    """What `Outbox.statistics` returns. Counts since the connection began; sizes in bytes."""

    frames_out: int  # accepted: written, or waiting to be
    bytes_out: int  # given to the operating system
    frames_dropped: int  # refused, superseded, or given up on overflow and at the end
    queued_bytes: int
    queued_frames: int
    open: bool  # frames are accepted
    broken: bool


class Writer:
    """Frames out. See `Outbox` for its arguments and its promises."""

    # One for each connection, used for each delivery: slots. `_direct` is the hot path's only
    # question: the socket's own `send` while a frame may go straight out, else None.
    __slots__ = (
        "_backlog",
        "_broken",
        "_closed",
        "_corks",
        "_direct",
        "_finished",
        "_flushed",
        "_in_flight",
        "_limit",
        "_on_broken",
        "_on_overflow",
        "_open",
        "_policy",
        "_socket",
        "_spawn",
        "_stream",
        "_writing",
        "bytes_out",
        "frames_dropped",
        "frames_out",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        spawn: Spawn,
        limit: int = DEFAULT_LIMIT,
        policy: OverflowPolicy = Disconnect(),  # noqa: B008  # a frozen value
        on_overflow: "Callable[[Writer], object] | None" = None,
        on_broken: Callable[[BaseException], object] | None = None,
    ) -> None:
        if limit < 0:
            raise ValueError(f"limit={limit!r}; expected bytes, or 0 for no bound")
        self._stream: trio.abc.Stream | None = None
        self._socket: socket.socket | None = None
        if isinstance(stream, trio.SocketStream):
            self._socket = take_over(stream)
        else:
            self._stream = stream
        self._spawn = spawn
        self._limit = limit
        self._policy = policy
        self._on_overflow = on_overflow
        self._on_broken = on_broken
        self._open = True  # frames are accepted
        self._finished = False  # the last frame has been accepted
        self._closed = False
        self._broken: BaseException | None = None
        self._backlog: Backlog | None = None
        self._in_flight = 0  # bytes inside the stream's send_all (TLS)
        self._writing = False  # the writer task exists
        self._corks = 0
        self._flushed: trio.Event | None = None
        self.frames_out = 0
        self.bytes_out = 0
        self.frames_dropped = 0
        self._direct: Callable[[bytes], int] | None = None
        self._allow_direct()

    @property
    def plain_socket(self) -> socket.socket | None:
        """The non-blocking socket; None under TLS."""
        return self._socket

    # -- pushing --------------------------------------------------------------------------------

    def push(self, frame: bytes, key: Hashable | None = None) -> None:
        """Sends one whole frame, at once if it can, else queued. Never raises, never waits.

        With `key`, and under a policy that coalesces, a waiting frame with the same key is given up
        for this one. On a connection that is closing or broken the frame is counted as dropped.
        """
        send = self._direct
        if send is None:
            self._queue(frame, key)
            return
        try:
            sent = send(frame)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(error)
            return
        self.frames_out += 1
        self.bytes_out += sent
        if sent != len(frame):
            self._queue_rest(frame, sent, key)

    def push_all(self, frames: Sequence[bytes], joined: bytes) -> None:
        """`push` for each of several frames, in one write where that can be; `joined` are their
        bytes in one piece, which the caller makes once for many connections.
        """
        send = self._direct
        if send is None:
            for frame in frames:
                self._queue(frame, None)
            return
        try:
            sent = send(joined)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(error)
            return
        self.bytes_out += sent
        if sent == len(joined):
            self.frames_out += len(frames)
        else:
            self._queue_rest_of_all(frames, sent)

    def push_control(self, frame: bytes, key: Hashable | None = None) -> None:
        """As `push`, for a control frame: it is never dropped for data, only for its own `key`.

        A peer that pings and does not read fills the queue like any other slow one, unless its
        pongs share a key: an answer to the latest ping is enough (RFC 6455, 5.5.3).
        """
        if self._direct is None:
            self._queue(frame, key, control=True)
        else:
            self.push(frame)

    def finish(self, frame: bytes = b"") -> None:
        """Sends the last frame, the close frame. Whatever is pushed after it is dropped."""
        if self._finished or self._closed or self._broken:
            return
        self._finished = True
        if frame and self._direct is not None:
            self.push(frame)
        elif frame:
            self._append(frame, control=True)
        self._open = False
        self._direct = None

    @contextlib.contextmanager
    def corked(self) -> Iterator[None]:
        """Inside the block frames are gathered; at its end they leave in one write.

        For all answers to one read. The block must not wait. Blocks nest.
        """
        self.cork()
        try:
            yield
        finally:
            self.uncork()

    def cork(self) -> None:
        """Begins what `corked` does; the same number of `uncork` ends it."""
        self._corks += 1
        self._direct = None

    def uncork(self) -> None:
        """Ends what `cork` began."""
        self._corks -= 1
        if self._corks:
            return
        if self._backlog is None:
            self._allow_direct()
        elif not self._writing:
            self._write_now()
            if self._backlog is not None:
                self._start_writer()

    # -- the state ------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait to be written."""
        return self._in_flight + (0 if self._backlog is None else self._backlog.size)

    @property
    def is_open(self) -> bool:
        """Whether frames are accepted: not finished, not overflowed, not closed, not broken."""
        return self._open

    @property
    def broken(self) -> BaseException | None:
        """The error that ended the connection, if one did."""
        return self._broken

    def statistics(self) -> OutboxStatistics:
        """The counters of this connection."""
        backlog = self._backlog
        return OutboxStatistics(
            frames_out=self.frames_out,
            bytes_out=self.bytes_out,
            frames_dropped=self.frames_dropped + (0 if backlog is None else backlog.dropped),
            queued_bytes=self.queued_bytes,
            queued_frames=0 if backlog is None else len(backlog),
            open=self._open,
            broken=self._broken is not None,
        )

    # -- the queue ------------------------------------------------------------------------------

    def _queue(self, frame: bytes, key: Hashable | None, *, control: bool = False) -> None:
        if not self._open:
            self.frames_dropped += 1
            return
        if self._excess(frame) > 0 and not self._make_room(frame, key, control=control):
            return
        if not control and not self._policy.coalesces:
            key = None
        self._append(frame, key, control=control)

    def _append(self, frame: bytes, key: Hashable | None = None, *, control: bool) -> None:
        if self._backlog is None:
            self._backlog = Backlog()
        self._backlog.append(frame, key, control=control)
        self.frames_out += 1
        if not self._corks:
            self._start_writer()
        elif self._backlog.size >= _BATCH:
            self._write_now()

    def _queue_rest(self, frame: bytes, sent: int, key: Hashable | None = None) -> None:
        self._backlog = Backlog()
        if sent:
            self._backlog.append_rest(memoryview(frame)[sent:])
        else:
            self._backlog.append(frame, key if self._policy.coalesces else None)
        self._direct = None
        self._start_writer()

    def _queue_rest_of_all(self, frames: Sequence[bytes], sent: int) -> None:
        """As if each had been pushed by itself: the first that did not fit is accepted whole."""
        for frame in frames:
            if self._direct is None:
                self._queue(frame, None)  # behind the one that did not fit
                continue
            self.frames_out += 1
            if sent < len(frame):
                self._queue_rest(frame, sent)
            sent -= len(frame)

    def _excess(self, frame: bytes) -> int:
        if not self._limit or not self.queued_bytes:
            return 0
        return self.queued_bytes + len(frame) - self._limit

    def _make_room(self, frame: bytes, key: Hashable | None, *, control: bool) -> bool:
        if self._corks:
            self._write_now()  # what is corked waits for us, not for the peer
        backlog = self._backlog
        excess = self._excess(frame)
        if excess <= 0 or backlog is None:
            return self._open
        match self._policy.make_room(backlog, excess):
            case Verdict.QUEUE:
                return True
            case Verdict.DROP if not control:
                self.frames_dropped += 1
                return False
            case Verdict.DROP if key is not None:
                return True  # never more than one waits for each key
            case _:
                self._overflow(backlog)
                return False

    def _overflow(self, backlog: Backlog) -> None:
        """Gives the peer up and frees its memory; what is half out stays, for the close frame."""
        self._open = False
        self._direct = None
        self.frames_dropped += 1
        backlog.drop_all()
        if not backlog.size and not self._in_flight:
            self._drained()
        if self._on_overflow is not None:
            self._on_overflow(self)

    def _drained(self) -> None:
        if self._backlog is not None:
            self.frames_dropped += self._backlog.dropped
            self._backlog = None
        if self._flushed is not None:
            self._flushed.set()
            self._flushed = None
        self._allow_direct()

    def _allow_direct(self) -> None:
        if self._socket is not None and self._open and not self._corks:
            self._direct = self._socket.send

    def _break(self, error: BaseException) -> None:
        if self._broken is None and not self._closed:
            self._broken = error
            tell = self._on_broken
        else:
            tell = None
        self._open = False
        self._direct = None
        self._in_flight = 0
        if self._backlog is not None:
            self.frames_dropped += len(self._backlog)
            self._drained()
        if tell is not None:
            tell(error)

    # -- the wire -------------------------------------------------------------------------------

    def _write_now(self) -> None:
        """One write of what waits, as much as the socket takes."""
        backlog = self._backlog
        if backlog is None or self._socket is None or self._writing:
            return
        self._write_some(self._socket, backlog)

    def _write_some(self, sock: socket.socket, backlog: Backlog) -> None:
        try:
            sent = sock.send(backlog.peek(_BATCH))
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error)
            return
        self.bytes_out += sent
        backlog.consume(sent)
        if not backlog.size:
            self._drained()

    def _start_writer(self) -> None:
        if self._writing:
            return
        self._writing = True
        try:
            self._spawn(self._write)
        except RuntimeError as error:  # its nursery is closed: the node is ending
            self._writing = False
            self._break(error)

    async def _write(self) -> None:
        """The writer task: runs until nothing waits."""
        try:
            if self._socket is not None:
                await self._write_socket(self._socket)
            else:
                await self._write_stream()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._break(error)
        finally:
            self._writing = False
            if self._backlog is not None:  # cancelled: half a frame may be out, nothing may follow
                self._break(trio.BrokenResourceError("the writer of this connection was cancelled"))

    async def _write_socket(self, sock: socket.socket) -> None:
        while self._backlog is not None:
            await trio.lowlevel.wait_writable(sock)
            if self._backlog is not None:
                self._write_some(sock, self._backlog)

    async def _write_stream(self) -> None:
        assert self._stream is not None
        while (backlog := self._backlog) is not None:
            data = backlog.peek(_BATCH)
            backlog.consume(len(data))
            self._in_flight = len(data)
            await self._stream.send_all(data)
            self._in_flight = 0
            self.bytes_out += len(data)
            if self._backlog is backlog and not backlog.size:
                self._drained()
