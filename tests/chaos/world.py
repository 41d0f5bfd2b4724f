"""The world of the chaos run: processes that obey orders, and the book of what they were promised.

Each world is one node with a supervision tree. The book knows every monitor, every request and every stopped
supervisor, so that `check` can say which promise was broken.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import trio

from actors import (
    CallError,
    Crash,
    Down,
    Exit,
    GenServer,
    Keys,
    MailboxFullError,
    MonitorRef,
    Node,
    NoProcessError,
    NoReply,
    Pid,
    ProcessExit,
    Registry,
    StartError,
    receive,
    self_pid,
    trap_exit,
)
from actors.process import Process
from supervisors import (
    BRUTAL_KILL,
    INFINITY,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Restart,
    Strategy,
    Supervisor,
    SupervisorsError,
    TaskSupervisor,
)
from supervisors.chaos import Watch, settle_down
from tests.chaos.inhabitants import Flow, Moody

LONGEST = 600.0  # seconds on a clock that jumps: longer than anything here may take
NAMES = tuple(f"name{n}" for n in range(6))
KEYS = tuple(f"key{n}" for n in range(6))
REGISTRY = Registry("keys")
TOPICS = Registry("topics", keys=Keys.DUPLICATE)


class Boom(Exception):
    """The only exception that code raises here on purpose."""


EXPECTED = (CallError, MailboxFullError, StartError, SupervisorsError, Boom)
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
    watched: Pid
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
    broken: list[str] = attrs.field(factory=list)
    trail: deque[tuple[str, Pid]] = attrs.field(factory=lambda: deque(maxlen=30))
    serial: int = 0

    # -- what processes tell the book ------------------------------------------------------------

    def took(self, message: Any) -> None:
        """A process was handed a message."""
        if isinstance(message, Down):
            self._took_down(message)

    def _took_down(self, down: Down) -> None:
        self.downs[down.ref] += 1
        pid = down.object
        if isinstance(pid.target, Process):
            self.broken.append(f"{pid!r} is there although its DOWN was seen")
        if any(holder is pid for holder in self.node.names.values()):
            self.broken.append(f"{pid!r} has its name although its DOWN was seen")
        for registry in (REGISTRY, TOPICS):
            with suppress(NoProcessError):  # the registry itself is away
                if registry.keys(pid):
                    self.broken.append(f"{pid!r} is registered although its DOWN was seen")

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
        broken, self.broken = self.broken, []
        assert not broken, "\n".join(broken)
        for supervisor in {pid for pid, _ in self.by_hand}:  # see operations.administer
            self.by_hand.update((supervisor, id) for id in _standing_still(supervisor))
        self.watch.check(stopped_by_hand=self.by_hand)
        self.by_hand = {
            (pid, id) for pid, id in self.by_hand if _is_busy(pid) or id in _standing_still(pid)
        }

    def _is_open(self, entry: Watched) -> bool:
        """Can anything still come of this monitor? Notes what should have come, or should not."""
        watcher = entry.watcher.target
        if not isinstance(watcher, Process):
            return False
        came, lives = self.downs[entry.ref], isinstance(entry.watched.target, Process)
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


# -- who lives there -----------------------------------------------------------------------------


async def obey(world: World) -> None:
    """A plain process: takes messages, does what it is told."""
    try:
        while True:
            message = await receive()
            world.took(message)
            if isinstance(message, Order):
                await message.act()
    finally:
        if world.chance.random() < 0.1:
            with trio.CancelScope(shield=True):  # it unwinds slowly, within the grace of a kill
                await trio.sleep(0.3)


async def obey_trapping(world: World) -> None:
    """As `obey`; exit signals are messages to it, and an exit by its parent it respects."""
    trap_exit()
    parent = world.node.processes[self_pid()].parent
    while True:
        message = await receive()
        world.took(message)
        if isinstance(message, Exit) and message.pid is parent:
            raise ProcessExit(message.reason)
        if isinstance(message, Order):
            await message.act()


class Mind(GenServer):
    """A server that obeys; how it starts, answers and stops is up to chance."""

    async def init(self, world: World, traps: bool = False) -> None:
        self.world = world
        world.begins()
        self._process.trap_exit = traps
        throw = world.chance.random()
        if throw < 0.02:
            raise Boom("no start")
        if throw < 0.04:
            raise ProcessExit("no start")
        if throw < 0.1:
            await trio.sleep(throw * 20)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        throw = self.world.chance.random()
        if throw < 0.05:
            raise Boom("no answer")
        if throw < 0.1:
            await trio.sleep(throw * 60)
        return NoReply() if 0.1 < throw < 0.2 else request

    async def handle_cast(self, message: Any) -> None:
        self.world.took(message)

    async def handle_info(self, message: Any) -> None:
        self.world.took(message)
        if isinstance(message, Order):
            await message.act()

    async def terminate(self, reason: Any) -> None:
        throw = self.world.chance.random()
        if throw < 0.05:
            raise Boom("no goodbye")
        if throw < 0.15:
            await trio.sleep(throw * 60)  # longer than some may take


# -- trees ---------------------------------------------------------------------------------------


def random_worker(world: World) -> ChildSpec:
    """The specification of a worker of any temper."""
    chance = world.chance
    world.serial += 1
    return ChildSpec(
        world.serial,
        chance.choices(
            (
                (Mind.start_link, (world, chance.random() < 0.5), {}),
                (Moody.start_link, (chance,), {}),
                (Flow.start_link, (chance,), {}),
            ),
            (8, 1, 1),
        )[0],
        restart=chance.choice(list(Restart)),
        shutdown=chance.choice((BRUTAL_KILL, 0.5, 5.0)),
        backoff=chance.choice((None, None, Backoff(base=0.5, cap=8.0))),
    )


def random_supervisor(world: World, depth: int) -> ChildSpec:
    """The specification of a supervisor with whatever below it."""
    chance = world.chance
    world.serial += 1
    fields = {
        "restart": chance.choice(list(Restart)),
        "shutdown": chance.choice((INFINITY, 20.0, BRUTAL_KILL)),
    }
    limit = chance.choice((1, 5, 1_000))
    if chance.random() < 0.3:
        kind = chance.choice((DynamicSupervisor, DynamicSupervisor, TaskSupervisor))
        spec = kind.child_spec(max_children=8, max_restarts=limit)
        return ChildSpec.of(spec, id=world.serial, **fields)
    id = world.serial
    children = [
        random_supervisor(world, depth - 1)
        if depth and chance.random() < 0.4
        else random_worker(world)
        for _ in range(chance.randint(0, 3))
    ]
    spec = Supervisor.child_spec(
        children, strategy=chance.choice(list(Strategy)), max_restarts=limit
    )
    return ChildSpec.of(spec, id=id, **fields)


async def plant(world: World) -> None:
    """Start the tree of the world, if it has none that lives. Runs in the main process."""
    while world.root is None or not world.root.is_alive():
        registries = [ChildSpec.of(REGISTRY, id="keys"), ChildSpec.of(TOPICS, id="topics")]
        trees = [random_supervisor(world, 2) for _ in range(3)]
        try:
            world.root = await Supervisor.start_link(
                [*registries, *trees], max_restarts=30, name="root"
            )
        except StartError:  # a worker did not start, or the last tree is still ending
            await world.settle(patience=60.0)


def is_injected(reason: Any) -> bool:
    """Is this how a process may end here? Every other exception is a fault of the runtime."""
    return not isinstance(reason, Crash) or isinstance(reason.exception, Boom)
