"""The machine room of GenServer: start, one message at a time, results, timers, the end.

`serve` is flat on purpose: it is the frame in which every idle server is parked, so each nested
coroutine would cost its memory once per server, and each helper call its time once per message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol

import trio

from actors import reports
from actors.calls import Call, System
from actors.deadlines import Timer
from actors.exceptions import (
    AlreadyStartedError,
    CallError,
    ProcessExit,
    StartError,
    StartIgnoredError,
)
from actors.exits import NORMAL, BadReturn, Crash, is_orderly
from actors.kernel import Name, Via, whereis
from actors.messages import Exit
from actors.node import current_node
from actors.pid import Cast, Pid
from actors.process import Process, Start, current_process
from actors.results import (
    NO_REPLY,
    Continue,
    Hibernate,
    IdleTimeout,
    Ignore,
    NoReply,
    Reply,
    Stop,
    Timeout,
)
from actors.system import answer_system, describe

__all__ = ("Server", "start_server")

MESSAGES_PER_TURN = 64
"""A server yields to the others after this many messages …"""
SECONDS_PER_TURN = 0.001
"""… or this long, so that no busy server starves the node. A checkpoint per message would cost 15
times as much.
"""


class Server(Protocol):
    """The callbacks; see `gen_server.GenServer`."""

    trap_exit: bool | None
    init: Callable[..., Awaitable[Any]]
    handle_call: Callable[[Any, Call], Awaitable[Any]]
    handle_cast: Callable[[Any], Awaitable[Any]]
    handle_info: Callable[[Any], Awaitable[Any]]
    handle_continue: Callable[[Any], Awaitable[Any]]
    terminate: Callable[[Any], Awaitable[None]]
    hibernate: Callable[[], None]
    format_status: Callable[[dict[str, Any]], dict[str, Any]]
    _process: Process
    _receive: Callable[[Any], Awaitable[Any]]
    _bind: Callable[[Process], Any]


# -- starting ------------------------------------------------------------------------------------


async def start_server(
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: Name | None,
    timeout: float | None,
    link: bool,
) -> Pid:
    """Start a server and wait until its `init` has returned (PL1–PL3, G1–G5)."""
    starter = current_process()
    if name is not None:
        _check_name(name)
    server = server_class()
    process = current_node().spawn(
        serve,
        (server, args, kwargs),
        label=server_class.__name__,
        parent=starter,
        link=link,
        trap_exit=_traps_exits(server_class),
    )
    server._bind(process)
    if name is not None:
        _register(name, process.pid)
    start = Start(starter, process)
    if timeout is not None:
        starter.node.deadlines.add(start, timeout)
    pid: Pid = await start.wait()
    return pid


def _check_name(name: Name) -> None:
    holder = whereis(name)
    if holder is not None:
        raise AlreadyStartedError(holder)


def _register(name: Name, pid: Pid) -> None:
    if isinstance(name, Via):
        name.registry.register_name(name.key, pid)
    else:
        current_node().register(name, pid)


def _traps_exits(server_class: type[Any]) -> bool:
    flag: bool | None = server_class.trap_exit
    if flag is None:
        return "terminate" in _overridden(server_class)
    return flag


def _overridden(server_class: type[Any]) -> set[str]:
    """Names that a class between the user's and GenServer defines."""
    names: set[str] = set()
    for base in server_class.__mro__:
        if base.__dict__.get("_is_root_server"):
            break
        names.update(base.__dict__)
    return names


async def _initialise(process: Process, server: Server, args: Any, kwargs: Any) -> Any:
    """Run `init` and tell the starter; what to do first. Raises `ProcessExit` if there is to be no
    server (G5).
    """
    start: Any = process.start
    try:
        result = await server.init(*args, **kwargs)
    except StartError as error:  # OTP's {error, Reason}: refused, and nobody dies of it
        start.failure = error
        raise ProcessExit(NORMAL) from error
    if isinstance(result, Ignore):
        start.failure = StartIgnoredError()
        raise ProcessExit(NORMAL)
    if isinstance(result, Stop):
        raise ProcessExit(result.reason)
    if result is not None and type(result) not in _ACTIONS:
        raise ProcessExit(BadReturn(result, "init"))
    if process.exit_reason is None:
        start.started()
    return result


# -- serving -------------------------------------------------------------------------------------


