# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log on disk: what it keeps, what it cuts, what it refuses."""

from __future__ import annotations

import logging
import stat
import struct
import zlib

import pytest
from runtime.raft.kit import BadDisk, no_space, write_first_release
from runtime.sealers import sealer

from queenright.edge.raft import wal_reader
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.errors import DamagedError, InconsistentError, NewerFormatError, UnwritableError
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from queenright.edge.raft.log_format import (
    CLEAR_VERSION,
    COMMIT,
    ENTRY,
    HARD_STATE,
    LOG_MAGIC,
    LOG_VERSION,
    MEMBERS,
    OWNER,
    TRUNCATE,
)
from queenright.edge.raft.members import Config, Member, encode_config
from queenright.wire.raft import Entry

NO_OP = b"\x01"
ALONE = Config.of([Member("m1", "h1:2377")])


def regular(number):
    return b"\x00command %d" % number


class Mode:
    """What the logs of a test are sealed with."""

    sealer = None


@pytest.fixture(autouse=True, params=["clear", "sealed"])
def mode(request, monkeypatch):
    """Every rule holds in clear, as earlier releases wrote it, and sealed."""
    monkeypatch.setattr(Mode, "sealer", sealer("m1") if request.param == "sealed" else None)
    return request.param


def create_wal(disk, path, config, owner=""):
    return wal_reader.create_wal(disk, path, config, owner, Mode.sealer)


def open_wal(disk, path):
    return wal_reader.open_wal(disk, path, Mode.sealer)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def filled(path, batches=4, each=3, disk=None):
    """A log of ``batches`` flushed batches; gives the places in the file where each of them ends."""
    wal = create_wal(disk or Disk(), path, ALONE)
    ends = [path.stat().st_size]
    index = 1
    for batch in range(batches):
        wal.setCurrentTerm(batch + 1, "m1")
        for _ in range(each):
            index += 1
            wal.add(regular(index), index, batch + 1)
        wal.sync()
        ends.append(path.stat().st_size)
    wal.close()
    return ends


def reopened(path):
    wal = open_wal(Disk(), path)
    wal.close()
    return wal


