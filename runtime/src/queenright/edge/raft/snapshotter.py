# SPDX-License-Identifier: Apache-2.0
"""Decides when a snapshot is due and has it written by a thread of its own. Lives on the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from .applier import Applier, StateMachine
from .disk import Disk
from .members import Config
from .ports import Sealer
from .snapshot import Snapshot, SnapshotCancelledError, write_snapshot

logger = logging.getLogger(__name__)

LEAST_BYTES = 32 * 1024 * 1024
"""A snapshot is due after so many bytes of commands, however few they are: entries are kept in memory until then."""
RETRY_AFTER = 30.0
"""Seconds to wait after a snapshot could not be written."""


class Snapshotter:
    """One snapshot at a time. ``done`` and ``broken`` are called on the loop.

    A disk that has no room for a snapshot does not stop the log, where nothing is lost yet: it is tried again later,
    and ``failure`` says so meanwhile. Any other error is ``broken``: the state machine cannot be written down.
    """

    def __init__(
        self,
        disk: Disk,
        path: Path,
        every: int,
        clock: Callable[[], float],
        post: Callable[..., None],
        *,
        done: Callable[[Snapshot], None],
        broken: Callable[[BaseException], None],
        sealer: Sealer | None = None,
    ) -> None:
        self._disk = disk
        self._path = path
        self._every = every
        self._clock = clock
        self._post = post
        self._done = done
        self._broken = broken
        self._sealer = sealer
        self._give_up = threading.Event()
        self._ended = False
        self._holds = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._latest: Snapshot | None = None
        self._bytes = 0
        self._bytes_now = 0
        self._not_before = 0.0
        self._demanded = False
        self._sealed = asyncio.Event()
        self.failure: str | None = None

    def found(self, snapshot: Snapshot) -> None:
        """This snapshot was there at start, or was installed."""
        self._latest = snapshot

    async def reseal(self, applier: Applier, machine: StateMachine) -> None:
        """Return when nothing on disk is sealed with another key than the sealer's newest. Where the last entry is in
        the snapshot already, that begins with the next one that comes."""
        self._sealed.clear()
        self._demanded = True
        self.look(applier, machine)
        await self._sealed.wait()

    def compacted(self, stale: bool) -> None:
        """The log was written anew, or left as it is: then it may be sealed with a former key."""
        if not stale and not self._holds and self._latest is not None and not self._latest.outdated:
            self._sealed.set()

    def look(self, applier: Applier, machine: StateMachine) -> None:
        """Begin one if it is time for that."""
        # A joiner replays the log from its beginning and does not know the members before the first list in it.
        if not applier.config.members or not self.due(applier.index, applier.bytes_applied):
            return
        try:
            records = machine.freeze()
        except Exception as error:
            self._broken(error)
            return
        self.begin(applier.index, applier.term, applier.config, applier.bytes_applied, records)

    def due(self, index: int, bytes_applied: int) -> bool:
        """Whether enough was applied since the last snapshot, or it is not sealed as it ought to be; and none is being
        written."""
        if not self.idle.is_set() or self._ended or self._holds or self._clock() < self._not_before:
            return False
        latest = self._latest
        since, size = (latest.index, latest.size) if latest is not None else (0, 0)
        if index > since and (self._demanded or (latest is not None and latest.outdated)):
            return True
        return index - since >= self._every or bytes_applied - self._bytes >= max(LEAST_BYTES, size)

    def begin(
        self,
        index: int,
        term: int,
        config: Config,
        bytes_applied: int,
        records: Callable[[], Iterator[bytes]],
    ) -> None:
        """Write what ``records`` yields, as the state at ``index``."""
        self._bytes_now = bytes_applied
        self.idle.clear()
        self._give_up = threading.Event()
        writer = threading.Thread(
            target=self._write, args=(index, term, config, records, self._give_up), name="raft-snapshot", daemon=True
        )
        try:
            writer.start()
        except RuntimeError as error:  # the system has no thread to spare
            self._on_error(OSError(str(error)))

    def cancel(self) -> None:
        """Begin no more and give up the one under way; ``idle`` tells when that is done."""
        self._ended = True
        self._give_up.set()

    async def hold(self) -> None:
        """Give up the one under way and begin none until ``release``, which is called once for each call of this one.
        While a snapshot is installed, none of an older state may take its name."""
        self._holds += 1
        self._give_up.set()
        await self.idle.wait()

    def release(self) -> None:
        """Begin snapshots again when they are due."""
        self._holds -= 1

    def _write(
        self,
        index: int,
        term: int,
        config: Config,
        records: Callable[[], Iterator[bytes]],
        give_up: threading.Event,
    ) -> None:
        try:
            snapshot = write_snapshot(
                self._disk, self._path, index, term, config, records(), give_up.is_set, self._sealer
            )
        except SnapshotCancelledError:
            self._post(self.idle.set)
        except BaseException as error:
            self._post(self._on_error, error)
        else:
            self._post(self._on_written, snapshot)

    def _on_written(self, snapshot: Snapshot) -> None:
        self.idle.set()
        self._latest, self._bytes = snapshot, self._bytes_now
        self._demanded = self._demanded and snapshot.outdated
        self.failure = None
        logger.info("snapshot at entry %d: %d records, %d bytes", snapshot.index, snapshot.count, snapshot.size)
        self._done(snapshot)

    def _on_error(self, error: BaseException) -> None:
        self.idle.set()
        if not isinstance(error, OSError):
            self._broken(error)
            return
        self._not_before = self._clock() + RETRY_AFTER
        self.failure = f"snapshot {self._path} could not be written: {error}"
        logger.error("%s; the log grows until it can. Trying again in %d seconds", self.failure, RETRY_AFTER)