async def serve(  # noqa: PLR0912, PLR0915  # flat: see the head of this file
    server: Server, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The whole life of a server; leaves with `ProcessExit(reason)`, or cancelled by an exit
    signal.
    """
    process = server._process
    process.server = server
    then = await _initialise(process, server, args, kwargs)
    mailbox = process.mailbox
    parent = process.parent
    timers = _Timers(process)
    item: Any = None
    stop: Stop | None = None
    turn, turn_ends = MESSAGES_PER_TURN, perf_counter() + SECONDS_PER_TURN
    try:
        while stop is None:
            if process.exit_reason is not None:  # an exit signal came while a callback ran
                await trio.lowlevel.checkpoint()
            turn -= 1
            if turn < 0 or perf_counter() > turn_ends:
                await trio.lowlevel.checkpoint()
                turn, turn_ends = MESSAGES_PER_TURN, perf_counter() + SECONDS_PER_TURN

            # What is next: what the last callback asked for, or else the oldest message.
            item = timers.begin(then, server) if then is not None else None
            if item is None:
                queue = mailbox.queue
                if not queue:
                    await mailbox.wait()
                    turn, turn_ends = MESSAGES_PER_TURN, perf_counter() + SECONDS_PER_TURN
                    queue = mailbox.queue
                item = queue.popleft() if queue else timers.idle_message()
            then = None

            kind = type(item)
            if kind is Call:
                result = await server.handle_call(item.request, item)
                if type(result) not in _RESULTS:
                    item.resolve(result)
                elif type(result) is Reply:
                    item.resolve(result.value)
                    then = result.then
                else:
                    then, stop = _interpret(result, "handle_call")
                continue
            if kind is Cast:
                result = await server.handle_cast(item.message)
                callback = "handle_cast"
            elif kind is Continue:
                result = await server.handle_continue(item.token)
                callback = "handle_continue"
            elif kind is System:
                then = timers.idle  # a system message does not count as a message (G13)
                stop = await answer_system(process, server, item)
                continue
            elif kind is Exit and item.pid is parent:
                stop = Stop(item.reason)
                continue
            else:
                if kind is _Fired:
                    if item.timer is not timers.timer:
                        continue
                    item = item.message
                result = await server._receive(item)
                callback = "handle_info"
            if result is not None:
                then, stop = _interpret(result, callback)
        reason = stop.reason
    except ProcessExit as request:
        reason = request.reason
    except CallError as error:
        reason = error.exit_reason
    except Exception as error:
        reason = Crash(error)
    timers.cancel()
    await _end(process, server, item, reason, stop)


def _interpret(result: Any, callback: str) -> tuple[Any, Stop | None]:
    """A callback's result as (what to do next, whether to stop)."""
    if type(result) is NoReply:
        return result.then, None
    if type(result) is Stop:
        return None, result
    raise ProcessExit(BadReturn(result, callback))


async def _end(process: Process, server: Server, last: Any, reason: Any, stop: Stop | None) -> None:
    """`terminate`, then the reply of a stop, the report, the exit (G11, G16, G20, G32)."""
    try:
        await server.terminate(reason)
    except ProcessExit as request:
        reason = request.reason
    except CallError as error:
        reason = error.exit_reason
    except Exception as error:
        reason = Crash(error)
    if stop is not None and stop.reply is not NO_REPLY and isinstance(last, Call):
        last.resolve(stop.reply)
    if not is_orderly(reason):
        status = describe(server, last, reason)
        reports.server_crashed(
            process.pid, process.ancestors, status["message"], status["state"], reason
        )
        process.silent = True
    raise ProcessExit(reason)


class _Fired:
    """A server's timer has fired. It stands in the mailbox; by then it may have been replaced."""

    __slots__ = ("message", "timer")

    def __init__(self, timer: Any, message: Any) -> None:
        self.timer = timer
        self.message = message


class _Timers:
    """The one timer and the one idle limit of a server."""

    __slots__ = ("idle", "idle_timer", "process", "timer")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.timer: Timer | None = None
        self.idle: IdleTimeout | None = None
        """The idle limit that is in force until the next message."""
        self.idle_timer: Timer | None = None

    def begin(self, then: Any, server: Server) -> Any:
        """Do what the last callback asked for; the item to handle before the mailbox, if any."""
        self._end_idle()
        kind = type(then)
        if kind is Continue:
            return then
        if kind is Timeout:
            return self._start_timer(then)
        if kind is IdleTimeout:
            return self._start_idle(then)
        if kind is Hibernate:
            server.hibernate()
            return None
        raise ProcessExit(BadReturn(then, "then"))

    def _start_timer(self, timeout: Timeout) -> Any:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if timeout.seconds is None:
            return None
        if timeout.seconds <= 0:
            return timeout.message
        process, message = self.process, timeout.message
        self.timer = timer = process.node.deadlines.call_later(
            timeout.seconds, lambda: process.deliver(_Fired(timer, message))
        )
        return None

    def _start_idle(self, limit: IdleTimeout) -> Any:
        if self.process.mailbox.queue:
            return None
        if limit.seconds <= 0:
            return limit.message
        self.idle = limit
        self.idle_timer = self.process.node.deadlines.call_later(
            limit.seconds, self.process.mailbox.wake
        )
        return None

    def idle_message(self) -> Any:
        """Nothing came within the idle limit."""
        limit = self.idle
        self._end_idle()
        return limit.message if limit is not None else None

    def _end_idle(self) -> None:
        self.idle = None
        if self.idle_timer is not None:
            self.idle_timer.cancel()
            self.idle_timer = None

    def cancel(self) -> None:
        """The server ends."""
        self._end_idle()
        if self.timer is not None:
            self.timer.cancel()


_ACTIONS = frozenset({Continue, Timeout, IdleTimeout, Hibernate})
_RESULTS = frozenset({Reply, NoReply, Stop, Ignore}) | _ACTIONS
