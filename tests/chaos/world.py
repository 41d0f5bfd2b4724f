"""The world of the chaos run: the books of what its processes were promised.

Each world is one node with a supervision tree. The book knows every monitor, every request and every stopped
supervisor, so that `check` can say which promise was broken; what belongs to one service is in a book of its own
(`locks.py`, `groups.py`, …).
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import attrs
import trio

from actors import (
    CallError,
    Down,
    HandlerError,
    Keys,
    MailboxFullError,
    MonitorRef,
    Node,
    NoHandlerError,
    NoProcessError,
    Pid,
    ProcessGroups,
    Registry,
    StartError,
    self_pid,
    spawn,
)
from actors.messages import Promised
from actors.process import Process
from supervisors import AutoShutdown, SupervisorsError
from supervisors.chaos import Watch, settle_down
from supervisors.supervisor_server import SupervisorServer

B = TypeVar("B")

LONGEST = 600.0  # seconds on a clock that jumps: longer than anything here may take
NAMES = tuple(f"name{n}" for n in range(6))
KEYS = tuple(f"key{n}" for n in range(6))
REGISTRY = Registry("keys")
TOPICS = Registry("topics", keys=Keys.DUPLICATE)
GROUPS = ProcessGroups("groups")


class Boom(Exception):
    """The only exception that code raises here on purpose."""


EXPECTED = (
    CallError,
    HandlerError,
    MailboxFullError,
    NoHandlerError,
    StartError,
    SupervisorsError,
    Boom,
)
"""What an operation may be refused with."""


class Order:
    """A message: do this in your own task."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], Awaitable[Any]]) -> None:
        self.act = act


@attrs.define(eq=False)
class Watched:
    """One monitor, and what may come of it."""

    ref: MonitorRef
    watcher: Pid
    watched: Pid | None  # None: a name that nobody had
    removed: bool = False  # in time: no DOWN may come
    flushed: bool = False  # too late, and the DOWN was taken out of the mailbox


