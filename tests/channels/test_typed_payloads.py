"""C25, the types: wherever converters and `init=False` stand in an annotation, the payload is what
msgspec would make of it otherwise; what cannot be built is refused before any payload comes.
"""

from __future__ import annotations

import collections.abc as abstract
import sys
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import Channel, on
from channels.payload_shapes import UnbuildableTypeError
from channels.payloads import PayloadType
from channels.typed_events import InvalidHandlerError, events_of
from tests.channels.payload_types import MADE, SENT, Box, Chain, Note, built, paths_of, strip

T = TypeVar("T")


@dataclass(frozen=True)
class Leaf:
    """What msgspec builds."""

    x: int


@dataclass(frozen=True)
class Hidden:
    """The same, but built here."""

    x: int
    hidden: int = field(init=False, default=0, repr=False)


class Write(msgspec.Struct, Generic[T], tag="write", tag_field="kind"):
    of: T


class Erase(msgspec.Struct, Generic[T], tag="erase", tag_field="kind", forbid_unknown_fields=True):
    of: T


class Mute(msgspec.Struct, tag="mute", tag_field="kind"):
    n: int


class One(msgspec.Struct, Generic[T], tag=1):
    of: T


class Two(msgspec.Struct, Generic[T], tag=2):
    of: T


class Row(msgspec.Struct, Generic[T], array_like=True):
    of: T
    n: int = 1


class RowA(msgspec.Struct, Generic[T], array_like=True, tag="a"):
    of: T


class RowB(msgspec.Struct, Generic[T], array_like=True, tag="b", forbid_unknown_fields=True):
    of: T
    n: int = 1


@attrs.frozen
class Boxes(Box[list[T]], Generic[T]):
    one: T | None = None


class Dict(TypedDict, Generic[T]):
    of: T
    n: NotRequired[Annotated[int, msgspec.Meta(gt=0)]]


class Named(NamedTuple, Generic[T]):
    of: T
    n: int = 1


# -- the same as msgspec -------------------------------------------------------------------------

LEAVES = st.sampled_from([0, 1, 2, -1, True, None, 1.5, "", "a", "b", "write", "erase", "1"])
NAMES = st.sampled_from(["of", "x", "n", "next", "one", "kind", "type", "hidden", "1", "other"])
LEAF_LIKE = st.fixed_dictionaries({"x": st.integers(0, 3) | LEAVES}, optional={"other": LEAVES})
TAGS = st.sampled_from([1, 2, True, "write", "erase", "mute", "a", "b"])
JSON = st.recursive(
    LEAVES | LEAF_LIKE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.fixed_dictionaries(
            {"of": LEAF_LIKE | inner}, optional={"kind": TAGS, "type": TAGS, "n": LEAVES}
        )
        | st.tuples(TAGS | LEAF_LIKE, LEAF_LIKE | LEAVES).map(list)
    ),
    max_leaves=8,
)


def annotations_of(leaf: Any) -> list[Any]:
    return [
        leaf,
        Write[leaf],
        Erase[leaf],
        Write[leaf] | Erase[leaf],
        Write[leaf] | Mute | list[leaf] | str | None,
        One[leaf] | Two[leaf],
        Row[leaf],
        RowA[leaf] | RowB[leaf],
        RowB[leaf],
        Box[leaf],
        Boxes[leaf],
        Chain[leaf],
        Dict[leaf],
        Named[leaf],
        tuple[leaf, int],
        tuple[leaf, ...],
        list[leaf] | int,
        set[leaf],
        frozenset[leaf],
        dict[str, leaf],
        dict[int, leaf],
        abstract.Sequence[leaf],
        abstract.Collection[leaf],
        abstract.Set[leaf],
        abstract.Mapping[str, leaf],
        typing.List[leaf],  # noqa: UP006  # the old names, too
        Annotated[list[leaf], msgspec.Meta(max_length=1)],
        Annotated[leaf | None, "what it is"],
        NewType("Renamed", leaf),
    ]


PAIRS = list(zip(annotations_of(Leaf), annotations_of(Hidden), strict=True))


def worded(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return f"{type(value)}: {sorted(map(worded, value))}"
    if isinstance(value, dict):  # the order of fields is nobody's
        return f"{type(value)}: {sorted(map(worded, value.items()))}"
    return repr(value).replace("Hidden", "Leaf")


@pytest.mark.parametrize(("by_msgspec", "here"), PAIRS, ids=[str(pair[0]) for pair in PAIRS])
@settings(max_examples=60)
@given(payload=JSON)
def test_what_is_built_here_is_what_msgspec_would_have_built(by_msgspec, here, payload):
    try:
        wanted = msgspec.convert(payload, by_msgspec, str_keys=True)
    except msgspec.ValidationError as error:
        place = str(error).partition(" - at `")[2].removeprefix("key` in `").rstrip("`") or "$"
        assert place in paths_of(here, payload)
    else:
        assert worded(built(here, payload)) == worded(wanted)


# -- tags ----------------------------------------------------------------------------------------

Change = Write[Note] | Erase[Note] | Mute


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (Change, {"kind": "write", "of": {"body": " a "}}, Write(Note("a"))),
        (Change, {"kind": "erase", "of": {"body": " a "}}, Erase(Note("a"))),
        (Change, {"kind": "mute", "n": 5}, Mute(5)),
        (Write[Note], {"of": {"body": "a"}}, Write(Note("a"))),  # alone it needs no tag
        (One[Note] | Two[Note], {"type": 2, "of": {"body": "a"}}, Two(Note("a"))),
        (RowA[Note] | RowB[Note], ["b", {"body": " a "}], RowB(Note("a"))),
    ],
)
def test_a_struct_with_converters_in_it_is_chosen_by_its_tag(annotation, payload, value):
    assert built(annotation, payload) == value


