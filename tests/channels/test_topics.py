"""Topic patterns and the router (protocol reference 1.7, step 2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.exceptions import InvalidPatternError
from channels.topics import TopicRouter, check_pattern, matches


def test_an_exact_pattern_serves_its_topic_and_no_other():
    router = TopicRouter({"room:lobby": "lobby"})
    assert router.route("room:lobby") == "lobby"
    assert router.route("room:lobby2") is None
    assert router.route("room:") is None


def test_a_wildcard_serves_every_topic_with_its_prefix_the_bare_prefix_included():
    router = TopicRouter({"room:*": "room"})
    assert [router.route(topic) for topic in ("room:1", "room:a:b", "room:")] == ["room"] * 3
    assert router.route("room") is None


def test_a_lone_star_serves_every_topic():
    router = TopicRouter({"*": "all"})
    assert router.route("") == "all"
    assert router.route("anything") == "all"


def test_a_star_in_a_topic_is_an_ordinary_character():
    assert TopicRouter({"room:*": "room"}).route("room:*") == "room"
    assert TopicRouter({"room:lobby": "lobby"}).route("room:*") is None


def test_the_first_match_wins_over_a_longer_prefix_declared_later():
    router = TopicRouter([("room:*", "room"), ("room:vip:*", "vip")])
    assert router.route("room:vip:1") == "room"


def test_the_first_match_wins_over_an_exact_pattern_declared_later():
    router = TopicRouter([("room:*", "room"), ("room:lobby", "lobby")])
    assert router.route("room:lobby") == "room"


def test_an_exact_pattern_declared_first_wins_over_a_wildcard():
    router = TopicRouter([("room:lobby", "lobby"), ("room:*", "room")])
    assert router.route("room:lobby") == "lobby"
    assert router.route("room:1") == "room"


def test_the_first_of_two_equal_patterns_wins():
    assert TopicRouter([("a", 1), ("a", 2), ("b*", 3), ("b*", 4)]).route("a") == 1


def test_unicode_topics_are_matched_by_character():
    router = TopicRouter({"room:café": "café", "π*": "pi"})
    assert router.route("room:café") == "café"
    assert router.route("π🚀") == "pi"


def test_a_router_without_patterns_serves_nothing():
    assert TopicRouter[str]({}).route("room:1") is None


def test_a_router_lists_its_patterns_in_order_of_declaration():
    router = TopicRouter([("b", 1), ("a*", 2)])
    assert router.patterns() == ("b", "a*")
    assert len(router) == 2
    assert repr(router) == "<TopicRouter b a*>"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "is empty"),
        ("room:*:x", "not its last character"),
        ("*room", "not its last character"),
        ("room:**", "not its last character"),
        (None, "is a NoneType, not a string"),
        (b"room", "is a bytes, not a string"),
    ],
)
def test_a_wrong_pattern_is_refused_with_the_legal_forms(pattern, problem):
    with pytest.raises(InvalidPatternError, match=problem) as error:
        TopicRouter([(pattern, "channel")])
    assert "expected an exact topic" in str(error.value)


def test_a_right_pattern_is_handed_back():
    assert check_pattern("room:*") == "room:*"


patterns = st.builds(
    lambda text, star: (text + star) or "*", st.text("ab", max_size=3), st.sampled_from(["", "*"])
)


@given(st.lists(patterns, max_size=6), st.text("ab", max_size=4))
def test_a_router_finds_what_trying_each_pattern_in_order_finds(declared, topic):
    router = TopicRouter([(pattern, index) for index, pattern in enumerate(declared)])
    tried = next((i for i, pattern in enumerate(declared) if matches(pattern, topic)), None)
    assert router.route(topic) == tried
