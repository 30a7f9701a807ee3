# SPDX-License-Identifier: Apache-2.0
"""The few operations on disk whose order makes the log safe, and the lock that keeps a second daemon out.

They are gathered in one object so that a test can make each of them fail or wait.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from queenright.lib.atomic import PRIVATE_FILE, remove_file, sync_directory, write_all

from .errors import LockedError

KEPT_FOR_LOG = 64 * 1024 * 1024
"""Bytes that no snapshot may take, or an eighth of a file system that is small: a log that finds no room stops the
member, a snapshot can wait."""


class Disk:
    """Write, flush, publish, remove. Every method raises OSError as the system gives it (ENOSPC, EIO, ...)."""

    def write(self, fd: int, data: bytes) -> None:
        """Write all of ``data``; after an error an unknown part of it may be in the file."""
        write_all(fd, data)

    def sync(self, fd: int) -> None:
        """Return when everything written to ``fd`` survives a power cut."""
        os.fdatasync(fd)

    def publish(self, temporary: Path, path: Path) -> None:
        """Rename a flushed file over ``path`` and return when the new name survives a power cut."""
        temporary.rename(path)
        sync_directory(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there, and return when its absence survives a power cut."""
        remove_file(path)

    def room(self, directory: Path) -> int:
        """Bytes that a snapshot may take in ``directory``: what is free but for a part that is kept for the log."""
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize - min(KEPT_FOR_LOG, found.f_blocks * found.f_frsize // 8)


class DirectoryLock:
    """An flock'd file that one process at a time can hold; the kernel frees it when the holder dies."""

    def __init__(self, path: Path) -> None:
        """Take the lock at ``path``. Raises LockedError when another holder is alive."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise LockedError(
                f"{path.parent} is in use by another queenright daemon (process {holder}): "
                "stop that one first, or give this one a state directory of its own"
            )
        os.fchmod(self._fd, PRIVATE_FILE)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two holders lock two different files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
