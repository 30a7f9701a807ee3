# SPDX-License-Identifier: Apache-2.0
"""Messages of the consensus group: frozen values, and what they look like as protobuf.

Terms, indexes and counts are non-negative integers. A command begins with its type byte (``edge/raft``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Entry(NamedTuple):
    """One log entry, in the order in which the core unpacks it."""

    command: bytes
    idx: int
    term: int


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """From the leader: entries that follow entry ``previous_index`` of ``previous_term``, or none as a heartbeat.

    ``context`` numbers a round in which the leader asks whether it still leads; the answer repeats it.
    """

    term: int
    commit_index: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...] = ()
    context: int = 0


@dataclass(frozen=True, slots=True)
class AppendAnswer:
    """``success``: everything below ``next_index`` is equal to the leader's and durable here. Else the leader is to go
    on from ``next_index``."""

    term: int
    success: bool
    next_index: int
    context: int = 0


@dataclass(frozen=True, slots=True)
class RequestVote:
    """``pre``: would you vote for me? ``transfer``: the leader itself asked for this election."""

    term: int
    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


@dataclass(frozen=True, slots=True)
class VoteAnswer:
    """``term`` is that of the question when granted, else the answerer's own."""

    term: int
    granted: bool
    pre: bool = False


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """From the leader to the member that is to lead next: begin an election at once."""

    term: int


Message = AppendEntries | AppendAnswer | RequestVote | VoteAnswer | TimeoutNow


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one member sends another at once. ``epoch`` is the cluster's, raised when a new cluster is forced;
    ``level`` the sender's feature level."""

    epoch: int
    level: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What comes before the bytes of a snapshot file: the leader's epoch and term, what the file holds, its size."""

    epoch: int
    term: int
    index: int
    snapshot_term: int
    size: int
