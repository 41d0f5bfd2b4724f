"""Who lives in the world of the chaos run: processes that obey orders, and servers that only serve."""

from __future__ import annotations

import random
from typing import Any

import trio

from actors import (
    Consumer,
    Exit,
    GenServer,
    NoReply,
    Pid,
    ProcessExit,
    Producer,
    StateMachine,
    receive,
    self_pid,
    trap_exit,
)
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
from tests.chaos.world import Boom, Order, World

__all__ = ("Flow", "Mind", "Moody", "Taster", "obey", "obey_trapping")


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
