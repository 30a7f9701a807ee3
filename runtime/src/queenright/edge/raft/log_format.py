# SPDX-License-Identifier: Apache-2.0
"""What stands in a log file, and how a whole one is written in one durable step.

A file begins with the owner, the configuration as of its first entry, term and vote, and the entries; later records are
appended. The first release wrote version 1: no owner, no entries of type MEMBERS, and the configuration as a bare list.
Version 2 has a frame for each record, in clear. In version 3 all records are sealed, see ``sealing.py``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from queenright.lib.atomic import create_private
from queenright.wire.raft import Entry

from .disk import Disk
from .errors import naming
from .frames import FILE_HEADER_SIZE, encode_file_header, encode_frame
from .members import Config, encode_config
from .ports import Seal, Sealer
from .sealing import Record, encode_blocks, encode_label, new_seal

LOG_MAGIC = b"QRAFTLOG"
LOG_VERSION = 3
CLEAR_VERSION = 2
"""What is written where there is no sealer."""
PURPOSE = "log"

ENTRY = 1
"""a = index, b = term, body = type byte and command."""
TRUNCATE = 2
"""a = index: this entry and all later ones are void."""
HARD_STATE = 3
"""a = term, body = id of the member voted for in it, or nothing."""
MEMBERS = 4
"""body = JSON of the configuration as of the first entry."""
OWNER = 5
"""body = id of the member whose log this is."""
COMMIT = 6
"""a = index: entries up to this one are committed. A hint, it may trail."""

REGULAR = 0
NO_OP = 1
MEMBERS_ENTRY = 2
"""Type bytes of entries; what follows is a command, nothing, or the configuration from this entry on."""

FIRST = Entry(bytes([NO_OP]), 1, 0)
"""The entry with which every member's log begins."""


class State(NamedTuple):
    """What a log file says. ``base`` is the configuration as of the first entry, ``owner`` the id of the member (empty
    if unknown), ``commit`` an index up to which entries are known to be committed, ``durable`` the file's length."""

    entries: list[Entry]
    term: int
    vote: str | None
    base: Config
    owner: str = ""
    commit: int = 0
    durable: int = 0


def placeholder(index: int, term: int) -> Entry:
    """Stands for an entry of which a snapshot holds the effect, so that its index and term are known."""
    return Entry(bytes([NO_OP]), index, term)


def is_members(command: bytes) -> bool:
    """Whether the entry with this command changes the configuration."""
    return command[0] == MEMBERS_ENTRY


def encode_log(state: State, seal: Seal | None = None) -> bytes:
    """A whole log file, sealed if there is a seal."""
    records: list[Record] = [
        (OWNER, 0, 0, state.owner.encode()),
        (MEMBERS, 0, 0, encode_config(state.base)),
        (HARD_STATE, state.term, 0, (state.vote or "").encode()),
    ]
    records += [(ENTRY, entry.idx, entry.term, entry.command) for entry in state.entries]
    if state.commit:
        records.append((COMMIT, state.commit, 0, b""))
    label = b"" if seal is None else encode_label(seal, FILE_HEADER_SIZE)
    body = encode_records(records, seal, offset=FILE_HEADER_SIZE + len(label), durable=0)
    size = FILE_HEADER_SIZE + len(label) + len(body)
    version = CLEAR_VERSION if seal is None else LOG_VERSION
    return b"".join((encode_file_header(LOG_MAGIC, version, size), label, body))


def encode_records(records: Sequence[Record], seal: Seal | None, *, offset: int, durable: int) -> bytes:
    """Records that will lie at ``offset`` of a file of which ``durable`` bytes are flushed."""
    if seal is not None:
        return encode_blocks(seal, records, offset=offset, durable=durable)
    frames: list[bytes] = []
    for kind, a, b, body in records:
        frames.append(encode_frame(kind, a, b, body, offset=offset, durable=durable))
        offset += len(frames[-1])
    return b"".join(frames)


class NewLog:
    """A whole log file that is on disk, but not under its name yet: until ``publish``, the old one stands."""

    def __init__(self, disk: Disk, path: Path, state: State, sealer: Sealer | None = None) -> None:
        """Raises UnwritableError or SealError; then nothing is left of it."""
        self._disk = disk
        self._path = path
        self._temporary = path.with_name(path.name + ".new")
        with naming(self._temporary):
            self.seal = None if sealer is None else new_seal(path, sealer, PURPOSE)
            data = encode_log(state, self.seal)
            self.size = len(data)
            self.fd = create_private(self._temporary)
            try:
                disk.write(self.fd, data)
                disk.sync(self.fd)
            except BaseException:
                self.drop()
                raise

    def publish(self) -> None:
        """Give it its name, durably. After an UnwritableError it is not known which of the two has the name."""
        with naming(self._path):
            try:
                self._disk.publish(self._temporary, self._path)
            except BaseException:
                self.drop()
                raise

    def drop(self) -> None:
        """Close and remove it."""
        os.close(self.fd)
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def write_log(disk: Disk, path: Path, state: State, sealer: Sealer | None = None) -> NewLog:
    """Write a whole new log file to ``path`` in one durable step; its descriptor is open."""
    new = NewLog(disk, path, state, sealer)
    new.publish()
    return new
