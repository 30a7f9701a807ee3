# SPDX-License-Identifier: Apache-2.0
"""PySyncObj's raft core with every unsafe part replaced. All overridden private methods are in this file.

A method of a subclass that is literally named ``_SyncObj__x`` wins over the library's private ``__x``. That holds for
exactly the source whose SHA-256 is below, so another one is refused.

Kept from the library: election timer and votes, the queue of commands, the no-op of a new leader, the commit rule.
Replaced: journal and snapshot (ours, fsynced), the state machine (runs on the event loop, not here), everything that
would pickle or unpickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pysyncobj.syncobj
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf

from .errors import LibraryError
from .transport import MemberNode, NoPeers
from .wal import REGULAR, Wal

LIBRARY_VERSION = "0.3.17"
LIBRARY_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"

Callback = Callable[[object, int], None]
"""Called with (None, reason) when a command is refused or discarded; carried along when it is committed."""

_NEVER = 10**9


@dataclass(frozen=True, slots=True)
class Committed:
    """An entry that is committed and durable. ``callbacks`` are those of the proposals that wait for it."""

    index: int
    term: int
    command: bytes
    callbacks: tuple[Callback, ...]


def check_library(source: Path | None = None) -> None:
    """Raise LibraryError unless the installed library is, byte for byte, the one these overrides were written for."""
    source = source or Path(pysyncobj.syncobj.__file__)
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != LIBRARY_SHA256:
        raise LibraryError(
            f"{source} is not that of pysyncobj {LIBRARY_VERSION} (SHA-256 {found}, expected {LIBRARY_SHA256}): "
            f"install pysyncobj=={LIBRARY_VERSION} into this environment again"
        )


def _configuration() -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=True,
        appendEntriesPeriod=0.1,
        appendEntriesBatchSizeBytes=2 * 1024 * 1024,
        raftMinTimeout=0.5,
        raftMaxTimeout=1.2,
        leaderFallbackTimeout=0.5,
        commandsWaitLeader=False,
        commandsQueueSize=0,
        dynamicMembershipChange=False,
        journalFile=None,
        fullDumpFile=None,
        useFork=False,
        logCompactionMinEntries=_NEVER,
        logCompactionMinTime=_NEVER,
        password=None,
    )


class Core(SyncObj):  # type: ignore[misc]
    """One member's raft state. Ticked and read by the raft thread only; ``propose`` may be called from any thread."""

    def __init__(self, member_id: str, wal: Wal, snapshot_index: int) -> None:
        self._wal = wal
        self._committed: list[Committed] = []
        super().__init__(MemberNode(member_id), [], conf=_configuration(), nodeClass=MemberNode, transportClass=NoPeers)
        self._adopt(wal, snapshot_index)

    def _adopt(self, wal: Wal, snapshot_index: int) -> None:
        """Put our log in the place of the one in memory with which the library was built."""
        applied = max(snapshot_index, wal.first_index)
        self._SyncObj__raftLog = wal
        self._SyncObj__raftCurrentTerm = wal.getCurrentTerm()
        self._SyncObj__votedForNodeId = wal.getVotedForNodeId()
        self._SyncObj__raftLastApplied = applied
        self._SyncObj__raftCommitIndex = applied
        if not self._SyncObj__otherNodes:
            self._SyncObj__raftElectionDeadline = 0.0  # nobody else could be leader: no need to wait

    def propose(self, command: bytes, callback: Callback) -> None:
        """Queue ``command`` for the log; the raft thread has to be woken afterwards."""
        self._applyCommand(command, callback, REGULAR)

    def take_committed(self) -> tuple[Committed, ...]:
        """The entries that became committed and durable since the last call, in order."""
        taken = tuple(self._committed)
        self._committed.clear()
        return taken

    def flush_transport(self) -> None:
        """Let out the messages that had to wait until the log was flushed."""
        self._SyncObj__transport.flush()

    def alone(self) -> bool:
        """Whether this member is the whole group."""
        return not self._SyncObj__otherNodes

    def unfinished(self) -> bool:
        """Whether another tick, now, brings entries forward without hearing from anybody."""
        committed: int = self._SyncObj__raftCommitIndex
        return self.alone() and (committed < self._wal.last_index or self._SyncObj__raftLastApplied < committed)

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802
        super()._SyncObj__onBecomeLeader()
        # The tick that elects goes on to count votes for entries; the own vote counts only when it is on disk.
        self._wal.sync()

    def _SyncObj__applyLogEntries(self) -> bool:  # noqa: N802
        """Hand over what is committed, but nothing that is not durable here."""
        applied: int = self._SyncObj__raftLastApplied
        upto = min(self._SyncObj__raftCommitIndex, self._wal.durable_index)
        if upto <= applied:
            return False
        waiting = self._SyncObj__commandsWaitingCommit
        for command, index, term in self._SyncObj__getEntries(applied + 1, upto - applied):
            callbacks = []
            for subscribed_term, callback in waiting.pop(index, ()):
                if subscribed_term == term:
                    callbacks.append(callback)
                else:
                    callback(None, FAIL_REASON.DISCARDED)
            self._committed.append(Committed(index, term, command, tuple(callbacks)))
        self._SyncObj__raftLastApplied = upto
        return False

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802
        """The engine compacts, after the state machine's snapshot is durable."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Stands where the library would unpickle bytes; nothing here leads there."""
        raise RuntimeError("a pickle path of pysyncobj was reached")

    _SyncObj__doApplyCommand = _refuse
    _SyncObj__parseChangeClusterRequest = _refuse
    _SyncObj__loadDumpFile = _refuse
