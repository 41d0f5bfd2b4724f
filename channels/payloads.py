"""A push's payload as the type that its method wants, and all that is wrong with one that does not
fit. Pure.

msgspec converts. What it does not do is done here: it stops at the first error, it does not run the
converters of attrs classes, and it lets clients fill fields that no constructor takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Final, TypeAlias, get_args

import attrs
import msgspec

from channels.messages import Binary
from channels.payload_hints import annotated, class_of, unwrap
from channels.payload_shapes import Field, Kind, Shape, Shapes, members_of, union_of

__all__ = ("MAX_ERRORS", "InvalidPayload", "PayloadType")

MAX_ERRORS: Final = 20
"""How many errors a client is told of at once."""

_MAX_MESSAGE: Final = 200  # characters
_MAX_LOOKED_AT: Final = 1_000  # values of a payload: a client's errors must not cost much time
_TOO_DEEP: Final = "The payload nests too deep"

Error: TypeAlias = dict[str, str]


class InvalidPayload(msgspec.ValidationError):
    """A payload does not fit, in other words than msgspec's own."""


class PayloadType:
    """What a method wants. Made once for each method; keeps what is known of the annotation.

    `convert` turns a payload into it or raises `msgspec.ValidationError`, whatever converters,
    validators and `__post_init__` raise; None: payloads stay as they are. `Binary` is only what
    came in a binary frame, whatever JSON says. Raises `UnbuildableTypeError`.
    """

    __slots__ = ("_annotation", "_shapes", "convert")

    def __init__(self, annotation: Any) -> None:
        self._shapes = Shapes()
        members = members_of(annotation)
        others = [member for member in members if unwrap(member)[0] is not Binary]
        self._annotation = annotation
        if len(others) < len(members):
            metadata = unwrap(annotation)[1]
            self._annotation = annotated(union_of(others), metadata) if others else Binary
        self.convert: Callable[[Any], Any] | None = self._converter(others)
        if len(others) < len(members) and self.convert is not None:
            self.convert = partial(_binary_or, self.convert)

    def _converter(self, others: list[Any]) -> Callable[[Any], Any] | None:
        if Any in [unwrap(member)[0] for member in others]:
            return None
        if not others:
            return _no_binary
        self._shapes.check(self._annotation)
        shape = self._shapes.of(self._annotation)
        return self._construct if shape.built_here else _by_msgspec(shape)

    def _construct(self, payload: Any) -> Any:
        builder = _Builder(self._shapes)
        built = builder.begin(payload, self._annotation)
        for error in builder.errors:
            raise InvalidPayload(f"{error['message']} - at `{error['path']}`")
        return built

    def errors_in(self, payload: Any, known: msgspec.ValidationError) -> list[Error]:
        """All that is wrong with a payload: path and message. `known` is what `convert` raised."""
        builder = _Builder(self._shapes, looks=True)
        if self._annotation is not Binary:
            builder.begin(payload, self._annotation)
        if not builder.errors:
            builder.note(known, "$")
        return builder.errors[:MAX_ERRORS]


def _by_msgspec(shape: Shape) -> Callable[[Any], Any]:
    annotation, convert = shape.annotation, msgspec.convert
    if shape.converts_keys:  # to say so costs a third of the time
        convert = partial(msgspec.convert, str_keys=True)

    def call(payload: Any) -> Any:
        try:
            return convert(payload, annotation)
        except msgspec.ValidationError:
            raise
        except Exception as error:  # of a validator: it sees what the client has sent
            raise InvalidPayload(_words_of(error)) from error

    return call


def _binary_or(otherwise: Callable[[Any], Any], payload: Any) -> Any:
    return payload if isinstance(payload, Binary) else otherwise(payload)


def _no_binary(_payload: Any) -> Any:
    raise InvalidPayload("Expected a binary frame, got JSON")


# -- building ------------------------------------------------------------------------------------


