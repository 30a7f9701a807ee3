# SPDX-License-Identifier: Apache-2.0
"""Who gets a vote."""

from __future__ import annotations

import dataclasses

import pytest

from queenright.edge.raft.votes import Voter, grants, majority
from queenright.wire.raft import RequestVote

VOTER = Voter(term=5, voted_for=None, last_index=10, last_term=4, led=False)
REQUEST = RequestVote(term=6, last_index=10, last_term=4)


def asked(**changes: object) -> RequestVote:
    return dataclasses.replace(REQUEST, **changes)  # type: ignore[arg-type]


def voter(**changes: object) -> Voter:
    return dataclasses.replace(VOTER, **changes)  # type: ignore[arg-type]


def test_a_candidate_of_a_later_term_with_as_long_a_log_gets_the_vote() -> None:
    assert grants(VOTER, "m2", REQUEST)


@pytest.mark.parametrize("last", [{"last_index": 9}, {"last_term": 3, "last_index": 99}])
@pytest.mark.parametrize("kind", [{}, {"pre": True}, {"transfer": True}])
def test_a_candidate_that_lacks_entries_gets_none(last: dict[str, int], kind: dict[str, bool]) -> None:
    assert not grants(VOTER, "m2", asked(**last, **kind))


def test_a_later_last_term_weighs_more_than_a_longer_log() -> None:
    assert grants(VOTER, "m2", asked(last_term=5, last_index=2))


@pytest.mark.parametrize("pre", [True, False])
def test_who_hears_a_leader_votes_for_nobody_else(pre: bool) -> None:
    assert not grants(voter(led=True), "m2", asked(pre=pre, term=99))


def test_unless_the_leader_itself_hands_over() -> None:
    assert grants(voter(led=True), "m2", asked(transfer=True))


def test_a_vote_is_given_once_in_a_term() -> None:
    assert grants(voter(term=6, voted_for=None), "m2", REQUEST)
    assert grants(voter(term=6, voted_for="m2"), "m2", REQUEST)
    assert not grants(voter(term=6, voted_for="m3"), "m2", REQUEST)


def test_an_earlier_term_gets_none() -> None:
    assert not grants(voter(term=7), "m2", REQUEST)


def test_a_question_before_an_election_is_answered_for_a_later_term_only() -> None:
    assert grants(VOTER, "m2", asked(pre=True))
    assert grants(voter(voted_for="m3"), "m2", asked(pre=True))
    assert not grants(voter(term=6), "m2", asked(pre=True))


@pytest.mark.parametrize(("others", "needed"), [(0, 1), (1, 2), (2, 2), (3, 3), (4, 3), (6, 4)])
def test_a_majority_is_more_than_half(others: int, needed: int) -> None:
    assert majority(needed, others)
    assert not majority(needed - 1, others)
