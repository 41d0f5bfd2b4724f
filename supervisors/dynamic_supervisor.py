"""`DynamicSupervisor`: children on demand (Elixir `DynamicSupervisor`, OTP's simple_one_for_one).

    rooms = await DynamicSupervisor.start_link(name="rooms", max_children=10_000)
    room = Room.child_spec("lobby", restart="temporary")
    pid = await DynamicSupervisor.start_child("rooms", room)

It starts empty, its strategy is one_for_one, its children are known by pid: ids are ignored and may
repeat. When it stops, all children are asked at once and stop side by side. Use a `Supervisor` for
a fixed list with an order.

The machine room is `dynamic_supervisor_server.py`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from actors import Via, call, stop, whereis
from actors.exits import NORMAL
from actors.kernel import Destination
from actors.pid import Pid
from actors.results import Ignore
from supervisors.child_spec import ChildLike, ChildSpec
from supervisors.children import ChildCount, ChildInfo
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.exceptions import ChildNotFoundError, InvalidSpecError
from supervisors.flags import DynamicSupervisorFlags
from supervisors.supervisor_server import answered, supervisor_child_spec
from supervisors.tree import draw_tree

__all__ = ("DynamicSupervisor", "DynamicSupervisorInit")

# What `init` returns: the flags, or `Ignore()`.
DynamicSupervisorInit: TypeAlias = DynamicSupervisorFlags | Ignore


class DynamicSupervisor:
    """Supervises children that are started one by one. Use it as it is, or subclass it and write
    `init`.

    All functions take the supervisor's pid or name. They wait as long as it takes.
    """

    async def init(self, *args: Any, **options: Any) -> DynamicSupervisorInit:
        """The flags, from the arguments of `start_link`; runs in the supervisor's process."""
        return DynamicSupervisorFlags(*args, **options)

    @classmethod
    async def start_link(cls, *args: Any, name: str | Via | None = None, **options: Any) -> Pid:
        """Start a supervisor without children, linked to the calling process.

        A plain `DynamicSupervisor` takes by keyword what `DynamicSupervisorFlags` does:
        `max_restarts` (3), `max_seconds` (5.0), `max_children` (None: any number) and
        `extra_arguments` (put before the arguments of every start function). For a subclass all
        arguments go to its `init`. `name` registers the supervisor.

        Raises `StartError(Crash(InvalidFlagError))`, `AlreadyStartedError`, `StartIgnoredError`.
        """
        return await DynamicSupervisorServer.start_link(
            cls.__name__, cls().init, args, options, name=name
        )

    @classmethod
    def child_spec(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """How another supervisor starts this one: type supervisor, all the time it needs to stop.

        `id`, `restart`, `shutdown`, `significant` and `backoff` are for that supervisor; all else
        goes to `start_link`. The id is the name, or else the class.
        """
        return supervisor_child_spec(cls, args, options)

    @staticmethod
    async def start_child(supervisor: Destination, child: ChildLike) -> Any:
        """Start a child (D2). Returns its `Pid`, `(Pid, info)`, or None if its start function was
        told to ignore.

        Raises `InvalidSpecError` (without asking the supervisor), `MaxChildrenError`, and
        `StartError(reason)`; the child is then not kept.
        """
        spec = child if type(child) is ChildSpec else ChildSpec.of(child)
        if spec.significant:
            raise InvalidSpecError(
                "invalid_significant", True, "False: a dynamic supervisor ends by hand"
            )
        return answered(await call(supervisor, ("start_child", spec), None))

    @staticmethod
    async def terminate_child(supervisor: Destination, child: Destination) -> None:
        """Stop the child with this pid or name, or the attempts to restart it, and forget it (D6).

        Raises `ChildNotFoundError`.
        """
        pid = whereis(child)
        if pid is None:
            raise ChildNotFoundError(child)
        answered(await call(supervisor, ("terminate_child", pid), None))

    @staticmethod
    async def which_children(supervisor: Destination) -> list[ChildInfo]:
        """All children, in no order: pid (or `RESTARTING`) and type; the id is None (D6)."""
        children: list[ChildInfo] = await call(supervisor, ("which_children",), None)
        return children

    @staticmethod
    async def count_children(supervisor: Destination) -> ChildCount:
        """How many children there are, run, are supervisors, are workers (D6)."""
        count: ChildCount = await call(supervisor, ("count_children",), None)
        return count

    @staticmethod
    async def tree(supervisor: Destination) -> str:
        """The supervisor and everything below it, one process a line."""
        return await draw_tree(supervisor)

    @staticmethod
    async def stop(
        supervisor: Destination, reason: Any = NORMAL, timeout: float | None = None
    ) -> None:
        """Stop all children at once, then the supervisor with `reason`; waits for it (PL5)."""
        await stop(supervisor, reason, timeout)
