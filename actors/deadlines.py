"""The node's one deadline queue: call timeouts, start timeouts, timers, idle limits.

Entries of equal length stand in one FIFO, because the one that came first also expires first; so
entering and leaving is O(1) and a call needs no cancel scope of its own. Lengths that are not
shared go through a heap. One task sleeps until the earliest deadline. Owner: the node.
"""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

import trio
from trio import current_time

from actors import reports
from actors.failures import concerns_trio, interrupt_in

__all__ = ("Deadlines", "Expirable", "Place", "Timer", "check_seconds")

_MAX_FIFOS = 16  # lengths with a FIFO of their own; programs use a handful, the rest share the heap
_MIN_HEAP = 64  # below this many entries cancelled timers are not worth clearing out
_NUMBERS = (int, float)
_LONGEST = sys.float_info.max  # an int may be more


def check_seconds(seconds: object) -> None:
    """Raise unless `seconds` can be a time limit; for those who must know it before they begin.

    `TypeError` if it is no number, `ValueError` if it is negative or NaN. Infinity is a limit.
    """
    if not isinstance(seconds, _NUMBERS):
        raise TypeError(f"a time limit is a number of seconds, or None for none; got {seconds!r}")
    if not seconds >= 0:
        raise ValueError(f"a time limit is 0 or more seconds; got {seconds!r}")
    if _LONGEST < seconds < math.inf:
        raise ValueError(f"a time limit is {_LONGEST} seconds at most, or infinite; got more")


class Place(Protocol):
    """Where an entry stands: a FIFO, or the heap."""

    def __delitem__(self, entry: Any, /) -> None:
        """It leaves."""


class Expirable(Protocol):
    """An entry. It leaves by deleting itself from `deadlines`."""

    deadlines: Place | None

    def expire(self) -> None:
        """The limit has passed; the queue has forgotten the entry. Must not raise."""


class Timer:
    """One entry of the heap: calls `callback()` at `deadline` unless cancelled."""

    __slots__ = ("_queue", "callback", "deadline")

    def __init__(self, queue: Deadlines, deadline: float, callback: Any) -> None:
        self._queue = queue
        self.deadline = deadline
        self.callback = callback

    @property
    def active(self) -> bool:
        """Has it neither fired nor been cancelled?"""
        return self.callback is not None

    def remaining(self) -> float | None:
        """Seconds left, or None when it has fired or was cancelled."""
        return max(0.0, self.deadline - current_time()) if self.active else None

    def cancel(self) -> float | None:
        """Do not fire. Seconds that were left, or None if it fired or was cancelled before."""
        left = self.remaining()
        if self.active:
            self.callback = None
            self._queue.forget_one()
        return left


class _PlaceInHeap:
    """The place of one entry."""

    __slots__ = ("_timer",)

    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def __delitem__(self, entry: Any) -> None:
        self._timer.cancel()


