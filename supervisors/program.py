"""The program around one application: signals and the exit code.

SIGTERM and SIGINT become an ordered stop of all applications: each tree stops its children in
reverse order, each in its own time. After the first signal the operating system's default is back
in force, so a second one kills the program even while its event loop hangs (AP4, AP5).

| exit code | when |
|---|---|
| 0 | asked to stop: a signal, or `Supervisor.stop` of the root |
| 1 | the application, or one that must not end, gave up; or one did not start |
| 2 | the configuration is wrong: one line on stderr says what |
"""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs
import structlog
import trio

from actors import receive, self_pid, spawn, trap_exit
from actors.exceptions import CallError, StartError
from actors.exits import KILL, NORMAL, SHUTDOWN, Shutdown
from actors.messages import Exit
from actors.pid import Pid
from actors.reports import emit, fact
from supervisors.application_controller import ensure_all_started, started_controller
from supervisors.application_master import AppLike
from supervisors.exceptions import ApplicationStartError
from supervisors.exits import ApplicationEnded
from supervisors.start_failure import explain, is_configuration_error
from supervisors.start_types import StartType

__all__ = ("EXIT_STOPPED", "run_program")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2

_log = structlog.get_logger("supervisors")


async def run_program(application: AppLike) -> int:
    """The node's main function: run `application` with all that it needs; the exit code."""
    trap_exit()  # the fate of the applications is ours to report, not to share
    with trio.open_signal_receiver(*SIGNALS) as signals:
        for each in SIGNALS:
            signal.signal(each, _once(signal.getsignal(each)))
        listener = spawn(_listen, signals, self_pid(), label="signals")
        controller = await started_controller()
        try:
            with suppress(CallError):  # the controller has ended; its `Exit` says why
                await ensure_all_started(application, StartType.PERMANENT)
            code = await _wait_for_end(controller)
        except StartError as error:
            code = _report_start_failure(application, error)
        with suppress(CallError):  # it has ended
            await controller.stop(SHUTDOWN, timeout=None)
        listener.exit(KILL)
    return code


async def _wait_for_end(controller: Pid) -> int:
    """Wait for the first signal, or for an end that is the program's too."""
    while True:
        match await receive((_Signal, Exit)):
            case Exit(pid, Shutdown(ApplicationEnded(_, reason))) if pid is controller:
                return EXIT_STOPPED if reason is NORMAL else EXIT_FAILED
            case Exit(pid, reason) if pid is controller:
                emit(_log, "error", "application controller ended", reason=fact(reason))
                return EXIT_FAILED
            case _Signal(signum):
                emit(_log, "info", "stopping", signal=signum.name)
                return EXIT_STOPPED


@attrs.frozen
class _Signal:
    signum: signal.Signals


def _once(handler: Any) -> Callable[[int, FrameType | None], None]:
    """The first signal for `handler`; the others are the operating system's again, from this step
    on, for there may be no other: the first may come while the event loop hangs.
    """

    def first(signum: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        handler(signum, frame)

    return first


async def _listen(signals: AsyncIterator[int], main: Pid) -> None:
    """Tell `main` of the first signal."""
    async for signum in signals:
        main.send(_Signal(signal.Signals(signum)))


def _report_start_failure(application: AppLike, error: StartError) -> int:
    """One line: the program, the application if it is one that the program needs, the cause."""
    path = Path(sys.argv[0])
    program = (path.parent.name if path.name == "__main__.py" else path.name) or "application"
    if isinstance(error, ApplicationStartError) and error.application is application:
        error = StartError(error.reason)
    sys.stderr.write(f"{program}: {explain(error)}\n")
    return EXIT_CONFIGURATION if is_configuration_error(error) else EXIT_FAILED
