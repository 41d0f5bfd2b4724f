"""Limits as values, the meter's buckets and the gatekeeper, with time as a number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.transports.limits import NO_RATE, AddressLimits, Limits, Rate
from channels.transports.limits_addresses import Address, Gatekeeper, network_of
from channels.transports.limits_meter import Meter


def meter(now: float = 0.0, **rates: Rate) -> Meter:
    options: dict[str, Any] = {"messages": NO_RATE, "bytes": NO_RATE, "joins": NO_RATE, **rates}
    return Meter(Limits(**options), now)


# -- meter ---------------------------------------------------------------------------------------


def test_a_burst_is_let_through_and_one_more_is_not():
    bucket = meter(messages=Rate(10, burst=5))
    assert [bucket.take(1, 0, 0.0) for _ in range(6)] == [None] * 5 + ["messages"]


def test_a_bucket_fills_up_with_time_but_never_above_its_burst():
    bucket = meter(messages=Rate(10, burst=5))
    assert bucket.take(5, 0, 0.0) is None
    assert bucket.take(2, 0, 0.2) is None
    assert bucket.take(1, 0, 0.2) == "messages"
    assert bucket.take(5, 0, 100.0) is None
    assert bucket.take(1, 0, 100.0) == "messages"


def test_what_is_refused_does_not_count():
    bucket = meter(messages=Rate(10, burst=5))
    assert bucket.take(6, 0, 0.0) == "messages"
    assert bucket.take(5, 0, 0.0) is None


def test_bytes_are_counted_beside_messages():
    bucket = meter(bytes=Rate(100, burst=100))
    assert bucket.take(1, 100, 0.0) is None
    assert bucket.take(1, 1, 0.0) == "bytes"
    assert bucket.take(1, 10, 0.1) is None


def test_joins_are_counted_one_by_one():
    bucket = meter(joins=Rate(1, burst=2))
    assert [bucket.take_join(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.take_join(1.0)


def test_a_rate_of_zero_is_no_limit():
    bucket = meter()
    assert bucket.take(10**9, 10**12, 0.0) is None
    assert bucket.take_join(0.0)
    assert NO_RATE.full == math.inf


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 8)), max_size=60),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_over_any_time_at_most_two_bursts_and_the_rate_pass(steps, per_second, burst):
    bucket, now, passed = meter(messages=Rate(per_second, burst)), 0.0, 0
    for pause, messages in steps:
        now += pause
        if bucket.take(messages, 0, now) is None:
            passed += messages
    assert passed <= 2 * burst + per_second * now + 1e-6


@pytest.mark.parametrize("options", [{"idle_timeout": -1}, {"held_bytes": -1}, {"outbox": -5}])
def test_a_negative_limit_is_refused_and_says_what_is_legal(options):
    with pytest.raises(ValueError, match="expected a number >= 0, where 0 is no limit"):
        Limits(**options)


def test_without_rates_lifts_all_that_a_load_tool_would_hit():
    lifted = Limits(idle_timeout=7.0).without_rates()
    assert lifted.idle_timeout == 7.0
    assert lifted.messages.full == lifted.bytes.full == lifted.joins.full == math.inf
    assert lifted.address.connects.full == math.inf
    assert (lifted.address.connections, lifted.address.topics) == (0, 0)


# -- gatekeeper ----------------------------------------------------------------------------------


def test_an_address_has_so_many_connections_and_others_their_own():
    keeper = Gatekeeper(AddressLimits(connections=2))
    assert all(isinstance(keeper.enter("192.0.2.1", 0.0), Address) for _ in range(2))
    assert keeper.enter("192.0.2.1", 0.0) == "connections"
    assert isinstance(keeper.enter("192.0.2.2", 0.0), Address)
    assert keeper.statistics().exceeded == {"connections": 1}


def test_who_leaves_makes_room():
    keeper = Gatekeeper(AddressLimits(connections=1))
    address = keeper.enter("192.0.2.1", 0.0)
    assert isinstance(address, Address)
    keeper.leave(address, 1.0)
    assert keeper.enter("192.0.2.1", 1.0) is address


def test_connections_one_after_the_other_are_limited_too():
    keeper = Gatekeeper(AddressLimits(connects=Rate(1, burst=3)))
    for _ in range(3):
        address = keeper.enter("192.0.2.1", 0.0)
        assert isinstance(address, Address)
        keeper.leave(address, 0.0)
    assert keeper.enter("192.0.2.1", 0.0) == "connects"
    assert keeper.statistics().exceeded == {"connects": 1}
    assert isinstance(keeper.enter("192.0.2.1", 1.0), Address)


def test_addresses_without_connections_are_forgotten_once_their_buckets_are_full_again():
    keeper = Gatekeeper(AddressLimits())  # the slowest bucket fills in 20 s
    for host in range(200):
        address = keeper.enter(f"192.0.2.{host}", 0.0)
        assert isinstance(address, Address)
        keeper.leave(address, 0.0)
    keeper.enter("198.51.100.1", 19.0)
    assert keeper.statistics().addresses == 201
    keeper.enter("198.51.100.1", 21.0)
    assert keeper.statistics().addresses == 1


def test_an_address_that_came_back_is_not_forgotten():
    keeper = Gatekeeper(AddressLimits())
    address = keeper.enter("192.0.2.1", 0.0)
    assert isinstance(address, Address)
    keeper.leave(address, 0.0)
    keeper.enter("192.0.2.1", 1.0)
    keeper.enter("192.0.2.2", 1000.0)
    assert keeper.statistics().addresses == 2


def test_topics_are_counted_per_address():
    keeper = Gatekeeper(AddressLimits(topics=2))
    address = keeper.enter("192.0.2.1", 0.0)
    assert isinstance(address, Address)
    assert [address.take_topic() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address, network):
    assert network_of(address) == network
