"""`python -m benchmarks.load`: a load client that takes its orders as lines of JSON."""

from __future__ import annotations

from benchmarks.harness.lines import serve
from benchmarks.harness.machine import allow_many_files
from benchmarks.load import measures
from benchmarks.load.crowd import Crowd, Habits
from benchmarks.load.dialects import dialect
from benchmarks.load.swarm import LoadError, Swarm


class Client:
    """The orders; owns the one swarm of this process."""

    def __init__(self) -> None:
        self._swarm: Swarm | None = None
        self._crowd: Crowd | None = None

    def open(self, port: int, speaks: str, connections: int) -> dict[str, float]:
        """Add `connections` to the server on 127.0.0.1:`port`."""
        if self._swarm is None:
            self._swarm = Swarm("127.0.0.1", port, dialect(speaks))
        self._swarm.open(connections, dialect(speaks))
        return {"connections": float(len(self._swarm.connections))}

    def close(self) -> dict[str, float]:
        """Close every connection and forget the server."""
        if self._swarm is not None:
            self._swarm.close()
            self._swarm = None
        return {}

    def rest(self) -> dict[str, float]:
        """Keep the connections alive between two rounds."""
        self._opened().keep_alive()
        return {}

    def fan_out(
        self, server: int, seconds: float, in_flight: int, members: int = 0
    ) -> dict[str, float]:
        """See `measures.fan_out`; without `members`, everybody is in the room."""
        swarm = self._opened()
        return measures.fan_out(
            swarm, server, seconds, in_flight, members or len(swarm.connections)
        )

    def visits(self, server: int, seconds: float) -> dict[str, float]:
        """See `measures.visits`."""
        return measures.visits(self._opened(), server, seconds)

    def echo(self, server: int, seconds: float, active: int) -> dict[str, float]:
        """See `measures.echo`."""
        return measures.echo(self._opened(), server, seconds, active)

    def paced(self, server: int, seconds: float, interval: float) -> dict[str, float]:
        """See `measures.paced`."""
        return measures.paced(self._opened(), server, seconds, interval)

    def idle(
        self, server: int, seconds: float, heartbeat_every: float, settle: float
    ) -> dict[str, float]:
        """See `measures.idle`."""
        return measures.idle(self._opened(), server, seconds, heartbeat_every, settle)

    def gather(self, port: int, connections: int) -> dict[str, float]:
        """A crowd of `connections` people enters its rooms; for soak."""
        self._crowd = Crowd(port, connections, Habits())
        return {}

    def window(self, seconds: float) -> dict[str, float]:
        """See `Crowd.window`."""
        if self._crowd is None:
            raise LoadError("there is no crowd; ask for `gather` first")
        return self._crowd.window(seconds)

    def disperse(self) -> dict[str, float]:
        """The crowd leaves."""
        if self._crowd is not None:
            self._crowd.close()
            self._crowd = None
        return {}

    def _opened(self) -> Swarm:
        if self._swarm is None:
            raise LoadError("no connection is open; ask for `open` first")
        return self._swarm


if __name__ == "__main__":
    allow_many_files()
    client = Client()
    serve(
        {
            "open": client.open,
            "close": client.close,
            "rest": client.rest,
            "fan_out": client.fan_out,
            "echo": client.echo,
            "idle": client.idle,
            "paced": client.paced,
            "visits": client.visits,
            "gather": client.gather,
            "window": client.window,
            "disperse": client.disperse,
        }
    )
