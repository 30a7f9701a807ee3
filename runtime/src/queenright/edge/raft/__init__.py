# SPDX-License-Identifier: Apache-2.0
"""The replicated log: fulfils the manager's proposer with PySyncObj over an fsynced log of our own.

The only room that may import ``pysyncobj``. May not import another edge: other members are reached by the ``Network``,
what lies on disk is sealed by the ``Sealer`` of ``ports.py``.

``log.py`` is what others use (on the event loop), with ``membership.py`` and ``shipping.py`` for members and snapshots.
``engine.py`` is the raft thread around ``replica.py``, one member step by step: ``core.py`` is the library with its
unsafe parts replaced, ``leader.py``, ``following.py``, ``votes.py`` and ``reads.py`` what takes their place. ``wal.py``
and ``snapshot.py`` are the two files on disk in the format of ``frames.py``, ``sealing.py`` what makes them unreadable
to others, ``install.py`` exchanges both.
"""

from __future__ import annotations

from .applier import StateMachine
from .disk import Disk
from .errors import (
    CommandTooLargeError,
    DamagedError,
    DiscardedError,
    FailedError,
    FormatError,
    InconsistentError,
    LibraryError,
    LockedError,
    MembershipError,
    NewerFormatError,
    NotLeaderError,
    QueueFullError,
    RaftError,
    SealError,
    StoppedError,
    UnknownOutcomeError,
)
from .log import RaftLog
from .members import Member
from .ports import Network, Sealer
from .proposals import MAX_COMMAND

__all__ = [
    "MAX_COMMAND",
    "CommandTooLargeError",
    "DamagedError",
    "DiscardedError",
    "Disk",
    "FailedError",
    "FormatError",
    "InconsistentError",
    "LibraryError",
    "LockedError",
    "Member",
    "MembershipError",
    "Network",
    "NewerFormatError",
    "NotLeaderError",
    "QueueFullError",
    "RaftError",
    "RaftLog",
    "SealError",
    "Sealer",
    "StateMachine",
    "StoppedError",
    "UnknownOutcomeError",
]
