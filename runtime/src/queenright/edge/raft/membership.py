# SPDX-License-Identifier: Apache-2.0
"""Changes of the members, asked for on the leader's event loop and followed until they are committed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from .core import ELECTION_MOST
from .engine import Engine
from .errors import MembershipError, NotLeaderError, RaftError, UnknownOutcomeError
from .leader import TRANSFER
from .members import Config, Member
from .replica import Status


class Membership:
    """One per log. ``check`` raises when the log does not run."""

    def __init__(self, member_id: str, engine: Engine, check: Callable[[], None]) -> None:
        self._id = member_id
        self._engine = engine
        self._check = check
        self._status = Status(False, 0, 0)
        self._removed: set[str] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._asking: set[asyncio.Future[None]] = set()

    def moved(self, status: Status) -> None:
        """The raft thread told something new."""
        before, self._status = self._status, status
        present = {member.id for member in status.config.members}
        if status.config != before.config:
            self._removed |= {member.id for member in before.config.members}
        self._removed -= present
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: RaftError) -> None:
        """Nobody who waits will hear anything better."""
        for waiter in (*self._waiting, *self._asking):
            if not waiter.done():
                waiter.set_exception(error)

    def refusal(self, sender_id: str, epoch: int) -> str | None:
        """Why nothing of this sender must come in, or None.

        A member that hears no leader listens to anybody: its list of members may be old, or have been cut off with the
        end of its log, and then the leader is not in it.
        """
        config = self._status.config
        if not config.members or config.get(sender_id) is not None:
            return None
        if epoch < config.epoch:
            return (
                f"manager {sender_id} is of epoch {epoch} of this swarm, this one of epoch {config.epoch}: a new "
                "cluster was forced meanwhile. Let the manager of the lower epoch leave with force and join again"
            )
        led = self._status.leader_id not in (None, sender_id)
        if self._status.is_leader or (led and sender_id in self._removed):
            return f"manager {sender_id} is not (or no longer) a member of the group of managers"
        return None

    async def add(self, member_id: str, addr: str) -> None:
        """See ``RaftLog.add_member``. Raises NotLeaderError, MembershipError, UnknownOutcomeError."""
        known = self._status.config.get(member_id)
        if known is None:
            await self._change(lambda config: config.with_member(Member(member_id, addr, voter=False)))
        elif known.addr != addr:
            await self.move(member_id, addr)
        await self._until(lambda config: (found := config.get(member_id)) is not None and found.voter)

    async def remove(self, member_id: str) -> None:
        """See ``RaftLog.remove_member``."""
        if self._status.config.get(member_id) is not None:
            await self._change(lambda config: config.without(member_id))
        await self._until(lambda config: config.get(member_id) is None)

    async def move(self, member_id: str, addr: str) -> None:
        """See ``RaftLog.move_member``."""

        def moved(config: Config) -> Config:
            member = config.get(member_id)
            if member is None:
                raise MembershipError(f"manager {member_id} is not a member of the group")
            return config.with_member(dataclasses.replace(member, addr=addr))

        known = self._status.config.get(member_id)
        if known is None or known.addr != addr:
            await self._change(moved)
        await self._until(lambda config: (found := config.get(member_id)) is not None and found.addr == addr)

    async def transfer(self) -> None:
        """See ``RaftLog.transfer_leadership``."""
        self._require_leader()
        await self._asked(self._engine.transfer)
        try:
            async with asyncio.timeout(TRANSFER + 2 * ELECTION_MOST):
                while self._status.is_leader or self._status.leader_id in (None, self._id):
                    await self._progress()
        except TimeoutError:
            raise MembershipError("the leadership could not be handed over: no other manager took it in time") from None

    async def _change(self, change: Callable[[Config], Config]) -> None:
        self._require_leader()
        await self._asked(lambda done: self._engine.change(change, done))

    async def _asked(self, ask: Callable[[Callable[[RaftError | None], None]], None]) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: RaftError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

        self._asking.add(answer)
        ask(done)
        try:
            await answer
        finally:
            self._asking.discard(answer)

    async def _until(self, holds: Callable[[Config], bool]) -> None:
        term = self._require_leader()
        while not (holds(self._status.config) and self._status.config_committed):
            await self._progress()
            if not self._status.is_leader or self._status.term != term:
                raise UnknownOutcomeError("this manager ceased to lead while the group was being changed")

    def _require_leader(self) -> int:
        self._check()
        if not self._status.is_leader:
            raise NotLeaderError(f"member {self._id} is not the leader")
        return self._status.term

    async def _progress(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
