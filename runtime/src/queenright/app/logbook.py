# SPDX-License-Identifier: Apache-2.0
"""The log and its group as the manager knows them: what ``edge/raft`` raises becomes refusals a caller can act on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from queenright.edge.raft import (
    CommandTooLargeError,
    DiscardedError,
    FailedError,
    Member,
    NotLeaderError,
    QueueFullError,
    RaftError,
    RaftLog,
    StoppedError,
    UnknownOutcomeError,
)
from queenright.manager import texts
from queenright.model.errors import FailedPrecondition, OutcomeUnknown, Refusal, TooLarge, Unavailable

T = TypeVar("T")


class Logbook:
    """Fulfils ``manager.ports.Log`` and ``manager.ports.Consensus`` over a RaftLog and the ways to its members."""

    def __init__(self, log: RaftLog, node_id: str, connected: Callable[[str], bool]) -> None:
        self._log = log
        self._node_id = node_id
        self._connected = connected

    # -- the log

    async def start(self) -> None:
        await self._refusing(self._log.start(), begun=False)

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        return await self._refusing(self._log.propose(command, term=term), begun=self._log.is_leader)

    async def barrier(self) -> int:
        return await self._refusing(self._log.barrier(), begun=False)

    async def stop(self) -> None:
        await self._log.stop()

    @property
    def is_leader(self) -> bool:
        return self._log.is_leader

    @property
    def term(self) -> int:
        return self._log.term

    @property
    def applied_index(self) -> int:
        return self._log.applied_index

    @property
    def failure(self) -> str | None:
        return self._log.failure

    # -- the group

    @property
    def leader_id(self) -> str | None:
        return self._log.leader_id

    @property
    def has_quorum(self) -> bool:
        return self._log.has_quorum

    @property
    def epoch(self) -> int:
        return self._log.reception.epoch

    def members(self) -> Sequence[Member]:
        return self._log.members()

    def connected(self, member_id: str) -> bool:
        if member_id == self._node_id:
            return True
        return member_id in self._log.answering if self._log.is_leader else self._connected(member_id)

    def levels(self) -> Mapping[str, int]:
        return self._log.reception.levels()

    async def add_member(self, member_id: str, addr: str) -> None:
        await self._changing(self._log.add_member(member_id, addr))

    async def remove_member(self, member_id: str) -> None:
        await self._changing(self._log.remove_member(member_id))

    async def move_member(self, member_id: str, addr: str) -> None:
        await self._changing(self._log.move_member(member_id, addr))

    async def transfer_leadership(self) -> None:
        await self._changing(self._log.transfer_leadership())

    # -- errors

    async def _changing(self, call: Awaitable[None]) -> None:
        try:
            await call
        except NotLeaderError as error:
            raise texts.no_leader(self._log.leader_id) from error
        except (RaftError, OSError) as error:
            raise FailedPrecondition(str(error), plain=True) from error

    async def _refusing(self, call: Awaitable[T], *, begun: bool) -> T:
        """``begun``: the log was running, so that a failure leaves open whether the command is in it."""
        try:
            return await call
        except (FailedError, StoppedError) as error:
            raise _ended(error, begun) from error
        except CommandTooLargeError as error:
            raise TooLarge(f"too much for one write: {error}") from error
        except (NotLeaderError, DiscardedError) as error:
            raise texts.no_leader(self._log.leader_id) from error
        except UnknownOutcomeError as error:
            raise OutcomeUnknown(f"{error}; whether this write is kept is seen by reading it again") from error
        except QueueFullError as error:
            raise Unavailable(f"too many writes at once: {error}; try again") from error


def _ended(error: RaftError, begun: bool) -> Refusal:
    if begun:
        return OutcomeUnknown(f"{error}; whether this write is kept is seen after a restart")
    return Unavailable(f"{error}; nothing was written", plain=True)
