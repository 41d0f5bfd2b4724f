"""What the tests of tasks run."""

from typing import Any

import pytest
import trio

from actors import ProcessExit, ReceiveTimeoutError, StartIgnoredError, receive, spawn, trap_exit


async def give(value=1):
    return value


async def later(value=1, seconds=1.0):
    await trio.sleep(seconds)
    return value


async def fail():
    raise ValueError("oops")


async def use_what_is_not_there():
    undefined()  # type: ignore[name-defined]  # noqa: F821  # that is the point


def no_coroutine_function():
    return None


async def leave(reason):
    raise ProcessExit(reason)


async def trapping():
    """A task that does not end when it is asked to."""
    trap_exit()
    await trio.sleep_forever()


async def stuck(seconds=30.0):
    """A task that takes `seconds` to unwind when it is killed."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


async def nothing_when(go):
    """A start function that keeps its supervisor busy until `go` is set, and starts nothing."""
    await go.wait()
    raise StartIgnoredError


async def outcome_of(function, *args):
    """How a process ends that runs `function`, and what it had to say."""
    said: list[Any] = []

    async def main():
        said.append(await function(*args))

    reason = await spawn(main).wait_exited()
    return reason, said


async def mailbox_is_empty():
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
