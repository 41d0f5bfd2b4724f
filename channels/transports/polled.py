"""`Polled`: a connection whose messages are read in the steps of the endpoint's poller.

Its process sleeps meanwhile, without a task, and is woken for the end only. What is read is handled
as that process, whatever task runs; what goes wrong ends that process, never the poller.
"""

from __future__ import annotations

import socket
from typing import Protocol

from actors.context import current
from actors.process import Process
from channels.transports.poller import Poller
from channels.transports.websocket import ConnectionClosed, Inbound, SansIOEngine
from channels.transports.websocket.engine import ABNORMAL

__all__ = ("Polled",)


class TakesTurns(Protocol):
    """Who handles what is read: the connection."""

    def take_turn(self, batch: list[Inbound]) -> bool:
        """Handle what one read brought, one turn's worth. Is something left?"""

    def go_on(self) -> bool:
        """Handle another turn's worth of what is left. Is something left still?"""


class Polled:
    """What the poller knows of one connection."""

    __slots__ = ("_connection", "_engine", "_poller", "_process", "_socket", "end")

    def __init__(
        self,
        connection: TakesTurns,
        process: Process,
        engine: SansIOEngine,
        plain: socket.socket,
        poller: Poller,
    ) -> None:
        self.end: ConnectionClosed | None = None
        """How it has ended, unless by a signal."""
        self._connection = connection
        self._process = process
        self._engine = engine
        self._socket = plain
        self._poller = poller
        poller.add(self)

    def leave(self) -> None:
        """Nothing more is to be read."""
        self._poller.remove(self)

    def fileno(self) -> int:
        """See `poller.Reader`."""
        return self._socket.fileno()

    def read(self) -> bool:
        """See `poller.Reader`."""
        others = current.set(self._process)
        try:
            batch = self._engine.take(self._receive())
            behind = bool(batch) and self._connection.take_turn(batch)
            return behind or self._notice_end()
        except BaseException as error:  # noqa: ASYNC103  # nobody waits in here
            return self._end(error)  # noqa: ASYNC104
        finally:
            current.reset(others)

    def go_on(self) -> bool:
        """See `poller.Reader`."""
        others = current.set(self._process)
        try:
            return self._connection.go_on() or self._notice_end()
        except BaseException as error:  # noqa: ASYNC103  # nobody waits in here
            return self._end(error)  # noqa: ASYNC104
        finally:
            current.reset(others)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(self._engine.read_size)
        except OSError as error:
            raise ConnectionClosed(ABNORMAL, str(error)) from None

    def _notice_end(self) -> bool:
        if self._engine.ended:
            self._engine.take(b"")  # raises
        return False

    def _end(self, error: BaseException) -> bool:
        self._poller.remove(self)
        if isinstance(error, ConnectionClosed):
            self.end = error.with_traceback(None)
            self._process.node.waker.call(self._process.wake_up)
        else:
            self._process.begin_exit(self._process.reason_of_escaped(error))
        return False
