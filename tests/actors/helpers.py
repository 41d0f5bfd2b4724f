"""Small programs that the tests of actors run as processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from actors import Pid, ProcessExit, receive, spawn_monitor
from actors.introspection import ProcessInfo, process_info


class Boom(Exception):
    """What tests raise on purpose."""


async def forever() -> None:
    """Live until an exit signal comes."""
    await trio.sleep_forever()


async def exit_with(reason: Any) -> None:
    """End with `reason`."""
    raise ProcessExit(reason)


async def exit_when_told() -> None:
    """End with the reason that the first message is."""
    raise ProcessExit(await receive())


async def fail(error: BaseException) -> None:
    """Raise `error`."""
    raise error


async def reason_of_end(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """The reason with which a process ends that runs `function`."""
    pid, ref = spawn_monitor(function, *args)
    down = await receive(ref)
    assert down.object is pid
    return down.reason


def info_of(pid: Pid) -> ProcessInfo:
    """`process_info` of one that is there."""
    info = process_info(pid)
    assert info is not None
    return info
