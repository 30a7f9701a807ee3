# SPDX-License-Identifier: Apache-2.0
"""Takes a snapshot of another member in the place of the own log and snapshot.

Steps, each durable before the next one begins:

1. The file comes in as ``snapshot.part`` and is read whole; when it is good, it is renamed to ``snapshot.install``
   (``incoming.py``).
2. The log is exchanged for one that begins at the snapshot's entry (``Wal.reset``).
3. ``snapshot.install`` is renamed over ``snapshot``.

A crash before the end of step 1 changes nothing. After it, the next start goes on with the step that is missing
(``complete_install``): the log fits the old snapshot or the new one at every moment.
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import suppress
from pathlib import Path

from .checks import check_fit
from .disk import Disk
from .errors import DamagedError, InconsistentError, InstallError, UnwritableError, naming
from .incoming import INSTALL_NAME, PART_NAME
from .ports import Sealer
from .snapshot import Snapshot, open_snapshot, peek_index
from .wal import Wal

logger = logging.getLogger(__name__)

LOG_NAME = "log"
SNAPSHOT_NAME = "snapshot"


def finish_install(disk: Disk, directory: Path, wal: Wal, staged: Snapshot) -> Snapshot:
    """Steps 2 and 3, in the raft thread; gives the snapshot in its place. ``staged`` is what ``receive_file`` gave.

    Raises InstallError when it is not taken, and all is as it was before: the own snapshot is newer, or the log could
    not be written. Any other error is for good; the next start completes the steps. Afterwards the log begins at
    ``staged.index``, its configuration may be another one, and its term may have risen to ``staged.term``.
    """
    target = directory / SNAPSHOT_NAME
    if peek_index(target) >= staged.index:
        drop_install(disk, directory)
        raise InstallError(f"the snapshot of entry {staged.index} is not newer than the one that is here")
    if wal.first_index != staged.index or not wal.contains(staged.index, staged.term):
        try:
            wal.reset(staged.index, staged.term, staged.config, keep_after=True)
        except UnwritableError as error:
            if wal.broken:
                raise
            drop_install(disk, directory)
            raise InstallError(f"the snapshot of entry {staged.index} is not installed: {error}") from error
    with naming(target):
        disk.publish(staged.path, target)
    return dataclasses.replace(staged, path=target)


def drop_install(disk: Disk, directory: Path) -> None:
    """Give up a snapshot that waits for its installation, while log and own snapshot still fit each other."""
    with suppress(OSError):
        disk.remove(directory / INSTALL_NAME)


def complete_install(
    disk: Disk, directory: Path, wal: Wal, snapshot: Snapshot | None, sealer: Sealer | None = None
) -> Snapshot | None:
    """At start: go on where a crash interrupted an installation; gives the snapshot that counts.

    A file that is damaged, or not newer than ``snapshot``, is removed, unless the log begins with it already: then it
    is needed, and DamagedError is raised. Also raises NewerFormatError, InconsistentError, OSError.
    """
    (directory / PART_NAME).unlink(missing_ok=True)
    path = directory / INSTALL_NAME
    try:
        staged = open_snapshot(path, sealer)
    except DamagedError as error:
        try:
            check_fit(wal.path, wal, snapshot)
        except InconsistentError:
            raise error from None
        logger.warning("%s; it was not in use yet and is removed: the leader will send another one", error)
        disk.remove(path)
        return snapshot
    if staged is None:
        return snapshot
    if snapshot is not None and staged.index <= snapshot.index:
        disk.remove(path)
        return snapshot
    if not wal.contains(staged.index, staged.term) or wal.first_index != staged.index:
        check_fit(wal.path, wal, snapshot)
    try:
        installed = finish_install(disk, directory, wal, staged)
    except InstallError as error:
        logger.error("%s; going on without it until the leader sends another one", error)
        return snapshot
    logger.info("the snapshot of entry %d, whose installation was interrupted, is installed", installed.index)
    return installed
