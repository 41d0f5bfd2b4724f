"""`PubSub`: the subscription table of a node, and the ways into it.

At most once; in order for each broadcasting process. The table changes only in synchronous steps,
and a process that ends leaves it in the step in which it dies, so there are no stale entries. When
PubSub's own process ends, by whatever way, every subscriber gets its exit signal, so that none
believes to be subscribed when it is not. What is done with a message is the dispatcher's, an
argument: PubSub knows nothing of channels.

A topic of more than `CHUNK` subscribers is not dispatched in one go, which would hold up every
other process: PubSub's own process does it in parts and lets others run between them. Until it has
caught up, all broadcasts go through it and so stay in order; those that have come meanwhile for the
same subscribers, one right behind the other, it dispatches together. The broadcasting process's own
subscriptions are served at once all the same, and those of its siblings, the other channels of its
connection: what it pushes next must come after its broadcast. Who has left when its part is served
gets nothing any more.

Source: `Phoenix.PubSub`, whose registry dispatches in the broadcasting process too and is linked to
its subscribers.
"""

from __future__ import annotations

from typing import Any

import attrs

from actors import Node, Pid, self_pid
from actors.context import current
from actors.process import Process
from channels.exceptions import ChannelsError
from channels.pubsub.adapter import (
    Adapter,
    BatchDispatcher,
    Dispatcher,
    Subscription,
    send_to_each,
)
from channels.pubsub.local import LocalAdapter
from channels.pubsub.server import CHUNK, Job, PubSubServer
from supervisors import Strategy, Supervisor

__all__ = ("CHUNK", "PubSub", "PubSubNotStartedError", "PubSubStatistics")


