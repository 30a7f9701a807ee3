# SPDX-License-Identifier: Apache-2.0
"""Snapshots on their way: to members that lack entries which are gone from the log, and from a leader to this one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

from queenright.wire.raft import SnapshotHead

from .applier import Applier, StateMachine, restored_aside
from .disk import Disk
from .engine import Engine
from .errors import InstallError
from .incoming import receive_file
from .install import drop_install, finish_install
from .ports import Network, Sealer
from .replica import Replica, Status
from .snapshot import Snapshot
from .snapshotter import Snapshotter

logger = logging.getLogger(__name__)

CHUNK = 256 * 1024
"""Most bytes that are sent at once."""
AGAIN = 1.0
"""Seconds before a snapshot that did not arrive is sent again."""


class Shipping:
    """One per log; lives on the loop."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        engine: Engine,
        network: Network,
        snapshotter: Snapshotter,
        applier: Applier,
        machine: StateMachine,
        sealer: Sealer | None = None,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._engine = engine
        self._network = network
        self._snapshotter = snapshotter
        self._applier = applier
        self._machine = machine
        self._sealer = sealer
        self._sending: set[asyncio.Task[None]] = set()
        self._receiving = asyncio.Lock()
        self.latest: Snapshot | None = None
        """The newest one on disk."""

    def send(self, member_id: str, status: Status) -> None:
        """Send the newest snapshot to a member; the raft thread hears how it went."""
        task = asyncio.get_running_loop().create_task(self._send(member_id, status), name=f"snapshot to {member_id}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, member_id: str, status: Status) -> None:
        snapshot = self.latest
        taken: int | None = None
        try:
            if snapshot is None:
                raise RuntimeError("there is no snapshot yet")
            head = SnapshotHead(status.config.epoch, status.term, snapshot.index, snapshot.term, snapshot.clear_size)
            await self._network.send_snapshot(member_id, head, pieces(snapshot))
        except Exception as error:  # whatever it is, the raft thread must hear that it came to nothing
            logger.warning("member %s did not take the snapshot: %s; trying again", member_id, error)
            await asyncio.sleep(AGAIN)
        else:
            taken = snapshot.index
            logger.info("member %s took the snapshot at entry %d", member_id, taken)
        self._engine.snapshot_ended(member_id, taken)

    async def receive(self, sender_id: str, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> None:
        """Take a leader's snapshot in the place of the log here. Raises RaftError or OSError; then all is as before."""
        if self._receiving.locked():
            raise InstallError("another snapshot is being received")
        async with self._receiving:
            await self._snapshotter.hold()
            try:
                staged = await receive_file(self._disk, self._directory, head, chunks, self._sealer)
                swap = await restored_aside(self._machine, staged)
                await self._install(staged, swap)
            finally:
                self._snapshotter.release()
        logger.info("took the snapshot at entry %d of member %s", head.index, sender_id)

    async def _install(self, staged: Snapshot, swap: Callable[[], None]) -> None:
        """Between two steps of the raft thread; entries that are handed over afterwards follow the snapshot."""
        installed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def install(replica: Replica) -> Snapshot | InstallError:
            try:
                if staged.index <= replica.status().commit_index:
                    drop_install(self._disk, self._directory)
                    raise InstallError(f"entry {staged.index} is here already")
                found = finish_install(self._disk, self._directory, replica.wal, staged)
            except InstallError as error:
                return error
            replica.installed(staged.index)
            return found

        def tell(outcome: Snapshot | InstallError) -> None:
            if isinstance(outcome, Snapshot):
                self._applier.install(outcome.index, outcome.term, outcome.config, swap)
                self._snapshotter.found(outcome)
                self.latest = outcome
            self._snapshotter.release()
            if not installed.done():
                installed.set_exception(outcome) if isinstance(outcome, InstallError) else installed.set_result(None)

        await self._snapshotter.hold()  # until ``tell``: the raft thread goes on when nobody waits here any more
        self._engine.install(install, tell)
        await installed

    async def stop(self) -> None:
        """Give up what is under way."""
        sending = list(self._sending)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def pieces(snapshot: Snapshot) -> AsyncGenerator[bytes, None]:
    """What another member is sent; other work on the loop has its turn between two pieces. Raises FormatError or
    OSError."""
    for piece in snapshot.clear():
        for start in range(0, len(piece), CHUNK):
            yield piece[start : start + CHUNK]
            await asyncio.sleep(0)
