# SPDX-License-Identifier: Apache-2.0
"""Makes one surviving manager the only member of its group, offline, when the majority is lost for good.

All that is in its log stays, what was not committed as well: some of it may have been acknowledged, and nobody is left
to say. The epoch rises, so the members of the old majority are refused when they come back.
"""

from __future__ import annotations

import os
from pathlib import Path

from queenright.lib.atomic import private_directory
from queenright.wire.raft import Entry

from .disk import DirectoryLock, Disk
from .errors import InconsistentError
from .log_format import MEMBERS_ENTRY, State, is_members, write_log
from .members import Config, Member, encode_config
from .opening import LOCK_NAME, LOG_NAME, open_files
from .ports import Sealer
from .wal import Wal

__all__ = ["force_new_cluster"]


def force_new_cluster(
    directory: Path, member_id: str, addr: str, disk: Disk | None = None, *, sealer: Sealer | None
) -> None:
    """Make ``member_id``, reached at ``addr``, the only voter of the group whose log is in ``directory``.

    The log gets one entry more, with the new list of members, in one durable step; repeated before the member was
    started, nothing changes. The daemon must not run. Raises LockedError while it does, InconsistentError when there is
    no log or the member was removed from its group, and what opening raises: DamagedError, NewerFormatError, SealError,
    OSError.
    """
    if not directory.is_dir():
        raise InconsistentError(f"{directory} is not there: this node has no manager's state to go on from")
    private_directory(directory)
    disk = disk or Disk()
    lock = DirectoryLock(directory / LOCK_NAME)
    try:
        wal, _ = open_files(disk, directory, member_id, sealer=sealer)
        try:
            _check(wal, member_id)
            forced = Member(member_id, addr)
            if _is_done(wal, forced):
                return
            alone = _alone(wal, Config.of([forced], wal.config.epoch + 1), member_id)
        finally:
            wal.close()
        os.close(write_log(disk, directory / LOG_NAME, alone, sealer).fd)
    finally:
        lock.release()


def _check(wal: Wal, member_id: str) -> None:
    if not wal.config.members:
        raise InconsistentError(
            f"{wal.path} holds nothing of a group yet: this node had joined and was told nothing. "
            "Force the new cluster on a manager that has the data"
        )
    if wal.config.get(member_id) is None:
        members = ", ".join(member.id for member in wal.config.members)
        raise InconsistentError(
            f"{wal.path}: member {member_id} was removed from its group ({members}). "
            "Force the new cluster on one of those"
        )


def _is_done(wal: Wal, forced: Member) -> bool:
    """Whether the log ends as an earlier call left it, and was not used since."""
    last = wal.entry(wal.last_index)
    return (
        is_members(last.command)
        and wal.config.members == (forced,)
        and wal.config_index == last.idx
        and last.term == wal.getCurrentTerm()
        and wal.getVotedForNodeId() is None
    )


def _alone(wal: Wal, config: Config, owner: str) -> State:
    state = wal.state()
    term = state.term + 1
    entry = Entry(bytes([MEMBERS_ENTRY]) + encode_config(config), wal.last_index + 1, term)
    return state._replace(entries=[*state.entries, entry], term=term, vote=None, owner=owner)
