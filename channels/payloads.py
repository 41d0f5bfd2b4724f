"""A push's payload as the type that its method wants, and all that is wrong with one that does not
fit. Pure.

msgspec converts. Two things it does not do are done here: it stops at the first error, and it does
not run the converters of attrs classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as dataclass_fields
from functools import partial
from types import UnionType
from typing import (
    Any,
    Final,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs
import msgspec

from channels.messages import Binary

__all__ = ("MAX_ERRORS", "InvalidPayload", "PayloadType")

MAX_ERRORS: Final = 20
"""How many errors a client is told of at once."""

_MAX_MESSAGE: Final = 200  # characters
_MAX_LOOKED_AT: Final = 1_000  # values of a payload: a client's errors must not cost much time

Error: TypeAlias = dict[str, str]


class InvalidPayload(msgspec.ValidationError):
    """A payload does not fit a type that is built here."""


class PayloadType:
    """What a method wants. Made once for each method; keeps what is known of the annotation.

    `convert` turns a payload into it or raises `msgspec.ValidationError`; None: payloads stay as
    they are. `Binary` is only what came in a binary frame, whatever JSON says.
    """

    __slots__ = ("_annotation", "_shapes", "convert")

    def __init__(self, annotation: Any) -> None:
        self._shapes = _Shapes()
        members = _members(annotation)
        others = [member for member in members if member is not Binary]
        self._annotation = _union(others) if others else Binary
        self.convert: Callable[[Any], Any] | None = self._converter(others)
        if len(others) < len(members) and self.convert is not None:
            self.convert = partial(_binary_or, self.convert)

    def _converter(self, others: list[Any]) -> Callable[[Any], Any] | None:
        if Any in others:
            return None
        if not others:
            return _no_binary
        if self._shapes.of(self._annotation).runs_converters:
            return self._construct
        return partial(msgspec.convert, type=self._annotation)

    def _construct(self, payload: Any) -> Any:
        builder = _Builder(self._shapes)
        built = builder.begin(payload, self._annotation)
        if builder.errors:
            raise InvalidPayload(builder.errors[0]["message"])
        return built

    def errors_in(self, payload: Any, known: msgspec.ValidationError) -> list[Error]:
        """All that is wrong with a payload: path and message. `known` is what `convert` raised."""
        builder = _Builder(self._shapes, limit=_MAX_LOOKED_AT)
        if self._annotation is not Binary:
            builder.begin(payload, self._annotation)
        if not builder.errors:
            builder.note(known, "$")
        return builder.errors[:MAX_ERRORS]


def _binary_or(otherwise: Callable[[Any], Any], payload: Any) -> Any:
    return payload if isinstance(payload, Binary) else otherwise(payload)


def _no_binary(_payload: Any) -> Any:
    raise InvalidPayload("Expected a binary frame, got JSON")


# -- building ------------------------------------------------------------------------------------


class _Builder:
    """Builds one payload, part by part, and collects what is wrong with it in `errors`. What it has
    built is of use only if there are none.

    With a `limit` it looks for errors in so many values, even where msgspec would build the whole.
    """

    def __init__(self, shapes: _Shapes, limit: int | None = None) -> None:
        self.errors: list[Error] = []
        self._shapes = shapes
        self._left = limit

    def begin(self, payload: Any, annotation: Any) -> Any:
        """`payload` as `annotation`."""
        try:
            return self._build(payload, annotation, "$")
        except RecursionError:
            self.errors.append({"path": "$", "message": "The payload nests too deep"})

    def note(self, error: Exception, path: str) -> None:
        """One more error; the path that msgspec tells goes on from `path`."""
        words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
        message, _, inner = (words or type(error).__name__).partition(" - at `")
        place = path + inner.rstrip("`").removeprefix("$")
        self.errors.append({"path": place, "message": message[:_MAX_MESSAGE]})

    def _build(self, value: Any, annotation: Any, path: str) -> Any:
        shape = self._shapes.of(annotation)
        if self._left is None:
            if not shape.runs_converters:
                return self._convert(value, annotation, path)
        elif self._is_enough():
            return None
        for member in shape.members:
            of = self._shapes.of(member)
            if isinstance(value, Mapping) and of.fields is not None:
                return self._object(value, member, of, path)
            if isinstance(value, Mapping) and of.origin is dict:
                return self._mapping(value, of.arguments, path)
            if isinstance(value, list) and of.is_sequence:
                return of.origin(self._items(value, of.arguments[0], path))
        return self._convert(value, annotation, path)

    def _is_enough(self) -> bool:
        assert self._left is not None
        if len(self.errors) >= MAX_ERRORS:
            self._left = 0
        self._left -= 1
        return self._left < 0

    def _convert(self, value: Any, annotation: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            self.note(error, path)

    def _items(self, value: list[Any], annotation: Any, path: str) -> list[Any]:
        built = []
        for index, item in enumerate(value):
            built.append(self._build(item, annotation, f"{path}[{index}]"))
            if self._left is not None and self._left < 0:
                break
        return built

    def _mapping(self, value: Mapping[Any, Any], arguments: tuple[Any, ...], path: str) -> Any:
        of_keys, of_values = arguments
        built = {}
        for key, item in value.items():
            own_key = self._convert(key, of_keys, path)
            built[own_key] = self._build(item, of_values, f"{path}[...]")
            if self._left is not None and self._left < 0:
                break
        return built

    def _object(self, value: Mapping[Any, Any], annotation: Any, shape: _Shape, path: str) -> Any:
        before, arguments = len(self.errors), {}
        for field in shape.fields or ():
            if field.name in value:
                given = value[field.name]
                if field.converter is None:
                    given = self._build(given, field.type, f"{path}.{field.name}")
                arguments[field.argument] = given
            elif field.required:
                problem = f"Object missing required field `{field.name}`"
                self.errors.append({"path": path, "message": problem})
        if len(self.errors) > before or (self._left is not None and self._left < 0):
            return None
        try:
            return annotation(**arguments)
        except Exception as error:  # converters see what the client has sent: it is its error
            if not (attrs.has(annotation) and self._blame(annotation, arguments, path)):
                self.note(error, path)

    def _blame(self, annotation: Any, arguments: dict[str, Any], path: str) -> bool:
        """Note each field of an attrs class whose converter or validator refuses its value."""
        before = len(self.errors)
        instance = object.__new__(get_origin(annotation) or annotation)
        fields = attrs.fields(type(instance))
        for field in fields:
            try:
                object.__setattr__(instance, field.name, _value_of(field, arguments))
            except Exception as error:
                self.note(error, f"{path}.{field.name}")
        if len(self.errors) == before:
            for field in fields:
                try:
                    if field.validator is not None:
                        field.validator(instance, field, getattr(instance, field.name))
                except Exception as error:
                    self.note(error, f"{path}.{field.name}")
        return len(self.errors) > before


def _value_of(field: Any, arguments: Mapping[str, Any]) -> Any:
    """What an attrs class would set a field to, as far as it can be told without an instance."""
    if field.alias not in arguments:
        default = field.default
        if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, says attrs
            return default
        return None if default.takes_self else default.factory()
    value, converter = arguments[field.alias], field.converter
    if converter is None or getattr(converter, "takes_self", False):
        return value
    if getattr(converter, "takes_field", False):
        return converter.converter(value, field)
    return getattr(converter, "converter", converter)(value)


# -- types ---------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """A field of an object-like type: what JSON and what the constructor call it."""

    name: str
    argument: str
    type: Any
    required: bool
    converter: Any = None


@attrs.define(eq=False)
class _Shape:
    """What is known of one annotation."""

    annotation: Any
    members: tuple[Any, ...]  # of a union; of anything else itself
    origin: Any
    arguments: tuple[Any, ...]
    fields: list[_Field] | None  # of what JSON writes as an object
    runs_converters: bool = False  # in it or in one of its parts

    @property
    def is_sequence(self) -> bool:
        """A list, or a tuple of any length."""
        return self.origin in (list, tuple) and self.arguments[1:] in ((), (...,))

    @property
    def parts(self) -> list[Any]:
        """The annotations of which it consists."""
        return [*self.arguments, *[field.type for field in self.fields or ()]]


class _Shapes:
    """The shapes of an annotation and of all its parts, each worked out once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, _Shape] = {}  # id of the annotation, which the shape keeps alive

    def of(self, annotation: Any) -> _Shape:
        """The shape of `annotation`."""
        shape = self._known.get(id(annotation))
        if shape is None:
            shape = self._known[id(annotation)] = _shape(annotation)
            shape.runs_converters = self._runs_converters(shape)
        return shape

    def _runs_converters(self, shape: _Shape) -> bool:
        seen, wanted = {id(shape.annotation)}, [shape]  # a type may contain itself
        while wanted:
            each = wanted.pop()
            if any(field.converter is not None for field in each.fields or ()):
                return True
            for part in each.parts:
                if id(part) not in seen:
                    seen.add(id(part))
                    wanted.append(self._known.get(id(part)) or _shape(part))
        return False


def _shape(annotation: Any) -> _Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    return _Shape(annotation, _members(annotation), origin, arguments, _fields(annotation))


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _union(members: Iterable[Any]) -> Any:
    return Union[tuple(members)]  # noqa: UP007  # of a tuple


def _fields(annotation: Any) -> list[_Field] | None:
    if attrs.has(annotation):
        hints = get_type_hints(get_origin(annotation) or annotation, include_extras=True)
        return [
            _Field(f.name, f.alias, hints.get(f.name, Any), f.default is attrs.NOTHING, f.converter)
            for f in attrs.fields(annotation)
            if f.init
        ]
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        if annotation.__struct_config__.array_like:
            return None
        fields = msgspec.structs.fields(annotation)
        return [_Field(f.encode_name, f.name, f.type, f.required) for f in fields]
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return [
            _Field(f.name, f.name, hints[f.name], f.default is f.default_factory is MISSING)
            for f in dataclass_fields(annotation)
            if f.init
        ]
    if is_typeddict(annotation):
        hints, required = get_type_hints(annotation), annotation.__required_keys__
        return [_Field(name, name, hint, name in required) for name, hint in hints.items()]
    return None
