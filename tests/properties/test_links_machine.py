"""Links, monitors and exit signals against a small model of the rules (semantics P10, L, M).

The rules act on the model at once and write down what they did; at the end the same is done to
processes of a node, which must look like the model after each step.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import wait_all_tasks_blocked

from actors import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    Down,
    Exit,
    MonitorRef,
    Node,
    NoProcessError,
    Pid,
    ProcessExit,
    demonitor,
    exit,
    link,
    monitor,
    open_node,
    spawn,
    spawn_link,
    trap_exit,
    unlink,
)
from actors.context import current
from actors.introspection import process_info

# -- the model -----------------------------------------------------------------------------------


@attrs.define(eq=False)
class ModelProcess:
    """One process of the model. Messages are ("exit", from, reason) or ("down", monitor, reason)."""

    traps: bool = False
    alive: bool = True
    links: list[int] = attrs.field(factory=list)
    watched_by: list[int] = attrs.field(factory=list)  # monitors
    mailbox: list[tuple[Any, ...]] = attrs.field(factory=list)


@attrs.define(eq=False)
class ModelMonitor:
    """One monitor; it is active until the DOWN or until it is removed."""

    watcher: int
    watched: int
    active: bool = True


class Model:
    """The rules in thirty lines."""

    def __init__(self) -> None:
        self.processes: list[ModelProcess] = []
        self.monitors: list[ModelMonitor] = []

    def spawn(self) -> int:
        self.processes.append(ModelProcess())
        return len(self.processes) - 1

    def link(self, one: int, other: int) -> None:
        if one == other:
            return
        if self.processes[other].alive:
            for this, that in ((one, other), (other, one)):
                if that not in self.processes[this].links:
                    self.processes[this].links.append(that)
        elif self.processes[one].traps:
            self.processes[one].mailbox.append(("exit", other, NOPROC))

    def unlink(self, one: int, other: int, flush: bool) -> None:
        for this, that in ((one, other), (other, one)):
            if that in self.processes[this].links:
                self.processes[this].links.remove(that)
        if flush:
            self._drop_first(one, lambda message: message[:2] == ("exit", other))

    def monitor(self, watcher: int, watched: int) -> int:
        self.monitors.append(ModelMonitor(watcher, watched))
        serial = len(self.monitors) - 1
        if self.processes[watched].alive:
            self.processes[watched].watched_by.append(serial)
        else:
            self._fire(serial, NOPROC)
        return serial

    def demonitor(self, serial: int, flush: bool) -> bool:
        entry = self.monitors[serial]
        was_active, entry.active = entry.active, False
        if was_active:
            self.processes[entry.watched].watched_by.remove(serial)
        elif flush:
            self._drop_first(entry.watcher, lambda message: message[:2] == ("down", serial))
        return was_active

    def signal(self, sender: int, target: int, reason: Any, linked: bool = False) -> None:
        process = self.processes[target]
        if not process.alive:
            return
        if reason is KILL and not linked:
            self.die(target, KILLED)
        elif process.traps:
            process.mailbox.append(("exit", sender, reason))
        elif reason is not NORMAL or sender == target:
            self.die(target, reason)

    def die(self, serial: int, reason: Any) -> None:
        process = self.processes[serial]
        process.alive = False
        process.mailbox.clear()
        links, process.links = process.links, []
        for other in links:
            if serial in self.processes[other].links:  # or it is dying of the same
                self.processes[other].links.remove(serial)
            self.signal(serial, other, reason, linked=True)
        for monitor_serial in process.watched_by:
            self._fire(monitor_serial, reason)
        process.watched_by = []
        for monitor_serial, entry in enumerate(self.monitors):
            if entry.watcher == serial and entry.active:
                self.demonitor(monitor_serial, flush=False)

    def _fire(self, serial: int, reason: Any) -> None:
        entry = self.monitors[serial]
        entry.active = False
        if self.processes[entry.watcher].alive:
            self.processes[entry.watcher].mailbox.append(("down", serial, reason))

    def _drop_first(self, serial: int, matches: Callable[[tuple[Any, ...]], bool]) -> None:
        mailbox = self.processes[serial].mailbox
        for index, message in enumerate(mailbox):
            if matches(message):
                del mailbox[index]
                return

    def picture(self) -> Any:
        """What can be compared: order counts only among the messages about one other process."""
        return [
            (
                process.alive,
                set(process.links),
                len(process.watched_by),
                _by_sender(process.mailbox, lambda serial: self.monitors[serial].watched),
            )
            for process in self.processes
        ]


def _by_sender(messages: Any, watched: Callable[[int], int]) -> dict[int, list[Any]]:
    grouped: defaultdict[int, list[Any]] = defaultdict(list)
    for message in messages:
        sender = message[1] if message[0] == "exit" else watched(message[1])
        grouped[sender].append(message)
    return dict(grouped)


# -- the same with processes ---------------------------------------------------------------------


async def obey(orders: trio.MemoryReceiveChannel[Any]) -> None:
    """A process that does nothing but end as it is told."""
    reason = await orders.receive()
    if reason is not NORMAL:
        raise ProcessExit(reason)


class Real:
    """The processes of a node, under the model's numbers."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.pids: list[Pid] = []
        self.orders: list[trio.MemorySendChannel[Any]] = []
        self.refs: list[MonitorRef] = []

    def as_process(self, serial: int, act: Callable[[], Any]) -> Any:
        token = current.set(self.node.processes[self.pids[serial]])
        try:
            return act()
        except (NoProcessError, ProcessExit):
            return None  # what it does to the process is in the picture
        finally:
            current.reset(token)

    def add(self, start: Callable[..., Pid]) -> None:
        send_channel, receive_channel = trio.open_memory_channel[Any](1)
        self.orders.append(send_channel)
        self.pids.append(start(obey, receive_channel))

    def picture(self) -> Any:
        numbers = {pid: serial for serial, pid in enumerate(self.pids)}
        rows: list[Any] = []
        for pid in self.pids:
            info = process_info(pid)
            if info is None:
                rows.append((False, set[int](), 0, {}))
                continue
            queue = [self._plain(m, numbers) for m in self.node.processes[pid].mailbox.queue or ()]
            links = {numbers[other] for other in info.links}
            grouped = _by_sender(queue, lambda serial: numbers[self.refs[serial].object])
            rows.append((True, links, len(info.monitored_by), grouped))
        return rows

    def _plain(self, message: Any, numbers: dict[Pid, int]) -> tuple[Any, ...]:
        if isinstance(message, Exit):
            return ("exit", numbers[message.pid], message.reason)
        assert isinstance(message, Down)
        return ("down", self.refs.index(message.ref), message.reason)


