"""`PubSub`: the subscription table of a node, and the ways into it.

At most once; in order for each broadcasting process. The table changes only in synchronous steps,
and a process that ends leaves it in the step in which it dies, so there are no stale entries. What
is done with a message is the dispatcher's, an argument: PubSub knows nothing of channels.

A topic of more than `CHUNK` subscribers is not dispatched in one go, which would hold up every
other process: PubSub's own process does it in parts and lets others run between them. Until it has
caught up, all broadcasts go through it and so stay in order. The broadcasting process's own
subscriptions are served at once all the same: what it pushes next must come after its broadcast.

Source: `Phoenix.PubSub`, whose registry dispatches in the broadcasting process too.
"""

from __future__ import annotations

from typing import Any

import attrs
import structlog
import trio

from actors import GenServer, Node, Pid, current_node, self_pid
from actors.failures import concerns_trio
from actors.reports import emit, fact
from channels.exceptions import ChannelsError
from channels.pubsub.adapter import Adapter, Dispatcher, Subscription, send_to_each
from channels.pubsub.local import LocalAdapter
from supervisors import Strategy, Supervisor

__all__ = ("CHUNK", "PubSub", "PubSubNotStartedError", "PubSubStatistics")

_log = structlog.get_logger("channels")
CHUNK = 512
"""Subscribers that are served before other processes get a turn."""


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
        everything twice.

        `metadata` is for the dispatcher. Raises `PubSubNotStartedError`.
        """
        self._check_started()
        pid = pid or self_pid()
        subscription = Subscription(pid, metadata)
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
        everyone = tuple(subscriptions)  # whoever reacts by leaving must not disturb the walk
        if len(everyone) <= CHUNK and not self._waiting:
            dispatcher(everyone, sender, message)
        else:
            self._dispatch_in_parts(topic, everyone, sender, message, dispatcher)

    def _dispatch_in_parts(
        self,
        topic: str,
        everyone: tuple[Subscription, ...],
        sender: Pid | None,
        message: Any,
        dispatcher: Dispatcher,
    ) -> None:
        own = {entry for name, entry in self._topics_of.get(self_pid(), ()) if name == topic}
        if own:
            dispatcher(tuple(own), sender, message)
            everyone = tuple(entry for entry in everyone if entry not in own)
        self._waiting += 1
        assert self._server is not None  # checked by _dispatch
        self._server.cast(Job(everyone, sender, message, dispatcher))

    # -- for its process -------------------------------------------------------------------------

    def attach(self, node: Node, server: Pid) -> None:
        """The PubSub's process runs: from now on processes may subscribe."""
        self._server = server
        node.on_exit(self._forget)

    def detach(self, node: Node) -> None:
        """It does not any more. The subscriptions are gone, as with Phoenix's registry."""
        node.remove_exit_listener(self._forget)
        self._server = None
        self._waiting = 0
        self._topics.clear()
        self._topics_of.clear()

    def job_done(self) -> None:
        """A broadcast that was dispatched in parts is complete."""
        self._waiting -= 1

    def _forget(self, pid: Pid) -> None:
        for topic, subscription in self._topics_of.pop(pid, ()):
            self._remove(topic, subscription)

    def _remove(self, topic: str, subscription: Subscription) -> None:
        subscriptions = self._topics[topic]
        del subscriptions[subscription]
        if not subscriptions:
            del self._topics[topic]

    def _check_started(self) -> None:
        if self._server is None:
            raise PubSubNotStartedError(self.name)


@attrs.frozen
class Job:
    """A broadcast to be dispatched in parts."""

    subscriptions: tuple[Subscription, ...]
    sender: Pid | None
    message: Any
    dispatcher: Dispatcher


class PubSubServer(GenServer):
    """The process of a PubSub: dispatches what is too much for one step."""

    def init(self, pubsub: PubSub) -> None:
        """Open the table for subscribers."""
        self._pubsub = pubsub
        pubsub.attach(current_node(), self.pid)

    async def handle_cast(self, message: Job) -> None:
        """Dispatch one broadcast; other processes run between the parts."""
        everyone = message.subscriptions
        try:
            for start in range(0, len(everyone), CHUNK):
                message.dispatcher(everyone[start : start + CHUNK], message.sender, message.message)
                await trio.lowlevel.checkpoint()
        except BaseException as error:  # noqa: ASYNC103  # it must not cost all subscriptions
            if concerns_trio(error):
                raise
            emit(_log, "error", "broadcast failed", message=fact(message.message), exc_info=error)
        finally:
            self._pubsub.job_done()

    async def terminate(self, reason: Any) -> None:
        """Close the table."""
        self._pubsub.detach(current_node())
