"""What the tests of payloads share: types with a converter in them, and what becomes of payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import attrs
import msgspec
import pytest

from channels.payloads import PayloadType

T = TypeVar("T")


def strip(text: str) -> str:
    return text.strip()


@attrs.frozen
class Note:
    body: str = attrs.field(converter=strip)


SENT: Final = {"body": " a "}
MADE: Final = Note("a")


@attrs.frozen
class Box(Generic[T]):
    of: T
    n: int = 0


@dataclass
class Chain(Generic[T]):
    of: T
    next: Chain[T] | None = None


def of(generic: Any, *arguments: Any) -> Any:
    """`generic[...]`, made at run time."""
    return generic[arguments]


def built(annotation: Any, payload: Any) -> Any:
    convert = PayloadType(annotation).convert
    assert convert is not None
    return convert(payload)


def errors_of(annotation: Any, payload: Any) -> list[tuple[str, str]]:
    wanted = PayloadType(annotation)
    assert wanted.convert is not None
    with pytest.raises(msgspec.ValidationError) as error:
        wanted.convert(payload)
    return [(each["path"], each["message"]) for each in wanted.errors_in(payload, error.value)]


def paths_of(annotation: Any, payload: Any) -> list[str]:
    return [path for path, _ in errors_of(annotation, payload)]
