# SPDX-License-Identifier: Apache-2.0
"""From changes to the log and from the log to the store: the two ends of every write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from queenright.manager import texts
from queenright.manager.conflict import ConflictError
from queenright.manager.machine import StoreMachine
from queenright.manager.ports import Clock, Consensus, Log
from queenright.model import features
from queenright.model.changes import Batch, Change, Conflict
from queenright.model.errors import FailedPrecondition, OutcomeUnknown, Unavailable
from queenright.wire import codec

ANSWER = 25.0  # seconds for which an answer of the log is waited for

__all__ = ["ConflictError", "FencedProposer", "LogProposer", "StoreMachine"]


class LogProposer:
    """The ``Proposer`` over a log. Stamps each batch with this manager's clock.

    ``consensus`` says whether another manager leads; ``level`` gives the swarm's feature level: changes that need more
    are refused until all managers are upgraded.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        consensus: Consensus | None = None,
        *,
        level: Callable[[], int] = lambda: features.LEVEL,
    ) -> None:
        self._log = log
        self._clock = clock
        self._consensus = consensus
        self._level = level

    @property
    def is_leader(self) -> bool:
        return self._log.is_leader

    @property
    def term(self) -> int:
        return self._log.term

    async def propose(self, changes: Sequence[Change]) -> int:
        """Write all of it or nothing; gives an index that the store has reached."""
        return await self.propose_in(None, changes)

    async def barrier(self) -> int:
        """Return when the store holds all that was acknowledged before. Raises Unavailable on whoever does not lead."""
        if not self._log.is_leader:
            raise self._refusal()
        try:
            async with asyncio.timeout(ANSWER):
                return await self._log.barrier()
        except TimeoutError:
            raise Unavailable(f"the log did not answer within {ANSWER:.0f} s: is the disk slow?") from None

    def fenced(self, term: int) -> FencedProposer:
        """A proposer for one leadership: once the term has passed, nothing that it is given gets into the log."""
        return FencedProposer(self, term)

    async def propose_in(self, term: int | None, changes: Sequence[Change]) -> int:
        """Write, but only while this manager leads in ``term`` (None: in any)."""
        if not changes:
            return self._log.applied_index
        if not self._log.is_leader or term not in (None, self._log.term):
            raise self._refusal()
        self._check_level(changes)
        batch = Batch(at=self._clock.wall(), changes=tuple(changes))
        try:
            async with asyncio.timeout(ANSWER):
                conflict = await self._log.propose(codec.encode_batch(batch), term=term)
        except TimeoutError:
            raise OutcomeUnknown(
                f"the log did not answer within {ANSWER:.0f} s; whether this write is kept is seen by reading it again"
            ) from None
        if isinstance(conflict, Conflict):
            raise ConflictError(conflict)
        return self._log.applied_index

    def _check_level(self, changes: Sequence[Change]) -> None:
        needed, level = features.needed(changes), self._level()
        if needed > level:
            raise FailedPrecondition(
                f"this needs feature level {needed}, the swarm's managers are at {level}: upgrade queenright on all "
                "managers"
            )

    def _refusal(self) -> Unavailable:
        if self._consensus is None:
            return Unavailable(texts.NOT_LEADER)
        return texts.no_leader(self._consensus.leader_id)


class FencedProposer:
    """The ``Proposer`` of those who act for one leadership."""

    def __init__(self, proposer: LogProposer, term: int) -> None:
        self._proposer = proposer
        self._term = term

    @property
    def is_leader(self) -> bool:
        return self._proposer.is_leader and self._proposer.term == self._term

    async def propose(self, changes: Sequence[Change]) -> int:
        return await self._proposer.propose_in(self._term, changes)

    async def barrier(self) -> int:
        return await self._proposer.barrier()
