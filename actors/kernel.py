"""The verbs of processes (OTP: the process BIFs of `erlang`; Elixir: `Process`). Where a pid is
taken, a name is too.

All of them but those with `await` are synchronous and take effect at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from actors.calls import Call, System
from actors.exceptions import ActorsError, NoProcessError, ProcessExit
from actors.exits import NOPROC, NORMAL
from actors.messages import Down
from actors.node import current_node
from actors.pid import DEFAULT_CALL_TIMEOUT, Cast, MonitorRef, Pid
from actors.process import Process, current_process

__all__ = (
    "Destination",
    "Name",
    "NameRegistry",
    "ReceiveTimeoutError",
    "Via",
    "call",
    "cast",
    "demonitor",
    "exit",
    "is_alive",
    "link",
    "monitor",
    "receive",
    "register",
    "reply",
    "self_pid",
    "send",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "stop",
    "trap_exit",
    "unlink",
    "unregister",
    "whereis",
)


class ReceiveTimeoutError(ActorsError, TimeoutError):
    """No message that `receive` asked for arrived in time."""


class NameRegistry(Protocol):
    """What `Via` needs (Elixir: the `:via` contract)."""

    def register_name(self, key: Any, pid: Pid) -> bool:
        """Enter `pid`; False if the key is taken."""

    def unregister_name(self, key: Any) -> None:
        """Remove the entry."""

    def whereis_name(self, key: Any) -> Pid | None:
        """Who has the key."""


@attrs.frozen
class Via:
    """A name in a registry instead of among the node's names."""

    registry: NameRegistry
    key: Any


Name: TypeAlias = str | Via
Destination: TypeAlias = Pid | Name


def whereis(destination: Destination) -> Pid | None:
    """The pid behind a name; None if nobody has it. A pid is itself."""
    if isinstance(destination, Pid):
        return destination
    if isinstance(destination, str):
        return current_node().names.get(destination)
    if isinstance(destination, Via):
        return destination.registry.whereis_name(destination.key)
    raise TypeError(f"expected a Pid, a name (str) or Via(registry, key); got {destination!r}")


def send(destination: Destination, message: Any) -> None:
    """Put `message` into a mailbox. To the dead: dropped. To a name that nobody has:
    `NoProcessError` (P3).
    """
    _find(destination, message).send(message)


def cast(destination: Destination, message: Any) -> None:
    """Send to `handle_cast`. Never fails, whoever is or is not there (G25)."""
    pid = whereis(destination)
    if pid is not None:
        pid.target.deliver(Cast(message))


async def call(
    destination: Destination, request: Any, timeout: float | None = DEFAULT_CALL_TIMEOUT
) -> Any:
    """`Pid.call`, by name too; errors name what was asked for (G21–G24)."""
    pid = _find(destination, request)
    return await pid.target.call(pid, request, timeout, destination)


async def stop(
    destination: Destination, reason: Any = NORMAL, timeout: float | None = None
) -> None:
    """`Pid.stop`, by name too (G29)."""
    await _find(destination, ("stop", reason)).stop(reason, timeout)


async def reply(sender: Call, value: Any) -> bool:
    """Answer the `sender` that `handle_call` was given. Any process may, once.

    Returns whether somebody still waited: a second reply, or one after the caller's timeout, is
    dropped (G9).
    """
    return sender.resolve(value)


# -- oneself -------------------------------------------------------------------------------------


def self_pid() -> Pid:
    """The pid of the calling process."""
    return current_process().pid


def trap_exit(flag: bool = True) -> bool:  # noqa: FBT001, FBT002  # as process_flag(trap_exit, true) reads
    """Get exit signals as `Exit` messages instead of dying of them; the former flag."""
    process = current_process()
    before, process.trap_exit = process.trap_exit, flag
    return before


async def receive(
    match: type | tuple[type, ...] | MonitorRef | Callable[[Any], bool] | None = None,
    timeout: float | None = None,
) -> Any:
    """The oldest message that matches; the others stay where they are, in order (P4).

    `match` is a type or several, a `MonitorRef` (its `Down`), a predicate, or None for any message.
    `timeout` is in seconds; 0 looks once. Raises `ReceiveTimeoutError`, and `RuntimeError` if
    called from another Trio task than the process's own.
    """
    process = current_process()
    if trio.lowlevel.current_task() is not process.task:
        raise RuntimeError(
            f"receive() belongs to the own task of {process.pid!r}, not to its helpers"
        )
    matches = _predicate(match)
    timer = None
    if timeout:
        timer = process.node.deadlines.call_later(timeout, process.mailbox.wake)
    try:
        while True:
            found, message = _take(process, matches)
            if found:
                return message
            if timeout is not None and (timer is None or not timer.active):
                raise ReceiveTimeoutError(
                    f"{process.pid!r} received nothing that matches {match!r}"
                )
            await process.mailbox.wait()
    finally:
        if timer is not None:
            timer.cancel()


