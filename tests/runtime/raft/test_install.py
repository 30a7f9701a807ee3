# SPDX-License-Identifier: Apache-2.0
"""A leader's snapshot takes the place of log and snapshot: whole or not at all, whatever happens in between."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import os
import shutil
import stat

import pytest
from runtime.raft.disks import CutDisk, PowerCut
from runtime.raft.kit import BadDisk, no_space, raft_threads, until
from runtime.sealers import sealer

from queenright.edge.raft.disk import Disk
from queenright.edge.raft.errors import DamagedError, InconsistentError, InstallError, NewerFormatError, UnwritableError
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header
from queenright.edge.raft.incoming import INSTALL_NAME, PART_NAME, Part, receive_file
from queenright.edge.raft.install import complete_install, finish_install
from queenright.edge.raft.log_format import FIRST, State, write_log
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.opening import open_files
from queenright.edge.raft.shipping import pieces as outgoing
from queenright.edge.raft.snapshot import open_snapshot, write_snapshot
from queenright.edge.raft.snapshot_format import SNAPSHOT_MAGIC, SNAPSHOT_VERSION
from queenright.edge.raft.wal_reader import open_wal
from queenright.wire.raft import Entry, SnapshotHead

OLD = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377")], epoch=1)
NEW = Config.of([Member("m1", "h1:2377"), Member("m2", "h2:2377"), Member("m3", "h3:2377")], epoch=1)
RECORDS = [b"record %d " % number * 50 for number in range(40)]
INDEX, TERM = 30, 5
LEADERS, OWN = sealer("m1", b"l" * 32), sealer("m2", b"o" * 32)
"""What seals the leader's snapshot, and the files of the member that takes it."""


def entry(index, term):
    return Entry(b"\x00command %d" % index, index, term)