def test_a_new_log_has_the_entry_that_all_members_share(path):
    create_wal(Disk(), path, ALONE).close()
    wal = reopened(path)
    assert list(wal) == [Entry(NO_OP, 1, 0)]
    assert (wal.config, wal.config_index, wal.owner) == (ALONE, 1, "m1")
    assert (wal.getCurrentTerm(), wal.getVotedForNodeId()) == (0, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_entries_term_and_vote_come_back(path):
    filled(path)
    wal = reopened(path)
    assert [entry.idx for entry in wal] == list(range(1, 14))
    assert wal[5] == Entry(regular(6), 6, 2)
    assert (wal.getCurrentTerm(), wal.getVotedForNodeId()) == (4, "m1")
    assert wal.durable_index == wal.last_index == 13


def test_what_was_not_flushed_is_not_durable(path):
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    wal.add(regular(2), 2, 1)
    assert (wal.last_index, wal.durable_index) == (2, 1)
    wal.close()
    assert reopened(path).last_index == 1


def test_a_sync_without_anything_noted_costs_no_flush(path):
    disk = BadDisk()
    wal = create_wal(disk, path, ALONE)
    before = disk.syncs
    wal.sync()
    assert disk.syncs == before
    wal.close()


def test_a_truncation_voids_the_tail_and_new_entries_take_its_place(path):
    filled(path)
    wal = open_wal(Disk(), path)
    wal.deleteEntriesFrom(5)
    assert wal.durable_index == wal.last_index == 5
    wal.setCurrentTerm(9, None)
    wal.add(b"\x00other", 6, 9)
    assert wal.durable_index == 5
    wal.sync()
    wal.close()
    again = reopened(path)
    assert [entry.idx for entry in again] == [1, 2, 3, 4, 5, 6]
    assert again[-1] == Entry(b"\x00other", 6, 9)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (9, None)


def test_compaction_keeps_the_tail_term_vote_and_members_in_a_smaller_file(path):
    filled(path, batches=40)
    before = path.stat().st_size
    wal = open_wal(Disk(), path)
    wal.compact(100)
    assert path.stat().st_size < before / 3
    wal.add(regular(122), 122, 40)
    wal.sync()
    wal.close()
    again = reopened(path)
    assert [entry.idx for entry in again] == list(range(100, 123))
    assert again[0] == Entry(regular(100), 100, 33)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (40, "m1")
    assert (again.config, again.config_index) == (ALONE, 100)


def test_compaction_flushes_what_was_only_noted(path):
    filled(path)
    wal = open_wal(Disk(), path)
    wal.add(regular(14), 14, 4)
    wal.compact(10)
    assert wal.durable_index == 14
    wal.close()
    assert [entry.idx for entry in reopened(path)] == [10, 11, 12, 13, 14]


def test_compaction_never_drops_the_newest_entry_nor_goes_back(path):
    filled(path)
    wal = open_wal(Disk(), path)
    wal.compact(10_000)
    assert [entry.idx for entry in wal] == [13]
    wal.compact(5)
    assert [entry.idx for entry in wal] == [13]
    wal.close()
    assert [entry.idx for entry in reopened(path)] == [13]


def test_the_entries_kept_before_a_snapshot_are_bounded_in_number_and_in_bytes(path, monkeypatch):
    filled(path)
    wal = open_wal(Disk(), path)
    assert wal.first_to_keep(10, 4) == 6
    assert wal.first_to_keep(10, 400) == 1
    assert wal.first_to_keep(10, 0) == 10
    monkeypatch.setattr("queenright.edge.raft.wal.KEEP_BYTES", 3 * len(regular(9)))
    assert wal.first_to_keep(10, 400) == 7
    wal.close()


def test_a_crash_in_the_middle_of_compaction_leaves_the_old_log(path):
    disk = BadDisk()
    filled(path, disk=disk)
    content = path.read_bytes()
    wal = open_wal(disk, path)
    disk.publish_error = no_space()
    with pytest.raises(OSError, match="No space"):
        wal.compact(10)
    wal.close()
    assert path.read_bytes() == content
    assert not path.with_name("log.new").exists()


def test_what_a_killed_compaction_left_behind_is_removed(path):
    filled(path)
    left = path.with_name("log.new")
    left.write_bytes(b"half")
    assert reopened(path).last_index == 13
    assert not left.exists()


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_after_a_failed_write_nothing_is_written_any_more(path, kind):
    disk = BadDisk()
    wal = create_wal(disk, path, ALONE)
    setattr(disk, f"{kind}_error", no_space())
    disk.partial = 7
    wal.setCurrentTerm(1, "m1")
    wal.add(regular(2), 2, 1)
    with pytest.raises(OSError, match="No space"):
        wal.sync()
    disk.write_error = disk.sync_error = None
    size = path.stat().st_size
    with pytest.raises(OSError, match="nothing is written any more"):
        wal.sync()
    assert wal.durable_index == 1
    assert path.stat().st_size == size
    wal.close()


def test_the_log_is_never_cleared(path):
    wal = create_wal(Disk(), path, ALONE)
    with pytest.raises(RuntimeError):
        wal.clear()
    wal.close()


def test_a_torn_tail_is_cut_at_every_byte_and_the_rest_is_kept(path, caplog):
    ends = filled(path)
    content = path.read_bytes()
    whole = [entry.idx for entry in reopened(path)]
    for length in range(ends[0], len(content)):
        path.write_bytes(content[:length])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            wal = reopened(path)
        kept = [entry.idx for entry in wal]
        assert kept == whole[: len(kept)]
        flushed = max(number for number, end in enumerate(ends) if end <= length)
        assert len(kept) >= 1 + 3 * flushed
        cut = length - path.stat().st_size
        assert (f"cut a torn tail of {cut} bytes at byte {path.stat().st_size}" in caplog.text) == (cut > 0)
        assert reopened(path).last_index == kept[-1]


def test_a_log_goes_on_after_a_torn_tail_was_cut(path, mode):
    filled(path)
    path.write_bytes(path.read_bytes()[:-3])
    wal = open_wal(Disk(), path)
    assert wal.last_index == (12 if mode == "clear" else 10), "a flush is sealed as one"
    for index in range(wal.last_index + 1, 14):
        wal.setCurrentTerm(4, "m1")
        wal.add(regular(index), index, 4)
    wal.sync()
    wal.close()
    assert reopened(path)[-1] == Entry(regular(13), 13, 4)


def test_a_flipped_byte_anywhere_is_refused_with_file_and_offset_and_nothing_is_changed(path):
    ends = filled(path)
    content = path.read_bytes()
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(DamagedError) as caught:
            open_wal(Disk(), path)
        assert caught.value.offset <= at
        assert caught.value.offset >= max([0, *(end for end in ends if end <= at)])
        assert f"{path} is damaged at byte {caught.value.offset}" in str(caught.value)
        assert path.read_bytes() == damaged


def test_a_file_that_ends_within_what_was_there_from_the_beginning_is_refused(path):
    ends = filled(path)
    content = path.read_bytes()
    for length in range(ends[0]):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedError):
            open_wal(Disk(), path)


