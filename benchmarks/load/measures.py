"""What a swarm can be used for: fan-out, echo, and being idle. All loops are closed loops.

A sample carries the rate as seen by the clients, the server's CPU time for each operation as the
operating system accounts for it, and latencies in microseconds.
"""

from __future__ import annotations

import time
from itertools import islice

from benchmarks.harness.machine import cpu_seconds
from benchmarks.harness.stopwatch import latencies
from benchmarks.load.dialects import LEAST_SIZE, Phoenix
from benchmarks.load.framing import TEXT, masked, whole_frame
from benchmarks.load.swarm import Connection, LoadError, Swarm

Figures = dict[str, float]
SILENCE = 10.0  # seconds without a byte after which the server has lost something


def fan_out(swarm: Swarm, server: int, seconds: float, in_flight: int, members: int) -> Figures:
    """One client publishes, all receive; a new message goes out for each one that all have got.

    `in_flight` messages are under way at any time. With one, the latencies are those of a whole
    round: from the publisher's send until the last of all connections has the message.
    """
    publisher = next(iter(swarm.connections.values())).socket
    frame = masked(swarm.dialect.publish())
    rounds: list[int] = []
    cpu, start = cpu_seconds(server), time.perf_counter_ns()
    deadline = start + int(seconds * 1e9)
    for _ in range(in_flight):
        publisher.send(frame)
    sent, received, round_start, now = in_flight, 0, start, start
    while received < sent * members:
        received += _receive(swarm)
        while received >= (sent - in_flight + 1) * members and now < deadline:
            now = time.perf_counter_ns()
            rounds.append(now - round_start)
            round_start = now
            publisher.send(frame)
            sent += 1
    took = (time.perf_counter_ns() - start) / 1e9
    figures = {
        "rate": received / took,
        "cpu_us": (cpu_seconds(server) - cpu) / received * 1e6,
        "messages": float(sent),
    }
    return {**figures, **latencies(rounds)} if in_flight == 1 and rounds else figures


def _receive(swarm: Swarm) -> int:
    """Wait, then read every connection that has something; how many broadcasts came."""
    buffer, connections = swarm.buffer, swarm.connections
    events = swarm.epoll.poll(SILENCE, len(connections))
    if not events:
        raise LoadError(f"no delivery for {SILENCE:g} s: messages were lost")
    count = 0
    for fd, _ in events:
        connection = connections[fd]
        size = connection.socket.recv_into(buffer)
        if size and whole_frame(buffer, size) and not connection.frames.unfinished:
            count += size > LEAST_SIZE
        else:
            count += _bodies(swarm, connection, size)
    return count


def _bodies(swarm: Swarm, connection: Connection, size: int) -> int:
    return sum(
        opcode == TEXT and len(payload) >= LEAST_SIZE
        for opcode, payload in swarm.split(connection, size)
    )


def echo(swarm: Swarm, server: int, seconds: float, active: int) -> Figures:
    """`active` clients each ask, wait for the reply, and ask again; the rest stay idle."""
    frame = masked(swarm.dialect.ask())
    buffer, connections = swarm.buffer, swarm.connections
    times: list[int] = []
    cpu, start = cpu_seconds(server), time.perf_counter_ns()
    deadline = start + int(seconds * 1e9)
    for connection in islice(connections.values(), active):
        connection.sent_at = time.perf_counter_ns()
        connection.socket.send(frame)
    waiting = active
    while waiting:
        events = swarm.epoll.poll(SILENCE, active)
        if not events:
            raise LoadError(f"no reply for {SILENCE:g} s: {waiting} questions were lost")
        for fd, _ in events:
            connection = connections[fd]
            size = connection.socket.recv_into(buffer)
            if not (size and whole_frame(buffer, size)) or connection.frames.unfinished:
                if not _bodies(swarm, connection, size):
                    continue
            elif size < LEAST_SIZE:
                continue
            now = time.perf_counter_ns()
            times.append(now - connection.sent_at)
            if now < deadline:
                connection.sent_at = now
                connection.socket.send(frame)
            else:
                waiting -= 1
    took = (time.perf_counter_ns() - start) / 1e9
    return {
        "rate": len(times) / took,
        "cpu_us": (cpu_seconds(server) - cpu) / len(times) * 1e6,
        **latencies(times),
    }


