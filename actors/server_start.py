"""Starting a GenServer: spawn, name, wait for `init` (PL1 to PL3, G1 to G5)."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import trio

from actors.bounded import Bounded
from actors.deadlines import check_seconds
from actors.debug import DebugOptions, check_debug
from actors.exceptions import AlreadyStartedError
from actors.exits import ALIVE, NORMAL
from actors.kernel import Name, Via, demonitor, whereis
from actors.node import Node, current_node
from actors.pid import MonitorRef, Pid
from actors.process import Process, current_process
from actors.server_init import begin_init
from actors.server_loop import serve
from actors.sleep import Sleep
from actors.start import Start

__all__ = ("StartOptions", "begin_start", "start_monitored_server", "start_server")


class StartOptions(msgspec.Struct, frozen=True):
    """How a server is started; a Struct, because one is made for each start."""

    name: Name | None = None
    timeout: float | None = None  # seconds that `init` may take
    mailbox: Bounded | None = None
    debug: DebugOptions | None = None


async def start_server(
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: StartOptions,
    *,
    link: bool,
) -> Pid:
    """Start a server and wait until its `init` has returned."""
    starter = current_process()
    start = begin_start(starter, server_class, args, kwargs, options, link=link)
    return await _finish_start(starter, start)


async def start_monitored_server(
    server_class: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: StartOptions
) -> tuple[Pid, MonitorRef]:
    """`start_server` that watches it from the first step; a failed start leaves no `Down`."""
    starter = current_process()
    start = begin_start(starter, server_class, args, kwargs, options, link=False)
    ref = starter.watch(start.child.pid, start.child.pid)
    try:
        return await _finish_start(starter, start), ref
    except BaseException:
        demonitor(ref, flush=True)
        raise


def begin_start(
    starter: Process,
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: StartOptions,
    *,
    link: bool,
) -> Start:
    """Make the server and call its `init`, as `starter`; done already, unless `init` waits.

    Does not wait itself. Raises `AlreadyStartedError`, `TypeError` or `ValueError` for options that
    are none, and what the class raises.
    """
    name, timeout = options.name, options.timeout
    if timeout is not None:
        check_seconds(timeout)  # so that a refusal leaves no server behind
    if options.debug is not None:
        check_debug(options.debug)
    if name is not None:
        holder = whereis(name)
        if holder is not None:
            raise AlreadyStartedError(holder)
    node = cast("Node", starter.node)
    server = server_class()
    process = node.prepare(
        server_class.__name__,
        parent=starter,
        link=link,
        trap_exit=server_class._traps_exits(),
        mailbox=options.mailbox,
    )
    try:
        server._bind(process)
        if options.debug is not None:
            process.debug = options.debug.begin(server)
        if name is not None:
            _register(name, process.pid)
    except BaseException:  # an error of the arguments: nothing has started
        starter.unlink(process.pid)
        process.end(NORMAL)
        raise
    start = Start(starter, process)
    _initialise(node, process, server, args, kwargs)
    if timeout is not None and not start.done:
        node.deadlines.add(start, timeout)
    return start


def _initialise(
    node: Node, process: Process, server: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    context = node.context_of(process)
    try:
        then, initialising = begin_init(process, context, server, args, kwargs)
    except GeneratorExit:  # the interpreter ends
        raise
    except BaseException as error:  # noqa: ASYNC103  # it ends as an exit reason
        process.end(process.reason_of_escaped(error))
        return  # noqa: ASYNC104  # nobody waits in here
    if process.exit_reason is not ALIVE:  # `init` has ended it
        process.end(process.exit_reason)
        return
    # Kept only where `init` has set a variable; `Process.run` sets the current process itself.
    kept = context if len(context) > 1 else None
    told = bool(process.mailbox.queue)  # it will hibernate after that, not never
    if initialising is None and then is None and (told or server.hibernate_after is None):
        process.sleep(Sleep(serve, (server,)), kept)
    else:
        node.start_task(process, serve, (server, then, initialising), context)


async def _finish_start(starter: Process, start: Start) -> Pid:
    if start.done and starter.takes_a_turn():
        await trio.lowlevel.checkpoint()
    pid: Pid = await start.wait()
    return pid


def _register(name: Name, pid: Pid) -> None:
    """Before `init` runs, as OTP does (PL6)."""
    if not isinstance(name, Via):
        current_node().register(name, pid)
    elif not name.registry.register_name(name.key, pid):
        raise AlreadyStartedError(whereis(name))
