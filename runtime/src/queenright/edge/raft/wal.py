# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log: entries, members, term and vote in one checksummed file, flushed once for a whole batch.

Records are only ever appended; a conflict with another leader appends a truncation mark. Compaction and an installed
snapshot write the entries that are kept to a new file and rename it over the old one, so there is no moment without a
whole log on disk. The format is in ``log_format.py``, reading in ``wal_reader.py``. Everything here runs in the raft
thread.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pysyncobj.journal import Journal

from queenright.wire.raft import Entry

from .config_trail import ConfigTrail
from .disk import Disk
from .errors import InconsistentError, UnwritableError, naming
from .log_format import (
    COMMIT,
    ENTRY,
    HARD_STATE,
    MEMBERS_ENTRY,
    NO_OP,
    REGULAR,
    TRUNCATE,
    NewLog,
    State,
    encode_records,
    is_members,
    placeholder,
)
from .members import Config, parse_config
from .ports import Seal, Sealer
from .sealing import Record

__all__ = ["MEMBERS_ENTRY", "NO_OP", "REGULAR", "Entry", "Wal"]

logger = logging.getLogger(__name__)

KEEP_BYTES = 16 * 1024 * 1024
"""Most bytes of commands kept before a snapshot: they stay in memory, and compaction writes them anew."""


