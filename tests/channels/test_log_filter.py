"""What of parameters a log shows."""

from __future__ import annotations

import pytest

from channels import Binary, ParameterFilter

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


def test_what_it_is_given_stays_as_it_was():
    given = {"token": "x", "inner": {"password": "y"}}
    discard(given)
    assert given == {"token": "x", "inner": {"password": "y"}}
