"""The running parts of an endpoint that its connections need: where their channels live.

Owner: the endpoint; its start functions write the pids, also when a part is restarted. The listener
writes its sockets, the drainer says that nobody is let in any more, and each WebSocket's process
enters and removes itself.
"""

from __future__ import annotations

import attrs
import trio

from actors import Pid
from channels.pubsub import PubSub
from channels.transports.connection import Connection

__all__ = ("Services",)


@attrs.define(eq=False)
class Services:
    """What the endpoint's children tell each other."""

    pubsub: PubSub
    channels: Pid | None = None
    connections: Pid | None = None
    addresses: tuple[tuple[str, int], ...] = ()  # where the listener listens
    listeners: list[trio.SocketListener] = attrs.field(factory=list)
    draining: bool = False
    websockets: dict[Pid, Connection] = attrs.field(factory=dict)  # those past the upgrade

    def channel_supervisor(self) -> Pid:
        """The supervisor of all channels. It is started before anything that asks for it."""
        assert self.channels is not None
        return self.channels

    def connection_supervisor(self) -> Pid:
        """The supervisor of all connections. It is started before anything that asks for it."""
        assert self.connections is not None
        return self.connections

    def stop_listening(self) -> None:
        """From now on the operating system refuses new connections."""
        self.draining = True
        for listener in self.listeners:
            listener.socket.close()
