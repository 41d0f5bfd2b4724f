"""The adapter of a node that is alone."""

from __future__ import annotations

from typing import Any

from channels.pubsub.adapter import Dispatcher, LocalBroadcast

__all__ = ("LocalAdapter",)


class LocalAdapter:
    """There are no other nodes, so nothing is to be told to them."""

    node_name = "local"

    def child_spec(self, local_broadcast: LocalBroadcast) -> Any | None:
        """No process."""

    def broadcast(self, topic: str, message: Any, dispatcher: Dispatcher) -> None:
        """Nobody else listens."""

    def direct_broadcast(
        self, node_name: str, topic: str, message: Any, dispatcher: Dispatcher
    ) -> None:
        """Nobody else listens; an unknown node is not an error (Phoenix)."""
