# SPDX-License-Identifier: Apache-2.0
"""Snapshots, compaction and what a start makes of the files it finds."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from runtime.raft.kit import Machine, make, raft_threads, running, until
from runtime.sealers import sealer

from queenright.edge.raft import DamagedError, InconsistentError, NewerFormatError, SealError
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header
from queenright.edge.raft.log_format import FIRST, LOG_MAGIC, LOG_VERSION, State, write_log
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.snapshot import open_snapshot
from queenright.edge.raft.wal_reader import open_wal
from queenright.wire.raft import Entry

SMALL = {"snapshot_every": 20, "keep_entries": 5}


def stored(directory):
    wal = open_wal(Disk(), directory / "log", sealer())
    wal.close()
    return wal


async def fill(log, count, begin=0):
    for number in range(begin, begin + count):
        await log.propose(b"k%d=v%d" % (number, number))


def expected(count):
    return {b"k%d" % number: b"v%d" % number for number in range(count)}


async def with_snapshot(directory, count=50):
    """A stopped log with a snapshot and a compacted log."""
    machine = Machine()
    async with running(directory, machine, **SMALL) as log:
        await fill(log, count)
        await until(log._snapshotter.idle.is_set)
        await log.barrier()
    assert machine.freezes >= 1
    return machine


async def test_snapshot_and_log_together_bring_everything_back(tmp_path):
    await with_snapshot(tmp_path, 107)
    machine = Machine()
    async with running(tmp_path, machine, **SMALL):
        assert machine.data == expected(107)
        assert machine.restored_at >= 20
        assert min(machine.applied) == machine.restored_at + 1


async def test_the_log_keeps_some_entries_before_the_snapshot_and_no_more(tmp_path):
    await with_snapshot(tmp_path, 200)
    machine = Machine()
    async with running(tmp_path, machine):
        pass
    log = stored(tmp_path)
    assert log.first_index == machine.restored_at - 5
    assert log.last_index < 210


async def test_compaction_goes_on_over_many_rounds(tmp_path):
    total = 0
    for _ in range(5):
        async with running(tmp_path, Machine(), **SMALL) as log:
            await fill(log, 45, total)
            total += 45
    machine = Machine()
    async with running(tmp_path, machine, **SMALL):
        assert machine.data == expected(total)
        assert machine.restored_at > total / 2
    assert len(stored(tmp_path)) < 100


async def test_proposals_go_on_while_a_snapshot_is_written(tmp_path):
    machine = Machine()
    machine.hold.clear()
    async with running(tmp_path, machine, **SMALL) as log:
        await fill(log, 100)
        assert machine.freezes == 1
        assert raft_threads() == ["raft", "raft-snapshot"]
        machine.hold.set()
        await until((tmp_path / "snapshot").exists)
    again = Machine()
    async with running(tmp_path, again, **SMALL):
        assert again.data == expected(100)


async def test_a_snapshot_holds_the_state_of_its_moment(tmp_path):
    machine = Machine()
    machine.hold.clear()
    async with running(tmp_path, machine, snapshot_every=20, keep_entries=0) as log:
        await fill(log, 30)
        await log.propose(b"k0=changed")
        machine.hold.set()
        await until((tmp_path / "snapshot").exists)
    again = Machine()
    async with running(tmp_path, again):
        assert again.restored_at <= 25
        assert again.data == {**expected(30), b"k0": b"changed"}


async def test_a_stop_gives_up_a_snapshot_under_way_and_keeps_the_old_one(tmp_path):
    await with_snapshot(tmp_path)
    before = (tmp_path / "snapshot").read_bytes()
    machine = Machine()
    log = make(tmp_path, machine, **SMALL)
    await log.start()
    machine.hold.clear()
    await fill(log, 60, 50)
    await until(lambda: "raft-snapshot" in raft_threads())
    stop = asyncio.create_task(log.stop())
    await asyncio.sleep(0.05)
    machine.hold.set()
    await stop
    await until(lambda: raft_threads() == [])
    assert (tmp_path / "snapshot").read_bytes() == before
    assert not (tmp_path / "snapshot.new").exists()
    async with running(tmp_path, again := Machine()):
        assert again.data == expected(110)


async def test_many_bytes_bring_a_snapshot_before_many_entries_do(tmp_path, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.snapshotter.LEAST_BYTES", 100_000)
    machine = Machine()
    async with running(tmp_path, machine) as log:
        for number in range(30):
            await log.propose(b"k%d=" % (number % 3) + b"x" * 10_000)
        await until((tmp_path / "snapshot").exists)
    assert machine.freezes >= 1


async def test_a_crash_between_snapshot_and_compaction_loses_nothing(tmp_path):
    await with_snapshot(tmp_path / "a", 50)
    async with running(tmp_path / "b") as log:  # the same history, never compacted
        await fill(log, 50)
    shutil.copy(tmp_path / "a" / "snapshot", tmp_path / "b" / "snapshot")
    machine = Machine()
    async with running(tmp_path / "b", machine):
        assert machine.restored_at >= 20
        assert machine.data == expected(50)
        assert min(machine.applied) == machine.restored_at + 1


async def refused(directory, error, match, member_id="m1", **options):
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}
    with pytest.raises(error, match=match):
        await make(directory, member_id=member_id, **options).start()
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"} == before
    assert raft_threads() == []


async def test_a_missing_log_beside_a_snapshot_is_refused(tmp_path):
    await with_snapshot(tmp_path)
    (tmp_path / "log").unlink()
    await refused(tmp_path, InconsistentError, "log is missing")


async def test_a_missing_snapshot_before_a_compacted_log_is_refused(tmp_path):
    await with_snapshot(tmp_path)
    (tmp_path / "snapshot").unlink()
    await refused(tmp_path, InconsistentError, "there is no snapshot")


async def test_a_log_older_than_its_snapshot_is_refused(tmp_path):
    async with running(tmp_path) as log:
        await fill(log, 3)
    old = (tmp_path / "log").read_bytes()
    await with_snapshot(tmp_path)
    (tmp_path / "log").write_bytes(old)
    await refused(tmp_path, InconsistentError, "replaced by an older one")


async def test_a_snapshot_older_than_the_log_reaches_back_is_refused(tmp_path):
    await with_snapshot(tmp_path, 30)
    old = (tmp_path / "snapshot").read_bytes()
    await with_snapshot(tmp_path, 100)
    (tmp_path / "snapshot").write_bytes(old)
    await refused(tmp_path, InconsistentError, "begins at entry")


async def test_a_log_and_a_snapshot_of_different_histories_are_refused(tmp_path):
    await with_snapshot(tmp_path / "a", 50)
    for _ in range(3):
        async with running(tmp_path / "b"):
            pass
    async with running(tmp_path / "b") as log:
        await fill(log, 50)
    shutil.copy(tmp_path / "a" / "snapshot", tmp_path / "b" / "snapshot")
    await refused(tmp_path / "b", InconsistentError, "different histories")


async def test_another_members_directory_is_refused(tmp_path):
    async with running(tmp_path):
        pass
    await refused(tmp_path, SealError, "log was sealed for another node than m2", member_id="m2")


async def test_another_members_directory_that_an_earlier_release_left_in_clear_is_refused(tmp_path):
    async with running(tmp_path, sealer=None):
        pass
    await refused(tmp_path, InconsistentError, "belongs to raft member m1, not to m2", member_id="m2")


async def test_a_member_whose_own_log_does_not_name_it_yet_starts_and_waits(tmp_path):
    group = Config.of([Member("m2", "h2:2377"), Member("m3", "h3:2377")])
    fd = write_log(Disk(), tmp_path / "log", State([FIRST], 0, None, group, "m1")).fd
    Disk().sync(fd)
    async with running(tmp_path) as log:
        assert not log.is_leader
        assert log.members() == group.members
    await refused(tmp_path, InconsistentError, "belongs to raft member m1, not to m2", member_id="m2")


async def test_a_damaged_snapshot_is_refused(tmp_path):
    await with_snapshot(tmp_path)
    content = bytearray((tmp_path / "snapshot").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "snapshot").write_bytes(content)
    await refused(tmp_path, DamagedError, r"snapshot is damaged at byte \d+")


async def test_a_damaged_log_is_refused(tmp_path):
    await with_snapshot(tmp_path)
    content = bytearray((tmp_path / "log").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "log").write_bytes(content)
    await refused(tmp_path, DamagedError, r"log is damaged at byte \d+")


async def test_a_log_of_a_newer_release_is_refused(tmp_path):
    async with running(tmp_path):
        pass
    content = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(encode_file_header(LOG_MAGIC, LOG_VERSION + 1, 0) + content[FILE_HEADER_SIZE:])
    await refused(tmp_path, NewerFormatError, "newer release")


async def test_a_torn_tail_does_not_stop_the_start(tmp_path):
    async with running(tmp_path) as log:
        await fill(log, 10)
    with (tmp_path / "log").open("ab") as file:
        file.write(b"qrec\x01torn")
    machine = Machine()
    async with running(tmp_path, machine):
        assert machine.data == expected(10)


async def test_a_member_without_a_leader_shows_what_it_knew_to_be_committed(tmp_path):
    group = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377"), Member("m3", "h3:2377")])
    entries = [FIRST, *(Entry(b"\x00k%d=v" % index, index, 1) for index in range(2, 12))]
    fd = write_log(Disk(), tmp_path / "log", State(entries, 1, None, group, "m1", commit=8)).fd
    Disk().sync(fd)
    machine = Machine()
    async with running(tmp_path, machine) as log:
        await until(lambda: log.applied_index == 8)
        assert (log.is_leader, log.has_quorum) == (False, False)
        assert machine.data == {b"k%d" % index: b"v" for index in range(2, 9)}
    assert stored(tmp_path).getRaftCommitIndex() == 8


async def test_a_snapshot_names_the_members_as_of_its_entry(tmp_path):
    async with running(tmp_path, addr="h1:2377", **SMALL) as log:
        await fill(log, 30)
        await until((tmp_path / "snapshot").exists)
        await until(log._snapshotter.idle.is_set)
    found = open_snapshot(tmp_path / "snapshot", sealer())
    assert found.config == Config.of([Member("m1", "h1:2377")])
