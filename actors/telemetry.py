"""Events of the runtime and of applications, for whoever listens (Elixir's `telemetry`).

    def log_exit(event, measurements, metadata, config):
        print(metadata["pid"], metadata["reason"])

    telemetry.attach("exits", "process.exited", log_exit)

A handler is a plain function. It is called in the step of whoever sends the event, so it must be
quick and must not wait; work belongs into a process that it sends to. A handler that raises is
detached, reported to the log, and told as `telemetry.handler.failed` (TE1). Names are compared
exactly. Handlers belong to the node of the calling process and go with it.

| event | measurements | metadata |
|---|---|---|
| `process.started` | | `pid`, `label`, `parent`, `ancestors` |
| `process.exited` | | `pid`, `label`, `name`, `reason` |
| `message.dead_letter` | | `pid` (None: it had ended before), `message` |
| `mailbox.overflow` | `capacity` | `pid`, `message` (the one that is lost), `policy` |
| `call.timeout` | | `caller`, `server`, `request` |
| `call.deadlock` | | `chain` (pids, from the caller back to it), `request` |
| `process.long_schedule` | `seconds` | `pid`, `task`, `stack` |
| `stage.events_lost` | `count` | `pid` |
| `telemetry.handler.failed` | | `id`, `event`, `error` |

While nobody listens the node has no table of handlers, and the runtime asks for no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeAlias

import attrs

from actors import reports
from actors.context import current
from actors.exceptions import ActorsError, NoNodeError
from actors.failures import concerns_trio, interrupt_in

__all__ = (
    "Handler",
    "HandlerExistsError",
    "Handlers",
    "attach",
    "detach",
    "execute",
    "list_handlers",
    "span",
)

Handler: TypeAlias = Callable[[str, Mapping[str, Any], Mapping[str, Any], Any], object]
"""`handler(event, measurements, metadata, config)`."""

_NOTHING: Mapping[str, Any] = {}


class HandlerExistsError(ActorsError, ValueError):
    """A handler with this id is attached already."""


@attrs.frozen
class Attached:
    """One handler: its id, the events that it hears, and what it is given as `config`."""

    id: str
    events: tuple[str, ...]
    handler: Handler
    config: Any = None


class Handlers:
    """The handlers of one node. Changed and called in its Trio thread only."""

    def __init__(self, interrupt: Callable[[BaseException], None]) -> None:
        """`interrupt` is told of a `KeyboardInterrupt` or `SystemExit` that a handler raises."""
        self._interrupt = interrupt
        self._by_id: dict[str, Attached] = {}
        self._by_event: dict[str, tuple[Attached, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def attach(self, entry: Attached) -> None:
        """Enter a handler. Raises `HandlerExistsError`."""
        if entry.id in self._by_id:
            raise HandlerExistsError(
                f"a handler {entry.id!r} is attached already; detach it, or choose another id"
            )
        self._by_id[entry.id] = entry
        for event in entry.events:
            self._by_event[event] = (*self._by_event.get(event, ()), entry)

    def detach(self, id: str) -> bool:
        """Remove a handler, also while it is called; False if there is none."""
        entry = self._by_id.pop(id, None)
        if entry is None:
            return False
        for event in entry.events:
            left = tuple(kept for kept in self._by_event[event] if kept is not entry)
            if left:
                self._by_event[event] = left
            else:
                del self._by_event[event]
        return True

    def listed(self) -> list[Attached]:
        """All handlers, in the order in which they were attached."""
        return list(self._by_id.values())

    def execute(
        self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Call the handlers of `event`. Never raises."""
        for entry in self._by_event.get(event, ()):
            if self._by_id.get(entry.id) is not entry:
                continue  # an earlier handler has detached it
            try:
                entry.handler(event, measurements, metadata, entry.config)
            except BaseException as error:  # noqa: ASYNC103  # raised again if nobody's failure
                interrupt = interrupt_in(error)
                if interrupt is not None:
                    self._interrupt(interrupt)
                elif concerns_trio(error):
                    raise
                else:
                    self._give_up(entry, event, error)

    def _give_up(self, entry: Attached, event: str, error: BaseException) -> None:
        self.detach(entry.id)
        reports.telemetry_handler_failed(entry.id, event, error)
        failure = {"id": entry.id, "event": event, "error": error}
        self.execute("telemetry.handler.failed", _NOTHING, failure)


def attach(id: str, events: str | Iterable[str], handler: Handler, config: Any = None) -> None:
    """Call `handler` at each of `events` on the current node, until `detach(id)`.

    Raises `HandlerExistsError` if the id is taken.
    """
    names = (events,) if isinstance(events, str) else tuple(dict.fromkeys(events))
    node = _node()
    if node.telemetry is None:
        handlers = Handlers(node.interrupt)
        handlers.attach(Attached(id, names, handler, config))
        node.telemetry = handlers
    else:
        node.telemetry.attach(Attached(id, names, handler, config))


def detach(id: str) -> bool:
    """Call the handler no longer; False if it was not attached."""
    node = _node()
    if node.telemetry is None or not node.telemetry.detach(id):
        return False
    if not node.telemetry:
        node.telemetry = None
    return True


def list_handlers(event: str | None = None) -> list[Attached]:
    """The handlers of the current node, or those of one event."""
    handlers = _node().telemetry
    listed: list[Attached] = [] if handlers is None else handlers.listed()
    return [entry for entry in listed if event is None or event in entry.events]


def execute(
    event: str,
    measurements: Mapping[str, Any] = _NOTHING,
    metadata: Mapping[str, Any] = _NOTHING,
) -> None:
    """Tell the handlers of `event` on the current node. Never raises because of them."""
    handlers = _node().telemetry
    if handlers is not None:
        handlers.execute(event, measurements, metadata)


@contextmanager
def span(event: str, metadata: Mapping[str, Any] = _NOTHING) -> Iterator[dict[str, Any]]:
    """Tell `event.start`, then `event.stop`, or `event.exception` if the block raises.

    The block is given a dict for metadata that `stop` shall carry besides. `stop` and `exception`
    measure `duration` in seconds; `exception` has the `error` in its metadata.
    """
    began = perf_counter()
    found: dict[str, Any] = {}
    execute(f"{event}.start", _NOTHING, metadata)
    try:
        yield found
    except BaseException as error:
        failed = {**metadata, **found, "error": error}
        execute(f"{event}.exception", {"duration": perf_counter() - began}, failed)
        raise
    execute(f"{event}.stop", {"duration": perf_counter() - began}, {**metadata, **found})


def _node() -> Any:
    """The node of the calling process; typed loosely, because nodes are a room above this one."""
    try:
        return current.get().node
    except LookupError:
        message = "telemetry belongs to a node: call it inside actors.run(main) or open_node()"
        raise NoNodeError(message) from None
