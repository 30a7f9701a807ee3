# SPDX-License-Identifier: Apache-2.0
"""RaftLog: the replicated log as the manager sees it, on the event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

from queenright.wire.raft import Envelope

from .applier import Applier, StateMachine, restored_aside
from .background import within
from .barriers import Barriers, fail_all
from .core import Committed
from .disk import Disk
from .engine import Engine, Opened
from .errors import FailedError, NotLeaderError, RaftError, StoppedError
from .known import Known
from .leadership import Leadership
from .mailbox import Mailbox
from .members import Config, Member
from .membership import Membership
from .opening import SNAPSHOT_NAME
from .ports import Network, NoNetwork, Sealer
from .proposals import Proposals
from .reception import Reception
from .replica import ReadResult, Status
from .shipping import Shipping
from .snapshot import Snapshot
from .snapshotter import Snapshotter

logger = logging.getLogger(__name__)

DRAIN = 2.5
"""Seconds for which a stop waits for proposals under way."""
STOP = 1.0
"""Seconds for which a stop waits for each of the two threads."""


class RaftLog(Known):
    """A durable, ordered log of commands in front of a state machine, the same on every member of a group.

    Everything is called on one event loop. ``start`` first, ``stop`` last; an object serves once. What other members
    send goes to ``reception``.
    """

    def __init__(
        self,
        directory: Path,
        member_id: str,
        machine: StateMachine,
        *,
        sealer: Sealer | None,
        network: Network | None = None,
        founding: bool = True,
        addr: str = "",
        snapshot_every: int = 10_000,
        keep_entries: int = 500,
        on_fatal: Callable[[BaseException], None],
        on_leadership: Callable[[bool, int], None] = lambda leads, term: None,
        on_members: Callable[[tuple[Member, ...]], None] = lambda members: None,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """``directory`` is made (0700) if need be; a log in it is used as it is. Where there is none, a founder begins
        a group of itself at ``addr``, anybody else waits to be taken in by a leader. ``sealer`` seals all that is
        written there; with None it is in clear.

        After ``snapshot_every`` entries a snapshot is written and the log is cut to ``keep_entries`` before it.
        ``on_fatal`` is called once, on the loop, when the running log fails; ``on_leadership(True, term)`` when this
        member leads and holds all that earlier leaders committed, ``(False, term)`` when that is over; ``on_members``
        when the list of members changed.
        """
        if snapshot_every < 1 or keep_entries < 0:
            raise ValueError("snapshot_every must be at least 1, keep_entries at least 0")
        disk = disk or Disk()
        self._directory = directory
        self._member_id = member_id
        self._machine = machine
        self._network = network or NoNetwork()
        self._keep_entries = keep_entries
        self._on_fatal = on_fatal
        self._leadership = Leadership(on_leadership)
        self._on_members = on_members
        self._begun = False
        self._mailbox = Mailbox()
        post = self._mailbox.post
        founders = Config.of([Member(member_id, addr)]) if founding else Config()
        self._engine = Engine(directory, member_id, disk, post, self, founding=founders, dice=dice, sealer=sealer)
        self._proposals = Proposals(post, self._engine.propose)
        self._barriers = Barriers()
        self._applier = Applier(
            machine,
            clock,
            resolve=self._proposals.resolve,
            dropped=self._proposals.overtaken,
            after_slice=self._after_slice,
            fail=self._fail,
        )
        self._snapshotter = Snapshotter(
            disk,
            directory / SNAPSHOT_NAME,
            snapshot_every,
            clock,
            post,
            done=self._on_snapshot,
            broken=self._fail,
            sealer=sealer,
        )
        self._shipping = Shipping(
            disk, directory, self._engine, self._network, self._snapshotter, self._applier, machine, sealer
        )
        self.membership = Membership(member_id, self._engine, self._check_running)
        self.reception = self._make_reception()
        self._status = Status(False, 0, 0)
        self._opened_term: int | None = None
        self._early: list[tuple[Committed, ...]] | None = []
        self._opening: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._running = False

    def _make_reception(self) -> Reception:
        return Reception(
            self._member_id,
            self._engine,
            self.membership,
            self._shipping,
            running=lambda: self._running,
            status=lambda: self._status,
            applied=lambda: self._applier.index,
            check_running=self._check_running,
        )

    # -- life

    async def start(self) -> None:
        """Load snapshot and log and bring the state machine up to them; a group of one has its leader then.

        Raises LockedError, FormatError (DamagedError, NewerFormatError, SealError, InconsistentError), LibraryError,
        OSError, or what the state machine raised; then nothing is left running.
        """
        if self._begun:
            raise StoppedError("a RaftLog is started once; make a new one")
        self._begun = True
        self._mailbox.open(asyncio.get_running_loop())
        self._engine.start()
        try:
            await self._started.wait()
        except BaseException:
            await self.stop()
            raise
        if self._error is not None:
            await self.stop()
            raise self._error

    async def stop(self) -> None:
        """Take no more proposals, finish those under way, flush, end the threads.

        Takes under 5 s even when the disk hangs; harmless when repeated, or when the log was never started.
        """
        self._running = False
        await self._proposals.drain(DRAIN if self._status.leader_id is not None else 0.0)
        self._leadership.end()
        self._snapshotter.cancel()
        await self._shipping.stop()
        self._engine.stop()
        if self._begun:
            await within(STOP, self._snapshotter.idle)
            await within(STOP, self._ended)
        if not self._engine.join(0.1):
            logger.error("%s: the disk does not answer; stopped without it", self._directory)
        self._settle(StoppedError("the log was stopped before the outcome was known"))

    # -- writing and reading

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        """Put ``command`` into the log; gives what the state machine's ``apply`` gave.

        It returns when the command is on the disks of a majority and applied here. With a ``term`` it is taken only
        while this member leads in that term. Raises CommandTooLargeError, QueueFullError, NotLeaderError,
        DiscardedError (then it is not applied), or UnknownOutcomeError, FailedError, StoppedError (then the outcome is
        unknown if the call had begun before the failure). A cancelled call does not take the command back.
        """
        self._check_running()
        if not self._status.is_leader or term not in (None, self._status.term):
            raise self._not_leader()
        return await self._proposals.submit(command, term).future

    async def barrier(self) -> int:
        """Return when all that was acknowledged anywhere before the call, and all that was proposed here, is applied;
        gives the applied index. A majority has confirmed that this member leads. Raises NotLeaderError."""
        self._check_running()
        if not self._status.is_leader:
            raise self._not_leader()
        self._proposals.hand_over()  # what was proposed before comes before
        ticket, future = self._barriers.begin()
        self._engine.read(ticket)
        return await future

    # -- members, see ``membership.py``

    async def add_member(self, member_id: str, addr: str) -> None:
        """Take in a manager that waits at ``addr``: it catches up without a vote first. Returns when it has one."""
        await self.membership.add(member_id, addr)

    async def remove_member(self, member_id: str) -> None:
        """Take a manager out of the group. Returns when that is committed."""
        await self.membership.remove(member_id)

    async def move_member(self, member_id: str, addr: str) -> None:
        """A manager is reached at another address from now on."""
        await self.membership.move(member_id, addr)

    async def transfer_leadership(self) -> None:
        """Hand the leadership to the manager that is closest. Returns when another one leads."""
        await self.membership.transfer()

    # -- reports of the raft thread, on the loop

    def on_opened(self, opened: Opened) -> None:
        """Directory, snapshot and log are good; entries follow."""
        self._opened_term = opened.status.term
        self._take_status(opened.status)
        self._opening = asyncio.get_running_loop().create_task(self._restore(opened))

    async def _restore(self, opened: Opened) -> None:
        """Bring the state machine up to the snapshot, then let in the entries that came meanwhile."""
        snapshot = opened.snapshot
        if snapshot is None:
            self._applier.restored(1, 0, opened.base)
        else:
            try:
                swap = await restored_aside(self._machine, snapshot)
                swap()
            except Exception as error:
                self._fail(error)
                return
            self._applier.restored(snapshot.index, snapshot.term, snapshot.config)
            self._snapshotter.found(snapshot)
            self._shipping.latest = snapshot
        early, self._early = self._early or [], None
        if self._error is not None:
            return
        self._running = True
        for entries in early:
            self._applier.take(entries)
        if self._status.config.voters() != {self._member_id}:
            self._started.set()
        self._leadership.look(self.is_leader, self.term)

    def on_outgoing(self, envelopes: list[tuple[str, Envelope]]) -> None:
        """Messages for other members."""
        for member_id, envelope in envelopes:
            self._network.send(member_id, envelope)

    def on_progress(self, status: Status, entries: tuple[Committed, ...]) -> None:
        """Leadership, members or log moved on."""
        self._take_status(status)
        if self._early is not None:
            self._early.append(entries)
            return
        if entries:
            self._applier.take(entries)
        self._leadership.look(self.is_leader, self.term)

    def on_reads(self, results: list[ReadResult]) -> None:
        """Reads that a majority confirmed, or that this member may not answer."""
        self._barriers.settle(results, self._applier.reached, self._not_leader())

    def on_snapshots_wanted(self, member_ids: list[str]) -> None:
        """These members lack entries that are no longer in the log."""
        for member_id in member_ids:
            self._shipping.send(member_id, self._status)

    def on_engine_failed(self, error: BaseException) -> None:
        """The raft thread ends with an error."""
        self._fail(error)

    def on_ended(self) -> None:
        """The raft thread has closed everything."""
        self._ended.set()

    # -- within

    def _check_running(self) -> None:
        if self._error is not None:
            raise FailedError(f"the raft log has failed: {self.failure}")
        if not self._running:
            raise StoppedError("the log is not running")

    def _not_leader(self) -> NotLeaderError:
        return NotLeaderError(f"member {self._member_id} is not the leader")

    def _take_status(self, status: Status) -> None:
        before, self._status = self._status, status
        if before.is_leader and (not status.is_leader or status.term != before.term):
            self._lose_leadership()
        if status.config != before.config:
            addresses = status.config.addresses()
            self._network.reach({other: addr for other, addr in addresses.items() if other != self._member_id})
            self._on_members(status.config.members)
        self.membership.moved(status)

    def _lose_leadership(self) -> None:
        """Those who wait for entries of this leadership wait in vain."""
        fail_all((*self._barriers.take_all(), *self._applier.waiting()), self._not_leader())
        self._leadership.end()

    def _after_slice(self) -> None:
        applier = self._applier
        if self._opened_term is not None and applier.no_op_term > self._opened_term:
            self._started.set()
        self._leadership.look(self.is_leader, self.term)
        self._snapshotter.look(applier, self._machine)

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self._shipping.latest = snapshot
        self._engine.compact(snapshot.index, self._keep_entries, self._snapshotter.compacted)
        self._snapshotter.look(self._applier, self._machine)

    async def reseal(self) -> None:
        """See ``Snapshotter.reseal``."""
        self._check_running()
        await self._snapshotter.reseal(self._applier, self._machine)

    def _fail(self, error: BaseException) -> None:
        """Stop for good. Only the first failure counts."""
        if self._error is not None:
            return
        self._error = error
        self._running = False
        self._applier.halt()
        self._snapshotter.cancel()
        self._engine.stop()
        self._settle(FailedError(f"the raft log has failed: {self.failure}"))
        self._leadership.end()
        if not self._started.is_set():
            self._started.set()  # it is start() that raises
            return
        logger.critical("the raft log in %s has failed: %s", self._directory, self.failure)
        self._on_fatal(error)

    def _settle(self, error: RaftError) -> None:
        """Nobody who still waits will hear anything better than ``error``."""
        self._proposals.fail_all(error)
        self.membership.fail(error)
        fail_all((*self._barriers.take_all(), *self._applier.waiting()), error)
