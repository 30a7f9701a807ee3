# SPDX-License-Identifier: Apache-2.0
"""A disk that loses its power at a chosen moment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from queenright.edge.raft.disk import Disk


class PowerCut(BaseException):
    """Nothing goes on after it."""


class CutDisk(Disk):
    """Counts the operations and cuts the power in the one numbered ``at`` (from 0; -1: never).

    ``late``: the operation was carried out as far as it shows, but it did not return. What is in ``directory`` then is
    copied to ``left``: without what was not flushed, if ``forgets``. After the cut no operation does anything.
    """

    def __init__(self, directory: Path, left: Path, at: int = -1, *, late: bool = False, forgets: bool = True) -> None:
        self.directory = directory
        self.left = left
        self.at = at
        self.late = late
        self.forgets = forgets
        self.count = 0
        self.gone = False
        self.names: list[str] = []
        self._flushed: dict[Path, int] = {}

    def _step(self, name: str) -> bool:
        """Whether the power is cut in this operation."""
        if self.gone:
            raise PowerCut
        self.names.append(name)
        self.count += 1
        return self.count - 1 == self.at

    def _cut(self) -> None:
        self.gone = True
        shutil.copytree(self.directory, self.left)
        for path, size in self._flushed.items() if self.forgets else ():
            copy = self.left / path.name
            if copy.exists() and copy.stat().st_size > size:
                os.truncate(copy, size)
        raise PowerCut

    @staticmethod
    def _path(fd: int) -> Path:
        return Path(os.readlink(f"/proc/self/fd/{fd}"))

    def write(self, fd: int, data: bytes) -> None:
        path = self._path(fd)
        self._flushed.setdefault(path, path.stat().st_size)
        if self._step(f"write {path.name}"):
            super().write(fd, data if self.late else data[: len(data) // 2])
            self._cut()
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        path = self._path(fd)
        cut = self._step(f"sync {path.name}")
        if not cut or self.late:
            self._flushed[path] = os.fstat(fd).st_size
            super().sync(fd)
        if cut:
            self._cut()

    def publish(self, temporary: Path, path: Path) -> None:
        cut = self._step(f"publish {path.name}")
        if not cut or self.late:
            super().publish(temporary, path)
            if temporary in self._flushed:
                self._flushed[path] = self._flushed.pop(temporary)
        if cut:
            self._cut()

    def remove(self, path: Path) -> None:
        cut = self._step(f"remove {path.name}")
        if not cut or self.late:
            super().remove(path)
        if cut:
            self._cut()

    def room(self, directory: Path) -> int:
        return 1 << 40
