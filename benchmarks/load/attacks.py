"""`python -m benchmarks.load.attacks PORT NAME`: one client that means harm, until its stdin ends.

It comes from another loopback address than the healthy client, as an attacker would, and comes back
when it is thrown out. It says "ready" once it has begun.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.harness.machine import allow_many_files
from benchmarks.load.dialects import Phoenix
from benchmarks.load.framing import handshake, masked

ADDRESS = "127.0.0.2"
HOST = "127.0.0.1"
NOTHING = "nothing"  # the name of what the others are compared to
STEP = 0.01  # seconds between two looks at the clock

Attack = Iterator[None]


def _connect(port: int) -> socket.socket:
    """A connection for which the operating system keeps little, so that what is unread soon counts
    at the server.
    """
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connected.settimeout(1.0)
    connected.bind((ADDRESS, 0))
    connected.connect((HOST, port))
    return connected


def _upgraded(port: int) -> socket.socket:
    """A WebSocket. Raises OSError where there is none to be had."""
    connected = _connect(port)
    connected.sendall(handshake(HOST, port, Phoenix.path))
    if b" 101 " not in connected.recv(4096):
        connected.close()
        raise ConnectionRefusedError("no upgrade")
    return connected


def _message(topic: str, event: str, payload: object, ref: int = 1) -> bytes:
    return masked(json.dumps(["1", str(ref), topic, event, payload]).encode())


def _join(topic: str) -> bytes:
    return _message(topic, "phx_join", {})


def never_reads(port: int) -> Attack:
    """Members of a room in which much is said, none of which reads; who is closed comes back."""
    speech = _message("room:storm", "new_msg", {"body": "x" * 10_000})
    members: list[socket.socket] = []
    speaker: socket.socket | None = None
    while True:
        if speaker is None:
            speaker = _upgraded(port)
            speaker.sendall(_join("room:storm"))
            speaker.setblocking(False)
        if len(members) < 20:
            members.append(_upgraded(port))
            members[-1].sendall(_join("room:storm"))
        try:
            speaker.send(speech)
            with contextlib.suppress(BlockingIOError):
                while speaker.recv(1 << 18):
                    pass
        except OSError:
            speaker.close()
            speaker = None
        members = [member for member in members if not _hung_up(member)]
        yield


def _hung_up(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, select.POLLRDHUP)
    if poll.poll(0):
        connected.close()
        return True
    return False


def trickles(port: int) -> Attack:
    """200 sockets that send a byte a second: half of them a head, half of them a frame."""
    sockets: list[socket.socket] = []
    turn = 0
    while True:
        if len(sockets) < 200:
            upgraded = len(sockets) % 2
            sockets.append(_upgraded(port) if upgraded else _connect(port))
            sockets[-1].sendall(b"\x81\xfe\xff\xff" if upgraded else b"GET / HTTP/1.1\r\nx: ")
        else:
            for each in sockets[turn::100]:
                try:
                    each.send(b"y")
                except OSError:
                    sockets.remove(each)
                    each.close()
            turn = (turn + 1) % 100
        yield


def opens(port: int) -> Attack:
    """5,000 sockets, as fast as they can be had, and again those that were closed."""
    sockets: list[socket.socket] = []
    while True:
        for _ in range(50):
            if len(sockets) < 5_000:
                sockets.append(_connect(port))
        for each in sockets[-100:]:
            if _hung_up(each):
                sockets.remove(each)
        yield


def joins(port: int) -> Attack:
    """10,000 topics on one socket, 100 at a time; a new socket when that is closed."""
    while True:
        connected = _upgraded(port)
        connected.setblocking(False)
        number = 0
        with contextlib.suppress(ConnectionError), connected:
            while number < 10_000:
                burst = b"".join(_join(f"room:{number + n}") for n in range(100))
                number += 100
                yield from _send(connected, burst)


def floods(port: int) -> Attack:
    """10,000 messages a second on one socket; a new socket when that is closed."""
    while True:
        connected = _upgraded(port)
        connected.setblocking(False)
        burst = _join("room:flood") + b"".join(
            _message("room:flood", "ping", {"n": n}, n) for n in range(int(10_000 * STEP))
        )
        with contextlib.suppress(ConnectionError), connected:
            while True:
                yield from _send(connected, burst)


def does_nothing(_port: int) -> Attack:
    """No attack at all."""
    while True:
        yield


def _send(connected: socket.socket, data: bytes) -> Attack:
    """All of it, and read what comes back, a step at a time."""
    while data:
        with contextlib.suppress(BlockingIOError):
            data = data[connected.send(data) :]
        with contextlib.suppress(BlockingIOError):
            if not connected.recv(1 << 18):
                raise ConnectionResetError("closed")
        yield


ATTACKS: dict[str, tuple[str, Callable[[int], Attack]]] = {
    "reads": ("never reads", never_reads),
    "trickles": ("sends a byte a second", trickles),
    "opens": ("opens 5,000 sockets", opens),
    "joins": ("joins 10,000 topics", joins),
    "floods": ("floods 10,000 messages a second", floods),
}


def _let_others_first() -> None:
    """Leave the core to the healthy client whenever it wants it: what it measures is the server.

    A low priority is not enough: Linux lets a task of any niceness finish a slice of some
    milliseconds before one that wakes up gets the core, but not a task of this policy.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def main() -> None:
    port, name = int(sys.argv[1]), sys.argv[2]
    allow_many_files()
    _let_others_first()
    begin = does_nothing if name == NOTHING else ATTACKS[name][1]
    attack = begin(port)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], STEP)[0]:
        try:
            next(attack)
        except (OSError, StopIteration):  # refused: try again, from the start
            time.sleep(STEP)
            attack = begin(port)


if __name__ == "__main__":
    main()
