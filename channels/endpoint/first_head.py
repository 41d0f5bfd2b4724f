"""`FirstHead`: a connection that has not sent the head of its first request yet.

Its process has no task. The endpoint's poller collects what comes, and the process is woken when
there is something to do: a whole head, more than a head may have, what cannot be one, the end, or
the time is up. So thousands of sockets that say nothing cost little, and when they all go, or are
given up, at once, they are woken a few at a time (`actors.waker`).
"""

from __future__ import annotations

import math
import os
from typing import Any, Final

import trio

from actors.deadlines import Place
from actors.process import Process
from channels.transports.connection import Drain
from channels.transports.poller import Poller

__all__ = ("FirstHead",)

_CHUNK: Final = 64 * 1024  # bytes of one read
_LOWEST: Final = 0x21  # h11 refuses at once what begins with less: a handshake of TLS, say


class FirstHead:
    """What the poller knows of such a connection."""

    __slots__ = ("_data", "_deadline", "_fd", "_max_head", "_poller", "_process", "deadlines")

    def __init__(
        self,
        process: Process,
        stream: trio.SocketStream,
        poller: Poller,
        *,
        max_head: int,
        timeout: float,
    ) -> None:
        """`max_head` is in bytes, `timeout` in seconds, or infinite. `process` goes to sleep."""
        self._data = b""
        self._max_head = max_head
        self._process: Process | None = process
        self._fd = stream.socket.fileno()
        self._deadline = trio.current_time() + timeout
        self.deadlines: Place | None = None
        """See `actors.deadlines.Expirable`."""
        if timeout != math.inf:
            process.node.deadlines.add(self, timeout)
        process.handle_in_place(self._on_message)
        self._poller = poller
        poller.add(self)

    def leave(self) -> tuple[bytes, float]:
        """It goes on in a task: what has come until now, and the seconds that are left.

        If nothing has come there is nobody to answer.
        """
        self._stop()
        return self._data, max(0.0, self._deadline - trio.current_time())

    def fileno(self) -> int:
        """See `poller.Reader`."""
        return self._fd

    def read(self) -> bool:
        """See `poller.Reader`."""
        try:
            data = os.read(self._fd, min(self._max_head + 1 - len(self._data), _CHUNK))
        except BlockingIOError:
            return False
        except OSError:  # it is gone, as the task will see for itself
            data = b""
        before = len(self._data)
        self._data += data
        if not data or self._is_for_a_task(before):
            self._wake()
        return False

    def go_on(self) -> bool:
        """See `poller.Reader`."""
        return False

    def _is_for_a_task(self, before: int) -> bool:
        data, start = self._data, max(0, before - 2)
        return (
            data.find(b"\n\r\n", start) >= 0
            or data.find(b"\n\n", start) >= 0
            or data[0] < _LOWEST
            or len(data) > self._max_head
        )

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Drain):
            self._wake()

    def expire(self) -> None:
        """The time is up."""
        self._wake()

    def _wake(self) -> None:
        self._stop()
        if (process := self._process) is not None:
            self._process = None
            process.node.waker.call(process.wake_up)

    def _stop(self) -> None:
        self._poller.remove(self)
        if self.deadlines is not None:
            del self.deadlines[self]
            self.deadlines = None