# What a member has before the snapshot of entry 30 (term 5) comes: its entries, its own snapshot's index, its term.
SITUATIONS = {
    "empty": ([FIRST], None, 0),
    "behind": ([entry(index, 2) for index in range(5, 13)], 10, 2),
    "another history": ([entry(index, 2 + index // 20) for index in range(5, 41)], 10, 4),
    "further": ([entry(index, 2 if index < 25 else 5) for index in range(5, 36)], 10, 6),
    "at its very entry": ([entry(index, 2 if index < 25 else 5) for index in range(5, 31)], 10, 6),
}


def situation(directory, name):
    """Files of member m2 in ``directory``; gives the entries and the index of the snapshot."""
    entries, snapshot, term = SITUATIONS[name]
    base = OLD if snapshot else Config()
    os.close(
        write_log(Disk(), directory / "log", State(list(entries), term, "m1" if term else None, base, "m2"), OWN).fd
    )
    if snapshot:
        kept = next(one for one in entries if one.idx == snapshot)
        write_snapshot(Disk(), directory / "snapshot", snapshot, kept.term, OLD, [b"old"], sealer=OWN)
    return entries, snapshot


@pytest.fixture
def sent(tmp_path):
    """The leader's snapshot."""
    (tmp_path / "leader").mkdir()
    return write_snapshot(Disk(), tmp_path / "leader" / "snapshot", INDEX, TERM, NEW, RECORDS, sealer=LEADERS)


def staged_at(path):
    """The same snapshot as this member keeps it."""
    return write_snapshot(Disk(), path, INDEX, TERM, NEW, RECORDS, sealer=OWN)


def head_of(sent, **changes):
    return dataclasses.replace(SnapshotHead(1, 6, sent.index, sent.term, sent.clear_size), **changes)


def take(disk, directory, sent, wal, piece=700):
    """All steps, in one thread."""
    part = Part(disk, directory, head_of(sent), OWN)
    content = b"".join(sent.clear())
    for start in range(0, len(content), piece):
        part.write(content[start : start + piece])
    return finish_install(disk, directory, wal, part.finish())


def looked_at(directory):
    """What a start finds: entries, snapshot's index, configuration, term and vote."""
    wal, snapshot = open_files(Disk(), directory, "m2", sealer=OWN)
    wal.close()
    for name in (PART_NAME, INSTALL_NAME, "log.new", "snapshot.new"):
        assert not (directory / name).exists()
    return list(wal), snapshot.index if snapshot else None, wal.config, wal.getCurrentTerm(), wal.getVotedForNodeId()


def after(name):
    """What must be there when the snapshot was installed."""
    entries, _, term = SITUATIONS[name]
    kept = [one for one in entries if one.idx >= INDEX] if entry(INDEX, TERM) in entries else []
    vote = "m1" if term >= TERM else None
    return kept or [Entry(b"\x01", INDEX, TERM)], INDEX, NEW, max(term, TERM), vote


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_installed_snapshot_takes_the_place_of_log_and_snapshot(tmp_path, sent, name):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, name)
    wal, _ = open_files(Disk(), directory, "m2", sealer=OWN)
    installed = take(Disk(), directory, sent, wal)
    assert (installed.path, installed.index, installed.config) == (directory / "snapshot", INDEX, NEW)
    assert list(installed.records()) == RECORDS
    assert stat.S_IMODE(installed.path.stat().st_mode) == 0o600
    assert (wal.first_index, wal.durable_index, wal.config) == (INDEX, wal.last_index, NEW)
    wal.setCurrentTerm(9, None)
    wal.add(b"\x00next", wal.last_index + 1, 9)
    wal.sync()
    wal.close()
    entries, *_ = after(name)
    found = looked_at(directory)
    assert found[0] == [*entries, Entry(b"\x00next", entries[-1].idx + 1, 9)]
    assert found[1:3] == (INDEX, NEW)


def cuts(tmp_path, directory, action):
    """Carry ``action(disk, directory)`` out with the power cut in each operation; gives what was left each time."""
    number = itertools.count()
    for late, forgets in itertools.product((False, True), repeat=2):
        for at in itertools.count():
            turn = next(number)
            work, left = tmp_path / f"work{turn}", tmp_path / f"left{turn}"
            shutil.copytree(directory, work)
            disk = CutDisk(work, left, at, late=late, forgets=forgets)
            try:
                action(disk, work)
            except PowerCut:
                yield left
                shutil.rmtree(left)
            shutil.rmtree(work)
            if not disk.gone:
                assert at > 0
                break


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_power_cut_in_any_step_leaves_the_old_state_or_the_new_one(tmp_path, sent, name):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, name)
    before = looked_at(directory)

    def install(disk, where):
        wal = open_wal(disk, where / "log", OWN)
        try:
            take(disk, where, sent, wal)
        finally:
            wal.close()

    seen = []
    for left in cuts(tmp_path / "cuts", directory, install):
        found = looked_at(left)
        assert found in (before, after(name))
        assert looked_at(left) == found, "a second start changes nothing"
        seen.append(found)
        if found == before:  # and the leader sends it again
            wal, _ = open_files(Disk(), left, "m2", sealer=OWN)
            take(Disk(), left, sent, wal)
            wal.close()
            assert looked_at(left) == after(name)
    assert before in seen and after(name) in seen


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("step", ["received", "log exchanged"])
def test_a_power_cut_in_any_step_of_the_completion_is_completed_by_the_next_start(tmp_path, sent, name, step):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, name)
    staged_at(directory / INSTALL_NAME)
    if step == "log exchanged":
        wal = open_wal(Disk(), directory / "log", OWN)
        wal.reset(INDEX, TERM, NEW, keep_after=True)
        wal.close()

    def start(disk, where):
        wal, _ = open_files(disk, where, "m2", sealer=OWN)
        wal.close()

    count = 0
    for left in cuts(tmp_path / "cuts", directory, start):
        assert looked_at(left) == after(name)
        count += 1
    assert count >= 8
    assert looked_at(directory) == after(name)


def test_a_snapshot_that_is_not_newer_than_the_own_one_is_not_installed(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "further")
    write_snapshot(Disk(), directory / "snapshot", 32, 5, OLD, [b"own"], sealer=OWN)
    before = looked_at(directory)
    wal, _ = open_files(Disk(), directory, "m2", sealer=OWN)
    with pytest.raises(InstallError, match="not newer"):
        take(Disk(), directory, sent, wal)
    wal.close()
    assert looked_at(directory) == before
    staged_at(directory / INSTALL_NAME)
    assert looked_at(directory) == before


