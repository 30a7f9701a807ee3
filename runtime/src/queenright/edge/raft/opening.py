# SPDX-License-Identifier: Apache-2.0
"""Opens what lies in a member's directory: the log and the snapshot, checked against each other.

An installation of another member's snapshot that a crash interrupted is completed here.
"""

from __future__ import annotations

from pathlib import Path

from .checks import check_fit, check_owner
from .disk import Disk
from .errors import InconsistentError
from .incoming import INSTALL_NAME
from .install import LOG_NAME, SNAPSHOT_NAME, complete_install
from .members import Config
from .ports import Sealer
from .snapshot import Snapshot, open_snapshot
from .wal import Wal
from .wal_reader import create_wal, open_wal

__all__ = ["INSTALL_NAME", "LOCK_NAME", "LOG_NAME", "SNAPSHOT_NAME", "open_files"]

LOCK_NAME = "lock"


def open_files(
    disk: Disk, directory: Path, member_id: str, founding: Config | None = None, sealer: Sealer | None = None
) -> tuple[Wal, Snapshot | None]:
    """The log, made with the members of ``founding`` where there is none yet, and the snapshot if there is one.

    What is written is sealed by ``sealer``, if there is one, and so may be what is read. Without ``founding`` a log
    that is not there is an error. Raises FormatError or OSError. The caller holds the directory's lock.
    """
    snapshot = open_snapshot(directory / SNAPSHOT_NAME, sealer)
    path = directory / LOG_NAME
    if not path.exists():
        for other in (directory / SNAPSHOT_NAME, directory / INSTALL_NAME):
            if other.exists():
                raise InconsistentError(f"{other} is there, but {path} is missing: restore both from a backup")
        if founding is None:
            raise InconsistentError(f"{path} is missing: there is nothing in {directory} to go on from")
        return create_wal(disk, path, founding, member_id, sealer), None
    wal = open_wal(disk, path, sealer)
    try:
        check_owner(directory, wal, member_id)
        snapshot = complete_install(disk, directory, wal, snapshot, sealer)
        check_fit(path, wal, snapshot)
    except BaseException:
        wal.close()
        raise
    return wal, snapshot
