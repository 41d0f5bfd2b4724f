"""Typed events: `@on("new_msg")` methods, whose payload is checked against their annotation.

    @attrs.frozen
    class NewMessage:
        body: str

    class RoomChannel(Channel):
        @on("new_msg")
        async def new_msg(self, payload: NewMessage):
            self.broadcast("new_msg", {"body": payload.body})

A payload of the wrong shape never reaches the method: the push is answered with the error
`{"reason": "invalid payload", "errors": [{"path": "$.body", "message": "..."}]}`. The annotation is
any type that msgspec can convert to: attrs classes, dataclasses, Structs, TypedDicts, unions, plain
types. Without an annotation, or with `Any`, the payload comes as it is. A method may leave the
payload out.

Decisions only: nothing here waits or sends.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, get_type_hints

import msgspec

from channels.exceptions import ChannelsError

__all__ = ("DuplicateEventError", "EventHandler", "describe_error", "events_of", "on")

M = TypeVar("M", bound=Callable[..., Awaitable[Any]])

_EVENT: Final = "__channel_event__"  # where `on` leaves the event on the function


class DuplicateEventError(ChannelsError, TypeError):
    """Two methods of one class serve the same event."""


def on(event: str) -> Callable[[M], M]:
    """Let a method of a `Channel` serve pushes of `event`; it returns what `handle_in` may."""

    def mark(method: M) -> M:
        setattr(method, _EVENT, event)
        return method

    return mark


class EventHandler(Generic[M]):
    """One method and how its payload is checked. Made once for each class and event."""

    __slots__ = ("_method", "_takes_payload", "_type", "name")

    def __init__(self, method: M) -> None:
        self.name = method.__name__
        self._method = method
        parameters = list(inspect.signature(method).parameters.values())[1:]
        self._takes_payload = bool(parameters)
        self._type: Any = Any
        if parameters:
            self._type = get_type_hints(method).get(parameters[0].name, Any)

    def call(self, channel: Any, payload: Any) -> Awaitable[Any]:
        """Check `payload` and call the method. Raises `msgspec.ValidationError`."""
        if not self._takes_payload:
            return self._method(channel)
        if self._type is not Any:
            payload = msgspec.convert(payload, self._type)
        return self._method(channel, payload)


def events_of(channel_class: type[Any]) -> dict[str, EventHandler[Any]]:
    """The events that `on` methods of a class and its bases serve; the nearest class wins.

    Raises `DuplicateEventError`.
    """
    found: dict[str, EventHandler[Any]] = {}
    for base in reversed(channel_class.__mro__):
        own: dict[str, str] = {}
        for name, method in vars(base).items():
            event = getattr(method, _EVENT, None)
            if event is None:
                continue
            if event in own:
                raise DuplicateEventError(
                    f"{base.__qualname__} serves {event!r} with both {own[event]} and {name}"
                )
            own[event] = name
            found[event] = EventHandler(method)
    return found


def describe_error(error: msgspec.ValidationError) -> dict[str, Any]:
    """The response to a push with an invalid payload."""
    message, _, path = str(error).partition(" - at `")
    return {
        "reason": "invalid payload",
        "errors": [{"path": path.rstrip("`") or "$", "message": message}],
    }
