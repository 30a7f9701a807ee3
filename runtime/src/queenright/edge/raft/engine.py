# SPDX-License-Identifier: Apache-2.0
"""The raft thread: steps the replica, flushes the log once for all that came in, hands over what is committed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from queenright.lib.atomic import private_directory
from queenright.wire.raft import Envelope, Message

from .core import ELECTION_MOST, Committed, check_library, library_clock
from .disk import DirectoryLock, Disk
from .errors import MembershipError, NotLeaderError, RaftError
from .members import Config
from .opening import LOCK_NAME, open_files
from .ports import Sealer
from .proposals import Proposal
from .replica import ReadResult, Replica, Status
from .snapshot import Snapshot
from .transport import Outgoing
from .waker import Waker
from .wal import Wal

T = TypeVar("T")

FEATURE_LEVEL = 5
"""What this release can read in the log; told to the other members."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found on disk."""

    snapshot: Snapshot | None
    status: Status
    base: Config
    """The members as of the first entry of the log."""


class Listener(Protocol):
    """Where the raft thread reports to; it calls ``post`` with one of these methods, never the method itself."""

    def on_opened(self, opened: Opened) -> None: ...

    def on_outgoing(self, envelopes: list[tuple[str, Envelope]]) -> None: ...

    def on_progress(self, status: Status, entries: tuple[Committed, ...]) -> None: ...

    def on_reads(self, results: list[ReadResult]) -> None: ...

    def on_snapshots_wanted(self, member_ids: list[str]) -> None: ...

    def on_engine_failed(self, error: BaseException) -> None: ...

    def on_ended(self) -> None: ...


