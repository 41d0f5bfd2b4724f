"""`GenServer`: a process that owns a state and serves requests one at a time (OTP: `gen_server`).

    caller                                server (one message at a time)
    ------                                ------------------------------
    await Stack.start_link(args)  ----->  init(args)
    await pid.call(request)       ----->  handle_call(request, sender)
    pid.cast(message)             ----->  handle_cast(message)
    pid.send(message)             ----->  handle_info(message)
                                          handle_continue(token), after then=Continue(token)
    await pid.stop()              ----->  terminate(reason)

The state is `self`. Each start makes a fresh instance, so a restart begins from the start
arguments. All callbacks run in the server's process. What they may return is listed in
`results.py`; anything else ends the server with `BadReturn`. An exception in a callback ends it
with `Crash(exception)`; `terminate` then sees the object as the exception left it.

Use a GenServer for state that has an owner or a life of its own. Not for organising code: a plain
module is faster, and one server that everybody calls is a queue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import Any, ClassVar, NoReturn, Self

import trio

from actors import reports
from actors.bounded import Bounded
from actors.calls import Call
from actors.debug import DebugOptions
from actors.kernel import Name, call, cast, stop, whereis
from actors.pid import MonitorRef, Pid
from actors.process import Process, current_process
from actors.results import Action
from actors.server_loop import serve
from actors.server_start import (
    StartOptions,
    begin_start,
    start_monitored_server,
    start_server,
)
from actors.start import Start

__all__ = ("GenServer", "UndefinedCallbackError")


class UndefinedCallbackError(NotImplementedError):
    """A request came for which the server has no callback."""


class GenServer:
    """Subclass it and write the callbacks that you need."""

    trap_exit: ClassVar[bool | None] = None
    """Get exit signals as `Exit` messages in `handle_info`. None: yes if the class has a
    `terminate`, because it would otherwise not be run when the supervisor stops the server (a
    documented difference from OTP).
    """

    hibernate_after: ClassVar[float | None] = None
    """Seconds without a message after which `hibernate` is called."""

    _process: Process

    # -- callbacks -------------------------------------------------------------------------------

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up the state from the start arguments. May return an action, `Ignore()` or `Stop`.

        Write it as `async def` if it has to wait for something: the starter then waits too. A plain
        function is the faster start: it runs in the starter's step, as the new server.
        """
        if args or kwargs:
            raise TypeError(
                f"{type(self).__name__} has no init, but was started with {args} {kwargs}"
            )

    async def handle_call(self, request: Any, sender: Call) -> Any:
        """Answer `request`: return the reply, or `Reply`, `NoReply`, `Stop`. `sender` is for a
        later `reply`.
        """
        raise self._undefined("handle_call", request)

    async def handle_cast(self, message: Any) -> Any:
        """Take a cast. Return None, `NoReply(then=…)` or `Stop(reason)`."""
        raise self._undefined("handle_cast", message)

    async def handle_info(self, message: Any) -> Any:
        """Take anything else that was sent: messages, `Down`, trapped `Exit`, timeouts. Returns as
        `handle_cast`.
        """
        reports.unexpected_message(self.pid, message)

    async def handle_continue(self, token: Any) -> Any:
        """Go on with `token`, before anything in the mailbox is looked at. Returns as
        `handle_cast`.
        """
        raise self._undefined("handle_continue", token)

    async def terminate(self, reason: Any) -> None:
        """Clean up. Runs in the server after the last message; not on `KILL` and not after a failed
        `init`.

        An exception here replaces the exit reason. Callers see the end only when it has finished.
        """

    def hibernate(self) -> None:
        """Drop what can be computed again; called for `Hibernate()` and after `hibernate_after`.

        CPython has no heap to compact.
        """

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """What reports and `sys.get_status` show of `state`, `message` and `reason`; leave secrets
        out here.
        """
        return status

    # -- oneself ---------------------------------------------------------------------------------

    @property
    def pid(self) -> Pid:
        """The server's own pid."""
        return self._process.pid

    # -- starting --------------------------------------------------------------------------------

    @classmethod
    async def start_link(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> Pid:
        """Start a server linked to the calling process; returns when `init` has.

        `args` and `kwargs` go to `init`; `name` registers it; `timeout` is the seconds that `init`
        may take; `mailbox` bounds what may wait (`bounded`); `debug` records from the start what
        the server does (`introspection`). Raises `StartError(reason)`, `AlreadyStartedError(pid)`,
        `StartIgnoredError`. A caller that does not trap exits dies with a server that crashes,
        during its start too (G5).
        """
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_server(cls, args, kwargs, options, link=True)

    @classmethod
    def _begin_start_link(
        cls,
        starter: Process,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> Start:
        """`start_link` as far as it goes without waiting, for a supervisor."""
        options = StartOptions(name, timeout, mailbox, debug)
        return begin_start(starter, cls, args, kwargs, options, link=True)

    @classmethod
    async def start(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> Pid:
        """`start_link` without the link."""
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_server(cls, args, kwargs, options, link=False)

    @classmethod
    async def start_monitor(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> tuple[Pid, MonitorRef]:
        """`start`, watched by the calling process from its first step; a failed start leaves no
        `Down` (OTP: `gen_server:start_monitor/3`).
        """
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_monitored_server(cls, args, kwargs, options)

    async def enter_loop(self, *, name: Name | None = None, then: Action | None = None) -> NoReturn:
        """Turn the calling process into this server, without `init` (OTP: `enter_loop`, G6).

        For processes that set themselves up in their own way; `self` has its state. Whether exits
        are trapped is the process's affair. `name`, if given, must be its name, on the node or in a
        registry. Never returns. Raises `RuntimeError` where that cannot be.
        """
        process = current_process()
        if trio.lowlevel.current_task() is not process.task:
            raise RuntimeError("enter_loop() belongs to the own task of a spawned process")
        if process.has_loop:
            raise RuntimeError(f"{process.pid!r} is a server already")
        if name is not None and whereis(name) is not process.pid:
            raise RuntimeError(f"{process.pid!r} is not registered as {name!r}")
        await serve(self._bind(process), then, may_sleep=False)
        raise AssertionError("a loop that may not sleep does not return")

    @classmethod
    def child_spec(
        cls,
        *args: Any,
        id: Any = None,
        restart: Any = None,
        shutdown: Any = None,
        **options: Any,
    ) -> dict[str, Any]:
        """How a supervisor starts this server: `start_link(*args)` (Elixir: `child_spec/1`).

        `id`, `restart`, `shutdown`, `significant`, `backoff` and `type` are the supervisor's;
        everything else goes to `start_link`. The id is the `name`, or else the class.
        """
        spec: dict[str, Any] = {"id": id, "start": (cls.start_link, args, options)}
        if id is None:
            spec["id"] = options.get("name") or cls
        if restart is not None:
            spec["restart"] = restart
        if shutdown is not None:
            spec["shutdown"] = shutdown
        for field in _SUPERVISORS_OPTIONS & options.keys():
            value = options.pop(field)
            if value is not None:
                spec[field] = value
        return spec

    # -- by name ---------------------------------------------------------------------------------

    call = staticmethod(call)
    cast = staticmethod(cast)
    stop = staticmethod(stop)

    def _receive(self, message: Any) -> Awaitable[Any]:
        """Where a behaviour that stands on GenServer takes the messages of its own."""
        return self.handle_info(message)

    def _stopping(self, reason: Any) -> None:
        """Where a behaviour on GenServer hears that a callback has returned `Stop(reason)`, before
        `terminate`; no exit signal, exception or `stop` comes here.
        """

    def _get_state(self) -> Any:
        """What `introspection.get_state` and reports show. Behaviours on GenServer may say it."""
        return {name: value for name, value in _attributes(self) if name != "_process"}

    def _set_state(self, state: Any) -> None:
        """The counterpart of `_get_state`."""
        for name in self._get_state().keys() - state.keys():
            delattr(self, name)
        for name, value in state.items():
            if name != "_process":
                setattr(self, name, value)

    def _undefined(self, callback: str, message: Any) -> UndefinedCallbackError:
        return UndefinedCallbackError(
            f"{type(self).__name__} has no {callback}, but was given {message!r}"
        )

    @classmethod
    def _traps_exits(cls) -> bool:
        return cls.terminate is not GenServer.terminate if cls.trap_exit is None else cls.trap_exit

    def _bind(self, process: Process) -> Self:
        self._process = process
        process.server = self
        process.has_loop = True
        return self


_SUPERVISORS_OPTIONS = frozenset({"significant", "backoff", "type"})


def _attributes(server: GenServer) -> Iterator[tuple[str, Any]]:
    yield from vars(server).items()
    for base in type(server).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(server, name):
                yield name, getattr(server, name)