def test_a_tail_that_a_power_cut_left_as_zeros_is_cut(path):
    ends = filled(path)
    content = path.read_bytes()
    for hole in (1, 20, 600, 5000):
        path.write_bytes(content + bytes(hole))
        assert reopened(path).last_index == 13
        assert path.stat().st_size == ends[-1]


def test_a_hole_in_the_last_unflushed_batch_is_cut_with_the_whole_records_behind_it(path):
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    wal.sync()
    start = path.stat().st_size
    for index in range(2, 8):
        wal.add(b"\x00" + b"x" * 2000, index, 1)
    wal.sync()
    wal.close()
    content = bytearray(path.read_bytes())
    hole = (start // 512 + 2) * 512
    content[hole : hole + 512] = bytes(512)
    path.write_bytes(content)
    assert reopened(path).last_index == 1


def test_zeros_in_what_had_been_flushed_are_refused(path):
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    for index in range(2, 5):
        wal.add(b"\x00" + b"x" * 2000, index, 1)
        wal.sync()
    wal.close()
    content = bytearray(path.read_bytes())
    content[1024:1536] = bytes(512)
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        open_wal(Disk(), path)


def test_records_inside_of_a_command_are_not_taken_for_records_of_the_log(path):
    filled(path)
    inner = path.read_bytes()
    path.unlink()
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    wal.add(b"\x00" + inner, 2, 1)
    wal.sync()
    end = path.stat().st_size
    wal.add(b"\x00" + inner, 3, 1)
    wal.sync()
    wal.close()
    path.write_bytes(path.read_bytes()[:-10])
    assert reopened(path).last_index == 2
    assert path.stat().st_size == end


def test_a_log_of_a_newer_format_is_refused_and_left_alone(path):
    filled(path)
    content = path.read_bytes()
    newer = encode_file_header(LOG_MAGIC, LOG_VERSION + 1, 0) + content[FILE_HEADER_SIZE:]
    path.write_bytes(newer)
    with pytest.raises(NewerFormatError, match=rf"{path} has format version {LOG_VERSION + 1}.*newer release"):
        open_wal(Disk(), path)
    assert path.read_bytes() == newer


def test_a_file_of_another_kind_is_refused(path):
    raw = struct.pack("<8sIQ", b"SOMEFILE", 1, 0)
    path.write_bytes(raw + struct.pack("<I", zlib.crc32(raw)))
    with pytest.raises(DamagedError, match="header"):
        open_wal(Disk(), path)


MEMBER_LIST = (MEMBERS, 0, 0, encode_config(ALONE))


@pytest.mark.parametrize(
    ("records", "what"),
    [
        ([MEMBER_LIST], "no entry"),
        ([MEMBER_LIST, (ENTRY, 1, 0, NO_OP), (ENTRY, 3, 0, NO_OP)], "entry 3 follows entry 1"),
        ([MEMBER_LIST, (ENTRY, 1, 0, NO_OP), (ENTRY, 1, 0, NO_OP)], "entry 1 follows entry 1"),
        ([MEMBER_LIST, (ENTRY, 1, 2, NO_OP)], "an entry of term 2 stands in the log of term 0"),
        (
            [(HARD_STATE, 5, 0, b""), (ENTRY, 1, 5, NO_OP), (ENTRY, 2, 4, NO_OP)],
            "an entry of term 4 follows one of term 5",
        ),
        ([(HARD_STATE, 5, 0, b""), (HARD_STATE, 4, 0, b"")], "term 4 follows term 5"),
        ([(ENTRY, 1, 0, b"\x07what")], "entry 1 is of an unknown type"),
        ([(ENTRY, 1, 0, b"")], "entry 1 is of an unknown type"),
        ([(ENTRY, 1, 0, NO_OP), (TRUNCATE, 1, 0, b"")], "voids entry 1"),
        ([(TRUNCATE, 2, 0, b"")], "voids entry 2"),
        ([(77, 0, 0, b"")], "unknown kind of record 77"),
        ([(MEMBERS, 0, 0, b"{")], "list of members"),
        ([(MEMBERS, 0, 0, b"[1]")], "list of members"),
        ([(ENTRY, 1, 0, NO_OP)], "no list of members"),
        ([(ENTRY, 1, 0, NO_OP), MEMBER_LIST], "kind 4 follows an entry"),
        ([(ENTRY, 1, 0, NO_OP), (OWNER, 0, 0, b"m1")], "kind 5 follows an entry"),
        ([(ENTRY, 1, 0, b"\x02{}")], "list of members"),
        ([(COMMIT, 1, 0, b"")], "entry 1 is said to be committed"),
        ([(ENTRY, 1, 0, NO_OP), (COMMIT, 2, 0, b"")], "entry 2 is said to be committed"),
        ([(ENTRY, 1, 0, NO_OP), (ENTRY, 2, 0, NO_OP), (COMMIT, 2, 0, b""), (COMMIT, 1, 0, b"")], "after entry 2 was"),
        ([(ENTRY, 1, 0, NO_OP), (ENTRY, 2, 0, NO_OP), (COMMIT, 2, 0, b""), (TRUNCATE, 2, 0, b"")], "committed"),
    ],
)
def test_whole_records_in_an_impossible_order_are_refused(path, records, what):
    content = bytearray(encode_file_header(LOG_MAGIC, CLEAR_VERSION, 0))
    for kind, a, b, body in records:
        content += encode_frame(kind, a, b, body, offset=len(content), durable=0)
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=what):
        open_wal(Disk(), path)


