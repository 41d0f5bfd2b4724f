"""A supervised tree that loses a worker and heals. Run it: `python -m examples.tree`."""

import sys
from typing import Any

import structlog
import trio.testing

from actors import KILL, GenServer, exit, run, whereis
from supervisors import Strategy, Supervisor


class Worker(GenServer):
    """Says when it starts and why it stops."""

    async def init(self, name: str) -> None:
        self.name = name
        print(f"  {name} starts")

    async def terminate(self, reason: Any) -> None:
        print(f"  {self.name} stops: {reason}")


async def main() -> None:
    """When b falls its understudy steps in; c, which was started after b, is replaced too."""
    children = [Worker.child_spec(name, name=name) for name in ("a", "b", "c")]
    print("start")
    app = await Supervisor.start_link(children, strategy=Strategy.REST_FOR_ONE, name="app")
    print("kill b")
    exit("b", KILL)
    await trio.testing.wait_all_tasks_blocked()
    print("alive:", *(name for name in "abc" if whereis(name)))
    print("stop")
    await app.stop()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run(main)
