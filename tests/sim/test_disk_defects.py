# SPDX-License-Identifier: Apache-2.0
"""Ours loses nothing at whatever moment the power goes, and starts on nothing that is damaged, as
``test_stock_disk.py`` shows."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from queenright.edge.raft.errors import DamagedError, FormatError, InconsistentError
from queenright.edge.raft.frames import FRAME_HEADER_SIZE
from sim.cluster import Cluster
from sim.test_log_defects import isolate, led

Group = Callable[..., Cluster]


def fill(cluster: Cluster, count: int = 60) -> None:
    """Enough writes for snapshots and compactions."""
    for _ in range(count):
        leader = cluster.leader()
        if leader is not None:
            cluster.write(leader.name, "x")
        cluster.run(0.03)


@pytest.mark.parametrize("operation", range(1, 46, 2))
def test_the_power_may_go_in_the_middle_of_any_operation_of_a_compaction(group: Group, operation: int) -> None:
    cluster = group("a", operation)
    cluster.until(cluster.leader)
    fill(cluster, 20)
    member = cluster.members["a"]
    acknowledged = len(cluster.judge.acknowledged)
    member.disk.cut_after = operation
    fill(cluster, 12)
    member.begin_snapshot(at_once=True) if member.up else None
    fill(cluster, 60)
    assert len(cluster.judge.acknowledged) >= acknowledged
    assert operation > 30 or not member.up
    cluster.settle()


@pytest.mark.parametrize("operation", range(1, 30, 2))
def test_the_power_may_go_everywhere_at_once_while_everybody_compacts(group: Group, operation: int) -> None:
    cluster, _, _ = led(group)
    fill(cluster, 22)
    for number, member in enumerate(cluster.members.values()):
        member.disk.cut_after = operation + number
    fill(cluster, 30)
    cluster.settle()


@pytest.mark.parametrize("operation", range(1, 24))
def test_the_power_may_go_in_the_middle_of_any_operation_of_an_installation(group: Group, operation: int) -> None:
    cluster, leader, (away, _) = led(group)
    isolate(cluster, away.name)
    fill(cluster, 90)
    assert leader.wal.first_index > away.wal.last_index
    away.disk.cut_after = operation
    cluster.network.heal()
    cluster.run(3.0)
    assert operation > 14 or any("goes in the middle" in line for line in cluster.judge.trace)
    cluster.settle()
    assert away.machine.history == leader.machine.history


def test_a_damaged_snapshot_is_refused(group: Group) -> None:
    cluster, _, (member, _) = led(group)
    fill(cluster, 60)
    cluster.run(2.0)
    cluster.kill(member.name)
    path = member.disk.directory / "snapshot"
    content = path.read_bytes()
    for damaged in (b"", b"garbage", content[:-1], content[:200] + b"!" + content[201:]):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="snapshot"):
            member.start()
    path.unlink()
    with pytest.raises(InconsistentError):
        member.start()
    path.write_bytes(content)
    cluster.settle()


def test_a_flipped_byte_of_the_log_is_refused(group: Group) -> None:
    cluster, leader, (member, _) = led(group)
    for _ in range(15):
        cluster.write(leader.name, "x")
        cluster.run(0.05)
    cluster.kill(member.name)
    path = member.disk.directory / "log"
    content = path.read_bytes()
    *_, start, _, _ = (found.start() for found in re.finditer(b"qrec", content))
    place = start + FRAME_HEADER_SIZE + 20
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(DamagedError, match="log"):
        member.start()
    path.write_bytes(content)
    cluster.settle()


def test_a_disk_without_room_ends_the_member_and_loses_nothing(group: Group) -> None:
    cluster, leader, _ = led(group)
    leader.disk.full = True
    bodies = [cluster.write(leader.name, "x") for _ in range(5)]
    cluster.run(1.0)
    assert not leader.up
    cluster.until(lambda: cluster.leader() not in (None, leader), 5.0, "another leader")
    assert "acknowledged" not in [cluster.outcomes[body] for body in bodies]
    cluster.settle()
