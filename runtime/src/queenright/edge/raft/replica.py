# SPDX-License-Identifier: Apache-2.0
"""One member of the group, step by step: what comes in, the core's tick, the log's flush, what goes out.

Order within a step: messages that came in, the election timer, the tick (takes proposals into the log's buffer, hands
over entries that an earlier step made durable), messages that may leave, the flush, all other messages. So one
proposal costs one flush, all that arrive during a flush share the next one, and no vote or acknowledgement leaves
before what it speaks of is on disk.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pysyncobj import FAIL_REASON

from queenright.wire.raft import AppendAnswer, AppendEntries, Message, RequestVote, VoteAnswer

from . import following
from .core import ELECTION_LEAST, ELECTION_MOST, HEARTBEAT, Committed, Core
from .errors import InconsistentError, MembershipError, NotLeaderError
from .leader import Leader
from .members import Config
from .proposals import Intake
from .transport import Outbox, Outgoing
from .votes import Voter, grants, majority
from .wal import Wal

IDLE = 5.0
"""Seconds that a member sleeps that has nobody to hear from."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the raft thread last knew. ``is_leader``: elected, whether or not its first entry is committed yet."""

    is_leader: bool
    term: int
    last_index: int
    leader_id: str | None = None
    commit_index: int = 0
    config: Config = Config()
    config_committed: bool = True
    answering: frozenset[str] = frozenset()
    """As the leader: the other members that answered within the election timeout."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A read may be answered when entry ``index`` is applied; None: this member does not lead."""

    ticket: int
    index: int | None


