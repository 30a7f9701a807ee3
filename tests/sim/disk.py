# SPDX-License-Identifier: Apache-2.0
"""A disk that loses what was not flushed, tears what was being written, and cuts the power in the middle of things.

The files are real ones in a directory of the test's, the flushes are not: this disk notes what a flush would have made
durable, and ``power_cut`` takes the rest away, as the dice fall. What a program does after the power went (handling the
exception, say) is undone.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from queenright.edge.raft.disk import Disk

SECTOR = 512


class PowerCutError(BaseException):
    """The power went in the middle of an operation. Not an Exception: nothing may handle it."""


class _File(NamedTuple):
    """A file as it was when the power went. Of its ``content``, only the first ``durable`` bytes were flushed."""

    path: Path
    content: bytes
    durable: int


class _Rename(NamedTuple):
    """A rename or a removal whose directory was not flushed: ``before`` is what had the name, None for nothing.

    ``source`` is the name that a renamed file had: it has one of the two.
    """

    path: Path
    before: bytes | None
    source: Path | None


@dataclass
class FaultyDisk(Disk):
    """The disk of one member. ``cut_after`` counts down operations until the power goes in the middle of one; ``full``
    refuses writes. ``on_cut`` is told when the power goes."""

    directory: Path
    dice: random.Random
    cut_after: int = 0
    full: bool = False
    operations: int = 0
    on_cut: Callable[[], None] = lambda: None
    _durable: dict[tuple[int, int], int] = field(default_factory=dict)  # (device, inode) -> bytes that were flushed
    _rename: _Rename | None = None
    _image: list[_File] | None = None

    def power_on(self) -> None:
        """What is in the directory now has been there for long."""
        self.cut_after, self.full, self._rename, self._image = 0, False, None, None
        self._durable = {_file(path.stat()): path.stat().st_size for path in self._files()}

    def go_out(self) -> None:
        """The power goes. Whatever is done from now on has no effect."""
        if self._image is None:
            self._image = [
                _File(path, path.read_bytes(), self._durable.get(_file(path.stat()), 0)) for path in self._files()
            ]

    def write(self, fd: int, data: bytes) -> None:
        if self._image is not None:
            return
        if self.full:
            super().write(fd, data[: self.dice.randrange(len(data) + 1)])
            raise OSError(errno.ENOSPC, "No space left on device")
        self._durable.setdefault(_file(os.fstat(fd)), 0)
        if self._power_goes():
            super().write(fd, data[: self.dice.randrange(len(data) + 1)])
            self._cut()
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self._image is not None:
            return
        if self._power_goes():
            self._cut()  # of what was to be flushed, the dice say how much was
        status = os.fstat(fd)
        self._durable[_file(status)] = status.st_size

    def publish(self, temporary: Path, path: Path) -> None:
        if self._image is not None:
            return
        if self._power_goes():
            self._cut()
        before = path.read_bytes() if path.exists() else None
        temporary.rename(path)
        if self._power_goes():
            self._rename = _Rename(path, before, temporary)
            self._cut()

    def remove(self, path: Path) -> None:
        if self._image is not None or not path.exists():
            return
        if self._power_goes():
            self._cut()
        before = path.read_bytes()
        path.unlink()
        if self._power_goes():
            self._rename = _Rename(path, before, None)
            self._cut()

    def power_cut(self) -> None:
        """Leave only what a power cut would: flushed bytes, and of the rest whatever the dice say."""
        self.go_out()
        for path in self._files():
            path.unlink()
        for file in self._image or ():
            file.path.write_bytes(self._torn(file))
        if self._rename is not None and self.dice.random() < 0.5:
            self._undo(self._rename)
        self.power_on()

    def _undo(self, rename: _Rename) -> None:
        if rename.source is not None:
            rename.path.rename(rename.source)
        if rename.before is not None:
            rename.path.write_bytes(rename.before)

    def _cut(self) -> None:
        self.go_out()
        self.on_cut()
        raise PowerCutError

    def _torn(self, file: _File) -> bytes:
        durable, size = min(file.durable, len(file.content)), len(file.content)
        if durable == size:
            return file.content
        content = bytearray(file.content[: self.dice.randint(durable, size)])
        for start in range(durable - durable % SECTOR, len(content), SECTOR):
            if self.dice.random() < 0.2:  # the file had grown already, this sector never came
                first, last = max(durable, start), min(len(content), start + SECTOR)
                content[first:last] = bytes(last - first)
        return bytes(content)

    def _files(self) -> list[Path]:
        return [path for path in sorted(self.directory.rglob("*")) if path.is_file()]

    def _power_goes(self) -> bool:
        self.operations += 1
        if self.cut_after > 0:
            self.cut_after -= 1
            return self.cut_after == 0
        return False


def _file(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
