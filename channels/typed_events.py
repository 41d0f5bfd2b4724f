"""Typed events: `@on("new_msg")` methods, whose payload is checked against their annotation.

    @attrs.frozen
    class NewMessage:
        body: str

    class RoomChannel(Channel):
        @on("new_msg")
        async def new_msg(self, payload: NewMessage):
            self.broadcast("new_msg", {"body": payload.body})

A payload of the wrong shape never reaches the method: the push is answered with the error
`{"reason": "invalid payload", "errors": [{"path": "$.body", "message": "..."}, ...]}`. The
annotation is any type that msgspec can convert to: attrs classes (whose converters are run),
dataclasses, Structs, TypedDicts, unions, plain types; `Binary` is what came in a binary frame. One
that no payload can become is refused when the handlers are worked out, at the first push.
Without an annotation, or with `Any`, the payload comes as it is. A method may leave the payload
out. A subclass overrides the method as any other, with `@on` or without.

Decisions only: nothing here waits or sends.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, get_type_hints

import msgspec

from channels.exceptions import ChannelsError
from channels.payload_shapes import UnbuildableTypeError
from channels.payloads import PayloadType

__all__ = ("DuplicateEventError", "EventHandler", "check_events", "events_of", "on")

M = TypeVar("M", bound=Callable[..., Awaitable[Any]])

_EVENT: Final = "__channel_event__"  # where `on` leaves the event on the function


class DuplicateEventError(ChannelsError, TypeError):
    """Two methods of one class serve the same event."""


class InvalidHandlerError(ChannelsError, TypeError):
    """A method that serves an event cannot be awaited, or no payload can become what it wants."""

    def __init__(
        self, event: str, method: Any, problem: str = "must be `async def`, which it is not"
    ) -> None:
        name = getattr(method, "__qualname__", repr(method))
        super().__init__(f"{name} serves {event!r} and {problem}")


def on(event: str) -> Callable[[M], M]:
    """Let a method of a `Channel` serve pushes of `event`; it returns what `handle_in` may.

    Raises `InvalidHandlerError` for one that is not `async def`.
    """

    def mark(method: M) -> M:
        _check_async(event, method)
        setattr(method, _EVENT, event)
        return method

    return mark


class EventHandler(Generic[M]):
    """One method and how its payload is checked. Made once for each class and event."""

    __slots__ = ("_convert", "_method", "_takes_payload", "_type", "name")

    def __init__(self, *methods: M) -> None:
        """The method comes last; before it those that it overrides, whose annotation holds where it
        has none.
        """
        self._method = method = methods[-1]
        self.name = method.__name__
        self._takes_payload = bool(_parameters(method))
        annotation: Any = Any
        for each in methods:
            if parameters := _parameters(each):
                hints = get_type_hints(each, include_extras=True)
                annotation = hints.get(parameters[0].name, annotation)
        self._type = PayloadType(annotation)
        self._convert = self._type.convert

    def call(self, channel: Any, payload: Any) -> Awaitable[Any]:
        """Check `payload` and call the method. Raises `msgspec.ValidationError`."""
        if not self._takes_payload:
            return self._method(channel)
        if self._convert is not None:
            payload = self._convert(payload)
        return self._method(channel, payload)

    def describe(self, payload: Any, error: msgspec.ValidationError) -> dict[str, Any]:
        """The response to a push whose payload `call` has refused with `error`."""
        return {"reason": "invalid payload", "errors": self._type.errors_in(payload, error)}


def events_of(channel_class: type[Any]) -> dict[str, EventHandler[Any]]:
    """The events that `on` methods of a class and its bases serve; the nearest class wins.

    Raises `InvalidHandlerError` for one whose payload cannot be built as it is annotated.
    """
    handlers: dict[str, EventHandler[Any]] = {}
    for event, methods in check_events(channel_class).items():
        try:
            handlers[event] = EventHandler(*methods)
        except UnbuildableTypeError as error:
            problem = f"no payload can become what it wants: {error}"
            raise InvalidHandlerError(event, methods[-1], problem) from error
    return handlers


def check_events(channel_class: type[Any]) -> dict[str, list[Any]]:
    """The methods of each event, one for each class that defines it, the nearest class's last.

    Looks at no annotation, whose names may not be defined yet. Raises `DuplicateEventError`,
    `InvalidHandlerError`.
    """
    served: dict[str, list[Any]] = {}  # name of a method -> it and those that it overrides
    events: dict[str, str] = {}  # event -> name of the method that serves it
    for base in reversed(channel_class.__mro__):
        own = _own_events(base)
        for event, name in list(events.items()):
            if name in vars(base) and own.get(name) != event:
                method = vars(base)[name]
                if method is None or name in own:  # it serves no event any more, or another one
                    del events[event], served[name]
                else:
                    _check_async(event, method)
                    served[name].append(method)
        for name, event in own.items():
            overridden = served[name] if events.get(event) == name else []
            events[event] = name
            served[name] = [*overridden, vars(base)[name]]
    return {event: served[name] for event, name in events.items()}


def _own_events(base: type[Any]) -> dict[str, str]:
    """Name to event, of the methods of one class that are marked."""
    own: dict[str, str] = {}
    for name, method in vars(base).items():
        event = getattr(method, _EVENT, None)
        if event is not None:
            if event in own.values():
                other = next(known for known, served in own.items() if served == event)
                raise DuplicateEventError(
                    f"{base.__qualname__} serves {event!r} with both {other} and {name}"
                )
            own[name] = event
    return own


def _check_async(event: str, method: Any) -> None:
    if not inspect.iscoroutinefunction(inspect.unwrap(method)):
        raise InvalidHandlerError(event, method)


def _parameters(method: Any) -> list[inspect.Parameter]:
    """Those behind `self`."""
    return list(inspect.signature(method).parameters.values())[1:]
