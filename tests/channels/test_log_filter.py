"""What of parameters a log shows."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any
from urllib.parse import quote

import attrs
import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from actors.tracebacks import plain_traceback
from channels import Binary, ParameterFilter
from channels.log_filter import is_enabled
from channels.messages import Broadcast, Message

discard = ParameterFilter()


def test_values_of_keys_with_password_or_token_in_them_are_filtered():
    shown = discard({"name": "ann", "password": "x", "user_Token": "y", "passwords": ["a", "b"]})
    assert shown == {
        "name": "ann",
        "password": "[FILTERED]",
        "user_Token": "[FILTERED]",
        "passwords": "[FILTERED]",
    }


def test_objects_and_arrays_are_searched_through():
    assert discard({"a": [{"token": {"b": 1}}, 2]}) == {"a": [{"token": "[FILTERED]"}, 2]}


def test_a_list_of_keys_to_keep_filters_all_others():
    keep = ParameterFilter(keep=["id", "order"])
    given = {"id": 1, "name": "ann", "order": {"lines": [1, 2]}, "nested": {"id": 2, "x": 3}}
    assert keep(given) == {
        "id": 1,
        "name": "[FILTERED]",
        "order": {"lines": [1, 2]},
        "nested": {"id": 2, "x": "[FILTERED]"},
    }


def test_to_keep_nothing_filters_every_leaf():
    given = {"foo": {"bar": 1, "baz": [1, {"x": None}]}, "ids": [1, 2], "none": {}}
    assert ParameterFilter(keep=[])(given) == {
        "foo": {"bar": "[FILTERED]", "baz": ["[FILTERED]", {"x": "[FILTERED]"}]},
        "ids": ["[FILTERED]", "[FILTERED]"],
        "none": {},
    }


def test_keys_that_are_no_strings_are_read_as_text():
    assert discard({1: "a", None: "b", ("token", 2): "c"}) == {
        "1": "a",
        "None": "b",
        "('token', 2)": "[FILTERED]",
    }


@pytest.mark.parametrize("value", [None, 1, 1.5, True, "text"])
def test_what_has_no_keys_is_shown(value):
    assert discard(value) == value


def test_what_has_no_keys_is_not_kept():
    assert ParameterFilter(keep=["id"])("text") == "[FILTERED]"


def test_what_is_shown_is_short_whatever_was_sent():
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    for value in ("x" * 10_000_000, list(range(100_000)), {str(n): n for n in range(10_000)}, deep):
        assert len(repr(discard(value))) < 1000
    assert discard(Binary(bytes(500))) == "<500 bytes>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user=ann&password=hunter2", "user=ann&password=[FILTERED]"),
        ("password=hunter2&user=ann", "password=[FILTERED]&user=ann"),
        ("user[pass%77ord]=hunter2", "user[pass%77ord]=[FILTERED]"),
        ("https://h/p?Token=hunter2&a=1", "https://h/p?Token=[FILTERED]&a=1"),
        ("password=hunter=2", "password=[FILTERED]"),
        ("a=1&&=&password", "a=1&&=&password"),
        ("%ZZ=1&%ff%=2&password=hunter2&%", "%ZZ=1&%ff%=2&password=[FILTERED]&%"),
        ("no form at all", "no form at all"),
    ],
)
def test_secrets_of_a_form_in_text_are_filtered_whether_or_not_it_is_well_formed(text, shown):
    """Serializers 20, 21: what LiveView's forms send, and what a stranger may."""
    assert discard({"type": "form", "value": text}) == {"type": "form", "value": shown}


def test_a_form_is_filtered_by_the_words_of_the_filter():
    own = ParameterFilter(discard=["PIN"])
    assert own("pin=1234&password=x") == "pin=[FILTERED]&password=x"


def test_a_form_that_is_cut_shows_no_part_of_a_secret():
    assert "hunter2" not in discard("a=" + "x" * 170 + "&password=" + "hunter2" * 100)


def test_a_traceback_for_the_log_shows_no_values_of_variables_and_is_bounded():
    def raises(password: str, depth: int) -> None:
        if depth:
            raises(password, depth - 1)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError) as raised:
        raises("hunter2", 500)
    text = plain_traceback(raised.value)
    assert "hunter2" not in text
    assert text.endswith("RuntimeError: on purpose")
    assert "raises(password, depth - 1)" in text
    assert len(plain_traceback(RuntimeError("x" * 1_000_000))) < 10_000


