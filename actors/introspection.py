"""Looking into running servers, and stopping them for a while (OTP: `sys`; Elixir: `:sys`).

    from actors import introspection

    await introspection.get_state("stack")          # {"items": ["a", "b"]}
    await introspection.suspend("stack")

All but `process_info` are system messages: they queue behind the messages that wait already, the
server's loop answers them whatever its callbacks do, and they raise what `call` raises. `timeout`
is in seconds. A plain process knows only `terminate`; asked for more it raises.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Hashable
from typing import Any

import attrs
import trio

from actors.debug import (
    DEFAULT_LOG_SIZE,
    DONE,
    DebugEvent,
    DebugOptions,
    DebugStatistics,
    Hook,
    check_hook_id,
    check_log_size,
    write_event,
)
from actors.exceptions import NoProcessError
from actors.exits import NOPROC
from actors.kernel import Destination, whereis
from actors.pid import DEFAULT_CALL_TIMEOUT, MonitorRef, Pid
from actors.process import Process

__all__ = (
    "DEFAULT_LOG_SIZE",
    "DONE",
    "DebugEvent",
    "DebugOptions",
    "DebugStatistics",
    "ProcessInfo",
    "get_log",
    "get_state",
    "get_statistics",
    "get_status",
    "install",
    "log",
    "log_to_file",
    "no_debug",
    "process_info",
    "remove",
    "replace_state",
    "resume",
    "statistics",
    "suspend",
    "terminate",
    "trace",
)


# -- state ---------------------------------------------------------------------------------------


async def get_state(server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT) -> Any:
    """The state: a GenServer's attributes as a dict; behaviours on top of it answer with theirs."""
    return await _ask(server, ("get_state",), timeout)


