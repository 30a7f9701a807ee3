# SPDX-License-Identifier: Apache-2.0
"""Whether a member gives its vote. A pure function of what it knows."""

from __future__ import annotations

from dataclasses import dataclass

from queenright.wire.raft import RequestVote


@dataclass(frozen=True, slots=True)
class Voter:
    """What counts when a vote is asked for. ``led``: a leader was heard of within the shortest election timeout, or
    this member is the leader."""

    term: int
    voted_for: str | None
    last_index: int
    last_term: int
    led: bool


def grants(voter: Voter, candidate: str, request: RequestVote) -> bool:
    """Whether ``candidate`` gets the vote it asks for.

    A group that has a leader is not disturbed by a member that does not hear it, unless the leader itself hands over.
    """
    if voter.led and not request.transfer:
        return False
    if (request.last_term, request.last_index) < (voter.last_term, voter.last_index):
        return False
    if request.term > voter.term:
        return True
    return not request.pre and request.term == voter.term and voter.voted_for in (None, candidate)


def majority(count: int, others: int) -> bool:
    """Whether ``count`` members are more than half of this one and ``others`` more."""
    return 2 * count > others + 1