class OldFilter:
    """As structlog before 25.1: no way to ask, but a method that does nothing."""

    def bind(self) -> OldFilter:
        return self

    def _nop(self, event: str, **facts: Any) -> None: ...

    def info(self, event: str, **facts: Any) -> None: ...

    debug = _nop


@pytest.mark.parametrize(
    ("options", "debug"),
    [
        ({}, True),
        ({"wrapper_class": structlog.make_filtering_bound_logger(logging.DEBUG)}, True),
        ({"wrapper_class": structlog.make_filtering_bound_logger(logging.INFO)}, False),
        ({"wrapper_class": structlog.BoundLogger}, True),
        ({"wrapper_class": structlog.stdlib.BoundLogger}, True),  # over a logger without levels
        (
            {
                "wrapper_class": structlog.stdlib.BoundLogger,
                "logger_factory": structlog.stdlib.LoggerFactory(),
            },
            False,  # the standard library's root logger begins at WARNING
        ),
        (
            {
                "wrapper_class": structlog.BoundLogger,
                "logger_factory": structlog.stdlib.LoggerFactory(),
            },
            True,  # it cannot be asked
        ),
    ],
)
def test_whether_a_level_is_written_is_asked_of_any_structlog_logger(options, debug):
    options = dict(options)
    factory = options.pop("logger_factory", structlog.PrintLoggerFactory())
    log = structlog.wrap_logger(factory("name"), **options)
    assert is_enabled(log, "debug") is debug
    assert is_enabled(log, "error")


def test_a_level_of_an_old_structlog_that_does_nothing_is_not_written():
    assert not is_enabled(OldFilter(), "debug")
    assert is_enabled(OldFilter(), "info")


def test_what_it_is_given_stays_as_it_was():
    given = {"token": "x", "inner": {"password": "y"}}
    discard(given)
    assert given == {"token": "x", "inner": {"password": "y"}}


keys = st.sampled_from(["password", "Token", "csrf_token_x", "name", "__proto__", ""]) | st.text()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)


def hide(value: Any) -> Any:
    """The same with a secret in every place where no secret may be shown."""
    if isinstance(value, dict):
        words = ("password", "token")
        return {
            key: "s3cret" if any(word in key.lower() for word in words) else hide(inner)
            for key, inner in value.items()
        }
    return [hide(item) for item in value] if isinstance(value, list) else value


def as_form(pairs: dict[str, str]) -> str:
    return "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs.items())


@given(st.dictionaries(keys, st.text()))
def test_a_secret_is_found_wherever_it_stands_in_a_form(pairs):
    assert "s3cret" not in discard(as_form(hide(pairs)))


@given(values)
def test_a_secret_is_found_wherever_it_stands(value):
    assert "s3cret" not in repr(discard(hide(value)))


# -- instances with fields -----------------------------------------------------------------------


@attrs.frozen
class AttrsLogin:
    user: str
    password: str


@dataclasses.dataclass
class DataLogin:
    user: str
    password: str


class StructLogin(msgspec.Struct):
    user: str
    password: str


@pytest.mark.parametrize("kind", [AttrsLogin, DataLogin, StructLogin])
def test_instances_with_fields_are_searched_through_as_objects_are(kind):
    """An `@on` method's payload in the state of a channel, say."""
    login = kind("ann", "hunter2")
    shown = {"user": "ann", "password": "[FILTERED]"}
    assert discard({"login": login, "all": [login]}) == {"login": shown, "all": [shown]}
    assert ParameterFilter(keep=["user"])(login) == shown
    assert "hunter2" not in repr(Broadcast("room:1", "login", {"who": login}))
    assert "hunter2" not in repr(Message(None, None, "room:1", "login", login))


def test_sets_are_searched_through_and_bytes_are_counted():
    assert discard({"forms": {"user=ann&password=x"}}) == {
        "forms": ["user=ann&password=[FILTERED]"]
    }
    assert discard(b"password=x") == "<10 bytes>"
    assert discard(set(range(100)))[-1] == "..."
