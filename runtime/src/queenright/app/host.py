# SPDX-License-Identifier: Apache-2.0
"""The local member's life: found, join, leave, resume. Each step is whole or undone (see ``manager.ports.Host``)."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from queenright.app.addressing import Addresses, for_init, for_join
from queenright.app.engine import require_no_swarm
from queenright.app.settings import Settings
from queenright.app.state import MemberState, StateError, StateFile
from queenright.edge.http.upstream import Upstream
from queenright.manager import texts
from queenright.manager.ports import Clock, InitOptions, JoinOptions, LocalState
from queenright.model.errors import InvalidArgument, Refusal, Unavailable

if TYPE_CHECKING:
    from queenright.app.member import Member

log = logging.getLogger(__name__)

JOIN_TIMEOUT = 60.0


class Host:
    """One per daemon. What a membership needs (gRPC, the log, the executor) is imported when there is one."""

    def __init__(self, settings: Settings, upstream: Upstream, clock: Clock) -> None:
        self._settings = settings
        self._upstream = upstream
        self._clock = clock
        self._file = StateFile(settings.state_dir)
        self._member: Member | None = None
        self._error = ""
        self._busy = asyncio.Lock()
        self._started_at = clock.wall()

    # -- what the host socket asks

    def local_state(self) -> LocalState:
        if self._member is not None:
            return dataclasses.replace(self._member.local_state(), started_at=self._started_at)
        state = "error" if self._error else "pending" if self._busy.locked() else "inactive"
        return LocalState(state=state, error=self._error, started_at=self._started_at, ready=not self._error)

    def manager(self) -> Any:
        if self._member is None:
            raise texts.not_a_manager(self.local_state())
        return self._member.control()

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        return self._member.explain_local(task_ref) if self._member is not None else None

    async def pending_key_digest(self) -> str:
        from queenright.edge.pki.keystore import KeyStore

        self._require_no_member()
        return KeyStore(self._settings.state_dir / "certificates").pending_key_digest()

    # -- founding, joining, leaving

    async def init(self, options: InitOptions) -> str:
        """Found a swarm with this host as its manager; gives the node id."""
        from queenright.app import member as member_room

        async with self._busy:
            self._require_no_member()
            if options.force_new_cluster:
                raise InvalidArgument("a new cluster can be forced only on a manager that lost its quorum", plain=True)
            await require_no_swarm(self._upstream)
            addresses = for_init(options)
            self._file.clear_leftovers()
            try:
                member = await member_room.found(self._settings, self._clock, options, addresses, self._file)
            except BaseException:
                self._file.wipe()
                raise
            self._adopt(member)
            return member.state.node_id

    async def join(self, options: JoinOptions) -> None:
        """Become a member of the swarm that ``options.secret`` belongs to."""
        from queenright.app import member as member_room

        async with self._busy:
            self._require_no_member()
            await require_no_swarm(self._upstream)
            addresses: Addresses = for_join(options)
            self._file.clear_leftovers()
            try:
                member = await asyncio.wait_for(
                    member_room.join(self._settings, self._clock, options, addresses, self._file), JOIN_TIMEOUT
                )
            except TimeoutError:
                raise Unavailable(texts.JOIN_TIMEOUT, plain=True) from None
            self._adopt(member)

    async def leave(self, force: bool) -> None:
        """End the membership: tasks stop, their containers are removed, keys and log are wiped."""
        async with self._busy:
            if self._member is None and not self._error:
                raise Unavailable(texts.NOT_PART, plain=True)
            if self._member is not None:
                self._member.require_may_leave(force)
                await self._member.leave()
                self._member = None
            elif not force:
                raise Unavailable(f"{self._error}; leaving with force gives the local state up", plain=True)
            self._file.wipe()
            self._error = ""
            log.info("left the swarm")

    # -- the daemon's start and end

    async def resume(self) -> None:
        """Go on with the membership that the state directory holds. What hinders it stands in the status."""
        try:
            state = self._file.load()
            if state is None:
                return
            await self._resume(state)
        except (StateError, Refusal, OSError, ValueError, RuntimeError) as error:
            self._error = str(error)
            log.error("the membership cannot go on: %s", error, exc_info=not isinstance(error, (StateError, Refusal)))

    async def _resume(self, state: MemberState) -> None:
        from queenright.app import member as member_room

        async with self._busy:
            self._adopt(await member_room.resume(self._settings, self._clock, state, self._file))

    async def stop(self) -> None:
        """End the daemon's part in the swarm; containers stay."""
        if self._member is not None:
            await self._member.stop(restarting=True)

    def _adopt(self, member: Member) -> None:
        self._member = member
        self._error = ""

    def _require_no_member(self) -> None:
        if self._member is not None or self._file.path.exists():
            raise Unavailable(texts.ALREADY_PART, plain=True)