@attrs.define(eq=False, repr=False)  # it is an argument of every process, and those are reported
class World:
    """One episode's processes and its book."""

    node: Node
    chance: random.Random
    watch: Watch
    root: Pid | None = None
    monitors: list[Watched] = attrs.field(factory=list)
    downs: Counter[MonitorRef] = attrs.field(factory=Counter)
    waiting: dict[int, tuple[Pid, str, float]] = attrs.field(
        factory=dict
    )  # request -> who, what, since
    stopped: dict[Pid, None] = attrs.field(
        factory=dict
    )  # supervisors that were told to stop, and did
    by_hand: set[tuple[Pid, Any]] = attrs.field(factory=set)  # children that somebody terminated
    touched: set[Pid] = attrs.field(factory=set)  # supervisors of which somebody ever did
    books: dict[type[Any], Any] = attrs.field(factory=dict)
    broken: list[str] = attrs.field(factory=list)
    trail: deque[tuple[str, Pid]] = attrs.field(factory=lambda: deque(maxlen=30))
    serial: int = 0

    # -- what processes tell the book ------------------------------------------------------------

    def book(self, kind: type[B]) -> B:
        """The book of one service."""
        if kind not in self.books:
            self.books[kind] = kind()
        found: B = self.books[kind]
        return found

    def took(self, message: Any) -> None:
        """A process was handed a message."""
        if isinstance(message, Down):
            self._took_down(message)
        elif isinstance(message, Promised):
            for book in self.books.values():
                if hasattr(book, "took"):
                    book.took(message)

    def _took_down(self, down: Down) -> None:
        self.downs[down.ref] += 1
        pid = down.ref.pid
        if pid is None:  # nobody had the name
            return
        if isinstance(pid.target, Process):
            self.broken.append(f"{pid!r} is there although its DOWN was seen")
        if any(holder is pid for holder in self.node.names.values()):
            self.broken.append(f"{pid!r} has its name although its DOWN was seen")
        for registry in (REGISTRY, TOPICS):
            with suppress(NoProcessError):  # the registry itself is away
                if registry.keys(pid):
                    self.broken.append(f"{pid!r} is registered although its DOWN was seen")
        with suppress(NoProcessError):
            if any(pid in GROUPS.members(group) for group in GROUPS.groups()):
                self.broken.append(f"{pid!r} is in a group although its DOWN was seen")

    def begins(self) -> None:
        """A server starts, in its `init`."""
        parent = self.node.processes[self_pid()].parent
        if parent in self.stopped:
            self.broken.append(f"{self_pid()!r} was started by {parent!r}, which had stopped")

    async def ask(self, what: str, question: Callable[[], Awaitable[Any]]) -> Any:
        """Run a request that must end, and let the book know."""
        self.serial += 1
        ticket = self.serial
        self.waiting[ticket] = (self_pid(), what, trio.current_time())
        try:
            return await question()
        except EXPECTED:
            return None
        finally:
            del self.waiting[ticket]

    # -- checking --------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises if a promise is broken. Ask when all has settled."""
        now = trio.current_time()
        for who, what, since in self.waiting.values():
            if now - since > LONGEST or not isinstance(who.target, Process):
                self.broken.append(f"{who!r} waits for {what} since {since:.0f}; it is {now:.0f}")
        self.monitors = [entry for entry in self.monitors if self._is_open(entry)]
        self._check_links()
        tasks = len(self.node._nursery.child_tasks)
        awake = sum(process.asleep is None for process in self.node.processes.values())
        if tasks != awake:  # main has no task of its own, the deadlines have one
            self.broken.append(f"{tasks} tasks for {awake} processes that are awake")
        for book in self.books.values():
            self.broken.extend(book.check(self))
        self.broken.extend(self._overdue())
        broken, self.broken = self.broken, []
        assert not broken, "\n".join(broken)
        for supervisor in {pid for pid, _ in self.by_hand}:  # see operations.administer
            self.by_hand.update((supervisor, id) for id in _standing_still(supervisor))
        self.watch.check(stopped_by_hand=self.by_hand)
        self.by_hand = {
            (pid, id) for pid, id in self.by_hand if _is_busy(pid) or id in _standing_still(pid)
        }

    def _overdue(self) -> Iterator[str]:
        """Supervisors that should have ended with their significant children (S32)."""
        for process in self.node.processes.values():
            server = process.server
            if not isinstance(server, SupervisorServer) or not process.at_rest or not process.alive:
                continue
            if process.pid in self.touched or any(child.restarting for child in server._children):
                continue
            ended = [child.stopped for child in server._children if child.spec.significant]
            mode = server._flags.auto_shutdown
            if (mode is AutoShutdown.ANY_SIGNIFICANT and any(ended)) or (
                mode is AutoShutdown.ALL_SIGNIFICANT and ended and all(ended)
            ):
                yield f"{process.pid!r} outlives its significant children"

    def _is_open(self, entry: Watched) -> bool:
        """Can anything still come of this monitor? Notes what should have come, or should not."""
        watcher = entry.watcher.target
        if not isinstance(watcher, Process):
            return False
        watched = entry.watched
        lives = watched is not None and isinstance(watched.target, Process)
        came = self.downs[entry.ref]
        if not (watcher.at_rest and watcher.alive):
            return True  # it is busy; look again later
        if lives and not entry.removed:
            if came:
                self.broken.append(f"{entry.ref!r}: DOWN of a living process")
            return True
        least = 0 if entry.removed or entry.flushed else 1
        most = 0 if entry.removed else 1
        if not least <= came <= most:
            self.broken.append(f"{entry!r}: {came} DOWNs")
        return False

    def _check_links(self) -> None:
        for process in self.node.processes.values():
            for other in process.links or ():
                target = other.target
                if not isinstance(target, Process) or process.pid not in (target.links or ()):
                    self.broken.append(f"{process.pid!r} is linked to {other!r}, but not back")

    async def settle(self, patience: float = 0.0) -> None:
        """Let everything come to rest, and see whether all is well."""
        await settle_down(patience)
        self.check()


def _is_busy(pid: Pid) -> bool:
    """Has it something to do, a request to terminate a child perhaps?"""
    target = pid.target
    return isinstance(target, Process) and not target.at_rest


def _standing_still(supervisor: Pid) -> set[Any]:
    """The children of a static supervisor that do not run and are not about to."""
    target = supervisor.target
    children = target.server._children if isinstance(target, Process) else ()
    return {child.id for child in children if child.stopped}


def order(world: World, process: Process, act: Callable[[], Awaitable[Any]]) -> None:
    """Let it be done in the middle of the work of `process`, or by a client of its own."""
    if world.chance.random() < 0.5:
        process.pid.send(Order(act))
    else:
        spawn(act)
