"""`make fuzz`: minutes of random and mutated bytes at a running chat node.

The node runs in this process, so that its processes, tasks and memory can be counted; the attackers
(attack.py) run in another. A healthy client talks to the node all the time. The run fails, and says
why and with which seed, when the healthy client is not answered within `--patience` seconds or sees its
connection end, when processes or Trio tasks are left over once the attackers have gone, or when
memory has grown by more than `MEMORY_GROWTH` after a first tenth of the run.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from pathlib import Path

import structlog
import trio
import trio_websocket

from actors import current_node, run
from channels import Endpoint, Limits, Mount
from examples.chat.room import DebugChatSocket
from supervisors import Supervisor

PATIENCE = 2.0  # seconds in which the healthy client must be answered
MEMORY_GROWTH = 24 * 1024  # KiB after the warm-up
SETTLE = 15.0  # seconds for the last connections to end


class Failed(Exception):  # the outcome of a run
    """What went wrong."""


def resident() -> int:
    """This process's memory, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Failed("no VmRSS in /proc/self/status")


def census() -> tuple[int, int]:
    """Living processes of the node, and living Trio tasks."""
    return (
        current_node().statistics().processes,
        trio.lowlevel.current_statistics().tasks_living,
    )


async def talk(port: int, answered: list[float], patience: float) -> None:
    """The healthy client: join once, then ask and be answered, for ever."""
    url = f"ws://127.0.0.1:{port}/socket/websocket?vsn=2.0.0&name=healthy"
    async with trio_websocket.open_websocket_url(url) as socket:
        await socket.send_message('["1","1","room:healthy","phx_join",{}]')
        await socket.get_message()
        number = 1
        while True:
            number += 1
            began = trio.current_time()
            await socket.send_message(
                json.dumps(["1", str(number), "room:healthy", "ping", number])
            )
            with trio.move_on_after(patience) as scope:
                reply = json.loads(await socket.get_message())
            if scope.cancelled_caught:
                raise Failed(
                    f"the healthy client waited more than {patience:g} s for ping {number}"
                )
            if reply[4] != {"status": "ok", "response": number}:
                raise Failed(f"the healthy client was answered {reply!r} to ping {number}")
            answered.append(trio.current_time() - began)
            await trio.sleep(0.02)


async def fuzz(seed: int, seconds: float, patience: float) -> None:
    """One run; `patience` is the seconds in which the healthy client must be answered."""
    endpoint = Endpoint(
        {"/socket": Mount(DebugChatSocket, longpoll=True)},
        port=0,
        static="examples/chat/static",
        limits=Limits().without_rates(),  # what is refused for its number is not read
    )
    supervisor = await Supervisor.start_link([endpoint])
    port = endpoint.addresses[0][1]
    command = [sys.executable, "-m", "tests.fuzz.attack", "--port", str(port)]
    command += ["--seed", str(seed), "--seconds", str(seconds)]
    answered: list[float] = []
    before = census()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk, port, answered, patience)
        attackers = await nursery.start(trio.run_process, command)
        await trio.sleep(seconds / 10)
        warm = resident()
        await attackers.wait()
        nursery.cancel_scope.cancel()
    await settle(before)
    growth = resident() - warm
    print(
        f"healthy client: {len(answered)} pings answered, slowest {max(answered) * 1000:.1f} ms; "
        f"memory grew by {growth} KiB; processes and tasks are back at {before}"
    )
    if growth > MEMORY_GROWTH:
        raise Failed(f"memory grew by {growth} KiB")
    await Supervisor.stop(supervisor)


async def settle(before: tuple[int, int]) -> None:
    """Wait until processes and tasks are as few as before."""
    with trio.move_on_after(SETTLE):
        while census()[0] > before[0] or census()[1] > before[1]:
            await trio.sleep(0.05)
        return
    raise Failed(f"processes and tasks: {before} before, {census()} after")


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"fuzzing for {options.seconds:g} s, seed {options.seed}", flush=True)
    failed = False
    try:
        run(fuzz, options.seed, options.seconds, options.patience)
    except* (Failed, OSError, trio_websocket.ConnectionClosed) as failures:
        print(f"FAILED with seed {options.seed}: {failures.exceptions!r}")
        failed = True
    print("failed" if failed else "passed")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
