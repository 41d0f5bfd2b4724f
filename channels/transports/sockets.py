"""Plain sockets under Trio: what a connection needs that `trio.SocketStream` does not offer."""

import contextlib
import socket

import trio

__all__ = ("linger", "linger_encrypted", "take_over")

_DISCARD_SIZE = 64 * 1024


def take_over(stream: trio.SocketStream) -> socket.socket:
    """Returns the plain non-blocking socket of a stream, without a second descriptor.

    A synchronous `send` is what Trio's sockets do not have. Taking the descriptor out of Trio's
    socket and into one of ours leaves one owner: once it is closed, a late `send` fails on it
    instead of hitting whoever got the same number next. The stream is of no use afterwards.
    """
    theirs = stream.socket
    family, kind, proto = theirs.family, theirs.type, theirs.proto
    ours = socket.socket(family, kind, proto, fileno=theirs.detach())
    ours.setblocking(False)
    return ours


async def linger(sock: socket.socket) -> None:
    """Shuts the sending side, then reads and forgets until the peer closes too.

    A socket closed with unread input resets the connection and may take our last words with it.
    The caller sets the deadline. Returns at once where the peer is gone or another task reads: then
    that one sees the end.
    """
    with contextlib.suppress(OSError, trio.BusyResourceError, trio.ClosedResourceError):
        sock.shutdown(socket.SHUT_WR)
        while True:
            await trio.lowlevel.wait_readable(sock)
            with contextlib.suppress(BlockingIOError):
                if not sock.recv(_DISCARD_SIZE):
                    return


async def linger_encrypted(stream: trio.abc.Stream) -> None:
    """`linger` on the socket under a TLS stream; does nothing for streams of another kind."""
    if not isinstance(stream, trio.SSLStream):
        return
    plain = stream.transport_stream
    if isinstance(plain, trio.SocketStream):
        with contextlib.suppress(
            trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError
        ):
            await plain.send_eof()
            while await plain.receive_some(_DISCARD_SIZE):
                pass
