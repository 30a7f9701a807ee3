# SPDX-License-Identifier: Apache-2.0
"""PySyncObj as it comes loses, invents and contradicts acknowledged entries. Each of these has its counterpart in
``test_log_defects.py``, where ours does not."""

from __future__ import annotations

import struct

import pysyncobj.journal
import pytest

from sim.clock import Clock
from sim.stock import NEVER, StockGroup, StockMember, Wire

STILL = {"logCompactionMinTime": NEVER, "logCompactionMinEntries": NEVER}


def test_stock_acknowledges_lost_writes_while_it_receives_a_snapshot(clock: Clock) -> None:
    group = StockGroup(clock, leaderFallbackTimeout=1.0, logCompactionBatchSize=64, **STILL)
    old, others = group.elect()
    group.wire.isolate(old.name)
    old.write("lost")
    group.run(6)
    new = next(member for member in others if member.leads)
    new.write(*range(50))
    group.run(1)
    new.forceLogCompaction()
    group.run(0.2)
    assert not old.leads
    assert not old.acknowledged

    old.poke("raftElectionDeadline", clock.now + 60)
    group.wire.link(old.name, new.name)
    for _ in range(4):
        clock.advance(0.05)
        new.doTick(0)
        group.wire.deliver(new.name, old.name, 1)  # the first pieces of the snapshot
        old.doTick(0)
    assert old.acknowledged == {"lost"}
    group.run(3)
    assert "lost" not in new.data


def test_stock_commits_what_nobody_verified_when_a_piece_of_a_snapshot_arrives(clock: Clock) -> None:
    member = StockMember(Wire(), "A", ["B", "C"])
    for index in (2, 3, 4):  # left over from a leader whose entries were never committed
        member.peek("raftLog").add(b"\x01", index, 1)
    member.receive("B", type="append_entries", term=2, commit_index=4, serialized=None)
    assert member.raftCommitIndex == 4


def test_stock_cuts_off_entries_that_it_has_acknowledged(clock: Clock) -> None:
    group = StockGroup(clock)
    leader, (first, second) = group.elect()
    group.wire.cut(leader.name, second.name)
    for key in range(5):
        leader.write(key)
        leader._checkCommandsToApply()
        leader.send_entries()
    group.wire.deliver(leader.name, first.name)
    held = first.last_index
    group.wire.deliver(first.name, leader.name, 1)  # the answer to the first: the rest counts as unsent again
    leader.conf.appendEntriesBatchSizeBytes = len(leader.peek("raftLog")[-1][0]) + 1  # two entries a message
    leader.send_entries()
    group.wire.deliver(first.name, leader.name)
    leader._onTick(0)
    assert leader.acknowledged == set(range(5))
    group.wire.deliver(leader.name, first.name, 1)
    assert first.last_index < held

    group.wire.isolate(leader.name)
    survivors = [first, second]
    group.wire.link(first.name, second.name)
    group.run(6, *survivors)
    new = next(member for member in survivors if member.leads)
    assert not leader.acknowledged <= set(new.data)


def test_stock_counts_an_acknowledgement_of_an_earlier_leadership(clock: Clock) -> None:
    group = StockGroup(clock)
    leader, (first, second) = group.elect()
    group.wire.cut(leader.name, second.name)
    leader.write(*range(20))
    leader._checkCommandsToApply()
    leader.send_entries()
    group.wire.deliver(leader.name, first.name)
    late = list(group.wire.under_way[first.name, leader.name])
    group.wire.isolate(leader.name)
    first.poke("raftLog", pysyncobj.journal.MemoryJournal())  # what it acknowledged was replaced by others' since
    first.peek("raftLog").add(b"\x01", 1, 0)

    term = leader.raftCurrentTerm + 2
    leader._SyncObj__deleteEntriesFrom(leader.last_index - 19)
    leader._SyncObj__setCurrentTerm(term, leader.name)
    leader._SyncObj__onBecomeLeader()
    leader.write("nowhere else")
    leader._checkCommandsToApply()
    for message in late:
        assert "term" not in message
        group.wire.hand_over(first.name, leader.name, message)
    leader._onTick(0)
    assert leader.acknowledged == {"nowhere else"}


def test_stock_acknowledges_by_itself_when_its_commit_index_was_saved_before_its_log(tmp_path, clock: Clock) -> None:
    name = str(tmp_path / "journal")
    before = StockMember(Wire(), "A", [], journalFile=name, **STILL)
    for _ in range(150):
        clock.advance(0.02)
        before.doTick(0)
    before.write(*range(200))
    for _ in range(150):
        clock.advance(0.02)
        before.doTick(0)
    before._destroy()
    with open(
        name, "r+b"
    ) as journal:  # the power went when the small file was on disk and the pages of the log were not
        journal.seek(pysyncobj.journal.LAST_RECORD_OFFSET_OFFSET)
        journal.write(struct.pack("<I", _end_of_record(name, 100)))

    group = StockGroup(clock, "BC", **STILL)
    member = StockMember(group.wire, "A", ["B", "C"], journalFile=name, **STILL)
    member._SyncObj__setCurrentTerm(9, "A")
    member._SyncObj__onBecomeLeader()
    member.write("nowhere else")
    for _ in range(3):
        clock.advance(0.01)
        member.doTick(0)
    assert member.acknowledged == {"nowhere else"}


def _end_of_record(name: str, number: int) -> int:
    with open(name, "rb") as journal:
        offset = pysyncobj.journal.FIRST_RECORD_OFFSET
        for _ in range(number):
            journal.seek(offset)
            offset += struct.unpack("<I", journal.read(4))[0] + 8
    return offset


def test_stock_never_tells_what_became_of_writes_under_way_when_it_is_deposed(clock: Clock) -> None:
    group = StockGroup(clock, leaderFallbackTimeout=1.0)
    leader, _ = group.elect()
    group.wire.isolate(leader.name)
    leader.write("lost")
    group.run(20)
    assert not leader.leads
    assert not leader.answers


def test_stock_stops_for_ever_at_a_command_that_cannot_be_applied(clock: Clock) -> None:
    group = StockGroup(clock)
    leader, _ = group.elect()
    leader.explode(sync=False)
    leader.write("after")
    failures = 0
    for _ in range(20):
        clock.advance(0.02)
        for member in group.members.values():
            try:
                member.doTick(0)
            except ValueError:
                failures += 1
        group.wire.deliver()
    assert failures > 10
    assert not leader.acknowledged


def test_stock_cannot_put_a_command_as_large_as_two_batches_together_again(clock: Clock) -> None:
    group = StockGroup(clock, appendEntriesBatchSizeBytes=65536)
    leader, _ = group.elect()
    leader._applyCommand(b"\x01" + b"z" * 131071, None)
    leader._checkCommandsToApply()
    leader.send_entries()
    with pytest.raises(EOFError):
        group.wire.deliver()
