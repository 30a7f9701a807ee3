# SPDX-License-Identifier: Apache-2.0
"""Proposals under way: how many there may be, and who waits for which. Lives on the loop, but for the intake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from pysyncobj import FAIL_REASON

from .errors import (
    CommandTooLargeError,
    DiscardedError,
    NotLeaderError,
    QueueFullError,
    RaftError,
    UnknownOutcomeError,
)
from .wal import REGULAR

MAX_COMMAND = 3 * 512 * 1024
"""Bytes in one command: 1.5 MiB."""
MAX_PENDING = 10_000
"""Proposals under way."""
MAX_PENDING_BYTES = 64 * 1024 * 1024
"""Bytes of all proposals under way."""
MOST_BATCHES = 2
"""Batches under way: what is submitted meanwhile goes together when one of them is done, for one flush and one message.
A second one is written while the first is on its way through the others."""


Callback = Callable[[object, int], None]
"""Called with (None, reason) when a command is refused or discarded; carried along when it is committed."""


class Proposal:
    """One command under way. The raft thread carries it along and calls it only to say that it came to nothing.

    ``command`` begins with its type byte. With a ``term``, it is put into the log only by the leader of that term.
    """

    __slots__ = ("_refused", "command", "ends_batch", "future", "size", "term")

    def __init__(
        self,
        command: bytes,
        term: int | None,
        future: asyncio.Future[object],
        refused: Callable[[Proposal, int], None],
    ) -> None:
        self.command = bytes([REGULAR]) + command
        self.term = term
        self.future = future
        self.size = len(command)
        self.ends_batch = False
        """Whether it is the last one of those that were passed on with it."""
        self._refused = refused

    def __call__(self, _result: object, reason: int) -> None:
        self._refused(self, reason)


class Proposals:
    """All proposals under way."""

    def __init__(self, post: Callable[..., None], pass_on: Callable[[list[Proposal]], None]) -> None:
        """``post`` runs a callable with arguments on the loop, from any thread; ``pass_on`` hands proposals to the raft
        thread."""
        self._post = post
        self._pass_on = pass_on
        self._gathered: list[Proposal] = []
        self._pending: set[Proposal] = set()
        self._bytes = 0
        self._under_way = 0  # batches

    def submit(self, command: bytes, term: int | None) -> Proposal:
        """Take in a command. What is submitted in one turn of the loop is passed on at its end, or when there is room
        for one more batch, and so shares a flush: many callers go on when one entry is applied. Raises
        CommandTooLargeError or QueueFullError."""
        proposal = self._admit(command, term)
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._gathered.append(proposal)
        return proposal

    def hand_over(self) -> None:
        """Pass on what was submitted and still waits."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            gathered[-1].ends_batch = True
            self._under_way += 1
            self._pass_on(gathered)

    def _go_on(self) -> None:
        if self._under_way < MOST_BATCHES:
            self.hand_over()

    def _admit(self, command: bytes, term: int | None) -> Proposal:
        """Raises CommandTooLargeError or QueueFullError."""
        size = len(command)
        if size > MAX_COMMAND:
            raise CommandTooLargeError(f"a command of {size} bytes is over the limit of {MAX_COMMAND}")
        if len(self._pending) >= MAX_PENDING or self._bytes + size > MAX_PENDING_BYTES:
            raise QueueFullError(f"{len(self._pending)} proposals ({self._bytes} bytes) are under way: try again later")
        proposal = Proposal(command, term, asyncio.get_running_loop().create_future(), self._refused)
        self._pending.add(proposal)
        self._bytes += size
        return proposal

    def resolve(self, proposal: object, result: object) -> None:
        """The command is durable and applied."""
        assert isinstance(proposal, Proposal)
        if self._forget(proposal):
            proposal.future.set_result(result)

    def overtaken(self, proposal: object) -> None:
        """A snapshot took the place of the command's entry: it is applied, but with what result is not known here."""
        assert isinstance(proposal, Proposal)
        self._reject(proposal, UnknownOutcomeError("a snapshot overtook the proposal: read whether it was taken"))

    def fail_all(self, error: RaftError) -> None:
        """None of those under way will be heard of again."""
        self._gathered.clear()
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
        elif reason == FAIL_REASON.UNKNOWN_OUTCOME:
            error = UnknownOutcomeError("this member ceased to lead while the proposal was under way")
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
            if proposal.ends_batch:
                self._under_way -= 1
                self._go_on()
        return not proposal.future.done()


class Intake:
    """Where proposals wait for the raft thread, in order. ``put`` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: deque[Proposal] = deque()
        self.held = False
        """Take none for the moment: the leadership is being handed over."""

    def put(self, proposals: list[Proposal]) -> None:
        self._waiting.extend(proposals)

    def take(self) -> list[Proposal]:
        """Those that wait, unless they are held."""
        return [] if self.held else self.empty()

    def empty(self) -> list[Proposal]:
        """All that wait."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken
