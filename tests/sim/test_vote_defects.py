# SPDX-License-Identifier: Apache-2.0
"""Ours has none of the defects of votes that ``test_stock_votes.py`` shows. The judge of the simulation looks on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queenright.edge.raft.core import ELECTION_LEAST, ELECTION_MOST
from queenright.wire.raft import Message, RequestVote, VoteAnswer
from sim.cluster import Cluster
from sim.member import SimMember
from sim.test_log_defects import isolate, led

Group = Callable[..., Cluster]


def steps(member: SimMember) -> list[tuple[str, Message]]:
    return [*member.replica.step(), *member.replica.flush()]


def candidate(group: Group, names: str) -> tuple[Cluster, SimMember]:
    """A member that has asked all others for their votes and heard of none."""
    cluster = group(names)
    member = cluster.members["a"]
    cluster.clock.advance(ELECTION_MOST + 0.1)
    questions = [message for _, message in steps(member) if isinstance(message, RequestVote)]
    assert questions
    assert all(question.pre for question in questions)
    for other in names[1:]:
        member.replica.receive(other, VoteAnswer(questions[0].term, True, True))
    asked = [message for _ in range(2) for _, message in steps(member) if isinstance(message, RequestVote)]
    assert [message for message in asked if not message.pre]
    return cluster, member


def test_the_same_vote_counts_once(group: Group) -> None:
    _, member = candidate(group, "abcde")
    term = member.replica.status().term
    for _ in range(5):
        member.replica.receive("b", VoteAnswer(term, True))
    steps(member)
    assert not member.replica.status().is_leader
    member.replica.receive("c", VoteAnswer(term, True))
    steps(member)
    assert member.replica.status().is_leader


@pytest.mark.parametrize("pre", [False, True])
def test_only_votes_of_members_for_this_very_election_count(group: Group, pre: bool) -> None:
    _, member = candidate(group, "abc")
    term = member.replica.status().term
    member.replica.receive("a stranger", VoteAnswer(term, True, pre))
    member.replica.receive("a", VoteAnswer(term, True, pre))
    member.replica.receive("b", VoteAnswer(term - 1, True))
    member.replica.receive("b", VoteAnswer(term, False))
    member.replica.receive("b", VoteAnswer(term, True, True))
    steps(member)
    assert not member.replica.status().is_leader
    assert member.replica.status().term == term


def test_a_learner_neither_votes_nor_campaigns(group: Group) -> None:
    cluster, leader, _ = led(group)
    cluster.add("d")
    cluster.join("d")
    isolate(cluster, "d")
    cluster.run(0.2)
    _, member = candidate(group, "abc")
    member.replica.receive("d", VoteAnswer(member.replica.status().term, True))
    steps(member)
    assert not member.replica.status().is_leader
    learner = cluster.members["d"]
    cluster.run(10.0)
    assert learner.replica.status().term <= leader.replica.status().term
    assert not learner.wal.config.members


@pytest.mark.parametrize("operation", range(1, 7))
def test_no_power_cut_makes_a_member_vote_twice_in_a_term(group: Group, operation: int) -> None:
    cluster = group("abc", operation)
    voter = cluster.members["a"]
    voter.disk.cut_after = operation
    given: dict[int, set[str]] = {}
    for term in range(3, 6):
        for sender in ("b", "c", "b"):
            if not voter.up:
                cluster.start("a")
            cluster.clock.advance(ELECTION_MOST)
            voter.replica.receive(sender, RequestVote(term, 50, term - 1))

            def answer(term: int = term, sender: str = sender) -> None:
                for target, message in steps(voter):
                    if isinstance(message, VoteAnswer) and message.granted and not message.pre:
                        assert target == sender
                        given.setdefault(term, set()).add(target)

            cluster.attempt("a", answer)
    assert given
    assert all(len(candidates) == 1 for candidates in given.values())


def test_a_member_that_was_away_disturbs_nobody(group: Group) -> None:
    cluster, leader, (away, _) = led(group, "abc")
    term = leader.replica.status().term
    isolate(cluster, away.name)
    cluster.run(20.0)
    cluster.network.heal()
    cluster.run(5.0)
    assert cluster.leader() is leader
    assert leader.replica.status().term == term == away.replica.status().term


def test_two_members_that_do_not_reach_each_other_do_not_take_turns(group: Group) -> None:
    cluster, leader, (away, _) = led(group, "abc")
    term = leader.replica.status().term
    cluster.network.cut(leader.name, away.name)
    cluster.network.cut(away.name, leader.name)
    cluster.run(60.0)
    assert cluster.leader() is leader
    assert leader.replica.status().term == term
    cluster.settle()


def test_a_leader_without_a_majority_steps_down_within_one_election_timeout(group: Group) -> None:
    cluster, leader, _ = led(group)
    isolate(cluster, leader.name)
    cluster.run(ELECTION_LEAST + 0.2)
    assert not leader.replica.status().is_leader


def test_a_deposed_leader_answers_no_read(group: Group) -> None:
    cluster, leader, _ = led(group)
    isolate(cluster, leader.name)
    before = len(cluster.history)
    for _ in range(60):
        cluster.read(leader.name, "x")
        cluster.run(0.05)
    assert len(cluster.history) == before
    cluster.settle()


def test_a_leader_that_hung_answers_no_stale_read(group: Group) -> None:
    cluster, leader, _ = led(group)
    cluster.pause(leader.name, 10.0)
    cluster.read(leader.name, "x")
    cluster.run(4.0)
    new = cluster.leader()
    assert new is not leader
    assert new is not None
    cluster.write(new.name, "x")
    cluster.run(1.0)
    before = len(cluster.history)
    for _ in range(5):
        cluster.read(leader.name, "x")
    cluster.run(7.0)
    assert len(cluster.history) == before
    cluster.settle()


def test_a_candidate_whose_log_is_behind_gets_no_vote(group: Group) -> None:
    cluster, leader, (first, second) = led(group)
    cluster.kill(leader.name)
    cluster.run(ELECTION_LEAST)
    status = first.replica.status()
    first.replica.receive(second.name, RequestVote(status.term + 5, first.wal.last_index - 1, first.wal.term_of(3)))
    answers = [message for _, message in steps(first) if isinstance(message, VoteAnswer)]
    assert not any(answer.granted for answer in answers)
