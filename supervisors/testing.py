"""What tests of supervised programs need (ExUnit: `start_supervised` and its family).

    from supervisors.testing import kill_child, start_supervised

    async def test_the_counter_forgets_when_it_is_killed(autojump_clock):
        async with open_node():
            await start_supervised(Counter)
            ...

What is started here runs under a supervisor that belongs to the node, is restarted as its
specification says, and is stopped in order, `terminate` included, when the node ends; so a test
begins with nothing and leaves nothing. Messages and ends are asserted with `actors.testing`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from actors import KILL, current_node, whereis
from actors.context import current
from actors.kernel import Destination
from actors.pid import Pid
from actors.testing import wait_settled
from supervisors.child_spec import ChildLike, ChildSpec, Restart
from supervisors.children import ChildInfo
from supervisors.supervisor import Supervisor

__all__ = (
    "child_pid",
    "end_child",
    "kill_child",
    "start_supervised",
    "stop_supervised",
    "supervisor_of_test",
)

NAME = "supervisors.testing"
"""The name of the supervisor of a test."""


async def start_supervised(child: ChildLike, **overrides: Any) -> Any:
    """Start `child` under the test's supervisor; its `Pid` (or `(Pid, info)`, or None if ignored).

    `overrides` replace fields of its specification, `restart=Restart.TEMPORARY` say. Raises what
    `Supervisor.start_child` raises.
    """
    spec = ChildSpec.of(child, **overrides)
    return await Supervisor.start_child(await supervisor_of_test(), spec)


async def stop_supervised(id: Hashable) -> None:
    """Stop a child that `start_supervised` started, and forget it. The id is the name that it was
    started under, or else its class. Raises `ChildNotFoundError`.
    """
    supervisor = await supervisor_of_test()
    spec = await Supervisor.get_child_spec(supervisor, id)
    await Supervisor.terminate_child(supervisor, id)
    if spec.restart is not Restart.TEMPORARY:  # those are forgotten when they end
        await Supervisor.delete_child(supervisor, id)


async def supervisor_of_test() -> Pid:
    """The supervisor of the test: one per node, a child of its main process, started when it is
    asked for first. It never gives up.
    """
    found = whereis(NAME)
    if found is not None:
        return found
    token = current.set(current_node().main)  # so that it ends with the node, not with the caller
    try:
        return await Supervisor.start_link((), max_restarts=1_000_000, max_seconds=1.0, name=NAME)
    finally:
        current.reset(token)


async def child_pid(supervisor: Destination, id: Hashable) -> Pid | None:
    """The pid of a child; None while it does not run."""
    children = await Supervisor.which_children(supervisor)
    found: ChildInfo | None = next((child for child in children if child.id == id), None)
    return found.pid if found is not None and isinstance(found.pid, Pid) else None


async def kill_child(supervisor: Destination, id: Hashable) -> Pid | None:
    """Kill a child and let its supervisor react; the pid of the child that runs then, if one does.

    Raises `LookupError` if it does not run now.
    """
    return await end_child(supervisor, id, KILL)


async def end_child(supervisor: Destination, id: Hashable, reason: Any) -> Pid | None:
    """Send a child an exit signal and let its supervisor react, as `kill_child` does."""
    pid = await child_pid(supervisor, id)
    if pid is None:
        raise LookupError(f"{supervisor!r} has no running child {id!r}")
    pid.exit(reason)
    await wait_settled()
    running = whereis(supervisor)
    return None if running is None or not running.is_alive() else await child_pid(running, id)
