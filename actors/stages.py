"""Stages: processes that pass events on as fast as the slowest of them can (Elixir: `GenStage`).

    class Numbers(Producer):
        async def init(self):
            self.next = 0

        async def handle_demand(self, demand):
            first, self.next = self.next, self.next + demand
            return range(first, self.next)

    class Printer(Consumer):
        async def init(self, producer):
            self.subscribe(producer, max_demand=10)

        async def handle_events(self, events, producer):
            for event in events:
                print(event)

A *consumer* asks its *producer* for events, at first for `max_demand`; the producer sends no more
than that. When all but `min_demand` of them have been handled it asks again, up to `max_demand`. So
at most `max_demand` events per subscription are under way or waiting (GS2): that is the
back-pressure which `cast` does not have. A *producer-consumer* stands between and handles events
only while its own consumers want some.

Who gets which event is the dispatcher's affair (`stage_dispatch`). Events of one subscription come
in order. A stage is a GenServer with all its callbacks; `emit` sends events from any of them. What
was on its way to a consumer that dies is lost; with a supervisor over all stages, started producers
first, `rest_for_one` restarts what stood behind the one that fell.

`handle_demand` and `handle_events` may end the stage or say what is next, as `handle_cast` does: by
`Stop(reason)` or `NoReply(then)`. Anything else that is no events ends it with `BadReturn` (GS2):
a str, bytes or a dict too, which are one value each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar, TypeAlias

from actors import reports, telemetry
from actors.exceptions import ProcessExit
from actors.exits import BadReturn, is_orderly
from actors.gen_server import GenServer
from actors.kernel import Destination, demonitor, monitor, whereis
from actors.messages import Down, Promised
from actors.pid import MonitorRef
from actors.results import NoReply, Stop
from actors.stage_dispatch import DemandDispatcher, Dispatcher, Placed, Selector
from actors.stage_messages import (
    FAULTS,
    ONE_VALUE,
    Ask,
    Cancel,
    Cancelled,
    Events,
    OneValue,
    Produce,
    Refused,
    SelectorRaisedError,
    Subscribe,
    Subscription,
    guarded,
    half,
    listed,
)

__all__ = ("Cancel", "Consumer", "IterableProducer", "Producer", "ProducerConsumer", "Subscription")

_PORTION = 1_000  # events that are looked at together; consumers ask for so many by default


class _Stage(GenServer):
    """What all stages share: their messages are theirs, the rest goes to `handle_info`."""

    def _receive(self, message: Any) -> Awaitable[Any]:
        own = self._own_message(message)
        return self.handle_info(message) if own is None else own

    def _own_message(self, message: Any) -> Awaitable[Any] | None:
        return None


Next: TypeAlias = Stop | NoReply | None
"""What the loop of the server is told, as by `handle_cast`."""


def _next(result: Any, callback: str) -> Next:
    """A result that is no events. Raises `ProcessExit` if it may not be."""
    if result is None or type(result) is Stop or type(result) is NoReply:
        return result
    raise ProcessExit(BadReturn(result, callback))


# -- producing -----------------------------------------------------------------------------------


class _Source(_Stage):
    """The half of a stage that has consumers. Nothing that they ask for may end it (GS2)."""

    dispatcher: ClassVar[Callable[[], Dispatcher]] = DemandDispatcher
    """Makes the dispatcher: a class, or a `partial` of one."""
    buffer_size: ClassVar[int | None] = 10_000
    """How many events are kept that nobody has asked for yet; the oldest are lost. None: all."""

    def __init__(self) -> None:
        super().__init__()
        self._dispatch: Dispatcher = type(self).dispatcher()
        self._buffer: deque[Any] = deque()
        self._consumers: dict[MonitorRef, Subscription] = {}
        self._refs: dict[Subscription, MonitorRef] = {}  # the same, the other way round

    def emit(self, events: Iterable[Any]) -> None:
        """Send events to who has asked for some; the others wait in the buffer, in order.

        Raises TypeError for a str, bytes or a dict, and what the dispatcher raises; then none of
        these events was sent, and none is kept.
        """
        waiting = listed(events)
        if not self._buffer:  # otherwise its first waits for demand, and all others behind it
            waiting = self._place(waiting)
        self._buffer.extend(waiting)
        self._keep_newest()

    @property
    def demand(self) -> int:
        """How many events its consumers could take now, beyond those in the buffer."""
        return max(0, self._dispatch.wanted() - len(self._buffer))

    @property
    def buffered(self) -> int:
        """How many events nobody has asked for."""
        return len(self._buffer)

    def _place(self, events: list[Any]) -> list[Any]:
        """Send as many as there is demand for; the rest."""
        placed, rest = self._decide(events)
        for subscription, share in placed:
            assert isinstance(subscription, Subscription)
            self._deliver(subscription, share)
        return rest

    def _decide(self, events: list[Any]) -> tuple[Placed, list[Any]]:
        """Who gets which. Whose selector raises is sent away, and the others are served: what a
        consumer asks for is no reason for its producer to end.
        """
        while True:
            try:
                return self._dispatch.dispatch(events)
            except SelectorRaisedError as failure:
                self._send_away(failure.subscription, failure.error)

    def _place_buffered(self) -> None:
        """There is new demand, or another one is the slowest. In portions: what this costs depends
        on what is asked for, not on what waits.
        """
        rest: list[Any] = []
        while self._buffer and not rest:
            portion = list(islice(self._buffer, _PORTION))
            rest = self._place(portion)  # if that raises, all of them are still there
            for _ in range(len(portion) - len(rest)):
                self._buffer.popleft()

    def _deliver(self, subscription: Subscription, events: list[Any]) -> None:
        subscription.consumer.send(Events(subscription, events))

    def _keep_newest(self) -> None:
        size = self.buffer_size
        lost = 0 if size is None else len(self._buffer) - size
        if lost > 0:
            for _ in range(lost):
                self._buffer.popleft()
            reports.events_lost(self.pid, lost)
            telemetry.execute("stage.events_lost", {"count": lost}, {"pid": self.pid})

    def _own_message(self, message: Any) -> Awaitable[Any] | None:
        match message:
            case Subscribe(subscription):
                return self._admit(subscription)
            case Ask(subscription, count):
                return self._asked_by(subscription, count)
            case Cancelled(subscription):
                return self._cancelled(subscription)
            case Down(ref=ref) if ref in self._consumers:
                return self._leave(ref)
            case Produce():
                return self._produce()
        return super()._own_message(message)

    async def _admit(self, subscription: Subscription) -> None:
        selector = None if subscription.selector is None else guarded(subscription)
        try:
            self._dispatch.subscribe(
                subscription, selector=selector, partition=subscription.partition
            )
        except FAULTS as error:
            subscription.consumer.send(Refused(subscription, error))
        else:
            ref = subscription.consumer.monitor()
            self._consumers[ref] = subscription
            self._refs[subscription] = ref

    async def _asked_by(self, subscription: Subscription, count: int) -> Next:
        if subscription not in self._refs:
            return None  # it has gone meanwhile
        self._dispatch.ask(subscription, count)
        self._place_buffered()
        return await self._produce()

    async def _cancelled(self, subscription: Subscription) -> Next:
        ref = self._refs.get(subscription)
        if ref is None:
            return None  # it was refused, or its end came first
        demonitor(ref, flush=True)
        return await self._leave(ref)

    async def _leave(self, ref: MonitorRef) -> Next:
        self._forget(ref)
        self._place_buffered()  # it may have been the slowest
        return await self._produce()

    def _send_away(self, subscription: Subscription, error: BaseException) -> None:
        ref = self._refs[subscription]
        demonitor(ref, flush=True)
        self._forget(ref)
        subscription.consumer.send(Refused(subscription, error))
        self.pid.send(Produce())  # it may have been the slowest

    def _forget(self, ref: MonitorRef) -> None:
        subscription = self._consumers.pop(ref)
        del self._refs[subscription]
        self._dispatch.cancel(subscription)

    def _emit_or_obey(self, result: Any, callback: str) -> Next:
        """What a callback returned that may give events."""
        if not isinstance(result, Iterable):
            return _next(result, callback)
        if isinstance(result, ONE_VALUE):
            raise ProcessExit(OneValue(result, callback))
        self.emit(result)
        return None

    async def _produce(self) -> Next:
        """Meet the demand, as far as that is possible now; may end the stage."""
        return None


class Producer(_Source):
    """A stage that has events. Write `handle_demand`; or `emit` them as they come."""

    accumulate_demand: ClassVar[bool] = False
    """Start without asking `handle_demand`, until `forward_demand`: so that all consumers of a
    broadcast are there when it begins (GS3).
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0  # of handle_demand, and not emitted so far
        self._forwards = not self.accumulate_demand

    async def handle_demand(self, demand: int) -> Iterable[Any] | Next:
        """Return up to `demand` events (more wait in the buffer), or what `handle_cast` may return.

        Fewer are fine: the demand stays, and `emit` serves it later. It is not asked for again, so
        a producer that has run dry must see to that itself. As it is, it has nothing to say:
        for producers that only `emit`.
        """

    def emit(self, events: Iterable[Any]) -> None:
        """Send events to who has asked for some; the others wait in the buffer, in order.

        Raises TypeError for a str, bytes or a dict, and what the dispatcher raises; then none of
        these events was sent, and none is kept.
        """
        new = listed(events)
        super().emit(new)
        self._asked = max(0, self._asked - len(new))
        if self.demand > self._asked:
            self.pid.send(Produce())

    def forward_demand(self) -> None:
        """Ask `handle_demand` from now on, for what has accumulated to begin with."""
        self._forwards = True
        self.pid.send(Produce())

    async def _produce(self) -> Next:
        missing = self.demand - self._asked
        if missing <= 0 or not self._forwards:
            return None
        self._asked += missing
        return self._emit_or_obey(await self.handle_demand(missing), "handle_demand")