@pytest.mark.parametrize(
    ("annotation", "payload", "wrong"),
    [
        (Change, {"kind": "nonsense", "of": {"body": "a"}}, ["$.kind"]),
        (Change, {"kind": ["write"], "of": {"body": "a"}}, ["$.kind"]),
        (Change, {"of": {"body": "a"}}, ["$"]),
        (Change, {"kind": "mute", "of": {"body": "a"}}, ["$"]),  # of Mute's fields one is missing
        (Change, {"kind": "erase", "of": {"body": "a"}, "evil": 1}, ["$"]),
        (Write[Note], {"kind": "erase", "of": {"body": "a"}}, ["$.kind"]),
        (One[Note] | Two[Note], {"type": True, "of": {"body": "a"}}, ["$.type"]),
        (RowA[Note] | RowB[Note], ["c", {"body": "a"}], ["$[0]"]),
        (RowA[Note] | RowB[Note], [], ["$"]),
    ],
)
def test_a_wrong_tag_or_an_unknown_field_is_refused_with_converters_or_without(
    annotation, payload, wrong
):
    assert paths_of(annotation, payload) == wrong


# -- converters, wherever they stand -------------------------------------------------------------

Renamed = NewType("Renamed", Note)


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (set[Note], [SENT], {MADE}),
        (frozenset[Note], [SENT], frozenset({MADE})),
        (abstract.Set[Note], [SENT], {MADE}),
        (abstract.Sequence[Note], [SENT], [MADE]),
        (abstract.MutableSequence[Note], [SENT], [MADE]),
        (abstract.Mapping[str, Note], {"x": SENT}, {"x": MADE}),
        (abstract.MutableMapping[int, Note], {"1": SENT}, {1: MADE}),
        (Annotated[Note, "what it is"], SENT, MADE),
        (list[Annotated[Note, {"not": "hashable"}]], [SENT], [MADE]),
        (Annotated[list[Note], msgspec.Meta(max_length=1)], [SENT], [MADE]),
        (Renamed, SENT, MADE),
        (list[Renamed] | None, [SENT], [MADE]),
        (tuple[Note, int], [SENT, 1], (MADE, 1)),
        (tuple[int, Annotated[Note, ""]], [1, SENT], (1, MADE)),
        (Named[Note], [SENT], Named(MADE)),
        (Row[Note], [SENT, 2, "more"], Row(MADE, 2)),
        (Box[Note], {"of": SENT}, Box(MADE)),
        (Boxes[Note], {"of": [SENT], "one": SENT}, Boxes([MADE], one=MADE)),
        (Chain[Note], {"of": SENT, "next": {"of": SENT}}, Chain(MADE, Chain(MADE))),
        (Dict[Note], {"of": SENT}, {"of": MADE}),
        (Box[Box[Note]], {"of": {"of": SENT}}, Box(Box(MADE))),
    ],
)
def test_converters_are_run_in_every_container(annotation, payload, value):
    made = built(annotation, payload)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("annotation", "payload", "wrong"),
    [
        (tuple[Note, int], [SENT], ["$"]),
        (tuple[Note, int], [{}, "x"], ["$[0]", "$[1]"]),
        (Row[Note], [], ["$"]),
        (Box[Note], {"of": 5}, ["$.of"]),
        (Boxes[Note], {"of": [{}, SENT, 5]}, ["$.of[0]", "$.of[2]"]),
        (Annotated[list[Note], msgspec.Meta(max_length=1)], [SENT, SENT], ["$"]),
        (Dict[Note], {"of": SENT, "n": 0}, ["$.n"]),
        (set[Box[list[Note]]], [{"of": [SENT]}], ["$"]),  # of lists there are no sets
    ],
)
def test_what_does_not_fit_there_is_told_by_its_place(annotation, payload, wrong):
    assert paths_of(annotation, payload) == wrong


@attrs.define(init=False)
class OwnConstructor:
    body: str = attrs.field(converter=strip)

    def __init__(self, words: list[str]) -> None:
        self.body = " ".join(words)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (abstract.Iterable[Note], "would leave out converters"),
        (typing.Deque[Note], "would leave out converters"),  # noqa: UP006  # the old names, too
        (dict[Note, int], "would leave out converters"),
        (list[type[Note]], "would leave out converters"),
        (Note | Box[int], "look alike"),
        (Note | dict[str, int], "look alike"),
        (list[Note] | set[int], "look alike"),
        (list[OwnConstructor], "takes other fields"),
        (Annotated[list[Note], msgspec.Meta(gt=1)], "gt"),
        (Box[int] | dict[str, int], "more than one dict-like"),  # in msgspec's words
    ],
)
def test_what_cannot_be_built_is_refused_when_the_handlers_are_worked_out(annotation, words):
    class Room(Channel):
        @on("x")
        async def x(self, payload: Any) -> None: ...

    Room.x.__annotations__["payload"] = annotation
    with pytest.raises(UnbuildableTypeError, match=words):
        PayloadType(annotation)
    with pytest.raises(InvalidHandlerError, match=f"Room.x serves 'x' and .*{words}"):
        events_of(Room)


if sys.version_info >= (3, 12):  # `type X = ...` is new there; the suite runs on it too

    @pytest.mark.parametrize("annotation", ["N", "B[Note]", "list[N]"])
    def test_converters_are_run_in_type_aliases(annotation):
        names: dict[str, Any] = {"Note": Note, "Box": Box}
        exec("type N = Note\ntype B[U] = Box[U]", names)  # no syntax of Python 3.11
        wanted, sent = eval(annotation, names), {"of": SENT, "body": " a "}
        payload = [sent] if annotation.startswith("list") else sent
        assert "Note(body='a')" in repr(built(wanted, payload))
