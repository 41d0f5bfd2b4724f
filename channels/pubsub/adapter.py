"""The seams of PubSub: `Adapter`, how other nodes hear of a broadcast, and `Dispatcher`, what
happens to one here.

Source: `Phoenix.PubSub.Adapter` and the dispatcher argument of `Phoenix.PubSub.broadcast/4`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from actors import MailboxFullError, Pid

__all__ = (
    "Adapter",
    "BatchDispatcher",
    "Dispatcher",
    "LocalBroadcast",
    "Subscription",
    "send_to_each",
)


class Subscription:
    """One subscription of a process. Entity: subscribing twice makes two, and delivers twice.

    One for each joined channel, walked through for each delivery: slots, no attrs.
    """

    __slots__ = ("metadata", "pid")

    def __init__(self, pid: Pid, metadata: Any) -> None:
        self.pid = pid
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"<Subscription {self.pid!r} {self.metadata!r}>"


Dispatcher: TypeAlias = Callable[[Iterable[Subscription], Pid | None, Any], None]
"""`dispatch(subscriptions, sender, message)`: delivers to all but those of `sender` (None: to all).

Runs in the process that broadcasts, or in PubSub's own when a topic is large; then several times
for one message, each time with a part of the subscriptions. It must not wait.

For large topics one may be a `BatchDispatcher`.
"""


@runtime_checkable
class BatchDispatcher(Protocol):
    """A dispatcher that is told beforehand of a message for a large topic, and is given several at
    once when they wait for the same subscribers.
    """

    def __call__(
        self, subscriptions: Iterable[Subscription], sender: Pid | None, message: Any
    ) -> None:
        """As any dispatcher. `message` may be what `prepare` has made of it."""

    def prepare(self, subscriptions: Iterable[Subscription], message: Any) -> Any:
        """In the process that broadcasts, at once: what stands for `message` from now on. What it
        raises is raised there, and then nothing is delivered.
        """

    def siblings(self, server: object) -> Iterable[Pid]:
        """Whose messages go the same way as those of the process that runs `server`, and must not
        come out of order with them.
        """

    def together(
        self, subscriptions: Iterable[Subscription], prepared: Sequence[tuple[Pid | None, Any]]
    ) -> None:
        """As one call for each of the pairs (sender, prepared message), in their order."""


def send_to_each(subscriptions: Iterable[Subscription], sender: Pid | None, message: Any) -> None:
    """The default dispatcher: the message into each subscriber's mailbox; a full one loses it."""
    for subscription in subscriptions:
        if subscription.pid is not sender:
            try:
                subscription.pid.send(message)
            except MailboxFullError:
                continue  # telemetry has told; the others must not miss it


class LocalBroadcast(Protocol):
    """What an adapter calls for a message that came from another node."""

    def __call__(self, topic: str, message: Any, dispatcher: Dispatcher = ...) -> None:
        """Dispatch to the subscribers of this node."""


class Adapter(Protocol):
    """Carries broadcasts to the other nodes: at most once, in order for each sending process."""

    @property
    def node_name(self) -> str:
        """What the other nodes call this one."""

    def child_spec(self, local_broadcast: LocalBroadcast) -> Any | None:
        """The process that listens to the other nodes, as a child spec; None if there is none."""

    def broadcast(self, topic: str, message: Any, dispatcher: Dispatcher) -> None:
        """Tell all other nodes. Must not wait."""

    def direct_broadcast(
        self, node_name: str, topic: str, message: Any, dispatcher: Dispatcher
    ) -> None:
        """Tell one other node. Must not wait."""
