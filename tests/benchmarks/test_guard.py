"""A guard against growing slower, on what does not depend on the machine's speed.

Counts (Trio tasks, system calls, bytes), and two ratios measured side by side with so wide a margin
that only a change of design can break them. The figures themselves are `make bench`'s business.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import trio
import trio.testing

from actors import GenServer
from channels import Channel, Endpoint, UserSocket
from tests.channels.phoenix import Client, connected, running
from tests.conftest import require

ROOT = Path(__file__).parent.parent.parent


class Quiet(GenServer):
    """A server with a little state, as most are."""

    def init(self) -> Any:
        self.count = 0

    async def handle_call(self, request, sender):
        return request


class Awake(Quiet):
    """One whose `init` might have waited, so that it has a task."""

    async def init(self) -> None:
        super().init()


class Room(Channel):
    log_join = None

    async def join(self, topic, payload):
        return None


class Socket(UserSocket):
    channels = {"room:*": Room}


@asynccontextmanager
async def crowd(endpoint: Endpoint, count: int) -> AsyncIterator[list[Client]]:
    """`count` clients that have joined one room."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            client = await stack.enter_async_context(connected(endpoint))
            await client.join("room:1")
            clients.append(client)
        yield clients


def tasks_of_the_server() -> int:
    """Living Trio tasks that are not the tests' own clients."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    waiting, found = [root], 0
    while waiting:
        task = waiting.pop()
        found += task.name.startswith(("Connection", "Room", "helper"))
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return found


async def test_a_connection_has_no_trio_task_and_a_channel_one_only_while_its_client_pushes(
    node, mock_clock
):
    async with (
        running(Endpoint({"/socket": Socket}, port=0)) as endpoint,
        crowd(endpoint, 20) as clients,
    ):
        await trio.testing.wait_all_tasks_blocked()
        assert tasks_of_the_server() == 0
        for client in clients:
            await client.push(None, "room:1", "ping")
            await client.expect()
        await trio.testing.wait_all_tasks_blocked()
        assert tasks_of_the_server() == 20
        assert Room.hibernate_after is not None
        mock_clock.jump(Room.hibernate_after + 1)
        await trio.testing.wait_all_tasks_blocked()
        assert tasks_of_the_server() == 0
        assert node.statistics().processes > 40


def resident() -> int:
    """Bytes of this process's memory."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("server", "kibibytes"), [(Quiet, 2), (Awake, 6)])
