# SPDX-License-Identifier: Apache-2.0
"""Ours has none of the defects of the log that ``test_stock_log.py`` shows. The judge of the simulation looks on."""

from __future__ import annotations

from collections.abc import Callable

import pysyncobj.pickle
import pytest

from queenright.edge.raft.leader import NOTICE
from queenright.edge.raft.log_format import REGULAR
from queenright.edge.raft.proposals import MAX_COMMAND
from queenright.wire.raft import AppendAnswer, AppendEntries, Entry
from sim.cluster import Cluster
from sim.member import SimMember, SimProposal
from sim.network import FAIR

Group = Callable[..., Cluster]


def led(group: Group, names: str = "abc") -> tuple[Cluster, SimMember, list[SimMember]]:
    """A group that has a leader which has committed something; the leader, and the others."""
    cluster = group(names)
    leader = cluster.until(cluster.leader, what="a leader")
    cluster.write(leader.name, "x")
    cluster.run(1.0)
    assert cluster.leader() is leader
    return cluster, leader, [member for member in cluster.members.values() if member is not leader]


def isolate(cluster: Cluster, *names: str) -> None:
    cluster.network.split(set(names), set(cluster.members) - set(names))


def test_no_lost_write_is_acknowledged_while_a_snapshot_comes_in(group: Group) -> None:
    cluster, old, _ = led(group)
    isolate(cluster, old.name)
    lost = [cluster.write(old.name, "x") for _ in range(5)]
    new = cluster.until(lambda: (one := cluster.leader()) is not old and one, what="another leader")
    for _ in range(120):
        cluster.write(new.name, "x")
        cluster.run(0.02)
    assert new.wal.first_index > old.wal.last_index
    cluster.settle()
    assert [cluster.outcomes[body] for body in lost] == ["unknown"] * 5
    assert not {body for _, body in old.machine.history} & set(lost)
    assert any(f"{old.name} installs" in line for line in cluster.judge.trace)


def test_a_sign_of_life_during_a_snapshot_commits_only_what_the_leader_has_verified(group: Group) -> None:
    cluster, leader, (away, _) = led(group)
    isolate(cluster, away.name)
    for _ in range(80):
        cluster.write(leader.name, "x")
        cluster.run(0.02)
    cluster.run(2.0)
    assert leader.wal.first_index > away.wal.last_index
    cluster.network.heal()
    beats = [0]
    for _ in range(60):
        for target, message in [*leader.replica.step(), *leader.replica.flush()]:
            if target == away.name and isinstance(message, AppendEntries) and message.previous_index == 0:
                beats[0] += 1
                assert message.commit_index <= away.wal.last_index
            away.replica.receive(leader.name, message) if target == away.name else None
        for target, message in [*away.replica.step(), *away.replica.flush()]:
            leader.replica.receive(away.name, message) if target == leader.name else None
        cluster.clock.advance(0.02)
    assert beats[0]
    assert away.replica.status().commit_index <= away.wal.last_index


def test_entries_that_match_are_never_cut_off(group: Group) -> None:
    cluster, leader, (follower, _) = led(group)
    for _ in range(5):
        cluster.write(leader.name, "x")
    cluster.run(0.5)
    isolate(cluster, leader.name)
    last, term = follower.wal.last_index, leader.replica.status().term
    first = last - 4
    entries = tuple(leader.wal.entry(index) for index in (first, first + 1))
    again = AppendEntries(term, first - 1, first - 1, leader.wal.term_of(first - 1), entries)
    follower.replica.receive(leader.name, again)
    answers = [message for _, message in [*follower.replica.step(), *follower.replica.flush()]]
    assert follower.wal.last_index == last
    assert AppendAnswer(term, True, first + 2, 0) in answers


def test_an_acknowledgement_of_an_earlier_leadership_does_not_count(group: Group) -> None:
    cluster, leader, (first, second) = led(group)
    isolate(cluster, leader.name)
    cluster.kill(first.name)
    cluster.kill(second.name)
    body = cluster.write(leader.name, "x")
    cluster.run(0.1)
    term, last = leader.replica.status().term, leader.wal.last_index
    commit = leader.replica.status().commit_index
    assert commit < last
    leader.replica.receive(first.name, AppendAnswer(term - 1, True, last + 1))
    leader.replica.step()
    assert leader.replica.status().commit_index == commit
    leader.replica.receive(first.name, AppendAnswer(term, True, last + 1))
    leader.replica.step()
    assert leader.replica.status().commit_index == last, "the same answer of this term would have counted"
    assert cluster.outcomes[body] == ""