class Replica:
    """Used by one thread. ``clock`` is monotonic, in seconds; ``dice`` gives numbers in [0, 1)."""

    def __init__(
        self, member_id: str, wal: Wal, snapshot_index: int, *, clock: Callable[[], float], dice: Callable[[], float]
    ) -> None:
        self.id = member_id
        self.wal = wal
        self.intake = Intake()
        self._clock = clock
        self._dice = dice
        self._outbox = Outbox()
        self._inbox: deque[tuple[str, Message]] = deque()
        self._leader: Leader | None = None
        self._votes: set[str] = set()
        self._pre_votes: set[str] | None = None
        self._left_behind = False
        self._question = int(dice() * 2**32)
        self.due: int | None = 0
        """As a follower: what was committed when the present leader answered its question, which it asks when it hears
        it for the first time or again after a silence. Before that is applied, or known (None), it is behind."""
        self.heard_at = -math.inf
        """When a leader was heard, by the clock. Other threads may read it, and then ``due``, in this order."""
        self._reads: list[ReadResult] = []
        self._core = Core(
            member_id,
            wal,
            snapshot_index,
            self._outbox,
            self.intake,
            replicate=self._replicate,
            on_lead=self._begin_to_lead,
            clock=clock,
        )
        self._config = Config()
        self._deadline = math.inf
        self._adopt(wal.config)
        self._deadline = self._timeout()
        if self._votes_count() and self._core.alone():
            self._deadline = -math.inf

    # -- in

    def receive(self, sender: str, message: Message) -> None:
        """A message of an authenticated member, to be looked at in the next step. One from itself came over a wrong
        address and says nothing."""
        if sender != self.id and not self._left_behind:
            self._inbox.append((sender, message))

    def leave_behind(self) -> None:
        """A new cluster was forced without this member: it neither leads nor votes nor listens any more, so that there
        are not two groups under one name."""
        self._left_behind = True
        self._inbox.clear()
        self.heard_at = -math.inf
        self._core.stand_down()
        self._settle()

    def read(self, ticket: int) -> None:
        """Ask whether this member leads; the answer is among ``take_reads``."""
        if self._leader is None:
            self._reads.append(ReadResult(ticket, None))
        else:
            self._leader.reads.ask(ticket)

    def change(self, change: Callable[[Config], Config]) -> None:
        """As the leader, put another list of members into the log: ``change`` of the present one.

        Raises NotLeaderError or MembershipError; then nothing changes.
        """
        leader = self._leader
        if leader is None:
            raise NotLeaderError(f"member {self.id} is not the leader")
        config = change(self.wal.config)
        refusal = leader.change_refusal(config)
        if refusal is not None:
            raise MembershipError(refusal)
        self._change(leader, config)

    def transfer(self) -> None:
        """Hand the leadership to another voter. Raises NotLeaderError or MembershipError."""
        if self._leader is None:
            raise NotLeaderError(f"member {self.id} is not the leader")
        self._leader.transfer()

    def snapshot_ended(self, member_id: str, index: int | None) -> None:
        """The sending of a snapshot ended: taken by the member, or (None) not."""
        if self._leader is not None:
            self._leader.snapshot_ended(member_id, index)

    def installed(self, index: int) -> None:
        """The log begins anew at ``index``, with a snapshot in the place of what was before."""
        if self.wal.getCurrentTerm() > self._core.term:
            self._core.follow(self.wal.getCurrentTerm(), None)
            self._settle()
        self._core.installed(index)
        self._adopt(self.wal.config)

    # -- a step

    def step(self) -> list[Outgoing]:
        """What may be sent before ``flush``."""
        while self._inbox:
            self._take(*self._inbox.popleft())
        self._look_at_timer()
        self._core.doTick(0)
        self._settle()
        leader = self._leader
        if leader is not None:
            leader.tell_commit(self._core.commit_index)
            learner = leader.ripe()
            if learner is not None:
                self._change(leader, self.wal.config.with_member(learner))
            leader.pursue_transfer()
            self._reads.extend(ReadResult(ticket, index) for ticket, index in leader.confirm_reads())
        return self._outbox.take_early()

    def flush(self) -> list[Outgoing]:
        """Make everything durable, then give what may be sent only now. Raises OSError: then the member has to end."""
        self.wal.sync()
        return [*self._outbox.take_early(), *self._outbox.take_late()]

    # -- out

    def take_committed(self) -> tuple[Committed, ...]:
        return self._core.take_committed()

    def take_reads(self) -> list[ReadResult]:
        taken, self._reads = self._reads, []
        return taken

    def take_snapshots_wanted(self) -> list[str]:
        """Members that lack entries which are no longer in the log."""
        if self._leader is None:
            return []
        taken, self._leader.snapshots_wanted = self._leader.snapshots_wanted, []
        return taken

    def may_compact(self) -> bool:
        """Whether nobody is being sent a snapshot, behind which entries must be kept."""
        return self._leader is None or not self._leader.sends_snapshots()

    def unfinished(self) -> bool:
        """Whether another step, now, brings anything forward."""
        return bool(self._inbox) or self._core.unfinished()

    def sleeps(self) -> float:
        """Seconds until the next step is due if nothing comes in."""
        if self._leader is not None:
            if len(self._config.members) == 1:
                return IDLE
            due = min(self._core.beat_due(), self._leader.notice_due)
            return max(0.0, min(HEARTBEAT, due - self._clock()))
        if not self._votes_count():
            return IDLE
        return max(0.0, min(IDLE, self._deadline - self._clock()))

    def status(self) -> Status:
        answering: frozenset[str] = frozenset()
        if self._leader is not None:
            since = self._clock() - ELECTION_MOST
            answering = frozenset(
                member.id
                for member in self._config.members
                if (progress := self._leader.progress(member.id)) is not None and progress.answered >= since
            )
        heard = self._leader is not None or self._clock() - self.heard_at <= ELECTION_MOST
        return Status(
            self._core.leads,
            self._core.term,
            self.wal.last_index,
            self._core.leader_id if heard else None,
            self._core.commit_index,
            self._config,
            self.wal.config_index <= self._core.commit_index,
            answering,
        )

    # -- messages

    def _take(self, sender: str, message: Message) -> None:
        if isinstance(message, AppendEntries):
            self._on_append(sender, message)
        elif isinstance(message, AppendAnswer):
            self._on_append_answer(sender, message)
        elif isinstance(message, RequestVote):
            self._on_request_vote(sender, message)
        elif isinstance(message, VoteAnswer):
            self._on_vote_answer(sender, message)
        elif message.term == self._core.term and sender == self._core.leader_id and self._votes_count():
            self._campaign(transfer=True)

    def _on_append(self, sender: str, message: AppendEntries) -> None:
        core = self._core
        if message.term < core.term:
            self._outbox.put(sender, AppendAnswer(core.term, False, 0, message.context))
            return
        if core.leads and message.term == core.term:
            raise InconsistentError(f"member {sender} leads in term {core.term} as this one does: stop one of the two")
        now = self._clock()
        if (message.term, sender) != (core.term, core.leader_id) or now - self.heard_at > ELECTION_MOST:
            # What comes in now may have been under way for long: only an answer says what is committed by now.
            self.due = None
            self._question += 1
        elif self.due is None and message.answers == self._question:
            self.due = message.commit_index
        core.follow(message.term, sender)
        self._settle()
        self.heard_at = now
        self._deadline = self._timeout()
        self._pre_votes = None
        if message.previous_index == 0:
            core.commit_to(min(message.commit_index, self.wal.last_index))
            if message.context == 0:
                return
            self._outbox.put(sender, AppendAnswer(core.term, True, 0, message.context, self._asked()))
            return
        taken = following.append(self.wal, message, core.commit_index)
        if taken.cut:
            for callback in core.abandon(taken.cut):
                callback(None, FAIL_REASON.UNKNOWN_OUTCOME)  # another member may still hold the entry
        if taken.success:
            core.commit_to(min(message.commit_index, taken.next_index - 1))
        if self.wal.config != self._config:
            self._adopt(self.wal.config)
        answer = AppendAnswer(core.term, taken.success, taken.next_index, message.context, self._asked())
        self._outbox.put(sender, answer)

    def _asked(self) -> int:
        return self._question if self.due is None else 0

    def _on_append_answer(self, sender: str, answer: AppendAnswer) -> None:
        core = self._core
        if answer.term > core.term:
            core.follow(answer.term, None)
            self._settle()
        elif answer.term == core.term and self._leader is not None:
            progress = self._leader.answered(sender, answer)
            if progress is not None:
                core.heard(sender, progress.match)

    def _on_request_vote(self, sender: str, request: RequestVote) -> None:
        core, now = self._core, self._clock()
        led = self._leader is not None or now - self.heard_at < ELECTION_LEAST
        voter = Voter(core.term, core.voted_for, self.wal.last_index, self.wal.term_of(self.wal.last_index), led)
        if request.pre:
            granted = grants(voter, sender, request)
            self._outbox.put(sender, VoteAnswer(request.term if granted else core.term, granted, True))
            return
        if request.term > core.term and (not led or request.transfer):
            core.follow(request.term, None)
            self._settle()
        granted = grants(voter, sender, request)
        if granted:
            core.vote_for(request.term, sender)
            self._deadline = self._timeout()
        self._outbox.put(sender, VoteAnswer(core.term, granted, False))

    def _on_vote_answer(self, sender: str, answer: VoteAnswer) -> None:
        core = self._core
        if sender not in self._config.voters():
            return
        if answer.granted and answer.pre:
            if self._pre_votes is not None and answer.term == core.term + 1:
                self._pre_votes.add(sender)
                if majority(len(self._pre_votes) + 1, len(core.others())):
                    self._campaign(transfer=False)
        elif answer.granted:
            if core.campaigns and answer.term == core.term:
                self._votes.add(sender)
                core.count_votes(self._votes)
        elif answer.term > core.term:
            core.follow(answer.term, None)
            self._settle()

    # -- elections

    def _timeout(self) -> float:
        return self._clock() + ELECTION_LEAST + (ELECTION_MOST - ELECTION_LEAST) * self._dice()

    def _votes_count(self) -> bool:
        return self.id in self._config.voters() and not self._left_behind

    def _look_at_timer(self) -> None:
        """After some silence, ask the others whether they would vote for this member."""
        if self._leader is not None or not self._votes_count() or self._clock() < self._deadline:
            return
        self._deadline = self._timeout()
        self.heard_at = -math.inf
        self._pre_votes = set()
        if majority(1, len(self._core.others())):
            self._campaign(transfer=False)
            return
        last = self.wal.last_index
        for member in self._core.others():
            question = RequestVote(self._core.term + 1, last, self.wal.term_of(last), pre=True)
            self._outbox.put(member, question)

    def _campaign(self, *, transfer: bool) -> None:
        self._pre_votes = None
        self._votes.clear()
        self._deadline = self._timeout()
        self._core.campaign(transfer)

    def _begin_to_lead(self) -> None:
        self._pre_votes = None
        self._leader = Leader(self.id, self.wal, self._outbox, self.intake, self._clock, term=self._core.term)

    def _settle(self) -> None:
        """Find out whether this member has ceased to lead."""
        if self._core.leads or self._leader is None:
            return
        leader, self._leader = self._leader, None
        leader.end_transfer()
        self._deadline = self._timeout()
        self._reads.extend(ReadResult(ticket, None) for ticket in leader.reads.abandon())
        for callback in self._core.abandon():
            callback(None, FAIL_REASON.UNKNOWN_OUTCOME)

    # -- within

    def _replicate(self, beat: bool) -> None:
        if self._leader is not None:
            self._leader.commit_index = self._core.commit_index
            self._leader.send_all(beat)

    def _change(self, leader: Leader, config: Config) -> None:
        self._core.append(leader.config_entry(config))
        self._adopt(config)
        leader.send_all(False)

    def _adopt(self, config: Config) -> None:
        self._config = config
        self._core.adopt_members(config.voters(), self.id)
        if self._leader is not None:
            self._leader.adopt(config)