class _Builder:
    """Builds one payload, part by part, and collects what is wrong with it in `errors`. What it has
    built is of use only if there are none; the first ends it.

    One that `looks` does so at the first values, even where msgspec would build them, and for as
    many errors as a client is told of.
    """

    def __init__(self, shapes: Shapes, *, looks: bool = False) -> None:
        self.errors: list[Error] = []
        self._shapes = shapes
        self._looks = looks
        self._most = MAX_ERRORS if looks else 1
        self._left = _MAX_LOOKED_AT if looks else inf

    def begin(self, payload: Any, annotation: Any) -> Any:
        """`payload` as `annotation`."""
        try:
            return self._build(payload, annotation, "$")
        except RecursionError:
            self.errors.append({"path": "$", "message": _TOO_DEEP})

    def note(self, error: Exception, path: str) -> None:
        """One more error; the path that msgspec tells goes on from `path`."""
        message, _, inner = _words_of(error).partition(" - at `")
        inner = inner.removeprefix("key` in `")  # the object whose key it is
        self._say(message, path + inner.rstrip("`").removeprefix("$"))

    def _say(self, message: str, path: str) -> None:
        self.errors.append({"path": path, "message": message[:_MAX_MESSAGE]})

    def _is_enough(self) -> bool:
        return self._left <= 0 or len(self.errors) >= self._most

    def _build(self, value: Any, annotation: Any, path: str) -> Any:
        shape = self._shapes.of(annotation)
        if not (shape.built_here or self._looks):
            return self._convert(value, annotation, path, str_keys=shape.converts_keys)
        if self._is_enough():
            return None
        self._left -= 1
        taking = shape.arrays if isinstance(value, list) else ()
        if isinstance(value, (dict, Mapping)):  # dict: to ask for Mapping alone is slow
            taking = shape.objects
        if not taking or shape.limited:
            built = self._convert(value, shape.skeleton, path)
            if not taking:
                return built
        member = taking[0] if len(taking) == 1 else self._tagged(taking, value, path)
        if member is None:
            return None
        if member is not shape and (member.limited or not (member.built_here or self._looks)):
            return self._build(value, member.annotation, path)
        return _BUILDERS[member.kind](self, value, member, path)

    def _convert(self, value: Any, annotation: Any, path: str, *, str_keys: bool = False) -> Any:
        try:
            if str_keys:
                return msgspec.convert(value, annotation, str_keys=True)
            return msgspec.convert(value, annotation)
        except Exception as error:  # of a validator, too
            self.note(error, path)

    def _make(self, shape: Shape, path: str, /, *parts: Any, **fields: Any) -> Any:
        """Of parts that are right. Whatever user code raises, it has seen what a client sent."""
        if shape.make is None or self._is_enough():
            return None
        try:
            return shape.make(*parts, **fields)
        except Exception as error:
            owner = class_of(unwrap(shape.annotation)[0])
            if not (attrs.has(owner) and self._blame(owner, fields, path)):
                self.note(error, path)

    # -- unions and tags

    def _tagged(self, shapes: Sequence[Shape], value: Any, path: str) -> Shape | None:
        """The one of several Structs that the tag names."""
        named = union_of(shape.tag for shape in shapes)
        before, tag = len(self.errors), self._tag(shapes[0], named, value, path)
        if tag is None and len(self.errors) == before:
            of_object = f"Object missing required field `{shapes[0].tag_field}`"
            of_array = "Expected `array` of at least length 1, got 0"
            self._say(of_array if isinstance(value, list) else of_object, path)
        return next((shape for shape in shapes if tag in get_args(shape.tag)), None)

    def _tag(self, shape: Shape, named: Any, value: Any, path: str) -> Any:
        """The tag, or None if there is none or it is wrong."""
        if isinstance(value, list):
            return self._convert(value[0], named, f"{path}[0]") if value else None
        if shape.tag_field in value:
            return self._convert(value[shape.tag_field], named, f"{path}.{shape.tag_field}")
        return None

    # -- arrays and objects

    def _items(self, value: list[Any], shape: Shape, path: str) -> Any:
        before, built = len(self.errors), []
        for index, item in enumerate(value):
            built.append(self._build(item, shape.parts[0], f"{path}[{index}]"))
            if self._is_enough():
                break
        return self._make(shape, path, built) if len(self.errors) == before else None

    def _mapping(self, value: Mapping[Any, Any], shape: Shape, path: str) -> Any:
        of_keys, of_values = shape.parts
        built = {}
        for key, item in value.items():
            own_key = self._key(key, of_keys, path)
            built[own_key] = self._build(item, of_values, f"{path}[...]")
            if self._is_enough():
                break
        return built

    def _key(self, key: Any, annotation: Any, path: str) -> Any:
        """JSON's keys are strings: msgspec makes numbers of them, as keys only."""
        if annotation is str and isinstance(key, str):
            return key
        of_one = dict.__class_getitem__((annotation, None))
        converted = self._convert({key: None}, of_one, path, str_keys=True)
        return next(iter(converted)) if converted else None

    def _object(self, value: Mapping[Any, Any], shape: Shape, path: str) -> Any:
        before, arguments = len(self.errors), {}
        if shape.tag_field is not None:
            self._tag(shape, shape.tag, value, path)
        if shape.forbids_unknown:
            self._refuse_unknown(value, shape, path)
        for field in shape.fields:
            if field.name in value:
                place = f"{path}.{field.name}"
                arguments[field.argument] = self._field(value[field.name], field, place)
            elif field.required:
                self._say(f"Object missing required field `{field.name}`", path)
        return self._make(shape, path, **arguments) if len(self.errors) == before else None

    def _refuse_unknown(self, value: Mapping[Any, Any], shape: Shape, path: str) -> None:
        known = {shape.tag_field, *[field.name for field in shape.fields]}
        for key in value:
            if key not in known:
                self._say(f"Object contains unknown field `{key}`", path)
                return

    def _record(self, value: list[Any], shape: Shape, path: str) -> Any:
        before, arguments = len(self.errors), {}
        start = 0
        if shape.tag_field is not None:
            start = 1
            self._tag(shape, shape.tag, value, path)
        self._measure(len(value), start, shape, path)
        for index, (field, item) in enumerate(
            zip(shape.fields, value[start:], strict=False), start
        ):
            arguments[field.argument] = self._field(item, field, f"{path}[{index}]")
        return self._make(shape, path, **arguments) if len(self.errors) == before else None

    def _measure(self, length: int, start: int, shape: Shape, path: str) -> None:
        least = start + sum(field.required for field in shape.fields)
        most = start + len(shape.fields) if shape.forbids_unknown else inf
        if not least <= length <= most:
            words = f"{least}" if least == most else f"{least} to {most}"
            words = f"at least length {least}" if most == inf else f"length {words}"
            self._say(f"Expected `array` of {words}, got {length}", path)

    def _field(self, value: Any, field: Field, path: str) -> Any:
        return self._build(value, field.type, path) if field.converter is None else value

    # -- attrs

    def _blame(self, owner: Any, arguments: dict[str, Any], path: str) -> bool:
        """Note each field of an attrs class whose converter or validator refuses its value."""
        before = len(self.errors)
        instance, fields = object.__new__(owner), attrs.fields(owner)
        for field in fields:
            try:
                object.__setattr__(instance, field.name, _value_of(field, arguments))
            except Exception as error:
                self.note(error, f"{path}.{field.name}")
        if len(self.errors) == before:
            for field in fields:
                try:
                    _validate(instance, field)
                except Exception as error:
                    self.note(error, f"{path}.{field.name}")
        return len(self.errors) > before


_BUILDERS: Final[Mapping[Kind, Callable[[_Builder, Any, Shape, str], Any]]] = {
    Kind.OBJECT: _Builder._object,
    Kind.RECORD: _Builder._record,
    Kind.ITEMS: _Builder._items,
    Kind.MAPPING: _Builder._mapping,
}


def _words_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    try:
        words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    except Exception:  # it cannot say
        words = ""
    return words or type(error).__name__


def _value_of(field: Any, arguments: Mapping[str, Any]) -> Any:
    """What an attrs class would set a field to, as far as it can be told without an instance."""
    if field.alias in arguments:
        value = arguments[field.alias]
    elif isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class, says attrs
        value = None if field.default.takes_self else field.default.factory()
    else:
        value = field.default
    converter = field.converter
    if converter is None or value is attrs.NOTHING or getattr(converter, "takes_self", False):
        return value
    if getattr(converter, "takes_field", False):
        return converter.converter(value, field)
    return getattr(converter, "converter", converter)(value)


def _validate(instance: Any, field: Any) -> None:
    value = getattr(instance, field.name)
    if field.validator is not None and value is not attrs.NOTHING:
        field.validator(instance, field, value)
