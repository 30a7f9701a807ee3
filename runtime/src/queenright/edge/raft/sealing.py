# SPDX-License-Identifier: Apache-2.0
"""How log and snapshot are sealed: what the records say leaves this process as AEAD blocks only.

A sealed file begins with a frame of kind SEAL, whose body is the label by which the sealer finds its key again; it
holds no secret. All other frames are of kind SEALED: a block of records, sealed as one. In the log, the
records of one flush share blocks, so sealing costs next to nothing for each entry; a block is torn or whole as one.

A block is bound to its place: to the file by the seal, to its offset and to all numbers of its frame's header by the
associated data. A frame's CRC is over what lies on disk, so a disk that changed a byte is found without any key, and a
block with a good CRC that does not open was put there by somebody.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import DamagedError, SealError
from .frames import FRAME_HEADER_SIZE, Frame, Head, encode_frame
from .ports import Seal, Sealer

SEAL = 7
"""body = the seal's label, in clear."""
SEALED = 8
"""body = a block of records; ``a`` and ``b`` are the file's to use."""

BLOCK = 32 * 1024
"""A block is full when its records are so many bytes: larger ones cost more, as they no longer stay in the caches."""

Record = tuple[int, int, int, bytes]
"""kind, a, b, body: what a frame says in a file that is not sealed."""

_RECORD = struct.Struct("<BIQQ")
_PLACE = struct.Struct("<BIQQQQ")


def new_seal(path: Path, sealer: Sealer, purpose: str) -> Seal:
    """For a file that will be ``path``. Raises SealError where the keys cannot be used, or OSError."""
    try:
        return sealer.new(purpose)
    except ValueError as error:
        raise SealError(path, f"cannot be sealed: {error}") from error


def encode_label(seal: Seal, offset: int) -> bytes:
    """The first frame of a sealed file."""
    return encode_frame(SEAL, 0, 0, seal.label, offset=offset, durable=0)


def encode_block(seal: Seal, records: Iterable[Record], *, offset: int, durable: int, a: int = 0, b: int = 0) -> bytes:
    """One frame with all of ``records``, which will lie at ``offset`` of its file."""
    parts: list[bytes] = []
    for kind, first, second, body in records:
        parts += (_RECORD.pack(kind, len(body), first, second), body)
    block = b"".join(parts)
    place = _PLACE.pack(SEALED, len(block) + seal.overhead, durable, a, b, offset)
    return encode_frame(SEALED, a, b, seal.close(block, place), offset=offset, durable=durable)


def encode_blocks(seal: Seal, records: Iterable[Record], *, offset: int, durable: int) -> bytes:
    """The same in as many frames as it takes."""
    frames: list[bytes] = []
    block: list[Record] = []
    size = 0

    def end() -> None:
        nonlocal offset
        frames.append(encode_block(seal, block, offset=offset, durable=durable))
        offset += len(frames[-1])

    for record in records:
        block.append(record)
        size += len(record[3])
        if size >= BLOCK:
            end()
            block, size = [], 0
    if block:
        end()
    return frames[0] if len(frames) == 1 else b"".join(frames)


class Opening:
    """Gives the records of a file's frames, which are handed in from the first one on.

    ``sealed``: whether the file's version says that it is. Then nothing that lies in it in clear is taken for a record.
    """

    def __init__(self, path: Path, sealer: Sealer | None, purpose: str, *, sealed: bool) -> None:
        self._path = path
        self._sealer = sealer
        self._purpose = purpose
        self._sealed = sealed
        self.seal: Seal | None = None
        """What the file is sealed with, once its first frame was taken; None for a clear one."""

    def records(self, frame: Frame) -> Iterable[Frame]:
        """What the frame says. Raises SealError when the key is not here, DamagedError."""
        if not self._sealed:
            return (frame,)
        kind = frame.head.kind
        if (self.seal is None) != (kind == SEAL) or kind not in (SEAL, SEALED):
            raise DamagedError(self._path, frame.head.offset, f"a record of kind {kind} is not sealed")
        if self.seal is not None:
            return self._opened(self.seal, frame)
        self.seal = self._found(frame.body)
        return ()

    def _found(self, label: bytes) -> Seal:
        if self._sealer is None:
            raise SealError(self._path, "is sealed, and there are no keys to open it with")
        try:
            return self._sealer.find(self._purpose, label)
        except ValueError as error:
            raise SealError(self._path, str(error)) from error

    def _opened(self, seal: Seal, frame: Frame) -> Iterator[Frame]:
        head = frame.head
        place = _PLACE.pack(SEALED, head.length, head.durable, head.a, head.b, head.offset)
        block = seal.open(frame.body, place)
        if block is None:
            raise DamagedError(
                self._path,
                head.offset,
                "a block is not what was sealed at this place, though its checksum is right: this is no fault of the "
                "disk, it was changed or moved by somebody",
            )
        at = 0
        while at < len(block):
            if len(block) - at < _RECORD.size:
                raise DamagedError(self._path, head.offset, "a block ends within a record")
            kind, length, first, second = _RECORD.unpack_from(block, at)
            at += _RECORD.size
            if len(block) - at < length:
                raise DamagedError(self._path, head.offset, "a block ends within a record")
            body = block[at : at + length]
            at += length
            yield Frame(Head(head.offset, kind, length, head.durable, first, second, 0), body)


def size_in_clear(count: int, volume: int) -> int:
    """Bytes of so many frames with bodies of ``volume`` bytes in all."""
    return count * (FRAME_HEADER_SIZE + 1) + volume
