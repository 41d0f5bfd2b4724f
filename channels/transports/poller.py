"""`Poller`: one task that waits for all plain sockets of an endpoint, and lets each connection read
what has come.

A task for each connection would be woken by Trio for each message: a system call to wait for it,
one to find that there is nothing more, a task switch through frames that have been cold for half a
minute. Here the sockets stay registered with an epoll of our own, which is the one thing that Trio
waits for, and a connection reads in the step of this task.

It is also what keeps a busy client from being served before the others. Who brought more than one
turn's worth of messages stands in line behind all whose messages have just come, and gets another
turn when they have had theirs; until it has caught up, nothing more is read from it, so TCP slows
it down. A step of this task that has lasted `SECONDS_PER_STEP` lets the rest of the node run.

Owner of the epoll and of the line: this object. The process that runs it may fall and be started
again without any connection noticing. Linux only: elsewhere, and under TLS, each connection waits
in its own task.
"""

from __future__ import annotations

import select
from time import perf_counter
from typing import Any, Final, Protocol

import trio

__all__ = ("Poller", "Reader")

SECONDS_PER_STEP: Final = 0.000_25
"""After this long, the other tasks of the node have a turn."""

_EVENTS: Final = 64
"""Sockets that one look at the epoll may name."""


class Reader(Protocol):
    """A connection, as the poller sees it. Neither verb may wait or raise."""

    def fileno(self) -> int:
        """The file descriptor of its socket."""

    def read(self) -> bool:
        """Something has come, or the peer is gone: read once, handle one turn's worth. Is any of
        what was read left over?
        """

    def go_on(self) -> bool:
        """Handle another turn's worth of what is left over. Is there still something left?"""


class Poller:
    """See the module."""

    available: Final = hasattr(select, "epoll")

    def __init__(self) -> None:
        self._epoll: Any = select.epoll() if self.available else None
        self._readers: dict[int, Reader] = {}  # by file descriptor
        self._behind: dict[Reader, None] = {}  # in their order; their sockets are not watched

    def __repr__(self) -> str:
        return f"<Poller sockets={len(self._readers)} behind={len(self._behind)}>"

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, reader: Reader) -> None:
        """From now on `reader` reads when something comes."""
        fd = reader.fileno()
        self._readers[fd] = reader
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, reader: Reader) -> None:
        """It reads no more. To be called before its socket is closed."""
        fd = reader.fileno()
        if self._readers.get(fd) is not reader:
            return
        del self._readers[fd]
        if reader in self._behind:
            del self._behind[reader]
        else:
            self._epoll.unregister(fd)

    async def run(self) -> None:
        """Serve them all, for ever. In a process of the endpoint."""
        epoll = self._epoll
        while True:
            if self._behind:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(epoll.fileno())
            ends = perf_counter() + SECONDS_PER_STEP
            for fd, _ in epoll.poll(0, _EVENTS):
                reader = self._readers.get(fd)
                if reader is None:
                    continue  # removed by one of those before it
                behind = reader.read()
                if behind:
                    self._fall_behind(fd, reader)
                if behind or perf_counter() > ends:
                    await trio.lowlevel.checkpoint()
                    ends = perf_counter() + SECONDS_PER_STEP
            self._catch_up(ends)

    def _fall_behind(self, fd: int, reader: Reader) -> None:
        if self._readers.get(fd) is reader:
            self._epoll.unregister(fd)
            self._behind[reader] = None

    def _catch_up(self, ends: float) -> None:
        """One of those that are behind gets a turn at least, each of them one at the most."""
        for reader in list(self._behind):
            left = reader.go_on()
            if reader in self._behind:  # it has not been removed
                del self._behind[reader]
                if left:
                    self._behind[reader] = None  # behind the others
                else:
                    self._epoll.register(reader.fileno(), select.EPOLLIN)
            if perf_counter() > ends:
                return