def test_an_idle_genserver_takes_little_and_one_that_sleeps_less_than_a_task(server, kibibytes):
    """In a process of its own, where nothing else grows. The goal is 5 KiB, see docs/performance.md."""
    code = (
        "from tests.benchmarks import test_guard as guard;"
        f"from actors import run; print(run(guard.bytes_per_server, guard.{server.__name__}, 10_000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert float(done.stdout) < kibibytes * 1024


async def bytes_per_server(server: type[GenServer], count: int) -> float:
    """Resident memory that each of `count` more idle servers takes."""
    kept = [await server.start() for _ in range(100)]
    gc.collect()
    before = resident()
    kept += [await server.start() for _ in range(count)]
    gc.collect()
    return (resident() - before) / count


async def test_one_delivery_of_a_broadcast_is_one_system_call(tmp_path):
    strace = require("strace", "apt install strace")
    deliveries_each, clients = 200, 20
    counts = tmp_path / "counts"
    command = [strace, "-f", "-c", "-o", str(counts), sys.executable, "-m", "examples.chat"]
    command += ["--port", "0", "--debug"]
    server = await trio.lowlevel.open_process(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        greeting = bytes(await server.stdout.receive_some()).decode()
        port = int(greeting.split("http://127.0.0.1:")[1].split()[0])
        await deliver(port, clients, deliveries_each)
    finally:
        traced = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        os.kill(int(traced[0]), signal.SIGTERM)  # strace ends with it and writes its table
        with trio.fail_after(10):
            await server.wait()
        if server.stdout is not None:
            await server.stdout.aclose()
    calls = {line.split()[-1]: int(line.split()[3]) for line in table_of(counts)}
    deliveries = deliveries_each * clients
    assert calls["sendto"] < 1.15 * deliveries
    assert sum(calls.values()) < 2.5 * deliveries + 12_000  # start and stop of Python included


def table_of(counts: Path) -> list[str]:
    """The rows of strace's table; a row without errors has one column less."""
    rows = [line for line in counts.read_text().splitlines() if line[:8].strip()[:1].isdigit()]
    return [row for row in rows if not row.endswith("total")]


async def deliver(port: int, clients: int, count: int) -> None:
    """Join one room with all clients; the first says `count` things, all hear each."""

    class Running:
        addresses = (("127.0.0.1", port),)

    endpoint: Endpoint = Running()  # type: ignore[assignment]  # only its address is asked for
    async with crowd(endpoint, clients) as joined:
        for number in range(count):
            await joined[0].send("1", None, "room:1", "new_msg", {"n": number})
            for client in joined:
                while (await client.expect())[3] != "new_msg":
                    pass


# -- ratios --------------------------------------------------------------------------------------


async def ping_pong(count: int) -> None:
    """The raw limit of a call: two tasks that wake each other."""
    waiting: list[trio.lowlevel.Task] = []

    def give_up(_: object) -> trio.lowlevel.Abort:
        waiting.clear()
        return trio.lowlevel.Abort.SUCCEEDED

    async def partner() -> None:
        while True:
            waiting.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(give_up)
            trio.lowlevel.reschedule(callers.pop())

    callers: list[trio.lowlevel.Task] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partner)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(count):
            callers.append(trio.lowlevel.current_task())
            trio.lowlevel.reschedule(waiting.pop())
            await trio.lowlevel.wait_task_rescheduled(give_up)
        nursery.cancel_scope.cancel()


async def best_ratio(ours: Callable[[], object], limit: Callable[[], object]) -> float:
    """Limit's CPU over ours, the best of some rounds side by side."""
    best = 0.0
    for _ in range(5):
        best = max(best, 1 / (await cpu(ours) / await cpu(limit)))
    return best


async def cpu(function: Callable[[], object]) -> float:
    began = process_time()
    result = function()
    if result is not None:
        await result  # type: ignore[misc]  # a coroutine
    return process_time() - began


async def test_a_call_costs_no_more_than_twice_two_bare_tasks_waking_each_other(node):
    server = await Quiet.start()

    async def calls() -> None:
        for _ in range(3_000):
            await server.call(1)

    assert await best_ratio(calls, lambda: ping_pong(3_000)) > 0.5


class Sink(GenServer):
    async def handle_cast(self, message):
        return None

    async def handle_call(self, request, sender):
        return request


async def test_a_burst_of_casts_is_handled_at_more_than_a_thirtieth_of_a_bare_deque(node):
    server = await Sink.start()

    async def casts() -> None:
        for number in range(20_000):
            server.cast(number)
        await server.call(0)

    assert await best_ratio(casts, bare_deque) > 1 / 30


def bare_deque() -> None:
    queue: deque[int] = deque()
    for number in range(20_000):
        queue.append(number)
    while queue:
        queue.popleft()


# -- what the dead leave behind ------------------------------------------------------------------


def test_the_dead_leave_nothing_to_the_cycle_collector():
    """In a process of its own, because the collector's debugging keeps what it finds."""
    code = (
        "from tests.benchmarks.test_guard import count_garbage as count;"
        "from actors import run; print(run(count, 10))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]"


async def count_garbage(count: int) -> list[str]:
    """Types of what only the collector can free after `count` servers and connections have ended."""
    async with running(Endpoint({"/socket": Socket}, port=0)) as endpoint:
        await _live_and_die(endpoint)
        gc.collect()
        gc.disable()
        for _ in range(count):
            await _live_and_die(endpoint)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = ("actors", "supervisors", "channels")
        return sorted({type(each).__name__ for each in gc.garbage if _module(each) in ours})


def _module(value: object) -> str:
    return type(value).__module__.partition(".")[0]


async def _live_and_die(endpoint: Endpoint) -> None:
    server = await Quiet.start()
    await server.call(1)
    await server.stop()
    async with connected(endpoint) as client:
        await client.join("room:1")
    await trio.testing.wait_all_tasks_blocked(0.01)
