"""Starting one child: calls the start function and reads what it gave (S6)."""

from __future__ import annotations

from typing import Any

from actors.exceptions import ProcessExit, StartError, StartIgnoredError, reason_of
from actors.exits import BadReturn
from actors.pid import Pid
from supervisors.child_spec import Start

__all__ = ("pid_of", "start_process")


async def start_process(start: Start) -> Any:
    """What the start function gave: a `Pid`, `(Pid, info)`, or None when it was told to ignore.

    Runs in the supervisor, which is so linked to the child and waits for its `init`. Raises
    `StartError(reason)` for every other outcome: the reason of a StartError or an exit,
    `Crash(exception)`, or `BadReturn(value)`. Cancellation and Ctrl-C pass, alone or in a group.
    """
    function, args, kwargs = start
    try:
        result = await function(*args, **kwargs)
    except StartIgnoredError:
        return None
    except StartError:
        raise
    except (Exception, ProcessExit) as error:
        raise StartError(reason_of(error)) from error
    except BaseExceptionGroup as group:  # out of a nursery of the start function
        if group.split((Exception, ProcessExit))[1] is not None:
            raise
        raise StartError(reason_of(group)) from group
    if type(result) is Pid or _is_pid_with_info(result):
        return result
    raise StartError(BadReturn(result, getattr(function, "__qualname__", repr(function))))


def pid_of(started: Any) -> Pid:
    """The pid in a result of `start_process` that is not None."""
    pid: Pid = started if type(started) is Pid else started[0]
    return pid


def _is_pid_with_info(result: object) -> bool:
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Pid)
