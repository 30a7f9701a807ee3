# SPDX-License-Identifier: Apache-2.0
"""PySyncObj as it comes loses its log when it is killed while it compacts, and takes damage for data. Counterpart of
``test_disk_defects.py``.

What a killed process leaves is a copy of its files at that moment; where the library forks, a real process is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pysyncobj.journal
import pytest

from sim.clock import Clock
from sim.stock import StockMember, alone, photograph, tick

MANY = range(300)
MORE = range(300, 600)


def full(clock: Clock, directory: Path) -> StockMember:
    member = alone(clock, directory)
    member.write(*MANY)
    tick(clock, member)
    assert member.acknowledged == set(MANY)
    return member


def test_stock_clears_its_log_when_it_is_killed_between_dump_and_trim(tmp_path: Path, clock: Clock) -> None:
    member = full(clock, tmp_path / "1")
    member.forceLogCompaction()
    tick(clock, member, 1)  # the dump is in its place, the log is not yet trimmed
    member.write(*MORE)
    trim = pysyncobj.SyncObj._SyncObj__deleteEntriesTo

    def killed(self: StockMember, index: int) -> None:
        photograph(tmp_path / "1", tmp_path / "2")
        trim(self, index)

    StockMember._SyncObj__deleteEntriesTo = killed
    try:
        tick(clock, member)
    finally:
        del StockMember._SyncObj__deleteEntriesTo
    again = alone(clock, tmp_path / "2")
    assert len(again.data) < len(MANY) + 10


def test_stock_loses_the_tail_of_its_log_when_it_is_killed_while_it_trims(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = alone(clock, tmp_path / "1")
    add = pysyncobj.journal.FileJournal.add
    calls = [0]

    def counted(self: pysyncobj.journal.FileJournal, *arguments: object) -> None:
        calls[0] += 1
        if calls[0] == 50:
            photograph(tmp_path / "1", tmp_path / "2")
        add(self, *arguments)

    trim = pysyncobj.journal.FileJournal.deleteEntriesTo

    def watched(self: pysyncobj.journal.FileJournal, index: int) -> None:
        monkeypatch.setattr(pysyncobj.journal.FileJournal, "add", counted)
        trim(self, index)

    monkeypatch.setattr(pysyncobj.journal.FileJournal, "deleteEntriesTo", watched)
    member.write(*MANY)
    tick(clock, member)
    member.peek("raftLog").deleteEntriesTo(100)  # what compaction calls
    assert member.acknowledged == set(MANY)
    assert len(pysyncobj.journal.FileJournal(str(tmp_path / "2" / "journal"))) == 49
    assert len(member.peek("raftLog")) > 150


def test_stock_loses_what_came_after_an_orphaned_dump(tmp_path: Path, clock: Clock) -> None:
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("stock_orphan.py")), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert child.wait(120) < 0
    acknowledged = int((tmp_path / "acknowledged").read_text())
    assert not (tmp_path / "dump").exists()
    _wait_for(tmp_path / "dump")
    again = alone(clock, tmp_path)
    assert 0 < len(again.data) < acknowledged


def _wait_for(path: Path) -> None:
    import time

    (path.parent / "go").touch()
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_stock_leads_with_an_empty_state_when_its_dump_cannot_be_read(tmp_path: Path, clock: Clock) -> None:
    member = full(clock, tmp_path)
    member.forceLogCompaction()
    tick(clock, member)
    (tmp_path / "dump").write_bytes(b"garbage")
    again = alone(clock, tmp_path)
    assert again.leads
    assert len(again.data) < len(MANY)


def test_stock_takes_a_flipped_byte_for_data(tmp_path: Path, clock: Clock) -> None:
    member = alone(clock, tmp_path)
    member.write("key", value="v" * 100)
    tick(clock, member)
    journal = tmp_path / "journal"
    content = journal.read_bytes()
    place = content.index(b"v" * 100) + 50
    journal.write_bytes(content[:place] + b"!" + content[place + 1 :])
    again = alone(clock, tmp_path)
    assert again.data["key"] == "v" * 50 + "!" + "v" * 49


def test_stock_forgets_everything_when_only_its_log_is_on_disk(tmp_path: Path, clock: Clock) -> None:
    options = {"fullDumpFile": None}
    member = alone(clock, tmp_path, **options)
    member.write(*MANY)
    tick(clock, member)
    member.forceLogCompaction()
    tick(clock, member)
    assert member.acknowledged == set(MANY)
    again = alone(clock, tmp_path, **options)
    assert not again.data
