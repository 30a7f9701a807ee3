# SPDX-License-Identifier: Apache-2.0
"""The log against a model of it: any history of calls, with the power cut in any operation on disk."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.raft.disks import CutDisk, PowerCut
from runtime.sealers import sealer

from queenright.edge.raft.members import Config, Member, encode_config, parse_config
from queenright.edge.raft.wal_reader import create_wal, open_wal
from queenright.wire.raft import Entry

SEALER = sealer("m1")
ALONE = Config.of([Member("m1", "h1:2377")])
CONFIGS = [Config.of([Member(f"m{number}", f"h{number}:2377") for number in range(1, 2 + size)]) for size in range(4)]


@dataclasses.dataclass(frozen=True)
class Model:
    """What a log holds. ``commit`` is what the caller knows; on disk it is a hint and may trail."""

    entries: tuple[Entry, ...] = (Entry(b"\x01", 1, 0),)
    term: int = 0
    vote: str | None = None
    base: Config = ALONE
    commit: int = 1

    @property
    def first(self) -> int:
        return self.entries[0].idx

    @property
    def last(self) -> int:
        return self.entries[-1].idx

    def config(self, until: int | None = None) -> tuple[Config, int]:
        found = (self.base, self.first)
        for entry in self.entries[1:]:
            if entry.command[0] == 2 and (until is None or entry.idx <= until):
                found = (parse_config(entry.command[1:]), entry.idx)
        return found

    def shown(self) -> tuple[object, ...]:
        return (self.entries, self.term, self.vote, self.base, *self.config())


def shown(wal) -> tuple[object, ...]:
    return (tuple(wal), wal.getCurrentTerm(), wal.getVotedForNodeId(), wal.base, wal.config, wal.config_index)


def add(model, command):
    return dataclasses.replace(model, entries=(*model.entries, Entry(command, model.last + 1, model.term)))


def cut_from(model, index):
    return dataclasses.replace(model, entries=tuple(entry for entry in model.entries if entry.idx < index))


def compacted(model, first):
    base, _ = model.config(until=first)
    kept = tuple(entry for entry in model.entries if entry.idx >= first)
    return dataclasses.replace(model, entries=kept, base=base, commit=max(model.commit, first))


def reset(model, index, term, config, keep):
    held = next((entry for entry in model.entries if entry.idx == index and entry.term == term), None)
    kept = (Entry(b"\x01", index, term),)
    if held is not None:
        kept = tuple(entry for entry in model.entries if entry.idx >= index) if keep else (held,)
    number, vote = (model.term, model.vote) if model.term >= term else (term, None)
    return Model(kept, number, vote, config, max(model.commit, index))


class Player:
    """Makes the calls on a log and follows them in the model. ``notes`` are the calls since the last flush."""

    def __init__(self, disk, path, seal):
        self.wal = create_wal(disk, path, ALONE, sealer=seal)
        self.durable = self.now = Model()
        self.notes = []
        self.becoming = None

    def note(self, change):
        self.now = change(self.now)
        self.notes.append(change)

    def possible(self):
        """All that may be found after a power cut: what was flushed, with any first part of what was noted since; or
        what takes its place, if that was under way."""
        found = [self.durable]
        for change in self.notes:
            found.append(change(found[-1]))
        return [*found, *([self.becoming] if self.becoming else [])]

    def flushed(self):
        self.durable, self.notes, self.becoming = self.now, [], None

    def step(self, name, number):
        getattr(self, name)(number)
        assert shown(self.wal) == self.now.shown()

    def add(self, size):
        command = b"\x00" + bytes([self.now.last % 250 + 1]) * size
        self.wal.add(command, self.now.last + 1, self.now.term)
        self.note(lambda model: add(model, command))

    def members(self, number):
        command = b"\x02" + encode_config(CONFIGS[number % len(CONFIGS)])
        self.wal.add(command, self.now.last + 1, self.now.term)
        self.note(lambda model: add(model, command))

    def term(self, number):
        term, vote = self.now.term + 1, "m1" if number % 2 else None
        self.wal.setCurrentTerm(term, vote)
        self.note(lambda model: dataclasses.replace(model, term=term, vote=vote))

    def truncate(self, number):
        index = max(self.now.commit + 1, self.now.last - number)
        if index > self.now.last or index <= self.now.first:
            return
        self.wal.deleteEntriesFrom(index - self.now.first)
        self.note(lambda model: cut_from(model, index))

    def commit(self, number):
        index = max(self.now.commit, self.now.last - number)
        self.wal.setRaftCommitIndex(index)
        self.now = dataclasses.replace(self.now, commit=index)
        assert self.wal.getRaftCommitIndex() == index

    def sync(self, number):
        self.wal.sync()
        self.flushed()
        assert self.wal.durable_index == self.now.last

    def compact(self, number):
        first = self.now.first + number % len(self.now.entries)
        if first <= self.now.first:
            return
        after = compacted(self.now, first)
        self.becoming = after
        # what was noted is flushed first, so it may be found whole, and not yet shortened
        self.wal.compact(first)
        self.now = after
        self.flushed()

    def reset(self, number):
        index = self.now.commit + number % 5
        term = next((entry.term for entry in self.now.entries if entry.idx == index), self.now.term)
        if number % 3 == 0 and index > self.now.commit:
            term += 1  # another history
        config = CONFIGS[number % len(CONFIGS)]
        keep = number % 2 == 0 or index <= self.now.commit
        after = reset(self.now, index, term, config, keep)
        if after.last < self.now.commit:
            return
        self.becoming = after
        self.wal.reset(index, term, config, keep)
        self.now = after
        self.flushed()


names = ["add", "add", "add", "members", "term", "truncate", "commit", "sync", "sync", "compact", "reset"]
histories = st.lists(st.tuples(st.sampled_from(names), st.integers(0, 40)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(seal=st.sampled_from((None, SEALER)), history=histories)
def test_a_log_is_what_its_history_says_and_reads_back_as_it_was_flushed(seal, history):
    with tempfile.TemporaryDirectory(prefix="qr") as directory:
        path = Path(directory) / "log"
        player = Player(CutDisk(Path(directory), Path(directory) / "left"), path, seal)
        for name, number in history:
            player.step(name, number)
        hint = player.wal.getRaftCommitIndex()
        player.wal.close()
        again = open_wal(CutDisk(Path(directory), Path(directory) / "left"), path, seal)
        assert shown(again) == player.durable.shown()
        assert again.getRaftCommitIndex() <= hint
        if not player.notes:
            assert again.getRaftCommitIndex() == hint
        again.close()


@settings(max_examples=300, deadline=None)
@given(
    seal=st.sampled_from((None, SEALER)),
    history=histories,
    at=st.integers(0, 60),
    late=st.booleans(),
    forgets=st.booleans(),
)
def test_a_power_cut_in_any_operation_leaves_what_was_flushed_and_a_first_part_of_the_rest(
    seal, history, at, late, forgets
):
    with tempfile.TemporaryDirectory(prefix="qr") as name:
        work, left = Path(name) / "work", Path(name) / "left"
        work.mkdir()
        disk = CutDisk(work, left, at + 3, late=late, forgets=forgets)  # after the three with which it is made
        player = Player(disk, work / "log", seal)
        try:
            for step, number in history:
                player.step(step, number)
            player.wal.close()
        except PowerCut:
            pass
        else:
            return
        again = open_wal(CutDisk(left, left / "left"), left / "log", seal)
        assert shown(again) in [model.shown() for model in player.possible()]
        assert again.getRaftCommitIndex() <= max(model.commit for model in (player.now, *player.possible()))
        again.close()
        with suppress(PowerCut):
            player.wal.close()
