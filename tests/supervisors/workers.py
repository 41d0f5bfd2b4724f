"""A play for supervisors: children whose starts follow a script and who write down what happens to them."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    CallError,
    Exit,
    GenServer,
    Ignore,
    Pid,
    ProcessExit,
    StartError,
    Stop,
    is_orderly,
    self_pid,
)
from supervisors import ChildInfo, ChildSpec, Supervisor

ANY_TIME = 1_000.0  # seconds on the mock clock: longer than anything a test waits for


class Worker(GenServer):
    """Does what it is told: `("exit", reason)`, `("signal", pid)`, `"crash"`, `"unlink"`; takes `slow` seconds to terminate."""

    async def init(self, play: Play, id: Any, slow: float = 0.0) -> None:
        self.play = play
        self.id = id
        self.slow = slow
        play.diary.append(f"start {id}")

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return (request, self.id)

    async def handle_info(self, message: Any) -> Any:
        match message:
            case ("exit", reason):
                raise ProcessExit(reason)
            case ("stop", reason):
                return Stop(reason)
            case "crash":
                raise RuntimeError("told to crash")
            case ("signal", Pid() as pid):
                pid.exit("a signal")
            case "unlink":
                self._process.parent.unlink()
            case Exit(_, reason) if not is_orderly(reason):
                raise ProcessExit(reason)
        return None

    async def terminate(self, reason: Any) -> None:
        await trio.sleep(self.slow)
        self.play.diary.append(f"stop {self.id}")
        self.play.reasons[self.id].append(reason)


class Brittle(Worker):
    """Does not trap exits: an exit signal ends it without `terminate`."""

    trap_exit = False


class Play:
    """What is to happen (`outcomes`) and what happened (`diary`, `reasons`)."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.reasons: defaultdict[Any, list[Any]] = defaultdict(
            list
        )  # id -> what terminate was given
        self.outcomes: defaultdict[Any, deque[Any]] = defaultdict(deque)  # id -> of its next starts
        self.starts: defaultdict[Any, int] = defaultdict(int)  # id -> how often it was tried

    def script(self, id: Any, *outcomes: Any) -> None:
        """The next starts of `id`: "ok", "ignore", "error", "raise", "exit", "junk", "info"; then all are ok."""
        self.outcomes[id].extend(outcomes)

    async def start(self, id: Any, worker: type[Worker] = Worker, **options: Any) -> Any:
        """The start function of every child."""
        self.starts[id] += 1
        outcome = self.outcomes[id].popleft() if self.outcomes[id] else "ok"
        match outcome:
            case "ok":
                return await worker.start_link(self, id, **options)
            case "info":
                return await worker.start_link(self, id, **options), "info"
            case "ignore":
                return await Ignored.start_link()
            case "junk":
                return "junk"
            case "raise":
                self.diary.append(f"fail {id}")
                raise RuntimeError("start raised")
            case "exit":
                self.diary.append(f"fail {id}")
                raise ProcessExit("start exited")
        self.diary.append(f"fail {id}")
        raise StartError("refused")

    def child(
        self, id: Any, *, worker: type[Worker] = Worker, slow: float = 0.0, **fields: Any
    ) -> ChildSpec:
        """The specification of one child."""
        options = {"slow": slow} if slow else {}
        return ChildSpec.of({"id": id, "start": (self.start, (id, worker), options), **fields})

    def children(self, ids: Any, **fields: Any) -> list[ChildSpec]:
        """Specifications that differ in nothing but their ids."""
        return [self.child(id, **fields) for id in ids]

    def entries(self) -> str:
        """The diary since it was read last, as one line."""
        line = ", ".join(self.diary)
        self.diary.clear()
        return line


class Names:
    """A registry, as small as `Via` allows."""

    def __init__(self) -> None:
        self.names: dict[Any, Pid] = {}

    def register_name(self, key: Any, pid: Pid) -> bool:
        return self.names.setdefault(key, pid) is pid

    def unregister_name(self, key: Any) -> None:
        del self.names[key]

    def whereis_name(self, key: Any) -> Pid | None:
        return self.names.get(key)


class Ignored(GenServer):
    """Has nothing to do."""

    async def init(self) -> Any:
        return Ignore()


async def settle() -> None:
    """Let everything that can happen now happen."""
    await wait_all_tasks_blocked()


async def info(supervisor: Pid, id: Any) -> ChildInfo | None:
    """What `which_children` says of `id`."""
    return next((c for c in await Supervisor.which_children(supervisor) if c.id == id), None)


async def pids(supervisor: Pid) -> dict[Any, Any]:
    """Id -> pid, in start order."""
    return {c.id: c.pid for c in reversed(await Supervisor.which_children(supervisor))}


async def pid(supervisor: Pid, id: Any) -> Pid:
    """The pid of a running child."""
    found = (await pids(supervisor))[id]
    assert isinstance(found, Pid)
    return found


async def end(child: Pid, reason: Any) -> None:
    """Let `child` end by itself with `reason` (`KILL`: kill it) and its supervisor react."""
    if reason is KILL:
        child.exit(KILL)
    else:
        child.send(("exit", reason))
    await settle()


async def failure(start: Any) -> Any:
    """The reason with which a start fails."""
    try:
        await start
    except StartError as error:
        return error.reason
    raise AssertionError("it started")


async def refusal(request: Any) -> str:
    """The class of the error that a request raises."""
    try:
        await request
    except (StartError, CallError, Exception) as error:
        return type(error).__name__
    raise AssertionError("it was granted")


def me() -> Pid:
    """The process of the test."""
    return self_pid()