class IterableProducer(Producer):
    """A producer of what an iterable gives; ends `NORMAL` when that is exhausted and all was sent.

    Consumers that shall outlive it subscribe with `cancel=Cancel.TRANSIENT`.
    """

    def init(self, events: Iterable[Any]) -> None:
        """The iterable is read in steps, in the stage's process: it must not block."""
        self._events = iter(events)
        self._exhausted = False

    async def handle_demand(self, demand: int) -> list[Any]:
        """The next events."""
        events = [event for _, event in zip(range(demand), self._events, strict=False)]
        self._exhausted = len(events) < demand
        return events

    async def handle_info(self, message: Any) -> Any:
        """The end, behind all events."""
        if isinstance(message, _Exhausted):
            return None if self.buffered else Stop()
        return await super().handle_info(message)

    async def _produce(self) -> Next:
        following = await super()._produce()
        if self._exhausted:
            self.pid.send(_Exhausted())
        return following


class _Exhausted(Promised):
    """By an IterableProducer to itself."""


# -- consuming -----------------------------------------------------------------------------------


class _Sink(_Stage):
    """The half of a stage that has producers."""

    def __init__(self) -> None:
        super().__init__()
        self._producers: dict[MonitorRef, Subscription] = {}
        self._outstanding: dict[Subscription, int] = {}  # asked for and not handled so far

    def subscribe(
        self,
        producer: Destination,
        *,
        max_demand: int = 1000,
        min_demand: int | None = None,
        cancel: Cancel | str = Cancel.PERMANENT,
        selector: Selector | None = None,
        partition: Hashable = None,
    ) -> Subscription:
        """Take events of `producer`; call it in `init`, or in any callback of this stage.

        `min_demand` is half of `max_demand` if not given; `cancel` says what happens when the
        producer ends; `selector` and `partition` are for dispatchers that know them. A selector
        that raises ends this stage, not the producer; it may be asked again about an event.

        Raises TypeError for a demand that is no int, a selector that cannot be called or a
        partition that is not hashable; ValueError for a demand out of range. What the dispatcher
        cannot serve ends this stage later, with the ValueError of the dispatcher.
        """
        low = half(max_demand) if min_demand is None else min_demand
        subscription = Subscription(
            self.pid, producer, max_demand, low, Cancel(cancel), selector, partition
        )
        self._producers[monitor(producer)] = subscription
        self._outstanding[subscription] = 0
        self._send(subscription, Subscribe(subscription))
        self._ask(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Take no more of it. What is on its way already is still handled, if it has arrived."""
        for ref, held in list(self._producers.items()):
            if held is subscription:
                demonitor(ref, flush=True)
                del self._producers[ref], self._outstanding[subscription]
                self._send(subscription, Cancelled(subscription))

    async def handle_events(self, events: Sequence[Any], producer: Destination) -> Any:
        """Handle events of one producer, in order; at most `max_demand - min_demand` at a time.

        Returns None, `NoReply(then)` or `Stop(reason)`, as `handle_cast`. A producer-consumer may
        return the events that come of them. Runs in the stage's process.
        """
        raise self._undefined("handle_events", events)

    def _own_message(self, message: Any) -> Awaitable[Any] | None:
        match message:
            case Events(subscription, events):
                return self._handle(subscription, events)
            case Refused(subscription, error):
                raise error
            case Down(ref=ref, reason=reason) if ref in self._producers:
                return self._producer_ended(ref, reason)
        return super()._own_message(message)

    async def _handle(self, subscription: Subscription, events: list[Any]) -> Next:
        following: Next = None
        for batch in _batches(events, subscription):
            result = await self.handle_events(batch, subscription.producer)
            following = _next(result, "handle_events") or following
            if type(following) is Stop:
                break
            self._handled(subscription, len(batch))
        return following

    async def _producer_ended(self, ref: MonitorRef, reason: Any) -> Next:
        subscription = self._producers.pop(ref)
        self._outstanding.pop(subscription, None)
        if subscription.cancel is Cancel.PERMANENT:
            return Stop(reason)
        if subscription.cancel is Cancel.TRANSIENT and not is_orderly(reason):
            return Stop(reason)
        return None

    def _handled(self, subscription: Subscription, count: int) -> None:
        left = self._outstanding.get(subscription)
        if left is None:
            return  # it was cancelled meanwhile
        self._outstanding[subscription] = left - count
        if left - count <= subscription.min_demand:
            self._ask(subscription)

    def _ask(self, subscription: Subscription) -> None:
        count = subscription.max_demand - self._outstanding[subscription]
        self._outstanding[subscription] = subscription.max_demand
        self._send(subscription, Ask(subscription, count))

    def _send(self, subscription: Subscription, message: Any) -> None:
        pid = whereis(subscription.producer)
        if pid is not None:
            pid.send(message)


def _batches(events: list[Any], subscription: Subscription) -> Iterable[list[Any]]:
    size = subscription.max_demand - subscription.min_demand
    return (events[start : start + size] for start in range(0, len(events), size))


class Consumer(_Sink):
    """A stage that takes events and gives none: write `handle_events`, `subscribe` in `init`."""


class ProducerConsumer(_Sink, _Source):
    """A stage between: `handle_events` returns the events that come of those that it was given.

    It handles events only while its consumers want some, so its buffer holds at most what one batch
    gives too many. When it is to end because its producer did, it first passes on what it has.
    """

    buffer_size: ClassVar[int | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._inbox: deque[tuple[Subscription, list[Any]]] = deque()
        self._ending: Next = None  # its producer has ended

    async def _handle(self, subscription: Subscription, events: list[Any]) -> Next:
        self._inbox.extend((subscription, batch) for batch in _batches(events, subscription))
        return await self._produce()

    async def _producer_ended(self, ref: MonitorRef, reason: Any) -> Next:
        stop = await super()._producer_ended(ref, reason)
        self._ending = self._ending or stop
        return await self._produce()

    async def _produce(self) -> Next:
        following: Next = None
        while self._inbox and self.demand:
            subscription, batch = self._inbox.popleft()
            result = await self.handle_events(batch, subscription.producer)
            following = self._emit_or_obey(result, "handle_events") or following
            if type(following) is Stop:
                return following
            self._handled(subscription, len(batch))
        return following if self._inbox or self._buffer else self._ending or following
