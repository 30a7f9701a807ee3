# SPDX-License-Identifier: Apache-2.0
"""RaftLog: the replicated log as the manager sees it, on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from .applier import Applier, StateMachine
from .core import Committed
from .disk import Disk
from .engine import SNAPSHOT_NAME, Engine, Opened, Status
from .errors import FailedError, NotLeaderError, RaftError, StoppedError
from .members import Member
from .proposals import Proposals
from .snapshot import Snapshot
from .snapshotter import Snapshotter

logger = logging.getLogger(__name__)

DRAIN = 2.5
"""Seconds for which a stop waits for proposals under way."""
STOP = 1.0
"""Seconds for which a stop waits for each of the two threads."""


class RaftLog:
    """A durable, ordered log of commands in front of a state machine; here for a group of one member.

    Everything is called on one event loop. ``start`` first, ``stop`` last; an object serves once.
    """

    def __init__(
        self,
        directory: Path,
        member_id: str,
        machine: StateMachine,
        *,
        snapshot_every: int = 10_000,
        keep_entries: int = 500,
        on_fatal: Callable[[BaseException], None],
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``directory`` is made (0700) if need be. After ``snapshot_every`` entries a snapshot is written and the log
        is cut to ``keep_entries`` before it. ``on_fatal`` is called once, on the loop, when the running log fails."""
        if snapshot_every < 1 or keep_entries < 0:
            raise ValueError("snapshot_every must be at least 1, keep_entries at least 0")
        disk = disk or Disk()
        self._directory = directory
        self._member_id = member_id
        self._machine = machine
        self._keep_entries = keep_entries
        self._on_fatal = on_fatal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._proposals = Proposals(self._post)
        self._barriers: dict[int, asyncio.Future[int]] = {}
        self._tickets = 0
        self._applier = Applier(
            machine, clock, resolve=self._proposals.resolve, after_slice=self._after_slice, fail=self._fail
        )
        self._snapshotter = Snapshotter(
            disk,
            directory / SNAPSHOT_NAME,
            snapshot_every,
            clock,
            self._post,
            done=self._on_snapshot,
            broken=self._fail,
        )
        self._engine = Engine(directory, member_id, disk, self._post, self)
        self._status = Status(False, 0, 0)
        self._members: tuple[Member, ...] = ()
        self._opened_term: int | None = None
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._running = False

    @property
    def is_leader(self) -> bool:
        """Whether this member leads and holds all that earlier leaders committed."""
        return self._running and self._status.is_leader

    @property
    def term(self) -> int:
        """The current term of the group."""
        return self._status.term

    @property
    def applied_index(self) -> int:
        """Index of the last entry that the state machine took."""
        return self._applier.index

    @property
    def last_index(self) -> int:
        """Index of the newest entry of the log, as last heard from the raft thread."""
        return self._status.last_index

    @property
    def failure(self) -> str | None:
        """Why the log has failed for good, or None."""
        return None if self._error is None else f"{type(self._error).__name__}: {self._error}"

    @property
    def snapshot_failure(self) -> str | None:
        """Why the last snapshot could not be written, or None. The log goes on meanwhile."""
        return self._snapshotter.failure

    def members(self) -> tuple[Member, ...]:
        """The members of the group, sorted by id."""
        return self._members

    async def start(self) -> None:
        """Load snapshot and log, bring the state machine up to them, become leader.

        Raises LockedError, FormatError (DamagedError, NewerFormatError, InconsistentError), LibraryError, OSError, or
        what the state machine raised; then nothing is left running.
        """
        if self._loop is not None:
            raise StoppedError("a RaftLog is started once; make a new one")
        self._loop = asyncio.get_running_loop()
        self._engine.start()
        try:
            await self._started.wait()
        except BaseException:
            await self.stop()
            raise
        if self._error is not None:
            await self.stop()
            raise self._error
        self._running = True

    async def propose(self, command: bytes) -> object:
        """Put ``command`` into the log; gives what the state machine's ``apply`` gave.

        It returns when the command is on disk and applied. Raises CommandTooLargeError, QueueFullError,
        NotLeaderError, DiscardedError (then it is not applied), or FailedError, StoppedError (then the outcome is
        unknown if the call had begun before the failure). A cancelled call does not take the command back.
        """
        self._check_running()
        if not self._status.is_leader:
            raise NotLeaderError(f"member {self._member_id} is not the leader")
        proposal = self._proposals.admit(len(command))
        self._engine.propose(command, proposal)
        return await proposal.future

    async def barrier(self) -> int:
        """Return when all that was committed or proposed before the call is applied; gives the applied index."""
        self._check_running()
        self._tickets += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._barriers[self._tickets] = future
        self._engine.barrier(self._tickets)
        return await future

    async def stop(self) -> None:
        """Take no more proposals, finish those under way, flush, end the threads.

        Takes under 5 s even when the disk hangs; harmless when repeated, or when the log was never started.
        """
        self._running = False
        await self._proposals.drain(DRAIN)
        self._snapshotter.cancel()
        self._engine.stop()
        if self._loop is not None:
            await _within(STOP, self._snapshotter.idle)
            await _within(STOP, self._ended)
        if not self._engine.join(0.1):
            logger.error("%s: the disk does not answer; stopped without it", self._directory)
        self._settle(StoppedError("the log was stopped before the outcome was known"))

    # Reports of the raft thread, on the loop.

    def on_opened(self, opened: Opened) -> None:
        """Directory, snapshot and log are good; entries follow."""
        self._opened_term = opened.status.term
        self._status, self._members = opened.status, opened.members
        snapshot = opened.snapshot
        if snapshot is None:
            self._applier.restored(1, 0)
            return
        try:
            self._machine.restore(snapshot.index, snapshot.records())
        except Exception as error:
            self._fail(error)
            return
        self._applier.restored(snapshot.index, snapshot.term)
        self._snapshotter.found(snapshot)

    def on_progress(self, status: Status, entries: tuple[Committed, ...]) -> None:
        """Leadership or log moved on."""
        self._status = status
        if entries:
            self._applier.take(entries)

    def on_barrier(self, ticket: int, index: int) -> None:
        """All proposals made before this ticket lie at or below ``index``."""
        future = self._barriers.pop(ticket, None)
        if future is not None:
            self._applier.reached(index, future)

    def on_engine_failed(self, error: BaseException) -> None:
        """The raft thread ends with an error."""
        self._fail(error)

    def on_ended(self) -> None:
        """The raft thread has closed everything."""
        self._ended.set()

    # Within.

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        """Run ``function`` on the loop; called from any thread. A loop that is closed has nobody left to tell."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            logger.debug("the event loop is closed; %s is not told", function)

    def _check_running(self) -> None:
        if self._error is not None:
            raise FailedError(f"the raft log has failed: {self.failure}")
        if not self._running:
            raise StoppedError("the log is not running")

    def _after_slice(self) -> None:
        applier = self._applier
        if self._opened_term is not None and applier.no_op_term > self._opened_term:
            self._started.set()
        if self._snapshotter.due(applier.index, applier.bytes_applied):
            try:
                records = self._machine.freeze()
            except Exception as error:
                self._fail(error)
                return
            self._snapshotter.begin(applier.index, applier.term, self._members, applier.bytes_applied, records)

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        logger.info("snapshot at entry %d: %d records, %d bytes", snapshot.index, snapshot.count, snapshot.size)
        self._engine.compact(snapshot.index, self._keep_entries)

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
        if not self._started.is_set():
            self._started.set()  # it is start() that raises
            return
        logger.critical("the raft log in %s has failed: %s", self._directory, self.failure)
        self._on_fatal(error)

    def _settle(self, error: RaftError) -> None:
        """Nobody who still waits will hear anything better than ``error``."""
        self._proposals.fail_all(error)
        for future in (*self._barriers.values(), *self._applier.waiting()):
            if not future.done():
                future.set_exception(error)
        self._barriers.clear()


async def _within(timeout: float, event: asyncio.Event) -> None:
    """Wait for ``event``, or for ``timeout`` seconds."""
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        logger.debug("waited %.1f s in vain", timeout)
