"""The scenarios of oracle.exs on our processes: scenario -> what happened, in the same words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import trio
import trio.testing

from actors import (
    KILL,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    Crash,
    Down,
    Exit,
    GenServer,
    Ignore,
    MonitorRef,
    Pid,
    ProcessExit,
    ReceiveTimeoutError,
    Shutdown,
    StartError,
    StartIgnoredError,
    Stop,
    call,
    open_node,
    receive,
    self_pid,
    spawn,
    spawn_link,
    trap_exit,
    whereis,
)
from supervisors import ChildSpec, Strategy, Supervisor

Lines = dict[str, str]


def word(reason: Any) -> str:
    """A reason in the oracle's words."""
    match reason:
        case Crash():
            return "raised"
        case BadReturn():
            return "bad return"
        case Shutdown(detail=str() as detail):
            return f"shutdown({detail})"
    return str(reason)


async def mailbox() -> str:
    """What has arrived in the calling process's mailbox, in order."""
    await trio.testing.wait_all_tasks_blocked()
    arrived: list[str] = []
    while True:
        try:
            match await receive(timeout=0):
                case Exit(reason=reason):
                    arrived.append(f"EXIT {word(reason)}")
                case Down(reason=reason):
                    arrived.append(f"DOWN {word(reason)}")
                case text:
                    arrived.append(text)
        except ReceiveTimeoutError:
            return ", ".join(arrived)


async def down(ref: MonitorRef) -> Any:
    """The reason in a monitor's message."""
    message: Down = await receive(ref)
    return message.reason


# -- starting (G5) -------------------------------------------------------------------------------


class Starter(GenServer):
    """Starts in the way that it is told to."""

    trap_exit = False

    async def init(self, how: str) -> Any:
        match how:
            case "stop":
                return Stop("boom")
            case "stop_normal":
                return Stop(NORMAL)
            case "ignore":
                return Ignore()
            case "raise":
                raise RuntimeError("boom")
            case "exit":
                raise ProcessExit("boom")
            case "exit_normal":
                raise ProcessExit(NORMAL)
            case "junk":
                return 42
            case "slow":
                await trio.sleep(5)
        return None


STARTS = ("ok", "stop", "stop_normal", "ignore", "raise", "exit", "exit_normal", "junk", "slow")


async def start_matrix() -> Lines:
    """What start and start_link give, whether the starter survives, what is left in its mailbox."""
    lines: Lines = {}
    for how in STARTS:
        for mode in ("start", "trapping", "linked"):
            reason = await down(spawn(_start_and_tell, how, mode).monitor())
            told = isinstance(reason, tuple)
            lines[f"start {how} {mode}"] = (
                f"{reason[0]}; left: {reason[1]}" if told else f"starter died of {word(reason)}"
            )
    return lines


async def _start_and_tell(how: str, mode: str) -> None:
    trap_exit(mode == "trapping")
    start = Starter.start if mode == "start" else Starter.start_link
    try:
        await start(how, timeout=0.03 if how == "slow" else None)
        result = "ok"
    except StartIgnoredError:
        result = "ignore"
    except StartError as error:
        result = f"error {word(error.reason)}"
    raise ProcessExit((result, await mailbox()))


# -- exit signals and links (P10, P11, L4) -------------------------------------------------------


async def watch() -> None:
    """End with what was seen: an exit that was trapped, or nothing."""
    match await receive():
        case Exit(reason=reason):
            raise ProcessExit(Shutdown(f"saw_{word(reason)}"))
        case _:
            raise ProcessExit(Shutdown("untouched"))


async def exit_signals() -> Lines:
    """An exit signal of each kind, to a process that traps and to one that does not."""
    lines: Lines = {}
    signals = {"normal": NORMAL, "shutdown": SHUTDOWN, "boom": "boom", "kill": KILL}
    for trap in (False, True):
        for name, signal in signals.items():
            pid = spawn(_trap_and_watch, trap)
            ref = pid.monitor()
            await trio.testing.wait_all_tasks_blocked()
            pid.exit(signal)
            pid.send("finish")
            lines[f"exit {name} trap {str(trap).lower()}"] = word(await down(ref))
    return lines


async def _trap_and_watch(trap: bool) -> None:  # as trap_exit itself
    trap_exit(trap)
    await watch()


async def links() -> Lines:
    """How the end of one process reaches a linked one."""
    lines: Lines = {}
    for ending in ("normal", "shutdown", "boom", "kill_itself", "killed"):
        for trap in (False, True):
            children: list[Pid] = []
            peer = spawn(_link_and_watch, trap, children)
            ref = peer.monitor()
            await trio.testing.wait_all_tasks_blocked()
            if ending == "killed":
                children[0].exit(KILL)
            else:
                children[0].send(ending)
            await trio.testing.wait_all_tasks_blocked()
            peer.send("finish")
            lines[f"link {ending} trap {str(trap).lower()}"] = word(await down(ref))
    return lines


