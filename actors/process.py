"""A process: one Trio task with a mailbox, links, monitors and an exit reason.

- *exit*: the end of a process, with a reason that is written once (first cause wins);
- *link*: two processes that hear of each other's exit, and by default die of it;
- *monitor*: one process hears of another's exit, as a `Down` message;
- *trap*: a process that traps exits gets `Exit` messages where it would have died;
- *kill*: the exit signal that cannot be trapped.

Everything here but waiting is synchronous, so each step is atomic in the Trio thread: signals
between two processes arrive in the order sent, and whoever sees a DOWN finds the name free and the
registries clean (OTP rules P1 to P13, L, M). Owner of all of it: the process itself; others reach
it through its `Pid`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Iterable
from inspect import iscoroutine
from typing import Any, Final

import trio
from trio.lowlevel import current_task

from actors import reports
from actors.asked import Asked
from actors.calls import NO_CALLS, Call, System
from actors.context import current, running_process
from actors.exceptions import ProcessExit, reason_of
from actors.exits import ALIVE, KILL, KILLED, NOPROC, NORMAL, SHUTDOWN
from actors.failures import interrupt_in, without_cancelled
from actors.mailbox import Mailbox
from actors.messages import Exit
from actors.pid import Pid
from actors.seams import Cancellable, ProcessNode, Starting
from actors.sleep import Asleep, Sleep

__all__ = (
    "STEPS_PER_TURN",
    "Process",
    "answer_without_loop",
    "current_process",
)


STEPS_PER_TURN = 64
"""A process that finds its messages waiting, or starts others that are up at once, yields to the
others after so many.
"""


class Process(Asked):
    """The process itself; user code holds its `Pid`."""

    __slots__ = (
        "ancestors",
        "asleep",
        "cancel_scope",
        "dead",
        "debug",
        "deliver",
        "exit_reason",
        "grace",
        "has_loop",
        "idle",
        "label",
        "mailbox",
        "name",
        "node",
        "parent",
        "pid",
        "server",
        "silent",
        "start",
        "task",
        "timers",
        "trap_exit",
        "turn",
    )

    def __init__(
        self,
        node: ProcessNode,
        label: str,
        parent: Process | None,
        *,
        node_name: str,
        serial: int,
        trap_exit: bool = False,
    ) -> None:
        self.node = node
        self.label = label
        self.pid = Pid(node_name, serial, label, self)
        self.name: str | None = None
        self.parent: Pid = parent.pid if parent else self.pid
        """Whose exit signal ends a GenServer: the starter for `start_link`, itself for `start`
        (G4).
        """
        self.ancestors: tuple[str | Pid, ...] = parent.lineage() if parent else ()
        self.mailbox = Mailbox()
        self.deliver: Callable[[Any], None] = self.mailbox.put
        self.trap_exit = trap_exit
        self.turn = 0
        """Messages that `receive` gave since this process last let the others run."""
        self.exit_reason: Any = ALIVE
        """Why it ends, once it has begun to; any value, None too."""
        self.dead = False
        self.silent = False
        """Set when the end needs no crash report: the behaviour has made its own, or OTP makes
        none.
        """
        self.cancel_scope: trio.CancelScope | None = None
        """Around the process's code, from its first step on."""
        self.task: trio.lowlevel.Task | None = None
        self.asleep: Asleep | None = None
        """What it will run when it wakes up, while it has no task."""
        self.links = self.watchers = self.monitors = None
        self.pending = NO_CALLS
        self.joiners = None
        self.timers: set[Cancellable] | None = None
        """Timers that send to this process and end with it."""
        self.grace: _KillGrace | None = None
        self.start: Starting | None = None
        """The starter that waits until this process has initialised itself."""
        self.has_loop = False
        """Is there a behaviour that answers system messages?"""
        self.idle = False
        """Is its loop, and not one of its callbacks, waiting for a message?"""
        self.server: Any = None
        """The behaviour's instance, for introspection."""
        self.debug: Any = None
        """The behaviour's debugging state, once somebody asked for it (`introspection`)."""

    def __repr__(self) -> str:
        state = "dead" if self.dead else "alive" if self.alive else "exiting"
        return f"<Process {self.pid!r} {state} {self.mailbox!r}>"

    @property
    def alive(self) -> bool:
        """Has it not begun to exit?"""
        return self.exit_reason is ALIVE

    @property
    def at_rest(self) -> bool:
        """Does it wait for a message, and is there none?"""
        waits = self.asleep is not None or self.mailbox.reader is not None
        return waits and not self.mailbox.queue

    def lineage(self) -> tuple[str | Pid, ...]:
        """What a child has as its ancestors: this process first, by name if it has one (P8)."""
        return (self.name or self.pid, *self.ancestors)

    def takes_a_turn(self) -> bool:
        """Called for what this process does without waiting: should it let the others run now?"""
        self.turn += 1
        if self.turn <= STEPS_PER_TURN and self.exit_reason is ALIVE:
            return False
        self.turn = 0
        return True

    # -- running ---------------------------------------------------------------------------------

    async def run(
        self,
        main: Callable[..., Awaitable[Any]],
        args: Iterable[Any],
        owed: bool = False,  # noqa: FBT001, FBT002  # Trio passes it on by position
    ) -> None:
        """The Trio task of this process. Nothing ever leaves it: outcomes are exit reasons.

        `owed`: an exit signal that has come before cancels `main`, instead of sparing it.
        """
        current.set(self)
        self.task = current_task()
        reason: Any = NORMAL
        try:
            if self.exit_reason is ALIVE or owed:
                outcome = None
                with trio.CancelScope() as self.cancel_scope:
                    if self.exit_reason is not ALIVE:
                        self.cancel_scope.cancel()
                    outcome = await main(*args)
                    if type(outcome) is Sleep and outcome.in_place and not self.alive:
                        await outcome.main(*outcome.args)  # it is to end: no time to sleep
                if type(outcome) is Sleep and self.alive:
                    context = self.task.context
                    self.task = self.cancel_scope = None
                    self.sleep(outcome, context if len(context) > 1 else None)
                    return
            else:  # it was ended before its first step
                for arg in args:
                    if iscoroutine(arg):
                        arg.close()
        except ProcessExit as request:
            reason = request.reason
        except Exception as error:
            reason = reason_of(error)
        except GeneratorExit:  # the interpreter ends
            raise
        except BaseException as error:  # noqa: ASYNC103  # it ends as an exit reason
            reason = self.reason_of_escaped(error)
        self.end(reason)

    def reason_of_escaped(self, error: BaseException) -> Any:
        """The exit reason for what left the process's code and is not an ordinary exception."""
        rest = without_cancelled(error)
        if rest is None:
            return SHUTDOWN  # Trio is tearing the node down (K2)
        interrupt = interrupt_in(rest)
        if interrupt is not None:
            self.node.interrupt(interrupt)
        return reason_of(rest)

    def sleep(self, sleep: Sleep, context: contextvars.Context | None) -> None:
        """Have no task until something comes that needs one; it then runs in `context`.

        A task and its cancel scope cost more than all the rest of a process, in time and in memory,
        and most processes are idle most of the time.
        """
        self.asleep = (sleep, context, self.deliver)
        if not sleep.in_place:
            self.deliver = self._wake_up_for
        if self.mailbox.queue:  # it has sent itself something
            self.node.waker.call(self._wake_up_if_told)

    def wake_up(self) -> None:
        """Give it a task, if it has none."""
        if self.asleep is not None:
            sleep, context, self.deliver = self.asleep
            self.asleep = None
            self.node.start_task(self, sleep.main, sleep.args, context, owed=sleep.in_place)

    def _wake_up_for(self, message: Any) -> None:
        if self.asleep is not None:
            self.deliver = self.asleep[2]
        self.deliver(message)
        self.node.waker.call(self._wake_up_if_told)

    def _wake_up_if_told(self) -> None:
        if self.mailbox.queue:  # otherwise something else has woken it meanwhile
            self.wake_up()

    def own_timer(self, timer: Cancellable) -> None:
        """Cancel `timer` when this process ends."""
        if self.timers is None:
            self.timers = set()
        self.timers.add(timer)

    def disown_timer(self, timer: Cancellable) -> None:
        """It is over, and no concern of this process's end."""
        if self.timers is not None:
            self.timers.discard(timer)

    def handle_in_place(self, handler: Callable[[Any], None]) -> None:
        """From now on call `handler(message)` in the step of whoever sends, instead of queueing.

        The handler runs as this process. Messages that wait already are handled at once. A handler
        that raises ends this process with `Crash`, never the sender.
        """

        def deliver(message: Any) -> None:
            sender = current.set(self)
            try:
                if type(message) is System:
                    answer_without_loop(message)
                else:
                    handler(message)
            except ProcessExit as request:
                self.begin_exit(request.reason)
            except Exception as error:
                self.begin_exit(reason_of(error))
            except GeneratorExit:  # the interpreter ends
                raise
            except BaseException as error:  # noqa: ASYNC103  # it is never the sender's
                self.begin_exit(self.reason_of_escaped(error))
            finally:
                current.reset(sender)

        waiting = self.mailbox.clear()
        self.deliver = deliver
        for message in waiting:
            self.deliver(message)

    # -- exits -----------------------------------------------------------------------------------

    def receive_exit(self, sender: Pid, reason: Any, *, linked: bool) -> None:
        """An exit signal arrives (P10)."""
        if self.exit_reason is not ALIVE:
            if reason is KILL and not linked:
                self._expect_end()
        elif reason is KILL and not linked:
            self._die_of(KILLED)
        elif self.trap_exit:
            self.deliver(Exit(sender, reason))
        elif reason is not NORMAL or sender is self.pid:
            self._die_of(reason)

    def _die_of(self, reason: Any) -> None:
        self.silent = True  # whoever sent the signal has reported, if there was a crash
        self.begin_exit(reason)

    def begin_exit(self, reason: Any) -> None:
        """Fix the reason and cancel the task; the rest of the end follows when it has unwound."""
        if self.exit_reason is not ALIVE:
            return
        self.exit_reason = reason
        if self.cancel_scope is not None:
            self.cancel_scope.cancel()
        self.wake_up()
        self.deliver = self._drop
        if reason is KILLED:
            self._expect_end()

    def end(self, reason: Any) -> None:
        """The death procedure, once, in OTP's order (P7).

        The report, names, registries, links, monitors, callers, the starter.
        """
        if self.dead:
            self.node.zombie_unwound(self)
            return
        if self.exit_reason is ALIVE:
            self.exit_reason = reason
        reason = self.exit_reason
        self.dead = True
        self.deliver = self._drop
        self.node.report_crash(self, reason)  # while its links and its mailbox are there
        self._withdraw_deadlines()
        for message in self.mailbox.clear():
            if not isinstance(message, Call):
                self.node.dead_letter(self, message)
        self.node.forget(self)
        if self.start is not None:
            self.start.child_ends()
        self.signal_links(reason)
        self.signal_watchers(reason)
        for call in list(self.pending):
            self._tell(call.fail_with, reason)
        for joiner in list(self.joiners or ()):
            self._tell(joiner.resolve, reason)
        if self.start is not None:
            self.start.child_ended(reason)
        self.server = self.debug = self.task = self.joiners = None
        self.deliver = _drop_late  # not a method: the dead go without the cycle collector

    def _tell(self, answer: Callable[[Any], object], reason: Any) -> None:
        """Whoever is told of an end may fail at it; the others must hear of it all the same."""
        try:
            answer(reason)
        except (KeyboardInterrupt, SystemExit) as interrupt:
            self.node.interrupt(interrupt)
        except BaseException as error:  # noqa: ASYNC103  # nobody waits in here
            reports.listener_failed(answer, error)

    def _withdraw_deadlines(self) -> None:
        for timer in list(self.timers or ()):
            timer.cancel()
        if self.grace is not None and self.grace.deadlines is not None:
            del self.grace.deadlines[self.grace]
        self.timers = self.grace = None

    def _expect_end(self) -> None:
        if self.grace is None:
            self.grace = _KillGrace(self)
            self.node.deadlines.add(self.grace, self.node.kill_grace)

    def declare_dead(self) -> None:
        """It was killed and does not unwind: it is a zombie from now on, fenced off (K1)."""
        self.node.report_zombie(self)
        self.end(KILLED)

    def _drop(self, message: Any) -> None:
        if isinstance(message, Call):
            message.fail_with(NOPROC)
        else:
            self.node.dead_letter(self, message)


def answer_without_loop(request: System) -> None:
    """A process without a behaviour's loop knows only one system message: how to end."""
    if request.request[0] == "terminate":
        raise ProcessExit(request.request[1])
    request.fail_with(("unknown_system_msg", request.request))


class _KillGrace:
    """How long a killed process may take to unwind; an entry of the deadline queue."""

    __slots__ = ("deadlines", "process")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.deadlines: Any = None

    def expire(self) -> None:
        self.process.declare_dead()


def _drop_late(message: Any) -> None:
    """What reaches a process after its end, from whoever still holds it instead of its pid."""
    if isinstance(message, Call):
        message.fail_with(NOPROC)


current_process: Final[Callable[[], Process]] = running_process