class Engine:
    """Owns directory, lock, log and replica of one member. Its public methods may be called from any one thread."""

    def __init__(
        self,
        directory: Path,
        member_id: str,
        disk: Disk,
        post: Callable[..., None],
        listener: Listener,
        *,
        founding: Config,
        dice: Callable[[], float],
        sealer: Sealer | None = None,
    ) -> None:
        """``post`` runs a callable with arguments on the listener's thread, in order; it may be called from any.

        ``founding`` are the members of a log that is not there yet: none for a member that waits to be taken in.
        """
        self._directory = directory
        self._member_id = member_id
        self._disk = disk
        self._post = post
        self._listener = listener
        self._founding = founding
        self._dice = dice
        self._sealer = sealer
        self._waker = Waker()
        self._controls: queue.SimpleQueue[Callable[[Replica], None]] = queue.SimpleQueue()
        self._stopping = False
        self._compaction: tuple[int, int, Callable[[bool], None]] | None = None
        self._status: Status | None = None
        self._lock: DirectoryLock | None = None
        self._wal: Wal | None = None
        self._replica: Replica | None = None
        self._thread = threading.Thread(target=self._main, name="raft", daemon=True)

    def start(self) -> None:
        """Start the thread; the listener hears ``on_opened`` or ``on_engine_failed``."""
        self._thread.start()

    def behind(self, applied: int) -> bool:
        """Whether this member, which does not lead and has applied so much, lacks what was committed when it began to
        hear its leader, or has not heard it for long. Right also when the process stood still: nothing needs to run.
        """
        replica = self._replica
        if replica is None or library_clock() - replica.heard_at > ELECTION_MOST:
            return True
        due = replica.due
        return due is None or applied < due

    def propose(self, proposals: list[Proposal]) -> None:
        """Put commands into the log, in this order. Only after ``on_opened``."""
        assert self._replica is not None
        self._replica.intake.put(proposals)
        self._waker.wake()

    def receive(self, sender: str, messages: tuple[Message, ...]) -> None:
        """Messages of an authenticated member."""

        def take(replica: Replica) -> None:
            for message in messages:
                replica.receive(sender, message)

        self._control(take)

    def read(self, ticket: int) -> None:
        """Ask for a read; the listener hears of it by ``on_reads``."""
        self._control(lambda replica: replica.read(ticket))

    def change(self, change: Callable[[Config], Config], done: Callable[[RaftError | None], None]) -> None:
        """Change the members; ``done`` is posted with None when the change is in the log, or with the refusal."""

        def begin(replica: Replica) -> None:
            try:
                replica.change(change)
            except (MembershipError, NotLeaderError) as error:
                self._post(done, error)
            else:
                self._post(done, None)

        self._control(begin)

    def transfer(self, done: Callable[[RaftError | None], None]) -> None:
        """Begin to hand the leadership over; ``done`` is posted with None, or with the refusal."""

        def begin(replica: Replica) -> None:
            try:
                replica.transfer()
            except (MembershipError, NotLeaderError) as error:
                self._post(done, error)
            else:
                self._post(done, None)

        self._control(begin)

    def leave_behind(self) -> None:
        """A new cluster was forced without this member."""
        self._control(lambda replica: replica.leave_behind())

    def snapshot_ended(self, member_id: str, index: int | None) -> None:
        """The sending of a snapshot ended: taken by the member, or (None) not."""
        self._control(lambda replica: replica.snapshot_ended(member_id, index))

    def install(self, action: Callable[[Replica], T], done: Callable[[T], None]) -> None:
        """Run ``action``, which puts a snapshot in the place of the log, between two steps; ``done`` is posted with
        what it gave, in order with the entries."""
        self._control(lambda replica: self._post(done, action(replica)))

    def compact(self, index: int, keep: int, done: Callable[[bool], None]) -> None:
        """A snapshot of ``index`` is durable: shorten the log to it and at most ``keep`` entries before it. ``done`` is
        posted with whether the log is sealed with a former key even so."""
        self._control(lambda replica: self._note_compaction(index, keep, done))

    def stop(self) -> None:
        """Flush, close and end; the listener hears ``on_ended``, also after a failure."""
        self._control(lambda replica: self._note_stop())

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end and free the pipe; False when it is still there after ``timeout`` seconds."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        self._waker.close()
        return True

    def _control(self, action: Callable[[Replica], None]) -> None:
        self._controls.put(action)
        self._waker.wake()

    def _note_stop(self) -> None:
        self._stopping = True

    def _note_compaction(self, index: int, keep: int, done: Callable[[bool], None]) -> None:
        self._compaction = (index, keep, done)

    def _main(self) -> None:
        try:
            self._run(self._open())
        except BaseException as error:
            self._post(self._listener.on_engine_failed, error)
        finally:
            try:
                self._close()
            finally:
                self._post(self._listener.on_ended)

    def _open(self) -> Replica:
        check_library()
        private_directory(self._directory)
        self._lock = DirectoryLock(self._directory / LOCK_NAME)
        self._wal, snapshot = open_files(self._disk, self._directory, self._member_id, self._founding, self._sealer)
        index = snapshot.index if snapshot else 0
        self._replica = Replica(self._member_id, self._wal, index, clock=library_clock, dice=self._dice)
        self._status = self._replica.status()
        self._post(self._listener.on_opened, Opened(snapshot, self._status, self._wal.base))
        return self._replica

    def _run(self, replica: Replica) -> None:
        while True:
            self._take_controls(replica)
            self._send(replica, replica.step())
            self._report(replica)
            self._send(replica, replica.flush())
            self._compact(replica)
            if replica.unfinished():
                continue
            if self._stopping:
                return
            self._waker.wait(replica.sleeps())

    def _take_controls(self, replica: Replica) -> None:
        while True:
            try:
                action = self._controls.get_nowait()
            except queue.Empty:
                return
            action(replica)

    def _send(self, replica: Replica, outgoing: list[Outgoing]) -> None:
        if not outgoing:
            return
        packed: dict[str, list[Message]] = {}
        for member_id, message in outgoing:
            packed.setdefault(member_id, []).append(message)
        epoch = replica.wal.config.epoch
        envelopes = [(one, Envelope(epoch, FEATURE_LEVEL, tuple(messages))) for one, messages in packed.items()]
        self._post(self._listener.on_outgoing, envelopes)

    def _report(self, replica: Replica) -> None:
        status, entries = replica.status(), replica.take_committed()
        if entries or status != self._status:
            self._status = status
            self._post(self._listener.on_progress, status, entries)
        if reads := replica.take_reads():
            self._post(self._listener.on_reads, reads)
        if wanted := replica.take_snapshots_wanted():
            self._post(self._listener.on_snapshots_wanted, wanted)

    def _compact(self, replica: Replica) -> None:
        if self._compaction is None or not replica.may_compact():
            return
        index, keep, done = self._compaction
        self._compaction = None
        replica.wal.compact(replica.wal.first_to_keep(index, keep))
        self._post(done, replica.wal.stale)

    def _close(self) -> None:
        try:
            if self._wal is not None:
                self._wal.close()
        finally:
            if self._lock is not None:
                self._lock.release()
