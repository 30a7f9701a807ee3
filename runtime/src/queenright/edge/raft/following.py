# SPDX-License-Identifier: Apache-2.0
"""A follower's log: takes what the leader sends, cuts only what differs, never what is committed."""

from __future__ import annotations

from dataclasses import dataclass

from queenright.wire.raft import AppendEntries

from .errors import InconsistentError
from .wal import Wal


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message. ``success``: everything below ``next_index`` is equal to the leader's; else the leader
    is to go on from ``next_index``. ``cut``: the first entry that was thrown away, 0 for none."""

    success: bool
    next_index: int
    cut: int = 0


def append(wal: Wal, message: AppendEntries, commit_index: int) -> Taken:
    """Bring ``wal`` in line with the entries of ``message``; nothing is flushed yet.

    Raises InconsistentError when a committed entry would have to go: then one of the two members has lost its log.
    """
    last_sent = message.previous_index + len(message.entries)
    if message.previous_index < wal.first_index:
        # Everything up to our first entry is committed, so it is the leader's as well.
        if last_sent <= wal.first_index:
            return Taken(True, wal.first_index + 1)
        entries = message.entries[wal.first_index - message.previous_index :]
    else:
        if message.previous_index > wal.last_index:
            return Taken(False, wal.last_index + 1)
        if wal.term_of(message.previous_index) != message.previous_term:
            return Taken(False, _first_of_term(wal, message.previous_index, commit_index))
        entries = message.entries
    cut = 0
    for number, entry in enumerate(entries):
        if entry.idx <= wal.last_index:
            if wal.term_of(entry.idx) == entry.term:
                continue
            if entry.idx <= commit_index:
                raise InconsistentError(
                    f"the leader of term {message.term} sends another entry {entry.idx} than the committed one here: "
                    "one of the two has lost its log. Leave with force and join again on the one that was restored"
                )
            cut = entry.idx
            wal.deleteEntriesFrom(entry.idx - wal.first_index)
        for new in entries[number:]:
            wal.add(new.command, new.idx, new.term)
        break
    return Taken(True, last_sent + 1, cut)


def _first_of_term(wal: Wal, index: int, commit_index: int) -> int:
    """The first entry of the term of entry ``index``: all entries of a term that differs can be passed over at once."""
    term = wal.term_of(index)
    floor = max(commit_index + 1, wal.first_index + 1)
    while index > floor and wal.term_of(index - 1) == term:
        index -= 1
    return max(index, floor)