def test_an_acknowledgement_of_somebody_else_does_not_count(group: Group) -> None:
    cluster, leader, others = led(group)
    isolate(cluster, leader.name)
    cluster.write(leader.name, "x")
    cluster.run(0.1)
    commit = leader.replica.status().commit_index
    term, last = leader.replica.status().term, leader.wal.last_index
    for stranger in ("a stranger", leader.name):
        for _ in others:
            leader.replica.receive(stranger, AppendAnswer(term, True, last + 1))
    leader.replica.step()
    assert leader.replica.status().commit_index == commit < last


def test_an_acknowledgement_of_more_than_there_is_does_not_count(group: Group) -> None:
    cluster, leader, (first, _) = led(group)
    isolate(cluster, leader.name)
    status = leader.replica.status()
    leader.replica.receive(first.name, AppendAnswer(status.term, True, leader.wal.last_index + 100))
    leader.replica.step()
    cluster.write(leader.name, "x")
    cluster.run(0.1)
    assert leader.replica.status().commit_index == status.commit_index


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nothing_is_committed_without_a_majority_after_any_restart(group: Group, size: int) -> None:
    cluster, leader, others = led(group, "abcde")
    for number in range(40):
        cluster.write(leader.name, "x")
        if number % 3 == 0:
            cluster.run(0.05)
    for member in [leader, *others][:size]:
        member.disk.cut_after = 1 + size  # in the middle of what is being written
    cluster.run(1.0)
    for name in cluster.members:
        cluster.kill(name)
    cluster.start(leader.name)
    committed = leader.replica.status().commit_index
    body = cluster.write(leader.name, "x")
    cluster.run(5.0)
    assert leader.replica.status().commit_index == committed <= leader.wal.last_index
    assert cluster.outcomes[body] == "refused"
    cluster.settle()


def test_who_waits_is_told_when_the_leader_is_deposed(group: Group) -> None:
    cluster, leader, _ = led(group)
    isolate(cluster, leader.name)
    bodies = [cluster.write(leader.name, "x") for _ in range(3)]
    cluster.run(4.0)
    assert [cluster.outcomes[body] for body in bodies] == ["unknown"] * 3
    late = cluster.write(leader.name, "x")
    cluster.run(0.2)
    assert cluster.outcomes[late] == "refused"
    cluster.settle()


def test_the_largest_commands_reach_everybody(group: Group) -> None:
    cluster, leader, _ = led(group)
    done: list[int | None] = []
    for size in (MAX_COMMAND - 20, 2 * 1024 * 1024 - 40, 100):
        leader.replica.intake.put(
            [SimProposal(b"big=" + b"1" * min(size, 4000) + b" " * (size - 4000), None, done.append)]
        )
    cluster.run(1.0)
    assert done == [None] * 3
    assert {member.wal.last_index for member in cluster.members.values()} == {leader.wal.last_index}


def test_an_entry_of_an_earlier_term_is_committed_only_with_one_of_this_term(group: Group) -> None:
    cluster, leader, (first, second) = led(group)
    isolate(cluster, leader.name)
    cluster.write(leader.name, "x")
    cluster.run(0.1)
    index = leader.wal.last_index
    cluster.kill(leader.name)
    cluster.network.heal()
    cluster.start(leader.name)
    for other in (first, second):
        cluster.kill(other.name)
    assert leader.wal.last_index == index
    term = leader.replica.status().term + 1
    entries = (Entry(leader.wal.entry(index).command, index, leader.wal.term_of(index)),)
    cluster.start(first.name)
    beat = AppendEntries(term, index - 1, index - 1, leader.wal.term_of(index - 1), entries)
    first.replica.receive(leader.name, beat)
    first.replica.step()
    first.replica.flush()
    assert first.wal.last_index == index
    assert first.replica.status().commit_index == index - 1
    assert first.wal.entry(index).command[0] == REGULAR
    cluster.start(second.name)
    cluster.settle()


def test_nothing_is_ever_pickled_or_unpickled(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("something is pickled")

    for name in ("loads", "dumps", "load", "dump"):
        monkeypatch.setattr(pysyncobj.pickle, name, refuse)
    cluster, leader, _ = led(group)
    for _ in range(60):
        cluster.write(leader.name, "x")
        cluster.run(0.05)
    cluster.kill(leader.name)
    cluster.run(3.0)
    cluster.settle()


def test_members_hear_what_is_committed_at_once_though_nothing_follows(group: Group) -> None:
    cluster, leader, others = led(group)
    for _ in range(20):
        command = cluster.write(leader.name, "x")
        index = leader.wal.last_index + 1
        while command not in cluster.judge.acknowledged:
            cluster.run(0.001)
        cluster.run(3 * FAIR.most + NOTICE + 0.003)  # entry, answer, notice: less than from beat to beat
        assert [member.machine.index for member in others] == [index, index]
        cluster.run(0.013)
