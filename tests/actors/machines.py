"""State machines that the tests run."""

from typing import Any

import pytest
import trio

from actors import (
    CallEvent,
    CastEvent,
    EventTimedOut,
    InternalEvent,
    KeepState,
    NamedTimedOut,
    NextState,
    ReplyTo,
    StateMachine,
    StateTimedOut,
    Stop,
)


class Machine(StateMachine):
    """Answers as its script says: `script[state](event)`; notes what it was given, and in which state."""

    async def init(self, script, *actions, first="start"):
        self.script = script
        self.seen: list[Any] = []
        return NextState(first, *actions)

    async def handle_event(self, event, state):
        self.seen.append((state, event))
        match event:
            case CallEvent(request="seen"):
                self.seen.pop()
                return KeepState(ReplyTo(event.sender, list(self.seen)))
            case CallEvent(request="state"):
                self.seen.pop()
                return KeepState(ReplyTo(event.sender, state))
        answer = self.script.get(state)
        return answer(event) if callable(answer) else answer


class EnteringMachine(Machine):
    state_enter = True


class ByFunctions(StateMachine):
    """The same door in both modes: see `ByEvents`."""

    callback_mode = "state_functions"

    async def init(self, code="1234"):
        self.code, self.tries = code, 0
        return NextState("locked")

    async def locked(self, event):
        match event:
            case CallEvent(request="state"):
                return KeepState(ReplyTo(event.sender, "locked"))
            case CallEvent(request=code, sender=sender) if code == self.code:
                return NextState("unlocked", ReplyTo(sender, True))
            case CallEvent(sender=sender):
                self.tries += 1
                return KeepState(ReplyTo(sender, False))
            case CastEvent(message=("stop", reason)):
                return Stop(reason)

    async def unlocked(self, event):
        match event:
            case CallEvent(request="state"):
                return KeepState(ReplyTo(event.sender, "unlocked"))
            case CallEvent(request="lock", sender=sender):
                return NextState("locked", ReplyTo(sender, "locked"))
            case CastEvent(message=("stop", reason)):
                return Stop(reason)


class ByEvents(StateMachine):
    async def init(self, code="1234"):
        self.code, self.tries = code, 0
        return NextState("locked")

    async def handle_event(self, event, state):
        return await getattr(ByFunctions, state)(self, event)


MODES = pytest.mark.parametrize("door", [ByEvents, ByFunctions], ids=["event", "functions"])


class Starting(StateMachine):
    """Its `init` does what it is told."""

    async def init(self, what, value=None):
        match what:
            case "return":
                return value
            case "raise":
                raise value
            case "sleep":
                await trio.sleep(value)
        return NextState("started")

    async def handle_event(self, event, state):
        return None


def by_event(**answers):
    """A state's answers by the word in the event."""

    def answer(event):
        match event:
            case CastEvent(message=word) | InternalEvent(content=word):
                given = answers.get(word)
            case CallEvent(request=word):
                given = answers.get(word)
            case _:
                given = answers.get(type(event).__name__)
        return given(event) if callable(given) else given

    return answer


async def seen(machine):
    return await machine.call("seen")


async def start(script, *actions, entering=False, **options):
    return await (EnteringMachine if entering else Machine).start(script, *actions, **options)


async def use(machine):
    """The door works."""
    assert await StateMachine.call(machine, "9") is False
    assert await StateMachine.call(machine, "state") == "locked"
    assert await StateMachine.call(machine, "1234") is True
    assert await StateMachine.call(machine, "lock") == "locked"


def timed_out(events):
    return [
        event
        for _, event in events
        if isinstance(event, EventTimedOut | StateTimedOut | NamedTimedOut)
    ]