def visits(swarm: Swarm, server: int, seconds: float) -> Figures:
    """The first client joins one more topic and leaves it, again and again, one step at a time."""
    connection = next(iter(swarm.connections.values()))
    assert isinstance(swarm.dialect, Phoenix)
    steps = [(masked(message), answer) for message, answer in swarm.dialect.visit()]
    times: list[int] = []
    cpu, start = cpu_seconds(server), time.perf_counter_ns()
    deadline = start + int(seconds * 1e9)
    while (began := time.perf_counter_ns()) < deadline:
        for frame, answer in steps:
            connection.socket.send(frame)
            _wait_for(swarm, connection, answer)
        times.append(time.perf_counter_ns() - began)
    took = (time.perf_counter_ns() - start) / 1e9
    return {
        "rate": len(times) / took,
        "cpu_us": (cpu_seconds(server) - cpu) / len(times) * 1e6,
        **latencies(times),
    }


def _wait_for(swarm: Swarm, connection: Connection, answer: bytes) -> None:
    while True:
        events = swarm.epoll.poll(SILENCE)
        if not events:
            raise LoadError(f"no {answer!r} for {SILENCE:g} s")
        for fd, _ in events:
            frames = swarm.frames_of(swarm.connections[fd])
            if swarm.connections[fd] is connection and any(answer in text for _, text in frames):
                return


def paced(swarm: Swarm, server: int, seconds: float, interval: float) -> Figures:
    """The first client asks every `interval` seconds, whatever others do to the server meanwhile.

    A question that is due while another one is under way waits for its answer, and its latency
    counts from when it was due: a server that stands still is not asked fewer questions for it.
    Otherwise it counts from when it was sent: that this process was woken late is not the server's.
    """
    connection = next(iter(swarm.connections.values()))
    frame = masked(swarm.dialect.ask())
    times: list[int] = []
    cpu, start = cpu_seconds(server), time.perf_counter_ns()
    due, end, step = start, start + int(seconds * 1e9), int(interval * 1e9)
    while due < end:
        began = due
        while (left := due - time.perf_counter_ns()) > 0:
            time.sleep(left / 1e9)
            began = time.perf_counter_ns()
        connection.socket.send(frame)
        _wait_for(swarm, connection, b"phx_reply")
        times.append(time.perf_counter_ns() - began)
        due += step
    took = (time.perf_counter_ns() - start) / 1e9
    return {
        "cpu_percent": (cpu_seconds(server) - cpu) / took * 100.0,
        **latencies(times),
    }


def idle(
    swarm: Swarm, server: int, seconds: float, heartbeat_every: float, settle: float
) -> Figures:
    """Do nothing but each connection's heartbeat every `heartbeat_every` seconds; 0: not even that.

    The heartbeats are spread evenly; `cpu_percent` is the server's share of one core meanwhile,
    `settle` seconds after the last connection was opened.
    """
    time.sleep(settle)
    heartbeat = swarm.dialect.heartbeat()
    frame = masked(heartbeat) if heartbeat is not None else None
    members = list(swarm.connections.values())
    cpu, start = cpu_seconds(server), time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - start) < seconds:
        due = int(passed * len(members) / heartbeat_every) if frame and heartbeat_every else 0
        for index in range(sent, due):
            members[index % len(members)].socket.send(frame or b"")
        sent = max(sent, due)
        for fd, _ in swarm.epoll.poll(0.01):
            swarm.frames_of(swarm.connections[fd])
    took = time.perf_counter() - start
    used = cpu_seconds(server) - cpu
    figures = {"cpu_percent": used / took * 100.0, "heartbeats": float(sent)}
    return {**figures, "cpu_us": used / sent * 1e6} if sent else figures
