"""The drainer: started last and so stopped first, it sends all clients elsewhere before the node
goes (Phoenix: `Phoenix.Socket.PoolDrainer`).
"""

from __future__ import annotations

from typing import Any

import structlog
import trio

from actors import GenServer, Pid
from channels.endpoint.services import Services
from channels.transports.connection import Drain
from supervisors import DynamicSupervisor

__all__ = ("Drainer",)

_log = structlog.get_logger("channels")


class Drainer(GenServer):
    """Closes every connection with 1012 when it is stopped, and waits until they are gone."""

    async def init(self, services: Services, timeout: float) -> None:
        """`timeout`: seconds that the clients have to answer."""
        self._services = services
        self._timeout = timeout

    async def terminate(self, reason: Any) -> None:
        """Ask all connections at once, then wait for the last one or the timeout."""
        children = await DynamicSupervisor.which_children(self._services.connection_supervisor())
        pids = [child.pid for child in children if isinstance(child.pid, Pid)]
        if not pids:
            return
        _log.info("draining", connections=len(pids))
        for pid in pids:
            pid.send(Drain())
        with trio.move_on_after(self._timeout):
            for pid in pids:
                await pid.wait_exited()
