# SPDX-License-Identifier: Apache-2.0
"""The local member's life: found, join, leave, resume. Each step is whole or undone (see ``manager.ports.Host``).

A membership that is on disk but cannot go on is shown with its reason, tried again where that may help, and can be
given up by leaving with force.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from queenright.app import world
from queenright.app.addressing import for_force, for_init, for_join, held_by, host_of, with_settings
from queenright.app.engine import own_swarm, require_no_swarm
from queenright.app.pending import LastingJoin
from queenright.app.settings import Settings
from queenright.app.state import MemberState, StateError, StateFile
from queenright.app.strictness import LooseError, private_state
from queenright.edge.http.upstream import Upstream
from queenright.lib.backoff import Backoff
from queenright.lib.tasks import Background
from queenright.manager import texts
from queenright.manager.ports import Clock, InitOptions, JoinOptions, LocalState
from queenright.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    Refusal,
    Unauthenticated,
    Unavailable,
)
from queenright.model.join import NotSigned
from queenright.model.unlock import UnlockKeyError, parse_unlock_key
from queenright.spec.cluster import MANAGER

if TYPE_CHECKING:
    from queenright.app.joining import Place
    from queenright.app.member import Member
    from queenright.edge.grpc.ports import Forwarding
    from queenright.wire.messages import ForwardAnswer, ForwardCall

log = logging.getLogger(__name__)

JOIN_TIMEOUT = 60.0
PENDING_AFTER = 20.0  # seconds for which the caller waits where nobody can sign; the node goes on trying
CATCH_UP_TIMEOUT = 30.0  # of a new manager, after that
AGAIN_FIRST = 0.5  # seconds before a membership that could not go on is tried again; longer each time
AGAIN_MOST = 30.0
MAY_PASS = (OSError, FailedPrecondition)  # a port in use, an address that is not up yet, dockerd's own swarm


class Host:
    """One per daemon. What a membership needs (gRPC, the log, the executor) is imported when there is one."""

    def __init__(self, settings: Settings, upstream: Upstream, clock: Clock) -> None:
        self._settings = settings
        self._upstream = upstream
        self._clock = clock
        self._file = StateFile(settings.state_dir)
        self._member: Member | None = None
        self._held: MemberState | None = None  # the membership that is on disk and does not run
        self._error = ""  # why it does not
        self._locked = False  # it waits for the unlock key
        self._loose = ""  # why nothing in the state directory may be used
        self.gateway: Forwarding | None = None  # serves what other managers hand on; set before anything begins
        self._busy = asyncio.Lock()
        self._background = Background()
        self._lasting = LastingJoin(settings.state_dir, self._join_once, world.dice)
        self._started_at = clock.wall()

    # -- what the host socket asks

    def local_state(self) -> LocalState:
        if self._member is not None:
            return dataclasses.replace(self._member.local_state(), started_at=self._started_at)
        state, error = "pending" if self._busy.locked() else "inactive", self._error
        if self._lasting.pending:
            return LocalState(state="pending", error=self._lasting.problem, started_at=self._started_at)
        if self._locked:
            state, error = "locked", texts.LOCKED
        elif error:
            state = "error"
        said = error or self._lasting.ended
        shown = LocalState(state=state, error=said, started_at=self._started_at, ready=state == "inactive")
        held = self._held
        if held is None:
            return shown
        return dataclasses.replace(
            shown,
            role=held.role,
            node_id=held.node_id,
            node_addr=host_of(held.advertise_addr),
            cluster_id=held.cluster_id,
            managers=held.managers,
        )

    def manager(self) -> Any:
        if self._member is None:
            raise texts.not_a_manager(self.local_state())
        return self._member.control()

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        return self._member.explain_local(task_ref) if self._member is not None else None

    async def pending_key_digest(self) -> str:
        from queenright.edge.pki.keystore import KeyStore

        self._require_no_member()
        try:
            return KeyStore(self._settings.state_dir / "certificates").pending_key_digest()
        except (OSError, ValueError) as error:
            raise _unusable(error) from error

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        """Hand a call to the manager that leads. Raises Unavailable where there is none, or no manager here."""
        if self._member is None:
            raise texts.not_a_manager(self.local_state())
        return await self._member.to_leader().forward(call)

    def _place(self) -> Place:
        from queenright.app.joining import Place

        assert self.gateway is not None
        return Place(self._settings, self._clock, self._file, self.gateway)

    # -- founding, joining, leaving

    async def init(self, options: InitOptions) -> str:
        """Found a swarm with this host as its manager; gives the node id."""
        from queenright.app import first, joining

        async with self._busy:
            if self._locked:
                raise texts.not_a_manager(self.local_state())
            if options.force_new_cluster:
                return await self._force(options)
            self._require_no_member()
            await require_no_swarm(self._upstream)
            addresses = for_init(with_settings(options, self._settings))
            place = self._place()
            brought = first.identity(options, place.keys)
            try:
                self._file.clear_leftovers()
                member = await joining.found(place, options, addresses, brought)
            except BaseException as error:
                self._file.wipe(certificates=brought is None or options.first is not None)
                if isinstance(error, (OSError, StateError)):
                    raise _unusable(error) from error
                raise
            self._adopt(member)
            return member.state.node_id

    async def _force(self, options: InitOptions) -> str:
        """Make this manager the only one of its swarm; all that it knows is kept. What nobody names stays as it is."""
        from queenright.app import joining
        from queenright.app.member import forced

        state = self._member.state if self._member is not None else self._held
        if state is None or state.role != MANAGER:
            raise texts.not_a_manager(self.local_state())
        addresses = for_force(options, held_by(state))
        try:
            if self._member is not None:
                await self._member.force_new_cluster(addresses)
            else:
                self._held = forced(state, addresses)
                self._file.save(self._held)
                self._adopt(await joining.resume(self._place(), self._held))
        except (OSError, StateError) as error:
            raise Unavailable(f"a new cluster cannot be forced: {error}", plain=True) from error
        log.warning("a new cluster was forced: this manager is the only one now")
        return state.node_id

    async def join(self, options: JoinOptions) -> None:
        """Become a member of the swarm that ``options.secret`` belongs to. Where nobody can sign now, this gives up
        waiting after a while, and the node goes on by itself.
        """
        async with self._busy:
            self._require_no_member()
            await require_no_swarm(self._upstream)
            self._lasting.ended = ""
            try:
                self._adopt(await self._joined(options))
            except NotSigned as refusal:
                try:
                    self._lasting.begin(options, str(refusal))
                except OSError as error:
                    raise _unusable(error) from error
        if not await self._lasting.wait(PENDING_AFTER):
            raise Unavailable(texts.JOIN_TIMEOUT, plain=True)
        await self._catch_up()

    async def _join_once(self, options: JoinOptions) -> None:
        async with self._busy:
            if problem := await own_swarm(self._upstream):
                raise FailedPrecondition(problem, plain=True)
            self._adopt(await self._joined(options))

    async def _joined(self, options: JoinOptions) -> Member:
        from queenright.app import joining

        addresses = for_join(with_settings(options, self._settings))
        try:
            self._file.clear_leftovers()
            async with asyncio.timeout(JOIN_TIMEOUT):
                return await joining.join(self._place(), options, addresses)
        except TimeoutError:
            raise Unavailable(texts.JOIN_TIMEOUT, plain=True) from None
        except (OSError, StateError) as error:
            raise _unusable(error) from error

    async def _catch_up(self) -> None:
        """A new manager has joined once the others count its voice. Until then it is one that tries to, also after
        this gave up waiting.
        """
        if (member := self._member) is None:
            return  # it has left meanwhile
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT):
                await member.caught_up()
        except TimeoutError:
            raise Unavailable(f"{texts.JOIN_TIMEOUT} {member.progress()}", plain=True) from None

    async def leave(self, force: bool) -> None:
        """End the membership: tasks stop, their containers are removed, keys and log are wiped."""
        if await self._lasting.give_up():
            self._file.wipe()
            log.info("the attempt to join was given up")
            return
        async with self._busy:
            if self._member is not None:
                self._member.require_may_leave(force)
                await self._member.leave()
                self._member = None
            elif not self._error and not self._locked:
                raise Unavailable(texts.NOT_PART, plain=True)
            elif self._locked and not force:
                raise Unavailable(f"{texts.LOCKED} Leaving with force gives the local state up.", plain=True)
            elif not force:
                raise Unavailable(f"{self._error}; leaving with force gives the local state up", plain=True)
            elif self._held is not None:
                await self._give_up(self._held)
            self._file.wipe()
            self._lasting.forget()
            self._loose = self._looseness()
            self._error, self._held, self._locked = self._loose, None, False
            log.info("left the swarm")

    async def unlock(self, key: str) -> None:
        """Go on with a membership whose keys are locked."""
        async with self._busy:
            held = self._locked_membership()
            self._open(held, key)
            self._locked = False
            log.info("unlocked")
        if await self._may_resume_later(held):
            self._background.start(self._resume_later(held), "resume")
        if self._error:
            raise Unavailable(f"the swarm is unlocked, but this host cannot go on yet: {self._error}", plain=True)

    def _locked_membership(self) -> MemberState:
        if self._locked and self._held is not None:
            return self._held
        if self._member is None and self._held is None:
            raise Unavailable(texts.NOT_PART, plain=True)
        state = self.local_state()
        if state.role == MANAGER:
            raise AlreadyExists(texts.NOT_LOCKED, plain=True)
        raise texts.not_a_manager(state)

    def _open(self, held: MemberState, text: str) -> None:
        from queenright.app import sealing
        from queenright.edge.pki.errors import PkiError, WrongKeyError

        try:
            sealing.lock_of(self._file, held.node_id).unlock(parse_unlock_key(text))
        except UnlockKeyError as error:
            raise InvalidArgument(str(error), plain=True) from None
        except WrongKeyError:
            raise Unauthenticated(texts.WRONG_KEY, plain=True) from None
        except (PkiError, OSError) as error:
            raise Unavailable(f"swarm could not be unlocked, whatever the key: {error}", plain=True) from error

    async def _give_up(self, held: MemberState) -> None:
        from queenright.app import working

        settings = self._settings
        await working.remove_containers(settings.docker_socket, settings.data_root, held.cluster_id, self._clock)

    # -- the daemon's start and end

    async def resume(self, loose: str = "") -> None:
        """Go on with the membership that the state directory holds. What hinders it stands in the status.

        ``loose``: why nothing in that directory may be used, "" if it may; leaving with force gives it up.
        """
        self._loose = loose
        try:
            self._held = self._file.load()
        except StateError as error:
            self._error = str(error)
            log.error("the membership cannot go on: %s", error)
            return
        if loose:
            self._error = loose
            log.error("the membership cannot go on: %s", loose)
            return
        self._resume_joining()
        held = self._held
        if held is not None and held.role == MANAGER and self._file.has_lock:
            self._locked = True
            log.warning("this manager is locked: it waits for the unlock key (docker swarm unlock)")
        elif held is not None and await self._may_resume_later(held):
            self._background.start(self._resume_later(held), "resume")

    def _resume_joining(self) -> None:
        try:
            if self._held is not None:
                self._lasting.forget()  # it was done, and there was no time to say so
            else:
                self._lasting.resume()
        except (OSError, StateError) as error:
            self._error = str(error)
            log.error("the attempt to join cannot go on: %s", error)

    async def _may_resume_later(self, state: MemberState) -> bool:
        """Try to go on. Whether it did not work and another try may help."""
        from queenright.app import joining

        async with self._busy:
            if self._held is not state:
                return False  # it was given up meanwhile
            try:
                if problem := await own_swarm(self._upstream):
                    raise FailedPrecondition(problem)
                member = await joining.resume(self._place(), state)
            except Exception as error:  # whatever it is, the status has to say it
                known = isinstance(error, (*MAY_PASS, StateError, Refusal, ValueError))
                reason = str(error) or type(error).__name__
                if reason != self._error:
                    log.error("the membership cannot go on: %s", reason, exc_info=None if known else error)
                self._error = reason
                return isinstance(error, MAY_PASS)
            self._adopt(member)
            return False

    async def _resume_later(self, state: MemberState) -> None:
        backoff = Backoff(lambda: 0.5 + world.dice() / 2, first=AGAIN_FIRST, most=AGAIN_MOST)
        while True:
            await asyncio.sleep(backoff.next())
            if not await self._may_resume_later(state):
                return

    async def stop(self, *, restarting: bool = True) -> None:
        """End the daemon's part in the swarm; containers stay. ``restarting``: it will be back in a moment."""
        await self._lasting.stop()
        await self._background.stop()
        if self._member is not None:
            await self._member.stop(restarting=restarting)

    def _adopt(self, member: Member) -> None:
        self._member = member
        self._error, self._held = "", None
        log.info("membership runs", extra={"node": member.state.node_id, "role": member.state.role})

    def _require_no_member(self) -> None:
        if self._member is not None or self._lasting.pending or self._held is not None or self._file.path.exists():
            raise Unavailable(texts.ALREADY_PART, plain=True)
        if self._loose:
            raise Unavailable(f"this host cannot be made a member: {self._loose}", plain=True)

    def _looseness(self) -> str:
        """Why nothing may be put into the state directory; "" once it is nobody else's."""
        try:
            private_state(self._settings.state_dir)
        except LooseError as error:
            return str(error)
        return ""


def _unusable(error: Exception) -> Unavailable:
    """The disk, a port or a key refuses; nothing was changed."""
    return Unavailable(f"this host cannot be made a member: {error}", plain=True)
