"""What the tests of task streams run, and look at afterwards."""

import pytest
import trio

from actors import ProcessExit, ReceiveTimeoutError, Returned, current_node, receive
from actors.process import current_process

CONCURRENCY = pytest.mark.parametrize("limit", [4, 2, 8], ids=["=items", "<items", ">items"])
ITEMS = [1, 2, 3, 4]


async def double(item):
    return item * 2


async def slow_double(item):
    """The smaller the later."""
    await trio.sleep(10 - item)
    return item * 2


async def leave_with(item):
    raise ProcessExit(item)


async def collect(stream):
    async with stream as outcomes:
        return [outcome async for outcome in outcomes]


async def nothing_is_left():
    """Neither messages nor links nor other processes."""
    await trio.testing.wait_all_tasks_blocked()
    process, node = current_process(), current_node()
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)
    assert not process.links
    assert list(node.processes) == [process.pid]


def returned(*values):
    return [Returned(value) for value in values]