async def replace_state(
    server: Destination,
    change: Callable[[Any], Any],
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> Any:
    """Replace the state with `change(state)`, which runs in the server; the new state.

    If it raises, or an attribute cannot be set, the state is unchanged and the caller gets a
    `CallError` with the reason `("callback_failed", Crash(exception))` (SY3).
    """
    return await _ask(server, ("replace_state", change), timeout)


async def get_status(
    server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT
) -> dict[str, Any]:
    """What is known of the server; its state, and the log if there is one, as `format_status` shows
    them (G31).
    """
    status: dict[str, Any] = await _ask(server, ("get_status",), timeout)
    return status


# -- control -------------------------------------------------------------------------------------


async def suspend(server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT) -> None:
    """Let the server answer nothing but system messages and its parent's exit; idempotent (SY2)."""
    await _ask(server, ("suspend",), timeout)


async def resume(server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT) -> None:
    """Let it go on with what has queued up; idempotent."""
    await _ask(server, ("resume",), timeout)


async def terminate(server: Destination, reason: Any, timeout: float | None = None) -> None:
    """End it in order: `terminate(reason)` is run (SY6). As `stop`, but any reason will do."""
    await _pid_of(server, ("terminate", reason)).stop(reason, timeout)


# -- debugging -----------------------------------------------------------------------------------


async def log(
    server: Destination,
    size: int | None = DEFAULT_LOG_SIZE,
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> None:
    """Keep the last `size` events, for `get_log` and crash reports; None: keep none (SY4).

    Raises `ValueError` if `size` is neither.
    """
    check_log_size(size)
    await _ask(server, ("log", size), timeout)


async def get_log(
    server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT
) -> list[DebugEvent]:
    """The events that were kept, oldest first."""
    events: list[DebugEvent] = await _ask(server, ("get_log",), timeout)
    return events


async def log_to_file(
    server: Destination,
    path: str | os.PathLike[str] | None,
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> None:
    """Write each event as a line to a file, which is emptied first; None: no longer (SY4).

    The server writes in its own step, so this is for debugging only. Raises `OSError` if the file
    cannot be written; if that happens later, the log reports it and nothing more is written.
    """
    target = None if path is None else await trio.Path(path).absolute()
    if target is not None:
        await target.write_text("")
    await remove(server, "log_to_file", timeout)
    if target is not None:
        await install(server, write_event, str(target), id="log_to_file", timeout=timeout)


async def statistics(
    server: Destination,
    on: bool = True,  # noqa: FBT001, FBT002  # as sys:statistics(Server, true) reads
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> None:
    """Begin to count messages and replies, from zero, or stop counting."""
    await _ask(server, ("statistics", on), timeout)


async def get_statistics(
    server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT
) -> DebugStatistics | None:
    """The counters; None if `statistics` is not on (OTP: `no_statistics`)."""
    counted: DebugStatistics | None = await _ask(server, ("get_statistics",), timeout)
    return counted


async def trace(
    server: Destination,
    on: bool = True,  # noqa: FBT001, FBT002  # as sys:trace(Server, true) reads
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> None:
    """Log each event of the server through structlog, or no longer."""
    await _ask(server, ("trace", on), timeout)


async def install(
    server: Destination,
    hook: Hook,
    state: Any = None,
    *,
    id: Hashable | None = None,
    timeout: float | None = DEFAULT_CALL_TIMEOUT,
) -> None:
    """Call `hook(state, event, the server's state)` at each event, in the server (SY5).

    What it returns is its next state; `DONE` removes it, and so does an exception. `id`, the hook
    itself by default, is for `remove`. Raises `CallError` if the id is taken, and `TypeError` if
    `hook` cannot be called or the id has no hash.
    """
    if not callable(hook):
        raise TypeError(f"a hook is a function of its state, an event and a state; got {hook!r}")
    check_hook_id(hook if id is None else id)
    await _ask(server, ("install", hook if id is None else id, hook, state), timeout)


async def remove(
    server: Destination, id: Hashable, timeout: float | None = DEFAULT_CALL_TIMEOUT
) -> None:
    """Remove a hook, by the id under which it was installed. None is installed: nothing happens.

    Raises `TypeError` if `id` has no hash.
    """
    check_hook_id(id)
    await _ask(server, ("remove", id), timeout)


async def no_debug(server: Destination, timeout: float | None = DEFAULT_CALL_TIMEOUT) -> None:
    """Switch log, statistics, trace and hooks off."""
    await _ask(server, ("no_debug",), timeout)


# -- looking from outside ------------------------------------------------------------------------


@attrs.frozen
class ProcessInfo:
    """What can be seen of a process without asking it (OTP: `erlang:process_info/1`)."""

    pid: Pid
    name: str | None
    label: str
    parent: Pid
    ancestors: tuple[str | Pid, ...]
    status: str
    """"waiting" for a message, "running" (or waiting for something else), or "exiting"."""
    trap_exit: bool
    message_queue_len: int
    links: tuple[Pid, ...]
    monitors: tuple[MonitorRef, ...]
    """Those with which it watches others."""
    monitored_by: tuple[Pid, ...]
    pending_calls: int
    """Requests to it that have no reply yet."""
    module: type[Any] | None
    """The class of its server; None for a plain process."""
    stack: str
    """Where its task stands now."""


def process_info(process: Destination) -> ProcessInfo | None:
    """What can be seen of a process from outside, at once; None if it is not there."""
    pid = whereis(process)
    target = None if pid is None else pid.target
    if pid is None or not isinstance(target, Process):
        return None
    mailbox = target.mailbox.statistics()
    running = "waiting" if mailbox.reader_waiting or target.asleep else "running"
    return ProcessInfo(
        pid=pid,
        name=target.name,
        label=target.label,
        parent=target.parent,
        ancestors=target.ancestors,
        status=running if target.alive else "exiting",
        trap_exit=target.trap_exit,
        message_queue_len=mailbox.queued,
        links=tuple(target.links or ()),
        monitors=tuple(target.monitors or ()),
        monitored_by=tuple(ref.watcher for ref in target.watchers or ()),
        pending_calls=len(target.pending),
        module=None if target.server is None else type(target.server),
        stack=_stack(target),
    )


def _stack(process: Process) -> str:
    if process.task is None:
        return ""
    frames = [(frame, line) for frame, line in process.task.iter_await_frames()]
    return "".join(traceback.StackSummary.extract(frames).format())


# -- asking --------------------------------------------------------------------------------------


async def _ask(server: Destination, verb: tuple[Any, ...], timeout: float | None) -> Any:
    pid = _pid_of(server, verb)
    return await pid.target.system(pid, verb, timeout)


def _pid_of(server: Destination, request: Any) -> Pid:
    pid = whereis(server)
    if pid is None:
        raise NoProcessError(NOPROC, server, request)
    return pid
