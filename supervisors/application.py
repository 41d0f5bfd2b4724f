"""`Application`: the root of a program (OTP `application`, as far as one OS process is one).

    Application([Database.child_spec("app.db"), Endpoint(...)],
    strategy=Strategy.REST_FOR_ONE).run()

`run` opens a node, starts the tree under one root supervisor and waits; see `program.py` for
signals and exit codes. On a node that runs already, in a test or under a `main` of one's own,
`start`, `ensure_all_started` and `stop` do what OTP's functions of these names do.

Each running application has a process of its own above its root supervisor
(`application_master.py`), and the node has one that knows them all (`application_controller.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import actors
from actors import whereis
from actors.pid import Pid
from supervisors.application_controller import (
    CONTROLLER,
    RunningApplication,
    Start,
    StopApplication,
    Which,
    ask_controller,
    ensure_all_started,
)
from supervisors.child_spec import ChildLike
from supervisors.flags import (
    DEFAULT_MAX_RESTARTS,
    DEFAULT_MAX_SECONDS,
    AutoShutdown,
    Strategy,
    SupervisorFlags,
)
from supervisors.garbage_collection import (
    DEFAULT_GARBAGE_COLLECTION,
    GarbageCollection,
    tuned,
)
from supervisors.program import EXIT_STOPPED, run_program
from supervisors.start_types import StartType
from supervisors.supervisor import SupervisorInit
from supervisors.supervisor_server import SupervisorServer

__all__ = ("Application",)


class Application:
    """A program, or a part of one: a tree of processes that is started and stopped as a whole. Use
    it as it is, or subclass it and write `init` and the hooks.

    `children` and the flags are those of `Supervisor`; `name` registers the root supervisor.
    `applications` are others that this one needs: each is started before it, once, and stopped
    after it. `start_type` says what the end of this one means for the program; the one that is
    `run` takes the program with it in any case. `garbage_collection` sets CPython's cycle collector
    while `run` lasts; None leaves it.
    """

    def __init__(
        self,
        children: Iterable[ChildLike] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = DEFAULT_MAX_RESTARTS,
        max_seconds: float = DEFAULT_MAX_SECONDS,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        name: str | None = None,
        applications: Iterable[Application] = (),
        start_type: StartType = StartType.TEMPORARY,
        garbage_collection: GarbageCollection | None = DEFAULT_GARBAGE_COLLECTION,
    ) -> None:
        self.name = name
        self.title = name or type(self).__name__
        """What reports and errors call it."""
        self.applications = tuple(applications)
        self.start_type = StartType(start_type)
        self._garbage_collection = garbage_collection
        self._children = tuple(children)
        self._flags = SupervisorFlags(strategy, max_restarts, max_seconds, auto_shutdown)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}>"

    # -- for subclasses --------------------------------------------------------------------------

    async def init(self) -> SupervisorInit:
        """The flags and children of the root supervisor; runs in its process.

        `Ignore()` is refused, as in OTP: who does not want an application does not start it.
        """
        return self._flags, self._children

    async def started(self, root: Pid) -> None:
        """The tree runs. Runs in the application's master process, as all hooks do.

        If it raises, the tree is stopped again and the application has not started.
        """

    async def prep_stop(self) -> None:
        """The application was asked to stop; the tree still runs. If it raises, that is reported.

        It must not ask for the start or the stop of an application: the controller waits for it.
        """

    async def stopped(self, reason: object) -> None:
        """The tree has ended, for `reason`. If it raises, that is reported."""

    # -- a program -------------------------------------------------------------------------------

    def run(self, **options: Any) -> None:
        """Run until a signal comes or the tree ends. `options` go to `trio.run`.

        Returns for exit code 0 and raises `SystemExit` for the others.
        """
        with tuned(self._garbage_collection):
            code = actors.run(run_program, self, **options)
        if code != EXIT_STOPPED:
            raise SystemExit(code)

    # -- on a running node -----------------------------------------------------------------------

    async def start(self) -> Pid:
        """Start it; its root supervisor (OTP: `application:start`, AP1).

        Returns when `started` has. Raises `ApplicationNotStartedError` if one that it needs does
        not run, `AlreadyStartedError` if it runs itself, `ApplicationStartError(title, reason)`.
        """
        root: Pid = await ask_controller(Start(self, self.start_type))
        return root

    async def ensure_all_started(self) -> list[Application]:
        """Start what it needs and then it; those that did not run before, in their order (AP1).

        If one fails those that were started are stopped again, newest first, and its error is
        raised; see `start`.
        """
        started: list[Application] = await ensure_all_started(self, self.start_type)
        return started

    async def stop(self) -> None:
        """Stop it, and not what it needs: `prep_stop`, the tree in reverse order and in its own
        time, `stopped` (OTP: `application:stop`, AP3).

        Must not be called from within its own tree, which would wait for itself. Raises
        `ApplicationNotStartedError`.
        """
        await ask_controller(StopApplication(self))

    @staticmethod
    async def which_applications() -> list[RunningApplication]:
        """Those that run on this node, newest first: application, root supervisor, start type."""
        if whereis(CONTROLLER) is None:
            return []
        running: list[RunningApplication] = await ask_controller(Which())
        return running

    # -- for the master --------------------------------------------------------------------------

    async def start_root(self) -> Pid:
        """Start the root supervisor, linked to the calling process."""
        label = type(self).__name__
        return await SupervisorServer.start_link(label, self.init, (), {}, name=self.name)
