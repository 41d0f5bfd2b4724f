"""`Endpoint`: what the outside reaches (Phoenix: `Phoenix.Endpoint`). One port for WebSockets,
static files and `/health`.

    Endpoint (one_for_one)
    ├── Places              gives back what the dead held at their addresses (limits)
    ├── PubSub              if nobody else has started it
    ├── channels            DynamicSupervisor: a process for each joined topic of each connection
    ├── connections         DynamicSupervisor: a process for each connection
    ├── TlsReloader         if there is a certificate: reads it again on SIGHUP
    ├── Listener
    └── Drainer             started last, stopped first
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Hashable, Mapping
from typing import Any, Literal

from actors import Pid, spawn_link
from channels import fastlane
from channels.endpoint.config import (
    DEFAULT_ENGINE,
    DrainOptions,
    MountOption,
    PublicUrl,
    configure,
)
from channels.endpoint.drainer import Drainer
from channels.endpoint.listener import start_listener
from channels.endpoint.origin import OriginOption
from channels.endpoint.places import Places
from channels.endpoint.services import Services
from channels.endpoint.static import StaticFiles
from channels.endpoint.tls import TLS
from channels.endpoint.tls_reload import TlsReloader
from channels.messages import Broadcast
from channels.multiplexer import TopicInfo
from channels.pubsub import PubSub
from channels.serializers import DEFAULT_SERIALIZERS, Serializers
from channels.transports.connection import DISCONNECT, ConnectionStatistics
from channels.transports.limits import Limits
from channels.transports.limits_addresses import Gatekeeper, GatekeeperStatistics
from supervisors import INFINITY, ChildSpec, DynamicSupervisor, Supervisor

__all__ = ("Endpoint",)


class Endpoint:
    """Sockets at their paths, on one port. An entity and a child: list it in a supervision tree.

    - `sockets`: path to `UserSocket` class, or to a `Mount` of it with options; `/socket` serves
      the WebSocket at `/socket/websocket`. A segment may be a variable: `/ws/:user_id`.
    - `host`, `port`: where to listen; port 0 takes a free one, see `url`.
    - `tls`: the certificate, for https and wss: a `TLS`, or an `ssl.SSLContext`.
    - `pubsub`: where channels subscribe; started by the endpoint unless it already runs.
    - `static`: a folder whose files are served, `index.html` for `/`.
    - `check_origin`: which web pages may connect (`origin.CheckOrigin`). True, the default where a
      `public_host` is given, wants that host; "conn", the default where none is, wants scheme, host
      and port of the request itself.
    - `public_host`, `public_scheme`, `public_port`: how browsers reach the endpoint. Behind a proxy
      that ends TLS give `public_scheme="https"`, and a `public_port` if it is not 443 and the proxy
      leaves it out of the Host header.
    - `engine`: the WebSocket library: "trio-websocket", "wsproto" or "websockets".
    - `limits`: what one connection, and what all from one address may do (`transports.limits`).
    - `drainer`: how clients are sent away when the endpoint stops; None or False: they are not, and
      each connection then ends with its supervisor.
    - `name`: its id in a supervision tree; give the second endpoint of one tree another.

    Raises `InvalidMountError`, `InvalidRouteError`, `NotADirectoryError`, `TypeError`,
    `ValueError`.
    """

    def __init__(
        self,
        sockets: Mapping[str, MountOption],
        *,
        host: str = "127.0.0.1",
        port: int = 4000,
        tls: TLS | ssl.SSLContext | None = None,
        pubsub: PubSub | None = None,
        static: str | os.PathLike[str] | StaticFiles | None = None,
        check_origin: OriginOption | None = None,
        public_host: str | None = None,
        public_scheme: Literal["http", "https"] | None = None,
        public_port: int | None = None,
        serializers: Serializers = DEFAULT_SERIALIZERS,
        engine: str = DEFAULT_ENGINE,
        limits: Limits = Limits(),  # noqa: B008  # a frozen value
        drainer: DrainOptions | Literal[False] | None = DrainOptions(),  # noqa: B008  # a frozen value
        name: str = "endpoint",
    ) -> None:
        self.name = name
        self._config = configure(
            sockets,
            host=host,
            port=port,
            tls=tls,
            static=static,
            check_origin=check_origin,
            public=PublicUrl(public_host, public_scheme, public_port),
            serializers=serializers,
            engine=engine,
            limits=limits,
            drainer=drainer,
        )
        if pubsub is not None and not isinstance(pubsub, PubSub):
            raise TypeError(f"pubsub={pubsub!r}; expected a PubSub, or None for one of its own")
        self.pubsub = pubsub or PubSub()
        self._services = Services(self.pubsub, Gatekeeper(limits.address))
        self._root: Pid | None = None  # its supervisor, the last that was started

    def __repr__(self) -> str:
        return f"<Endpoint {self.url or 'not listening'} {' '.join(self._config.mounts.paths())}>"

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each socket that listens; empty before the endpoint runs."""
        return self._services.addresses

    @property
    def url(self) -> str | None:
        """Where a browser finds it, or None before it runs."""
        if not self.addresses:
            return None
        host, port = self.addresses[0]
        scheme = "http" if self._config.tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    # -- running ---------------------------------------------------------------------------------

    def child_spec(self) -> dict[str, Any]:
        """How a supervisor starts it."""
        return {"id": self.name, "start": (self.start_link, ()), "type": "supervisor"}

    async def start_link(self) -> Pid:
        """Start it under the calling process. Raises `StartError`, for a port that is taken too."""
        config, services = self._config, self._services
        children: list[Any] = [Places.child_spec(services)]
        children += [self.pubsub] if await self._starts_the_pubsub() else []
        if services.poller.available:
            children.append(ChildSpec("poller", self._start_poller))
        children += [
            _supervisor("channels", self._start_channels),
            _supervisor("connections", self._start_connections),
        ]
        if config.tls is not None and config.tls.reloadable:
            children.append(TlsReloader.child_spec(config.tls))
        children.append(ChildSpec("listener", (start_listener, (config, services))))
        if config.drainer is not None:
            shutdown = config.drainer.shutdown + 1.0 if config.drainer.shutdown else INFINITY
            children.append(Drainer.child_spec(services, config.drainer, shutdown=shutdown))
        self._root = await Supervisor.start_link(children)
        return self._root

    async def _starts_the_pubsub(self) -> bool:
        """Not if it runs already. But what is left of this endpoint's own, where its supervisor was
        killed, must end first: it would take the subscriptions with it.
        """
        pid = self.pubsub.pid
        if pid is None:
            return True
        root, ancestors = self._root, getattr(pid.target, "ancestors", ())
        if root is None or root.is_alive() or root not in ancestors:
            return False
        await pid.wait_exited()
        return True

    def _start_poller(self) -> Pid:
        return spawn_link(self._services.poller.run, label="Poller")

    async def _start_channels(self) -> Pid:
        self._services.channels = await DynamicSupervisor.start_link()
        return self._services.channels

    async def _start_connections(self) -> Pid:
        self._services.connections = await DynamicSupervisor.start_link()
        return self._services.connections

    # -- broadcasting ----------------------------------------------------------------------------

    def subscribe(self, topic: str) -> None:
        """Let the calling process receive the topic's broadcasts, as `Broadcast` messages."""
        self.pubsub.subscribe(topic)

    def unsubscribe(self, topic: str) -> None:
        """Undo `subscribe`."""
        self.pubsub.unsubscribe(topic)

    def broadcast(
        self, topic: str, event: str, payload: Any, *, key: Hashable | None = None
    ) -> None:
        """Send `event` to every client that has joined `topic`, on every node. Does not wait.

        `key`: see `Channel.broadcast`.
        """
        self.pubsub.broadcast(topic, Broadcast(topic, event, payload, key), fastlane.dispatch)

    def broadcast_from(self, sender: Pid, topic: str, event: str, payload: Any) -> None:
        """`broadcast` to all but `sender`, a channel's or subscriber's process."""
        message = Broadcast(topic, event, payload)
        self.pubsub.broadcast_from(sender, topic, message, fastlane.dispatch)

    def local_broadcast(self, topic: str, event: str, payload: Any) -> None:
        """`broadcast` on this node only."""
        self.pubsub.local_broadcast(topic, Broadcast(topic, event, payload), fastlane.dispatch)

    def local_broadcast_from(self, sender: Pid, topic: str, event: str, payload: Any) -> None:
        """`broadcast_from` on this node only."""
        message = Broadcast(topic, event, payload)
        self.pubsub.local_broadcast_from(sender, topic, message, fastlane.dispatch)

    def disconnect(self, socket_id: str) -> None:
        """Close every connection whose `UserSocket.id` is `socket_id`, on every node, with 1001."""
        self.broadcast(socket_id, DISCONNECT, {})

    # -- looking inside (Phoenix.Debug) ----------------------------------------------------------

    def statistics(self) -> GatekeeperStatistics:
        """Connections of this node, and how often which limit was exceeded."""
        return self._services.gatekeeper.statistics()

    def list_sockets(self) -> dict[Pid, ConnectionStatistics]:
        """Every WebSocket of this node, by its connection's process."""
        websockets = self._services.websockets
        return {pid: connection.statistics() for pid, connection in websockets.items()}

    def list_channels(self, socket: Pid) -> tuple[TopicInfo, ...]:
        """The topics of one WebSocket, oldest join first. Raises LookupError where it is none."""
        connection = self._services.websockets.get(socket)
        if connection is None:
            raise LookupError(f"{socket!r} is no connection of this endpoint that is alive")
        return connection.statistics().topics

    def reload_certificate(self) -> None:
        """Read the TLS files again, as SIGHUP does.

        Raises OSError, `ssl.SSLError`; then the old certificate stays in use. Does nothing without
        TLS, or with a context of one's own.
        """
        if self._config.tls is not None:
            self._config.tls.reload()


def _supervisor(name: str, start: Any) -> ChildSpec:
    return ChildSpec.of({"id": name, "start": (start, ()), "type": "supervisor"})
