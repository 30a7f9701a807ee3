# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log: entries, term and vote in one checksummed file, flushed once for a whole batch.

Records are only ever appended; a conflict with another leader appends a truncation mark. Compaction writes the entries
that are kept to a new file and renames it over the old one, so there is no moment without a whole log on disk.
Reading is in ``wal_reader.py``. Everything here runs in the raft thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pysyncobj.journal import Journal

from queenright.lib.atomic import create_private

from .disk import Disk
from .frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from .members import Member, encode_members

LOG_MAGIC = b"QRAFTLOG"
LOG_VERSION = 1

ENTRY = 1
"""a = index, b = term, body = type byte and command."""
TRUNCATE = 2
"""a = index: this entry and all later ones are void."""
HARD_STATE = 3
"""a = term, body = id of the member voted for in it, or nothing."""
MEMBERS = 4
"""body = JSON list of the members."""

KEEP_BYTES = 16 * 1024 * 1024
"""Most bytes of commands kept before a snapshot: they stay in memory, and compaction writes them anew."""

REGULAR = 0
NO_OP = 1


class Entry(NamedTuple):
    """One log entry, in the order in which the library unpacks it. ``command`` begins with its type byte."""

    command: bytes
    idx: int
    term: int


class State(NamedTuple):
    """What a log file says. ``durable`` is the length of the file."""

    entries: list[Entry]
    term: int
    vote: str | None
    members: tuple[Member, ...]
    durable: int


class Wal(Journal):  # type: ignore[misc]
    """The log of one member, in the shape in which the library wants its journal.

    ``add``, ``deleteEntriesFrom`` and ``setCurrentTerm`` only take note; ``sync`` writes and flushes all of it.
    After an OSError the log is broken for good: what is on disk is unknown until the next start reads it.
    """

    def __init__(self, disk: Disk, path: Path, fd: int, state: State) -> None:
        self._disk = disk
        self._path = path
        self._fd = fd
        self._entries = state.entries
        self._term = state.term
        self._vote = state.vote
        self._members = state.members
        self._durable = state.durable
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._durable_index = self.last_index
        self._broken = False

    @property
    def first_index(self) -> int:
        """Index of the oldest entry that is kept; there always is one."""
        return self._entries[0].idx

    @property
    def last_index(self) -> int:
        """Index of the newest entry, flushed or not."""
        return self._entries[-1].idx

    @property
    def durable_index(self) -> int:
        """Index of the newest entry that survives a power cut."""
        return self._durable_index

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of the group as the log knows them."""
        return self._members

    def term_of(self, index: int) -> int:
        """The term of a kept entry."""
        return self._entries[index - self.first_index].term

    def _put(self, kind: int, a: int, b: int, body: bytes = b"") -> None:
        offset = self._durable + self._buffered
        raw = encode_frame(kind, a, b, body, offset=offset, durable=self._durable)
        self._buffer.append(raw)
        self._buffered += len(raw)

    def sync(self) -> None:
        """Return when all that was noted is durable. Raises OSError, after which the log takes nothing any more."""
        if self._broken:
            raise OSError(f"{self._path}: an earlier write failed; nothing is written any more")
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._broken = True
        self._disk.write(self._fd, data)
        self._disk.sync(self._fd)
        self._broken = False
        self._buffer.clear()
        self._durable += self._buffered
        self._buffered = 0
        self._durable_index = self.last_index

    def first_to_keep(self, index: int, keep: int) -> int:
        """The first entry to keep when a snapshot of ``index`` is durable: at most ``keep`` entries, and at most
        KEEP_BYTES of them, before it, for members that lag a little. Entry ``index`` itself is always kept."""
        first, size = index, 0
        while first > max(self.first_index, index - keep):
            size += len(self._entries[first - 1 - self.first_index].command)
            if size > KEEP_BYTES:
                break
            first -= 1
        return first

    def compact(self, first: int) -> None:
        """Forget the entries before index ``first`` (the newest one always stays) with a new, smaller file."""
        first = min(first, self.last_index)
        if first <= self.first_index:
            return
        self.sync()
        kept = self._entries[first - self.first_index :]
        self._broken = True
        fd, size = write_log(self._disk, self._path, kept, self._term, self._vote, self._members)
        os.close(self._fd)
        self._fd, self._durable, self._entries = fd, size, kept
        self._broken = False

    def close(self) -> None:
        """Give the file back. What was noted and not flushed is dropped."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # The library's names from here on.

    def add(self, command: bytes, idx: int, term: int) -> None:
        self._entries.append(Entry(command, idx, term))
        self._put(ENTRY, idx, term, command)

    def clear(self) -> None:
        raise RuntimeError("the log is never cleared: entries go by compaction or by truncation")

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803
        if entryFrom < len(self._entries):
            self._put(TRUNCATE, self._entries[entryFrom].idx, 0)
            del self._entries[entryFrom:]
            self._durable_index = min(self._durable_index, self.last_index)

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        self.compact(self.first_index + entryTo)

    def __getitem__(self, item: int | slice) -> Any:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self.close()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        """The commit index is not kept on disk: the leader of the next term finds it anew."""

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        return self.first_index

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        self._term, self._vote = term, votedForNodeId
        self._put(HARD_STATE, term, 0, (votedForNodeId or "").encode())

    def getCurrentTerm(self) -> int:  # noqa: N802
        return self._term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802
        return self._vote


def write_log(
    disk: Disk, path: Path, entries: Iterable[Entry], term: int, vote: str | None, members: tuple[Member, ...]
) -> tuple[int, int]:
    """Write a whole new log file to ``path`` in one durable step; gives its open descriptor and its length."""
    frames: list[bytes] = []
    offset = FILE_HEADER_SIZE
    records = [(MEMBERS, 0, 0, encode_members(members)), (HARD_STATE, term, 0, (vote or "").encode())]
    records += [(ENTRY, entry.idx, entry.term, entry.command) for entry in entries]
    for kind, a, b, body in records:
        frames.append(encode_frame(kind, a, b, body, offset=offset, durable=0))
        offset += len(frames[-1])
    temporary = path.with_name(path.name + ".new")
    fd = create_private(temporary)
    try:
        disk.write(fd, encode_file_header(LOG_MAGIC, LOG_VERSION, offset) + b"".join(frames))
        disk.sync(fd)
        disk.publish(temporary, path)
    except BaseException:
        os.close(fd)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return fd, offset
