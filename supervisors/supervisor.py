"""`Supervisor`: a process that starts, watches, restarts and stops other processes (OTP:
`supervisor`).

    await Supervisor.start_link(
        [Database.child_spec("app.db"), (Cache, 100), Web],
        strategy=Strategy.REST_FOR_ONE, max_restarts=3, max_seconds=5.0, name="app",
    )

Or module-based: subclass it and return the flags and the children from `init`.

    class App(Supervisor):
        async def init(self, url):
            return SupervisorFlags(Strategy.ONE_FOR_ALL), [Database.child_spec(url), Cache]

    await App.start_link("sqlite:///app.db")

Children start one at a time in list order, each start function running in the supervisor, and stop
one at a time in reverse order. `start_link` returns when all have started; if one fails, those
before it are stopped again and `start_link` raises `StartError(Shutdown(FailedToStartChild(id,
reason)))`. A supervisor traps exits. It is a server like any other: while it starts or stops a
child it answers nobody, so a child must not call its own supervisor from `init` or `terminate`
(S25).

The machine room is `supervisor_server.py`; what it decides is in `strategies.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from actors import Via, call, stop, whereis
from actors.exceptions import StartError
from actors.exits import NORMAL, Crash
from actors.kernel import Destination
from actors.pid import Pid
from actors.results import Ignore
from supervisors.child_spec import ChildLike, ChildSpec
from supervisors.children import ChildCount, ChildInfo
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.exceptions import SimpleOneForOneError
from supervisors.flags import (
    DEFAULT_MAX_RESTARTS,
    DEFAULT_MAX_SECONDS,
    AutoShutdown,
    Strategy,
    SupervisorFlags,
)
from supervisors.start_failure import show_cause
from supervisors.supervisor_server import SupervisorServer, answered, supervisor_child_spec
from supervisors.tree import draw_tree

__all__ = ("StartedChild", "Supervisor", "SupervisorInit")

# A Pid; (Pid, info) if the start function returned that; None if it was told to ignore. Typed
# loosely, because
# whoever wrote the start function knows which.
StartedChild: TypeAlias = Any

# What `init` returns: the flags and the children in start order, or `Ignore()`.
SupervisorInit: TypeAlias = tuple[SupervisorFlags, Iterable[ChildLike]] | Ignore


class Supervisor:
    """Supervises a list of children. Use it as it is, or subclass it and write `init`.

    All functions take the supervisor's pid or name. They wait as long as it takes, as in OTP. Those
    that ask for a child by its id raise `SimpleOneForOneError` for a dynamic supervisor.
    """

    async def init(self, *args: Any, **options: Any) -> SupervisorInit:
        """The flags and the children, from the arguments of `start_link`; runs in the supervisor's
        process.

        Override it for a module-based supervisor. As it is, it takes what `start_link` describes.
        """
        return _flags_and_children(*args, **options)

    @classmethod
    async def start_link(cls, *args: Any, name: str | Via | None = None, **options: Any) -> Pid:
        """Start a supervisor linked to the calling process; returns when all children have started.

        A plain `Supervisor` takes the list of children (whatever `ChildSpec.of` takes) and, by
        keyword, `strategy` (default `ONE_FOR_ONE`), `max_restarts` (3), `max_seconds` (5.0) and
        `auto_shutdown` (`NEVER`). For a subclass all arguments go to its `init`. `name` registers
        the supervisor.

        Raises `StartError(reason)`: `Shutdown(FailedToStartChild(id, reason))` if a child did not
        start, `Crash(InvalidSpecError)` or `Crash(InvalidFlagError)` if the lists are wrong;
        `AlreadyStartedError` if the name is taken; `StartIgnoredError` if `init` returned
        `Ignore()`.
        """
        label, init = cls.__name__, cls().init
        try:
            return await SupervisorServer.start_link(label, init, args, options, name=name)
        except StartError as error:
            show_cause(error)
            raise

    @classmethod
    def child_spec(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """How another supervisor starts this one: type supervisor, all the time it needs to stop.

        `id`, `restart`, `shutdown`, `significant` and `backoff` are for that supervisor; all else
        goes to `start_link`. The id is the name, or else the class.
        """
        if cls.init is Supervisor.init and args and isinstance(args[0], Iterator):
            args = (tuple(args[0]), *args[1:])  # the children are there for the restarts too
        return supervisor_child_spec(cls, args, options)

    # -- children --------------------------------------------------------------------------------

    @staticmethod
    async def start_child(supervisor: Destination, child: ChildLike) -> StartedChild:
        """Add a child behind all others and start it (S26). Returns its `Pid`, `(Pid, info)`, or
        None if ignored.

        Raises `InvalidSpecError`, `ChildAlreadyStartedError` (the id runs), `AlreadyPresentError`
        (the id is there but stopped or restarting), `AlreadyStartedError` (the start function found
        its name taken), and `ChildStartError(id, reason)`; the child is then not kept.
        """
        return answered(await call(supervisor, ("start_child", ChildSpec.of(child)), timeout=None))

    @staticmethod
    async def terminate_child(supervisor: Destination, id: Hashable) -> None:
        """Stop a child, or the attempts to restart it; it stays specified unless temporary (S27).

        Stopping a stopped child is no error. Raises `ChildNotFoundError`.
        """
        await _ask_about(supervisor, "terminate_child", id)

    @staticmethod
    async def restart_child(supervisor: Destination, id: Hashable) -> StartedChild:
        """Start a stopped child again (S28). Returns as `start_child`.

        Raises `ChildNotFoundError`, `ChildRunningError`, `ChildRestartingError`, `ChildStartError`.
        """
        return await _ask_about(supervisor, "restart_child", id)

    @staticmethod
    async def delete_child(supervisor: Destination, id: Hashable) -> None:
        """Forget a stopped child (S29).

        Raises `ChildNotFoundError`, `ChildRunningError`, `ChildRestartingError`.
        """
        await _ask_about(supervisor, "delete_child", id)

    # -- questions -------------------------------------------------------------------------------

    @staticmethod
    async def which_children(supervisor: Destination) -> list[ChildInfo]:
        """All children, newest first: id, pid (`RESTARTING`, None if stopped) and type (S30)."""
        children: list[ChildInfo] = await call(supervisor, ("which_children",), timeout=None)
        return children

    @staticmethod
    async def which_child(supervisor: Destination, id: Hashable) -> ChildInfo:
        """What `which_children` says of one child, by its id. Raises `ChildNotFoundError` (S30)."""
        child: ChildInfo = await _ask_about(supervisor, "which_child", id)
        return child

    @staticmethod
    async def count_children(supervisor: Destination) -> ChildCount:
        """How many children are specified, run, are supervisors, are workers (S30)."""
        count: ChildCount = await call(supervisor, ("count_children",), timeout=None)
        return count

    @staticmethod
    async def get_child_spec(supervisor: Destination, id: Hashable) -> ChildSpec:
        """The specification of the child with this id or pid. Raises `ChildNotFoundError` (S30)."""
        spec: ChildSpec = await _ask_about(supervisor, "get_child_spec", id)
        return spec

    @staticmethod
    async def tree(supervisor: Destination) -> str:
        """The supervisor and everything below it, one process a line, in start order.

        Asks every supervisor on the way with `which_children`; not to be called from within one of
        them.
        """
        return await draw_tree(supervisor)

    @staticmethod
    async def stop(
        supervisor: Destination, reason: Any = NORMAL, timeout: float | None = None
    ) -> None:
        """Stop the children in reverse order, then the supervisor with `reason`; waits for it
        (PL5).

        Must not be called from one of its children, which would wait for itself (S25).
        """
        await stop(supervisor, reason, timeout)


async def _ask_about(supervisor: Destination, verb: str, id: Hashable) -> Any:
    """The answer to a request about one child."""
    _refuse_dynamic(supervisor, verb, id)
    return answered(await call(supervisor, (verb, id), timeout=None))


def _refuse_dynamic(supervisor: Destination, verb: str, id: Hashable) -> None:
    if verb == "terminate_child" and isinstance(id, Pid):
        return  # that is what it can do
    pid = whereis(supervisor)
    server = getattr(pid.target, "server", None) if pid is not None else None
    if isinstance(server, DynamicSupervisorServer):
        raise SimpleOneForOneError(verb, supervisor)


def _flags_and_children(
    children: Iterable[ChildLike] = (),
    *,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    max_restarts: int = DEFAULT_MAX_RESTARTS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
) -> SupervisorInit:
    if isinstance(children, type | Mapping | str | bytes) or not isinstance(children, Iterable):
        raise StartError(Crash(TypeError(f"expected a list of children; got {children!r}")))
    return SupervisorFlags(strategy, max_restarts, max_seconds, auto_shutdown), children
