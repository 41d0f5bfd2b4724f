"""What an annotation consists of, as far as payloads are built here and not by msgspec. Pure.

msgspec sets what a constructor would not: it runs no converters of attrs classes, and lets the
client fill fields that are `init=False`. Where either stands in an annotation, all that leads to it
is built by `payloads.Builder`. What that cannot build is refused before any payload comes.
"""

from __future__ import annotations

import collections.abc as abstract
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as dataclass_fields
from enum import Enum, auto
from types import UnionType
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

import attrs
import msgspec

from channels.payload_hints import annotated, class_of, hints_of, unqualified, unwrap

__all__ = ("Field", "Kind", "Shape", "Shapes", "UnbuildableTypeError", "members_of", "union_of")


class UnbuildableTypeError(TypeError):
    """No payload can become what is annotated, or not without leaving converters out."""


class Kind(Enum):
    """How a value of an annotation is built."""

    VALUE = auto()  # by msgspec, as a whole
    OBJECT = auto()  # from fields by name
    RECORD = auto()  # from fields by position
    ITEMS = auto()
    MAPPING = auto()
    UNION = auto()


_CONTAINERS: Final[dict[Any, tuple[Kind, type[Any]]]] = {
    **dict.fromkeys((abstract.Collection, abstract.Sequence), (Kind.ITEMS, list)),
    **dict.fromkeys((abstract.MutableSequence, list), (Kind.ITEMS, list)),
    **dict.fromkeys((abstract.Set, abstract.MutableSet, set), (Kind.ITEMS, set)),
    **dict.fromkeys((abstract.Mapping, abstract.MutableMapping, dict), (Kind.MAPPING, dict)),
    frozenset: (Kind.ITEMS, frozenset),
    tuple: (Kind.ITEMS, tuple),
}
_SKELETONS: Final = {Kind.OBJECT: dict, Kind.MAPPING: dict, Kind.RECORD: list, Kind.ITEMS: list}


class Field(NamedTuple):
    """A field: what JSON and what the constructor call it."""

    name: str
    argument: str
    type: Any
    required: bool = True
    converter: Any = None


@attrs.define(eq=False)
class Shape:
    """What is known of one annotation."""

    annotation: Any
    kind: Kind = Kind.VALUE
    make: Callable[..., Any] | None = None  # None: its constructor does not take its fields
    fields: list[Field] = attrs.field(factory=list)
    parts: list[Any] = attrs.field(factory=list)  # annotations of items, members, fields
    tag_field: str | None = None  # of a tagged Struct; of an array its first item is the tag
    tag: Any = None  # the annotation of the tag
    forbids_unknown: bool = False  # fields, or more items than fields
    needs_constructor: bool = False  # msgspec alone would not do what it does
    skeleton: Any = None  # the annotation with nothing in it: what msgspec says of other values
    limited: bool = False  # `msgspec.Meta` says how long it may be
    built_here: bool = False  # it or one of its parts needs its constructor

    converts_keys: bool = False  # in it stands a mapping whose keys are not strings
    arrays: Sequence[Shape] = ()  # those of its members that JSON's arrays are
    objects: Sequence[Shape] = ()


