"""`Pid`: the address of a process, with the verbs; `MonitorRef`: one monitor.

A pid holds no state but what it points at: while the process lives that is the process, afterwards
one object per node that answers for all the dead. So a verb never asks first whether anybody is
there.
"""

from __future__ import annotations

import functools
from collections.abc import Coroutine
from typing import Any, Protocol, Self

import msgspec

from actors.context import current
from actors.exceptions import NoNodeError, ProcessExit
from actors.exits import NORMAL

__all__ = ("DEFAULT_CALL_TIMEOUT", "Addressee", "Answer", "MonitorRef", "Pid", "Reference")

DEFAULT_CALL_TIMEOUT = 5.0
"""Seconds that a call waits for its reply, as in OTP."""


class Reference:
    """Something for which one message comes, an `Answer`, and not before the reference was made."""

    __slots__ = ("mark",)

    def __init__(self) -> None:
        self.mark: Any = None
        """For the runtime: the answer stands behind this position of the mailbox."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return self

    def is_answered_by(self, message: Any) -> bool:
        """Is `message` the answer?"""
        return isinstance(message, Answer) and message.ref is self


class Answer:
    """The one message for which `ref` was made; `receive(ref)` takes it."""

    __slots__ = ()

    ref: Reference


class MonitorRef(Reference):
    """One monitor: `watcher` hears of the end of `object`, the pid or name that was asked for."""

    __slots__ = ("object", "pid", "watcher")

    def __init__(self, watcher: Pid, pid: Pid | None, object: Any) -> None:  # OTP's word
        self.watcher = watcher
        self.pid = pid
        self.mark = None
        self.object = object

    def __repr__(self) -> str:
        return f"<MonitorRef of {self.object!r}>"


class AddresseeNode(Protocol):
    """What a sender looks at."""

    @property
    def fenced(self) -> bool:
        """Is the sender a zombie, whose messages are ignored (K1)? See `fence`."""


class Addressee(Protocol):
    """What a pid points at: a living process, or the node's stand-in for the dead."""

    @property
    def node(self) -> AddresseeNode:
        """Where it lives, or has lived."""

    def deliver(self, message: Any, /) -> None:
        """Take a message. Never raises, never waits."""

    def receive_exit(self, sender: Pid, reason: Any, *, linked: bool) -> None:
        """Take an exit signal."""

    def asend(self, message: Any) -> Coroutine[Any, Any, None]:
        """Take a message, as soon as there is room."""

    def call(
        self, server: Pid, request: Any, timeout: float | None, name: Any
    ) -> Coroutine[Any, Any, Any]:
        """Ask and wait for the reply."""

    def system(
        self, server: Pid, verb: tuple[Any, ...], timeout: float | None
    ) -> Coroutine[Any, Any, Any]:
        """Ask the loop rather than the user code, and wait for the answer."""

    def stop(self, server: Pid, reason: Any, timeout: float | None) -> Coroutine[Any, Any, None]:
        """Ask for an orderly end and wait for it."""

    def wait_exited(self) -> Coroutine[Any, Any, Any]:
        """Wait for the end; the exit reason."""

    def link_to(self, other: Pid) -> bool:
        """Enter one half of a link; False if there is nobody to link to."""

    def unlink_from(self, other: Pid) -> None:
        """Remove one half of a link."""

    def add_monitor(self, ref: MonitorRef) -> bool:
        """Enter a monitor; False if there is nobody to watch."""

    def remove_monitor(self, ref: MonitorRef) -> bool:
        """Remove a monitor; False if it was not there."""

    def remove_own_monitor(self, ref: MonitorRef) -> bool:
        """Forget that this process watches; False if it did not."""

    @property
    def alive(self) -> bool:
        """Has the process not begun to exit?"""

    @property
    def name(self) -> str | None:
        """The registered name."""


