"""The running parts of an endpoint that its connections need: where their channels live.

Owner: the endpoint; its start functions write the pids, also when a part is restarted.
"""

from __future__ import annotations

import attrs

from actors import Pid
from channels.pubsub import PubSub

__all__ = ("Services",)


@attrs.define(eq=False)
class Services:
    """What the endpoint's children tell each other."""

    pubsub: PubSub
    channels: Pid | None = None
    connections: Pid | None = None
    addresses: tuple[tuple[str, int], ...] = ()  # where the listener listens

    def channel_supervisor(self) -> Pid:
        """The supervisor of all channels. It is started before anything that asks for it."""
        assert self.channels is not None
        return self.channels

    def connection_supervisor(self) -> Pid:
        """The supervisor of all connections. It is started before anything that asks for it."""
        assert self.connections is not None
        return self.connections