async def _link_and_watch(trap: bool, children: list[Pid]) -> None:  # as above
    trap_exit(trap)
    children.append(spawn_link(_end_as_told))
    await watch()


async def _end_as_told() -> None:
    match await receive():
        case "normal":
            return
        case "kill_itself":
            raise ProcessExit(KILL)
        case "shutdown":
            raise ProcessExit(SHUTDOWN)
        case other:
            raise ProcessExit(other)


# -- supervisors ---------------------------------------------------------------------------------


class Traced(GenServer):
    """Tells `tester` of its starts and its stop; some of its starts fail."""

    trap_exit = True

    async def init(self, name: str, tester: Pid, fails: Counter[str]) -> Any:
        self.name, self.tester = name, tester
        if fails[name] > 0:
            fails[name] -= 1
            tester.send(f"start {name} fails")
            return Stop("refused")
        tester.send(f"start {name}")
        return None

    async def terminate(self, reason: Any) -> None:
        self.tester.send(f"stop {self.name}")


class Trees:
    """Trees of traced children, and which of their next starts fail."""

    def __init__(self) -> None:
        self.fails: Counter[str] = Counter()

    def specs(self, names: str) -> list[ChildSpec]:
        arguments = (self_pid(), self.fails)
        return [
            ChildSpec.of(Traced.child_spec(name, *arguments, id=name, name=name)) for name in names
        ]

    async def start(self, names: str, strategy: Strategy, **options: Any) -> Pid:
        supervisor = await Supervisor.start_link(self.specs(names), strategy=strategy, **options)
        await mailbox()
        return supervisor


def kill(name: str) -> None:
    pid = whereis(name)
    assert pid is not None
    pid.exit(KILL)


async def strategies() -> Lines:
    """Which children are replaced, in which order (S10–S12, S22)."""
    lines: Lines = {}
    for strategy in (Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL):
        supervisor = await Trees().start("abc", strategy)
        kill("b")
        lines[f"{strategy} b killed"] = await mailbox()
        await Supervisor.stop(supervisor)
        lines[f"{strategy} stopped"] = await mailbox()
    return lines


async def group_restarts() -> Lines:
    """Group restarts in which another child fails to start once (S15)."""
    lines: Lines = {}
    for strategy, names, killed, failing in (
        (Strategy.ONE_FOR_ALL, "abc", "c", "b"),
        (Strategy.REST_FOR_ONE, "abcd", "b", "c"),
    ):
        trees = Trees()
        supervisor = await trees.start(names, strategy)
        trees.fails[failing] = 1
        kill(killed)
        lines[f"S15 {strategy}"] = await mailbox()
        await Supervisor.stop(supervisor)
        await mailbox()
    return lines


async def intensity() -> Lines:
    """How many starts there are when a child always fails to come back (S17)."""
    lines: Lines = {}
    for maximum in (0, 1, 3):
        trees = Trees()
        supervisor = await trees.start(
            "a", Strategy.ONE_FOR_ONE, max_restarts=maximum, max_seconds=5
        )
        trees.fails["a"] = 1_000
        ref = supervisor.monitor()
        kill("a")
        lines[f"S17 {maximum} reason"] = word(await down(ref))
        lines[f"S17 {maximum} starts"] = await mailbox()
    return lines


async def rollback() -> Lines:
    """The start of a later child fails (S7)."""
    trees = Trees()
    trees.fails["c"] = 1
    try:
        await Supervisor.start_link(trees.specs("abcd"))
        result = "ok"
    except StartError:
        result = "error"
    return {"S7 result": result, "S7 trace": await mailbox()}


class Ender(GenServer):
    """Ends as it is told."""

    async def handle_cast(self, message: Any) -> Any:
        return Stop(message)


async def restart_types() -> Lines:
    """Restart types and ways to end (S8)."""
    lines: Lines = {}
    for restart in ("permanent", "transient", "temporary"):
        for reason in (NORMAL, SHUTDOWN, Shutdown("x"), "boom"):
            spec = Ender.child_spec(id="e", name="e", restart=restart)
            supervisor = await Supervisor.start_link([spec])
            Ender.cast("e", reason)
            await trio.testing.wait_all_tasks_blocked()
            children = await call(supervisor, ("which_children",))
            lines[f"S8 {restart} {word(reason)}"] = (
                "forgotten" if not children else "restarted" if children[0].pid else "kept"
            )
            await Supervisor.stop(supervisor)
    return lines


SCENARIOS = (
    start_matrix,
    exit_signals,
    links,
    strategies,
    group_restarts,
    intensity,
    rollback,
    restart_types,
)


async def run_all() -> Lines:
    """Every scenario, in a node whose main process traps exits, as the oracle's does."""
    lines: Lines = {}
    for scenario in SCENARIOS:
        async with open_node():
            trap_exit()
            lines |= await scenario()
    return lines
