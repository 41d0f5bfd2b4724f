"""Reading certificates again on SIGHUP, for all endpoints of all nodes of an OS process.

Handlers of signals stack up: who removes one restores what was there when he came. So there is one
handler for the OS process, `_Hangups`, and one receiver for each node, which no endpoint owns: it
begins with the first endpoint that has a certificate and ends with the last. Each of them has a
`TlsReloader`, which tells the receiver what to read and is linked to it: when the receiver dies,
they die and are started again, with a new one.

Owner of a node's set of certificates: its receiver. Owner of the set of receivers: the handler,
which is found in the table of signals; this belongs to the OS process, and so no node can own it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import structlog
import trio

from actors import NORMAL, Exit, GenServer, NoProcessError, Pid, current_node, whereis
from actors.calls import Call
from actors.process import current_process
from channels.endpoint.tls import TLS

__all__ = ("TlsReloader",)

_log = structlog.get_logger("channels")

RECEIVER: Final = "receiver of SIGHUP"
"""The name of the receiver on its node."""


class TlsReloader(GenServer):
    """The part of an endpoint that has its certificate read again on SIGHUP."""

    async def init(self, tls: TLS) -> None:
        """Returns when a SIGHUP would be heard."""
        while True:
            receiver = whereis(RECEIVER) or _start_receiver()
            try:
                await receiver.call(tls)
            except NoProcessError:  # it is ending, because there was nobody left
                await receiver.wait_exited()
            else:
                return


def _start_receiver() -> Pid:
    """Not linked: it outlives the endpoint that happens to be the first."""
    node = current_node()
    process = node.spawn(_receive, (), label="SighupReceiver", trap_exit=True)
    node.register(RECEIVER, process.pid)
    return process.pid


async def _receive() -> None:
    if threading.current_thread() is not threading.main_thread():
        _serve({})
        await trio.sleep_forever()  # signals reach the main thread only: `reload` is left
    certificates: dict[Pid, TLS] = {}  # by who asked for it
    send, hangups = trio.open_memory_channel[None](1)  # those that come together are one
    with send, hangups, _told_of_hangups(send):
        _serve(certificates)  # whoever has asked waits for it
        async for _ in hangups:
            for tls in set(certificates.values()):
                _reload(tls)


def _serve(certificates: dict[Pid, TLS]) -> None:
    process = current_process()

    def on_message(message: Any) -> None:
        match message:
            case Call(request=TLS() as tls, pid=pid):
                certificates[pid] = tls
                process.link(pid)
                message.resolve(None)
            case Exit(pid=pid):
                known = certificates.pop(pid, None)
                if known is None or not certificates:  # the node ends, or there is nobody left
                    process.begin_exit(NORMAL)

    process.handle_in_place(on_message)


def _reload(tls: TLS) -> None:
    try:
        tls.reload()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        _log.error("certificate not reloaded", tls=repr(tls), problem=str(error))
        return
    _log.info("certificate reloaded", tls=repr(tls))


# -- the signal ----------------------------------------------------------------------------------


@contextmanager
def _told_of_hangups(send: trio.MemorySendChannel[None]) -> Iterator[None]:
    """While this is open every SIGHUP puts an item into the channel. Only in the main thread."""
    token = trio.lowlevel.current_trio_token()

    def tell() -> None:
        with suppress(trio.WouldBlock, trio.ClosedResourceError):
            send.send_nowait(None)

    def on_hangup() -> None:  # between any two bytecodes: Trio takes it from here
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(tell, idempotent=True)

    handler = _Hangups.there()
    handler.add(on_hangup)
    try:
        yield
    finally:
        handler.remove(on_hangup)


class _Hangups:
    """The handler of SIGHUP: tells all receivers. It comes with the first of them, and gives the
    signal back with the last; nodes may come and go in any order.
    """

    def __init__(self, before: Any) -> None:
        self._before = before  # as `signal.getsignal` told it
        self._receivers: list[Callable[[], None]] = []

    @classmethod
    def there(cls) -> _Hangups:
        """The one in the table of signals, or a new one."""
        handler = signal.getsignal(signal.SIGHUP)
        return handler if isinstance(handler, cls) else cls(handler)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        receivers = tuple(self._receivers)
        for tell in receivers:
            tell()
        if not receivers:  # who had come above us has brought us back after our end
            self._give_back()
            signal.raise_signal(number)

    def add(self, tell: Callable[[], None]) -> None:
        """`tell` is called inside the handler, and must not raise."""
        self._receivers.append(tell)
        signal.signal(signal.SIGHUP, self)  # only now: one without receivers leaves at a signal

    def remove(self, tell: Callable[[], None]) -> None:
        """Of somebody else's handler above us nothing is taken away."""
        self._receivers.remove(tell)
        there: object = signal.getsignal(signal.SIGHUP)
        if not self._receivers and there is self:
            self._give_back()

    def _give_back(self) -> None:
        # None: one that is not Python's, which cannot be put back
        before = signal.SIG_DFL if self._before is None else self._before
        signal.signal(signal.SIGHUP, before)