class Deadlines:
    """All deadlines of a node, in one queue with one sleeping task."""

    def __init__(self, interrupt: Callable[[BaseException], None]) -> None:
        """`interrupt` is told of a `KeyboardInterrupt` or `SystemExit` that a callback raises."""
        self._interrupt = interrupt
        self._fifos: dict[float, dict[Any, float]] = {}  # length -> entry -> deadline
        self._heap: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._serial = itertools.count()
        self._next = math.inf
        self._sleep = trio.CancelScope()
        self._clock = trio.lowlevel.current_clock()  # `trio.current_time` takes twice as long

    def __len__(self) -> int:
        return sum(map(len, self._fifos.values())) + len(self._heap) - self._cancelled

    def add(self, entry: Expirable, seconds: float) -> None:
        """Call `entry.expire()` in `seconds`, unless it leaves the queue before.

        Raises as `check_seconds`; then nothing has changed.
        """
        fifo = self._fifos.get(seconds)
        if fifo is None:  # only legal lengths get a FIFO, so those that have one need no look
            check_seconds(seconds)
            if len(self._fifos) >= _MAX_FIFOS and not self._drop_empty_fifo():
                self._add_to_heap(entry, seconds)
                return
            fifo = self._fifos[seconds] = {}
        deadline = self._clock.current_time() + seconds
        fifo[entry] = deadline
        entry.deadlines = fifo
        if deadline < self._next:
            self._wake_at(deadline)

    def call_later(self, seconds: float, callback: Any) -> Timer:
        """Call the synchronous `callback()` in `seconds`; it must not raise.

        Raises as `check_seconds`.
        """
        if not (isinstance(seconds, _NUMBERS) and 0 <= seconds <= _LONGEST):
            check_seconds(seconds)
        return self._schedule(current_time() + seconds, callback)

    def call_at(self, deadline: float, callback: Any) -> Timer:
        """Call the synchronous `callback()` at `deadline` of Trio's clock; it must not raise.

        A deadline that has passed is due at once. Raises `TypeError` and `ValueError` if it is no
        number.
        """
        if not isinstance(deadline, _NUMBERS):
            raise TypeError(f"a deadline is a time of Trio's clock; got {deadline!r}")
        if not -_LONGEST <= deadline <= _LONGEST and math.inf not in {deadline, -deadline}:
            raise ValueError(f"a deadline is a time of Trio's clock; got {deadline!r}")
        return self._schedule(deadline, callback)

    def _schedule(self, deadline: float, callback: Any) -> Timer:
        timer = Timer(self, deadline, callback)
        heapq.heappush(self._heap, (deadline, next(self._serial), timer))
        if deadline < self._next:
            self._wake_at(deadline)
        return timer

    def forget_one(self) -> None:
        """A timer of the heap was cancelled; clear them out when they are the greater part."""
        self._cancelled += 1
        if self._cancelled * 2 > len(self._heap) > _MIN_HEAP:
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Expire what is due, for ever. One task of the node."""
        while True:
            self._next = self._earliest()
            with trio.CancelScope(deadline=self._next) as self._sleep:
                await trio.sleep_forever()
            self._expire_due(current_time())

    def _wake_at(self, deadline: float) -> None:
        self._next = deadline
        self._sleep.deadline = deadline

    def _earliest(self) -> float:
        heads = [fifo[next(iter(fifo))] for fifo in self._fifos.values() if fifo]
        heap = self._heap
        while heap and not heap[0][2].active:  # nobody wakes up for what was cancelled
            heapq.heappop(heap)
            self._cancelled -= 1
        if heap:
            heads.append(heap[0][0])
        return min(heads, default=math.inf)

    def _expire_due(self, now: float) -> None:
        for fifo in list(self._fifos.values()):
            # In one pass: to look at the first again and again would each time step over the places
            # of all that have left.
            due = []
            for entry, deadline in fifo.items():
                if deadline > now:
                    break
                due.append(entry)
            for entry in due:
                if fifo.pop(entry, None) is not None:
                    entry.deadlines = None
                    self._call(entry.expire)
        begun_since = next(self._serial)  # timers that callbacks begin now have their own turn
        while self._heap and self._heap[0][0] <= now and self._heap[0][1] < begun_since:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
            else:
                self._call(callback)

    def _drop_empty_fifo(self) -> bool:
        for length, fifo in self._fifos.items():
            if not fifo:
                del self._fifos[length]
                return True
        return False

    def _add_to_heap(self, entry: Expirable, seconds: float) -> None:
        def expire() -> None:
            entry.deadlines = None
            entry.expire()

        entry.deadlines = _PlaceInHeap(self.call_later(seconds, expire))

    def _call(self, callback: Callable[[], None]) -> None:
        """Callbacks must not raise; if one does, the others must not suffer."""
        try:
            callback()
        except BaseException as error:  # noqa: ASYNC103  # raised again where it is nobody's failure
            interrupt = interrupt_in(error)
            if interrupt is not None:
                self._interrupt(interrupt)
            elif concerns_trio(error):
                raise
            else:
                reports.deadline_failed(callback, error)
