"""What a server's `init` makes of a start (G3, G5).

`init` may be a plain function, which cannot wait: it runs in the step of the starter, and the
server is up when the start returns without anybody having waited. Or it is `async`, and runs in the
server's own task while the starter waits. Either way it runs as the server.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable
from inspect import isawaitable
from typing import Any

from actors.exceptions import AlreadyStartedError, ProcessExit, StartError, StartIgnoredError
from actors.exits import ALIVE, NORMAL, BadReturn
from actors.process import Process
from actors.results import ACTIONS, Ignore, Stop

__all__ = ("begin_init", "finish_init")


def begin_init(
    process: Process,
    context: contextvars.Context,
    server: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any, Awaitable[Any] | None]:
    """Call `init`: what to do first, and what is still to be awaited, by `finish_init`.

    Raises what `init` raises, and `ProcessExit` if there is to be no server.
    """
    try:
        result = context.run(server.init, *args, **kwargs)
    except StartError as error:
        raise _refused(process, error) from error
    if result is not None and isawaitable(result):
        return None, result
    return _first_action(process, result), None


async def finish_init(process: Process, initialising: Awaitable[Any]) -> Any:
    """Await an `init` that waits, in the server's task, and tell the starter; what to do first.

    Raises as `begin_init` does.
    """
    try:
        result = await initialising
    except StartError as error:
        raise _refused(process, error) from error
    return _first_action(process, result)


def _first_action(process: Process, result: Any) -> Any:
    start: Any = process.start
    if isinstance(result, Ignore):
        start.failure = StartIgnoredError()
        raise ProcessExit(NORMAL)
    if isinstance(result, Stop):
        raise ProcessExit(result.reason)
    if result is not None and type(result) not in ACTIONS:
        raise ProcessExit(BadReturn(result, "init"))
    if process.exit_reason is ALIVE:
        start.started()
    return result


def _refused(process: Process, error: StartError) -> ProcessExit:
    """OTP's {error, Reason}: refused, and nobody dies of it. Where the error is of a server that
    `init` has started itself, only its reason is this start's too.
    """
    start: Any = process.start
    nested = isinstance(error, StartIgnoredError | AlreadyStartedError)
    start.failure = StartError(error.reason) if nested else error
    return ProcessExit(NORMAL)