# -- the machine ---------------------------------------------------------------------------------

reasons = st.sampled_from([NORMAL, SHUTDOWN, KILL, KILLED, "crash"])
picks = st.integers(0, 1_000)


class LinksMachine(RuleBasedStateMachine):
    """Acts on the model; `teardown` repeats it on processes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.steps: list[tuple[Callable[[Real], Any], Any, Any]] = []  # act, result, picture

    @initialize()
    def two_processes(self) -> None:
        self.start()
        self.start()

    def living(self, pick: int) -> int:
        alive = [n for n, process in enumerate(self.model.processes) if process.alive]
        return alive[pick % len(alive)]

    def anyone(self, pick: int) -> int:
        return pick % len(self.model.processes)

    def somebody_lives(self) -> bool:
        return any(process.alive for process in self.model.processes)

    def note(self, act: Callable[[Real], Any], result: Any = None) -> None:
        self.steps.append((act, result, self.model.picture()))

    @rule()
    def start(self) -> None:
        self.model.spawn()
        self.note(lambda real: real.add(spawn))

    @precondition(somebody_lives)
    @rule(parent=picks)
    def start_linked(self, parent: int) -> None:
        parent = self.living(parent)
        self.model.link(parent, self.model.spawn())
        self.note(lambda real: real.as_process(parent, lambda: real.add(spawn_link)))

    @precondition(somebody_lives)
    @rule(one=picks, other=picks)
    def make_link(self, one: int, other: int) -> None:
        one, other = self.living(one), self.anyone(other)
        self.model.link(one, other)
        self.note(lambda real: real.as_process(one, lambda: link(real.pids[other])))

    @precondition(somebody_lives)
    @rule(one=picks, other=picks, flush=st.booleans())
    def remove_link(self, one: int, other: int, flush: bool) -> None:
        one, other = self.living(one), self.anyone(other)
        self.model.unlink(one, other, flush)
        self.note(lambda real: real.as_process(one, lambda: unlink(real.pids[other], flush=flush)))

    @precondition(somebody_lives)
    @rule(watcher=picks, watched=picks)
    def make_monitor(self, watcher: int, watched: int) -> None:
        watcher, watched = self.living(watcher), self.anyone(watched)
        self.model.monitor(watcher, watched)
        self.note(
            lambda real: real.refs.append(
                real.as_process(watcher, lambda: monitor(real.pids[watched]))
            )
        )

    @precondition(lambda self: self.monitors_of_the_living())
    @rule(pick=picks, flush=st.booleans())
    def remove_monitor(self, pick: int, flush: bool) -> None:
        mine = self.monitors_of_the_living()
        serial = mine[pick % len(mine)]
        watcher = self.model.monitors[serial].watcher
        was_active = self.model.demonitor(serial, flush)
        self.note(
            lambda real: real.as_process(
                watcher, lambda: demonitor(real.refs[serial], flush=flush)
            ),
            was_active,
        )

    def monitors_of_the_living(self) -> list[int]:
        return [
            serial
            for serial, entry in enumerate(self.model.monitors)
            if self.model.processes[entry.watcher].alive
        ]

    @precondition(somebody_lives)
    @rule(who=picks, flag=st.booleans())
    def set_trap_exit(self, who: int, flag: bool) -> None:
        who = self.living(who)
        before, self.model.processes[who].traps = self.model.processes[who].traps, flag
        self.note(lambda real: real.as_process(who, lambda: trap_exit(flag)), before)

    @precondition(somebody_lives)
    @rule(sender=picks, receiver=picks, reason=reasons)
    def send_exit_signal(self, sender: int, receiver: int, reason: Any) -> None:
        sender, receiver = self.living(sender), self.anyone(receiver)
        self.model.signal(sender, receiver, reason)
        self.note(lambda real: real.as_process(sender, lambda: exit(real.pids[receiver], reason)))

    @precondition(somebody_lives)
    @rule(who=picks, reason=reasons)
    def end_by_itself(self, who: int, reason: Any) -> None:
        who = self.living(who)
        self.model.die(who, reason)
        self.note(lambda real: real.orders[who].send_nowait(reason))

    @invariant()
    def links_are_symmetric_in_the_model(self) -> None:
        for serial, process in enumerate(self.model.processes):
            assert all(serial in self.model.processes[other].links for other in process.links)

    def teardown(self) -> None:
        trio.run(self.replay)

    async def replay(self) -> None:
        async with open_node(shutdown_timeout=0) as node:
            real = Real(node)
            for act, result, picture in self.steps:
                outcome = act(real)
                assert result is None or outcome == result
                await wait_all_tasks_blocked()
                assert real.picture() == picture
        assert node.statistics().deadlines == 0


TestLinksMachine = LinksMachine.TestCase
