"""The one writer of a connection.

An `Outbox` takes over a TCP or TLS stream. Everything that leaves on the connection goes through it
in the order of the calls: our frames by `push`, an engine's control frames by `push_control` or
`send_all`, the close frame by `finish`. So no frame ever lands inside another one, and whoever
pushes is never delayed by a slow peer and never told of its errors.

`push` is synchronous. Where nothing waits it writes to the non-blocking socket at once; what did
not fit waits in a `Backlog` for a writer task, which exists only while something waits and sends
all that is pending together. TLS cannot be written synchronously: there every frame waits for the
writer. The backlog is bounded in bytes; an overflow policy decides what gives way.

Owner: the connection. It alone calls `cork`, `finish` and the closing verbs, and it is told by two
callbacks, which run in whoever pushed and must neither raise nor wait: `on_overflow(outbox)` when
the policy gave the peer up (close it, with 4008), `on_broken(exception)` when the peer is gone.
Each is called at most once.
"""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Hashable, Iterator

import attrs
import trio

from channels.transports.backlog import Backlog, Disconnect, OverflowPolicy, Verdict
from channels.transports.sockets import linger, take_over

__all__ = ("DEFAULT_LIMIT", "Outbox", "OutboxStatistics", "Spawn")

DEFAULT_LIMIT = 1024 * 1024  # bytes

# One write takes at most this much: a frame that is inside a write can no longer be dropped.
_BATCH = 64 * 1024

# What one read asks for. The buffer is allocated once there is something to read, and shrunk to it.
# Measured: a small message costs 1.3 us to read with 4, 16 or 64 KiB and 25 us with 256 (a mapping
# of its own); 200 KB cost 100, 40, 13 and 8 us.
_RECEIVE_SIZE = 64 * 1024


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


class Outbox(trio.abc.Stream):
    """The stream of a connection, and the queue in front of it.

    `stream` is taken over: a `trio.SocketStream` must not be used by anybody else from now on, any
    other stream is only used through the outbox. `spawn(async_function)` starts the writer task, as
    `nursery.start_soon` does; only the end of the connection may cancel it. `limit` bounds the
    waiting bytes (0: no bound); one frame is accepted whatever its size when nothing else waits.
    `close_timeout` is how many seconds `aclose` may take.
    """

    # One for each connection, used for each delivery: slots. `_direct` is the hot path's only
    # question: the socket's own `send` while a frame may go straight out, else None.
    __slots__ = (
        "_backlog",
        "_broken",
        "_close_timeout",
        "_closed",
        "_corks",
        "_direct",
        "_finished",
        "_flushed",
        "_in_flight",
        "_limit",
        "_more",
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
        on_overflow: "Callable[[Outbox], object] | None" = None,
        on_broken: Callable[[BaseException], object] | None = None,
        close_timeout: float = 5.0,
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
        self._close_timeout = close_timeout
        self._open = True  # frames are accepted
        self._finished = False  # the last frame has been accepted
        self._closed = False
        self._broken: BaseException | None = None
        self._backlog: Backlog | None = None
        self._in_flight = 0  # bytes inside the stream's send_all (TLS)
        self._writing = False  # the writer task exists
        self._corks = 0
        self._more = False  # the last read filled its buffer
        self._flushed: trio.Event | None = None
        self.frames_out = 0
        self.bytes_out = 0
        self.frames_dropped = 0
        self._direct: Callable[[bytes], int] | None = None
        self._allow_direct()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "broken" if self._broken else "open"
        return f"<Outbox {state}, {self.frames_out} frames out, {self.queued_bytes} bytes queued>"

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
            self._queue_rest(frame, sent)

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

    # -- trio.abc.Stream ------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Reads what there is, at most `max_bytes` (64 KiB by default); b"" at the end.

        Raises trio.BrokenResourceError where the peer is gone, trio.ClosedResourceError once
        closed.
        """
        if self._socket is None:
            assert self._stream is not None
            return await self._stream.receive_some(max_bytes or _RECEIVE_SIZE)
        size = max_bytes or _RECEIVE_SIZE
        # Almost always there is nothing yet: waiting first spares the failing read that Trio's own
        # stream begins with. Only after a full buffer more is likely.
        while True:
            if self._closed:
                raise trio.ClosedResourceError("this connection is closed")
            if self._more:
                self._more = False
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._socket)
            try:
                data = self._socket.recv(size)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error
            self._more = len(data) == size
            return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queues `data` as one control frame, in order, and waits until all that waits is written.

        Cancelling the wait does not unsend it. Raises trio.ClosedResourceError,
        trio.BrokenResourceError.
        """
        self._check_usable()
        self.push_control(bytes(data))
        await self.wait_send_all_might_not_block()
        if self._broken is not None:
            raise trio.BrokenResourceError("the peer is gone") from self._broken

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until nothing waits to be written, or nothing can be any more."""
        if self._backlog is None:
            await trio.lowlevel.checkpoint()
        while self._backlog is not None:
            if self._flushed is None:
                self._flushed = trio.Event()
            await self._flushed.wait()

    async def aclose(self) -> None:
        """`close_after_flush` with the timeout given at construction."""
        await self.close_after_flush(self._close_timeout)

    async def close_after_flush(self, timeout: float, *, lingering: bool = True) -> None:
        """Writes what waits, lets the peer read it, closes; in any case after `timeout` seconds.

        A socket closed with unread input would reset the connection and may take our last frame
        with it, so the sending side is shut first and what still comes is read and forgotten until
        the peer closes (unless another task reads: then that one sees the end). With
        `lingering=False`, for a peer that has said its last word, it closes as soon as everything
        is written. When cancelled, it closes at once.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._open = False
        self._finished = True
        self._direct = None
        while self._corks:
            self.uncork()
        try:
            if self._broken is None:
                with trio.move_on_after(timeout):
                    await self._flush_and_linger(lingering=lingering)
        finally:
            self._close()
            if self._stream is not None:
                await trio.aclose_forcefully(self._stream)

    # -- the queue ------------------------------------------------------------------------------

    def _queue(self, frame: bytes, key: Hashable | None, *, control: bool = False) -> None:
        if not self._open:
            self.frames_dropped += 1
            return
        if self._excess(frame) > 0 and not self._make_room(frame, control=control):
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

    def _queue_rest(self, frame: bytes, sent: int) -> None:
        self._backlog = Backlog()
        if sent:
            self._backlog.append_rest(memoryview(frame)[sent:])
        else:
            self._backlog.append(frame)
        self._direct = None
        self._start_writer()

    def _excess(self, frame: bytes) -> int:
        if not self._limit or not self.queued_bytes:
            return 0
        return self.queued_bytes + len(frame) - self._limit

    def _make_room(self, frame: bytes, *, control: bool) -> bool:
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

    # -- the end --------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        if self._closed or self._finished:
            raise trio.ClosedResourceError("this connection is closed for sending")
        if self._broken is not None or not self._open:
            raise trio.BrokenResourceError("the peer is gone") from self._broken

    async def _flush_and_linger(self, *, lingering: bool) -> None:
        await self.wait_send_all_might_not_block()
        if self._broken is not None:
            return
        if self._stream is not None:
            await self._stream.aclose()
            return
        assert self._socket is not None
        if lingering:
            await linger(self._socket)

    def _close(self) -> None:
        self._closed = True
        if self._socket is not None:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        self._break(trio.ClosedResourceError("this connection is closed"))
