"""`EventHandler`: one of the handlers in an event manager, and the words between them (OTP:
`gen_event`).

| callback | may return |
|---|---|
| `init` | `None` |
| `handle_event`, `handle_info` | `None`, `RemoveHandler()`, `SwapHandler(…)` |
| `handle_call` | a plain value (the reply), `RemoveHandler(reply)`, `SwapHandler(…, reply=…)` |
| `terminate` | anything: it is the result of `delete_handler`, or handed over in a swap |

A handler that raises or returns anything else is removed; the manager and the others go on (GE2).
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from typing import Any, TypeAlias

import attrs

from actors.exceptions import ActorsError
from actors.messages import Promised
from actors.pid import Pid
from actors.reports import shorten

__all__ = (
    "EventHandler",
    "HandlerEnd",
    "HandlerError",
    "HandlerExited",
    "HandlerFailed",
    "HandlerId",
    "NoHandlerError",
    "OwnerExited",
    "RemoveHandler",
    "SwapHandler",
    "Swapped",
    "class_of",
)

HandlerId: TypeAlias = "type[EventHandler] | tuple[type[EventHandler], Hashable]"
"""The class of a handler; or the class and an id, where several of one class are in a manager."""


def class_of(id: Any) -> type[EventHandler]:
    """The class in a handler id. Raises `TypeError` if it is none."""
    kind = id[0] if isinstance(id, tuple) and len(id) == 2 else id
    if isinstance(kind, type) and issubclass(kind, EventHandler):
        return kind
    raise TypeError(
        f"a handler is a subclass of EventHandler, or (the class, an id); got {shorten(id)}"
    )


class HandlerError(ActorsError):
    """A handler failed in what it was asked to do; `reason` says why. It is not in the manager (any
    more).
    """

    def __init__(self, handler: Any, reason: Any) -> None:
        super().__init__(handler, reason)
        self.handler = handler
        self.reason = reason

    def __str__(self) -> str:
        return f"event handler {self.handler!r} failed: {self.reason!r}"


class NoHandlerError(ActorsError, LookupError):
    """There is no such handler in the manager (OTP: `bad_module`, `module_not_found`)."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.handler = handler

    def __str__(self) -> str:
        return f"no event handler {self.handler!r} here; which_handlers lists those that are"


# -- why a handler ends: what `terminate` is given, besides what `delete_handler` says ------------


class HandlerEnd(enum.Enum):
    """The ends that are one word."""

    REMOVE_HANDLER = "remove_handler"
    """It said so itself, by `RemoveHandler`."""
    STOP = "stop"
    """The manager ends."""


@attrs.frozen
class HandlerFailed:
    """It raised, or returned what it may not (OTP: `{error, Reason}`)."""

    reason: Any


@attrs.frozen
class OwnerExited:
    """The process that added it by `add_sup_handler` ended (OTP: `{stop, Reason}`)."""

    reason: Any


# -- results and messages ------------------------------------------------------------------------


@attrs.frozen
class RemoveHandler:
    """From a callback: I have done my work."""

    reply: Any = None


@attrs.frozen
class SwapHandler:
    """From a callback: end with `terminate(argument)` and put `handler`, made with `args`, in my
    place.
    """

    argument: Any
    handler: HandlerId
    args: tuple[Any, ...] = ()
    reply: Any = None


@attrs.frozen
class Swapped:
    """The reason of `HandlerExited` when another handler took the place (OTP: `{swapped, …}`)."""

    by: HandlerId
    pid: Pid | None


@attrs.frozen
class HandlerExited(Promised):
    """To the process that added a handler by `add_sup_handler`: it is gone (OTP: `gen_event_EXIT`).

    `reason` is `NORMAL` if it was deleted or removed itself, `SHUTDOWN` if the manager ended,
    `Swapped`, or why it failed.
    """

    manager: Pid
    handler: HandlerId
    reason: Any


class EventHandler:
    """Subclass it and write the callbacks that you need. All run in the manager's process."""

    handed_over: Any = None
    """In a swap: what the old handler's `terminate` returned; None if there was no old one."""

    async def init(self, *args: Any) -> Any:
        """Set up the state from the arguments of `add_handler`. Returns None."""
        if args:
            raise TypeError(f"{type(self).__name__} has no init, but was added with {args}")

    async def handle_event(self, event: Any) -> Any:
        """Take an event of `notify` or `sync_notify`."""

    async def handle_call(self, request: Any) -> Any:
        """Answer a call to this handler."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_call, but got {request!r}")

    async def handle_info(self, message: Any) -> Any:
        """Take anything else that was sent to the manager."""

    async def terminate(self, argument: Any) -> Any:
        """Clean up. `argument` is that of `delete_handler`, or a `HandlerEnd`, `HandlerFailed`,
        `OwnerExited`.
        """
