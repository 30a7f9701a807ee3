# SPDX-License-Identifier: Apache-2.0
"""Members that lack entries which are gone from the leader's log, and what may go wrong while they catch up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtime.raft.group import Group
from runtime.raft.kit import BadDisk, no_space, until
from runtime.sealers import sealer

from queenright.edge.raft import NotLeaderError, RaftError, UnknownOutcomeError
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.incoming import INSTALL_NAME, PART_NAME
from queenright.edge.raft.opening import open_files
from queenright.edge.raft.snapshot import open_snapshot, write_snapshot
from queenright.wire.raft import SnapshotHead

pytestmark = pytest.mark.group

SMALL = {"snapshot_every": 30, "keep_entries": 5}


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    group = Group(tmp_path, **SMALL)
    yield group
    await group.stop_all()


async def put(group: Group, first: int, count: int, among: tuple[str, ...] = ()) -> None:
    """Write through whoever leads, again if that changes meanwhile."""
    for number in range(first, first + count):
        written = False
        while not written:
            leader = await group.leader(among)
            with contextlib.suppress(NotLeaderError, UnknownOutcomeError):
                await leader.propose(b"k%d=v%d" % (number, number))
                written = True


class Tight(BadDisk):
    """Has no room for a new log while ``tight``."""

    def __init__(self) -> None:
        super().__init__()
        self.tight = False
        self.refused = 0

    def write(self, fd: int, data: bytes) -> None:
        if self.tight and os.readlink(f"/proc/self/fd/{fd}").endswith("/log.new"):
            self.refused += 1
            raise no_space()
        super().write(fd, data)

    def room(self, directory: Path) -> int:
        if self.left is not None:
            self.refused += 1
        return super().room(directory)


async def behind(group: Group, disk: Tight) -> None:
    """A group whose m3 was away while 100 entries came, and is back with this disk."""
    await group.form(3)
    await group.stop("m3")
    await put(group, 0, 100)
    group.options["disk"] = disk
    await group.start("m3")
    del group.options["disk"]


@pytest.mark.parametrize("lacking", ["the file", "the new log"])
async def test_a_member_without_room_refuses_and_takes_the_snapshot_when_there_is_room(group, lacking):
    disk = Tight()
    if lacking == "the file":
        disk.left = 10
    else:
        disk.tight = True
    await behind(group, disk)
    await until(lambda: disk.refused >= 2)
    assert group.failures == []
    assert group.machines["m3"].restored_at == 0
    await put(group, 100, 10)
    disk.left, disk.tight = None, False
    await group.equal()
    assert group.machines["m3"].restored_at > 1
    for name in (PART_NAME, INSTALL_NAME):
        assert not (group.directory / "m3" / name).exists()
    await group.stop("m3")
    await group.start("m3")
    await group.equal()
    assert group.failures == []


async def test_entries_of_a_deposed_leader_that_nobody_took_give_way_to_a_snapshot(group):
    leader = await group.form(3)
    await put(group, 0, 10, ("m1",))
    group.fabric.isolate("m1")
    lost = [asyncio.create_task(leader.propose(b"lost%d=1" % number)) for number in range(20)]
    await put(group, 10, 100, ("m2", "m3"))
    outcomes = await asyncio.gather(*lost, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UnknownOutcomeError}
    group.fabric.heal()
    await group.equal()
    assert group.machines["m1"].restored_at > 1
    assert not any(key.startswith(b"lost") for key in group.machines["m1"].data)
    for name in ("m1", "m2", "m3"):
        await group.stop(name)
        await group.start(name)
    await group.equal()
    assert len(group.machines["m1"].data) == 110
    assert group.failures == []


async def test_a_reception_given_up_at_any_moment_leaves_a_member_that_goes_on(group, monkeypatch):
    """While the leader's own sending fails, snapshots are handed to m3 and cancelled at random moments."""
    leader = await group.form(3)
    group.fabric.isolate("m3")
    dice = random.Random(7)
    total = 0
    for _ in range(12):
        await put(group, total, 40, ("m1", "m2"))
        total += 40
        await until(leader._snapshotter.idle.is_set)
        snapshot = open_snapshot(group.directory / "m1" / "snapshot", sealer("m1"))
        content = b"".join(snapshot.clear())
        head = SnapshotHead(0, leader.term, snapshot.index, snapshot.term, snapshot.clear_size)

        async def chunks(content=content) -> AsyncIterator[bytes]:
            for start in range(0, len(content), 500):
                yield content[start : start + 500]

        task = asyncio.create_task(group.log("m3").reception.receive_snapshot("m1", head, chunks()))
        for _ in range(dice.randrange(60)):
            await asyncio.sleep(0)
            await asyncio.sleep(dice.choice([0, 0, 0.001]))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RaftError):
            await task
    group.fabric.heal()
    await group.equal()
    await put(group, total, 40)
    await group.equal()
    await group.stop("m3")
    wal, found = open_files(Disk(), group.directory / "m3", "m3", sealer=sealer("m3"))
    assert found is not None and wal.first_index <= found.index
    wal.close()
    await group.start("m3")
    await group.equal()
    assert len(group.machines["m3"].data) == total + 40
    assert group.failures == []


async def test_writes_go_on_while_a_member_is_sent_a_snapshot(group):
    await group.form(3)
    await group.stop("m3")
    await put(group, 0, 100)
    writing = asyncio.create_task(put(group, 100, 300))
    await group.start("m3")
    await writing
    await group.equal()
    assert len(group.machines["m3"].data) == 400
    assert group.failures == []


async def test_a_joiner_that_replays_the_whole_log_snapshots_nothing_before_it_knows_the_members(group, monkeypatch):
    configs = []

    def noted(disk, path, index, term, config, *rest):
        configs.append(config)
        return write_snapshot(disk, path, index, term, config, *rest)

    monkeypatch.setattr("queenright.edge.raft.snapshotter.write_snapshot", noted)
    monkeypatch.setattr("queenright.edge.raft.applier.SLICE", 0.0)
    group.options["snapshot_every"] = 10_000
    leader = await group.start("m1", founding=True)
    await put(group, 0, 100)
    group.options["snapshot_every"] = 10
    await group.start("m2")
    await leader.add_member("m2", "m2:2377")
    await put(group, 100, 30)
    await group.equal()
    joiner = group.log("m2")
    await until((group.directory / "m2" / "snapshot").exists)
    await until(joiner._snapshotter.idle.is_set)
    found = open_snapshot(group.directory / "m2" / "snapshot", sealer("m2"))
    assert found is not None
    assert [member.id for member in found.config.members] == ["m1", "m2"]
    assert all(config.members for config in configs)
    assert group.failures == []
