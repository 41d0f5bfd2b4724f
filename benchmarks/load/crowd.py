"""A crowd: thousands of people in rooms who chat, come and go, for as long as it takes.

An open loop: what is due is sent when it is due, however slow the server is, so that a server that
falls behind shows it in the latencies. Every message carries the time at which it was due.
"""

from __future__ import annotations

import itertools
import random
import select
import socket
import time
from collections.abc import Callable, Iterator

import attrs

from benchmarks.harness.stopwatch import latencies
from benchmarks.load.dialects import Phoenix
from benchmarks.load.framing import CLOSE, Frames, handshake, masked
from benchmarks.load.swarm import read_head, read_until

HEARTBEAT = 30.0  # seconds, the phoenix client's interval
_SENT = b'"sent":'


@attrs.frozen
class Habits:
    """What the crowd does, per second, all together."""

    room_size: int = 50
    messages: float = 40.0  # each is delivered to a whole room
    pings: float = 50.0
    moves: float = 20.0  # leave the room and join it again
    departures: float = 5.0  # close the connection and come back with a new one


class Person:
    """One connection and the room that it is in."""

    __slots__ = ("frames", "room", "socket", "topic")

    def __init__(self, connected: socket.socket, topic: str) -> None:
        self.socket = connected
        self.frames = Frames()
        self.topic = topic
        self.room = Phoenix(topic)


class Crowd:
    """Owns the connections; `window` lets time pass and tells how it was."""

    def __init__(self, port: int, count: int, habits: Habits) -> None:
        self._port = port
        self._habits = habits
        self._people: list[Person] = []
        self._by_fd: dict[int, Person] = {}
        self._epoll = select.epoll()
        self._random = random.Random(1)  # the same crowd in every run
        self._times: list[int] = []  # nanoseconds from due to delivered
        self._counts = dict.fromkeys(("delivered", "replies", "joins", "closed"), 0)
        self._moving: set[Person] = set()  # has left, waits for the answer before it joins again
        for index in range(count):
            self._enter(f"room:{index // habits.room_size}")
        self._agenda = self._make_agenda()

    def window(self, seconds: float) -> dict[str, float]:
        """`seconds` of the crowd's life: counts, and latencies of chat and replies."""
        self._times.clear()
        self._counts = dict.fromkeys(self._counts, 0)
        end = time.perf_counter() + seconds
        due, act = next(self._agenda)
        while (now := time.perf_counter()) < end:
            while due <= now:
                act(due)
                due, act = next(self._agenda)
            self._read(max(0.0, min(due, end) - now))
        self._agenda = itertools.chain([(due, act)], self._agenda)
        found = latencies(self._times) if self._times else {}
        return {**found, **{name: float(count) for name, count in self._counts.items()}}

    def close(self) -> None:
        """Everybody goes home."""
        for person in self._people:
            person.socket.close()
        self._epoll.close()

    # -- what people do ----------------------------------------------------------------------------

    def _make_agenda(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        """Everything that is due, in order of time, for ever."""
        people = itertools.cycle(range(len(self._people)))
        habits: list[tuple[float, Callable[[float], None]]] = [
            (len(self._people) / HEARTBEAT, lambda _: self._heartbeat(next(people))),
            (self._habits.messages, lambda due: self._say("new_msg", None, due)),
            (self._habits.pings, lambda due: self._say("ping", "p", due)),
            (self._habits.moves, lambda _: self._leave()),
            (self._habits.departures, lambda _: self._replace()),
        ]
        start = time.perf_counter()
        upcoming = [(start + 1.0 / rate, 1.0 / rate, act) for rate, act in habits if rate > 0.0]
        while True:
            index = min(range(len(upcoming)), key=lambda i: upcoming[i][0])
            due, every, act = upcoming[index]
            upcoming[index] = (due + every, every, act)
            yield due, act

    def _somebody(self) -> Person:
        while (person := self._random.choice(self._people)) in self._moving:
            pass
        return person

    def _heartbeat(self, index: int) -> None:
        heartbeat = Phoenix().heartbeat()
        assert heartbeat is not None
        self._send(self._people[index], heartbeat)

    def _say(self, event: str, ref: str | None, due: float) -> None:
        person = self._somebody()
        payload = f'{{"body":"The quick brown fox","sent":{int(due * 1e9)}}}'
        self._send(person, person.room.message(ref, event, payload))

    def _leave(self) -> None:
        person = self._somebody()
        self._moving.add(person)
        self._send(person, person.room.message("l", "phx_leave", "{}"))

    def _join_again(self, person: Person) -> None:
        self._moving.discard(person)
        self._counts["joins"] += 1
        self._send(person, person.room.message("1", "phx_join", "{}"))

    def _replace(self) -> None:
        """Somebody's connection ends without a farewell; a new one takes the place."""
        person = self._somebody()
        self._epoll.unregister(person.socket.fileno())
        del self._by_fd[person.socket.fileno()]
        person.socket.close()
        self._enter(person.topic, self._people.index(person))

    def _enter(self, topic: str, place: int | None = None) -> None:
        connected = socket.create_connection(("127.0.0.1", self._port), 30.0)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        person = Person(connected, topic)
        connected.sendall(handshake("127.0.0.1", self._port, person.room.path))
        read_head(connected, person.frames)
        for message, answer in person.room.greetings():
            connected.sendall(masked(message))
            read_until(connected, person.frames, answer)
        connected.setblocking(False)
        self._by_fd[connected.fileno()] = person
        self._epoll.register(connected.fileno(), select.EPOLLIN)
        if place is None:
            self._people.append(person)
        else:
            self._people[place] = person

    # -- the wire ----------------------------------------------------------------------------------

    def _send(self, person: Person, message: bytes) -> None:
        try:
            person.socket.send(masked(message))
        except OSError:
            self._counts["closed"] += 1

    def _read(self, patience: float) -> None:
        for fd, _ in self._epoll.poll(patience):
            person = self._by_fd.get(fd)
            if person is not None:
                self._take(person)

    def _take(self, person: Person) -> None:
        try:
            data = person.socket.recv(65_536)
        except OSError:
            data = b""
        now = time.perf_counter_ns()
        frames = person.frames.feed(data)
        if not data or any(opcode == CLOSE for opcode, _ in frames):
            self._counts["closed"] += 1
            self._epoll.unregister(person.socket.fileno())
            return
        for _, text in frames:
            self._hear(person, text, now)

    def _hear(self, person: Person, text: bytes, now: int) -> None:
        start = text.find(_SENT)
        if start >= 0:
            self._times.append(now - _number_at(text, start + len(_SENT)))
            self._counts["replies" if b'"phx_reply"' in text else "delivered"] += 1
        elif b'"phx_close"' in text and person in self._moving:
            self._join_again(person)


def _number_at(text: bytes, start: int) -> int:
    end = start
    while text[end : end + 1].isdigit():
        end += 1
    return int(text[start:end])
