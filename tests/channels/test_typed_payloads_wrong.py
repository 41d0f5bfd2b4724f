"""C25: whatever a client sends and whatever user code raises of it, it is answered, at a bounded cost;
a client sets what a constructor would take, and its keys are strings.
"""

from __future__ import annotations

import collections.abc as abstract
import sys
import typing
from dataclasses import dataclass, field
from typing import Any

import attrs
import msgspec
import pytest

from channels.payloads import MAX_ERRORS, PayloadType
from tests.channels.payload_types import (
    MADE,
    SENT,
    Box,
    Chain,
    Note,
    built,
    errors_of,
    of,
    paths_of,
    strip,
)

# -- whatever user code raises -------------------------------------------------------------------


class Mute13(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it cannot say")


RAISED = [AssertionError("no"), AssertionError(), KeyError("k"), LookupError(), OSError(1, "x")]
RAISED += [Mute13(), RecursionError(), ZeroDivisionError(), StopIteration(), ValueError()]
raised: Exception = RAISED[0]


def refuse(*_: Any) -> Any:
    raise raised


@attrs.frozen
class Validated:
    n: int = attrs.field(validator=refuse)


@attrs.frozen
class ValidatedToo:
    n: int = attrs.field(validator=refuse)
    note: Note | None = None


@attrs.frozen
class AfterAttrs:
    n: int

    def __attrs_post_init__(self) -> None:
        refuse()


@dataclass
class AfterDataclass:
    n: int

    def __post_init__(self) -> None:
        refuse()


class AfterStruct(msgspec.Struct):
    n: int
    note: Note | None = None

    def __post_init__(self) -> None:
        refuse()


class AfterStructAlone(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        refuse()


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (Validated, "$[0].n"),
        (ValidatedToo, "$[0].n"),
        (AfterAttrs, "$[0]"),
        (AfterDataclass, "$[0]"),
        (AfterStruct, "$[0]"),
        (AfterStructAlone, "$[0]"),
    ],
)
def test_whatever_user_code_raises_is_said_of_the_payload(annotation, path, error, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "raised", error)
    [(place, message)] = errors_of(of(list, annotation), [{"n": 1}])
    assert place == path
    assert message


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (typing.List, [1]),  # noqa: UP006  # the old names, too
        (typing.Dict, {"a": 1}),  # noqa: UP006  # the old names, too
        (typing.Tuple, [1]),  # noqa: UP006  # the old names, too
        (tuple[()], []),
        (tuple, [1]),
        (abstract.Sequence, [1]),
        (abstract.Mapping, {"a": 1}),
    ],
)
def test_containers_of_anything_may_stand_beside_what_is_wrong(annotation, payload):
    assert paths_of(of(tuple, annotation, int), [payload, "x"]) == ["$[1]"]
    assert paths_of(of(tuple, annotation, int), ["x", 1]) == ["$[0]"]


@pytest.mark.parametrize(("annotation", "sent"), [(Chain[int], 1), (Chain[Note], SENT)])
def test_a_payload_that_nests_too_deep_is_answered(annotation, sent):
    payload: Any = None
    for _ in range(100_000):
        payload = {"of": sent, "next": payload}
    assert errors_of(annotation, payload) == [("$", "The payload nests too deep")]


refused = 0


def count(_: Any) -> Any:
    global refused  # noqa: PLW0603  # the converter of a class has no other place
    refused += 1
    raise ValueError("no")


@attrs.frozen
class Counted:
    n: int = attrs.field(converter=count)


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (list[Counted], [{"n": 1}] * 5_000),
        (tuple[Counted, ...], [{"n": 1}] * 5_000),
        (frozenset[Counted], [{"n": 1}] * 5_000),
        (dict[str, Counted], {str(n): {"n": 1} for n in range(5_000)}),
        (dict[int, Counted], {str(n): {"n": 1} for n in range(5_000)}),
    ],
)
def test_a_payload_is_refused_at_its_first_error_and_looked_at_until_enough_are_found(
    annotation, payload, monkeypatch
):
    monkeypatch.setattr(sys.modules[__name__], "refused", 0)
    wanted = PayloadType(annotation)
    assert wanted.convert is not None
    with pytest.raises(msgspec.ValidationError) as error:
        wanted.convert(payload)
    assert refused <= 2  # once more to tell which field it was
    assert len(wanted.errors_in(payload, error.value)) == MAX_ERRORS
    assert refused <= 2 + 2 * MAX_ERRORS


# -- fields that no constructor takes ------------------------------------------------------------


@dataclass
class Profile:
    name: str
    admin: bool = field(init=False, default=False)


@attrs.frozen
class ProfileByAttrs:
    name: str
    admin: bool = attrs.field(init=False, default=False)


@attrs.frozen
class ProfileWithConverter:
    name: str = attrs.field(converter=strip)
    admin: bool = attrs.field(init=False, default=False)


class ProfileInStruct(msgspec.Struct):
    of: Profile


@pytest.mark.parametrize("annotation", [Profile, ProfileByAttrs, ProfileWithConverter])
def test_a_client_cannot_set_what_no_constructor_takes(annotation):
    sent = {"name": "eve", "admin": True}
    assert built(annotation, sent) == annotation("eve")
    assert built(of(list, annotation), [sent])[0].admin is False
    assert built(of(Box, annotation), {"of": sent}).of.admin is False


def test_a_client_cannot_set_it_in_a_part_either():
    assert built(ProfileInStruct, {"of": {"name": "eve", "admin": True}}).of.admin is False


# -- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (dict[int, str], {"1": "x"}, {1: "x"}),
        (dict[float, int], {"1.5": 1}, {1.5: 1}),
        (dict[int | str, int], {"1": 1}, {"1": 1}),
        (dict[int, Note], {"1": SENT}, {1: MADE}),
        (Box[dict[int, int]], {"of": {"1": 1}}, Box({1: 1})),
        (tuple[Note, dict[int, int]], [SENT, {"1": 1}], (MADE, {1: 1})),
    ],
)
def test_keys_may_be_numbers_which_json_writes_as_strings(annotation, payload, value):
    assert built(annotation, payload) == value


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (dict[int, int], {"x": 1}),
        (dict[int, Note], {"x": SENT}),
    ],
)
def test_a_key_that_is_none_is_told_of_its_object(annotation, payload):
    assert errors_of(of(Box, annotation), {"of": payload}) == [
        ("$.of", "Expected `int`, got `str`")
    ]