def test_a_snapshot_of_another_history_never_takes_the_place_of_committed_entries(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "another history")
    wal, _ = open_files(Disk(), directory, "m2", sealer=OWN)
    wal.setRaftCommitIndex(35)
    with pytest.raises(InconsistentError, match="another history"):
        take(Disk(), directory, sent, wal)
    assert wal.last_index == 40
    wal.close()


@pytest.mark.parametrize("spoilt", ["flipped", "short"])
def test_a_damaged_file_that_was_not_in_use_yet_is_removed_at_start(tmp_path, sent, caplog, spoilt):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    before = looked_at(directory)
    content = bytearray(b"".join(sent.clear()))
    content[len(content) // 2] ^= 1
    (directory / INSTALL_NAME).write_bytes(content if spoilt == "flipped" else content[:-9])
    with caplog.at_level(logging.WARNING):
        assert looked_at(directory) == before
    assert "the leader will send another one" in caplog.text


def test_a_damaged_file_with_which_the_log_begins_already_is_kept_and_named(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    wal = open_wal(Disk(), directory / "log", OWN)
    wal.reset(INDEX, TERM, NEW, keep_after=True)
    wal.close()
    content = bytearray(b"".join(sent.clear()))
    content[len(content) // 2] ^= 1
    (directory / INSTALL_NAME).write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{directory / INSTALL_NAME} is damaged at byte"):
        open_files(Disk(), directory, "m2", sealer=OWN)
    assert (directory / INSTALL_NAME).read_bytes() == content


def test_a_file_of_a_newer_release_stops_the_start(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    content = b"".join(sent.clear())
    newer = encode_file_header(SNAPSHOT_MAGIC, SNAPSHOT_VERSION + 1, 0) + content[FILE_HEADER_SIZE:]
    (directory / INSTALL_NAME).write_bytes(newer)
    with pytest.raises(NewerFormatError, match="newer release"):
        open_files(Disk(), directory, "m2", sealer=OWN)


def test_a_log_that_fits_neither_snapshot_is_refused(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    write_snapshot(Disk(), directory / "snapshot", 20, 2, OLD, [b"own"], sealer=OWN)
    staged_at(directory / INSTALL_NAME)
    with pytest.raises(InconsistentError, match="replaced by an older one"):
        open_files(Disk(), directory, "m2", sealer=OWN)


def test_files_without_their_log_are_refused(tmp_path, sent):
    for name in ("snapshot", INSTALL_NAME):
        directory = tmp_path / name
        directory.mkdir()
        staged_at(directory / name)
        with pytest.raises(InconsistentError, match=rf"{name} is there, but .*log is missing"):
            open_files(Disk(), directory, "m2", Config(), OWN)


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_without_room_for_the_new_log_the_old_state_goes_on(tmp_path, sent, kind):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    before = looked_at(directory)
    disk = BadDisk()
    wal, _ = open_files(disk, directory, "m2", sealer=OWN)
    staged_at(directory / INSTALL_NAME)
    staged = open_snapshot(directory / INSTALL_NAME, OWN)
    setattr(disk, f"{kind}_error", no_space())
    with pytest.raises(InstallError, match=r"log.new cannot be written \(No space left on device\): free some space"):
        finish_install(disk, directory, wal, staged)
    setattr(disk, f"{kind}_error", None)
    assert not wal.broken
    wal.add(b"\x00next", 13, 2)
    wal.sync()
    wal.close()
    found = looked_at(directory)
    assert found == ([*before[0], Entry(b"\x00next", 13, 2)], *before[1:])


def test_without_room_at_start_the_old_state_goes_on(tmp_path, sent, caplog):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    before = looked_at(directory)
    staged_at(directory / INSTALL_NAME)
    disk = BadDisk()
    wal = open_wal(disk, directory / "log", OWN)
    disk.write_error = no_space()
    own = open_snapshot(directory / "snapshot", OWN)
    assert complete_install(disk, directory, wal, own, OWN) is own
    wal.close()
    assert "going on without it" in caplog.text
    assert looked_at(directory) == before


def test_a_failure_after_the_log_was_exchanged_is_for_good_and_the_next_start_completes_it(tmp_path, sent):
    directory = tmp_path / "m2"
    directory.mkdir()
    situation(directory, "behind")
    disk = BadDisk()
    wal, _ = open_files(disk, directory, "m2", sealer=OWN)
    staged_at(directory / INSTALL_NAME)
    staged = open_snapshot(directory / INSTALL_NAME, OWN)
    disk.publish_error, disk.only_for = no_space(), "snapshot"
    with pytest.raises(UnwritableError, match="snapshot cannot be written"):
        finish_install(disk, directory, wal, staged)
    wal.close()
    assert looked_at(directory) == after("behind")


# How it comes in.


async def pieces(content, size=1000):
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(0)


async def test_a_file_comes_in_whole_and_private(tmp_path, sent):
    found = await receive_file(Disk(), tmp_path, head_of(sent), outgoing(sent), OWN)
    assert found == dataclasses.replace(sent, path=tmp_path / INSTALL_NAME)
    assert list(found.records()) == RECORDS
    assert RECORDS[0] not in found.path.read_bytes()
    assert found.seal is not None and found.seal.current
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert not (tmp_path / PART_NAME).exists()
    await until(lambda: raft_threads() == [])


@pytest.mark.parametrize(
    ("changes", "cut", "what"),
    [
        ({"index": 31}, 0, "is not the snapshot of entry 31"),
        ({"snapshot_term": 4}, 0, "is not the snapshot"),
        ({"size": 100}, 0, "larger than the 100 bytes"),
        ({}, 9, "ended after"),
        ({"size": 0}, 0, "no snapshot of entry 30 with 0 bytes"),
        ({"index": 0}, 0, "no snapshot of entry 0"),
        ({"size": 1 << 62}, 0, "no room"),
    ],
)
async def test_what_is_not_as_announced_is_refused_and_leaves_nothing(tmp_path, sent, changes, cut, what):
    content = b"".join(sent.clear())
    target = tmp_path / "m2"
    target.mkdir()
    with pytest.raises(InstallError, match=what):
        await receive_file(Disk(), target, head_of(sent, **changes), pieces(content[: len(content) - cut]), OWN)
    assert list(target.iterdir()) == []
    await until(lambda: raft_threads() == [])


async def test_a_file_changed_on_its_way_is_refused(tmp_path, sent):
    content = bytearray(b"".join(sent.clear()))
    content[len(content) // 2] ^= 4
    target = tmp_path / "m2"
    target.mkdir()
    with pytest.raises(InstallError, match="came in damaged"):
        await receive_file(Disk(), target, head_of(sent), pieces(bytes(content)), OWN)
    assert list(target.iterdir()) == []


async def test_a_snapshot_without_members_is_refused(tmp_path):
    sent = write_snapshot(Disk(), tmp_path / "snapshot", INDEX, TERM, Config(), RECORDS, sealer=LEADERS)
    with pytest.raises(InstallError, match="names no members"):
        await receive_file(Disk(), tmp_path, head_of(sent), outgoing(sent), OWN)


async def test_room_is_kept_for_the_log(tmp_path, sent):
    disk = BadDisk()
    disk.left = sent.size - 1
    with pytest.raises(InstallError, match=r"no room in .*, only for \d+ besides what is kept for the log"):
        await receive_file(disk, tmp_path, head_of(sent), pieces(b"".join(sent.clear())), OWN)


@pytest.mark.parametrize("kind", ["write", "sync", "publish"])
async def test_a_full_disk_ends_the_reception_and_leaves_nothing(tmp_path, sent, kind):
    target = tmp_path / "m2"
    target.mkdir()
    disk = BadDisk()
    setattr(disk, f"{kind}_error", no_space())
    with pytest.raises(UnwritableError, match=r"cannot be written \(No space left"):
        await receive_file(disk, target, head_of(sent), pieces(b"".join(sent.clear()), 50), OWN)
    assert list(target.iterdir()) == []
    await until(lambda: raft_threads() == [])


async def test_a_connection_that_breaks_leaves_nothing(tmp_path, sent):
    target = tmp_path / "m2"
    target.mkdir()

    async def breaking():
        yield b"".join(sent.clear())[:500]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await receive_file(Disk(), target, head_of(sent), breaking(), OWN)
    assert list(target.iterdir()) == []


async def test_a_cancelled_reception_leaves_nothing(tmp_path, sent):
    target = tmp_path / "m2"
    target.mkdir()
    begun = asyncio.Event()

    async def endless():
        yield b"".join(sent.clear())[:500]
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(receive_file(Disk(), target, head_of(sent), endless(), OWN))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(target.iterdir()) == []
    await until(lambda: raft_threads() == [])


async def test_a_sender_that_stands_still_is_given_up(tmp_path, sent, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.incoming.STALL", 0.1)
    target = tmp_path / "m2"
    target.mkdir()

    async def stuck():
        yield b"".join(sent.clear())[:500]
        await asyncio.Event().wait()

    with pytest.raises(InstallError, match="stood still"):
        await receive_file(Disk(), target, head_of(sent), stuck(), OWN)
    assert list(target.iterdir()) == []


async def test_a_slow_disk_holds_back_the_sender(tmp_path, sent, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.snapshot_format.CHUNK", 1)
    asked = 0

    async def counted():
        nonlocal asked
        async for piece in pieces(b"".join(sent.clear()), 100):
            asked += 1
            yield piece

    hold = sent.size // 100

    class Slow(BadDisk):
        def write(self, fd, data):
            assert self.gate.wait(60)
            super().write(fd, data)

    slow = Slow()
    slow.gate.clear()
    task = asyncio.create_task(receive_file(slow, tmp_path, head_of(sent), counted(), OWN))
    await until(lambda: asked >= 17)
    for _ in range(100):
        await asyncio.sleep(0)
    assert asked <= 40 < hold
    slow.gate.set()
    assert (await task).index == INDEX


# How it goes out.


async def test_a_snapshot_goes_out_in_clear_as_an_older_release_knows_it_and_its_length_is_known(tmp_path, sent):
    clear = b"".join([piece async for piece in outgoing(sent)])
    assert len(clear) == sent.clear_size
    (tmp_path / "clear").write_bytes(clear)
    found = open_snapshot(tmp_path / "clear")
    assert (found.index, found.term, found.config, list(found.records())) == (INDEX, TERM, NEW, RECORDS)
    assert RECORDS[0] in clear
    assert RECORDS[0] not in sent.path.read_bytes()


async def test_a_snapshot_is_sent_as_it_was_opened_though_another_one_takes_its_name(tmp_path, sent, monkeypatch):
    monkeypatch.setattr("queenright.edge.raft.shipping.CHUNK", 100)
    content = b"".join(sent.clear())
    chunks = outgoing(sent)
    got = [await anext(chunks)]
    write_snapshot(Disk(), sent.path, 99, 9, NEW, [b"newer"], sealer=LEADERS)
    got += [piece async for piece in chunks]
    assert b"".join(got) == content
    assert {len(piece) for piece in got[:-1]} == {100}


async def test_a_snapshot_that_was_replaced_before_it_was_opened_is_not_sent(tmp_path, sent):
    write_snapshot(Disk(), sent.path, 99, 9, NEW, [b"newer"], sealer=LEADERS)
    with pytest.raises(OSError, match="it was replaced"):
        [piece async for piece in outgoing(sent)]


async def test_a_snapshot_that_is_damaged_meanwhile_is_not_sent(tmp_path, sent):
    content = bytearray(sent.path.read_bytes())
    content[-30] ^= 1
    sent.path.write_bytes(content)
    with pytest.raises(DamagedError):
        [piece async for piece in outgoing(sent)]
