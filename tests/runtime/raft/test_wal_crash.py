# SPDX-License-Identifier: Apache-2.0
"""Whatever a power cut leaves of the last, unflushed write: flushed entries are there, and the log opens."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.sealers import sealer

from queenright.edge.raft.disk import Disk
from queenright.edge.raft.members import Config, Member
from queenright.edge.raft.wal_reader import create_wal, open_wal

SECTOR = 512
SEALER = sealer("m1")
ALONE = Config.of([Member("m1")])

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3000)),
        st.tuples(st.just("sync"), st.just(0)),
        st.tuples(st.just("truncate"), st.integers(1, 4)),
        st.tuples(st.just("term"), st.just(0)),
    ),
    max_size=30,
)


class Noting(Disk):
    """Skips the real flush; the test itself decides what a power cut takes."""

    def sync(self, fd):
        pass


def play(wal, todo):
    """Carry out the steps; gives the entries that were flushed last."""
    durable = list(wal)
    term, filler = 0, 0
    for step, number in todo:
        if step == "add":
            filler += 1
            wal.add(b"\x00" + bytes([1 + filler % 255]) * number, wal.last_index + 1, max(term, wal[-1].term))
        elif step == "truncate":
            # Only what nobody has acknowledged is ever truncated; on disk that makes no difference.
            wal.deleteEntriesFrom(max(1, len(wal) - number))
        elif step == "term":
            term = wal.getCurrentTerm() + 1
            wal.setCurrentTerm(term, "m1")
        else:
            wal.sync()
            durable = list(wal)
    return durable


def cut(content, durable_length, length, lost):
    """What is on disk: ``length`` bytes, of which the unflushed parts of the ``lost`` sectors are zero."""
    left = bytearray(content[:length])
    for sector in lost:
        start, stop = max(durable_length, sector * SECTOR), min(length, (sector + 1) * SECTOR)
        if start < stop:
            left[start:stop] = bytes(stop - start)
    return bytes(left)


@settings(max_examples=300, deadline=None)
@given(seal=st.sampled_from((None, SEALER)), todo=steps, last=steps, data=st.data())
def test_a_power_cut_takes_nothing_that_was_flushed_and_never_stops_the_next_start(seal, todo, last, data):
    with tempfile.TemporaryDirectory(prefix="qr") as directory:
        path = Path(directory) / "log"
        wal = create_wal(Noting(), path, ALONE, sealer=seal)
        play(wal, todo)
        wal.sync()
        flushed, durable_length = list(wal), path.stat().st_size
        pending = [step for step in last if step[0] in ("add", "term")]
        play(wal, pending)
        wal.sync()  # in the middle of which the power goes
        everything = list(wal)
        wal.close()
        content = path.read_bytes()

        length = data.draw(st.integers(durable_length, len(content)), label="length")
        first, beyond = durable_length // SECTOR, length // SECTOR + 1
        lost = data.draw(st.sets(st.integers(first, beyond)), label="lost sectors")
        path.write_bytes(cut(content, durable_length, length, lost))

        again = open_wal(Disk(), path, seal)
        kept = list(again)
        again.close()
        assert kept[: len(flushed)] == flushed
        assert kept == everything[: len(kept)]


@settings(max_examples=200, deadline=None)
@given(seal=st.sampled_from((None, SEALER)), todo=steps, data=st.data())
def test_a_log_reads_back_as_it_stood_at_its_last_flush(seal, todo, data):
    with tempfile.TemporaryDirectory(prefix="qr") as directory:
        path = Path(directory) / "log"
        wal = create_wal(Noting(), path, ALONE, sealer=seal)
        durable = play(wal, todo)
        compacted = data.draw(st.booleans(), label="compacted")
        if compacted:
            wal.sync()
            wal.compact(data.draw(st.integers(1, wal.last_index), label="first"))
            durable = list(wal)
        wal.close()
        again = open_wal(Disk(), path, seal)
        assert list(again) == durable
        again.close()
