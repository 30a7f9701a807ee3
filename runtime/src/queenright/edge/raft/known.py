# SPDX-License-Identifier: Apache-2.0
"""What a RaftLog knows of itself and its group, for everybody who asks."""

from __future__ import annotations

from .applier import Applier
from .members import Member
from .reception import Reception
from .replica import Status
from .snapshotter import Snapshotter


class Known:
    """The questions to a log; its parts are made by ``RaftLog``, and nothing is changed here."""

    reception: Reception
    _status: Status
    _applier: Applier
    _snapshotter: Snapshotter
    _error: BaseException | None
    _running: bool

    @property
    def is_leader(self) -> bool:
        """Whether this member leads and holds all that earlier leaders committed."""
        status = self._status
        return self._running and status.is_leader and self._applier.no_op_term == status.term

    @property
    def term(self) -> int:
        """The current term of the group."""
        return self._status.term

    @property
    def leader_id(self) -> str | None:
        """Who leads, if that was heard of within the election timeout."""
        return self._status.leader_id

    @property
    def has_quorum(self) -> bool:
        """Whether this member leads a majority, or hears from one that does and is not behind it."""
        return self.reception.has_quorum

    @property
    def answering(self) -> frozenset[str]:
        """As the leader: the other members that answered within the election timeout."""
        return self._status.answering

    @property
    def applied_index(self) -> int:
        """Index of the last entry that the state machine took."""
        return self._applier.index

    @property
    def last_index(self) -> int:
        """Index of the newest entry of the log, as last heard from the raft thread."""
        return self._status.last_index

    @property
    def failure(self) -> str | None:
        """Why the log has failed for good, or None."""
        return None if self._error is None else f"{type(self._error).__name__}: {self._error}"

    @property
    def snapshot_failure(self) -> str | None:
        """Why the last snapshot could not be written, or None. The log goes on meanwhile."""
        return self._snapshotter.failure

    def members(self) -> tuple[Member, ...]:
        """The members of the group, sorted by id."""
        return self._status.config.members