class PubSubNotStartedError(ChannelsError, RuntimeError):
    """`subscribe` or `broadcast` before the PubSub runs in a node."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"PubSub {name!r} is not started: list it as a child of your supervision tree "
            "(an Endpoint starts its own)"
        )


@attrs.frozen
class PubSubStatistics:
    """A snapshot: topics with subscribers, subscriptions, broadcasts that wait for their turn."""

    topics: int
    subscriptions: int
    waiting_broadcasts: int


class PubSub:
    """Topics and their subscribers on this node; `adapter` carries broadcasts to other nodes.

    An entity and a child: list it in a supervision tree. `name` is for logs.
    """

    def __init__(self, name: str = "pubsub", *, adapter: Adapter | None = None) -> None:
        self.name = name
        self._adapter: Adapter = adapter or LocalAdapter()
        self._topics: dict[str, dict[Subscription, None]] = {}
        self._topics_of: dict[Pid, list[tuple[str, Subscription]]] = {}
        self._crowds: dict[str, tuple[Subscription, ...]] = {}  # of large topics, until one changes
        self._node: Node | None = None
        self._process: Process | None = None  # of the server
        self._server: Pid | None = None
        self._waiting = 0  # broadcasts handed to the server and not yet finished

    def __repr__(self) -> str:
        return f"<PubSub {self.name!r} topics={len(self._topics)}>"

    def statistics(self) -> PubSubStatistics:
        """Numbers for tests, telemetry and the dashboard."""
        return PubSubStatistics(
            len(self._topics), sum(map(len, self._topics.values())), self._waiting
        )

    @property
    def node_name(self) -> str:
        """What the other nodes call this one."""
        return self._adapter.node_name

    @property
    def pid(self) -> Pid | None:
        """Its own process, whose end is the end of all subscriptions; None before it is started."""
        return self._server

    @property
    def started(self) -> bool:
        """Does it run in a node?"""
        return self._server is not None

    def child_spec(self) -> Any:
        """The processes of this PubSub: its own, then the adapter's; rest_for_one as in Phoenix."""
        own = PubSubServer.child_spec(self, id=("pubsub", self.name))
        adapters = self._adapter.child_spec(self.local_broadcast)
        if adapters is None:
            return own
        return Supervisor.child_spec(
            [own, adapters], id=("pubsub", self.name), strategy=Strategy.REST_FOR_ONE
        )

    # -- subscribing -----------------------------------------------------------------------------

    def subscribe(self, topic: str, metadata: Any = None, *, pid: Pid | None = None) -> None:
        """Subscribe a process, the calling one unless `pid` is given; twice means that it gets
        everything twice; of the dead, nothing.

        `metadata` is for the dispatcher. Raises `PubSubNotStartedError`.
        """
        self._check_started()
        pid = pid or self_pid()
        if not pid.is_alive():
            return  # it would stay for ever: the end that removes it has been
        subscription = Subscription(pid, metadata)
        self._crowds.pop(topic, None)
        self._topics.setdefault(topic, {})[subscription] = None
        self._topics_of.setdefault(pid, []).append((topic, subscription))

    def unsubscribe(self, topic: str) -> None:
        """Remove all subscriptions of the calling process to `topic`; none is not an error."""
        pid = self_pid()
        mine = self._topics_of.get(pid, ())
        kept = [entry for entry in mine if entry[0] != topic]
        for name, subscription in mine:
            if name == topic:
                self._remove(topic, subscription)
        if kept:
            self._topics_of[pid] = kept
        else:
            self._topics_of.pop(pid, None)

    def subscribers(self, topic: str) -> tuple[Subscription, ...]:
        """The subscriptions to `topic` on this node, oldest first."""
        return tuple(self._topics.get(topic, ()))

    # -- broadcasting ----------------------------------------------------------------------------

    def broadcast(self, topic: str, message: Any, dispatcher: Dispatcher = send_to_each) -> None:
        """Deliver `message` to every subscriber on every node. Does not wait."""
        self._adapter.broadcast(topic, message, dispatcher)
        self._dispatch(topic, None, message, dispatcher)

    def broadcast_from(
        self, sender: Pid, topic: str, message: Any, dispatcher: Dispatcher = send_to_each
    ) -> None:
        """`broadcast` to all but `sender`."""
        self._adapter.broadcast(topic, message, dispatcher)
        self._dispatch(topic, sender, message, dispatcher)

    def local_broadcast(
        self, topic: str, message: Any, dispatcher: Dispatcher = send_to_each
    ) -> None:
        """`broadcast` on this node only."""
        self._dispatch(topic, None, message, dispatcher)

    def local_broadcast_from(
        self, sender: Pid, topic: str, message: Any, dispatcher: Dispatcher = send_to_each
    ) -> None:
        """`broadcast_from` on this node only."""
        self._dispatch(topic, sender, message, dispatcher)

    def direct_broadcast(
        self, node_name: str, topic: str, message: Any, dispatcher: Dispatcher = send_to_each
    ) -> None:
        """Deliver to the subscribers of one node only."""
        if node_name == self.node_name:
            self._dispatch(topic, None, message, dispatcher)
        else:
            self._adapter.direct_broadcast(node_name, topic, message, dispatcher)

    def _dispatch(
        self, topic: str, sender: Pid | None, message: Any, dispatcher: Dispatcher
    ) -> None:
        self._check_started()
        subscriptions = self._topics.get(topic)
        if not subscriptions:
            return
        if len(subscriptions) <= CHUNK and not self._waiting:
            # A copy: whoever reacts by leaving must not disturb the walk.
            dispatcher(tuple(subscriptions), sender, message)
        else:
            self._dispatch_in_parts(topic, sender, message, dispatcher)

    def _dispatch_in_parts(
        self, topic: str, sender: Pid | None, message: Any, dispatcher: Dispatcher
    ) -> None:
        everyone = self._crowd(topic)
        if isinstance(dispatcher, BatchDispatcher):
            message = dispatcher.prepare(everyone, message)
        own = self._own(topic, dispatcher)
        if own:
            dispatcher(own, sender, message)
            served = {entry.pid for entry in own} | {sender} - {None}
            if len(served) == 1:
                [sender] = served
            else:
                everyone = tuple(entry for entry in everyone if entry.pid not in served)
        self._waiting += 1
        assert self._server is not None  # checked by _dispatch
        self._server.cast(Job(topic, everyone, sender, message, dispatcher))

    def _own(self, topic: str, dispatcher: Dispatcher) -> list[Subscription]:
        """The subscriptions of the calling process and of its siblings."""
        here = current.get(None)
        if here is None:  # a broadcast from elsewhere in the program
            return []
        pids = {here.pid: None}
        if isinstance(dispatcher, BatchDispatcher):
            pids.update(dict.fromkeys(dispatcher.siblings(here.server)))
        return [
            entry for pid in pids for name, entry in self._topics_of.get(pid, ()) if name == topic
        ]

    def _crowd(self, topic: str) -> tuple[Subscription, ...]:
        """All subscriptions to `topic`: the same tuple until one comes or goes."""
        crowd = self._crowds.get(topic)
        if crowd is None:
            crowd = tuple(self._topics[topic])
            if len(crowd) > CHUNK:
                self._crowds[topic] = crowd
        return crowd

    # -- for its process -------------------------------------------------------------------------

    def attach(self, node: Node, process: Process) -> None:
        """The PubSub's process runs: from now on processes may subscribe."""
        self._node, self._process, self._server = node, process, process.pid
        node.on_exit(self._forget)

    def without_who_left(
        self, topic: str, crowd: tuple[Subscription, ...], part: tuple[Subscription, ...]
    ) -> tuple[Subscription, ...]:
        """`part` of a crowd as it was when a broadcast was made."""
        if self._crowds.get(topic) is crowd:
            return part
        there = self._topics.get(topic, {})
        return tuple(entry for entry in part if entry in there)

    def jobs_done(self, server: Pid, count: int) -> None:
        """So many broadcasts that were dispatched in parts are complete."""
        if server is self._server:
            self._waiting -= count

    def _forget(self, pid: Pid) -> None:
        for topic, subscription in self._topics_of.pop(pid, ()):
            self._remove(topic, subscription)
        if pid is self._server:
            self._close(pid)

    def _close(self, server: Pid) -> None:
        """Its process has ended: who is subscribed dies of it as by a link, and may come back."""
        assert self._node is not None
        assert self._process is not None
        reason, subscribers = self._process.exit_reason, list(self._topics_of)
        self._node.remove_exit_listener(self._forget)
        self._node = self._process = self._server = None
        self._waiting = 0
        self._topics.clear()
        self._crowds.clear()
        self._topics_of.clear()
        for pid in subscribers:
            pid.target.receive_exit(server, reason, linked=True)

    def _remove(self, topic: str, subscription: Subscription) -> None:
        subscriptions = self._topics[topic]
        del subscriptions[subscription]
        self._crowds.pop(topic, None)
        if not subscriptions:
            del self._topics[topic]

    def _check_started(self) -> None:
        if self._server is None:
            raise PubSubNotStartedError(self.name)
