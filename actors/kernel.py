"""The verbs of processes (OTP: the process BIFs of `erlang`; Elixir: `Process`). Where a pid is
taken, a name is too.

All of them but those with `await` are synchronous and take effect at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import attrs

from actors.bounded import Bounded
from actors.calls import Call
from actors.context import current
from actors.exceptions import NoProcessError
from actors.exits import NOPROC, NORMAL
from actors.messages import Down, Exit
from actors.node import current_node
from actors.pid import DEFAULT_CALL_TIMEOUT, MonitorRef, Pid
from actors.process import Process, current_process

__all__ = (
    "Destination",
    "Name",
    "NameRegistry",
    "Via",
    "call",
    "cast",
    "demonitor",
    "exit",
    "is_alive",
    "link",
    "monitor",
    "register",
    "reply",
    "self_pid",
    "send",
    "set_label",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "stop",
    "trap_exit",
    "unlink",
    "unregister",
    "whereis",
)


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
    """The pid behind a name; None if nobody has it. A pid is itself; None is the name of nobody, as
    Elixir's `nil`.
    """
    if isinstance(destination, Pid) or destination is None:
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
        pid.cast(message)


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
    process = current.get(None)
    if process is not None and process.dead:  # a zombie
        return False
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


def set_label(label: str) -> None:
    """Name the calling process for reports and pictures; any text, it need not be unique (P1)."""
    process = current_process()
    process.label = process.pid.label = label


# -- others --------------------------------------------------------------------------------------


def spawn(
    function: Callable[..., Awaitable[Any]],
    *args: Any,
    label: str | None = None,
    mailbox: Bounded | None = None,
) -> Pid:
    """Start a process that runs `await function(*args)` and ends `NORMAL` when that returns.

    `label` names it in reports; `mailbox` bounds it (`bounded`).
    """
    return _spawn(function, args, label, mailbox, link=False).pid


def spawn_link(
    function: Callable[..., Awaitable[Any]],
    *args: Any,
    label: str | None = None,
    mailbox: Bounded | None = None,
) -> Pid:
    """`spawn` and `link` in one step."""
    return _spawn(function, args, label, mailbox, link=True).pid


def spawn_monitor(
    function: Callable[..., Awaitable[Any]],
    *args: Any,
    label: str | None = None,
    mailbox: Bounded | None = None,
) -> tuple[Pid, MonitorRef]:
    """`spawn` and `monitor` in one step."""
    pid = _spawn(function, args, label, mailbox, link=False).pid
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
        _flush(lambda message: isinstance(message, Exit) and message.pid is pid)


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
    """Give a process its one name on this node, a string. Raises `NameTakenError`,
    `NoProcessError`.
    """
    if not isinstance(name, str):  # nothing would find it
        raise TypeError(f"the name of a process is a string; got {name!r}")
    current_process()  # raises in a zombie, which changes nothing any more (K1)
    current_node().register(name, pid)


def unregister(name: str) -> None:
    """Free a name; dying does it too. Raises `NoProcessError` if nobody has it."""
    current_process()  # raises in a zombie: the name may be its successor's (K1)
    current_node().unregister(name)


# -- helpers -------------------------------------------------------------------------------------


def _find(destination: Destination, request: Any) -> Pid:
    pid = whereis(destination)
    if pid is None:
        raise NoProcessError(NOPROC, destination, request)
    return pid


def _spawn(
    function: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    label: str | None,
    mailbox: Bounded | None,
    *,
    link: bool,
) -> Process:
    name = label if label is not None else _name_of(function)
    return current_node().spawn(
        function, args, label=name, parent=current_process(), link=link, mailbox=mailbox
    )


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _flush(matches: Callable[[Any], bool]) -> None:
    current_process().mailbox.find(matches)