@functools.total_ordering
class Pid:
    """The address of a process. Hashable, ordered by start, never reused (OTP: pid).

    Sending to the dead is not an error; calling them is.
    """

    __slots__ = ("__weakref__", "label", "node_name", "serial", "target")

    def __init__(self, node_name: str, serial: int, label: str, target: Addressee) -> None:
        self.node_name = node_name
        self.serial = serial
        self.label = label
        self.target = target
        """For the runtime: whom this address reaches now."""

    def __repr__(self) -> str:
        name = self.target.name
        called = f' "{name}"' if name else ""
        return f"<Pid {self.node_name}.{self.serial} {self.label}{called}>"

    def __copy__(self) -> Pid:
        return self

    def __deepcopy__(self, _memo: Any) -> Pid:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} is an address within one node and cannot be pickled")

    def __lt__(self, other: Pid) -> bool:
        return (self.node_name, self.serial) < (other.node_name, other.serial)

    def call(
        self, request: Any, timeout: float | None = DEFAULT_CALL_TIMEOUT
    ) -> Coroutine[Any, Any, Any]:
        """Ask the server and wait for its reply, `timeout` seconds at most (None: for ever).

        Raises `CallTimeoutError`, `NoProcessError`, `CallingSelfError`, or `ServerExitedError` if
        the server ends before it replies. OTP: `gen_server:call/3`.
        """
        return self.target.call(self, request, timeout, self)

    def cast(self, message: Any) -> None:
        """Send `message` to the server's `handle_cast`. Never fails, never waits. OTP:
        `gen_server:cast/2`.
        """
        target = self.target
        if not target.node.fenced:
            target.deliver(Cast(message))

    def send(self, message: Any) -> None:
        """Put `message` into the mailbox, for `handle_info` or `receive`. Never fails. OTP: `!`."""
        target = self.target
        if not target.node.fenced:
            target.deliver(message)

    def asend(self, message: Any) -> Coroutine[Any, Any, None]:
        """`send` that waits for room if the mailbox is bounded and blocks (`bounded`), and lets
        others run in any case.
        """
        return self.target.asend(message)

    def stop(self, reason: Any = NORMAL, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        """Ask for an orderly end, behind the messages that are queued already, and wait for it.

        Raises `CallError` with the actual reason if the process ends for another one,
        `NoProcessError` if it is dead and `CallTimeoutError` after `timeout` seconds. OTP:
        `gen_server:stop/3`.
        """
        return self.target.stop(self, reason, timeout)

    def exit(self, reason: Any) -> None:
        """Send an exit signal (OTP: `exit/2`); `KILL` cannot be trapped, `NORMAL` harms only
        oneself.
        """
        sender = _self("exit")
        self.target.receive_exit(sender.pid, reason, linked=False)
        if sender.pid is self and not sender.alive:
            raise ProcessExit(sender.exit_reason)

    def link(self) -> None:
        """Link the calling process with this one. Raises `NoProcessError` if it is dead and exits
        are not trapped.
        """
        _self("link").link(self)

    def unlink(self) -> None:
        """Undo `link`. An `Exit` that is in the mailbox already stays there."""
        _self("unlink").unlink(self)

    def monitor(self) -> MonitorRef:
        """Let the calling process hear of this one's end: exactly one `Down`."""
        ref: MonitorRef = _self("monitor").watch(self, self)
        return ref

    def is_alive(self) -> bool:
        """False as soon as the process has begun to exit."""
        return self.target.alive

    def wait_exited(self) -> Coroutine[Any, Any, Any]:
        """Wait until the process has ended; the exit reason (`NOPROC` if it had ended before)."""
        return self.target.wait_exited()


class Cast(msgspec.Struct, frozen=True, gc=False):
    """An asynchronous request for `handle_cast`. A Struct, because one is made per cast: 40 ns."""

    message: Any


def _self(verb: str) -> Any:
    """The calling process; typed loosely, because processes are a room above this one."""
    try:
        process = current.get()
    except LookupError:
        message = f"{verb}() needs a process: call it inside actors.run(main) or open_node()"
        raise NoNodeError(message) from None
    if process.dead:  # a zombie
        raise ProcessExit(process.exit_reason)
    return process