# Members.

PAIR = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377")])
TRIO = Config.of([*PAIR.members, Member("m3", "h3:2377", voter=False)])


def members_entry(config):
    return b"\x02" + encode_config(config)


def with_changes(path):
    """Entries 1 to 9; 4 and 7 change the members."""
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    for index in range(2, 10):
        wal.add({4: members_entry(PAIR), 7: members_entry(TRIO)}.get(index, regular(index)), index, 1)
    wal.sync()
    return wal


def known(wal):
    return wal.config, wal.config_index, wal.base


def test_the_newest_list_of_members_counts_from_the_moment_it_is_added(path):
    wal = create_wal(Disk(), path, ALONE)
    wal.setCurrentTerm(1, "m1")
    wal.add(members_entry(PAIR), 2, 1)
    assert known(wal) == (PAIR, 2, ALONE)
    wal.close()
    assert known(reopened(path)) == (ALONE, 1, ALONE), "it was not flushed"
    with_changes(path).close()
    assert known(reopened(path)) == (TRIO, 7, ALONE)


@pytest.mark.parametrize(("first_gone", "expected"), [(9, (TRIO, 7)), (7, (PAIR, 4)), (5, (PAIR, 4)), (4, (ALONE, 1))])
def test_a_truncation_takes_the_change_of_members_back(path, first_gone, expected):
    wal = with_changes(path)
    wal.deleteEntriesFrom(first_gone - 1)
    assert known(wal) == (*expected, ALONE)
    wal.add(regular(first_gone), first_gone, 1)
    wal.sync()
    wal.close()
    assert known(reopened(path)) == (*expected, ALONE)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (3, (TRIO, 7, ALONE)),
        (4, (TRIO, 7, PAIR)),
        (6, (TRIO, 7, PAIR)),
        (7, (TRIO, 7, TRIO)),
        (9, (TRIO, 9, TRIO)),
    ],
)
def test_after_a_compaction_the_base_is_what_counted_at_the_first_kept_entry(path, first, expected):
    wal = with_changes(path)
    wal.compact(first)
    assert known(wal) == expected
    if first < 7:
        wal.deleteEntriesFrom(7 - first)
        assert wal.config == PAIR
    wal.close()
    assert known(reopened(path)) == expected


def test_a_joiner_begins_with_nobody_and_its_log_is_its_own(path):
    create_wal(Disk(), path, Config(), "m9").close()
    wal = reopened(path)
    assert (wal.config, wal.owner, list(wal)) == (Config(), "m9", [Entry(NO_OP, 1, 0)])


def test_a_list_of_members_that_cannot_be_read_is_not_added(path):
    wal = create_wal(Disk(), path, ALONE)
    with pytest.raises(ValueError, match="list of members"):
        wal.add(b"\x02{}", 2, 0)
    assert wal.last_index == 1
    wal.sync()
    wal.close()
    assert reopened(path).last_index == 1


