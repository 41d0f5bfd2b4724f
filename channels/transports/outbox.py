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

from collections.abc import Callable

import trio

from channels.transports.backlog import Disconnect, OverflowPolicy
from channels.transports.sockets import linger, linger_encrypted
from channels.transports.writer import DEFAULT_LIMIT, OutboxStatistics, Spawn, Writer

__all__ = ("DEFAULT_LIMIT", "Outbox", "OutboxStatistics", "Spawn")

# What one read asks for. The buffer is allocated once there is something to read, and shrunk to it.
# Measured: a small message costs 1.3 us to read with 4, 16 or 64 KiB and 25 us with 256 (a mapping
# of its own); 200 KB cost 100, 40, 13 and 8 us.
_RECEIVE_SIZE = 64 * 1024


class Outbox(Writer, trio.abc.Stream):
    """The stream of a connection, and the queue in front of it.

    `stream` is taken over: a `trio.SocketStream` must not be used by anybody else from now on, any
    other stream is only used through the outbox. `spawn(async_function)` starts the writer task, as
    `nursery.start_soon` does; only the end of the connection may cancel it. `limit` bounds the
    waiting bytes (0: no bound); one frame is accepted whatever its size when nothing else waits.
    `close_timeout` is how many seconds `aclose` may take.
    """

    __slots__ = ("_close_timeout", "_more")  # one for each connection

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        spawn: Spawn,
        limit: int = DEFAULT_LIMIT,
        policy: OverflowPolicy = Disconnect(),  # noqa: B008  # a frozen value
        on_overflow: Callable[[Writer], object] | None = None,
        on_broken: Callable[[BaseException], object] | None = None,
        close_timeout: float = 5.0,
    ) -> None:
        super().__init__(
            stream,
            spawn=spawn,
            limit=limit,
            policy=policy,
            on_overflow=on_overflow,
            on_broken=on_broken,
        )
        self._close_timeout = close_timeout
        self._more = False  # the last read filled its buffer

    def __repr__(self) -> str:
        state = "closed" if self._closed else "broken" if self._broken else "open"
        return f"<Outbox {state}, {self.frames_out} frames out, {self.queued_bytes} bytes queued>"

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
            if lingering:
                await linger_encrypted(self._stream)
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
