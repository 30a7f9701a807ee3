# SPDX-License-Identifier: Apache-2.0
"""What managers keep is sealed: nothing can be read, moved, forged or opened with another key."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest
from runtime.raft.kit import BadDisk, Machine, make, running, until, write_first_release
from runtime.sealers import HeldKeys, sealer

from queenright.edge.pki.sealing import RecordSealer
from queenright.edge.raft import SealError
from queenright.edge.raft.disk import Disk
from queenright.edge.raft.errors import DamagedError
from queenright.edge.raft.frames import (
    FILE_HEADER_SIZE,
    check_file_header,
    encode_file_header,
    encode_frame,
    scan,
)
from queenright.edge.raft.install import LOG_NAME, SNAPSHOT_NAME
from queenright.edge.raft.log_format import ENTRY, LOG_MAGIC, LOG_VERSION
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.sealing import SEAL, SEALED
from queenright.edge.raft.snapshot import open_snapshot, write_snapshot
from queenright.edge.raft.snapshot_format import SNAPSHOT_VERSION
from queenright.edge.raft.wal_reader import create_wal, open_wal
from queenright.wire.raft import Entry

ALONE = Config.of([Member("m1", "h1:2377")])
SECRET = b"hunter2-and-the-bees"
OURS, OTHERS = sealer("m1"), sealer("m1", b"x" * 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def filled(path, flushes=4, each=3, disk=None, seal=OURS):
    wal = create_wal(disk or Disk(), path, ALONE, sealer=seal)
    index = 1
    for _ in range(flushes):
        wal.setCurrentTerm(1, "m1")
        for _ in range(each):
            index += 1
            wal.add(b"\x00" + SECRET + b" %d" % index, index, 1)
        wal.sync()
    wal.close()


def frames(path):
    return list(scan(path.read_bytes()))


def test_nothing_that_is_written_can_be_read(path, tmp_path):
    filled(path)
    write_snapshot(Disk(), tmp_path / "snapshot", 5, 1, ALONE, [SECRET] * 9, sealer=OURS)
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        for word in (SECRET, b"h1:2377"):
            assert word not in content


def test_the_entries_of_a_flush_are_one_block(path):
    filled(path, flushes=4, each=50)
    kinds = [frame.head.kind for frame in frames(path)]
    assert kinds == [SEAL] + [SEALED] * 5, "what the file began with, and four flushes"
    wal = open_wal(Disk(), path, OURS)
    assert wal.last_index == 201
    wal.close()


def test_a_large_flush_is_several_blocks_and_still_one_write(path):
    class Counting(BadDisk):
        writes = 0

        def write(self, fd, data):
            self.writes += 1
            super().write(fd, data)

    disk = Counting()
    wal = create_wal(disk, path, ALONE, sealer=OURS)
    before = disk.writes
    for index in range(2, 40):
        wal.add(b"\x00" + b"x" * 100_000, index, 0)
    wal.sync()
    assert disk.writes == before + 1
    wal.close()
    assert len(frames(path)) == 2 + 38, "a large entry has a block to itself"
    again = open_wal(Disk(), path, OURS)
    assert again.last_index == 39
    again.close()


@pytest.mark.parametrize(("keys", "words"), [(OTHERS, "holds another one"), (None, "there are no keys")])
def test_a_wrong_key_is_not_taken_for_damage_and_nothing_is_changed(path, tmp_path, keys, words):
    filled(path)
    snapshot = tmp_path / "snapshot"
    write_snapshot(Disk(), snapshot, 5, 1, ALONE, [SECRET], sealer=OURS)
    before = path.read_bytes(), snapshot.read_bytes()
    with pytest.raises(SealError, match=rf"{path} is sealed.*{words}") as caught:
        open_wal(Disk(), path, keys)
    assert not isinstance(caught.value, DamagedError)
    with pytest.raises(SealError, match=rf"{snapshot} is sealed.*{words}"):
        open_snapshot(snapshot, keys)
    assert (path.read_bytes(), snapshot.read_bytes()) == before


def test_damage_is_not_taken_for_a_wrong_key(path):
    filled(path)
    content = bytearray(path.read_bytes())
    content[FILE_HEADER_SIZE + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="wrong checksum"):
        open_wal(Disk(), path, OURS)
    with pytest.raises(SealError):
        open_wal(Disk(), path, OTHERS)


def rewritten(path, change):
    """The file with ``change(position, head, body)`` applied to its frames, and all checksums right."""
    version, _ = check_file_header(path, path.read_bytes(), LOG_MAGIC, LOG_VERSION)
    content = bytearray(encode_file_header(LOG_MAGIC, version, 0))
    for position, frame in enumerate(frames(path)):
        for head, body in change(position, frame.head, frame.body):
            content += encode_frame(head.kind, head.a, head.b, body, offset=len(content), durable=head.durable)
    path.write_bytes(content)


FORGERIES = {
    "a block moved": lambda at, head, body: [] if at == 2 else [(head, body)],
    "a block twice": lambda at, head, body: [(head, body)] * (2 if at == 3 else 1),
    "a number of the header": lambda at, head, body: [(head._replace(a=head.a + (at == 3)), body)],
    "another durable length": lambda at, head, body: [(head._replace(durable=head.durable + (at == 3)), body)],
    "a byte": lambda at, head, body: [(head, body[:40] + bytes([body[40] ^ 1]) + body[41:] if at == 2 else body)],
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_with_right_checksums_is_refused_as_no_fault_of_the_disk(path, name):
    filled(path)
    rewritten(path, lambda at, head, body: [(head, body)])
    wal = open_wal(Disk(), path, OURS)
    assert wal.last_index == 13, "rewriting alone changes nothing"
    wal.close()
    rewritten(path, FORGERIES[name])
    before = path.read_bytes()
    with pytest.raises(DamagedError, match="no fault of the disk, it was changed or moved by somebody"):
        open_wal(Disk(), path, OURS)
    assert path.read_bytes() == before


def test_blocks_of_an_earlier_file_do_not_open_in_a_later_one(path):
    filled(path)
    earlier = frames(path)
    filled(path)
    assert [frame.head.end for frame in frames(path)] == [frame.head.end for frame in earlier]
    rewritten(path, lambda at, head, body: [(head, earlier[at].body if at == 3 else body)])
    with pytest.raises(DamagedError, match="changed or moved"):
        open_wal(Disk(), path, OURS)


def test_a_record_in_clear_does_not_count_in_a_sealed_file(path):
    filled(path)
    content = path.read_bytes()
    size = len(content)
    for kind, body in ((ENTRY, b"\x00forged"), (SEAL, frames(path)[0].body)):
        path.write_bytes(content + encode_frame(kind, 14, 1, body, offset=size, durable=size))
        with pytest.raises(DamagedError, match=f"kind {kind} is not sealed"):
            open_wal(Disk(), path, OURS)


def test_a_snapshot_is_held_to_its_seal_as_well(tmp_path):
    path = tmp_path / "snapshot"
    write_snapshot(Disk(), path, 5, 1, ALONE, [SECRET] * 9, sealer=OURS)
    label, block = frames(path)
    version = SNAPSHOT_VERSION.to_bytes(4, "little")
    assert path.read_bytes()[8:12] == version
    forged = encode_frame(SEALED, 6, 1, block.body, offset=label.head.end, durable=0)
    path.write_bytes(path.read_bytes()[: label.head.end] + forged)
    with pytest.raises(DamagedError, match="changed or moved"):
        open_snapshot(path, OURS)


def test_a_log_does_not_open_as_a_snapshot_s_purpose(path):
    filled(path)
    label = frames(path)[0].body
    block = frames(path)[1]
    assert OURS.find("snapshot", label).open(block.body, b"") is None


# Files of earlier releases, and of earlier keys.


def test_a_clear_log_is_sealed_with_the_first_record_that_is_added(path):
    filled(path, seal=None)
    assert SECRET in path.read_bytes()
    wal = open_wal(Disk(), path, OURS)
    wal.sync()
    assert SECRET in path.read_bytes(), "without need it stays as it is"
    wal.add(b"\x00more", 14, 1)
    wal.sync()
    wal.add(b"\x00and more", 15, 1)
    wal.sync()
    wal.close()
    content = path.read_bytes()
    assert SECRET not in content and b"and more" not in content
    assert content[8:12] == (3).to_bytes(4, "little"), "an older release refuses it by its version"
    again = open_wal(Disk(), path, OURS)
    assert again[-1] == Entry(b"\x00and more", 15, 1)
    assert len(again) == 15
    again.close()


def test_a_clear_log_is_sealed_by_a_compaction(path):
    filled(path, seal=None)
    wal = open_wal(Disk(), path, OURS)
    wal.compact(10)
    wal.close()
    assert SECRET not in path.read_bytes()


def test_a_log_of_the_first_release_is_sealed(path):
    entries = [Entry(b"\x01", 1, 0), Entry(b"\x00" + SECRET, 2, 3)]
    write_first_release(path, entries, term=3, vote="m1", members=["m1"])
    wal = open_wal(Disk(), path, OURS)
    wal.setCurrentTerm(4, None)
    wal.sync()
    wal.close()
    assert SECRET not in path.read_bytes()
    again = open_wal(Disk(), path, OURS)
    assert (list(again), again.getCurrentTerm(), again.owner) == (entries, 4, "m1")
    again.close()


def keys_of(held):
    return RecordSealer(held, "m1", os.urandom)


def test_a_compaction_seals_with_the_newest_key_even_if_nothing_is_forgotten(path):
    held = HeldKeys(b"a" * 32)
    one = keys_of(held)
    filled(path, seal=one)
    wal = open_wal(Disk(), path, one)
    one.rotate()
    wal.add(b"\x00under the old key", 14, 1)
    wal.sync()
    before = frames(path)[0].body
    wal.compact(1)
    assert frames(path)[0].body[1:9] != before[1:9]
    wal.compact(1)
    wal.close()
    newest = HeldKeys(held.load().current)
    again = open_wal(Disk(), path, keys_of(newest))
    assert (again.first_index, again.last_index) == (1, 14)
    again.close()


async def test_a_clear_state_directory_is_sealed_by_running(tmp_path):
    """Also the snapshot, long before it would be due."""
    async with running(tmp_path, sealer=None, snapshot_every=20) as log:
        for number in range(30):
            await log.propose(b"k%d=%s" % (number, SECRET))
        await until(lambda: (tmp_path / SNAPSHOT_NAME).exists() and log._snapshotter.idle.is_set())
    assert SECRET in (tmp_path / SNAPSHOT_NAME).read_bytes()
    machine = Machine()
    async with running(tmp_path, machine, snapshot_every=100_000):
        assert len(machine.data) == 30
        await until(lambda: SECRET not in b"".join(found(tmp_path).values()))
    assert not leaks(tmp_path)
    machine = Machine()
    async with running(tmp_path, machine):
        assert len(machine.data) == 30


async def test_a_rotated_key_is_gone_from_all_files_after_the_next_snapshot(tmp_path):
    held = HeldKeys(b"a" * 32)
    one = keys_of(held)
    async with running(tmp_path, sealer=one, snapshot_every=20) as log:
        for number in range(30):
            await log.propose(b"k%d=v" % number)
        await until(lambda: log._snapshotter._latest is not None)
        one.rotate()
        await log.propose(b"more=v")
        await until(lambda: not log._snapshotter._latest.outdated and log._snapshotter.idle.is_set())
        labels = [frames(tmp_path / name)[0].body[1:9] for name in (LOG_NAME, SNAPSHOT_NAME)]
        await until(lambda: frames(tmp_path / LOG_NAME)[0].body[1:9] == frames(tmp_path / SNAPSHOT_NAME)[0].body[1:9])
        assert labels
    machine = Machine()
    async with running(tmp_path, machine, sealer=keys_of(HeldKeys(held.load().current))):
        assert len(machine.data) == 31


def found(directory):
    contents = {}
    for file in directory.rglob("*"):
        try:
            contents[file.name] = file.read_bytes()
        except FileNotFoundError:
            continue
    return contents


def leaks(directory):
    return [name for name, content in found(directory).items() if SECRET in content]


async def test_a_start_without_the_key_is_refused_in_words_that_help(tmp_path, caplog):
    async with running(tmp_path) as log:
        await log.propose(b"a=" + SECRET)
    before = found(tmp_path)
    log = make(tmp_path, sealer=keys_of(HeldKeys()))
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SealError, match=r"log is sealed with key .* missing: restore it"),
    ):
        await log.start()
    assert {**found(tmp_path), "lock": b""} == {**before, "lock": b""}
    assert SECRET.decode() not in caplog.text


@pytest.mark.parametrize("snapshot_every", [3, 1000])
async def test_all_is_sealed_anew_on_demand_whether_there_was_a_snapshot_or_not(tmp_path, snapshot_every):
    held = HeldKeys(b"a" * 32)
    one = keys_of(held)
    async with running(tmp_path, sealer=one, snapshot_every=snapshot_every, keep_entries=2) as log:
        for number in range(8):
            await log.propose(b"k%d=" % number + SECRET)
        one.rotate()
        waiting = asyncio.create_task(log.reseal())
        await log.propose(b"last=one")
        async with asyncio.timeout(60):
            await waiting
        assert open_snapshot(tmp_path / SNAPSHOT_NAME, one).outdated is False
    newest = Machine()
    only = keys_of(HeldKeys(held.load().current))
    async with running(tmp_path, newest, sealer=only):
        assert newest.data[b"last"] == b"one" and len(newest.data) == 9
    old = keys_of(HeldKeys(b"a" * 32))
    with pytest.raises(SealError, match="holds another one"):
        open_wal(Disk(), tmp_path / LOG_NAME, old)