# The log of the first release.

FIRST_ENTRIES = [Entry(NO_OP, 1, 0), Entry(NO_OP, 2, 3), Entry(regular(3), 3, 3)]


def test_a_log_of_the_first_release_goes_on_in_the_present_format(path, mode):
    write_first_release(path, FIRST_ENTRIES, term=3, vote="m1", members=["m1"])
    content = path.read_bytes()
    wal = open_wal(Disk(), path)
    assert (list(wal), wal.config.members, wal.owner) == (FIRST_ENTRIES, (Member("m1"),), "m1")
    assert (wal.getCurrentTerm(), wal.getVotedForNodeId()) == (3, "m1")
    wal.sync()
    assert path.read_bytes() == content, "without need it stays as it is"
    wal.add(members_entry(PAIR), 4, 3)
    wal.setRaftCommitIndex(3)
    wal.sync()
    assert wal.durable_index == 4
    wal.add(regular(5), 5, 3)
    wal.sync()
    wal.close()
    version = 2 if mode == "clear" else 3
    assert path.read_bytes()[8:12] == struct.pack("<I", version), "an older release refuses it by its version"
    again = reopened(path)
    assert (again.last_index, again.config, again.owner, again.getRaftCommitIndex()) == (5, PAIR, "m1", 3)


def test_a_log_of_the_first_release_stays_when_there_is_no_room_for_the_present_format(path):
    write_first_release(path, FIRST_ENTRIES, term=3, vote="m1", members=["m1"])
    content = path.read_bytes()
    disk = BadDisk()
    wal = open_wal(disk, path)
    disk.write_error = no_space()
    wal.add(regular(4), 4, 3)
    with pytest.raises(UnwritableError, match=r"log\.new cannot be written"):
        wal.sync()
    assert wal.broken
    wal.close()
    assert path.read_bytes() == content


# A snapshot in the place of the log's beginning.


def test_a_reset_keeps_what_follows_the_snapshot_only_if_its_entry_is_in_the_log(path):
    wal = with_changes(path)
    wal.reset(5, 1, PAIR, keep_after=True)
    assert [entry.idx for entry in wal] == [5, 6, 7, 8, 9]
    assert known(wal) == (TRIO, 7, PAIR)
    assert wal.entry(5).command == regular(5)
    wal.reset(7, 2, ALONE, keep_after=True)
    assert (list(wal), known(wal)) == ([Entry(NO_OP, 7, 2)], (ALONE, 7, ALONE))
    wal.close()
    again = reopened(path)
    assert (list(again), known(again)) == ([Entry(NO_OP, 7, 2)], (ALONE, 7, ALONE))
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (2, None), "the term rose with the entry's"


def test_a_reset_without_keeping_leaves_the_entry_alone(path):
    wal = with_changes(path)
    wal.reset(8, 1, TRIO, keep_after=False)
    assert [entry.idx for entry in wal] == [8]
    wal.close()
    assert [entry.idx for entry in reopened(path)] == [8]


def test_a_reset_beyond_the_end_begins_anew_and_keeps_term_and_vote(path):
    wal = with_changes(path)
    wal.setCurrentTerm(6, "m2")
    wal.add(regular(10), 10, 6)
    wal.reset(100, 5, TRIO, keep_after=True)
    assert (wal.first_index, wal.last_index, wal.durable_index) == (100, 100, 100)
    wal.add(regular(101), 101, 6)
    wal.sync()
    wal.close()
    again = reopened(path)
    assert list(again) == [Entry(NO_OP, 100, 5), Entry(regular(101), 101, 6)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId(), again.owner) == (6, "m2", "m1")


def test_a_reset_flushes_what_was_only_noted(path):
    wal = with_changes(path)
    wal.add(regular(10), 10, 1)
    wal.reset(9, 1, TRIO, keep_after=True)
    assert wal.durable_index == 10
    wal.close()
    assert [entry.idx for entry in reopened(path)] == [9, 10]


def test_a_reset_that_cannot_be_written_leaves_the_log_as_it_was(path):
    disk = BadDisk()
    with_changes(path).close()
    content = path.read_bytes()
    wal = open_wal(disk, path)
    before = (list(wal), *known(wal))
    for kind in ("write", "sync"):
        setattr(disk, f"{kind}_error", no_space())
        with pytest.raises(UnwritableError, match="free some space"):
            wal.reset(100, 5, PAIR, keep_after=True)
        setattr(disk, f"{kind}_error", None)
        assert (list(wal), *known(wal)) == before
    assert (path.read_bytes(), wal.broken) == (content, False)
    wal.add(regular(10), 10, 1)
    wal.sync()
    wal.close()
    assert reopened(path).last_index == 10


