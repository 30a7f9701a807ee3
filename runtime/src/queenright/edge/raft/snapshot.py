# SPDX-License-Identifier: Apache-2.0
"""The snapshot file: all that the state machine holds at one log index, so that older entries can go.

A META frame (index, term, configuration), a RECORD frame for each record of the state machine, an END frame with the
count. It is written beside the old snapshot and renamed over it when it is durable.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from queenright.lib.atomic import create_private

from .disk import Disk
from .errors import DamagedError, FormatError
from .frames import (
    FILE_HEADER_SIZE,
    FRAME_HEADER_SIZE,
    TRAILER,
    BadFrame,
    Frame,
    check_body,
    check_file_header,
    decode_head,
    encode_file_header,
    encode_frame,
)
from .members import Config, decode_config, encode_config

SNAPSHOT_MAGIC = b"QRAFTSNP"
SNAPSHOT_VERSION = 2
"""In version 1 the configuration was a bare list of ids."""

META = 16
"""a = index, b = term, body = JSON of the configuration as of the index."""
RECORD = 17
"""a = number of the record from 0, body = the record."""
END = 18
"""a = how many records there are."""

_CHUNK = 256 * 1024
FLUSH_EVERY = 8 * 1024 * 1024
"""Flushing in pieces keeps a big snapshot from holding up the log's own flushes for seconds."""


class SnapshotCancelledError(Exception):
    """The daemon stops, or a newer snapshot came from the leader; what was written is gone, the one in place stands."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on disk that was read once and found whole. ``size`` in bytes, ``count`` of records."""

    path: Path
    index: int
    term: int
    config: Config
    count: int
    size: int

    def records(self) -> Iterator[bytes]:
        """The records in the order in which they were written, read piece by piece."""
        for frame in _frames(self.path):
            if frame.head.kind == RECORD:
                yield frame.body


def write_snapshot(
    disk: Disk,
    path: Path,
    index: int,
    term: int,
    config: Config,
    records: Iterable[bytes],
    cancelled: Callable[[], bool] = lambda: False,
) -> Snapshot:
    """Replace the snapshot at ``path`` in one durable step.

    Raises OSError, SnapshotCancelledError, or what ``records`` raises; then the old snapshot stays.
    """
    temporary = path.with_name(path.name + ".new")
    fd = create_private(temporary)
    try:
        try:
            out = _Output(disk, fd, temporary)
            out.raw(encode_file_header(SNAPSHOT_MAGIC, SNAPSHOT_VERSION, 0))
            out.frame(META, index, term, encode_config(config))
            count = 0
            for record in records:
                if cancelled():
                    raise SnapshotCancelledError
                out.frame(RECORD, count, 0, record)
                count += 1
            out.frame(END, count, 0, b"")
            out.finish()
        finally:
            os.close(fd)
        if cancelled() or peek_index(path) > index:
            raise SnapshotCancelledError
        disk.publish(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return Snapshot(path, index, term, config, count, out.size)


class _Output:
    """Gathers frames to larger writes."""

    def __init__(self, disk: Disk, fd: int, path: Path) -> None:
        self._disk = disk
        self._fd = fd
        self._path = path
        self._parts: list[bytes] = []
        self._gathered = 0
        self._unflushed = 0
        self.size = 0

    def frame(self, kind: int, a: int, b: int, body: bytes) -> None:
        self.raw(encode_frame(kind, a, b, body, offset=self.size, durable=0))

    def raw(self, data: bytes) -> None:
        self._parts.append(data)
        self._gathered += len(data)
        self.size += len(data)
        if self._gathered >= _CHUNK:
            self._write()
        if self._unflushed >= FLUSH_EVERY:
            self._disk.sync(self._fd)
            self._unflushed = 0

    def finish(self) -> None:
        self._write()
        self._disk.sync(self._fd)

    def _write(self) -> None:
        if self._disk.room(self._path.parent) < self._gathered:
            raise OSError(errno.ENOSPC, "No space left on device but what is kept for the log", str(self._path))
        self._disk.write(self._fd, b"".join(self._parts))
        self._unflushed += self._gathered
        self._parts.clear()
        self._gathered = 0


def open_snapshot(path: Path) -> Snapshot | None:
    """The snapshot at ``path`` after every byte of it was checked, or None when there is none yet.

    Raises DamagedError, NewerFormatError or OSError. What an interrupted writer left beside it is removed.
    """
    path.with_name(path.name + ".new").unlink(missing_ok=True)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    meta: Frame | None = None
    count = 0
    for frame in _frames(path):
        kind = frame.head.kind
        if (meta is None) != (kind == META) or (kind == RECORD and frame.head.a != count):
            raise DamagedError(path, frame.head.offset, "the records are not in order")
        if kind == META:
            meta = frame
        elif kind == RECORD:
            count += 1
        elif frame.head.a != count or frame.head.end != size:
            raise DamagedError(path, frame.head.offset, f"the footer does not fit: {count} records in {size} bytes")
        else:
            assert meta is not None
            config = decode_config(meta.body, path, meta.head.offset)
            return Snapshot(path, meta.head.a, meta.head.b, config, count, size)
    raise DamagedError(path, size, "the file ends without its footer")


def peek_index(path: Path) -> int:
    """The index of the snapshot at ``path`` as its first record says; 0 when there is none or it cannot be read."""
    try:
        first = next(_frames(path), None)
    except (FormatError, FileNotFoundError):
        return 0
    return first.head.a if first is not None and first.head.kind == META else 0


def _frames(path: Path) -> Iterator[Frame]:
    with path.open("rb", buffering=1024 * 1024) as file:
        check_file_header(path, file.read(FILE_HEADER_SIZE), SNAPSHOT_MAGIC, SNAPSHOT_VERSION)
        offset = FILE_HEADER_SIZE
        while raw := file.read(FRAME_HEADER_SIZE):
            frame = _frame(path, file, raw, offset)
            yield frame
            offset = frame.head.end


def _frame(path: Path, file: BinaryIO, raw: bytes, offset: int) -> Frame:
    try:
        head = decode_head(raw, offset)
        frame = check_body(head, file.read(head.length + len(TRAILER)))
    except BadFrame as bad:
        raise DamagedError(path, bad.offset, bad.what)
    if head.kind not in (META, RECORD, END):
        raise DamagedError(path, offset, f"unknown kind of record {head.kind}")
    return frame
