# SPDX-License-Identifier: Apache-2.0
"""Which reads a leader may answer."""

from __future__ import annotations

from queenright.edge.raft.reads import Reads


def test_alone_a_read_is_sure_at_once() -> None:
    reads = Reads()
    reads.ask(1)
    reads.begin(10)
    assert reads.confirmed([], 0) == [(1, 10)]
    assert reads.confirmed([], 0) == []


def test_a_read_waits_until_a_majority_answered_the_round_it_is_in() -> None:
    reads = Reads()
    reads.ask(1)
    reads.begin(10)
    assert reads.confirmed([0, 0, 0, 0], 4) == []
    assert reads.confirmed([1, 0, 0, 0], 4) == []
    assert reads.confirmed([1, 0, 1, 0], 4) == [(1, 10)]


def test_a_read_that_came_after_the_round_was_sent_waits_for_the_next_one() -> None:
    reads = Reads()
    reads.ask(1)
    reads.begin(10)
    reads.ask(2)
    assert reads.asked()
    assert reads.confirmed([1, 1], 2) == [(1, 10)]
    reads.begin(12)
    assert not reads.asked()
    assert reads.confirmed([1, 1], 2) == []
    assert reads.confirmed([2, 1], 2) == [(2, 12)]


def test_reads_that_came_together_share_a_round() -> None:
    reads = Reads()
    reads.ask(1)
    reads.ask(2)
    reads.begin(7)
    assert reads.context == 1
    assert reads.confirmed([1], 1) == [(1, 7), (2, 7)]


def test_a_later_round_confirms_the_earlier_ones_too() -> None:
    reads = Reads()
    for ticket in (1, 2, 3):
        reads.ask(ticket)
        reads.begin(ticket * 10)
    assert reads.confirmed([3, 0], 2) == [(1, 10), (2, 20), (3, 30)]


def test_of_two_managers_both_must_agree() -> None:
    reads = Reads()
    reads.ask(1)
    reads.begin(5)
    assert reads.confirmed([0], 1) == []
    assert reads.confirmed([1], 1) == [(1, 5)]


def test_who_leads_no_more_tells_all_that_wait() -> None:
    reads = Reads()
    reads.ask(1)
    reads.begin(5)
    reads.ask(2)
    assert sorted(reads.abandon()) == [1, 2]
    assert reads.abandon() == []
    assert not reads.asked()
