# SPDX-License-Identifier: Apache-2.0
"""The snapshot file."""

from __future__ import annotations

import os
import stat

import pytest
from runtime.raft.kit import BadDisk, no_space
from runtime.sealers import sealer

from queenright.edge.raft import snapshot
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.errors import DamagedError, NewerFormatError
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from queenright.edge.raft.members import Config, Member, encode_config
from queenright.edge.raft.snapshot import SnapshotCancelledError, peek_index
from queenright.edge.raft.snapshot_format import CLEAR_VERSION, END, META, RECORD, SNAPSHOT_MAGIC, SNAPSHOT_VERSION

MEMBERS = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377", voter=False)], epoch=3)
RECORDS = [b"one", b"", b"three" * 100]


class Mode:
    """What the snapshots of a test are sealed with."""

    sealer = None


@pytest.fixture(autouse=True, params=["clear", "sealed"])
def mode(request, monkeypatch):
    monkeypatch.setattr(Mode, "sealer", sealer("m1") if request.param == "sealed" else None)
    return request.param


def write_snapshot(*args, **options):
    return snapshot.write_snapshot(*args, sealer=Mode.sealer, **options)


def open_snapshot(path):
    return snapshot.open_snapshot(path, Mode.sealer)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "snapshot"


def write(path, records=RECORDS, index=42, disk=None, **options):
    return write_snapshot(disk or Disk(), path, index, 7, MEMBERS, records, **options)


def test_a_snapshot_comes_back_as_it_was_written(path):
    written = write(path)
    read = open_snapshot(path)
    assert read == written
    assert (read.index, read.term, read.config, read.count) == (42, 7, MEMBERS, 3)
    assert read.size == path.stat().st_size
    assert list(read.records()) == RECORDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_snapshot_of_many_megabytes_is_written_in_pieces_with_flushes_between(path):
    disk = BadDisk()
    records = [bytes([number % 251]) * 100_000 for number in range(200)]
    write(path, records, disk=disk)
    assert disk.syncs >= 3
    assert list(open_snapshot(path).records()) == records


def test_an_empty_state_has_a_snapshot_too(path):
    write(path, [])
    assert list(open_snapshot(path).records()) == []


def test_no_snapshot_is_no_error(path):
    assert open_snapshot(path) is None


def test_a_truncated_snapshot_is_refused_at_every_byte(path):
    write(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedError, match=str(path)):
            open_snapshot(path)


def test_a_flipped_byte_anywhere_is_refused(path):
    write(path)
    content = path.read_bytes()
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DamagedError) as caught:
            open_snapshot(path)
        assert caught.value.offset <= at


def test_bytes_behind_the_footer_are_refused(path):
    write(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DamagedError, match="footer"):
        open_snapshot(path)


def test_a_snapshot_of_a_newer_format_is_refused(path):
    write(path)
    content = path.read_bytes()
    path.write_bytes(encode_file_header(SNAPSHOT_MAGIC, SNAPSHOT_VERSION + 1, 0) + content[FILE_HEADER_SIZE:])
    with pytest.raises(NewerFormatError, match="newer release"):
        open_snapshot(path)


@pytest.mark.parametrize(
    ("frames", "what"),
    [
        ([(RECORD, 0, 0, b"x")], "not in order"),
        ([(META, 1, 1, b"[]"), (META, 1, 1, b"[]")], "not in order"),
        ([(META, 1, 1, b"[]"), (RECORD, 1, 0, b"x")], "not in order"),
        ([(META, 1, 1, b"[]"), (RECORD, 0, 0, b"x"), (END, 2, 0, b"")], "footer does not fit"),
        ([(META, 1, 1, b"[]"), (99, 0, 0, b"x")], "unknown kind"),
        ([(META, 1, 1, b"[{}]"), (END, 0, 0, b"")], "list of members"),
        ([(META, 1, 1, encode_config(MEMBERS))], "without its footer"),
    ],
)
def test_whole_records_in_an_impossible_order_are_refused(path, frames, what):
    content = bytearray(encode_file_header(SNAPSHOT_MAGIC, CLEAR_VERSION, 0))
    for kind, a, b, body in frames:
        content += encode_frame(kind, a, b, body, offset=len(content), durable=0)
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=what):
        open_snapshot(path)


