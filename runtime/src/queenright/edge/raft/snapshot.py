# SPDX-License-Identifier: Apache-2.0
"""The snapshot file: all that the state machine holds at one log index, so that older entries can go.

It is written beside the old snapshot and renamed over it when it is durable. The format is in ``snapshot_format.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
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
)
from .members import Config, decode_config, encode_config
from .ports import Seal, Sealer
from .sealing import SEAL, SEALED, Opening, size_in_clear
from .snapshot_format import (
    CHUNK,
    CLEAR_VERSION,
    META,
    PURPOSE,
    RECORD,
    SNAPSHOT_MAGIC,
    SNAPSHOT_VERSION,
    Order,
    Pieces,
    SnapshotWriter,
)


class SnapshotCancelledError(Exception):
    """The daemon stops, or a newer snapshot came from the leader; what was written is gone, the one in place stands."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on disk that was read once and found whole. ``size`` in bytes, ``count`` of records, ``volume`` the
    bytes of all records."""

    path: Path
    index: int
    term: int
    config: Config
    count: int
    size: int
    volume: int
    seal: Seal | None = field(default=None, compare=False, repr=False)
    sealer: Sealer | None = field(default=None, compare=False, repr=False)

    @property
    def outdated(self) -> bool:
        """Whether it ought to be sealed with another key, or at all."""
        return self.sealer is not None and (self.seal is None or not self.seal.current)

    def records(self) -> Iterator[bytes]:
        """The records in the order in which they were written, read piece by piece."""
        for frame in _records(self.path, self.sealer)[0]:
            if frame.head.kind == RECORD:
                yield frame.body

    @property
    def clear_size(self) -> int:
        """Bytes that ``clear`` gives."""
        return FILE_HEADER_SIZE + size_in_clear(self.count + 2, len(encode_config(self.config)) + self.volume)

    def clear(self) -> Iterator[bytes]:
        """The same snapshot as a file in clear, in pieces, for the eyes of another member. Raises FormatError or
        OSError, also when another snapshot has the name meanwhile."""
        out = Pieces()
        out.raw(encode_file_header(SNAPSHOT_MAGIC, CLEAR_VERSION, 0))
        for frame in _records(self.path, self.sealer)[0]:
            head, body = frame
            if head.kind == META:
                if (head.a, head.b) != (self.index, self.term):
                    raise OSError(f"{self.path} is of entry {head.a}, not {self.index}: it was replaced meanwhile")
                body = encode_config(self.config)
            out.frame(head.kind, head.a, head.b, body)
            if out.gathered >= CHUNK:
                yield out.take()
        yield out.take()


def write_snapshot(
    disk: Disk,
    path: Path,
    index: int,
    term: int,
    config: Config,
    records: Iterable[bytes],
    cancelled: Callable[[], bool] = lambda: False,
    sealer: Sealer | None = None,
) -> Snapshot:
    """Replace the snapshot at ``path`` in one durable step.

    Raises OSError, SealError, SnapshotCancelledError, or what ``records`` raises; then the old snapshot stays.
    """
    temporary = path.with_name(path.name + ".new")
    fd = create_private(temporary)
    try:
        try:
            out = SnapshotWriter(disk, fd, temporary, sealer)
            out.begin(index, term, config)
            for record in records:
                if cancelled():
                    raise SnapshotCancelledError
                out.add(record)
            out.end()
        finally:
            os.close(fd)
        if cancelled() or peek_index(path) > index:
            raise SnapshotCancelledError
        disk.publish(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return Snapshot(path, index, term, config, out.count, out.size, out.volume, out.seal, sealer)


def open_snapshot(path: Path, sealer: Sealer | None = None) -> Snapshot | None:
    """The snapshot at ``path`` after every byte of it was checked, or None when there is none yet.

    Raises DamagedError, NewerFormatError, SealError or OSError. What an interrupted writer left beside it is removed.
    """
    path.with_name(path.name + ".new").unlink(missing_ok=True)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    order = Order(path)
    records, opening = _records(path, sealer)
    try:
        for frame in records:
            order.take(frame)
    except DamagedError as error:
        if order.ended:
            raise DamagedError(path, error.offset, "something follows the footer") from error
        raise
    meta = order.meta
    if meta is None or not order.ended:
        raise DamagedError(path, size, "the file ends without its footer")
    config = decode_config(meta.body, path, meta.head.offset)
    return Snapshot(path, meta.head.a, meta.head.b, config, order.count, size, order.volume, opening.seal, sealer)


def peek_index(path: Path) -> int:
    """The index of the snapshot at ``path`` as its first record says; 0 when there is none or it cannot be read."""
    try:
        with path.open("rb", buffering=64 * 1024) as file:
            _version(path, file)
            for frame in _frames(path, file):
                if frame.head.kind != SEAL:
                    return frame.head.a if frame.head.kind in (META, SEALED) else 0
    except (FormatError, FileNotFoundError):
        pass
    return 0


def _records(path: Path, sealer: Sealer | None) -> tuple[Iterator[Frame], Opening]:
    """What the file says, and how it is opened; the file is open until the iterator is closed or at its end."""
    file = path.open("rb", buffering=1024 * 1024)
    try:
        opening = Opening(path, sealer, PURPOSE, sealed=_version(path, file) > CLEAR_VERSION)
    except BaseException:
        file.close()
        raise

    def records() -> Iterator[Frame]:
        with file:
            for frame in _frames(path, file):
                yield from opening.records(frame)

    return records(), opening


def _version(path: Path, file: BinaryIO) -> int:
    return check_file_header(path, file.read(FILE_HEADER_SIZE), SNAPSHOT_MAGIC, SNAPSHOT_VERSION)[0]


def _frames(path: Path, file: BinaryIO) -> Iterator[Frame]:
    offset = FILE_HEADER_SIZE
    while raw := file.read(FRAME_HEADER_SIZE):
        frame = _frame(path, file, raw, offset)
        yield frame
        offset = frame.head.end


def _frame(path: Path, file: BinaryIO, raw: bytes, offset: int) -> Frame:
    try:
        head = decode_head(raw, offset)
        return check_body(head, file.read(head.length + len(TRAILER)))
    except BadFrame as bad:
        raise DamagedError(path, bad.offset, bad.what)
