# SPDX-License-Identifier: Apache-2.0
"""Ours never guesses who belongs to the group, as ``test_stock_members.py`` shows. The judge of the simulation looks
on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queenright.edge.raft.members import Config, Member
from sim.cluster import Cluster
from sim.test_log_defects import isolate, led

Group = Callable[..., Cluster]


def grown(group: Group, names: str = "bc") -> Cluster:
    """A founder that took in others, one after the other."""
    cluster = group("a")
    cluster.until(cluster.leader)
    for name in names:
        cluster.add(name)
        cluster.until(lambda name=name: cluster.join(name))
        cluster.until(lambda name=name: name in cluster.members["a"].wal.config.voters(), what=f"{name} votes")
    cluster.run(1.0)
    return cluster


def test_a_group_grows_from_one_to_five(group: Group) -> None:
    cluster = grown(group, "bcde")
    leader = cluster.settle()
    assert leader.wal.config.voters() == set("abcde")
    assert cluster.members["e"].wal.config == leader.wal.config


def test_one_change_of_members_at_a_time(group: Group) -> None:
    cluster, leader, (first, second) = led(group)
    isolate(cluster, leader.name)
    assert cluster.change(lambda config: config.with_member(Member("d", "d:1", voter=False)))
    assert not cluster.remove(first.name)
    assert not cluster.remove(second.name)
    assert leader.wal.config.voters() == set("abc")
    cluster.settle()


def test_two_voters_cannot_change_at_once(group: Group) -> None:
    cluster, _, _ = led(group, "abcde")
    assert not cluster.change(lambda config: config.without("d").without("e"))
    assert not cluster.change(lambda config: Config.of([*config.members, Member("f"), Member("g")]))


def test_a_member_that_is_not_there_blocks_nothing(group: Group) -> None:
    cluster = group("a")
    leader = cluster.until(cluster.leader)
    cluster.add("b")
    cluster.kill("b")
    cluster.until(lambda: cluster.join("b"))
    body = cluster.write("a", "x")
    cluster.run(1.0)
    assert cluster.outcomes[body] == "acknowledged"
    assert leader.wal.config.voters() == {"a"}
    assert cluster.remove("b")
    cluster.run(1.0)
    assert leader.wal.config.members == (Member("a", "a:2377"),)


def test_the_leader_leaves_by_handing_over(group: Group) -> None:
    cluster, leader, _ = led(group)
    assert not cluster.remove(leader.name)
    assert cluster.transfer()
    cluster.until(lambda: cluster.leader() not in (None, leader), 2.0, "another leader")
    cluster.until(lambda: cluster.remove(leader.name), 5.0, "the old leader goes")
    cluster.run(2.0)
    new = cluster.leader()
    assert new is not None
    assert leader.name not in new.wal.config.voters()
    assert cluster.settle() is new


def test_a_removal_that_would_lose_the_majority_is_refused(group: Group) -> None:
    cluster, leader, (first, second) = led(group)
    cluster.kill(first.name)
    cluster.run(3.0)
    assert cluster.leader() is leader
    assert not cluster.remove(second.name)
    assert cluster.remove(first.name)
    cluster.settle()


def test_a_removed_member_disturbs_nobody(group: Group) -> None:
    cluster, leader, (first, _) = led(group)
    assert cluster.remove(first.name)
    cluster.run(30.0)
    assert cluster.leader() is leader
    assert first.replica.status().term == leader.replica.status().term


def test_a_member_that_was_taken_in_while_it_was_down_catches_up_and_votes(group: Group) -> None:
    cluster, leader, _ = led(group)
    cluster.add("d")
    cluster.kill("d")
    assert cluster.join("d")
    for _ in range(100):
        cluster.write(leader.name, "x")
        cluster.run(0.05)
    assert leader.wal.first_index > 1
    cluster.start("d")
    cluster.until(lambda: "d" in leader.wal.config.voters(), 10.0, "d votes")
    cluster.settle()


def test_a_joiner_waits_to_be_taken_in(group: Group) -> None:
    cluster = group("a")
    cluster.until(cluster.leader)
    joiner = cluster.add("b")
    cluster.run(30.0)
    assert joiner.replica.status().term == 0
    cluster.kill("b")
    cluster.start("b")
    cluster.run(30.0)
    assert joiner.replica.status().term == 0
    assert not joiner.replica.status().is_leader


@pytest.mark.parametrize("operation", range(1, 13))
def test_a_founder_never_forgets_the_others(group: Group, operation: int) -> None:
    """Its power goes at some moment while the second and third are taken in; alone it commits nothing any more."""
    cluster = group("a", operation)
    founder = cluster.until(cluster.leader)
    cluster.add("b")
    cluster.until(lambda: cluster.join("b"))
    cluster.until(lambda: "b" in founder.wal.config.voters())
    cluster.run(0.5)
    cluster.add("c")
    founder.disk.cut_after = operation
    cluster.join("c")
    cluster.run(1.0)
    cluster.kill("a")
    cluster.start("a")
    assert "b" in founder.wal.config.voters()
    isolate(cluster, "a")
    body = cluster.write("a", "x")
    cluster.run(5.0)
    assert cluster.outcomes[body] == "refused"
    assert not founder.replica.status().is_leader
    cluster.settle()


def test_members_of_entries_that_are_cut_off_are_forgotten(group: Group) -> None:
    cluster, leader, _ = led(group)
    isolate(cluster, leader.name)
    assert cluster.change(lambda config: config.with_member(Member("d", "d:1", voter=False)))
    assert leader.wal.config.get("d") is not None
    new = cluster.until(lambda: (one := cluster.leader()) is not leader and one)
    cluster.write(new.name, "x")
    cluster.settle()
    assert leader.wal.config.get("d") is None
    assert leader.replica.status().config.get("d") is None


def test_an_address_may_change(group: Group) -> None:
    cluster, _, (first, _) = led(group)
    assert cluster.change(lambda config: config.with_member(Member(first.name, "elsewhere:1")))
    assert cluster.settle().wal.config.addresses()[first.name] == "elsewhere:1"
