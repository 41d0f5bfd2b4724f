"""The annotations of a class's fields, with type parameters bound and wrappers taken off. Pure."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Mapping
from operator import getitem
from typing import (
    Annotated,
    Any,
    Final,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

__all__ = ("annotated", "class_of", "hints_of", "unqualified", "unwrap")

_ALIAS: Final = getattr(typing, "TypeAliasType", ())  # `type X = ...`, from Python 3.12 on
_QUALIFIERS: Final = (Final, Required, NotRequired, getattr(typing, "ReadOnly", Required))


def class_of(annotation: Any) -> Any:
    """The class of a generic alias; anything else itself."""
    return get_origin(annotation) or annotation


def annotated(annotation: Any, metadata: Iterable[Any]) -> Any:
    """`annotation` with metadata, if there is any."""
    return getitem(Annotated, (annotation, *metadata)) if metadata else annotation


def unqualified(annotation: Any) -> Any:
    """What stands in a `Final`, `Required`, `NotRequired` or `ReadOnly`."""
    while get_origin(annotation) in _QUALIFIERS:
        [annotation] = get_args(annotation)
    return annotation


def unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """What stands in an `Annotated`, `NewType`, alias or qualifier, and the metadata around it. A
    type parameter that nothing is bound to is its bound, as msgspec has it.
    """
    metadata: tuple[Any, ...] = ()
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            metadata = (*annotation.__metadata__, *metadata)
            annotation = annotation.__origin__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, _ALIAS):
            annotation = annotation.__value__
        elif isinstance(origin, _ALIAS):
            bound = dict(zip(origin.__type_params__, get_args(annotation), strict=False))
            annotation = _bind(origin.__value__, bound)
        elif origin in _QUALIFIERS:
            annotation = unqualified(annotation)
        elif isinstance(annotation, TypeVar) and not annotation.__constraints__:
            annotation = Any if annotation.__bound__ is None else annotation.__bound__
        else:
            return annotation, metadata


def hints_of(annotation: Any) -> dict[str, Any]:
    """The annotations of a class's fields, its own and inherited, with what the type parameters of
    each class are bound to. `annotation` is a class or a generic alias of one.
    """
    owner = class_of(annotation)
    bound = dict(zip(getattr(owner, "__parameters__", ()), get_args(annotation), strict=False))
    hints: dict[str, Any] = {}
    for base in reversed(vars(owner).get("__orig_bases__", owner.__bases__)):
        if isinstance(class_of(base), type) and class_of(base) is not object:
            hints |= {name: _bind(hint, bound) for name, hint in hints_of(base).items()}
    known = get_type_hints(owner, include_extras=True)
    for name in inspect.get_annotations(owner):
        if not (is_typeddict(owner) and name in hints):  # its own repeat the inherited, unbound
            hints[name] = _bind(known[name], bound)
    return hints


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    parameters = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    if not any(parameter in bound for parameter in parameters):
        return hint
    return hint[tuple(bound.get(parameter, parameter) for parameter in parameters)]
