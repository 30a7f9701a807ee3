# SPDX-License-Identifier: Apache-2.0
"""The manager half of a member: log, store, ways to the other managers, control port, join listener, joined together.

All of it runs on every manager. What only the leader does (``manager.leading``) begins and ends with its terms.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from queenright.app import world
from queenright.app.addressing import Addresses
from queenright.app.certificates import Credentials, PeerReader, PkiMaker
from queenright.app.homecoming import HomePeers
from queenright.app.logbook import Logbook
from queenright.app.outside import OutsideAuthorities
from queenright.app.relaying import Door, ToLeader
from queenright.app.state import StateError
from queenright.edge.docker.distribution import Distribution
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.leader_logs import LeaderLogs
from queenright.edge.grpc.peers import GrpcPeers
from queenright.edge.grpc.ports import Forwarding
from queenright.edge.grpc.server import ControlServer, ServerError
from queenright.edge.http.home_server import ForwardedHome, HomeDoor, ask_leader
from queenright.edge.http.join_forwarding import ForwardedAdmission
from queenright.edge.http.join_server import JoinServer
from queenright.edge.raft import Member, RaftError, RaftLog, Sealer
from queenright.lib.tasks import Background
from queenright.manager.authority import Authority
from queenright.manager.context import Context
from queenright.manager.control import Control
from queenright.manager.dispatch import Dispatcher
from queenright.manager.homecoming import Homecoming
from queenright.manager.leading import Leading
from queenright.manager.log_reader import LogReader, LogSource
from queenright.manager.logs import LogBroker
from queenright.manager.ports import Clock, LocalState
from queenright.manager.proposer import LogProposer, StoreMachine
from queenright.manager.tidying import Tidying
from queenright.model import features
from queenright.model.changes import Change
from queenright.model.errors import Refusal, Unavailable
from queenright.model.home import HomeGrant, HomeRequest
from queenright.spec.cluster import MANAGER
from queenright.store.store import Store
from queenright.wire.logs import unpack_lines
from queenright.wire.messages import ForwardCall

log = logging.getLogger(__name__)

HAND_OVER = 2.5  # seconds for which a leader that ends waits until another one leads
RESIGN = 15.0  # seconds for which a manager that leaves waits until the others have let it go
IN_VAIN = 3.0  # seconds of these for which it goes on though nobody leads them, or the leader says no
AGAIN = 0.2
UNAVAILABLE = 503


class Managing:
    """Runs from :meth:`open` and :meth:`serve` to :meth:`stop`. ``on_fatal`` is told when the log cannot be written any
    more, or when something that only the leader does broke.
    """

    def __init__(
        self,
        directory: Path,
        addresses: Addresses,
        credentials: Credentials,
        clock: Clock,
        *,
        founding: bool,
        snapshot_entries: int,
        docker_socket: Path,
        gateway: Forwarding,
        sealer: Sealer,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """``founding``: an empty directory becomes a group of this one; else it waits for a leader to call. ``sealer``
        seals all that is kept there."""
        self._directory = directory
        self._identity = credentials.identity
        self._addresses = addresses
        node_id = self._identity.node_id
        self.store = Store()
        self._peers = GrpcPeers(
            credentials.for_grpc,
            dice=world.dice,
            addr=addresses.advertise,
            on_epoch=self._met_epoch,
        )
        self._log = RaftLog(
            directory,
            node_id,
            StoreMachine(self.store),
            sealer=sealer,
            network=self._peers,
            founding=founding,
            addr=addresses.advertise,
            snapshot_every=snapshot_entries,
            on_fatal=on_fatal,
            on_leadership=self._on_leadership,
            on_members=self._on_members,
            dice=world.dice,
        )
        self._book = book = Logbook(self._log, node_id, self._peers.connected)
        proposer = LogProposer(book, clock, book, level=lambda: features.level_of(self.store.cluster))
        self._registries = Distribution(str(docker_socket))
        context = Context(self.store, proposer, clock, world.ids, book, self._registries)
        self._tidying = Tidying(context)
        self._background = Background(lambda name, error: on_fatal(error))
        authority = Authority(context, PkiMaker(), OutsideAuthorities(credentials))
        self._homecoming = Homecoming(context, authority.signing, HomePeers())
        self._logs = LogBroker(self.store, clock, world.ids, redirect=self.leader)
        self._for_grpc = credentials.for_grpc
        self._dispatcher = Dispatcher(
            self.store, proposer, clock, world.ids, self._on_beat, node_id=node_id, redirect=self.leader
        )
        self.control = Control(
            context,
            authority,
            LogReader(self._log_source, unpack_lines, clock, world.dice),
            self._dispatcher.networking.states,
        )
        self._leading = Leading(
            context,
            book,
            proposer,
            self._dispatcher,
            node_id,
            dice=world.dice,
            on_failure=lambda name, error: on_fatal(error),
            logs=self._logs,
        )
        self.to_leader = ToLeader(credentials.for_grpc, self.leader)
        self._control_server = self._make_control_server(credentials, clock, gateway, authority)
        self._join_server = self._make_join_server(credentials, clock, authority)
        self._serving = False
        self._moved = asyncio.Event()

    def _make_control_server(
        self, credentials: Credentials, clock: Clock, gateway: Forwarding, authority: Authority
    ) -> ControlServer:
        return ControlServer(
            self._dispatcher,
            Authorizer(self.store, self._identity.cluster_id, clock, PeerReader(), self._is_revoked),
            credentials.for_grpc,
            raft=self._log.reception,
            heard=self._peers.heard,
            forwarding=gateway,
            admitting=ForwardedHome(ForwardedAdmission(authority).admit, self._homecoming.come),
            renewing=authority,
            logs=self._logs,
            leader=self.leader,
            confirm=self.control.fresh,
            seen=self._tidying.seen,
        )

    def _make_join_server(self, credentials: Credentials, clock: Clock, authority: Authority) -> JoinServer:
        return JoinServer(
            Door(authority, lambda: self._log.is_leader, self.to_leader),
            context=credentials.tls_context,
            root_pem=lambda: self._pinned_root(credentials),
            clock=clock.mono,
            managers=lambda: [addr for node_id, addr in self._managers() if node_id != self._identity.node_id],
            home=HomeDoor(self._come_home, clock=clock.mono, dice=world.random_bytes),
        )

    # -- life

    async def open(self, founding: Sequence[Change] = ()) -> None:
        """Bring the log up; write the founding entry of a new swarm. Where this manager is the only one, it leads when
        this returns; else it has what is on disk, and hears nobody yet.

        Raises StateError: the log cannot be used. Then, as after any other error, :meth:`stop` has to be called.
        """
        try:
            await self._log.start()
        except RaftError as error:
            raise StateError(str(error)) from error
        if founding:
            await self.control.context.proposer.propose(founding)
        if self._log.is_leader:
            await self.control.fresh()
        self._require_swarm()

    def _require_swarm(self) -> None:
        """A log that is there but holds another swarm, or none, must not become a new one by and by."""
        cluster = self.store.cluster
        if cluster is None and not self._log.is_leader:
            return
        if cluster is None or cluster.id != self._identity.cluster_id:
            held = "nothing" if cluster is None else f"swarm {cluster.id}"
            raise StateError(
                f"the log in {self._directory} holds {held} instead of swarm {self._identity.cluster_id}: restore the "
                "state directory from a backup, or leave with force"
            )

    async def serve(self) -> None:
        """Open the ports; begin to decide where this manager leads. Raises OSError: a port refuses."""
        listen = self._addresses.listen
        try:
            await self._control_server.start(listen.host, listen.port)
        except ServerError as error:
            raise OSError(str(error)) from error
        await self._join_server.start(listen.host, listen.port + 1)
        self._serving = True
        self._background.start(self._tidying.run(), "tidying")
        if self._log.is_leader:
            self._leading.changed(True, self._log.term)

    async def stop(self) -> None:
        """Hand leadership over, refuse new calls, end sessions, drain the log. Every write that was answered is on
        disk.
        """
        await self._hand_over()
        self._serving = False
        await self._background.stop()
        await self._join_server.stop(0.2)
        await self._leading.stop()
        await self._control_server.stop(0.5)
        await self.to_leader.close()
        await self._log.stop()
        await self._peers.close()
        self._registries.close()

    async def _hand_over(self) -> None:
        if not self._log.is_leader or not any(member.voter and self._reaches(member) for member in self._others()):
            return
        try:
            async with asyncio.timeout(HAND_OVER):
                await self._log.transfer_leadership()
        except (RaftError, TimeoutError) as error:
            log.warning("leadership was not handed over: %s", str(error) or f"nobody took it in {HAND_OVER} s")

    async def reseal(self) -> None:
        """Return when nothing of the log is sealed with a former key."""
        await self._log.reseal()

    async def resign(self) -> None:
        """Have the other managers let this one go. Whether they do in time or not, it goes."""
        if not self._others():
            return
        try:
            async with asyncio.timeout(RESIGN):
                await self._resigned()
        except TimeoutError:
            log.warning(
                "the other managers did not let this one go in time: remove its node, with force, on one of them"
            )

    async def _resigned(self) -> None:
        """Ask whoever leads, until one has let this manager go, or nobody can."""
        in_vain = 0.0
        while in_vain < IN_VAIN:
            try:
                if await self._let_go():
                    return
                in_vain += AGAIN
            except Unavailable as refusal:
                log.info("the other managers have not let this one go yet: %s", refusal)
                in_vain = 0.0 if self._log.leader_id else in_vain + AGAIN
            except Refusal as refusal:
                log.warning("the other managers cannot let this one go: %s", refusal)
                in_vain += AGAIN
            await asyncio.sleep(AGAIN)
        log.warning("this manager goes without the others' word: demote and remove its node on one of them")

    async def _let_go(self) -> bool:
        """Whether the leader has done it. Raises a Refusal."""
        node_id = self._identity.node_id
        if self._log.is_leader:  # whoever leads next tells when it is done; this one would not hear of it
            await self._book.transfer_leadership()
        answer = await self.to_leader.forward(ForwardCall("POST", f"/queenright/v1/managers/{node_id}/leave"))
        if answer.status == UNAVAILABLE:
            raise Unavailable(answer.body.decode("utf-8", "replace"))
        return answer.status < 400

    def is_at(self, addr: str) -> None:
        """The others reach this manager at ``host:port``."""
        self._peers.is_at(addr)

    async def certificate_changed(self) -> None:
        """The other managers shall see the new one."""
        await self._peers.renew()

    async def be_sole_manager(self) -> None:
        """Right after a new cluster was forced: all other managers become workers."""
        await self.control.nodes.sole_manager(self._identity.node_id)

    async def caught_up(self) -> None:
        """Return when this manager has a voice in the group and knows the swarm."""
        while not any(member.id == self._identity.node_id and member.voter for member in self._log.members()):
            self._moved.clear()
            await self._moved.wait()
        with self.store.watch() as commits:
            while self.store.cluster is None:
                await commits.next()

    def progress(self) -> str:
        """What :meth:`caught_up` waits for."""
        if not self._log.members():
            return (
                f"The managers have not reached this one yet: they must be able to connect to the TCP port "
                f"{self._addresses.listen.port} of {self._addresses.advertise or 'this host'}."
            )
        return f"It is catching up with the other managers and has reached entry {self._log.applied_index}."

    # -- what is known

    @property
    def failure(self) -> str | None:
        """Why the log cannot be written, if so."""
        return self._log.failure

    def leader(self) -> tuple[str, str] | None:
        """(node id, ``host:port``) of the other manager that leads."""
        leader_id = self._log.leader_id
        if not leader_id or leader_id == self._identity.node_id:
            return None
        member = next((member for member in self._others() if member.id == leader_id), None)
        node = self.store.nodes.get(leader_id)
        addr = (node.manager_addr if node is not None else "") or (member.addr if member is not None else "")
        return (leader_id, addr) if addr else None

    def _log_source(self) -> LogSource | None:
        """Whoever has the logs: this manager, if it leads, or the way to the one that does."""
        if self._logs.running:
            return self._logs
        leader = self.leader()
        return LeaderLogs(self._for_grpc, leader) if leader is not None else None

    def reachable(self) -> tuple[int, int]:
        """How many voters answer, this one included, and how many there are."""
        voters = [member for member in self._log.members() if member.voter]
        return sum(self._reaches(member) for member in voters), len(voters)

    def _pinned_root(self, credentials: Credentials) -> bytes:
        """The root that join tokens pin, byte for byte; this manager may trust the one to be as well."""
        cluster = self.store.cluster
        return cluster.root_certificate.encode("ascii") if cluster is not None else credentials.root_pem()

    async def _come_home(self, request: HomeRequest) -> HomeGrant:
        """A member whose certificate opens no connection any more; the leader decides."""
        if self._log.is_leader:
            return await self._homecoming.come(request)
        return await ask_leader(self.to_leader.admit, request)

    def _is_revoked(self, serial: str) -> bool:
        """Whether the certificate was revoked by name."""
        held = self.store.certificates.get(serial)
        return held is not None and bool(held.revoked_at)

    def _met_epoch(self, member_id: str, epoch: int) -> None:
        self._log.reception.met_epoch(member_id, epoch)

    def describe(self, state: LocalState) -> LocalState:
        """``state`` with what a manager knows of the group."""
        leader_id = self._log.leader_id or ""
        if leader_id == self._identity.node_id and not self._log.is_leader:
            leader_id = ""  # elected, but not all that is older is applied here yet
        return dataclasses.replace(
            state,
            managers=self._managers() or state.managers,
            leader=leader_id,
            has_quorum=self._log.has_quorum,
            stale=not self._log.has_quorum,
            raft=self._view(),
        )

    def _managers(self) -> tuple[tuple[str, str], ...]:
        """(node id, ``host:port``) of all, as far as known."""
        return tuple((node.id, node.manager_addr) for node in self.store.nodes.by("role", MANAGER))

    def _view(self) -> dict[str, Any]:
        """The group, for the status."""
        members = [
            {"node_id": member.id, "addr": member.addr, "voter": member.voter, "reachable": self._reaches(member)}
            for member in self._log.members()
        ]
        return {"term": self._log.term, "applied_index": self._log.applied_index, "members": members}

    def _others(self) -> list[Member]:
        return [member for member in self._log.members() if member.id != self._identity.node_id]

    def _reaches(self, member: Member) -> bool:
        return self._book.connected(member.id)

    # -- what the log tells

    def _on_leadership(self, leads: bool, term: int) -> None:
        if self._serving or not leads:
            self._leading.changed(leads, term)

    def _on_members(self, members: Sequence[Member]) -> None:
        self._moved.set()
        self._leading.members_changed()

    def _on_beat(self) -> None:
        self._leading.beat()
