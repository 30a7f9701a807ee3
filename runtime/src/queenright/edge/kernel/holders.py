# SPDX-License-Identifier: Apache-2.0
"""Which program has a port of this host, as /proc tells it. The more programs there are the longer it takes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_LISTENS = "0A"


def holder(protocol: str, port: int, proc: Path = PROC) -> str:
    """``nginx (process 812)``; "" if it is not known. Looks in the calling thread's network namespace."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(protocol, port, proc / "thread-self/net")}
    if not wanted:
        return ""
    for number in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        if not wanted.isdisjoint(_open(proc / str(number) / "fd")):
            with contextlib.suppress(OSError):
                return f"{(proc / str(number) / 'comm').read_text().strip()} (process {number})"
    return ""


def _inodes(protocol: str, port: int, net: Path) -> Iterator[str]:
    for name in (protocol, f"{protocol}6"):
        with contextlib.suppress(OSError):
            for line in (net / name).read_text().splitlines()[1:]:
                words = line.split()
                taken = protocol != "tcp" or words[3] == _LISTENS
                if taken and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]


def _open(folder: Path) -> Iterator[str]:
    """What the files are that a process has open; nothing of one that has ended meanwhile."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                yield os.readlink(entry.path)
