# SPDX-License-Identifier: Apache-2.0
"""Reads the write-ahead log at start: cuts a torn tail, refuses anything else that is not whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from queenright.wire.raft import Entry

from .disk import Disk
from .errors import DamagedError
from .frames import BadFrame, Frame, check_file_header, is_torn, scan
from .log_format import (
    CLEAR_VERSION,
    COMMIT,
    ENTRY,
    FIRST,
    HARD_STATE,
    LOG_MAGIC,
    LOG_VERSION,
    MEMBERS,
    MEMBERS_ENTRY,
    NO_OP,
    OWNER,
    PURPOSE,
    REGULAR,
    TRUNCATE,
    State,
    write_log,
)
from .members import Config, decode_config
from .ports import Seal, Sealer
from .sealing import Opening
from .wal import Wal

logger = logging.getLogger(__name__)

_TYPES = tuple(bytes([kind]) for kind in (REGULAR, NO_OP, MEMBERS_ENTRY))


def create_wal(disk: Disk, path: Path, config: Config, owner: str = "", sealer: Sealer | None = None) -> Wal:
    """Begin a log: that of a founder, whose ``config`` has itself as the only member, or that of a joiner, whose
    ``config`` is empty. ``owner`` is the member's id; where it is not given, that of the only member."""
    if not owner and len(config.members) == 1:
        owner = config.members[0].id
    state = State([FIRST], 0, None, config, owner)
    new = write_log(disk, path, state, sealer)
    return Wal(disk, path, new.fd, state._replace(durable=new.size), seal=new.seal, sealer=sealer)


def open_wal(disk: Disk, path: Path, sealer: Sealer | None = None) -> Wal:
    """The log at ``path``, everything in it durable. Raises DamagedError, NewerFormatError, SealError or OSError.

    One that is in clear though there is a sealer is written anew, sealed, with the first record that is added.
    """
    path.with_name(path.name + ".new").unlink(missing_ok=True)
    data = path.read_bytes()
    version, state, seal = _read(path, data, sealer)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if state.durable < len(data):
            logger.warning(
                "%s: cut a torn tail of %d bytes at byte %d, left by a crash in the middle of a write that was "
                "never acknowledged",
                path, len(data) - state.durable, state.durable,
            )  # fmt: skip
            os.ftruncate(fd, state.durable)
        # A process that was killed may have left whole records in the page cache only.
        disk.sync(fd)
    except BaseException:
        os.close(fd)
        raise
    outdated = version < (CLEAR_VERSION if sealer is None else LOG_VERSION)
    return Wal(disk, path, fd, state, seal=seal, sealer=sealer, outdated=outdated)


def _read(path: Path, data: bytes, sealer: Sealer | None) -> tuple[int, State, Seal | None]:
    """Version, content and seal of the file."""
    version, published = check_file_header(path, data, LOG_MAGIC, LOG_VERSION)
    opening = Opening(path, sealer, PURPOSE, sealed=version > CLEAR_VERSION)
    replay = _Replay(path)
    end = len(data)
    try:
        for frame in scan(data):
            for record in opening.records(frame):
                replay.take(record)
    except BadFrame as bad:
        if not is_torn(data, bad, published):
            raise DamagedError(path, bad.offset, bad.what)
        end = bad.offset
    if end < published:
        raise DamagedError(path, end, f"the file ends here, though {published} bytes had been written")
    if not replay.entries or replay.base is None:
        raise DamagedError(path, end, f"there is no {'list of members' if replay.entries else 'entry'} in it")
    owner = replay.owner
    if version == 1 and len(replay.base.members) == 1:  # it knew groups of one only, and did not name the owner
        owner = replay.base.members[0].id
    state = State(replay.entries, replay.term, replay.vote, replay.base, owner, replay.commit, end)
    return version, state, opening.seal


class _Replay:
    """Follows the records of a log and holds them to the order in which a log is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Entry] = []
        self.term = 0
        self.vote: str | None = None
        self.base: Config | None = None
        self.owner = ""
        self.commit = 0

    def take(self, frame: Frame) -> None:
        head = frame.head
        if head.kind == ENTRY:
            self._entry(frame)
        elif head.kind == TRUNCATE:
            self._truncate(frame)
        elif head.kind == HARD_STATE:
            if head.a < self.term:
                raise self._damaged(frame, f"term {head.a} follows term {self.term}")
            self.term, self.vote = head.a, frame.body.decode("utf-8", "replace") or None
        elif head.kind == COMMIT:
            if not self.entries or not self.commit <= head.a <= self.entries[-1].idx:
                raise self._damaged(frame, f"entry {head.a} is said to be committed after entry {self.commit} was")
            self.commit = head.a
        elif head.kind in (MEMBERS, OWNER):
            if self.entries:
                raise self._damaged(frame, f"a record of kind {head.kind} follows an entry")
            if head.kind == MEMBERS:
                self.base = decode_config(frame.body, self._path, head.offset)
            else:
                self.owner = frame.body.decode("utf-8", "replace")
        else:
            raise self._damaged(frame, f"unknown kind of record {head.kind}")

    def _entry(self, frame: Frame) -> None:
        index, term = frame.head.a, frame.head.b
        if self.entries and index != self.entries[-1].idx + 1:
            raise self._damaged(frame, f"entry {index} follows entry {self.entries[-1].idx}")
        if self.entries and term < self.entries[-1].term:
            raise self._damaged(frame, f"an entry of term {term} follows one of term {self.entries[-1].term}")
        if term > self.term:
            raise self._damaged(frame, f"an entry of term {term} stands in the log of term {self.term}")
        if frame.body[:1] not in _TYPES:
            raise self._damaged(frame, f"entry {index} is of an unknown type")
        if frame.body[0] == MEMBERS_ENTRY:
            decode_config(frame.body[1:], self._path, frame.head.offset)
        self.entries.append(Entry(frame.body, index, term))

    def _truncate(self, frame: Frame) -> None:
        index = frame.head.a
        if not self.entries or not self.entries[0].idx < index <= self.entries[-1].idx:
            raise self._damaged(frame, f"a mark voids entry {index}, which is not there")
        if index <= self.commit:
            raise self._damaged(frame, f"a mark voids entry {index}, though {self.commit} are committed")
        del self.entries[index - self.entries[0].idx :]

    def _damaged(self, frame: Frame, what: str) -> DamagedError:
        return DamagedError(self._path, frame.head.offset, what)
