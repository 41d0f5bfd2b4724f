"""The machine room of StateMachine: a GenServer that turns each message into an event.

One event from outside is handled to the end before the next is looked at: the callback, the enter
call if the state changes, the events that were inserted, those that were postponed and are retried,
timeouts of zero seconds (SM5). Owner of the queues and timers; the user's object holds the data.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable
from inspect import isawaitable, iscoroutine
from typing import Any, ClassVar, Protocol

import trio

from actors.calls import Call
from actors.exceptions import ProcessExit
from actors.exits import ALIVE, BadReturn
from actors.gen_server import GenServer
from actors.process import Process
from actors.results import NO_REPLY, Continue, Hibernate, Ignore, NoReply, Stop
from actors.state_results import (
    CallEvent,
    CancelTimeout,
    CastEvent,
    Enter,
    Event,
    EventTimeout,
    InfoEvent,
    KeepState,
    NamedTimeout,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    ReplyTo,
    StateTimeout,
    StopAndReply,
    UpdateTimeout,
)
from actors.state_timers import StateTimers, TimeoutAction, TimerFired, makes_sense, timer_of

__all__ = ("Machine", "MachineServer")

EVENTS_PER_TURN = 64
"""A machine that feeds itself yields to the others after this many events."""


class Machine(Protocol):
    """The user's object; its callbacks are explained in `state_machine.StateMachine`."""

    state: Any
    state_enter: ClassVar[bool]
    hibernate_after: ClassVar[float | None]
    _process: Process

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up the data; the first state. May be `async`."""

    async def terminate(self, reason: Any) -> None:
        """Clean up."""

    def hibernate(self) -> None:
        """Drop what can be computed again."""

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """What reports show."""

    async def _handle(self, event: Event) -> Any: ...
    def _callback(self) -> str: ...
    def _get_data(self) -> dict[str, Any]: ...
    def _set_data(self, data: dict[str, Any]) -> None: ...


class _Step:
    """What the callbacks of one event asked for: the state callback and the enter call together."""

    __slots__ = ("hibernate", "inserted", "postpone", "timeouts")

    def __init__(self) -> None:
        self.inserted: list[Event] = []
        self.postpone = False
        self.hibernate = False
        self.timeouts: dict[Any, TimeoutAction] = {}  # timer -> the last that was asked of it

    def collect(self, actions: tuple[Any, ...], callback: str, *, entering: bool) -> None:
        """Take the actions of one result; replies go out at once."""
        for action in actions:
            match action:
                case ReplyTo(sender=Call() as sender, value=value):
                    sender.resolve(value)
                case NextEvent(event=event) if not entering and _may_be_inserted(event):
                    self.inserted.append(event)
                case Postpone(flag=bool() as flag) if not (flag and entering):
                    self.postpone = flag
                case Hibernate():
                    self.hibernate = True
                case (
                    EventTimeout()
                    | StateTimeout()
                    | NamedTimeout()
                    | CancelTimeout()
                    | UpdateTimeout()
                ) if makes_sense(action):
                    timer = timer_of(action)
                    self.timeouts.pop(timer, None)
                    self.timeouts[timer] = action
                case _:
                    raise ProcessExit(BadReturn(action, callback))


class MachineServer(GenServer):
    """The process of a state machine."""

    trap_exit = False  # until `init` knows whose process it is
    tells_events: ClassVar[bool] = True

    _machine: Machine
    _timers: StateTimers

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()  # inserted events, and postponed ones to be retried
        self._postponed: list[Event] = []

    def init(
        self, machine: Machine, args: tuple[Any, ...], kwargs: dict[str, Any], *, trap_exit: bool
    ) -> Any:
        """Ask the user's `init` for the first state; done already, unless that waits."""
        process = self._process
        process.label = process.pid.label = type(machine).__name__
        process.trap_exit = trap_exit
        machine._process = process
        result = machine.init(*args, **kwargs)
        if not isawaitable(result):
            return self._begin(machine, result)
        waiting = self._wait_for(machine, result)
        if iscoroutine(result):  # with a machine that is ended before its first step both go
            weakref.finalize(waiting, result.close).atexit = False
        return waiting

    async def _wait_for(self, machine: Machine, initialising: Awaitable[Any]) -> Any:
        return self._begin(machine, await initialising)

    def _begin(self, machine: Machine, result: Any) -> Any:
        """What the loop is to do first, by the result of the user's `init`."""
        if isinstance(result, Ignore | Stop):
            return result
        if not isinstance(result, NextState):
            raise ProcessExit(BadReturn(result, "init"))
        self.take_on(machine, self._process, result.state)
        return Continue(result.actions)

    def take_on(self, machine: Machine, process: Process, state: Any) -> None:
        """From now on this is the server of `machine`, which is in `state`."""
        self._machine, self._timers = machine, StateTimers(process)
        self.hibernate_after = machine.hibernate_after  # type: ignore[misc]  # the user's class says it
        machine._process = process
        machine.state = state

    def hibernate(self) -> None:
        """The user's hook."""
        self._machine.hibernate()

    async def terminate(self, reason: Any) -> None:
        """Postponed events are dropped; their callers get the exit reason (SM8)."""
        self._timers.cancel_all()
        await self._machine.terminate(reason)

    # -- what arrives ----------------------------------------------------------------------------

    async def handle_continue(self, token: Any) -> Stop | NoReply | None:
        """The actions of `init`, then the first state is entered."""
        step = _Step()
        step.collect(token, "init", entering=False)
        step.postpone = False  # there is no event to postpone
        stop = await self._enter(step, self._machine.state)
        if stop is not None:
            return stop
        self._transition(step, self._machine.state)
        return await self._run(hibernate=step.hibernate)

    async def handle_call(self, request: Any, sender: Call) -> Any:
        """A call, which need not be answered now."""
        return await self._take(CallEvent(request, sender)) or NoReply()

    async def handle_cast(self, message: Any) -> Stop | NoReply | None:
        """A cast."""
        return await self._take(CastEvent(message))

    async def _receive(self, message: Any) -> Stop | NoReply | None:
        if not isinstance(message, TimerFired):
            return await self._take(InfoEvent(message))
        if not self._timers.is_current(message):
            return None
        return await self._take(message.event())

    async def _take(self, event: Event) -> Stop | NoReply | None:
        self._queue.append(event)
        return await self._run()

    # -- the loop --------------------------------------------------------------------------------

    async def _run(self, *, hibernate: bool = False) -> Stop | NoReply | None:
        """Handle events until there are none inside the machine; what the server's loop is to do
        then. `hibernate` is what the last callback has said.
        """
        turn = EVENTS_PER_TURN
        while (event := self._next_event()) is not None:
            turn -= 1
            if turn < 0 or self._process.exit_reason is not ALIVE:
                await trio.lowlevel.checkpoint()
                turn = EVENTS_PER_TURN
            step = _Step()
            stop = await self._handle_event(event, step)
            if stop is not None:
                return stop
            hibernate = step.hibernate
        return NoReply(then=Hibernate()) if hibernate else None

    def _next_event(self) -> Event | None:
        if self._queue:
            return self._queue.popleft()
        fired = self._timers.take_zero()
        return None if fired is None else fired.event()

    async def _handle_event(self, event: Event, step: _Step) -> Stop | None:
        machine = self._machine
        old = machine.state
        result = await machine._handle(event)
        stop, state, enter = self._read(result, step, entering=False)
        if stop is not None:
            return stop
        machine.state = state
        if enter:
            stop = await self._enter(step, old)
            if stop is not None:
                return stop
        if step.postpone:
            self._postponed.append(event)
        debug = self._process.debug
        if debug is not None:
            debug.tell("postpone" if step.postpone else "consume", event)
        self._transition(step, old)
        return None

    async def _enter(self, step: _Step, old: Any) -> Stop | None:
        """Make the enter call, again while the callback says `RepeatState` (SM6)."""
        again = self._machine.state_enter
        while again:
            if self._process.exit_reason is not ALIVE:
                await trio.lowlevel.checkpoint()
            if self._process.debug is not None:
                self._process.debug.tell("enter", self._machine.state)
            result = await self._machine._handle(Enter(old))
            stop, _, again = self._read(result, step, entering=True)
            if stop is not None:
                return stop
        return None

    def _transition(self, step: _Step, old: Any) -> None:
        """The state has changed or not: retry, stop and start timers, insert events (SM4, SM7)."""
        if self._machine.state != old:
            self._queue.extendleft(reversed(self._postponed))
            self._postponed.clear()
            self._timers.cancel(StateTimeout)
        self._timers.cancel(EventTimeout)
        for action in step.timeouts.values():
            if self._process.debug is not None:
                self._process.debug.tell("start_timer", action)
            self._timers.apply(action)
        self._queue.extendleft(reversed(step.inserted))

    def _read(self, result: Any, step: _Step, *, entering: bool) -> tuple[Stop | None, Any, bool]:
        """A callback's result as (stop, state, whether to enter it)."""
        machine = self._machine
        callback = f"{machine._callback()} on Enter" if entering else machine._callback()
        state = machine.state
        match result:
            case None:
                return None, state, False
            case KeepState(actions=actions):
                step.collect(actions, callback, entering=entering)
                return None, state, False
            case NextState(state=new, actions=actions) if not entering or new == state:
                step.collect(actions, callback, entering=entering)
                return None, new, bool(new != state)
            case RepeatState(actions=actions):
                step.collect(actions, callback, entering=entering)
                return None, state, True
            case Stop(reply=reply) if reply is NO_REPLY:
                return result, state, False
            case StopAndReply(reason=reason, replies=replies):
                _Step().collect(_only_replies(replies, callback), callback, entering=True)
                return Stop(reason), state, False
        raise ProcessExit(BadReturn(result, callback))

    # -- looking inside --------------------------------------------------------------------------

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """The user's decision; its `state` is `(state, data)`."""
        return self._machine.format_status(status)

    def _get_state(self) -> tuple[Any, dict[str, Any]]:
        """State and data (SM8)."""
        return self._machine.state, self._machine._get_data()

    def _set_state(self, state: Any) -> None:
        new, data = state
        self._machine._set_data(data)
        self._machine.state = new


def _may_be_inserted(event: Any) -> bool:
    return isinstance(event, Event) and not isinstance(event, Enter)


def _only_replies(replies: tuple[Any, ...], callback: str) -> tuple[Any, ...]:
    for reply in replies:
        if not isinstance(reply, ReplyTo):
            raise ProcessExit(BadReturn(reply, callback))
    return replies
