# SPDX-License-Identifier: Apache-2.0
"""What the daemon insists on before it reads anything: a state directory that is nobody else's, and an environment in
which nothing leads its connections elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from queenright.lib import atomic

PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"})
OPEN_DIRECTORIES = frozenset({"certificates"})  # others may look into: what is secret there is closed by itself
PUBLIC = (".crt", ".crt.new")  # a certificate, also one whose writing a crash cut short


class LooseError(Exception):
    """Something in the state directory is open to others; the text says what, why not, and how to put it right."""


def without_proxies(environment: MutableMapping[str, str]) -> list[str]:
    """Remove proxies from the environment, and say which there were: no connection of ours may be led elsewhere."""
    found = sorted(name for name in environment if name.lower() in PROXIES)
    for name in found:
        del environment[name]
    return found


def private_state(directory: Path) -> None:
    """Make the state directory, or check all of it. Raises LooseError or OSError.

    One that holds nothing yet is tightened; one that held secrets while others could read them is for its owner to
    judge.
    """
    if directory.is_symlink():
        raise LooseError(
            f"the state directory {directory} is a symbolic link, which is not followed: give the directory itself "
            f"(--state-dir {os.path.realpath(directory)})"
        )
    if directory.is_dir() and any(_secrets(directory)):
        _check(directory, directory.lstat(), 0o077)
        _check_below(directory)
    atomic.private_directory(directory)


def _secrets(directory: Path) -> Iterator[Path]:
    """What is in it but the lock, which any start leaves, and what a new file system brings along."""
    return (path for path in directory.iterdir() if path.name not in ("lock", "lost+found"))


def _check_below(directory: Path) -> None:
    for entry in os.scandir(directory):
        path = Path(entry.path)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise LooseError(f"{path} is a symbolic link, which is not followed: put the file itself there")
        if stat.S_ISDIR(status.st_mode):
            _check(path, status, 0o022 if path.name in OPEN_DIRECTORIES else 0o077)
            _check_below(path)
        elif stat.S_ISREG(status.st_mode):
            public = path.name.endswith(PUBLIC) and path.parent.name in OPEN_DIRECTORIES
            _check(path, status, 0o022 if public else 0o077)
        else:
            raise LooseError(f"{path} is neither a file nor a directory: move it away")


def _check(path: Path, status: os.stat_result, closed: int) -> None:
    """``closed``: the bits that must not be set."""
    if status.st_uid not in (os.geteuid(), 0):
        raise LooseError(f"{path} belongs to user {status.st_uid}: find out why, then chown root {path}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & closed & 0o022:
        raise LooseError(f"{path} may be written by others (mode {mode:04o}): find out why, then chmod go-w {path}")
    if mode & closed:
        raise LooseError(
            f"{path} may be read by others (mode {mode:04o}), and it may hold keys: if nobody copied them, chmod "
            f"{mode & ~closed:04o} {path}; else leave the swarm and join again"
        )
