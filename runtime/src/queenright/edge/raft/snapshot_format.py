# SPDX-License-Identifier: Apache-2.0
"""What stands in a snapshot file, and in which order.

A META record (index, term, configuration), a RECORD for each record of the state machine, an END with the count.
Version 3 is sealed: the records lie in blocks whose frames carry index and term, see ``sealing.py``. Version 2 has a
frame for each record, in clear; that is what goes to other members, who seal it with their own keys.
"""

from __future__ import annotations

import errno
from pathlib import Path

from .disk import Disk
from .errors import DamagedError
from .frames import Frame, encode_file_header, encode_frame
from .members import Config, encode_config
from .ports import Sealer
from .sealing import Record, encode_block, encode_label, new_seal

SNAPSHOT_MAGIC = b"QRAFTSNP"
SNAPSHOT_VERSION = 3
CLEAR_VERSION = 2
"""What is written where there is no sealer. In version 1 the configuration was a bare list of ids."""
PURPOSE = "snapshot"

META = 16
"""a = index, b = term, body = JSON of the configuration as of the index."""
RECORD = 17
"""a = number of the record from 0, body = the record."""
END = 18
"""a = how many records there are."""

CHUNK = 256 * 1024
FLUSH_EVERY = 8 * 1024 * 1024
"""Flushing in pieces keeps a big snapshot from holding up the log's own flushes for seconds."""


class Pieces:
    """Gathers frames to larger pieces. ``size``: bytes since the beginning of the file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.gathered = 0
        self.size = 0

    def frame(self, kind: int, a: int, b: int, body: bytes) -> None:
        self.raw(encode_frame(kind, a, b, body, offset=self.size, durable=0))

    def raw(self, data: bytes) -> None:
        self._parts.append(data)
        self.gathered += len(data)
        self.size += len(data)

    def take(self) -> bytes:
        piece = b"".join(self._parts)
        self._parts.clear()
        self.gathered = 0
        return piece


class SnapshotWriter:
    """Writes the records of a snapshot to an open file: ``begin``, ``add`` each of them, ``end``."""

    def __init__(self, disk: Disk, fd: int, path: Path, sealer: Sealer | None) -> None:
        """Raises SealError or OSError."""
        self._disk = disk
        self._fd = fd
        self._path = path
        self.seal = None if sealer is None else new_seal(path, sealer, PURPOSE)
        self._out = Pieces()
        self._block: list[Record] = []
        self._held = 0
        self._unflushed = 0
        self._index = self._term = 0
        self.count = 0
        self.volume = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._out.size

    def begin(self, index: int, term: int, config: Config) -> None:
        self._index, self._term = index, term
        version = CLEAR_VERSION if self.seal is None else SNAPSHOT_VERSION
        self._out.raw(encode_file_header(SNAPSHOT_MAGIC, version, 0))
        if self.seal is not None:
            self._out.raw(encode_label(self.seal, self._out.size))
        self._put(META, index, term, encode_config(config))

    def add(self, record: bytes) -> None:
        self._put(RECORD, self.count, 0, record)
        self.count += 1
        self.volume += len(record)

    def end(self) -> None:
        """All of it is durable when this returns."""
        self._put(END, self.count, 0, b"")
        self._end_block()
        self._write()
        self._disk.sync(self._fd)

    def _put(self, kind: int, a: int, b: int, body: bytes) -> None:
        if self.seal is None:
            self._out.frame(kind, a, b, body)
        else:
            self._block.append((kind, a, b, body))
            self._held += len(body)
        if self._held + self._out.gathered >= CHUNK:
            self._end_block()
            self._write()
        if self._unflushed >= FLUSH_EVERY:
            self._disk.sync(self._fd)
            self._unflushed = 0

    def _end_block(self) -> None:
        if self.seal is not None and self._block:
            self._out.raw(
                encode_block(self.seal, self._block, offset=self._out.size, durable=0, a=self._index, b=self._term)
            )
            self._block.clear()
            self._held = 0

    def _write(self) -> None:
        if self._disk.room(self._path.parent) < self._out.gathered:
            raise OSError(errno.ENOSPC, "No space left on device but what is kept for the log", str(self._path))
        piece = self._out.take()
        self._disk.write(self._fd, piece)
        self._unflushed += len(piece)


class Order:
    """Follows the records of a snapshot and holds them to the order in which it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.meta: Frame | None = None
        self.count = 0
        self.volume = 0
        self.ended = False

    def take(self, frame: Frame) -> None:
        """Raises DamagedError."""
        kind, offset = frame.head.kind, frame.head.offset
        if kind not in (META, RECORD, END):
            raise DamagedError(self._path, offset, f"unknown kind of record {kind}")
        if (self.meta is None) != (kind == META) or (kind == RECORD and frame.head.a != self.count):
            raise DamagedError(self._path, offset, "the records are not in order")
        if self.ended or (kind == END and frame.head.a != self.count):
            raise DamagedError(self._path, offset, f"the footer does not fit: {self.count} records")
        if kind == META:
            self.meta = frame
        elif kind == RECORD:
            self.count += 1
            self.volume += len(frame.body)
        else:
            self.ended = True
