# SPDX-License-Identifier: Apache-2.0
"""Files and directories that are either wholly there or not at all, whatever moment the power fails.

A file is written beside its final place, flushed, renamed over the old one, and then the directory that holds the name
is flushed too. Errors of the file system come out as OSError, and the old content stays.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte of ``data`` at the file's position; a short write is carried on, not forgotten."""
    view = memoryview(data).cast("B")
    while len(view):
        view = view[os.write(fd, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in directory ``path`` durable: created, renamed and removed entries survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def private_directory(path: Path) -> None:
    """Make sure that ``path`` is a directory which only its owner may enter (0700); missing parents are made alike.

    A directory that was more open is tightened; its parents, if they were there, are left as they are.
    Raises NotADirectoryError when something else has the name.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is not a directory: move it out of the way")
    if not path.exists():
        if not path.parent.exists():
            private_directory(path.parent)
        path.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        sync_directory(path.parent)
    if path.stat().st_mode & 0o7777 != PRIVATE_DIRECTORY:
        path.chmod(PRIVATE_DIRECTORY)


def create_private(path: Path, *, mode: int = PRIVATE_FILE) -> int:
    """Open a new, empty file for writing and give its descriptor; a left-over of the same name is removed first.

    The mode holds from the first moment, whatever the umask, so a secret is never readable by others.
    """
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def replace_file(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Give the file ``path`` the content ``data`` in one durable step; readers see the old content or the new.

    The temporary file is ``.NAME.new`` in the same directory, so one path may have one writer at a time.
    """
    temporary = path.with_name(f".{path.name}.new")
    fd = create_private(temporary, mode=mode)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove the file ``path`` durably; one that is not there is fine."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def shred_file(path: Path) -> None:
    """Remove the file ``path`` durably; its bytes are overwritten first, which is all that can be done from here: a
    file system or a disk that writes elsewhere keeps the old ones for a while. One that is not there is fine."""
    if not path.is_symlink():
        _overwrite(path)
    remove_file(path)


def _overwrite(path: Path) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        write_all(fd, bytes(os.fstat(fd).st_size))
        os.fsync(fd)
    finally:
        os.close(fd)
