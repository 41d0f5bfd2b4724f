"""Typed events: what reaches the method, and what the client hears when its payload is wrong."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from decimal import InvalidOperation
from typing import Annotated, Any, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import Binary, Channel, Endpoint, Reply, UserSocket, on
from channels.payloads import MAX_ERRORS, PayloadType
from channels.typed_events import DuplicateEventError, InvalidHandlerError, events_of
from tests.channels.phoenix import connected, running


@attrs.frozen
class ByAttrs:
    body: str
    size: int = 0


@dataclass
class ByDataclass:
    body: str


class ByStruct(msgspec.Struct):
    body: str


class ByTypedDict(TypedDict):
    body: str


def is_positive(_instance: Any, _attribute: Any, value: int) -> None:
    assert value > 0, "must be positive"


@attrs.frozen
class Checked:
    n: int = attrs.field(validator=is_positive)


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> None:
        return None

    @on("attrs")
    async def by_attrs(self, payload: ByAttrs) -> Reply:
        return Reply.ok({"body": payload.body, "size": payload.size})

    @on("dataclass")
    async def by_dataclass(self, payload: ByDataclass) -> Reply:
        return Reply.ok({"body": payload.body})

    @on("struct")
    async def by_struct(self, payload: ByStruct) -> Reply:
        return Reply.ok({"body": payload.body})

    @on("typed_dict")
    async def by_typed_dict(self, payload: ByTypedDict) -> Reply:
        return Reply.ok({"body": payload["body"]})

    @on("number")
    async def by_number(self, payload: int) -> Reply:
        return Reply.ok(payload + 1)

    @on("checked")
    async def checked(self, payload: Checked) -> Reply:
        return Reply.ok(payload.n)

    @on("untyped")
    async def untyped(self, payload: Any) -> Reply:
        return Reply.ok(payload)

    @on("nothing")
    async def nothing(self) -> Reply:
        return Reply.ok()


class LouderRoom(Room):
    @on("number")
    async def by_number(self, payload: int) -> Reply:
        return Reply.ok(payload * 100)

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "by hand":
            return Reply.ok("by hand")
        return await super().handle_in(event, payload)


class Undecorated(Room):
    async def by_number(self, payload: float) -> Reply:
        return Reply.ok({"float": payload})

    async def by_attrs(self, payload):
        return Reply.ok({"override": payload.body})

    by_struct = None  # type: ignore[assignment]  # no longer served

    @on("renamed")
    async def by_dataclass(self, payload: ByDataclass) -> Reply:
        return Reply.ok({"renamed": payload.body})


class Socket(UserSocket):
    channels = {"room:*": Room, "louder:*": LouderRoom, "undecorated:*": Undecorated}


@pytest.fixture
async def ask(node):
    endpoint = Endpoint({"/socket": Socket}, port=0)
    async with running(endpoint), connected(endpoint) as client:

        async def ask(event: str, payload: Any, topic: str = "room:1") -> Any:
            join_ref = await client.join(topic)
            ref = client.ref()
            await client.send(join_ref, ref, topic, event, payload)
            return await client.expect_reply(ref)

        yield ask


@pytest.mark.parametrize("event", ["dataclass", "struct", "typed_dict"])
async def test_the_payload_arrives_as_the_annotated_type(ask, event):
    """C25."""
    answer = await ask(event, {"body": "hi"})
    assert answer == {"status": "ok", "response": {"body": "hi"}}


async def test_defaults_of_the_type_fill_in_what_was_not_sent(ask):
    assert (await ask("attrs", {"body": "hi"}))["response"] == {"body": "hi", "size": 0}


@pytest.mark.parametrize(
    ("event", "payload", "path", "word"),
    [
        ("attrs", {"body": 5}, "$.body", "str"),
        ("attrs", {}, "$", "body"),
        ("attrs", [1], "$", "object"),
        ("struct", {"body": None}, "$.body", "str"),
        ("number", "five", "$", "int"),
        ("checked", {"n": 0}, "$.n", "must be positive"),  # whatever a validator raises
    ],
)
async def test_a_wrong_payload_is_answered_with_where_and_what(ask, event, payload, path, word):
    answer = await ask(event, payload)
    assert (answer["status"], answer["response"]["reason"]) == ("error", "invalid payload")
    [error] = answer["response"]["errors"]
    assert error["path"] == path
    assert word in error["message"]


async def test_a_method_without_a_type_gets_what_was_sent(ask):
    assert (await ask("untyped", [1, {"a": None}]))["response"] == [1, {"a": None}]


async def test_a_method_may_leave_the_payload_out(ask):
    assert (await ask("nothing", {"x": 1}))["status"] == "ok"


async def test_a_subclass_overrides_and_handle_in_comes_first(ask):
    assert (await ask("number", 2, "louder:1"))["response"] == 200


async def test_events_that_handle_in_passes_on_reach_the_typed_methods(ask):
    assert (await ask("by hand", {}, "louder:1"))["response"] == "by hand"


async def test_an_event_that_no_method_serves_is_unmatched(ask):
    """C10."""
    assert (await ask("unknown", {}))["response"] == {"reason": "unmatched event"}


def test_two_methods_for_one_event_are_refused_by_name_when_the_class_is_made():
    async def second(self: Any) -> None: ...

    with pytest.raises(DuplicateEventError, match="'x' with both a and b"):
        type("Twice", (Channel,), {"a": on("x")(second), "b": on("x")(second)})


# -- classes and their subclasses ----------------------------------------------------------------


def test_a_method_that_cannot_be_awaited_is_refused_when_it_is_marked():
    with pytest.raises(InvalidHandlerError, match=r"plain serves 'x' and must be `async def`"):

        @on("x")  # type: ignore[type-var]  # wrong
        def plain(self: Any, payload: Any) -> Reply:
            return Reply.ok()


def test_an_override_that_cannot_be_awaited_is_refused_when_the_class_is_made():
    with pytest.raises(InvalidHandlerError, match="'number' and must be `async def`"):

        class Wrong(Room):
            def by_number(self, payload: int) -> Reply:  # type: ignore[override]  # wrong
                return Reply.ok()


def test_a_method_that_is_wrapped_by_another_decorator_is_taken_for_what_it_wraps():
    def logged(method: Any) -> Any:
        @functools.wraps(method)
        def call(*args: Any) -> Any:
            return method(*args)

        return call

    class Wrapped(Channel):
        @on("x")
        @logged
        async def x(self, payload: int) -> None: ...

    assert events_of(Wrapped)["x"].describe("a", msgspec.ValidationError("?"))["errors"] == [
        {"path": "$", "message": "Expected `int`, got `str`"}
    ]


@pytest.mark.parametrize(
    ("event", "payload", "response"),
    [
        ("number", 1.5, {"float": 1.5}),
        ("attrs", {"body": "hi"}, {"override": "hi"}),  # with the annotation that it overrides
        ("struct", {"body": "hi"}, {"reason": "unmatched event"}),
        ("dataclass", {"body": "hi"}, {"reason": "unmatched event"}),
        ("renamed", {"body": "hi"}, {"renamed": "hi"}),
        ("typed_dict", {"body": "hi"}, {"body": "hi"}),
    ],
)
async def test_an_override_needs_no_decorator(ask, event, payload, response):
    answer = await ask(event, payload, "undecorated:1")
    assert answer["response"] == response


def test_of_two_names_for_one_event_the_nearer_class_wins_and_the_other_does_not_come_back():
    class Other(Room):
        @on("number")
        async def other(self, payload: str) -> None: ...

    class Third(Other):
        async def by_number(self, payload: int) -> Reply:
            return Reply.ok()

    assert events_of(Third)["number"].name == "other"


# -- what the types say --------------------------------------------------------------------------


def converted(annotation: Any) -> Any:
    convert = PayloadType(annotation).convert
    assert convert is not None
    return convert


def errors_of(annotation: Any, payload: Any) -> list[dict[str, str]]:
    """What the client of a payload that does not fit is told."""
    wanted = PayloadType(annotation)
    assert wanted.convert is not None
    with pytest.raises(msgspec.ValidationError) as error:
        wanted.convert(payload)
    return wanted.errors_in(payload, error.value)


def strip(text: str) -> str:
    return text.strip()


def upper(text: str) -> str:
    return text.upper()


@attrs.frozen
class Line:
    text: str = attrs.field(converter=strip)
    count: int = attrs.field(default=1, converter=int)


@attrs.frozen
class Order:
    lines: list[Line]
    by_name: dict[str, Line] = attrs.field(factory=dict)
    first: Line | None = None
    note: str = attrs.field(default="", converter=upper, validator=attrs.validators.max_len(3))
    size: int = attrs.field(default=1, validator=attrs.validators.ge(0))


def test_converters_of_attrs_classes_are_run_wherever_they_stand():
    convert = converted(Order)
    line = {"text": " a ", "count": "7"}
    built = convert({"lines": [line, line], "by_name": {"x": line}, "first": line, "note": "abc"})
    assert built == Order([Line("a", 7)] * 2, {"x": Line("a", 7)}, Line("a", 7), "ABC")
    assert convert({"lines": [], "first": None}) == Order([])
    assert converted(list[Line])([line]) == [Line("a", 7)]
    assert converted(tuple[Line, ...])([line]) == (Line("a", 7),)
    assert converted(Line | None)(None) is None


class Pair(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    first_name: str
    last_name: str


class Wanted(TypedDict):
    a: int
    b: int


class Partly(TypedDict, total=False):
    a: int


@dataclass
class Positive:
    n: Annotated[int, msgspec.Meta(gt=0)]
    others: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.n == 13:
            raise ValueError("not thirteen")


@attrs.frozen
class Recursive:
    name: str
    inner: Recursive | None = None


@pytest.mark.parametrize(
    ("annotation", "payload", "wrong"),
    [
        (Wanted, {"a": "x", "b": None}, ["$.a", "$.b"]),
        (Wanted, {}, ["$", "$"]),
        (Wanted, [], ["$"]),
        (Partly, {"a": "x"}, ["$.a"]),
        (ByAttrs, {"size": "x"}, ["$", "$.size"]),
        (list[Wanted], [{"a": 1, "b": 2}, {"a": "x", "b": "y"}], ["$[1].a", "$[1].b"]),
        (dict[str, int], {"a": 1, "b": "x", "c": "y"}, ["$[...]", "$[...]"]),
        (dict[int, int], {"a": "x"}, ["$", "$[...]"]),
        (Wanted | None, {"a": "x", "b": "y"}, ["$.a", "$.b"]),
        (int | None, "x", ["$"]),
        (Pair, {"firstName": 1, "lastName": 2}, ["$.firstName", "$.lastName"]),
        (Pair, {"firstName": "a", "lastName": "b", "x": 1}, ["$"]),
        (Positive, {"n": 0, "others": ["x", 1, "y"]}, ["$.n", "$.others[0]", "$.others[2]"]),
        (Positive, {"n": 13}, ["$"]),
        (Annotated[int, msgspec.Meta(gt=0)], 0, ["$"]),
        (
            Order,
            {"lines": [{"text": 1}, {"count": "x"}], "size": "x"},
            ["$.lines[0].text", "$.lines[1]", "$.size"],
        ),
        (Order, {"lines": [], "note": "toolong", "size": -1}, ["$.note", "$.size"]),
        (Line, {"text": 5, "count": "x"}, ["$.text", "$.count"]),
        (
            Recursive,
            {"name": "a", "inner": {"name": 1, "inner": 2}},
            ["$.inner.name", "$.inner.inner"],
        ),
        (list[int], ["x"] * 1000, [f"$[{n}]" for n in range(MAX_ERRORS)]),
    ],
)
def test_every_wrong_field_is_told(annotation, payload, wrong):
    errors = errors_of(annotation, payload)
    assert [entry["path"] for entry in errors] == wrong
    assert all(0 < len(entry["message"]) <= 200 for entry in errors)


def test_the_messages_are_in_the_words_of_whoever_checks():
    errors = errors_of(Order, {"lines": [], "note": "toolong", "size": -1})
    assert [entry["message"] for entry in errors] == [
        "Length of 'note' must be <= 3: 7",
        "'size' must be >= 0: -1",
    ]


class Mistaken:
    def __init__(self, value: Any) -> None:
        raise {"a": KeyError, "d": InvalidOperation}.get(value, AttributeError)


@attrs.frozen
class Careless:
    n: Any = attrs.field(converter=Mistaken)


@pytest.mark.parametrize("value", ["a", "d", 1])
def test_whatever_a_converter_raises_is_said_of_the_payload(value):
    """It sees what a client has sent, whatever that is; the channel lives."""
    [error] = errors_of(Careless, {"n": value})
    assert error["path"] == "$.n"
    assert error["message"]


def test_looking_for_errors_is_bounded_whatever_was_sent():
    """Of half a million values only the first are looked at; what msgspec has said is told."""
    last = ["x"] + [1] * 500_000
    last.reverse()
    assert errors_of(list[int], last) == [
        {"path": "$[500000]", "message": "Expected `int`, got `str`"}
    ]
    deep: Any = {"name": 1}
    for _ in range(400):
        deep = {"name": "a", "inner": deep}
    assert len(errors_of(Recursive, deep)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["lines", "text", "count", "first", "size", "a"]), inner)
    ),
)


@pytest.mark.parametrize("annotation", [Order, ByAttrs, Wanted, Positive, Pair, list[Line]])
@settings(max_examples=50)
@given(payload=JSON)
def test_a_payload_of_any_shape_fits_or_is_told_what_is_wrong(annotation, payload):
    wanted = PayloadType(annotation)
    assert wanted.convert is not None
    try:
        wanted.convert(payload)
    except msgspec.ValidationError as error:
        assert 1 <= len(wanted.errors_in(payload, error)) <= MAX_ERRORS


# -- binary payloads -----------------------------------------------------------------------------


@attrs.frozen
class Attached:
    file: Binary


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (Binary, {"data": "aGVsbG8="}),
        (Binary, "aGVsbG8="),
        (Binary | Wanted, {"data": "aGVsbG8="}),
        (Binary | None, {"data": "aGVsbG8="}),
        (Attached, {"file": {"data": "aGVsbG8="}}),
        (list[Binary], [{"data": "aGVsbG8="}]),
    ],
)
def test_json_is_no_binary_whatever_it_says(annotation, payload):
    assert errors_of(annotation, payload)


def test_a_binary_frame_is_taken_where_one_is_wanted_only():
    sent = Binary(b"abc")
    for annotation in (Binary, Binary | Wanted, Binary | None, Wanted | Binary):
        assert converted(annotation)(sent) is sent
    assert errors_of(Wanted, sent) == [{"path": "$", "message": "Expected `object`, got `Binary`"}]
    assert converted(Binary | Wanted)({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert PayloadType(Binary | Any).convert is None
