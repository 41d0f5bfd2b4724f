"""A swarm: many connections of one dialect to one server, opened, kept alive, closed together."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable

from benchmarks.load.dialects import Dialect
from benchmarks.load.framing import CLOSE, Frames, handshake, masked

BATCH = 64  # connections that are opened side by side: below every listener's backlog
PATIENCE = 30.0  # seconds that a server may take for one step of opening


class LoadError(Exception):
    """The server did not do what the load asked for."""


class Connection:
    """One client: its socket and the rest of a frame that has not wholly arrived."""

    __slots__ = ("frames", "sent_at", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.frames = Frames()
        self.sent_at = 0  # nanoseconds; when the question that is under way was asked


class Swarm:
    """Owns the connections and the epoll that watches them."""

    def __init__(self, host: str, port: int, dialect: Dialect) -> None:
        self._address = (host, port)
        self.dialect = dialect
        self.connections: dict[int, Connection] = {}  # file descriptor -> connection
        self.epoll = select.epoll()
        self.buffer = bytearray(1 << 18)
        self._heartbeat_at = time.monotonic()

    def open(self, count: int, dialect: Dialect | None = None) -> None:
        """Open `count` more connections, greeted and joined as `dialect` does it."""
        for first in range(0, count, BATCH):
            self._open_batch(min(BATCH, count - first), dialect or self.dialect)
        self.drain()

    def _open_batch(self, count: int, dialect: Dialect) -> None:
        host, port = self._address
        batch = []
        for _ in range(count):
            connected = socket.create_connection(self._address, PATIENCE)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.sendall(handshake(host, port, dialect.path))
            batch.append(Connection(connected))
        for connection in batch:
            read_head(connection.socket, connection.frames)
        greetings = [dialect.greetings() for _ in batch]
        for step in zip(*greetings, strict=True):
            for connection, (message, _) in zip(batch, step, strict=True):
                connection.socket.sendall(masked(message))
            for connection, (_, answer) in zip(batch, step, strict=True):
                read_until(connection.socket, connection.frames, answer)
        for connection in batch:
            connection.socket.setblocking(False)
            self.connections[connection.socket.fileno()] = connection
            self.epoll.register(connection.socket.fileno(), select.EPOLLIN)

    def close(self, connections: Iterable[Connection] | None = None) -> None:
        """Close `connections`, or all of them, without waiting for the server's answer."""
        for connection in list(self.connections.values() if connections is None else connections):
            fd = connection.socket.fileno()
            self.epoll.unregister(fd)
            del self.connections[fd]
            connection.socket.close()

    def ask(self, connection: Connection) -> bytes:
        """One question on one connection; the message that answers it."""
        connection.socket.setblocking(True)
        connection.socket.sendall(masked(self.dialect.ask()))
        reply = read_until(connection.socket, connection.frames, b"phx_reply")
        connection.socket.setblocking(False)
        return reply

    def keep_alive(self) -> None:
        """Send every connection's heartbeat if the last one was more than 15 seconds ago."""
        heartbeat = self.dialect.heartbeat()
        if heartbeat is None or time.monotonic() - self._heartbeat_at < 15.0:
            return
        self._heartbeat_at = time.monotonic()
        frame = masked(heartbeat)
        for connection in self.connections.values():
            connection.socket.send(frame)
        self.drain()

    def drain(self, quiet: float = 0.1) -> None:
        """Read and drop whatever arrives until nothing has arrived for `quiet` seconds."""
        while events := self.epoll.poll(quiet):
            for fd, _ in events:
                self.frames_of(self.connections[fd])

    def frames_of(self, connection: Connection) -> list[tuple[int, bytes]]:
        """Read once; the frames that are complete now. Raises LoadError if the server closed."""
        size = connection.socket.recv_into(self.buffer)
        return self.split(connection, size)

    def split(self, connection: Connection, size: int) -> list[tuple[int, bytes]]:
        """The frames in the first `size` bytes of the buffer, read from `connection`."""
        frames = connection.frames.feed(bytes(memoryview(self.buffer)[:size]))
        closing = next((payload for opcode, payload in frames if opcode == CLOSE), None)
        if size == 0 or closing is not None:
            raise LoadError(f"the server closed a connection: {closing or b'end of stream'!r}")
        return frames


def read_head(connected: socket.socket, frames: Frames) -> None:
    """Read the answer to a handshake; raises LoadError unless it is 101."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connected.recv(4096)
        if not data:
            raise LoadError(f"the server ended the handshake: {head[:100]!r}")
        head += data
    status, _, _ = head.partition(b"\r\n")
    if b" 101 " not in status + b" ":
        raise LoadError(f"the server refused the upgrade: {status.decode(errors='replace')}")
    frames.feed(head.partition(b"\r\n\r\n")[2])


def read_until(connected: socket.socket, frames: Frames, answer: bytes) -> bytes:
    """Read messages until one contains `answer`, and return that one."""
    while True:
        data = connected.recv(65_536)
        if not data:
            raise LoadError(f"the server closed instead of answering {answer!r}")
        for _, payload in frames.feed(data):
            if answer in payload:
                return payload
