"""Starting one child: calls the start function and reads what it gave (S6).

A start function returns a `Pid` or `(Pid, info)`; where it was told to ignore the outcome is None.
Every other one is a `StartError(reason)`: the reason of a StartError or an exit,
`Crash(exception)`, or `BadReturn(value)`. Cancellation and Ctrl-C pass, alone or in a group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Final

import attrs

from actors.exceptions import StartError, StartIgnoredError, reason_of
from actors.exits import BadReturn
from actors.failures import concerns_trio
from actors.gen_server import GenServer
from actors.pid import Pid
from actors.process import Process
from actors.start import Start as Starting
from supervisors.child_spec import Start

__all__ = ("Unfinished", "begin_process", "finish_process", "pid_of", "start_process")


@attrs.frozen
class Unfinished:
    """A start that goes on, or has yet to be begun, while the supervisor waits."""

    finish: Callable[[], Any]
    function: Callable[..., Any]


async def start_process(start: Start) -> Any:
    """Call the start function and wait; its outcome.

    Runs in the supervisor, which is so linked to the child and waits for its `init`.
    """
    function, args, kwargs = start
    return await finish_process(Unfinished(partial(function, *args, **kwargs), function))


def begin_process(supervisor: Process, start: Start) -> Any:
    """Go as far as it goes without waiting, in the place of `supervisor`: the outcome, or an
    `Unfinished`.
    """
    function, args, kwargs = start
    begin_server = _begin_server(function)
    try:
        if begin_server is not None:
            starting = begin_server(supervisor, *args, **kwargs)
            if starting.done:
                return starting.result()
            starting.begun_in_place = True
            return Unfinished(starting.wait, function)
        if not isinstance(function, _PLAIN) or iscoroutinefunction(function):
            return Unfinished(partial(function, *args, **kwargs), function)
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: ASYNC103  # as in `finish_process`
        return _without_process(error)  # noqa: ASYNC104
    if isawaitable(result):
        return Unfinished(lambda: result, function)
    return _checked(result, function)


async def finish_process(start: Unfinished) -> Any:
    """Wait for the outcome, in the supervisor."""
    try:
        result = start.finish()
        if isawaitable(result):
            result = await result
    except BaseException as error:  # noqa: ASYNC103  # raised again, if it is not the function's
        return _without_process(error)  # noqa: ASYNC104
    return _checked(result, start.function)


def pid_of(started: Any) -> Pid:
    """The pid in an outcome that is not None."""
    pid: Pid = started if type(started) is Pid else started[0]
    return pid


def _begin_server(function: Callable[..., Any]) -> Callable[..., Starting] | None:
    """A GenServer's own `start_link`, as far as it goes without waiting."""
    if getattr(function, "__func__", None) is not _START_LINK:
        return None
    server: type[GenServer] = function.__self__  # type: ignore[attr-defined]  # a bound classmethod
    return server._begin_start_link


def _without_process(error: BaseException) -> None:
    """Raise what a failed start raises; None where it was told to ignore."""
    if isinstance(error, StartIgnoredError):
        return
    if isinstance(error, StartError) or concerns_trio(error):
        raise error
    raise StartError(reason_of(error)) from error


def _checked(result: Any, function: Callable[..., Any]) -> Any:
    if type(result) is Pid or _is_pid_with_info(result):
        return result
    raise StartError(BadReturn(result, getattr(function, "__qualname__", repr(function))))


def _is_pid_with_info(result: object) -> bool:
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Pid)


_PLAIN: Final = (FunctionType, MethodType)
_START_LINK: Final = GenServer.start_link.__func__  # type: ignore[attr-defined]  # as above