# -- others --------------------------------------------------------------------------------------


def spawn(function: Callable[..., Awaitable[Any]], *args: Any, label: str | None = None) -> Pid:
    """Start a process that runs `await function(*args)` and ends `NORMAL` when that returns."""
    return _spawn(function, args, label, link=False).pid


def spawn_link(
    function: Callable[..., Awaitable[Any]], *args: Any, label: str | None = None
) -> Pid:
    """`spawn` and `link` in one step."""
    return _spawn(function, args, label, link=True).pid


def spawn_monitor(
    function: Callable[..., Awaitable[Any]], *args: Any, label: str | None = None
) -> tuple[Pid, MonitorRef]:
    """`spawn` and `monitor` in one step."""
    pid = _spawn(function, args, label, link=False).pid
    return pid, pid.monitor()


def exit(destination: Destination, reason: Any) -> None:  # OTP's word
    """Send an exit signal. To end the calling process, raise `ProcessExit(reason)`."""
    _find(destination, ("exit", reason)).exit(reason)


def is_alive(destination: Destination) -> bool:
    """Is somebody there who has not begun to exit?"""
    pid = whereis(destination)
    return pid is not None and pid.is_alive()


def link(destination: Destination) -> None:
    """Link the calling process with another (L1, L2)."""
    _find(destination, "link").link()


def unlink(pid: Pid, *, flush: bool = False) -> None:
    """Undo `link`; `flush` also takes an `Exit` of it out of the mailbox."""
    pid.unlink()
    if flush:
        _flush(lambda message: getattr(message, "pid", None) is pid)


def monitor(destination: Destination) -> MonitorRef:
    """Hear of another's end as one `Down`; the dead and the unknown give it at once, with `NOPROC`
    (M1, M2).
    """
    return current_process().watch(whereis(destination), destination)


def demonitor(ref: MonitorRef, *, flush: bool = False) -> bool:
    """Undo `monitor`; False if the `Down` was delivered already. `flush` takes it out of the
    mailbox (M4).
    """
    removed = current_process().unwatch(ref)
    if flush and not removed:
        _flush(lambda message: isinstance(message, Down) and message.ref is ref)
    return removed


def register(name: str, pid: Pid) -> None:
    """Give a process its one name on this node. Raises `NameTakenError`, `NoProcessError`."""
    current_node().register(name, pid)


def unregister(name: str) -> None:
    """Free a name; dying does it too."""
    current_node().unregister(name)


# -- helpers -------------------------------------------------------------------------------------


def _find(destination: Destination, request: Any) -> Pid:
    pid = whereis(destination)
    if pid is None:
        raise NoProcessError(NOPROC, destination, request)
    return pid


def _spawn(
    function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], label: str | None, *, link: bool
) -> Process:
    name: str = label or getattr(function, "__name__", type(function).__name__)
    return current_node().spawn(function, args, label=name, parent=current_process(), link=link)


def _predicate(match: Any) -> Callable[[Any], bool] | None:
    if match is None:
        return None
    if isinstance(match, MonitorRef):
        return lambda message: isinstance(message, Down) and message.ref is match
    if isinstance(match, type | tuple):
        return lambda message: isinstance(message, match)
    if callable(match):
        return match  # type: ignore[no-any-return]  # a predicate
    raise TypeError(
        f"match must be a type, a tuple of types, a MonitorRef or a predicate; got {match!r}"
    )


def _take(process: Process, matches: Callable[[Any], bool] | None) -> tuple[bool, Any]:
    queue = process.mailbox.queue
    for index, message in enumerate(queue or ()):
        if isinstance(message, System):
            del queue[index]  # type: ignore[union-attr]  # it is what we walk through
            _answer_system(message)
            return _take(process, matches)
        if matches is None or matches(message):
            del queue[index]  # type: ignore[union-attr]  # as above
            return True, message
    return False, None


def _answer_system(request: System) -> None:
    """A plain process has no loop; it knows only how to end."""
    if request.request[0] == "terminate":
        raise ProcessExit(request.request[1])
    request.fail_with(("unknown_system_msg", request.request))


def _flush(matches: Callable[[Any], bool]) -> None:
    queue = current_process().mailbox.queue
    for index, message in enumerate(queue or ()):
        if matches(message):
            del queue[index]  # type: ignore[union-attr]  # it is what we walk through
            return
