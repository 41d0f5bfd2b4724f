"""Tokens: what was said comes back, and nothing else does."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import Token, TokenError

SECRET = "s" * 32
SALT = "user socket"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock) -> Token:
    return Token(SECRET, clock=clock)


KINDS = pytest.mark.parametrize(("make", "check"), [("sign", "verify"), ("encrypt", "decrypt")])


def problem_of(tokens: Token, check: str, token: Any, salt: str = SALT, **options: Any) -> str:
    with pytest.raises(TokenError) as refused:
        getattr(tokens, check)(salt, token, **options)
    return refused.value.problem


@KINDS
@given(data=json_values)
def test_what_was_said_comes_back(make, check, data):
    tokens = Token(SECRET, iterations=1)
    token = getattr(tokens, make)(SALT, data)
    assert getattr(tokens, check)(SALT, token) == data


@KINDS
@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (None, "missing"),
        ("", "invalid"),
        ("US1", "invalid"),
        ("US1..", "invalid"),
        ("UX1.", "invalid"),
        ("UX1.AAAA", "invalid"),
        ("US1.e30.%%%", "invalid"),
        ("é", "invalid"),
        (b"bytes", "invalid"),
        (5, "invalid"),
        ({}, "invalid"),
    ],
)
def test_what_is_no_token_is_missing_or_invalid(tokens, make, check, token, problem):
    assert problem_of(tokens, check, token) == problem


@KINDS
def test_a_token_of_which_one_character_is_changed_is_invalid(tokens, make, check):
    token = getattr(tokens, make)(SALT, {"user": 9})
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        assert problem_of(tokens, check, changed) == "invalid"


@KINDS
def test_a_token_for_another_purpose_or_of_another_secret_is_invalid(tokens, clock, make, check):
    token = getattr(tokens, make)(SALT, 9)
    assert problem_of(tokens, check, token, "reset password") == "invalid"
    assert problem_of(Token("t" * 32, clock=clock), check, token) == "invalid"


def test_a_signed_token_is_no_encrypted_one_and_the_other_way_round(tokens):
    assert problem_of(tokens, "decrypt", tokens.sign(SALT, 1)) == "invalid"
    assert problem_of(tokens, "verify", tokens.encrypt(SALT, 1)) == "invalid"


@KINDS
def test_a_token_lives_for_a_day_unless_somebody_says_otherwise(tokens, clock, make, check):
    token = getattr(tokens, make)(SALT, 9)
    clock.now += 86_399
    assert getattr(tokens, check)(SALT, token) == 9
    clock.now += 1
    assert problem_of(tokens, check, token) == "expired"


@KINDS
def test_its_maker_may_limit_its_life_and_its_checker_overrides_that(tokens, clock, make, check):
    token = getattr(tokens, make)(SALT, 9, max_age=10)
    clock.now += 11
    assert problem_of(tokens, check, token) == "expired"
    assert getattr(tokens, check)(SALT, token, max_age=20) == 9
    assert problem_of(tokens, check, token, max_age=5) == "expired"


@KINDS
def test_a_token_may_live_for_ever(tokens, clock, make, check):
    by_maker = getattr(tokens, make)(SALT, 1, max_age=math.inf)
    plain = getattr(tokens, make)(SALT, 2)
    clock.now += 1e10
    assert getattr(tokens, check)(SALT, by_maker) == 1
    assert getattr(tokens, check)(SALT, plain, max_age=math.inf) == 2


@KINDS
@pytest.mark.parametrize("max_age", [0, -1])
def test_an_age_of_zero_or_less_is_always_over(tokens, make, check, max_age):
    assert problem_of(tokens, check, getattr(tokens, make)(SALT, 9), max_age=max_age) == "expired"


@KINDS
def test_the_time_of_signing_may_be_given_and_the_future_is_invalid(tokens, clock, make, check):
    old = getattr(tokens, make)(SALT, 9, signed_at=clock.now - 100)
    assert getattr(tokens, check)(SALT, old, max_age=101) == 9
    assert problem_of(tokens, check, old, max_age=100) == "expired"
    assert (
        problem_of(tokens, check, getattr(tokens, make)(SALT, 9, signed_at=clock.now + 1))
        == "invalid"
    )


@KINDS
def test_a_secret_is_replaced_by_putting_a_new_one_before_it(tokens, clock, make, check):
    token = getattr(tokens, make)(SALT, 9)
    both = Token(["n" * 32, SECRET], clock=clock)
    assert getattr(both, check)(SALT, token) == 9
    newer = getattr(both, make)(SALT, 9)
    assert getattr(Token("n" * 32, clock=clock), check)(SALT, newer) == 9
    assert problem_of(tokens, check, newer) == "invalid"


@KINDS
def test_other_iterations_make_other_keys(tokens, clock, make, check):
    token = getattr(Token(SECRET, iterations=2, clock=clock), make)(SALT, 9)
    assert problem_of(tokens, check, token) == "invalid"


def test_an_encrypted_token_hides_what_it_says_and_is_never_the_same_twice(tokens):
    first, second = tokens.encrypt(SALT, "x"), tokens.encrypt(SALT, "x")
    assert first != second
    assert tokens.sign(SALT, "x") == tokens.sign(SALT, "x")


def test_a_token_that_its_own_secret_has_signed_over_other_content_is_invalid(tokens, clock):
    class Stranger(Token):
        def _content(self, *_: Any) -> bytes:
            return b'{"not": "ours"}'

    token = Stranger(SECRET, clock=clock).sign(SALT, 9)
    assert problem_of(tokens, "verify", token) == "invalid"


@pytest.mark.parametrize("secret", ["short", b"", [], ["s" * 32, "short"]])
def test_a_secret_that_is_too_short_is_refused_at_once(secret):
    with pytest.raises(ValueError, match="at least 20 bytes"):
        Token(secret)


def test_neither_errors_nor_reprs_show_a_secret_or_a_token(tokens):
    token = tokens.sign(SALT, "data") + "x"
    with pytest.raises(TokenError) as refused:
        tokens.verify(SALT, token)
    assert token not in str(refused.value)
    assert SECRET not in repr(tokens)


def test_who_only_signs_does_not_pay_for_the_import_of_cryptography():
    code = "import sys, channels; t = channels.Token('s' * 32); t.verify('a', t.sign('a', 1)); sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_an_age_that_is_no_number_lets_nothing_through():
    """What is compared with NaN is never more."""
    tokens = Token(SECRET)
    old = tokens.sign(SALT, 1, signed_at=0)
    assert problem_of(tokens, "verify", old, max_age=math.nan) == "expired"
    assert problem_of(Token(SECRET, max_age=math.nan), "verify", tokens.sign(SALT, 1)) == "expired"


@pytest.mark.parametrize("max_age", [0, -1, -math.inf, math.nan])
def test_a_token_that_its_maker_says_is_over_is_over(max_age):
    """Also where JSON has no word for it."""
    tokens = Token(SECRET)
    assert problem_of(tokens, "verify", tokens.sign(SALT, 1, max_age=max_age)) == "expired"