class Wal(Journal):  # type: ignore[misc]
    """The log of one member, in the shape in which the library wants its journal.

    ``add``, ``deleteEntriesFrom`` and ``setCurrentTerm`` only take note; ``sync`` writes and flushes all of it. The
    commit index goes with them as a hint, so that a member that starts can show what it had without a leader.
    After an OSError of ``sync`` the log is broken for good: what is on disk is unknown until the next start reads it.
    """

    def __init__(
        self,
        disk: Disk,
        path: Path,
        fd: int,
        state: State,
        *,
        seal: Seal | None = None,
        sealer: Sealer | None = None,
        outdated: bool = False,
    ) -> None:
        """``seal`` is that of the file, ``sealer`` makes those of later ones. ``outdated``: the file is not as this
        release writes it, nothing is appended to it."""
        self._disk = disk
        self._path = path
        self._fd = fd
        self._entries = state.entries
        self._term = state.term
        self._vote = state.vote
        self._owner = state.owner
        self._seal = seal
        self._sealer = sealer
        self._outdated = outdated
        self._durable = state.durable
        self._commit = self._commit_written = max(state.commit, self.first_index)
        self._configs = ConfigTrail(state.base, self._entries)
        self._buffer: list[Record] = []
        self._durable_index = self.last_index
        self._broken = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def broken(self) -> bool:
        """Whether a write failed in a way that leaves open what is on disk."""
        return self._broken

    @property
    def owner(self) -> str:
        """Id of the member whose log this is; empty in a file of the first release that does not tell."""
        return self._owner

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
    def config(self) -> Config:
        """The members as of the newest entry, committed or not: they count from the moment they stand in the log."""
        return self._configs.newest

    @property
    def config_index(self) -> int:
        """Index of the entry that brought ``config``; the first index if it came before that."""
        return self._configs.newest_index

    @property
    def base(self) -> Config:
        """The members as of the first entry."""
        return self._configs.base

    def entry(self, index: int) -> Entry:
        """A kept entry."""
        return self._entries[index - self.first_index]

    def term_of(self, index: int) -> int:
        """The term of a kept entry."""
        return self._entries[index - self.first_index].term

    def contains(self, index: int, term: int) -> bool:
        """Whether entry ``index`` is kept and of this term; then all before it is the same as where it comes from."""
        return self.first_index <= index <= self.last_index and self.term_of(index) == term

    def state(self) -> State:
        """All that the file says, or will say after ``sync``."""
        return State(self._entries, self._term, self._vote, self.base, self._owner, self._commit, self._durable)

    def _put(self, kind: int, a: int, b: int, body: bytes = b"") -> None:
        self._buffer.append((kind, a, b, body))

    def sync(self) -> None:
        """Return when all that was noted is durable.

        Raises UnwritableError (an OSError), after which the log takes nothing any more.
        """
        self._check_whole()
        if not self._buffer:
            return
        self._broken = True
        if self._outdated:
            # An older release must not find records that it does not know in a file that it thinks it knows, and
            # nothing is added in clear.
            self._exchange(self._new(self.state()), self._entries, self.base)
            return
        self._put_commit()
        data = self._encoded()
        with naming(self._path):
            self._disk.write(self._fd, data)
            self._disk.sync(self._fd)
        self._broken = False
        self._buffer.clear()
        self._durable += len(data)
        self._durable_index = self.last_index

    @property
    def stale(self) -> bool:
        """Whether the file is sealed with a key that is on its way out."""
        return self._seal is not None and not self._seal.current

    def _encoded(self) -> bytes:
        """All that was noted: one block, where the log is sealed."""
        return encode_records(self._buffer, self._seal, offset=self._durable, durable=self._durable)

    def _new(self, state: State) -> NewLog:
        return NewLog(self._disk, self._path, state, self._sealer)

    def _put_commit(self) -> None:
        """The hint goes with a flush that is due anyway. It follows the entries of which it speaks, so it is never on
        disk without them."""
        if self._commit > self._commit_written:
            self._put(COMMIT, self._commit, 0)
            self._commit_written = self._commit

    def _check_whole(self) -> None:
        if self._broken:
            raise OSError(f"{self._path}: an earlier write failed; nothing is written any more")

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
        """Forget the entries before index ``first`` (the newest one always stays) with a new, smaller file, sealed with
        the newest key.

        Where there is no room for that, the old file goes on until the next compaction. Raises any other OSError.
        """
        first = max(self.first_index, min(first, self.last_index))
        if first == self.first_index and not self.stale:
            return
        self.sync()
        kept = self._entries[first - self.first_index :]
        base = self._configs.as_of(first)
        self._commit = max(self._commit, first)
        try:
            new = self._new(self.state()._replace(entries=kept, base=base))
        except UnwritableError as error:
            if not error.no_room:
                self._broken = True
                raise
            logger.error("%s is not shortened and goes on as it is: %s", self._path, error)
            return
        self._exchange(new, kept, base)

    def reset(self, index: int, term: int, config: Config, keep_after: bool) -> None:
        """A snapshot of ``index`` takes the place of everything up to it, in one durable step: the log begins there.

        ``config`` is the configuration as of ``index``. Entries after it stay if ``keep_after``, and only if entry
        ``index`` is in the log and of ``term``; else they are of another history. Term and vote stay; a term below
        ``term`` is raised. Raises UnwritableError; when that came before the new file got its name, the log goes on as
        it was.
        """
        self._check_whole()
        kept = [placeholder(index, term)]
        if self.contains(index, term):
            kept = self._entries[index - self.first_index :] if keep_after else [self.entry(index)]
        if kept[-1].idx < self._commit:
            raise InconsistentError(
                f"a snapshot of entry {index} (term {term}) is of another history than {self._path}, of which "
                f"{self._commit} entries are committed: one of the two members has lost its log"
            )
        number, vote = (self._term, self._vote) if self._term >= term else (term, None)
        commit = max(index, self._commit)
        new = self._new(State(kept, number, vote, config, self._owner, commit))
        self._term, self._vote, self._commit = number, vote, commit
        self._exchange(new, kept, config)

    def _exchange(self, new: NewLog, kept: list[Entry], base: Config) -> None:
        """Go on in another file, which holds all that was noted as well."""
        self._broken = True
        new.publish()
        os.close(self._fd)
        self._fd, self._durable, self._entries = new.fd, new.size, kept
        self._seal, self._outdated = new.seal, False
        self._configs = ConfigTrail(base, kept)
        self._commit_written = self._commit
        self._buffer.clear()
        self._durable_index = self.last_index
        self._broken = False

    def close(self) -> None:
        """Give the file back. What was noted and not flushed is dropped, but for the commit index."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if not self._broken and not self._buffer and not self._outdated:
                self._put_commit()
                with suppress(OSError):
                    self._disk.write(fd, self._encoded())
        finally:
            os.close(fd)

    # The library's names from here on.

    def add(self, command: bytes, idx: int, term: int) -> None:
        config = parse_config(command[1:]) if is_members(command) else None
        self._entries.append(Entry(command, idx, term))
        self._put(ENTRY, idx, term, command)
        if config is not None:
            self._configs.add(idx, config)

    def clear(self) -> None:
        raise RuntimeError("the log is never cleared: entries go by compaction or by truncation")

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803
        if entryFrom < 1:
            raise ValueError(f"{self._path}: the first entry that is kept cannot be voided")
        if entryFrom < len(self._entries):
            index = self._entries[entryFrom].idx
            if index <= self._commit:
                raise InconsistentError(f"{self._path}: entry {index} is committed and cannot be voided")
            self._put(TRUNCATE, index, 0)
            del self._entries[entryFrom:]
            self._durable_index = min(self._durable_index, self.last_index)
            self._configs.cut(self.last_index)

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        self.compact(self.first_index + entryTo)

    def __getitem__(self, item: int | slice) -> Any:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self.close()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        self._commit = max(self._commit, min(raftCommitIndex, self.last_index))

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        return self._commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        self._term, self._vote = term, votedForNodeId
        self._put(HARD_STATE, term, 0, (votedForNodeId or "").encode())

    def getCurrentTerm(self) -> int:  # noqa: N802
        return self._term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802
        return self._vote