def test_which_entries_are_there(path):
    wal = with_changes(path)
    wal.compact(3)
    assert [wal.contains(index, 1) for index in (2, 3, 9, 10)] == [False, True, True, False]
    assert not wal.contains(5, 2)
    wal.close()


# What is known to be committed.


def test_the_commit_index_goes_to_disk_with_the_next_flush_and_costs_none(path):
    disk = BadDisk()
    with_changes(path).close()
    wal = open_wal(disk, path)
    before = disk.syncs
    wal.setRaftCommitIndex(5)
    wal.sync()
    assert disk.syncs == before
    wal.add(regular(10), 10, 1)
    wal.sync()
    assert disk.syncs == before + 1
    wal.setRaftCommitIndex(3)
    assert wal.getRaftCommitIndex() == 5
    wal.close()
    assert reopened(path).getRaftCommitIndex() == 5


def test_the_commit_index_of_the_end_is_kept_by_a_close(path):
    wal = with_changes(path)
    wal.setRaftCommitIndex(100)
    assert wal.getRaftCommitIndex() == 9
    wal.close()
    wal = open_wal(Disk(), path)
    assert wal.getRaftCommitIndex() == 9
    wal.compact(6)
    wal.close()
    assert reopened(path).getRaftCommitIndex() == 9


def test_without_a_hint_the_first_entry_is_committed(path):
    filled(path)
    wal = open_wal(Disk(), path)
    wal.compact(8)
    assert wal.getRaftCommitIndex() == 8
    wal.close()
    assert reopened(path).getRaftCommitIndex() == 8


def test_committed_entries_are_never_voided(path):
    wal = with_changes(path)
    wal.setRaftCommitIndex(6)
    with pytest.raises(InconsistentError, match="entry 6 is committed"):
        wal.deleteEntriesFrom(5)
    assert wal.last_index == 9
    wal.deleteEntriesFrom(6)
    with pytest.raises(InconsistentError, match="another history"):
        wal.reset(5, 9, PAIR, keep_after=True)
    with pytest.raises(ValueError, match="first entry"):
        wal.deleteEntriesFrom(0)
    assert wal.last_index == 6
    wal.close()


# Disks that are full.


def test_a_full_disk_is_told_with_the_file_and_what_to_do(path):
    disk = BadDisk()
    wal = create_wal(disk, path, ALONE)
    disk.write_error = no_space()
    wal.add(regular(2), 2, 0)
    with pytest.raises(UnwritableError) as caught:
        wal.sync()
    assert str(caught.value) == (
        f"[Errno 28] {path} cannot be written (No space left on device): free some space in {path.parent}, then restart"
    )
    assert (caught.value.errno, caught.value.no_room, wal.broken) == (28, True, True)
    wal.close()


def test_a_log_that_cannot_be_shortened_for_want_of_room_goes_on(path, caplog):
    disk = BadDisk()
    filled(path)
    wal = open_wal(disk, path)
    for kind in ("write", "sync"):
        setattr(disk, f"{kind}_error", no_space())
        wal.compact(10)
        setattr(disk, f"{kind}_error", None)
        assert f"{path} is not shortened" in caplog.text
        caplog.clear()
    assert (wal.first_index, wal.broken) == (1, False)
    wal.add(regular(14), 14, 4)
    wal.sync()
    wal.compact(10)
    assert wal.first_index == 10
    wal.close()
    assert [entry.idx for entry in reopened(path)] == [10, 11, 12, 13, 14]


def test_ten_thousand_entries_are_one_write_and_one_flush(path):
    class Counting(BadDisk):
        writes = 0

        def write(self, fd, data):
            self.writes += 1
            super().write(fd, data)

    disk = Counting()
    wal = create_wal(disk, path, ALONE)
    wal.setCurrentTerm(1, "m1")
    before = (disk.writes, disk.syncs)
    for index in range(2, 10_002):
        wal.add(b"\x00" + b"x" * 1024, index, 1)
    wal.sync()
    assert (disk.writes, disk.syncs) == (before[0] + 1, before[1] + 1)
    wal.close()
    assert reopened(path).last_index == 10_001
