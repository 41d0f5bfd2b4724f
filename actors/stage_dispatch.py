"""Who gets which event of a producer (GenStage: `GenStage.Dispatcher`). Pure.

A dispatcher knows the consumers of one stage and how many events each has asked for. `wanted` is
how many events it could place now; the stage never asks its own `handle_demand` for more, and keeps
in its buffer what cannot be placed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol, TypeAlias

__all__ = (
    "BroadcastDispatcher",
    "DemandDispatcher",
    "Dispatcher",
    "PartitionDispatcher",
    "Placed",
    "Selector",
)

Selector: TypeAlias = Callable[[Any], bool]
Placed: TypeAlias = list[tuple[Hashable, list[Any]]]
"""Consumer by consumer, the events that it gets."""


class Dispatcher(Protocol):
    """What a stage needs of it. Consumers are known by their subscriptions, any hashable value."""

    def subscribe(
        self, consumer: Hashable, *, selector: Selector | None, partition: Hashable | None
    ) -> None:
        """A consumer comes; it has asked for nothing yet."""

    def cancel(self, consumer: Hashable) -> None:
        """It goes, with what it had asked for."""

    def ask(self, consumer: Hashable, count: int) -> None:
        """It can take `count` events more."""

    def wanted(self) -> int:
        """How many events can be placed now, whatever they are."""

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        """Place events, in order; who gets which, and what could not be placed.

        If it raises, nothing has changed: no event is placed and no demand is used up.
        """


class _Demands:
    """How many events each consumer can take, their sum, and whose turn it is: who can take most,
    or who can take least; among equals, who came first.

    A heap whose entries stay when they are outdated, until they come to its top or are half of it.
    So a change costs the logarithm of the number of consumers, and nobody looks at all of them.
    """

    def __init__(self, *, largest_first: bool) -> None:
        self.total = 0
        self._sign = -1 if largest_first else 1
        self._entries: dict[Hashable, tuple[int, int, Hashable]] = {}  # rank, arrival, consumer
        self._heap: list[tuple[int, int, Hashable]] = []
        self._arrivals = count()

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._entries)

    def __getitem__(self, consumer: Hashable) -> int:
        return self._sign * self._entries[consumer][0]

    def enter(self, consumer: Hashable) -> None:
        """It comes, and can take nothing yet."""
        self._push((0, next(self._arrivals), consumer))

    def remove(self, consumer: Hashable) -> None:
        """It goes, if it is there."""
        entry = self._entries.pop(consumer, None)
        if entry is not None:
            self.total -= self._sign * entry[0]
            self._tidy()

    def change(self, consumer: Hashable, by: int) -> None:
        """It can take so many more, or fewer."""
        rank, arrival, _ = self._entries[consumer]
        self.total += by
        self._push((rank + self._sign * by, arrival, consumer))

    def first(self) -> tuple[Hashable, int]:
        """Whose turn it is, and its demand; (None, 0) if nobody is there."""
        heap = self._heap
        while heap:
            rank, _, consumer = heap[0]
            if self._entries.get(consumer) is heap[0]:
                return consumer, self._sign * rank
            heappop(heap)
        return None, 0

    def _push(self, entry: tuple[int, int, Hashable]) -> None:
        self._entries[entry[2]] = entry
        heappush(self._heap, entry)
        self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + 8:
            self._heap = list(self._entries.values())
            heapify(self._heap)


class DemandDispatcher:
    """Each event goes to one consumer: to who has asked for most, as many as it asked for."""

    def __init__(self) -> None:
        self._demands = _Demands(largest_first=True)

    def subscribe(
        self, consumer: Hashable, *, selector: Selector | None, partition: Hashable | None
    ) -> None:
        """A consumer comes. It cannot choose: who else would get what it leaves?"""
        if selector is not None or partition is not None:
            raise ValueError("DemandDispatcher takes neither selector nor partition")
        self._demands.enter(consumer)

    def cancel(self, consumer: Hashable) -> None:
        """It goes."""
        self._demands.remove(consumer)

    def ask(self, consumer: Hashable, count: int) -> None:
        """It can take more."""
        self._demands.change(consumer, count)

    def wanted(self) -> int:
        """The sum of what all have asked for."""
        return self._demands.total

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        """The largest demand first; among equals, who came first."""
        placed: Placed = []
        taken = 0
        while taken < len(events):
            consumer, demand = self._demands.first()
            if not demand:
                break
            share = list(events[taken : taken + demand])
            taken += len(share)
            self._demands.change(consumer, -len(share))
            placed.append((consumer, share))
        return placed, list(events[taken:])


class BroadcastDispatcher:
    """Each event goes to every consumer whose selector takes it. The slowest governs."""

    def __init__(self) -> None:
        self._demands = _Demands(largest_first=False)
        self._selectors: dict[Hashable, Selector] = {}

    def subscribe(
        self, consumer: Hashable, *, selector: Selector | None, partition: Hashable | None
    ) -> None:
        """A consumer comes; nobody gets anything until it has asked."""
        if partition is not None:
            raise ValueError("BroadcastDispatcher takes a selector, no partition")
        self._demands.enter(consumer)
        if selector is not None:
            self._selectors[consumer] = selector

    def cancel(self, consumer: Hashable) -> None:
        """It goes; the others may be faster."""
        self._demands.remove(consumer)
        self._selectors.pop(consumer, None)

    def ask(self, consumer: Hashable, count: int) -> None:
        """It can take more."""
        self._demands.change(consumer, count)

    def wanted(self) -> int:
        """What every one of them can take."""
        return self._demands.first()[1]

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        """As many as the slowest can take; what its selector leaves out costs nobody. What a
        selector raises is raised, and nothing has changed.
        """
        if not self.wanted():
            return [], list(events)
        shares, taken = self._shares(events)
        for consumer, share in shares.items():
            self._demands.change(consumer, -len(share))
        return [item for item in shares.items() if item[1]], list(events[taken:])

    def _shares(self, events: Sequence[Any]) -> tuple[dict[Hashable, list[Any]], int]:
        """What each would get, and of how many events: until one of them can take no more."""
        shares: dict[Hashable, list[Any]] = {consumer: [] for consumer in self._demands}
        taken, full = 0, False
        while taken < len(events) and not full:
            event = events[taken]
            taken += 1
            for consumer, share in shares.items():
                selector = self._selectors.get(consumer)
                if selector is None or selector(event):
                    share.append(event)
                    full = full or len(share) == self._demands[consumer]
        return shares, taken


class PartitionDispatcher:
    """Each event goes to the consumers of its partition, `partition_of(event)`; one consumer each.

    An event whose partition is busy, or has nobody yet, holds back those behind it: so partitions
    stay in step, and what waits is bounded by the stage's buffer. The slowest partition governs.
    """

    def __init__(
        self, partitions: Sequence[Hashable], partition_of: Callable[[Any], Hashable]
    ) -> None:
        self._partition_of = partition_of
        self._consumers: dict[Hashable, Hashable | None] = dict.fromkeys(partitions)
        self._partitions: dict[Hashable, Hashable] = {}  # the same, the other way round
        self._demands = _Demands(largest_first=False)

    def subscribe(
        self, consumer: Hashable, *, selector: Selector | None, partition: Hashable | None
    ) -> None:
        """The consumer of `partition` comes."""
        if selector is not None:
            raise ValueError("PartitionDispatcher takes a partition, no selector")
        if partition not in self._consumers:
            known = ", ".join(map(repr, self._consumers))
            raise ValueError(f"there is no partition {partition!r}; there are: {known}")
        if self._consumers[partition] is not None:
            raise ValueError(f"partition {partition!r} has a consumer already")
        self._consumers[partition] = consumer
        self._partitions[consumer] = partition
        self._demands.enter(consumer)

    def cancel(self, consumer: Hashable) -> None:
        """It goes; its partition waits for the next."""
        self._demands.remove(consumer)
        if consumer in self._partitions:
            self._consumers[self._partitions.pop(consumer)] = None

    def ask(self, consumer: Hashable, count: int) -> None:
        """It can take more."""
        self._demands.change(consumer, count)

    def wanted(self) -> int:
        """What can be placed even if all of it is for the slowest."""
        if len(self._partitions) < len(self._consumers):  # one of them has nobody
            return 0
        return self._demands.first()[1]

    def dispatch(self, events: Sequence[Any]) -> tuple[Placed, list[Any]]:
        """In order, until one cannot be placed. Raises ValueError for an unknown partition, and
        what `partition_of` raises; then nothing has changed.
        """
        shares: dict[Hashable, list[Any]] = {}
        taken = 0
        for event in events:
            consumer = self._consumer_of(event)
            if consumer is None or len(shares.get(consumer, ())) == self._demands[consumer]:
                break
            shares.setdefault(consumer, []).append(event)
            taken += 1
        for consumer, share in shares.items():
            self._demands.change(consumer, -len(share))
        return list(shares.items()), list(events[taken:])

    def _consumer_of(self, event: Any) -> Hashable | None:
        partition = self._partition_of(event)
        if partition not in self._consumers:
            raise ValueError(f"{event!r} belongs to partition {partition!r}, which is unknown")
        return self._consumers[partition]
