# SPDX-License-Identifier: Apache-2.0
"""PySyncObj's raft core with every unsafe part replaced. All overridden private methods are in this file.

A method of a subclass that is literally named ``_SyncObj__x`` wins over the library's private ``__x``. That holds for
exactly the source whose SHA-256 is below, so another one is refused.

Kept from the library: terms and states, the election of a leader and its no-op, the rule by which entries are
committed, the leader's stepping down without a majority. Replaced: journal and snapshot (ours, fsynced), sending and
receiving of entries and votes (``leading.py``, ``following.py``), the election timer (a question comes before each
election), the queue of commands, the members (lists in the log), everything that would pickle or unpickle.
"""

from __future__ import annotations

import _socket
import hashlib
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pysyncobj.syncobj
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf

from .errors import LibraryError
from .proposals import Callback, Intake
from .transport import MemberNode, Outbox
from .votes import majority
from .wal import Wal

# The library puts functions of Windows into the socket module, wherever it is imported.
socket.inet_pton, socket.inet_ntop = _socket.inet_pton, _socket.inet_ntop

LIBRARY_VERSION = "0.3.17"
LIBRARY_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"

HEARTBEAT = 0.1
"""Seconds between two messages of a leader to each member."""
ELECTION_LEAST = 0.75
"""Seconds of silence after which a member may ask for an election. A leader without a majority steps down after as
long, and nobody votes against a leader that was heard of within them."""
ELECTION_MOST = 1.5

_NEVER = 10**9
_FOLLOWER, _LEADER = 0, 2


def library_clock() -> float:
    """The clock by which the library measures its times: it is not the one that Python calls monotonic."""
    return float(pysyncobj.syncobj.monotonicTime())


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
        appendEntriesPeriod=HEARTBEAT,
        raftMinTimeout=ELECTION_LEAST,
        raftMaxTimeout=ELECTION_MOST,
        leaderFallbackTimeout=ELECTION_LEAST,
        connectionTimeout=ELECTION_MOST,
        commandsWaitLeader=False,
        dynamicMembershipChange=False,
        journalFile=None,
        fullDumpFile=None,
        useFork=False,
        logCompactionMinEntries=_NEVER,
        logCompactionMinTime=_NEVER,
        password=None,
    )


