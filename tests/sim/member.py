# SPDX-License-Identifier: Apache-2.0
"""One simulated member: the project's own log, snapshot and replica on a faulty disk, with a state machine above."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.sealers import sealer

from queenright.edge.raft.core import Committed
from queenright.edge.raft.incoming import Part
from queenright.edge.raft.install import finish_install
from queenright.edge.raft.log_format import MEMBERS_ENTRY, REGULAR
from queenright.edge.raft.members import Config, Member, parse_config
from queenright.edge.raft.membership import Membership
from queenright.edge.raft.opening import open_files
from queenright.edge.raft.replica import Replica, Status
from queenright.edge.raft.snapshot import Snapshot, write_snapshot
from queenright.edge.raft.wal import Wal
from queenright.wire.raft import SnapshotHead
from sim.clock import Clock
from sim.disk import FaultyDisk
from sim.machine import Machine

EVERY = 25
"""Entries between two snapshots: few, so that they are in everything's way."""
KEEP = 6
NO_ENGINE: Any = None
"""Changes of the members are asked of the replica; of the membership, only the gate is used."""
CHUNK = 300
"""Bytes of a snapshot that come in at once."""


class SimProposal:
    """One command under way, in the shape in which the raft thread carries it. ``ended`` is told once what became of
    it: None when it took place, or else the library's reason."""

    def __init__(self, body: bytes, term: int | None, ended: Callable[[int | None], None]) -> None:
        self.command = bytes([REGULAR]) + body
        self.body = body
        self.term = term
        self.size = len(body)
        self.ended = ended

    def __call__(self, _result: object, reason: int) -> None:
        self.ended(reason)


@dataclass
class Frozen:
    """A snapshot that is being written; it is on disk at ``due``."""

    due: float
    index: int
    term: int
    config: Config
    records: list[bytes]


class SimMember:
    """Its disk outlives it; ``up`` says whether it runs, ``paused_until`` that it hangs."""

    def __init__(self, name: str, directory: Path, clock: Clock, seed: int, founders: Config) -> None:
        directory.mkdir()
        self.name = name
        self.dice = random.Random(seed)
        self.disk = FaultyDisk(directory, random.Random(seed + 1))
        self.sealer = sealer(name, random=random.Random(seed + 2).randbytes)
        self.wal: Wal
        self.replica: Replica
        self.gate: Membership
        self.status: Status
        self.machine = Machine()
        self.snapshot: Snapshot | None = None
        self.frozen: Frozen | None = None
        self.up = self.retired = False
        self.paused_until = 0.0
        self._founders = founders
        self._clock = clock
        self._directory = directory
        self._config = Config()
        self._term = 0

    def start(self) -> None:
        """Come up from what is on disk."""
        self.disk.power_on()
        self.wal, self.snapshot = open_files(self.disk, self._directory, self.name, self._founders, self.sealer)
        self.restore()
        index = self.snapshot.index if self.snapshot else 0
        self.replica = Replica(self.name, self.wal, index, clock=self._clock, dice=self.dice.random)
        self.gate = Membership(self.name, NO_ENGINE, lambda: None)
        self.looked()
        self.frozen, self.paused_until, self.up = None, 0.0, True

    def looked(self) -> None:
        """Tell those above what the replica knows now."""
        self.status = self.replica.status()
        self.gate.moved(self.status)

    def restore(self) -> None:
        """Begin with what the snapshot holds."""
        if self.snapshot is None:
            self.machine = Machine()
            self.machine.index, self._term, self._config = self.wal.first_index, 0, self.wal.base
        else:
            self.machine = Machine.thaw(self.snapshot.records(), self.snapshot.index)
            self._term, self._config = self.snapshot.term, self.snapshot.config

    def die(self) -> None:
        """The power goes. What was in memory is gone, what was not flushed is torn."""
        self.up = False
        self.disk.go_out()
        self.wal.close()
        self.disk.power_cut()

    def apply(self, entry: Committed) -> None:
        """Bring the state machine to the next entry."""
        assert entry.index == self.machine.index + 1, f"{self.name} applies {entry.index} after {self.machine.index}"
        if entry.command[0] == REGULAR:
            self.machine.apply(entry.index, entry.command[1:])
        elif entry.command[0] == MEMBERS_ENTRY:
            self._config = parse_config(entry.command[1:])
        self.machine.index, self._term = entry.index, entry.term

    def begin_snapshot(self, at_once: bool = False) -> None:
        """Freeze the state machine if it is time for that."""
        taken = self.snapshot.index if self.snapshot else 1
        if not self._config.members:
            return  # a joiner that does not know yet who belongs to the group
        if self.frozen is None and (self.machine.index - taken >= EVERY or (at_once and self.machine.index > taken)):
            due = self._clock() + self.dice.uniform(0.0, 0.5)
            self.frozen = Frozen(due, self.machine.index, self._term, self._config, self.machine.freeze())

    def end_snapshot(self) -> None:
        """What was frozen is on disk, and the log is shortened."""
        frozen, self.frozen = self.frozen, None
        assert frozen is not None
        if self.snapshot is not None and self.snapshot.index >= frozen.index:
            return  # a newer one was installed meanwhile
        path = self._directory / "snapshot"
        self.snapshot = write_snapshot(
            self.disk, path, frozen.index, frozen.term, frozen.config, frozen.records, sealer=self.sealer
        )
        if self.replica.may_compact():
            self.wal.compact(self.wal.first_to_keep(frozen.index, KEEP))

    def install(self, head: SnapshotHead, content: bytes) -> None:
        """Take another member's snapshot in the place of what is here. Raises InstallError."""
        part = Part(self.disk, self._directory, head, self.sealer)
        try:
            for start in range(0, len(content), CHUNK):
                part.write(content[start : start + CHUNK])
            staged = part.finish()
        except BaseException:
            part.drop()
            raise
        self.snapshot = finish_install(self.disk, self._directory, self.wal, staged)
        self.replica.installed(self.snapshot.index)
        self.restore()


def founders(names: str) -> Config:
    """A group that is there from the beginning."""
    return Config.of([Member(name, f"{name}:2377") for name in names])