class Shapes:
    """The shapes of an annotation and of all its parts, each worked out once."""

    __slots__ = ("_by_id", "_known")

    def __init__(self) -> None:
        self._known: dict[Any, Shape] = {}
        # Hashes of annotations are slow. What has an id here is kept, lest something else gets it.
        self._by_id: dict[int, tuple[Any, Shape]] = {}

    def of(self, annotation: Any) -> Shape:
        """The shape of `annotation`."""
        known = self._by_id.get(id(annotation))
        if known is None:
            key = _key(annotation)
            shape = self._known.get(key) or self._work_out(annotation, key)
            known = self._by_id[id(annotation)] = (annotation, shape)
        return known[1]

    def _work_out(self, annotation: Any, key: Any) -> Shape:
        shape = self._known[key] = _shape(annotation)
        shape.built_here = any(each.needs_constructor for each in self._within(shape))
        shape.converts_keys = any(_has_other_keys(each) for each in self._within(shape))
        shape.skeleton = self._skeleton(shape)
        union = shape.kind is Kind.UNION
        members = [self.of(part) for part in shape.parts] if union else [shape]
        shape.arrays = [each for each in members if _SKELETONS.get(each.kind) is list]
        shape.objects = [each for each in members if _SKELETONS.get(each.kind) is dict]
        return shape

    def check(self, annotation: Any) -> None:
        """Raise `UnbuildableTypeError` if no payload could become one."""
        top = self.of(annotation)
        for each in self._within(top) if top.built_here else [top]:
            shape = self.of(each.annotation)
            _check_with_msgspec(shape.skeleton if shape.built_here else shape.annotation)
            if shape.built_here:
                self._check(shape)

    def _check(self, shape: Shape) -> None:
        opaque = shape.parts[:1] if shape.kind is Kind.MAPPING else shape.parts  # its keys
        if shape.kind in (Kind.VALUE, Kind.MAPPING) and any(self.of(p).built_here for p in opaque):
            raise UnbuildableTypeError(f"{shape.annotation} would leave out converters in it")
        if shape.needs_constructor and shape.make is None:
            raise UnbuildableTypeError(f"the constructor of {shape.annotation} takes other fields")
        for taking in (shape.arrays, shape.objects):
            if len(taking) > 1 and not _told_apart(taking):
                raise UnbuildableTypeError(f"the members of {shape.annotation} look alike")

    def _within(self, top: Shape) -> Iterator[Shape]:
        """The shape and those of its parts and of theirs, whatever is known of them."""
        seen = {_key(top.annotation): top.annotation}  # a type may contain itself
        wanted = [top]
        while wanted:
            shape = wanted.pop()
            yield shape
            for part in shape.parts:
                if (key := _key(part)) not in seen:
                    seen[key] = part
                    wanted.append(self._known.get(key) or _shape(part))

    def _skeleton(self, shape: Shape) -> Any:
        plain, metadata = unwrap(shape.annotation)
        if shape.kind is Kind.UNION:
            plain = union_of(self.of(part).skeleton for part in shape.parts)
        return annotated(_SKELETONS.get(shape.kind, plain), metadata)


def _key(annotation: Any) -> Any:
    """Equal annotations are one; those that cannot be hashed are themselves. (Shapes keep them.)"""
    try:
        hash(annotation)
    except TypeError:
        return id(annotation)
    return annotation


def _has_other_keys(shape: Shape) -> bool:
    return shape.kind is Kind.MAPPING and shape.parts[0] not in (str, Any)


def _check_with_msgspec(annotation: Any) -> None:
    try:
        msgspec.convert(None, annotation, str_keys=True)
    except msgspec.ValidationError:
        pass
    except TypeError as error:
        raise UnbuildableTypeError(str(error)) from None


def _told_apart(shapes: Sequence[Shape]) -> bool:
    tags = [tag for shape in shapes for tag in get_args(shape.tag)]
    return len({shape.tag_field for shape in shapes}) == 1 and len(set(tags)) == len(shapes)


# -- one annotation ------------------------------------------------------------------------------


def union_of(members: Iterable[Any]) -> Any:
    """The union of at least one annotation."""
    return Union[tuple(members)]  # noqa: UP007  # of a tuple


def members_of(annotation: Any) -> list[Any]:
    """The members of a union, and of those that are wrapped in it; anything else is alone."""
    plain, _ = unwrap(annotation)
    if get_origin(plain) not in (Union, UnionType):
        return [annotation]
    return [member for part in get_args(plain) for member in members_of(part)]


def _shape(annotation: Any) -> Shape:
    plain, metadata = unwrap(annotation)
    shape = _shape_of_members(annotation, plain) or _shape_of_class(annotation, plain)
    shape.limited = any(isinstance(each, msgspec.Meta) for each in metadata)
    return shape


def _shape_of_members(annotation: Any, plain: Any) -> Shape | None:
    """The shape of a union or a container."""
    origin, arguments = get_origin(plain), list(get_args(plain))
    if origin in (Union, UnionType):
        members = members_of(plain)
        if Any in [unwrap(member)[0] for member in members]:  # it may be anything, says msgspec too
            return Shape(annotation)
        return Shape(annotation, Kind.UNION, parts=members)
    if origin is tuple and hasattr(plain, "__args__") and arguments[1:] != [...]:
        fields = [Field(str(n), f"_{n}", part) for n, part in enumerate(arguments)]
        return Shape(annotation, Kind.RECORD, _tuple, fields, arguments, forbids_unknown=True)
    if (origin or plain) in _CONTAINERS:
        kind, make = _CONTAINERS[origin or plain]
        parts = [part for part in arguments if part is not ...] or [Any, Any]
        return Shape(annotation, kind, make, parts=parts)
    return None


