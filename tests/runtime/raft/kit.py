# SPDX-License-Identifier: Apache-2.0
"""What the tests of the raft room share: a state machine, a disk that misbehaves on demand, waiting with a deadline."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runtime.sealers import sealer

from queenright.edge.raft import Disk, RaftLog
from queenright.edge.raft.frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from queenright.edge.raft.log_format import ENTRY, HARD_STATE, LOG_MAGIC, MEMBERS
from queenright.wire.raft import Entry


class Machine:
    """Keeps ``key=value`` commands in a dict; the result of a command is its index."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.applied: list[int] = []
        self.restored_at = 0
        self.freezes = 0
        self.threads: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()
        self.poison: bytes | None = None

    def apply(self, index: int, command: bytes) -> object:
        self.threads.add(threading.current_thread().name)
        if command == self.poison:
            raise ValueError("this command cannot be applied")
        key, _, value = command.partition(b"=")
        self.data[key] = value
        self.applied.append(index)
        return index

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        self.freezes += 1
        copy = dict(self.data)

        def records() -> Iterator[bytes]:
            for key, value in copy.items():
                assert self.hold.wait(60)
                yield key + b"=" + value

        return records

    def prepare(self, index: int, records: Iterator[bytes]) -> Callable[[], None]:
        data = {}
        for record in records:
            key, _, value = record.partition(b"=")
            data[key] = value

        def swap() -> None:
            self.restored_at, self.data = index, data

        return swap


class BadDisk(Disk):
    """Fails or waits on demand; counts flushes.

    ``only_in`` names the thread to which that is limited, ``only_for`` the file of a ``publish_error``, ``open_syncs``
    how many flushes pass the closed gate, ``left`` how many bytes a snapshot is said to have.
    """

    def __init__(self) -> None:
        self.write_error: OSError | None = None
        self.sync_error: OSError | None = None
        self.publish_error: OSError | None = None
        self.partial = 0
        self.left: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.open_syncs = -1
        self.syncs = 0
        self.only_in = ""
        self.only_for = ""

    def _here(self) -> bool:
        return self.only_in in ("", threading.current_thread().name)

    def write(self, fd: int, data: bytes) -> None:
        if self.write_error is not None and self._here():
            super().write(fd, data[: self.partial])
            raise self.write_error
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        if not self.gate.is_set() and self._here() and self.syncs >= self.open_syncs:
            self.waiting.set()
            assert self.gate.wait(60)
        if self.sync_error is not None and self._here():
            raise self.sync_error
        super().sync(fd)
        self.syncs += 1

    def publish(self, temporary: Path, path: Path) -> None:
        if self.publish_error is not None and self.only_for in ("", path.name):
            raise self.publish_error
        super().publish(temporary, path)

    def room(self, directory: Path) -> int:
        return super().room(directory) if self.left is None else self.left


def write_first_release(path: Path, entries: list[Entry], *, term: int, vote: str, members: list[str]) -> None:
    """A log file as version 1 wrote it."""
    records = [(MEMBERS, 0, 0, json.dumps([{"id": member} for member in members]).encode())]
    records.append((HARD_STATE, term, 0, vote.encode()))
    records += [(ENTRY, entry.idx, entry.term, entry.command) for entry in entries]
    content = b""
    for kind, a, b, body in records:
        content += encode_frame(kind, a, b, body, offset=FILE_HEADER_SIZE + len(content), durable=0)
    path.write_bytes(encode_file_header(LOG_MAGIC, 1, FILE_HEADER_SIZE + len(content)) + content)


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@asynccontextmanager
async def running(directory: Path, machine: Machine | None = None, **options: Any) -> AsyncIterator[RaftLog]:
    """A started log of member ``m1``, stopped at the end."""
    log = make(directory, machine, **options)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def make(directory: Path, machine: Machine | None = None, member_id: str = "m1", **options: Any) -> RaftLog:
    options.setdefault("on_fatal", lambda error: None)
    options.setdefault("sealer", sealer(member_id))
    return RaftLog(directory, member_id, machine or Machine(), **options)


async def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Return when ``condition`` holds; fail when it does not within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)


def raft_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("raft"))
