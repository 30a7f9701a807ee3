# SPDX-License-Identifier: Apache-2.0
"""What a leader does: sends entries to the others and hears how far they are, confirms reads, changes the members."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from queenright.wire.raft import AppendAnswer, AppendEntries, Entry, TimeoutNow

from .core import ELECTION_MOST
from .errors import MembershipError
from .members import Config, Member, encode_config
from .progress import Progress
from .proposals import Intake
from .reads import Reads
from .transport import Outbox
from .wal import MEMBERS_ENTRY, Wal

logger = logging.getLogger(__name__)

BATCH = 2 * 1024 * 1024
"""Bytes of entries in one message, unless a single one is larger."""
CLOSE = 1000
"""A member becomes a voter when it lacks no more entries than these, and has them on the next beat or so."""
DENIALS = 50
"""Answers in a row against what was acknowledged, after which that is said."""
NOTICE = 0.002
"""Seconds within which members hear that entries are committed. Under load the next entries say so by themselves."""
TRANSFER = 2.0
"""Seconds in which a handing over must have come about."""


class Leader:
    """For as long as this member leads; used by the raft thread only. ``core`` is the state it leads with."""

    def __init__(
        self, member_id: str, wal: Wal, outbox: Outbox, intake: Intake, clock: Callable[[], float], *, term: int
    ) -> None:
        self._id = member_id
        self._wal = wal
        self._outbox = outbox
        self._intake = intake
        self._clock = clock
        self._term = term
        self._begins = wal.last_index + 1  # the entry with which this leadership begins
        self._progress: dict[str, Progress] = {}
        self._transfer: tuple[str, float] | None = None  # to whom, until when
        self.reads = Reads()
        self.reads.context = 1  # 0 marks a message that wants no answer
        self.commit_index = 0
        self.notice_due = math.inf
        """When the members are to be told at the latest what is committed."""
        self.snapshots_wanted: list[str] = []
        self.adopt(wal.config)

    # -- members

    def adopt(self, config: Config) -> None:
        """Send to these members from now on."""
        wanted = {member.id for member in config.members if member.id != self._id}
        for gone in self._progress.keys() - wanted:
            del self._progress[gone]
        for member_id in wanted - self._progress.keys():
            self._progress[member_id] = Progress(self._wal.last_index + 1, answered=self._clock())

    def progress(self, member_id: str) -> Progress | None:
        return self._progress.get(member_id)

    def change_refusal(self, config: Config) -> str | None:
        """Why the group cannot become ``config`` now, or None."""
        if self.commit_index < self._begins:
            return "the leader has just been elected: try again in a moment"
        if self._wal.config_index > self.commit_index:
            return "another change of the members is under way: try again in a moment"
        now = self._wal.config
        if len(config.voters() ^ now.voters()) > 1:
            return "only one manager at a time can be added or removed"
        if self._id not in config.voters():
            return "the leader hands its leadership over before it is removed"
        return self._quorum_refusal(config)

    def _quorum_refusal(self, config: Config) -> str | None:
        """A removal must leave a majority of voters that answer."""
        voters = config.voters()
        if voters >= self._wal.config.voters():
            return None
        since = self._clock() - ELECTION_MOST
        alive = sum(member == self._id or self._progress[member].answered >= since for member in voters)
        if 2 * alive > len(voters):
            return None
        return (
            f"only {alive} of the {len(voters)} managers that would be left answer: without a majority the swarm could "
            "not be managed any more"
        )

    def ripe(self) -> Member | None:
        """A learner that has caught up, if the members can be changed now."""
        if self._wal.config_index > self.commit_index or self.commit_index < self._begins:
            return None
        for member in self._wal.config.members:
            progress = self._progress.get(member.id)
            if member.voter or progress is None or progress.probing or progress.snapshot:
                continue
            if progress.match and progress.match >= self._wal.last_index - CLOSE:
                return Member(member.id, member.addr)
        return None

    def config_entry(self, config: Config) -> bytes:
        return bytes([MEMBERS_ENTRY]) + encode_config(config)

    # -- sending

    def send_all(self, beat: bool) -> None:
        """Send what each member lacks; with ``beat`` at least a sign of life."""
        for member_id, progress in self._progress.items():
            self._send(member_id, progress, beat)

    def tell_commit(self, commit_index: int) -> None:
        """Whoever is up to date hears soon, and not with the next beat, that its entries are committed."""
        self.commit_index = commit_index
        waiting = [
            (member_id, progress, news)
            for member_id, progress in self._progress.items()
            if progress.told_commit < (news := min(commit_index, progress.match))
            and progress.next > self._wal.last_index
            and not progress.probing
        ]
        now = self._clock()
        if waiting and now < self.notice_due:
            self.notice_due = min(self.notice_due, now + NOTICE)
            return
        self.notice_due = math.inf
        for member_id, progress, news in waiting:
            progress.told_commit = news
            self._outbox.put(member_id, AppendEntries(self._term, news, 0, 0))

    def _send(self, member_id: str, progress: Progress, beat: bool) -> None:
        if progress.next <= self._wal.first_index and not progress.snapshot:
            if self._clock() - progress.answered > ELECTION_MOST:
                if beat:
                    self._sign_of_life(member_id, progress)
                return
            progress.snapshot_begins()
            self.snapshots_wanted.append(member_id)
        if progress.probing and not progress.snapshot:
            if beat or not progress.asked:  # what was asked may have been lost
                progress.asked = True
                self._put(member_id, progress, progress.next - 1, ())
            return
        while progress.next <= self._wal.last_index and progress.may_send():
            entries, size = self._batch(progress.next)
            self._put(member_id, progress, progress.next - 1, entries)
            progress.sent(entries[-1].idx, size)
            beat = False
        if beat and progress.snapshot:
            self._sign_of_life(member_id, progress)
        elif beat:
            self._put(member_id, progress, progress.next - 1, ())

    def _sign_of_life(self, member_id: str, progress: Progress) -> None:
        """A message that says nothing of the log but what the member is known to have."""
        commit = min(self.commit_index, progress.match)
        message = AppendEntries(self._term, commit, 0, 0, (), self.reads.context, progress.question)
        self._outbox.put(member_id, message)

    def _put(self, member_id: str, progress: Progress, previous: int, entries: tuple[Entry, ...]) -> None:
        term = self._wal.term_of(previous)
        message = AppendEntries(
            self._term, self.commit_index, previous, term, entries, self.reads.context, progress.question
        )
        progress.told_commit = self.commit_index
        self._outbox.put(member_id, message)

    def _batch(self, first: int) -> tuple[tuple[Entry, ...], int]:
        size = 0
        entries: list[Entry] = []
        for index in range(first, self._wal.last_index + 1):
            entry = self._wal.entry(index)
            if entries and size + len(entry.command) > BATCH:
                break
            entries.append(entry)
            size += len(entry.command)
        return tuple(entries), size

    # -- hearing

    def answered(self, member_id: str, answer: AppendAnswer) -> Progress | None:
        """Take note of an answer of the present term; None if it does not come from a member."""
        progress = self._progress.get(member_id)
        if progress is None:
            return None
        progress.answered = self._clock()
        progress.context = max(progress.context, min(answer.context, self.reads.context))
        asks = answer.question not in (0, progress.question)
        progress.question = answer.question
        if answer.next_index < 1 or answer.next_index > self._wal.last_index + 1:
            return progress  # it says nothing of the log, or more than can be true
        if progress.snapshot:
            return progress
        if answer.success:
            progress.accepted(answer.next_index)
        elif not progress.refused(max(answer.next_index, 2)) and progress.denials == DENIALS:
            logger.error(
                "member %s lacks entries that it had acknowledged, its disk is not what it was: demote it, let it "
                "leave with force and join again", member_id,
            )  # fmt: skip
        self._send(member_id, progress, asks)
        return progress

    def snapshot_ended(self, member_id: str, index: int | None) -> None:
        """A snapshot was taken by the member, or (None) it was not."""
        progress = self._progress.get(member_id)
        if progress is not None:
            progress.snapshot_ended(index)
            self._send(member_id, progress, True)

    def sends_snapshots(self) -> bool:
        """Whether entries behind a snapshot that is under way must be kept."""
        return any(progress.snapshot for progress in self._progress.values())

    # -- reads

    def confirm_reads(self) -> list[tuple[int, int]]:
        """Begin a round for the reads that asked, and give those that are confirmed."""
        if self.reads.asked():
            self.reads.begin(self._wal.last_index)
            self.send_all(True)
        voters = self._wal.config.voters() - {self._id}
        return self.reads.confirmed([self._progress[member].context for member in voters], len(voters))

    # -- handing over

    def transfer(self) -> None:
        """Hand the leadership to the voter that is closest. Raises MembershipError when there is none."""
        voters = self._wal.config.voters() - {self._id}
        since = self._clock() - ELECTION_MOST
        candidates = [
            (progress.match, member)
            for member in voters
            if (progress := self._progress[member]).answered >= since and progress.match
        ]
        if not candidates:
            raise MembershipError("no other manager answers: there is nobody to hand the leadership to")
        self._transfer = (max(candidates)[1], self._clock() + TRANSFER)
        self._intake.held = True

    def pursue_transfer(self) -> None:
        """Tell the next leader to begin as soon as it has everything; give up when it takes too long."""
        if self._transfer is None:
            return
        member_id, deadline = self._transfer
        progress = self._progress.get(member_id)
        if progress is None or self._clock() > deadline:
            self.end_transfer()
        elif progress.match == self._wal.last_index:
            self._outbox.put(member_id, TimeoutNow(self._term))

    def end_transfer(self) -> None:
        """It came about, or it did not."""
        self._transfer = None
        self._intake.held = False