class Core(SyncObj):  # type: ignore[misc]
    """One member's raft state, as the library keeps it, by names that can be read. Used by one thread only.

    ``outbox`` takes what is to be sent, ``intake`` gives the proposals.
    ``on_lead`` is called when this member was elected, before its no-op is replicated.
    """

    def __init__(
        self,
        member_id: str,
        wal: Wal,
        snapshot_index: int,
        outbox: Outbox,
        intake: Intake,
        *,
        replicate: Callable[[bool], None],
        on_lead: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._wal = wal
        self._outbox = outbox
        self._intake = intake
        self._replicate = replicate
        self._on_lead = on_lead
        self._clock = clock
        self._committed: list[Committed] = []
        super().__init__(
            MemberNode(member_id), [], conf=_configuration(), nodeClass=MemberNode, transport=outbox.for_library()
        )
        applied = max(snapshot_index, wal.first_index)
        self._SyncObj__raftLog = wal
        self._SyncObj__raftCurrentTerm = wal.getCurrentTerm()
        self._SyncObj__votedForNodeId = wal.getVotedForNodeId()
        self._SyncObj__raftLastApplied = applied
        self._SyncObj__raftCommitIndex = max(applied, wal.getRaftCommitIndex())
        self._SyncObj__raftElectionDeadline = math.inf

    # -- what the library keeps

    @property
    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def voted_for(self) -> str | None:
        vote: str | None = self._SyncObj__votedForNodeId
        return vote

    @property
    def leads(self) -> bool:
        return bool(self._SyncObj__raftState == _LEADER)

    @property
    def campaigns(self) -> bool:
        return self._SyncObj__raftState not in (_FOLLOWER, _LEADER)

    @property
    def leader_id(self) -> str | None:
        leader: MemberNode | None = self._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    @property
    def commit_index(self) -> int:
        return int(self._SyncObj__raftCommitIndex)

    def beat_due(self) -> float:
        """When this leader sends its next sign of life, by the monotonic clock."""
        return float(self._SyncObj__newAppendEntriesTime)

    def others(self) -> list[str]:
        """Ids of the other voters."""
        return sorted(node.id for node in self._SyncObj__otherNodes)

    # -- what may be done to it

    def adopt_members(self, voters: frozenset[str], self_id: str) -> None:
        """Count with these voters from now on; what was known of those who stay is kept."""
        nodes = {MemberNode(member) for member in voters if member != self_id}
        for known in (self._SyncObj__raftMatchIndex, self._SyncObj__lastResponseTime):
            for node in known.keys() - nodes:
                del known[node]
        self._SyncObj__otherNodes = nodes
        self._SyncObj__connectedNodes = set(nodes)
        for node in nodes:
            self._SyncObj__raftMatchIndex.setdefault(node, 0)
            self._SyncObj__lastResponseTime.setdefault(node, self._clock())

    def heard(self, member_id: str, match: int) -> None:
        """A member answered this leader: ``match`` is its newest entry that is known to be the same and durable."""
        node = MemberNode(member_id)
        self._SyncObj__lastResponseTime[node] = self._clock()
        if node in self._SyncObj__raftMatchIndex:
            self._SyncObj__raftMatchIndex[node] = max(self._SyncObj__raftMatchIndex[node], match)

    def campaign(self, transfer: bool) -> None:
        """Begin an election with the next tick."""
        self._outbox.transfer = transfer
        self._SyncObj__raftElectionDeadline = -math.inf

    def stand_down(self) -> None:
        """Neither lead nor begin the election that was to come."""
        self._SyncObj__raftElectionDeadline = math.inf
        self.follow(self.term, None)

    def follow(self, term: int, leader_id: str | None) -> None:
        """Be a follower in ``term``, of a leader if it is known."""
        if term > self.term:
            self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(_FOLLOWER)
        self._SyncObj__raftLeader = None if leader_id is None else MemberNode(leader_id)

    def vote_for(self, term: int, candidate: str) -> None:
        """Give the vote of ``term``; the answer must not leave before the log was flushed."""
        if term > self.term:
            self.follow(term, None)
        self._SyncObj__setCurrentTerm(term, candidate)

    def count_votes(self, votes: set[str]) -> None:
        """``votes``: the other voters that gave theirs in this term. Lead, if they are enough."""
        if self.campaigns and majority(len(votes) + 1, len(self._SyncObj__otherNodes)):
            self._SyncObj__onBecomeLeader()

    def commit_to(self, index: int) -> None:
        """The leader says that entries up to ``index`` are committed, and they were found to be the same here."""
        self._SyncObj__raftCommitIndex = max(self._SyncObj__raftCommitIndex, index)
        self._wal.setRaftCommitIndex(self._SyncObj__raftCommitIndex)

    def installed(self, index: int) -> None:
        """A snapshot of ``index`` took the place of everything up to it."""
        self._SyncObj__raftCommitIndex = max(self._SyncObj__raftCommitIndex, index)
        self._SyncObj__raftLastApplied = max(self._SyncObj__raftLastApplied, index)

    def append(self, command: bytes, callback: Callback | None = None) -> int:
        """As the leader, put an entry into the log; gives its index."""
        index = self._wal.last_index + 1
        self._wal.add(command, index, self.term)
        if callback is not None:
            self._SyncObj__commandsWaitingCommit[index].append((self.term, callback))
        return index

    def abandon(self, first: int = 0) -> list[Callback]:
        """Forget the proposals from entry ``first`` on; gives those that waited for them."""
        waiting = self._SyncObj__commandsWaitingCommit
        return [callback for index in sorted(waiting) if index >= first for _, callback in waiting.pop(index)]

    def take_committed(self) -> tuple[Committed, ...]:
        """The entries that became committed and durable since the last call, in order."""
        taken = tuple(self._committed)
        self._committed.clear()
        return taken

    def alone(self) -> bool:
        """Whether this member is the only voter."""
        return not self._SyncObj__otherNodes

    def unfinished(self) -> bool:
        """Whether another tick, now, brings entries forward without hearing from anybody."""
        if self._SyncObj__raftElectionDeadline == -math.inf:
            return True
        if self._SyncObj__raftLastApplied < min(self.commit_index, self._wal.durable_index):
            return True
        return self.alone() and self.leads and self.commit_index < self._wal.last_index

    # -- the library's private methods

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802
        self._SyncObj__raftMatchIndex.clear()
        self._on_lead()
        super()._SyncObj__onBecomeLeader()
        # The tick that elects goes on to count votes for entries; the own vote counts only when it is on disk.
        self._wal.sync()

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802
        self._SyncObj__newAppendEntriesTime = self._clock() + HEARTBEAT
        self._replicate(True)

    def _SyncObj__generateRaftTimeout(self) -> float:  # noqa: N802
        return math.inf  # the timer is the replica's

    def _checkCommandsToApply(self) -> None:  # noqa: N802
        """Put the proposals that wait into the log, all of them at once."""
        grown = False
        for proposal in self._intake.take():
            if not self.leads or proposal.term not in (None, self.term):
                proposal(None, FAIL_REASON.NOT_LEADER)
                continue
            self.append(proposal.command, proposal)
            grown = True
        if grown:
            self._replicate(False)

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
        """Stands where the library would unpickle bytes, or believe them unchecked; nothing here leads there."""
        raise RuntimeError("an unsafe path of pysyncobj was reached")

    _SyncObj__doApplyCommand = _refuse
    _SyncObj__parseChangeClusterRequest = _refuse
    _SyncObj__doChangeCluster = _refuse
    _SyncObj__loadDumpFile = _refuse
    _SyncObj__onMessageReceived = _refuse
