"""What a `StateMachine` is given and what it returns (OTP: `gen_statem`, SM1 to SM3).

Events: `CallEvent`, `CastEvent`, `InfoEvent`, `InternalEvent`, the three timeouts, and `Enter`,
which is a call rather than an event.

| a callback returns | then |
|---|---|
| `None` | nothing changes (`keep_state_and_data`) |
| `KeepState(*actions)` | the state stays |
| `NextState(state, *actions)` | the state changes, if the new one is not equal to the old |
| `RepeatState(*actions)` | the state stays and is entered once more |
| `Stop(reason)` | the machine ends |
| `StopAndReply(reason, *replies)` | it replies, then ends |

`init` returns `NextState(state, *actions)`, `Ignore()` or `Stop(reason)`. Anything else ends the
machine with `BadReturn`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

import attrs

from actors.results import Hibernate

__all__ = (
    "CallEvent",
    "CancelTimeout",
    "CastEvent",
    "Enter",
    "Event",
    "EventTimedOut",
    "EventTimeout",
    "InfoEvent",
    "InternalEvent",
    "KeepState",
    "NamedTimedOut",
    "NamedTimeout",
    "NextEvent",
    "NextState",
    "Postpone",
    "RepeatState",
    "ReplyTo",
    "StateAction",
    "StateTimedOut",
    "StateTimeout",
    "StopAndReply",
    "UpdateTimeout",
)


# -- events --------------------------------------------------------------------------------------


@attrs.frozen
class CallEvent:
    """A call (`{call, From}`). Answer it with `ReplyTo(sender, value)`, now or later."""

    request: Any
    sender: Any


@attrs.frozen
class CastEvent:
    """A cast."""

    message: Any


@attrs.frozen
class InfoEvent:
    """Anything else that was sent: messages, `Down`, trapped `Exit`."""

    message: Any


@attrs.frozen
class InternalEvent:
    """What the machine sent to itself by `NextEvent`; nobody else can."""

    content: Any


@attrs.frozen
class EventTimedOut:
    """No event came within an `EventTimeout` (`timeout`)."""

    content: Any = None


@attrs.frozen
class StateTimedOut:
    """The state did not change within a `StateTimeout` (`state_timeout`)."""

    content: Any = None


@attrs.frozen
class NamedTimedOut:
    """A `NamedTimeout` has passed (`{timeout, Name}`)."""

    name: Hashable
    content: Any = None


@attrs.frozen
class Enter:
    """The state is being entered, from `old`; the first time `old` is the state itself (SM6).

    Comes if the class says `state_enter = True`. It may start timers and reply; it may not change
    the state, postpone or insert events.
    """

    old: Any


Event: TypeAlias = (
    CallEvent
    | CastEvent
    | InfoEvent
    | InternalEvent
    | EventTimedOut
    | StateTimedOut
    | NamedTimedOut
    | Enter
)


# -- actions -------------------------------------------------------------------------------------


@attrs.frozen
class ReplyTo:
    """Answer a call: `sender` is that of its `CallEvent` (`{reply, From, Reply}`)."""

    sender: Any
    value: Any


@attrs.frozen
class NextEvent:
    """Handle `event` next, before everything that waits; several in the order given."""

    event: Event


@attrs.frozen
class Postpone:
    """Put the current event aside until the state has changed; of several the last counts."""

    flag: bool = True


@attrs.frozen
class EventTimeout:
    """`EventTimedOut(content)` if no event at all comes within `seconds` (`timeout`).

    For all three timeouts: 0 is handled before anything that waits outside, None cancels, and
    `absolute` makes `seconds` a time of Trio's clock. A timeout replaces a running one of its kind.
    """

    seconds: float | None
    content: Any = None
    absolute: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class StateTimeout:
    """`StateTimedOut(content)` if the state does not change within `seconds` (`state_timeout`)."""

    seconds: float | None
    content: Any = None
    absolute: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class NamedTimeout:
    """`NamedTimedOut(name, content)` in `seconds`, whatever comes (`{timeout, Name}`).

    There may be any number of them, one to a name.
    """

    name: Hashable
    seconds: float | None
    content: Any = None
    absolute: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class CancelTimeout:
    """Stop a timeout: `EventTimeout`, `StateTimeout` (the classes), or the name of a named one."""

    timer: Hashable


@attrs.frozen
class UpdateTimeout:
    """Give a running timeout other content, without touching its clock; `timer` as in
    `CancelTimeout`.

    One that is not running times out at once.
    """

    timer: Hashable
    content: Any


StateAction: TypeAlias = (
    ReplyTo
    | NextEvent
    | Postpone
    | Hibernate
    | EventTimeout
    | StateTimeout
    | NamedTimeout
    | CancelTimeout
    | UpdateTimeout
)


# -- results -------------------------------------------------------------------------------------


@attrs.frozen(init=False)
class NextState:
    """Change to `state` and do `actions`. An equal state is no change: nothing is entered or
    retried.
    """

    state: Any
    actions: tuple[StateAction, ...]

    def __init__(self, state: Any, *actions: StateAction) -> None:
        self.__attrs_init__(state, actions)


@attrs.frozen(init=False)
class KeepState:
    """Stay in the state and do `actions`."""

    actions: tuple[StateAction, ...]

    def __init__(self, *actions: StateAction) -> None:
        self.__attrs_init__(actions)


@attrs.frozen(init=False)
class RepeatState:
    """Stay in the state, do `actions`, and enter it once more; otherwise as `KeepState`."""

    actions: tuple[StateAction, ...]

    def __init__(self, *actions: StateAction) -> None:
        self.__attrs_init__(actions)


@attrs.frozen(init=False)
class StopAndReply:
    """Send `replies`, run `terminate(reason)`, end."""

    reason: Any
    replies: tuple[ReplyTo, ...]

    def __init__(self, reason: Any, *replies: ReplyTo) -> None:
        self.__attrs_init__(reason, replies)