def _tuple(**items: Any) -> tuple[Any, ...]:
    return tuple(items.values())


def _shape_of_class(annotation: Any, plain: Any) -> Shape:
    owner = class_of(plain)
    if is_typeddict(owner):
        return _with(annotation, Kind.OBJECT, dict, list(_dict_fields(plain, owner)))
    if not isinstance(owner, type):
        is_type = get_origin(plain) is not Literal
        return Shape(annotation, parts=list(get_args(plain)) if is_type else [])
    if issubclass(owner, msgspec.Struct):
        return _shape_of_struct(annotation, plain, owner)
    if attrs.has(owner):
        fields = list(_attrs_fields(plain, owner))
        return _with_constructor(annotation, owner, fields, len(attrs.fields(owner)))
    if is_dataclass(owner):
        fields = list(_dataclass_fields(plain, owner))
        return _with_constructor(annotation, owner, fields, len(dataclass_fields(owner)))
    if issubclass(owner, tuple) and hasattr(owner, "_field_defaults"):
        hints, defaults = hints_of(plain), owner._field_defaults
        fields = [Field(n, n, hints.get(n, Any), n not in defaults) for n in owner._fields]  # type: ignore[attr-defined]  # a NamedTuple
        shape = _with(annotation, Kind.RECORD, owner, fields)
        shape.forbids_unknown = True
        return shape
    return Shape(annotation, parts=list(get_args(plain)))


def _with(annotation: Any, kind: Kind, make: Any, fields: list[Field]) -> Shape:
    parts = [field.type for field in fields if field.converter is None]  # it gets what was sent
    return Shape(annotation, kind, make, fields, parts)


def _with_constructor(annotation: Any, owner: Any, fields: list[Field], number: int) -> Shape:
    """Of `number` fields, those that are not `init=False`."""
    shape = _with(annotation, Kind.OBJECT, _constructor(owner, fields), fields)
    converts = any(field.converter is not None for field in fields)
    shape.needs_constructor = converts or len(fields) < number
    return shape


def _shape_of_struct(annotation: Any, plain: Any, owner: type[msgspec.Struct]) -> Shape:
    config = owner.__struct_config__
    fields = [
        Field(each.encode_name, each.name, each.type, each.required)
        for each in msgspec.structs.fields(plain)
    ]
    shape = _with(annotation, Kind.RECORD if config.array_like else Kind.OBJECT, owner, fields)
    shape.forbids_unknown = config.forbid_unknown_fields
    if config.tag is not None:
        shape.tag_field, shape.tag = config.tag_field, Literal[config.tag]
    return shape


def _attrs_fields(plain: Any, owner: Any) -> Iterator[Field]:
    hints = hints_of(plain)
    for f in attrs.fields(owner):
        if f.init:
            required = f.default is attrs.NOTHING
            yield Field(f.name, f.alias, hints.get(f.name, Any), required, f.converter)


def _dataclass_fields(plain: Any, owner: Any) -> Iterator[Field]:
    hints = hints_of(plain)
    for f in dataclass_fields(owner):
        if f.init:
            required = f.default is f.default_factory is MISSING
            yield Field(f.name, f.name, hints.get(f.name, Any), required)


def _dict_fields(plain: Any, owner: Any) -> Iterator[Field]:
    for name, hint in hints_of(plain).items():
        # `__required_keys__` is wrong where annotations are strings.
        required = {Required: True, NotRequired: False}.get(get_origin(hint))
        if required is None:
            required = name in owner.__required_keys__
        yield Field(name, name, unqualified(hint), required)


def _constructor(owner: type[Any], fields: list[Field]) -> type[Any] | None:
    """The class, unless its constructor wants other than its fields."""
    try:
        inspect.signature(owner).bind(**{field.argument: None for field in fields})
    except (TypeError, ValueError):
        return None
    return owner