def failing_records():
    yield b"fine"
    raise ValueError("cannot be written down")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"records": failing_records}, ValueError),
        ({"cancelled": lambda: True}, SnapshotCancelledError),
        ({"records": [], "cancelled": lambda: True}, SnapshotCancelledError),
    ],
)
def test_the_old_snapshot_stays_until_the_new_one_is_whole(path, options, error):
    write(path, [b"old"], index=10)
    records = options.get("records", RECORDS)
    with pytest.raises(error):
        write(path, **{**options, "records": records() if callable(records) else records})
    assert list(open_snapshot(path).records()) == [b"old"]
    assert [entry.name for entry in path.parent.iterdir()] == ["snapshot"]


@pytest.mark.parametrize("kind", ["write", "sync", "publish"])
def test_the_old_snapshot_stays_when_the_disk_fails(path, kind):
    write(path, [b"old"], index=10)
    disk = BadDisk()
    setattr(disk, f"{kind}_error", no_space())
    with pytest.raises(OSError, match="No space"):
        write(path, disk=disk)
    assert open_snapshot(path).index == 10
    assert [entry.name for entry in path.parent.iterdir()] == ["snapshot"]


def test_what_a_killed_writer_left_behind_is_removed(path):
    write(path)
    left = path.with_name("snapshot.new")
    left.write_bytes(b"half")
    assert open_snapshot(path).index == 42
    assert not left.exists()


def test_an_older_state_never_takes_the_place_of_a_newer_snapshot(path):
    write(path, index=42)
    with pytest.raises(SnapshotCancelledError):
        write(path, [b"older"], index=41)
    assert open_snapshot(path).index == 42
    assert [entry.name for entry in path.parent.iterdir()] == ["snapshot"]


def test_a_snapshot_of_the_first_release_is_read(path):
    content = bytearray(encode_file_header(SNAPSHOT_MAGIC, 1, 0))
    frames = [(META, 9, 2, b'[{"id": "m1"}]'), (RECORD, 0, 0, b"x"), (END, 1, 0, b"")]
    for kind, a, b, body in frames:
        content += encode_frame(kind, a, b, body, offset=len(content), durable=0)
    path.write_bytes(content)
    found = open_snapshot(path)
    assert (found.index, found.term, found.config) == (9, 2, Config.of([Member("m1")]))
    assert list(found.records()) == [b"x"]


def test_the_index_can_be_looked_up_without_reading_the_file(path):
    assert peek_index(path) == 0
    write(path)
    assert peek_index(path) == 42
    path.write_bytes(path.read_bytes()[:80])
    assert peek_index(path) == 0


def test_a_snapshot_does_not_take_the_room_that_is_kept_for_the_log(path):
    write(path, [b"old"], index=10)
    disk = BadDisk()
    disk.left = 300
    with pytest.raises(OSError, match="kept for the log"):
        write(path, disk=disk)
    assert open_snapshot(path).index == 10
    assert [entry.name for entry in path.parent.iterdir()] == ["snapshot"]
    disk.left = 10_000
    assert write(path, disk=disk).index == 42


def test_some_room_is_kept_for_the_log(path, monkeypatch):
    found = os.statvfs(path.parent)

    class Small:
        f_frsize, f_blocks, f_bavail = found.f_frsize, 1000, 500

    monkeypatch.setattr("os.statvfs", lambda _: Small)
    assert Disk().room(path.parent) == (500 - 125) * found.f_frsize
    Small.f_blocks = Small.f_bavail = 1 << 30
    assert Disk().room(path.parent) == (1 << 30) * found.f_frsize - 64 * 1024 * 1024
