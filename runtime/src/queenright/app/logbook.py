# SPDX-License-Identifier: Apache-2.0
"""The log as the manager knows it: what ``edge/raft`` raises becomes refusals that a caller can act on."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from queenright.edge.raft import (
    CommandTooLargeError,
    DiscardedError,
    FailedError,
    NotLeaderError,
    QueueFullError,
    RaftError,
    RaftLog,
    StoppedError,
)
from queenright.model.errors import OutcomeUnknown, Refusal, TooLarge, Unavailable

T = TypeVar("T")


class Logbook:
    """Fulfils ``manager.ports.Log`` over a RaftLog."""

    def __init__(self, log: RaftLog) -> None:
        self._log = log

    async def start(self) -> None:
        await _refusing(self._log.start(), begun=False)

    async def propose(self, command: bytes) -> object:
        return await _refusing(self._log.propose(command), begun=self._log.is_leader)

    async def barrier(self) -> int:
        return await _refusing(self._log.barrier(), begun=False)

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


async def _refusing(call: Awaitable[T], *, begun: bool) -> T:
    """``begun``: the log was running, so that a failure leaves open whether the command is in it."""
    try:
        return await call
    except (FailedError, StoppedError) as error:
        raise _ended(error, begun) from error
    except CommandTooLargeError as error:
        raise TooLarge(f"too much for one write: {error}") from error
    except (NotLeaderError, DiscardedError) as error:
        raise Unavailable("this manager is not the leader of the swarm") from error
    except QueueFullError as error:
        raise Unavailable(f"too many writes at once: {error}; try again") from error


def _ended(error: RaftError, begun: bool) -> Refusal:
    if begun:
        return OutcomeUnknown(f"{error}; whether this write is kept is seen after a restart")
    return Unavailable(f"{error}; nothing was written", plain=True)
