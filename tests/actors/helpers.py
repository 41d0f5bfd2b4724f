"""Small programs that the tests of actors run as processes."""

from __future__ import annotations

from typing import Any

import trio

from actors import Exit, Pid, ProcessExit, receive, self_pid, send, trap_exit


class Boom(Exception):
    """What tests raise on purpose."""


async def forever() -> None:
    """Live until an exit signal comes."""
    await trio.sleep_forever()


async def trapper(reporter: Pid) -> None:
    """Trap exits and tell each message to `reporter`."""
    trap_exit()
    send(reporter, "ready")
    while True:
        send(reporter, (self_pid(), await receive()))


async def exit_with(reason: Any) -> None:
    """End with `reason`."""
    raise ProcessExit(reason)


async def exit_when_told() -> None:
    """End with the reason that the first message is."""
    raise ProcessExit(await receive())


async def fail(error: BaseException) -> None:
    """Raise `error`."""
    raise error


async def settle() -> None:
    """Let every other task come to rest."""
    await trio.testing.wait_all_tasks_blocked()


__all__ = (
    "Boom",
    "Exit",
    "exit_when_told",
    "exit_with",
    "fail",
    "forever",
    "settle",
    "trapper",
)
