# SPDX-License-Identifier: Apache-2.0
"""The raft thread: ticks the core, flushes the log once for all that came in, hands over what is committed.

Order within one round: tick (takes proposals into the log's buffer), hand over entries that an earlier round made
durable, flush. So one proposal costs one flush, and all that arrive during a flush share the next one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from queenright.lib.atomic import private_directory

from .checks import check_fit, check_members
from .core import Callback, Committed, Core, check_library
from .disk import DirectoryLock, Disk
from .errors import InconsistentError
from .members import Member
from .snapshot import Snapshot, open_snapshot
from .waker import Waker
from .wal import Wal
from .wal_reader import create_wal, open_wal

LOCK_NAME = "lock"
LOG_NAME = "log"
SNAPSHOT_NAME = "snapshot"

_TICK = 0.02
"""Seconds between ticks when there are others to hear from."""
_TICK_ALONE = 5.0
"""Alone there is nothing to do until somebody wakes the thread."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the raft thread last knew."""

    is_leader: bool
    term: int
    last_index: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found on disk."""

    snapshot: Snapshot | None
    status: Status
    members: tuple[Member, ...]


class Listener(Protocol):
    """Where the raft thread reports to; it calls ``post`` with one of these methods, never the method itself."""

    def on_opened(self, opened: Opened) -> None: ...

    def on_progress(self, status: Status, entries: tuple[Committed, ...]) -> None: ...

    def on_barrier(self, ticket: int, index: int) -> None: ...

    def on_engine_failed(self, error: BaseException) -> None: ...

    def on_ended(self) -> None: ...


class Engine:
    """Owns directory, lock, log and core of one member. Its public methods may be called from any one thread."""

    def __init__(
        self, directory: Path, member_id: str, disk: Disk, post: Callable[..., None], listener: Listener
    ) -> None:
        """``post`` runs a callable with arguments on the listener's thread, in order; it may be called from any."""
        self._directory = directory
        self._member_id = member_id
        self._disk = disk
        self._post = post
        self._listener = listener
        self._waker = Waker()
        self._controls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = False
        self._tickets: list[int] = []
        self._status = Status(False, 0, 0)
        self._lock: DirectoryLock | None = None
        self._wal: Wal | None = None
        self._core: Core | None = None
        self._thread = threading.Thread(target=self._main, name="raft", daemon=True)

    def start(self) -> None:
        """Start the thread; the listener hears ``on_opened`` or ``on_engine_failed``."""
        self._thread.start()

    def propose(self, command: bytes, callback: Callback) -> None:
        """Put ``command`` into the log. Only after ``on_opened``."""
        assert self._core is not None
        self._core.propose(command, callback)
        self._waker.wake()

    def barrier(self, ticket: int) -> None:
        """Ask for the index behind all proposals made so far; the listener hears ``on_barrier``."""
        self._control(lambda: self._tickets.append(ticket))

    def compact(self, index: int, keep: int) -> None:
        """A snapshot of ``index`` is durable: shorten the log to it and at most ``keep`` entries before it."""
        self._control(lambda: self._compact(index, keep))

    def stop(self) -> None:
        """Flush, close and end; the listener hears ``on_ended``, also after a failure."""
        self._control(self._note_stop)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end and free the pipe; False when it is still there after ``timeout`` seconds."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        self._waker.close()
        return True

    def _control(self, action: Callable[[], None]) -> None:
        self._controls.put(action)
        self._waker.wake()

    def _note_stop(self) -> None:
        self._stopping = True

    def _main(self) -> None:
        try:
            wal, core = self._open()
            self._run(wal, core)
        except BaseException as error:
            self._post(self._listener.on_engine_failed, error)
        finally:
            try:
                self._close()
            finally:
                self._post(self._listener.on_ended)

    def _open(self) -> tuple[Wal, Core]:
        check_library()
        private_directory(self._directory)
        self._lock = DirectoryLock(self._directory / LOCK_NAME)
        snapshot = open_snapshot(self._directory / SNAPSHOT_NAME)
        self._wal = wal = self._open_log(snapshot)
        check_members(self._directory, wal.members, self._member_id)
        self._core = core = Core(self._member_id, wal, snapshot.index if snapshot else 0)
        self._status = self._now(wal, core)
        self._post(self._listener.on_opened, Opened(snapshot, self._status, wal.members))
        return wal, core

    def _open_log(self, snapshot: Snapshot | None) -> Wal:
        path = self._directory / LOG_NAME
        if not path.exists():
            if snapshot is not None:
                raise InconsistentError(f"{snapshot.path} is there, but {path} is missing: restore both from a backup")
            return create_wal(self._disk, path, self._member_id)
        wal = open_wal(self._disk, path)
        try:
            check_fit(path, wal, snapshot)
        except InconsistentError:
            wal.close()
            raise
        return wal

    def _run(self, wal: Wal, core: Core) -> None:
        while True:
            self._take_controls()
            core.doTick(0)
            self._report(wal, core)
            wal.sync()
            core.flush_transport()
            if core.unfinished():
                continue
            if self._stopping:
                return
            self._waker.wait(_TICK_ALONE if core.alone() else _TICK)

    def _take_controls(self) -> None:
        while True:
            try:
                action = self._controls.get_nowait()
            except queue.Empty:
                return
            action()

    def _report(self, wal: Wal, core: Core) -> None:
        status, entries = self._now(wal, core), core.take_committed()
        if entries or (status.is_leader, status.term) != (self._status.is_leader, self._status.term):
            self._status = status
            self._post(self._listener.on_progress, status, entries)
        for ticket in self._tickets:
            self._post(self._listener.on_barrier, ticket, wal.last_index)
        self._tickets.clear()

    def _now(self, wal: Wal, core: Core) -> Status:
        return Status(core._isLeader(), core.raftCurrentTerm, wal.last_index)

    def _compact(self, index: int, keep: int) -> None:
        assert self._wal is not None
        self._wal.compact(self._wal.first_to_keep(index, keep))

    def _close(self) -> None:
        try:
            if self._core is not None:
                self._core.destroy()  # closes the log as well
            elif self._wal is not None:
                self._wal.close()
        finally:
            if self._lock is not None:
                self._lock.release()
