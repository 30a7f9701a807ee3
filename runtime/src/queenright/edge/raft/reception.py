# SPDX-License-Identifier: Apache-2.0
"""What other members send to this one, on the event loop: who may, and where it goes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping

from queenright.wire.raft import Envelope, SnapshotHead

from .engine import FEATURE_LEVEL, Engine
from .membership import Membership
from .replica import Status
from .shipping import Shipping

logger = logging.getLogger(__name__)


class Reception:
    """One per log. ``status`` gives what is known of the group, ``applied`` the index of the last entry that the state
    machine took, ``check_running`` raises when the log does not run."""

    def __init__(
        self,
        member_id: str,
        engine: Engine,
        membership: Membership,
        shipping: Shipping,
        *,
        running: Callable[[], bool],
        status: Callable[[], Status],
        applied: Callable[[], int],
        check_running: Callable[[], None],
    ) -> None:
        self._member_id = member_id
        self._engine = engine
        self._membership = membership
        self._shipping = shipping
        self._running = running
        self._status = status
        self._applied = applied
        self._check_running = check_running
        self._levels: dict[str, int] = {}
        self._left_behind = False

    @property
    def epoch(self) -> int:
        """How often a new cluster was forced."""
        return self._status().config.epoch

    @property
    def has_quorum(self) -> bool:
        """Whether this member leads a majority, or hears from one that does and is not behind it."""
        status = self._status()
        if not self._running() or status.leader_id is None:
            return False
        return status.is_leader or not self._engine.behind(self._applied())

    def levels(self) -> Mapping[str, int]:
        """The feature level of each member that was heard of since the start, this one's included."""
        members = self._status().config.members
        known = {member.id: self._levels[member.id] for member in members if member.id in self._levels}
        return {**known, self._member_id: FEATURE_LEVEL}

    def refusal(self, sender_id: str, epoch: int) -> str | None:
        """Why nothing of this sender must come in, or None if it may. It is authenticated as a manager already."""
        if not self._running():
            return "this manager is stopping"
        return self._membership.refusal(sender_id, epoch)

    def receive(self, sender_id: str, envelope: Envelope) -> None:
        """Messages of a sender that is not refused."""
        if self._running():
            self._levels[sender_id] = envelope.level
            self._engine.receive(sender_id, envelope.messages)

    def met_epoch(self, member_id: str, epoch: int) -> None:
        """A member that refuses this one is of ``epoch``. If that is later, a new cluster was forced without this
        member, which then leads and votes no more."""
        known = self._status().config.get(member_id) is not None
        if self._running() and known and epoch > self.epoch and not self._left_behind:
            self._left_behind = True
            logger.error(
                "manager %s is of epoch %d of this swarm, this one of epoch %d: a new cluster was forced meanwhile, "
                "and this manager is no part of it. Let it leave with force and join again",
                member_id,
                epoch,
                self.epoch,
            )
            self._engine.leave_behind()

    async def receive_snapshot(self, sender_id: str, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> None:
        """A snapshot file of a sender that is not refused, in pieces. Returns when it took the place of the log here.

        Raises RaftError or OSError; then nothing has changed.
        """
        self._check_running()
        if head.index > self._status().commit_index:
            await self._shipping.receive(sender_id, head, chunks)
