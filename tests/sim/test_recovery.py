# SPDX-License-Identifier: Apache-2.0
"""A survivor that is forced to go on alone, members that come back from nothing, and hosts that were away for long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queenright.edge.raft import leader
from queenright.edge.raft.progress import WINDOW_MESSAGES
from sim.cluster import Cluster
from sim.disk import PowerCutError
from sim.test_disk_defects import fill
from sim.test_log_defects import isolate, led
from sim.test_member_defects import grown

Group = Callable[..., Cluster]


def make_leader(cluster: Cluster, *names: str) -> None:
    """Let leaders hang until one of these leads."""
    for _ in range(40):
        leader = cluster.leader()
        if leader is not None and leader.name in names:
            return
        if leader is not None:
            cluster.pause(leader.name, 2.5)
        cluster.run(3.0)
    raise AssertionError(f"none of {names} came to lead")


def test_a_survivor_goes_on_alone_with_all_its_data_and_refuses_the_old_majority(group: Group) -> None:
    cluster, survivor, (old, _) = led(group)
    fill(cluster, 40)
    cluster.run(1.0)
    acknowledged = dict(cluster.judge.acknowledged)
    for name in cluster.members:
        cluster.kill(name)
    cluster.force(survivor.name)
    cluster.start(survivor.name)
    cluster.until(lambda: cluster.leader() is survivor, 5.0, "the survivor leads")
    body = cluster.write(survivor.name, "x")
    cluster.run(0.5)
    assert cluster.outcomes[body] == "acknowledged"
    assert acknowledged.keys() <= {held for _, held in survivor.machine.history}

    cluster.start(old.name)  # alone it cannot commit anything, but it tries
    cluster.run(20.0)
    assert cluster.leader() is survivor
    assert survivor.wal.config.voters() == {survivor.name}
    assert any(f"{survivor.name} refuses {old.name}" in line for line in cluster.judge.trace)
    assert body not in {held for _, held in old.machine.history}


@pytest.mark.parametrize("operation", range(1, 9))
def test_forcing_may_be_cut_off_at_any_moment_and_repeated(group: Group, operation: int) -> None:
    cluster, survivor, _ = led(group)
    fill(cluster, 30)
    cluster.run(1.0)
    for name in cluster.members:
        cluster.kill(name)
    survivor.disk.cut_after = operation
    try:
        cluster.force(survivor.name)
    except PowerCutError:
        survivor.disk.power_cut()
    survivor.disk.cut_after = 0
    cluster.force(survivor.name)
    cluster.force(survivor.name)
    cluster.start(survivor.name)
    assert survivor.wal.config.epoch == 1
    assert survivor.wal.config.voters() == {survivor.name}
    cluster.until(lambda: cluster.leader() is survivor, 5.0, "the survivor leads")
    cluster.run(0.5)
    assert cluster.judge.acknowledged.keys() <= {held for _, held in survivor.machine.history}


def test_a_forced_group_grows_again(group: Group) -> None:
    cluster, survivor, (first, second) = led(group)
    fill(cluster, 40)
    for name in cluster.members:
        cluster.kill(name)
    cluster.force(survivor.name)
    cluster.start(survivor.name)
    cluster.until(lambda: cluster.leader() is survivor, 5.0, "the survivor leads")
    for name in (first.name, second.name):
        cluster.wipe(name)
        cluster.until(lambda name=name: cluster.join(name), 5.0)
        cluster.until(lambda name=name: name in survivor.wal.config.voters(), 10.0, f"{name} votes")
    assert cluster.settle().wal.config.voters() == set("abc")


def test_a_member_that_was_removed_and_wiped_joins_again_under_its_name(group: Group) -> None:
    cluster, leader, (member, _) = led(group)
    for _ in range(3):
        fill(cluster, 20)
        cluster.until(lambda: cluster.remove(member.name), 5.0)
        cluster.run(0.5)
        cluster.wipe(member.name)
        cluster.until(lambda: cluster.join(member.name), 5.0)
        cluster.until(lambda: member.name in leader.wal.config.voters(), 10.0, "it votes again")
    cluster.settle()
    assert cluster.members[member.name].machine.history == leader.machine.history


def test_a_member_that_was_away_while_all_others_were_exchanged_is_told_who_they_are_now(group: Group) -> None:
    cluster, leader, (away, third) = led(group)
    isolate(cluster, away.name)
    for name in ("d", "e"):
        cluster.add(name)
        isolate(cluster, away.name)
        cluster.until(lambda name=name: cluster.join(name), 5.0)
        cluster.until(lambda name=name: name in cluster.leader().wal.config.voters(), 10.0, f"{name} votes")
    cluster.until(lambda: cluster.remove(third.name), 10.0)
    cluster.run(1.0)
    cluster.transfer()
    cluster.until(lambda: cluster.leader() not in (None, leader), 5.0, "another leader")
    cluster.until(lambda: cluster.remove(leader.name), 10.0)
    fill(cluster, 80)
    for name in (leader.name, third.name):
        cluster.retire(name)
    cluster.network.heal()
    cluster.until(lambda: away.wal.config.voters() == {away.name, "d", "e"}, 20.0, "it knows the members")
    assert cluster.settle().name in (away.name, "d", "e")


def test_the_majority_goes_on_while_a_leader_and_another_are_cut_off_and_all_agree_afterwards(group: Group) -> None:
    cluster, leader, others = led(group, "abcde")
    minority = {leader.name, others[0].name}
    isolate(cluster, *minority)
    lost = [cluster.write(leader.name, "x") for _ in range(5)]
    began = cluster.clock.now
    new = cluster.until(lambda: (one := cluster.leader()) is not leader and one, 5.0)
    body = cluster.write(new.name, "x")
    cluster.until(lambda: cluster.outcomes[body] == "acknowledged", 3.0)
    assert cluster.clock.now - began < 5.0
    cluster.until(lambda: not leader.status.is_leader, 2.0, "the old leader steps down")
    refused = cluster.write(leader.name, "x")
    cluster.run(0.5)
    assert cluster.outcomes[refused] == "refused"
    cluster.settle()
    assert "acknowledged" not in {cluster.outcomes[one] for one in lost}


def test_a_member_whose_removal_of_another_came_to_nothing_follows_that_one(group: Group) -> None:
    cluster, leader, (first, _) = led(group)
    isolate(cluster, leader.name)
    assert cluster.remove(first.name)
    cluster.until(lambda: not leader.status.is_leader, 3.0, "the leader steps down")
    assert leader.wal.config.get(first.name) is None
    cluster.until(lambda: (one := cluster.leader()) is not None and one is not leader, 10.0)
    make_leader(cluster, first.name)
    cluster.network.heal()
    cluster.until(lambda: leader.wal.config.get(first.name) is not None, 5.0, "the removal is taken back")
    assert cluster.settle() is first


def test_a_member_that_missed_the_return_of_another_follows_it(group: Group) -> None:
    cluster, leader, (away, other) = led(group)
    cluster.add("d")
    cluster.until(lambda: cluster.join("d"), 5.0)
    cluster.until(lambda: "d" in leader.wal.config.voters(), 5.0)
    cluster.until(lambda: cluster.remove(other.name), 5.0)
    cluster.until(lambda: away.wal.config.get(other.name) is None, 5.0)
    cluster.run(1.0)
    isolate(cluster, away.name)
    cluster.wipe(other.name)
    isolate(cluster, away.name)
    cluster.until(lambda: cluster.join(other.name), 5.0)
    cluster.until(lambda: other.name in leader.wal.config.voters(), 10.0)
    make_leader(cluster, other.name)
    cluster.network.heal()
    cluster.until(lambda: away.wal.config.get(other.name) is not None, 5.0, "it hears of the return")
    cluster.settle()


def test_a_joiner_that_stopped_in_the_past_of_a_forced_group_catches_up(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has names the old members only, and the leader is none of them."""
    cluster = grown(group)
    for _ in range(2 * WINDOW_MESSAGES):
        cluster.write("a", "x")
        cluster.run(0.1)
    for name in cluster.members:
        cluster.kill(name)
    cluster.force("a")
    cluster.start("a")
    cluster.until(cluster.leader, 5.0)
    for name in ("d", "e"):
        cluster.add(name)
        cluster.until(lambda name=name: cluster.join(name), 5.0)
        cluster.until(lambda name=name: name in cluster.members["a"].wal.config.voters(), 10.0, f"{name} votes")
    late = cluster.add("f")
    monkeypatch.setattr(leader, "BATCH", 30)
    cluster.until(lambda: cluster.join("f"), 5.0)
    while not late.wal.config.members:
        cluster.run(0.0002)
    isolate(cluster, "f")
    cluster.run(0.5)
    assert late.wal.config.epoch == 0
    make_leader(cluster, "d", "e")
    cluster.network.heal()
    cluster.until(lambda: late.wal.config.epoch == 1, 10.0, "the joiner catches up")
    cluster.retire("b")
    cluster.retire("c")
    cluster.settle()
