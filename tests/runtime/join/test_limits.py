# SPDX-License-Identifier: Apache-2.0
"""Token buckets and connection counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.join.kit import Clock

from queenright.edge.http.join_limits import Connections, TokenBuckets, plain_ip, source_of


def test_a_bucket_gives_its_fill_at_once_and_then_one_at_a_time() -> None:
    clock = Clock()
    buckets = TokenBuckets(10, clock)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") == pytest.approx(6.0)
    clock.seconds += 5.0
    assert buckets.take("a") == pytest.approx(1.0)
    clock.seconds += 1.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == pytest.approx(5.5)


def test_each_source_has_its_own_bucket() -> None:
    buckets = TokenBuckets(1, Clock())
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0.0
    assert buckets.take("b") == 0.0


def test_what_is_given_back_may_be_taken_again_but_never_more_than_the_fill() -> None:
    buckets = TokenBuckets(2, Clock())
    buckets.take("a")
    for _ in range(5):
        buckets.give_back("a")
    assert [bool(buckets.take("a")) for _ in range(3)] == [False, False, True]


@given(st.lists(st.floats(min_value=0.0, max_value=20.0), max_size=60))
def test_no_pattern_of_tries_gets_more_than_fill_and_refill(pauses: list[float]) -> None:
    clock = Clock()
    buckets = TokenBuckets(6, clock)
    begin, taken = clock.seconds, 0
    for pause in pauses:
        clock.seconds += pause
        taken += not buckets.take("a")
    assert taken <= 6 + (clock.seconds - begin) / 10 + 1e-6


def test_only_so_many_sources_are_remembered_and_the_longest_unused_goes_first() -> None:
    buckets = TokenBuckets(1, Clock(), max_sources=2)
    for source in ("a", "b", "c"):
        buckets.take(source)
    assert len(buckets) == 2
    assert buckets.wait("a") == 0.0
    assert buckets.wait("b") > 0.0


def test_asking_for_the_wait_remembers_nothing() -> None:
    buckets = TokenBuckets(1, Clock())
    assert buckets.wait("a") == 0.0
    assert len(buckets) == 0


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fd00::1:2:3:4", "fd00::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_one_host_is_one_source(ip: str, source: str) -> None:
    assert source_of(ip) == source


@pytest.mark.parametrize(("ip", "plain"), [("::ffff:10.0.0.1", "10.0.0.1"), ("fd00::1", "fd00::1"), ("10.0.0.1",) * 2])
def test_an_ipv4_address_through_an_ipv6_socket_has_its_own_form(ip: str, plain: str) -> None:
    assert plain_ip(ip) == plain


def test_connections_are_counted_in_all_and_for_each_source() -> None:
    connections = Connections(3, 2)
    assert [connections.enter("a") for _ in range(3)] == [True, True, False]
    assert connections.enter("b")
    assert not connections.enter("c")
    connections.leave("a")
    assert connections.enter("c")
    for source in ("a", "b", "c"):
        connections.leave(source)
    assert connections.count == 0
    assert [connections.enter("a") for _ in range(3)] == [True, True, False]
