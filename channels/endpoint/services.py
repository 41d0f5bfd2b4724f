"""The running parts of an endpoint that its connections need: where their channels live.

Owner: the endpoint; its start functions write the pids, also when a part is restarted. The listener
writes its sockets, the drainer says that nobody is let in any more, and the start functions of
connections and long poll sessions enter them; `Places` removes them when they have ended.
"""

from __future__ import annotations

import os

import attrs
import trio

from actors import Pid
from channels.pubsub import PubSub
from channels.token import Token
from channels.transports.connection import Connection
from channels.transports.limits_addresses import Gatekeeper
from channels.transports.longpoll_session import LongPollSession
from channels.transports.poller import Poller

__all__ = ("Services",)


@attrs.define(eq=False)
class Services:
    """What the endpoint's children tell each other."""

    pubsub: PubSub
    gatekeeper: Gatekeeper
    channels: Pid | None = None
    connections: Pid | None = None
    addresses: tuple[tuple[str, int], ...] = ()  # where the listener listens
    listeners: list[trio.SocketListener] = attrs.field(factory=list, repr=False)
    draining: bool = False
    poller: Poller = attrs.field(factory=Poller)
    """Reads for the connections that it can read for; its process is a child of the endpoint."""
    sessions: dict[str, LongPollSession] = attrs.field(factory=dict, repr=False)  # by their token
    tokens: Token = attrs.field(factory=lambda: Token(os.urandom(32)), repr=False)
    """Signs long poll sessions, which live as long as this process at most."""
    # Those past the upgrade; not in the repr, which reports of supervisors contain.
    websockets: dict[Pid, Connection] = attrs.field(factory=dict, repr=False)
    session_keys: dict[Pid, str] = attrs.field(factory=dict, repr=False)  # those of `sessions`
    unserved: dict[Pid, trio.SocketStream] = attrs.field(factory=dict, repr=False)
    """The streams of connections that have not taken their first step."""

    def process_ended(self, pid: Pid) -> None:
        """A process of the node is dead: what was entered here for it is removed."""
        keeper = self.gatekeeper
        if keeper.give_topic_back(pid) or not keeper.holds(pid):
            return
        keeper.gone(pid, trio.current_time())
        self.websockets.pop(pid, None)
        if (key := self.session_keys.pop(pid, None)) is not None:
            del self.sessions[key]
        if (stream := self.unserved.pop(pid, None)) is not None:
            stream.socket.close()

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
