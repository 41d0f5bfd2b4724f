"""Stages that the tests of stages run."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from actors import Pid
from actors.stage_dispatch import BroadcastDispatcher, PartitionDispatcher
from actors.stages import Consumer, Producer, ProducerConsumer


class Numbers(Producer):
    """Counts up; writes down what it was asked for."""

    async def init(self, limit: int | None = None) -> None:
        self.next, self.limit = 0, limit
        self.demands: list[int] = []

    async def handle_demand(self, demand: int) -> Iterable[int]:
        self.demands.append(demand)
        first, self.next = self.next, self.next + demand
        if self.limit is not None:
            self.next = min(self.next, self.limit)
        return range(first, self.next)


class Emitter(Producer):
    """Sends what is cast to it."""

    buffer_size: ClassVar[int | None] = 3

    async def handle_cast(self, message: list[Any]) -> None:
        self.emit(message)


class Broadcaster(Emitter):
    dispatcher = BroadcastDispatcher
    buffer_size = None


class ByParity(Emitter):
    dispatcher = partial(PartitionDispatcher, [0, 1], lambda n: n % 2)
    buffer_size = None


class Collector(Consumer):
    """Keeps what it gets, batch by batch; stops taking after `patience` events."""

    async def init(self, producer: Any, patience: int = 1_000_000, **options: Any) -> None:
        self.batches: list[list[Any]] = []
        self.patience = patience
        self.subscription = self.subscribe(producer, **options)

    async def handle_events(self, events, producer) -> None:
        self.batches.append(list(events))
        if sum(map(len, self.batches)) >= self.patience:
            self.unsubscribe(self.subscription)

    async def handle_cast(self, message: Any) -> None:
        assert message == "unsubscribe"
        self.unsubscribe(self.subscription)


class Doubler(ProducerConsumer):
    async def init(self, producer: Any, **options: Any) -> None:
        self.subscribe(producer, **options)
        self.handled = 0

    async def handle_events(self, events, producer) -> list[Any]:
        self.handled += len(events)
        return [event for event in events for _ in range(2)]


def server(pid: Pid) -> Any:
    target: Any = pid.target
    return target.server


def got(pid: Pid) -> list[Any]:
    return [event for batch in server(pid).batches for event in batch]
