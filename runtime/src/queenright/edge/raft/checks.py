# SPDX-License-Identifier: Apache-2.0
"""Whether the files found at start belong together and to this member. A doubt is refused, never guessed away."""

from __future__ import annotations

from pathlib import Path

from .errors import InconsistentError
from .snapshot import Snapshot
from .wal import Wal


def check_fit(path: Path, wal: Wal, snapshot: Snapshot | None) -> None:
    """Raise InconsistentError unless snapshot and log together hold every entry without a gap."""
    base = snapshot.index if snapshot else 1
    if wal.first_index > base:
        missing = f"{snapshot.path} ends at entry {base}" if snapshot else "there is no snapshot"
        raise InconsistentError(f"{path} begins at entry {wal.first_index}, but {missing}: restore both from a backup")
    if snapshot is None:
        return
    if wal.last_index < base:
        raise InconsistentError(
            f"{path} ends at entry {wal.last_index}, before {snapshot.path} (entry {base}): the log was replaced by an "
            "older one. Restore both from the same backup"
        )
    if wal.term_of(base) != snapshot.term:
        raise InconsistentError(
            f"{path} has entry {base} of term {wal.term_of(base)}, {snapshot.path} of term {snapshot.term}: "
            "they are of different histories. Restore both from the same backup"
        )


def check_owner(directory: Path, wal: Wal, member_id: str) -> None:
    """Raise InconsistentError when the log is that of another member than ``member_id``."""
    if wal.owner and wal.owner != member_id:
        raise InconsistentError(
            f"{directory} belongs to raft member {wal.owner}, not to {member_id}: "
            "use the state directory that was made for this node"
        )
