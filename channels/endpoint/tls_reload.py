"""Reading certificates again on SIGHUP, for all endpoints of a node.

Handlers of signals stack up: who removes one restores what was there when he came. So there is one
receiver for the node, which no endpoint owns: it begins with the first endpoint that has a
certificate and ends with the last. Each of them has a `TlsReloader`, which tells the receiver what
to read and is linked to it: when the receiver dies, they die and are started again, with a new one.

Owner of the set of certificates: the receiver.
"""

from __future__ import annotations

import signal
import threading
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
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        _serve(certificates)  # whoever has asked waits for it
        async for _ in signals:
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
