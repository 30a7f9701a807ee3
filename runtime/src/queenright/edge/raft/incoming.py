# SPDX-License-Identifier: Apache-2.0
"""A snapshot of the leader on its way in: pieces come in on the loop, one thread checks, seals and writes them.

What comes is a file in clear, over mTLS; it is sealed with this member's key before it touches the disk. The first step
of an installation; the others are in ``install.py``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from queenright.lib.atomic import create_private
from queenright.wire.raft import SnapshotHead

from .disk import Disk
from .errors import DamagedError, FormatError, InstallError, SealError, naming
from .frames import (
    FILE_HEADER_SIZE,
    FRAME_HEADER_SIZE,
    TRAILER,
    BadFrame,
    Frame,
    check_body,
    check_file_header,
    decode_head,
)
from .members import decode_config
from .ports import Sealer
from .snapshot import Snapshot, open_snapshot
from .snapshot_format import CLEAR_VERSION, META, RECORD, SNAPSHOT_MAGIC, Order, SnapshotWriter

PART_NAME = "snapshot.part"
INSTALL_NAME = "snapshot.install"

STALL = 15.0
"""Seconds without progress after which a snapshot is given up, so that another one may come."""
_AHEAD = 16
"""Pieces that may wait for the disk."""


async def receive_file(
    disk: Disk, directory: Path, head: SnapshotHead, chunks: AsyncIterator[bytes], sealer: Sealer | None = None
) -> Snapshot:
    """Keep the file that ``chunks`` bring as ``snapshot.install``, whole and durable, for ``finish_install``.

    One at a time in a directory. Raises InstallError, OSError, or what ``chunks`` raise; then nothing is left of it.
    """
    if head.size < 1 or head.index < 1:
        raise InstallError(f"there is no snapshot of entry {head.index} with {head.size} bytes")
    writer = _Writer(disk, directory, head, sealer)
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

    def __init__(self, disk: Disk, directory: Path, head: SnapshotHead, sealer: Sealer | None = None) -> None:
        """Raises InstallError when there is no room for it, SealError or OSError."""
        self._disk = disk
        self._directory = directory
        self._head = head
        self._sealer = sealer
        self._path = directory / PART_NAME
        self._size = 0
        self._fd = -1
        room = disk.room(directory)
        if head.size > room:
            raise InstallError(
                f"there is no room in {directory} for a snapshot of {head.size} bytes, only for {max(0, room)} besides "
                "what is kept for the log: free some space there"
            )
        self._frames = _Frames(self._path)
        self._order = Order(self._path)
        with naming(self._path):
            self._fd = create_private(self._path)
            try:
                self._out = SnapshotWriter(disk, self._fd, self._path, sealer)
            except BaseException:
                self.drop()
                raise

    def write(self, chunk: bytes) -> None:
        """Take a piece. Raises InstallError when it is damaged, or more comes than was announced, or OSError."""
        self._size += len(chunk)
        if self._size > self._head.size:
            raise InstallError(f"the snapshot is larger than the {self._head.size} bytes that were announced")
        with self._explained(), naming(self._path):
            for frame in self._frames.feed(chunk):
                self._order.take(frame)
                self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        head, out = frame.head, self._out
        if head.kind == META:
            out.begin(head.a, head.b, decode_config(frame.body, self._path, head.offset))
        elif head.kind == RECORD:
            out.add(frame.body)

    def finish(self) -> Snapshot:
        """Read all of it, hold it against what was announced, and keep it durably as ``snapshot.install``.

        Raises InstallError or OSError.
        """
        head = self._head
        if self._size < head.size:
            raise InstallError(f"the snapshot ended after {self._size} of {head.size} bytes")
        with self._explained():
            if not self._order.ended or self._frames.left:
                raise DamagedError(self._path, self._size, "the file ends without its footer")
            with naming(self._path):
                self._out.end()
            self._close()
            found = open_snapshot(self._path, self._sealer)
        if found is None or (found.index, found.term) != (head.index, head.snapshot_term):
            raise InstallError(f"the file is not the snapshot of entry {head.index} that was announced")
        if not found.config.members:
            raise InstallError(f"the snapshot of entry {head.index} names no members")
        target = self._directory / INSTALL_NAME
        with naming(target):
            self._disk.publish(self._path, target)
        return dataclasses.replace(found, path=target)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What is wrong with the file is no fault of this member's."""
        index = self._head.index
        try:
            yield
        except SealError:
            raise
        except DamagedError as error:
            raise InstallError(f"the snapshot of entry {index} came in damaged: {error}") from error
        except FormatError as error:
            raise InstallError(f"the snapshot of entry {index} cannot be read here: {error}") from error

    def drop(self) -> None:
        """Remove what has come."""
        self._close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Frames:
    """Takes a file in clear apart, as its pieces come in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._left = bytearray()

    @property
    def left(self) -> int:
        """Bytes that are no whole frame yet."""
        return len(self._left)

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that ``chunk`` completes. Raises DamagedError, NewerFormatError."""
        self._left += chunk
        at = 0
        if self._offset == 0:
            if len(self._left) < FILE_HEADER_SIZE:
                return
            check_file_header(self._path, bytes(self._left[:FILE_HEADER_SIZE]), SNAPSHOT_MAGIC, CLEAR_VERSION)
            at = FILE_HEADER_SIZE
        start = self._offset
        try:
            while (frame := self._frame(at, start + at)) is not None:
                at = frame.head.end - start
                yield frame
        except BadFrame as bad:
            raise DamagedError(self._path, bad.offset, bad.what)
        del self._left[:at]
        self._offset += at

    def _frame(self, at: int, offset: int) -> Frame | None:
        """The frame that begins ``at`` what is left, if all of it has come."""
        body = at + FRAME_HEADER_SIZE
        if len(self._left) < body:
            return None
        head = decode_head(bytes(self._left[at:body]), offset)
        end = body + head.length + len(TRAILER)
        return None if len(self._left) < end else check_body(head, bytes(self._left[body:end]))


class _Writer:
    """The thread and what leads to it."""

    def __init__(self, disk: Disk, directory: Path, head: SnapshotHead, sealer: Sealer | None) -> None:
        self._disk = disk
        self._directory = directory
        self._head = head
        self._sealer = sealer
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
        part = Part(self._disk, self._directory, self._head, self._sealer)
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
