# SPDX-License-Identifier: Apache-2.0
"""The format on disk that log and snapshot share: a file header, then checksummed frames.

File header (24 bytes): magic (8), format version (u32), published length (u64), CRC32 of those (u32).
Frame: magic ``qrec``, kind (u8), body length (u32), durable length (u64), two numbers (u64 each), CRC32 of the body
(u32), CRC32 of the header (u32); then the body; then one byte 0xA5. All little-endian. The header's CRC is seeded with
the frame's own offset, so a frame is valid only where it was written. Its first and last bytes are not zero, so a
sector of zeros at either end of a frame was never written.

Two lengths tell a torn tail from damage. The *published* length was on disk before the file got its name. A frame's
*durable* length is how much of the file had been flushed when the frame was written: a bad frame below the durable
length of any later frame had once been whole, so the disk has lost or changed it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import DamagedError, NewerFormatError

MAGIC = b"qrec"
_FRAME = struct.Struct("<4sBIQQQI")
_CRC = struct.Struct("<I")
FRAME_HEADER_SIZE = _FRAME.size + _CRC.size
_FILE = struct.Struct("<8sIQ")
FILE_HEADER_SIZE = _FILE.size + _CRC.size
TRAILER = b"\xa5"
_SECTOR = 512


class Head(NamedTuple):
    """The fixed part of a frame; ``offset`` is its place in the file, ``end`` the place after it."""

    offset: int
    kind: int
    length: int
    durable: int
    a: int
    b: int
    body_crc: int

    @property
    def end(self) -> int:
        return self.offset + FRAME_HEADER_SIZE + self.length + len(TRAILER)


class Frame(NamedTuple):
    """One verified frame."""

    head: Head
    body: bytes


class BadFrame(Exception):  # noqa: N818 (a finding to be judged, not yet an error)
    """No valid frame at ``offset``. ``incomplete``: the file ends inside it. ``end``: where it should have ended."""

    def __init__(self, offset: int, what: str, *, incomplete: bool, end: int) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what
        self.incomplete = incomplete
        self.end = end


def encode_frame(kind: int, a: int, b: int, body: bytes, *, offset: int, durable: int) -> bytes:
    """The bytes of one frame that will lie at ``offset`` of its file."""
    head = _FRAME.pack(MAGIC, kind, len(body), durable, a, b, zlib.crc32(body))
    return b"".join((head, _CRC.pack(_head_crc(head, offset)), body, TRAILER))


def _head_crc(head: bytes, offset: int) -> int:
    return zlib.crc32(head, offset & 0xFFFFFFFF)


def decode_head(raw: bytes, offset: int) -> Head:
    """The header of the frame at ``offset``, of which ``raw`` are the first bytes. Raises BadFrame."""
    if len(raw) < FRAME_HEADER_SIZE:
        raise BadFrame(offset, "the file ends within a record's header", incomplete=True, end=offset + len(raw))
    head = raw[: _FRAME.size]
    (crc,) = _CRC.unpack_from(raw, _FRAME.size)
    magic, kind, length, durable, a, b, body_crc = _FRAME.unpack(head)
    if magic != MAGIC or crc != _head_crc(head, offset):
        raise BadFrame(offset, "a record's header has a wrong checksum", incomplete=False, end=offset + len(raw))
    return Head(offset, kind, length, durable, a, b, body_crc)


def check_body(head: Head, rest: bytes) -> Frame:
    """The whole frame, of which ``rest`` comes after the header. Raises BadFrame when it is short or changed."""
    body, trailer = rest[: head.length], rest[head.length :]
    if len(rest) < head.length + len(TRAILER):
        raise BadFrame(head.offset, "the file ends within a record", incomplete=True, end=head.end)
    if zlib.crc32(body) != head.body_crc or trailer != TRAILER:
        raise BadFrame(head.offset, "a record has a wrong checksum", incomplete=False, end=head.end)
    return Frame(head, body)


def frame_at(data: bytes, offset: int) -> Frame:
    """The frame at ``offset`` of a file whose content is ``data``. Raises BadFrame."""
    try:
        head = decode_head(data[offset : offset + FRAME_HEADER_SIZE], offset)
    except BadFrame as bad:
        bad.end = len(data)
        raise
    return check_body(head, data[offset + FRAME_HEADER_SIZE : head.end])


def scan(data: bytes, offset: int = FILE_HEADER_SIZE) -> Iterator[Frame]:
    """All frames from ``offset`` on. Raises BadFrame at the first one that is not valid."""
    while offset < len(data):
        frame = frame_at(data, offset)
        yield frame
        offset = frame.head.end


def is_torn(data: bytes, bad: BadFrame, published: int) -> bool:
    """Whether ``bad`` is what a crash in the middle of an unflushed write leaves behind, so that it may be cut off.

    Else the bytes had been flushed (and perhaps acknowledged) and must not be thrown away.
    """
    if bad.offset < published:
        return False
    at = data.find(MAGIC, bad.offset + 1)
    while at != -1:
        try:
            later = frame_at(data, at)
        except BadFrame:
            pass
        else:
            if later.head.durable > bad.offset:
                return False
        at = data.find(MAGIC, at + 1)
    return bad.incomplete or _has_hole(data, bad.offset, bad.end)


def _has_hole(data: bytes, start: int, end: int) -> bool:
    """Whether a sector of ``data[start:end]`` was never written: a power cut leaves it zero."""
    while start < end:
        stop = min(end, start - start % _SECTOR + _SECTOR)
        if not data[start:stop].strip(b"\0"):
            return True
        start = stop
    return False


def encode_file_header(magic: bytes, version: int, published: int) -> bytes:
    """The first bytes of a file. ``published`` is its length when it gets its name (0 when it has a footer instead)."""
    raw = _FILE.pack(magic, version, published)
    return raw + _CRC.pack(zlib.crc32(raw))


def check_file_header(path: Path, raw: bytes, magic: bytes, known: int) -> tuple[int, int]:
    """Format version and published length. Raises DamagedError or, for a version over ``known``, NewerFormatError."""
    if len(raw) < FILE_HEADER_SIZE:
        raise DamagedError(path, len(raw), "the file ends within its header")
    found, version, published = _FILE.unpack_from(raw)
    (crc,) = _CRC.unpack_from(raw, _FILE.size)
    if crc != zlib.crc32(raw[: _FILE.size]) or found != magic:
        raise DamagedError(path, 0, "the header is not that of such a file")
    if version > known:
        raise NewerFormatError(path, version, known)
    return int(version), int(published)
