"""Servers of the chaos run that only serve: state machines, stages."""

from __future__ import annotations

import random
from typing import Any

from actors import Consumer, Pid, Producer, StateMachine
from actors.state_results import (
    CallEvent,
    EventTimeout,
    KeepState,
    NextState,
    Postpone,
    ReplyTo,
    StateTimeout,
    StopAndReply,
)

__all__ = ("Flow", "Moody", "Taster")


class Moody(StateMachine):
    """Changes its mood, and postpones what it does not like."""

    async def init(self, chance: random.Random) -> Any:
        self.chance = chance
        return NextState("calm", StateTimeout(chance.random() * 20))

    async def handle_event(self, event: Any, state: Any) -> Any:
        throw = self.chance.random()
        if isinstance(event, CallEvent):
            if state == "angry" and throw < 0.3:
                return KeepState(Postpone())
            if throw < 0.05:
                return StopAndReply("moody", ReplyTo(event.sender, "enough"))
            return KeepState(ReplyTo(event.sender, state))
        if throw < 0.4:
            other = "angry" if state == "calm" else "calm"
            return NextState(other, StateTimeout(1.0 + throw * 20))
        return KeepState(EventTimeout(1.0)) if throw < 0.5 else None


class Flow(Producer):
    """A producer that now and then has nothing."""

    async def init(self, chance: random.Random) -> None:
        self.chance = chance

    async def handle_demand(self, demand: int) -> list[int]:
        return list(range(self.chance.randint(0, min(demand, 3))))

    async def handle_info(self, message: Any) -> None:
        self.emit([message])

    handle_cast = handle_info

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return request


class Taster(Consumer):
    """Takes from a flow until that ends, or from several."""

    async def init(self, producer: Pid, cancel: str) -> None:
        self.subscribe(producer, max_demand=5, cancel=cancel)

    async def handle_events(self, events: Any, producer: Any) -> None:
        pass

    async def handle_cast(self, message: Any) -> None:
        pass

    async def handle_info(self, message: Any) -> None:
        pass

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return request
