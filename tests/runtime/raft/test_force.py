# SPDX-License-Identifier: Apache-2.0
"""A survivor is made the only member of its group: everything stays, the old majority is told apart."""

from __future__ import annotations

import functools
import shutil

import pytest
from runtime.raft.disks import CutDisk, PowerCut
from runtime.raft.kit import BadDisk, Machine, no_space, running, write_first_release
from runtime.sealers import sealer

from queenright.edge.raft import force
from queenright.edge.raft.disk import DirectoryLock, Disk
from queenright.edge.raft.errors import DamagedError, InconsistentError, LockedError, UnwritableError
from queenright.edge.raft.log_format import FIRST, State, write_log
from queenright.edge.raft.members import Config, Member, encode_config, parse_config
from queenright.edge.raft.opening import open_files
from queenright.edge.raft.snapshot import write_snapshot
from queenright.wire.raft import Entry

GROUP = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377"), Member("m3", "h3:2377")], epoch=4)
ALONE = Config.of([Member("m2", "h9:2377")], epoch=5)


SEALER = sealer("m2")
force_new_cluster = functools.partial(force.force_new_cluster, sealer=SEALER)


def entry(index, term):
    return Entry(b"\x00k%d=v" % index, index, term)


def survivor(directory, entries=None, base=GROUP, owner="m2"):
    directory.mkdir()
    entries = entries or [entry(index, 2) for index in range(5, 20)]
    fd = write_log(Disk(), directory / "log", State(entries, 6, "m1", base, owner), SEALER).fd
    Disk().sync(fd)
    if entries[0].idx > 1:
        write_snapshot(
            Disk(), directory / "snapshot", 10, 2, base, [b"k%d=v" % number for number in range(5)], sealer=SEALER
        )
    return entries


def found(directory):
    wal, snapshot = open_files(Disk(), directory, "m2", sealer=SEALER)
    wal.close()
    return list(wal), wal.config, wal.getCurrentTerm(), wal.getVotedForNodeId(), snapshot.index if snapshot else None


def test_everything_stays_and_the_new_list_of_members_is_the_newest_entry(tmp_path):
    entries = survivor(tmp_path / "m2")
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    kept, config, term, vote, snapshot = found(tmp_path / "m2")
    assert kept == [*entries, Entry(b"\x02" + encode_config(ALONE), 20, 7)]
    assert (config, term, vote, snapshot) == (ALONE, 7, None, 10)
    assert parse_config(kept[-1].command[1:]) == ALONE
    wal, _ = open_files(Disk(), tmp_path / "m2", "m2", sealer=SEALER)
    assert (wal.base, wal.config_index) == (GROUP, 20)
    wal.close()


def test_a_change_of_members_that_was_under_way_is_overruled(tmp_path):
    pending = Entry(b"\x02" + encode_config(GROUP.with_member(Member("m4", "h4:2377", voter=False))), 20, 3)
    survivor(tmp_path / "m2", [*(entry(index, 2) for index in range(5, 20)), pending])
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    assert found(tmp_path / "m2")[1] == ALONE


def test_repeated_before_a_start_nothing_changes(tmp_path):
    survivor(tmp_path / "m2")
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    content = (tmp_path / "m2" / "log").read_bytes()
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    assert (tmp_path / "m2" / "log").read_bytes() == content


def test_repeated_with_another_address_the_address_changes(tmp_path):
    survivor(tmp_path / "m2")
    force_new_cluster(tmp_path / "m2", "m2", "h8:2377")
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    assert found(tmp_path / "m2")[1].members == ALONE.members


async def test_the_forced_member_leads_and_holds_what_was_not_committed_too(tmp_path):
    survivor(tmp_path / "m2")
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    machine = Machine()
    async with running(tmp_path / "m2", machine, member_id="m2") as log:
        assert log.is_leader
        assert (log.reception.epoch, log.members()) == (5, ALONE.members)
        assert machine.data == {b"k%d" % number: b"v" for number in [*range(5), *range(11, 20)]}
        await log.propose(b"more=1")
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    _, config, *_ = found(tmp_path / "m2")
    assert config.epoch == 6, "it was used since, so it is forced anew"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
def test_a_power_cut_in_any_step_leaves_the_old_log_or_the_new_one(tmp_path, late, forgets):
    survivor(tmp_path / "m2")
    before = found(tmp_path / "m2")
    shutil.copytree(tmp_path / "m2", tmp_path / "done")
    force_new_cluster(tmp_path / "done", "m2", "h9:2377")
    after = found(tmp_path / "done")
    seen = []
    for at in range(100):
        work, left = tmp_path / f"work{at}", tmp_path / f"left{at}"
        shutil.copytree(tmp_path / "m2", work)
        try:
            force_new_cluster(work, "m2", "h9:2377", CutDisk(work, left, at, late=late, forgets=forgets))
        except PowerCut:
            seen.append(found(left))
            assert seen[-1] in (before, after)
            force_new_cluster(left, "m2", "h9:2377")
            assert found(left) == after
        else:
            break
    assert before in seen
    assert (after in seen) == late


def test_a_log_of_the_first_release_is_forced_as_well(tmp_path):
    (tmp_path / "m2").mkdir()
    write_first_release(tmp_path / "m2" / "log", [FIRST, entry(2, 1), entry(3, 1)], term=1, vote="m2", members=["m2"])
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    kept, config, term, *_ = found(tmp_path / "m2")
    assert (len(kept), term) == (4, 2)
    assert config == Config.of([Member("m2", "h9:2377")], epoch=1)


def unchanged(directory, error, match, member_id="m2", disk=None):
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}
    with pytest.raises(error, match=match):
        force_new_cluster(directory, member_id, "h9:2377", disk)
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"} == before


def test_another_members_directory_is_refused(tmp_path):
    survivor(tmp_path / "m2", owner="m1")
    unchanged(tmp_path / "m2", InconsistentError, "belongs to raft member m1, not to m2")


def test_a_member_that_was_removed_is_refused(tmp_path):
    survivor(tmp_path / "m2", base=GROUP.without("m2"))
    unchanged(tmp_path / "m2", InconsistentError, r"m2 was removed from its group \(m1, m3\). Force .* on one of those")


def test_a_member_that_was_told_nothing_is_refused(tmp_path):
    survivor(tmp_path / "m2", [FIRST], base=Config())
    unchanged(tmp_path / "m2", InconsistentError, "holds nothing of a group yet")


def test_a_node_without_a_log_is_refused(tmp_path):
    with pytest.raises(InconsistentError, match="no manager's state to go on from"):
        force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    assert not (tmp_path / "m2").exists()
    (tmp_path / "m2").mkdir()
    unchanged(tmp_path / "m2", InconsistentError, "log is missing")


def test_a_running_daemon_is_refused(tmp_path):
    survivor(tmp_path / "m2")
    lock = DirectoryLock(tmp_path / "m2" / "lock")
    unchanged(tmp_path / "m2", LockedError, "in use by another queenright daemon")
    lock.release()


def test_a_damaged_log_is_refused(tmp_path):
    survivor(tmp_path / "m2")
    path = tmp_path / "m2" / "log"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    unchanged(tmp_path / "m2", DamagedError, r"log is damaged at byte \d+")


def test_a_full_disk_is_told_and_changes_nothing(tmp_path):
    survivor(tmp_path / "m2")
    disk = BadDisk()
    disk.write_error = no_space()
    unchanged(tmp_path / "m2", UnwritableError, "log.new cannot be written .*: free some space in", disk=disk)
    force_new_cluster(tmp_path / "m2", "m2", "h9:2377")
    assert found(tmp_path / "m2")[1] == ALONE
