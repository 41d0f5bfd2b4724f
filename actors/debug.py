"""The debugging state of one server: its event log, its counters, its hooks (OTP: `sys`, SY4, SY5).

It exists only while somebody has asked for it, so a server that nobody looks at pays one test per
message. Owner: the server's loop; it is changed by system messages only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

import attrs

from actors import reports
from actors.calls import Call, System
from actors.failures import concerns_trio
from actors.pid import Cast, Pid
from actors.results import Continue
from actors.server_timers import Fired

__all__ = (
    "DEFAULT_LOG_SIZE",
    "DONE",
    "Debug",
    "DebugEvent",
    "DebugOptions",
    "DebugStatistics",
    "Hook",
    "check_debug",
    "check_hook_id",
    "check_log_size",
    "write_event",
)

DEFAULT_LOG_SIZE = 10
"""Events that `log` keeps."""


class _Done:
    def __repr__(self) -> str:
        return "DONE"


DONE: Final = _Done()
"""What a hook returns to be removed."""


@attrs.frozen
class DebugEvent:
    """One thing that a server did; `peer` is who called, or who got the reply.

    | `kind` | `message` |
    |---|---|
    | `"in"` | a message was taken |
    | `"out"` | a reply was given |
    | `"noreply"` | a callback has returned, and nobody was answered: None |
    | `"continue"` | the token |
    | `"enter"` | a state machine enters this state |
    | `"consume"`, `"postpone"` | what a state machine did with this event |
    | `"start_timer"` | a timeout action of a state machine |
    """

    kind: str
    message: Any = None
    peer: Pid | None = None


@attrs.frozen
class DebugStatistics:
    """Since when, until when (UTC), and how many messages came in and replies went out."""

    start_time: datetime
    current_time: datetime
    messages_in: int
    messages_out: int


Hook: TypeAlias = Callable[[Any, DebugEvent, Any], Any]
"""`hook(its state, event, the server's state)`: its next state, or `DONE`. Runs in the server."""


class Debugged(Protocol):
    """A server, as far as it is recorded. One with `tells_events` says itself what it did with a
    message.
    """

    @property
    def pid(self) -> Pid:
        """Its pid."""

    def _get_state(self) -> Any:
        """For hooks."""


def check_log_size(size: object) -> None:
    """Raise `ValueError` unless a log can have that size: a number of events, or None for none."""
    if size is not None and (type(size) is not int or size < 1):
        raise ValueError(f"size must be a positive number of events, or None; got {size!r}")


def check_hook_id(id: object) -> None:
    """Raise `TypeError` unless a hook can be found under that id."""
    try:
        hash(id)
    except TypeError as error:
        raise TypeError(f"the id of a hook must be hashable; got {id!r}") from error


def write_event(path: str, event: DebugEvent, _: Any) -> str:
    """A hook, with the path as its state: append one line to a file. It is opened each time, so
    there is none to be closed when the server ends.
    """
    words = [event.kind]
    words += [] if event.kind == "noreply" else [reports.shorten(event.message)]
    words += [] if event.peer is None else [reports.shorten(event.peer)]
    with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123  # a Path takes longer
        file.write(" ".join(words) + "\n")
    return path


def _log_size(_: DebugOptions, _attribute: attrs.Attribute[int | None], size: object) -> None:
    check_log_size(size)


@attrs.frozen
class DebugOptions:
    """What to record of a server from its start, its `init` excepted (G1; OTP: `{debug, […]}`).

    - `log`: how many events are kept, for `introspection.get_log` and the crash report; None: none.
    - `statistics`: count messages and replies.
    - `trace`: write each event to the log of the program.
    """

    log: int | None = attrs.field(default=None, validator=_log_size)
    statistics: bool = False
    trace: bool = False

    def begin(self, server: Debugged) -> Debug | None:
        """The debugging state of `server`; None if nothing is on."""
        debug = Debug(server)
        debug.log(self.log)
        debug.count(on=self.statistics)
        debug.trace = server.pid if self.trace else None
        return None if debug.idle else debug


def check_debug(options: object) -> None:
    """Raise TypeError unless they are `DebugOptions`."""
    if not isinstance(options, DebugOptions):
        raise TypeError(f"debug is DebugOptions(...), or None for nothing; got {options!r}")


class Debug:
    """What is recorded of one server."""

    __slots__ = (
        "_hooks",
        "_log",
        "_messages_in",
        "_messages_out",
        "_started",
        "_state",
        "_tells_itself",
        "trace",
    )

    def __init__(self, server: Debugged) -> None:
        self._state = server._get_state
        self._tells_itself = getattr(server, "tells_events", False)
        self.trace: Pid | None = None
        """The server's pid while its events are written to the log of the program."""
        self._log: deque[DebugEvent] | None = None
        self._hooks: dict[Hashable, tuple[Hook, Any]] = {}  # id -> (hook, its state)
        self._started: datetime | None = None
        self._messages_in = 0
        self._messages_out = 0

    @property
    def idle(self) -> bool:
        """Is nothing recorded any more?"""
        return not (self._log is not None or self._hooks or self._started or self.trace)

    # -- what the loop tells ---------------------------------------------------------------------

    def takes(self, item: Any) -> None:
        """The loop is about to handle `item`."""
        match item:
            case System():
                return
            case Call():
                event = DebugEvent("in", item.request, item.caller)
            case Cast() | Fired():
                event = DebugEvent("in", item.message)
            case Continue():
                event = DebugEvent("continue", item.token)
            case _:
                event = DebugEvent("in", item)
        if event.kind == "in":
            self._messages_in += 1
        self._record(event)

    def handled(self, item: Any, stop: Any) -> None:
        """The callback that was given `item` has returned; `stop` if the server is to end."""
        if isinstance(item, Call) and item.done and item.error is None:
            self._messages_out += 1
            self._record(DebugEvent("out", item.value, item.caller))
        elif stop is None and not self._tells_itself:
            self._record(DebugEvent("noreply"))

    def tell(self, kind: str, message: Any = None, peer: Pid | None = None) -> None:
        """The server tells an event of its own."""
        self._record(DebugEvent(kind, message, peer))

    def _record(self, event: DebugEvent) -> None:
        """Tell whoever listens; a hook that raises is removed, so it harms nobody."""
        if self._log is not None:
            self._log.append(event)
        if self.trace is not None:
            reports.traced(self.trace, event)
        for hook_id, (hook, hook_state) in list(self._hooks.items()):
            try:
                result = hook(hook_state, event, self._state())
            except BaseException as error:  # noqa: ASYNC103  # what concerns Trio passes
                if concerns_trio(error):
                    raise
                reports.hook_failed(hook_id, error)
                result = DONE
            if result is DONE:
                self._hooks.pop(hook_id, None)
            elif hook_id in self._hooks:
                self._hooks[hook_id] = (hook, result)

    # -- what system messages ask ----------------------------------------------------------------

    def log(self, size: int | None) -> None:
        """Keep the last `size` events; None: none."""
        self._log = None if size is None else deque(self._log or (), maxlen=size)

    def logged(self) -> list[DebugEvent]:
        """The events that are kept, oldest first."""
        return list(self._log or ())

    def count(self, *, on: bool) -> None:
        """Begin to count, from zero, or stop counting."""
        self._started = datetime.now(UTC) if on else None
        self._messages_in = self._messages_out = 0

    def statistics(self) -> DebugStatistics | None:
        """The counters; None if nobody has asked for them."""
        if self._started is None:
            return None
        now = datetime.now(UTC)
        return DebugStatistics(self._started, now, self._messages_in, self._messages_out)

    def install(self, hook_id: Hashable, hook: Hook, state: Any) -> bool:
        """Call `hook` at each event; False if the id is taken."""
        if hook_id in self._hooks:
            return False
        self._hooks[hook_id] = (hook, state)
        return True

    def remove(self, hook_id: Hashable) -> None:
        """Forget a hook."""
        self._hooks.pop(hook_id, None)

    def options(self) -> Mapping[str, Any]:
        """What is on, for `get_status`."""
        return {
            "log": None if self._log is None else self.logged(),
            "statistics": self.statistics(),
            "trace": self.trace is not None,
            "hooks": tuple(self._hooks),
        }
