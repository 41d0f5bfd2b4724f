"""The keeper of places: what a process of an endpoint holds at its client's address is given back
when it dies, in its death procedure, by whatever way it ends.
"""

from __future__ import annotations

from typing import Any

from actors import GenServer, current_node
from channels.endpoint.services import Services

__all__ = ("Places",)


class Places(GenServer):
    """Listens to the deaths of the node; started first and stopped last."""

    def init(self, services: Services) -> None:
        """From now on places are given back; those of whom died before it, too."""
        self._services = services
        self._node = current_node()
        self._node.on_exit(self._process_ended)
        for pid in services.gatekeeper.holders():
            if pid not in self._node.processes:
                self._process_ended(pid)

    def _process_ended(self, pid: Any) -> None:
        if pid is self.pid:
            self._node.remove_exit_listener(self._process_ended)
        else:
            self._services.gatekeeper.give_topic_back(pid)
