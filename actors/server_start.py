"""Starting a GenServer: spawn, name, wait for `init` (PL1 to PL3, G1 to G5)."""

from __future__ import annotations

from typing import Any

from actors.bounded import Bounded
from actors.exceptions import AlreadyStartedError
from actors.exits import NORMAL
from actors.kernel import Name, Via, demonitor, whereis
from actors.node import current_node
from actors.pid import MonitorRef, Pid
from actors.process import Process, current_process
from actors.server_loop import serve
from actors.start import Start

__all__ = ("start_monitored_server", "start_server")


async def start_server(
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: Name | None,
    timeout: float | None,
    link: bool,
    mailbox: Bounded | None = None,
) -> Pid:
    """Start a server and wait until its `init` has returned; `timeout` is in seconds."""
    starter = current_process()
    process = _spawn_server(
        starter, server_class, args, kwargs, name=name, mailbox=mailbox, link=link
    )
    return await _wait_started(starter, process, timeout)


async def start_monitored_server(
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: Name | None,
    timeout: float | None,
    mailbox: Bounded | None = None,
) -> tuple[Pid, MonitorRef]:
    """`start_server` that watches it from the first step; a failed start leaves no `Down`."""
    starter = current_process()
    process = _spawn_server(
        starter, server_class, args, kwargs, name=name, mailbox=mailbox, link=False
    )
    ref = starter.watch(process.pid, process.pid)
    try:
        return await _wait_started(starter, process, timeout), ref
    except BaseException:
        demonitor(ref, flush=True)
        raise


def _spawn_server(
    starter: Process,
    server_class: type[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: Name | None,
    mailbox: Bounded | None,
    link: bool,
) -> Process:
    if name is not None:
        holder = whereis(name)
        if holder is not None:
            raise AlreadyStartedError(holder)
    server = server_class()
    process = current_node().spawn(
        serve,
        (server, args, kwargs),
        label=server_class.__name__,
        parent=starter,
        link=link,
        trap_exit=_traps_exits(server_class),
        mailbox=mailbox,
    )
    server._bind(process)
    if name is not None:
        try:
            _register(name, process.pid)
        except BaseException:
            starter.unlink(process.pid)
            process.begin_exit(NORMAL)  # it has not taken a step and never will
            raise
    return process


async def _wait_started(starter: Process, process: Process, timeout: float | None) -> Pid:
    start = Start(starter, process)
    if timeout is not None:
        starter.node.deadlines.add(start, timeout)
    pid: Pid = await start.wait()
    return pid


def _register(name: Name, pid: Pid) -> None:
    """Before `init` runs, as OTP does (PL6)."""
    if not isinstance(name, Via):
        current_node().register(name, pid)
    elif not name.registry.register_name(name.key, pid):
        raise AlreadyStartedError(whereis(name))


def _traps_exits(server_class: type[Any]) -> bool:
    flag: bool | None = server_class.trap_exit
    return _defines(server_class, "terminate") if flag is None else flag


def _defines(server_class: type[Any], callback: str) -> bool:
    """Does a class between the user's and GenServer define it?"""
    for base in server_class.__mro__:
        if base.__dict__.get("_is_root_server"):
            return False
        if callback in base.__dict__:
            return True
    return False
