# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log on disk: what it keeps, what it cuts, what it refuses."""

from __future__ import annotations

import logging
import stat
import struct
import zlib

import pytest
from runtime.raft.kit import BadDisk, no_space

from queenright.edge.raft.disk import Disk
from queenright.edge.raft.errors import DamagedError, NewerFormatError
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from queenright.edge.raft.log_format import (
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
from queenright.edge.raft.wal_reader import create_wal, open_wal
from queenright.wire.raft import Entry

NO_OP = b"\x01"
ALONE = Config.of([Member("m1", "h1:2377")])


def regular(number):
    return b"\x00command %d" % number


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


def test_a_log_goes_on_after_a_torn_tail_was_cut(path):
    filled(path)
    path.write_bytes(path.read_bytes()[:-3])
    wal = open_wal(Disk(), path)
    assert wal.last_index == 12
    wal.add(regular(13), 13, 4)
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
    content = bytearray(encode_file_header(LOG_MAGIC, LOG_VERSION, 0))
    for kind, a, b, body in records:
        content += encode_frame(kind, a, b, body, offset=len(content), durable=0)
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=what):
        open_wal(Disk(), path)
