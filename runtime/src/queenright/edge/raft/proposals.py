# SPDX-License-Identifier: Apache-2.0
"""Proposals under way: how many there may be, and who waits for which. Lives on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pysyncobj import FAIL_REASON

from .errors import CommandTooLargeError, DiscardedError, NotLeaderError, QueueFullError, RaftError

MAX_COMMAND = 3 * 512 * 1024
"""Bytes in one command: 1.5 MiB."""
MAX_PENDING = 10_000
"""Proposals under way."""
MAX_PENDING_BYTES = 64 * 1024 * 1024
"""Bytes of all proposals under way."""


class Proposal:
    """One command under way. The raft thread carries it along and calls it only to say that it came to nothing."""

    __slots__ = ("_refused", "future", "size")

    def __init__(self, future: asyncio.Future[object], size: int, refused: Callable[[Proposal, int], None]) -> None:
        self.future = future
        self.size = size
        self._refused = refused

    def __call__(self, _result: object, reason: int) -> None:
        self._refused(self, reason)


class Proposals:
    """All proposals under way."""

    def __init__(self, post: Callable[..., None]) -> None:
        """``post`` runs a callable with arguments on the loop, from any thread."""
        self._post = post
        self._pending: set[Proposal] = set()
        self._bytes = 0

    def admit(self, size: int) -> Proposal:
        """Take in a command of ``size`` bytes. Raises CommandTooLargeError or QueueFullError."""
        if size > MAX_COMMAND:
            raise CommandTooLargeError(f"a command of {size} bytes is over the limit of {MAX_COMMAND}")
        if len(self._pending) >= MAX_PENDING or self._bytes + size > MAX_PENDING_BYTES:
            raise QueueFullError(f"{len(self._pending)} proposals ({self._bytes} bytes) are under way: try again later")
        proposal = Proposal(asyncio.get_running_loop().create_future(), size, self._refused)
        self._pending.add(proposal)
        self._bytes += size
        return proposal

    def resolve(self, proposal: object, result: object) -> None:
        """The command is durable and applied."""
        assert isinstance(proposal, Proposal)
        if self._forget(proposal):
            proposal.future.set_result(result)

    def fail_all(self, error: RaftError) -> None:
        """None of those under way will be heard of again."""
        for proposal in list(self._pending):
            self._reject(proposal, error)

    async def drain(self, timeout: float) -> None:
        """Wait until none is under way, or for ``timeout`` seconds."""
        if self._pending:
            await asyncio.wait([proposal.future for proposal in self._pending], timeout=timeout)

    def _refused(self, proposal: Proposal, reason: int) -> None:
        """Called by the raft thread."""
        if reason == FAIL_REASON.DISCARDED:
            error: RaftError = DiscardedError("another leader's entry took the place of this proposal")
        else:
            error = NotLeaderError(f"this member is not the leader (reason {reason})")
        self._post(self._reject, proposal, error)

    def _reject(self, proposal: Proposal, error: RaftError) -> None:
        if self._forget(proposal):
            proposal.future.set_exception(error)

    def _forget(self, proposal: Proposal) -> bool:
        """Whether somebody still waits for it."""
        if proposal in self._pending:
            self._pending.remove(proposal)
            self._bytes -= proposal.size
        return not proposal.future.done()
