# SPDX-License-Identifier: Apache-2.0
"""Reads files of ours, and refuses those that others could have written, or read where that must not be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from queenright.edge.pki.errors import KeyStoreError

_MAX_FILE = 256 * 1024


def read_private(path: Path) -> bytes | None:
    """The content of a file that only its owner may read, None where there is none. Raises KeyStoreError or OSError."""
    return read(path, private=True)


def refuse_link(path: Path) -> None:
    """Raises KeyStoreError for a symbolic link."""
    if path.is_symlink():
        raise KeyStoreError(f"{path} is a symbolic link, which is not followed: put the file itself there")


def read(path: Path, *, private: bool = False) -> bytes | None:
    """The content of a regular file, None where there is none. Raises KeyStoreError or OSError."""
    refuse_link(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE:
            raise KeyStoreError(f"{path} is not a regular file of at most {_MAX_FILE} bytes")
        check_owner(path, status)
        if private and status.st_mode & 0o077:
            raise KeyStoreError(
                f"{path} may be read by others (mode {stat.S_IMODE(status.st_mode):04o}): if nobody copied the "
                f"key, chmod 600 {path}; else leave the swarm and join again"
            )
        return file.read()


def check_owner(path: Path, status: os.stat_result) -> None:
    """Raises KeyStoreError for what belongs to somebody else, or what others may write."""
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyStoreError(f"{path} belongs to user {status.st_uid}: chown it to root")
    if status.st_mode & 0o022:
        raise KeyStoreError(f"{path} may be written by others: chmod go-w {path}")
