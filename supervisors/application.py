"""`Application`: the root of a program (OTP `application`, as far as one OS process is one).

    Application([Database.child_spec("app.db"), Endpoint(...)],
    strategy=Strategy.REST_FOR_ONE).run()

`run` opens a node, starts the tree under one root supervisor and waits. SIGTERM and SIGINT become
an ordered stop: the root supervisor stops its children in reverse order, each in its own time.
After the first signal the operating system's default is back in force, so a second one kills the
program even while its event loop hangs.

| exit code | when |
|---|---|
| 0 | asked to stop: a signal, or `Supervisor.stop` of the root |
| 1 | the root supervisor, or a needed application, gave up; or a child crashed during the start |
| 2 | the configuration is wrong: one line on stderr says what |
"""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
import trio

import actors
from actors import receive, self_pid, spawn, trap_exit
from actors.exceptions import StartError, StartIgnoredError
from actors.exits import KILL, NORMAL, SHUTDOWN
from actors.messages import Exit
from actors.pid import Pid
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
from supervisors.start_failure import explain, is_configuration_error
from supervisors.start_types import StartType, ends_program, start_order
from supervisors.supervisor import SupervisorInit
from supervisors.supervisor_server import SupervisorServer

__all__ = ("Application",)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2

_log = structlog.get_logger("supervisors")


class Application:
    """A program: one tree of processes. Use it as it is, or subclass it and write `init` and the
    hooks.

    `children` and the flags are those of `Supervisor`; `name` registers the root supervisor.
    `applications` are others that this one needs: each is started before it, once, and stopped
    after it. `start_type` says what the end of this one means where it is needed by another; the
    one that is `run` takes the program with it in any case. `garbage_collection` sets CPython's
    cycle collector while the program runs; None leaves it.
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
        self._applications = tuple(applications)
        self._start_type = StartType(start_type)
        self._garbage_collection = garbage_collection
        self._children = tuple(children)
        self._flags = SupervisorFlags(strategy, max_restarts, max_seconds, auto_shutdown)
        self._asked_to_stop = False

    # -- for subclasses --------------------------------------------------------------------------

    async def init(self) -> SupervisorInit:
        """The flags and children of the root supervisor; runs in its process."""
        return self._flags, self._children

    async def started(self, root: Pid) -> None:
        """The tree runs. Runs in the node's main process, as all hooks do."""

    async def prep_stop(self) -> None:
        """A signal asked for the end; the tree still runs."""

    async def stopped(self, reason: object) -> None:
        """The tree has ended, for `reason`."""

    # -- running ---------------------------------------------------------------------------------

    def run(self, **options: Any) -> None:
        """Run until a signal comes or the tree ends. `options` go to `trio.run`.

        Returns for exit code 0 and raises `SystemExit` for the others.
        """
        with tuned(self._garbage_collection):
            code = actors.run(self._main, **options)
        if code != EXIT_STOPPED:
            raise SystemExit(code)

    async def _main(self) -> int:
        trap_exit()  # the fate of the roots is ours to report, not to share
        running: dict[Pid, Application] = {}  # root -> application, in the order of their start
        with trio.open_signal_receiver(*SIGNALS) as signals:
            listener = spawn(_listen, signals, self_pid(), label="signals")
            try:
                for application in start_order(self, _needs):
                    root = await application._start_root()
                    running[root] = application
                    await application.started(root)
                reason = await self._wait_for_end(running)
            except StartError as error:
                await _stop_all(running)
                return _report_start_failure(error)
            finally:
                listener.exit(KILL)
            await _stop_all(running)
        return self._exit_code(reason)

    async def _start_root(self) -> Pid:
        label = type(self).__name__
        return await SupervisorServer.start_link(label, self.init, (), {}, name=self.name)

    async def _wait_for_end(self, running: dict[Pid, Application]) -> object:
        """Wait for the first signal, or for an end that is the program's too; the reason."""
        while True:
            match await receive((_Signal, Exit)):
                case Exit(pid, reason) if pid in running:
                    ended = running.pop(pid)
                    await ended.stopped(reason)
                    if ended is self or ends_program(ended._start_type, reason):
                        return reason
                    _log.error("application ended", application=repr(ended), reason=repr(reason))
                case _Signal(signum):
                    self._asked_to_stop = True
                    _log.info("stopping", signal=signum.name)
                    return SHUTDOWN

    def _exit_code(self, reason: object) -> int:
        if self._asked_to_stop or reason is NORMAL:
            return EXIT_STOPPED
        _log.error("application ended", reason=reason)
        return EXIT_FAILED


def _needs(application: Application) -> tuple[Application, ...]:
    return application._applications


async def _stop_all(running: dict[Pid, Application]) -> None:
    """Stop what runs in the reverse order of its start, each in its own time (AP3, AP4)."""
    for root, application in reversed(list(running.items())):
        await application.prep_stop()
        root.exit(SHUTDOWN)
        ended: Exit = await receive(partial(_is_exit_of, root))
        await application.stopped(ended.reason)


def _is_exit_of(root: Pid, message: object) -> bool:
    return isinstance(message, Exit) and message.pid is root


@attrs.frozen
class _Signal:
    signum: signal.Signals


async def _listen(signals: AsyncIterator[int], main: Pid) -> None:
    """Tell `main` of the first signal and give the others back to the operating system."""
    async for signum in signals:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        main.send(_Signal(signal.Signals(signum)))


def _report_start_failure(error: StartError) -> int:
    if isinstance(error, StartIgnoredError):
        return EXIT_STOPPED
    program = Path(sys.argv[0]).name or "application"
    sys.stderr.write(f"{program}: {explain(error)}\n")
    return EXIT_CONFIGURATION if is_configuration_error(error) else EXIT_FAILED
