"""The drainer: started last and so stopped first, it sends all clients elsewhere before the node
goes (Phoenix: `Phoenix.Socket.PoolDrainer`, which counts channels and so knows nothing of sockets
without one).
"""

from __future__ import annotations

import math
import random
from typing import Any

import structlog
import trio

from actors import GenServer, Pid
from channels.endpoint.config import DrainOptions
from channels.endpoint.services import Services
from channels.transports.connection import Drain
from supervisors import DynamicSupervisor

__all__ = ("Drainer",)

_log = structlog.get_logger("channels")


class Drainer(GenServer):
    """When it is stopped it has the listener closed, closes the connections with 1012 in batches,
    and waits until they are gone.
    """

    def init(self, services: Services, options: DrainOptions) -> None:
        """See `DrainOptions`."""
        self._services = services
        self._options = options

    async def terminate(self, reason: Any) -> None:
        """Let nobody in, send everybody away, wait for the last one or the timeout."""
        self._services.stop_listening()
        with trio.move_on_after(self._options.shutdown or math.inf):
            pids = await self._connections()
            await self._send_away(pids)
            for pid in pids:
                await pid.wait_exited()

    async def _connections(self) -> list[Pid]:
        children = await DynamicSupervisor.which_children(self._services.connection_supervisor())
        return [child.pid for child in children if isinstance(child.pid, Pid)]

    async def _send_away(self, pids: list[Pid]) -> None:
        options = self._options
        size = options.batch_size
        batches = [pids[start : start + size] for start in range(0, len(pids), size)]
        for number, batch in enumerate(batches, 1):
            if number > 1:
                await trio.sleep(options.batch_interval)
            _log.info(
                "draining",
                connections=len(batch),
                total=len(pids),
                batch=number,
                batches=len(batches),
            )
            for pid in batch:
                pid.send(Drain(self._advice()))

    def _advice(self) -> float | None:
        within = self._options.retry_within
        return round(random.uniform(0, within), 1) if within else None  # noqa: S311  # spreads load
