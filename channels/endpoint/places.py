"""The keeper of places: what a process of an endpoint holds at its client's address is given back
when it dies, in its death procedure, by whatever way it ends; so are its entries in the services.
"""

from __future__ import annotations

from actors import GenServer, Pid, current_node
from channels.endpoint.services import Services

__all__ = ("Places",)


class Places(GenServer):
    """Listens to the deaths of the node; started first and stopped last."""

    def init(self, services: Services) -> None:
        """From now on places are given back; those of whom died while nobody listened, too."""
        self._services = services
        self._node = current_node()
        self._node.on_exit(self._process_ended)
        for holder in services.gatekeeper.holders():
            if isinstance(holder, Pid) and holder not in self._node.processes:
                services.process_ended(holder)

    def _process_ended(self, pid: Pid) -> None:
        if pid is self.pid:
            self._node.remove_exit_listener(self._process_ended)
        else:
            self._services.process_ended(pid)
