"""Work in threads and OS processes belongs to the process that asked for it."""

import contextvars
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import trio

from actors import (
    KILL,
    Crash,
    GenServer,
    NoNodeError,
    ServerExitedError,
    open_node,
    self_pid,
    send,
    spawn,
)
from actors.blocking import run_in_process, run_in_thread
from actors.testing import assert_down, assert_receive
from tests.actors.helpers import Boom

TAG = contextvars.ContextVar("TAG", default="none")


def square(number: int) -> int:
    return number * number


def complain() -> None:
    raise ValueError("no")


def sleep_for_ever(marker: str) -> None:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(1_000)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_thread_returns_what_the_function_returns(node):
    assert await run_in_thread(square, 7) == 49


async def test_a_thread_is_not_the_thread_of_the_node(node):
    assert await run_in_thread(threading.get_ident) != threading.get_ident()


async def test_what_a_thread_raises_ends_the_process_that_asked(node):
    """BL1."""

    def fail() -> None:
        raise Boom("in a thread")

    reason = await assert_down(spawn(run_in_thread, fail), Crash)
    assert isinstance(reason.exception, Boom)


async def test_a_process_that_is_killed_does_not_wait_for_its_thread(node):
    """BL1."""
    begun, release, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait()
        done.set()

    pid = spawn(run_in_thread, work)
    await trio.to_thread.run_sync(begun.wait)
    pid.exit(KILL)
    await assert_down(pid)
    assert not done.is_set()
    release.set()
    await trio.to_thread.run_sync(done.wait)


async def test_a_thread_is_not_the_process_that_asked(node):
    with pytest.raises(NoNodeError):
        await run_in_thread(self_pid)


async def test_a_thread_keeps_the_other_context_variables(node):
    TAG.set("mine")
    assert await run_in_thread(TAG.get) == "mine"


async def test_a_thread_sends_through_trio():
    async with open_node():
        me = self_pid()
        await run_in_thread(lambda: trio.from_thread.run_sync(send, me, "from a thread"))
        await assert_receive("from a thread")


async def test_a_server_serves_the_others_while_its_neighbour_works(node):
    release = threading.Event()

    class Worker(GenServer):
        async def handle_call(self, request, sender):
            return await run_in_thread(release.wait) if request == "work" else "at once"

    busy, idle = await Worker.start_link(), await Worker.start_link()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy.call, "work")
        assert await idle.call("?") == "at once"
        release.set()


@pytest.mark.parametrize("run", [run_in_thread, run_in_process])
async def test_outside_a_node_nobody_can_ask(run):
    with pytest.raises(NoNodeError):
        await run(square, 1)


async def test_an_os_process_returns_what_the_function_returns(node):
    assert await run_in_process(square, 9) == 81
    assert await run_in_process(os.getpid) != os.getpid()


async def test_what_an_os_process_raises_is_raised_to_who_asked(node):
    """BL1."""
    with pytest.raises(ValueError, match="no"):
        await run_in_process(complain)


async def test_a_process_that_is_killed_takes_its_os_process_with_it(node, tmp_path):
    """BL1."""
    marker = tmp_path / "pid"
    pid = spawn(run_in_process, sleep_for_ever, str(marker))
    with trio.fail_after(30):
        while not (marker.exists() and marker.read_text()):
            await trio.sleep(0.01)
        pid.exit(KILL)
        await assert_down(pid, timeout=20.0)
        worker = int(marker.read_text())
        while _runs(worker):
            await trio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_an_os_process_that_dies_is_told_to_who_asked(node):
    import trio_parallel  # type: ignore[import-untyped]  # it has no types

    with pytest.raises(trio_parallel.BrokenWorkerError):
        await run_in_process(die)


async def test_work_that_fails_in_a_server_is_the_exit_reason_for_its_callers(node):
    class Worker(GenServer):
        async def handle_call(self, request, sender):
            return await run_in_process(complain)

    server = await Worker.start()
    with pytest.raises(ServerExitedError) as caught:
        await server.call("?", timeout=30.0)
    assert isinstance(caught.value.reason.exception, ValueError)


async def test_without_trio_parallel_the_error_says_what_to_install(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "trio_parallel", None)
    with pytest.raises(ImportError, match=r"understudy\[processes\]"):
        await run_in_process(square, 2)
