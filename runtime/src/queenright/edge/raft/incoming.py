# SPDX-License-Identifier: Apache-2.0
"""A snapshot of the leader on its way in: pieces come in on the loop, one thread writes and checks the file.

The first step of an installation; the others are in ``install.py``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from queenright.lib.atomic import create_private
from queenright.wire.raft import SnapshotHead

from .disk import Disk
from .errors import DamagedError, FormatError, InstallError, naming
from .snapshot import FLUSH_EVERY, Snapshot, open_snapshot

PART_NAME = "snapshot.part"
INSTALL_NAME = "snapshot.install"

STALL = 15.0
"""Seconds without progress after which a snapshot is given up, so that another one may come."""
_AHEAD = 16
"""Pieces that may wait for the disk."""


async def receive_file(disk: Disk, directory: Path, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> Snapshot:
    """Keep the file that ``chunks`` bring as ``snapshot.install``, whole and durable, for ``finish_install``.

    One at a time in a directory. Raises InstallError, OSError, or what ``chunks`` raise; then nothing is left of it.
    """
    if head.size < 1 or head.index < 1:
        raise InstallError(f"there is no snapshot of entry {head.index} with {head.size} bytes")
    writer = _Writer(disk, directory, head)
    writer.start()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STALL) as limit:
            async for chunk in chunks:
                await writer.put(chunk)
                limit.reschedule(loop.time() + STALL)
        return await writer.finish()
    except TimeoutError:
        raise InstallError(f"the snapshot of entry {head.index} stood still for {STALL:.0f} s") from None
    finally:
        await writer.end()


class Part:
    """A snapshot that comes in, step 1. Used by one thread; ``drop`` must be called unless ``finish`` returned."""

    def __init__(self, disk: Disk, directory: Path, head: SnapshotHead) -> None:
        """Raises InstallError when there is no room for it, or OSError."""
        self._disk = disk
        self._directory = directory
        self._head = head
        self._path = directory / PART_NAME
        self._size = 0
        self._unflushed = 0
        self._fd = -1
        room = disk.room(directory)
        if head.size > room:
            raise InstallError(
                f"there is no room in {directory} for a snapshot of {head.size} bytes, only for {max(0, room)} besides "
                "what is kept for the log: free some space there"
            )
        with naming(self._path):
            self._fd = create_private(self._path)

    def write(self, chunk: bytes) -> None:
        """Append a piece. Raises InstallError when more comes than was announced, or UnwritableError."""
        self._size += len(chunk)
        if self._size > self._head.size:
            raise InstallError(f"the snapshot is larger than the {self._head.size} bytes that were announced")
        self._unflushed += len(chunk)
        with naming(self._path):
            self._disk.write(self._fd, chunk)
            if self._unflushed >= FLUSH_EVERY:
                self._disk.sync(self._fd)
                self._unflushed = 0

    def finish(self) -> Snapshot:
        """Read all of it, hold it against what was announced, and keep it durably as ``snapshot.install``.

        Raises InstallError or OSError.
        """
        head = self._head
        if self._size < head.size:
            raise InstallError(f"the snapshot ended after {self._size} of {head.size} bytes")
        with naming(self._path):
            self._disk.sync(self._fd)
        self._close()
        try:
            found = open_snapshot(self._path)
        except DamagedError as error:
            raise InstallError(f"the snapshot of entry {head.index} came in damaged: {error}") from error
        except FormatError as error:
            raise InstallError(f"the snapshot of entry {head.index} cannot be read here: {error}") from error
        if found is None or (found.index, found.term) != (head.index, head.snapshot_term):
            raise InstallError(f"the file is not the snapshot of entry {head.index} that was announced")
        if not found.config.members:
            raise InstallError(f"the snapshot of entry {head.index} names no members")
        target = self._directory / INSTALL_NAME
        with naming(target):
            self._disk.publish(self._path, target)
        return dataclasses.replace(found, path=target)

    def drop(self) -> None:
        """Remove what has come."""
        self._close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Writer:
    """The thread and what leads to it."""

    def __init__(self, disk: Disk, directory: Path, head: SnapshotHead) -> None:
        self._disk = disk
        self._directory = directory
        self._head = head
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._done = asyncio.Event()
        self._given_up = threading.Event()
        self._snapshot: Snapshot | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Raises OSError when the system has no thread to spare."""
        thread = threading.Thread(target=self._main, name="raft-install", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(str(error)) from error

    async def put(self, chunk: bytes) -> None:
        """Hand over a piece; waits while too many wait for the disk. Raises what the thread met."""
        await self._room.acquire()
        if self._error is not None:
            raise self._error
        self._queue.put(chunk)

    async def finish(self) -> Snapshot:
        """Wait until all is written, checked and durable."""
        self._queue.put(None)
        await self._done.wait()
        if self._snapshot is None:
            raise self._error or InstallError("the snapshot was given up")
        return self._snapshot

    async def end(self) -> None:
        """Have the thread remove what it has, unless it is finished, and wait for its end."""
        self._given_up.set()
        self._queue.put(None)
        await self._done.wait()

    def _main(self) -> None:
        snapshot: Snapshot | None = None
        error: BaseException | None = None
        try:
            snapshot = self._receive()
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # a closed loop has nobody left to tell
            self._loop.call_soon_threadsafe(self._end, snapshot, error)

    def _receive(self) -> Snapshot | None:
        part = Part(self._disk, self._directory, self._head)
        try:
            while (chunk := self._queue.get()) is not None:
                part.write(chunk)
                self._loop.call_soon_threadsafe(self._room.release)
            if not self._given_up.is_set():
                return part.finish()
        finally:
            part.drop()
        return None

    def _end(self, snapshot: Snapshot | None, error: BaseException | None) -> None:
        self._snapshot, self._error = snapshot, error
        self._done.set()
        self._room.release()
