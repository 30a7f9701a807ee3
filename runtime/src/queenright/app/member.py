# SPDX-License-Identifier: Apache-2.0
"""A membership: a worker's, or a manager's who is also a worker."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from queenright import __version__
from queenright.app import certificates, world
from queenright.app.addressing import Addresses, host_of
from queenright.app.certificates import Credentials, PkiMaker
from queenright.app.managing import Managing
from queenright.app.settings import Settings
from queenright.app.state import MemberState, StateFile
from queenright.app.working import Working
from queenright.edge.http import join_client
from queenright.edge.http.join_client import JoinError
from queenright.edge.pki import peer
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.lib import addresses as address_room
from queenright.manager import founding, texts
from queenright.manager.ports import Clock, InitOptions, JoinOptions, LocalState
from queenright.model.changes import Change
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.model.identity import Identity
from queenright.model.join import JoinRequest
from queenright.model.tokens import TokenError, parse_join_secret
from queenright.wire.messages import SessionNews

log = logging.getLogger(__name__)

MANAGER = "manager"


class Member:
    """Runs from :meth:`start` to :meth:`stop` or :meth:`leave`."""

    def __init__(
        self, settings: Settings, clock: Clock, state: MemberState, addresses: Addresses, file: StateFile
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.state = state
        self._addresses = addresses
        self._file = file
        self._seen_addr = ""  # where a manager sees this node, if it advertises no address
        self._error = ""
        self._credentials = Credentials(_keys(settings))
        self._managing: Managing | None = None
        if state.role == MANAGER:
            self._managing = Managing(
                settings.state_dir / "raft",
                state.node_id,
                state.cluster_id,
                addresses,
                self._credentials,
                clock,
                snapshot_entries=settings.snapshot_entries,
                on_fatal=self._failed,
            )
        self._working = self._make_working()

    def _make_working(self) -> Working:
        state = self.state
        here = {state.node_id: self._addresses.local} if state.role == MANAGER else {}
        return Working(
            self._settings.state_dir / "tasks.db",
            self._settings.docker_socket,
            state.cluster_id,
            state.managers,
            self._credentials,
            self._clock,
            here=here,
            addr=host_of(state.advertise_addr),
            on_news=self._on_news,
            on_failure=lambda name, error: self._failed(error),
        )

    async def start(self, changes: tuple[Change, ...] = ()) -> None:
        """``changes``: the first entry of a new swarm."""
        if self._managing is not None:
            await self._managing.start(changes)
        try:
            await self._working.start()
        except BaseException:
            if self._managing is not None:
                await self._managing.stop()
            raise

    async def stop(self, *, restarting: bool) -> None:
        """End the daemon's part; containers stay."""
        await self._working.stop(restarting=restarting)
        if self._managing is not None:
            await self._managing.stop()

    async def leave(self) -> None:
        """End the membership; its containers go, and so does a manager's log (the caller wipes the files)."""
        await self._working.leave()
        if self._managing is not None:
            await self._managing.stop()

    def require_may_leave(self, force: bool) -> None:
        """A manager leaves only with force: the swarm's state goes with its last one."""
        if self._managing is not None and not force:
            raise Unavailable(texts.LAST_MANAGER_LEAVES, plain=True)

    def control(self) -> Any:
        """The manager's use cases, or the Engine's words for having none."""
        if self._managing is None or self._managing.failure:
            raise texts.not_a_manager(self.local_state())
        return self._managing.control

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        return self._working.worker.explain(task_ref)

    def local_state(self) -> LocalState:
        session = self._working.state
        failure = self._error or (self._managing.failure if self._managing is not None else None)
        error = failure or (session.error if not session.session_id else "")
        managers = self._managing.peers() if self._managing is not None else self.state.managers
        running, total = self._working.worker.counts()
        return LocalState(
            state="error" if failure or session.removed else "active",
            role=self.state.role,
            node_id=self.state.node_id,
            node_addr=host_of(self.state.advertise_addr) or self._seen_addr,
            cluster_id=self.state.cluster_id,
            error=error,
            managers=managers,
            ready=bool(session.session_id) and not failure,
            tasks_running=running,
            tasks_total=total,
        )

    def _on_news(self, news: SessionNews) -> None:
        """Remember the managers for the next start."""
        self._seen_addr = news.node.status.addr
        if not news.managers or news.managers == self.state.managers:
            return
        self.state = dataclasses.replace(self.state, managers=news.managers)
        try:
            self._file.save(self.state)
        except OSError as error:  # no reason to end a session; the next news tries again
            log.warning("the addresses of the managers cannot be written to %s: %s", self._file.path, error)

    def _failed(self, error: BaseException) -> None:
        """Something that everything stands on broke: say so in the status, answer nothing wrong."""
        self._error = self._error or f"{type(error).__name__}: {error}"
        log.critical("the membership failed: %s", self._error)


def _keys(settings: Settings) -> KeyStore:
    return KeyStore(settings.state_dir / "certificates")


async def found(
    settings: Settings, clock: Clock, options: InitOptions, addresses: Addresses, file: StateFile
) -> Member:
    """A new swarm with this host as its manager, running when this returns. On failure nothing runs; what is on disk
    is the caller's to wipe.
    """
    chosen = founding.settings_of(options)
    keys = _keys(settings)
    keys.discard_pending_key()
    key = keys.pending_key()
    swarm = founding.found(
        chosen,
        certificates=PkiMaker(),
        ids=world.ids,
        csr=make_csr(key),
        control_addr=addresses.advertise,
        now=clock.wall(),
    )
    keys.save(
        NodeCredentials(key, swarm.certificate.chain.encode("ascii"), swarm.cluster.root_certificate.encode("ascii"))
    )
    state = MemberState(
        node_id=swarm.node.id,
        cluster_id=swarm.cluster.id,
        role=MANAGER,
        listen_addr=str(addresses.listen),
        advertise_addr=addresses.advertise,
        data_path_addr=addresses.data_path,
        managers=((swarm.node.id, addresses.advertise),),
    )
    member = Member(settings, clock, state, addresses, file)
    await member.start(swarm.changes)
    try:
        file.save(state)
    except BaseException:
        await member.stop(restarting=False)
        raise
    return member


async def join(settings: Settings, clock: Clock, options: JoinOptions, addresses: Addresses, file: StateFile) -> Member:
    """A member of the swarm that the secret belongs to, running when this returns.

    A refused join keeps the key, so that asking again gives the same membership. One that was granted and then failed
    on this host leaves nothing behind.
    """
    try:
        secret = parse_join_secret(options.secret)
    except TokenError as error:
        raise InvalidArgument(str(error), plain=True) from error
    keys = _keys(settings)
    key = keys.pending_key()
    request = JoinRequest(
        csr_pem=make_csr(key),
        secret=secret,
        availability=options.availability or "active",
        advertise_addr=addresses.advertise,
        listen_port=addresses.listen.port,
        version=__version__,
    )

    def check(root: bytes, chain: bytes) -> Identity:
        return peer.verify(root, chain, certificates.utc(clock.wall()), key_pem=key)

    try:
        joined = await join_client.join(options.remote_addrs, request, check=check)
    except JoinError as error:
        kind = Unavailable if error.temporary else InvalidArgument
        raise error.refusal or kind(str(error), plain=True) from error
    except (PkiError, address_room.AddressError) as error:
        raise InvalidArgument(str(error), plain=True) from error
    grant = joined.grant
    state = MemberState(
        node_id=grant.node_id,
        cluster_id=grant.cluster_id,
        role=grant.role,
        listen_addr=str(addresses.listen),
        advertise_addr=addresses.advertise,
        data_path_addr=addresses.data_path,
        managers=tuple((manager.node_id, manager.addr) for manager in grant.managers),
    )
    try:
        keys.save(NodeCredentials(key, grant.certificate_pem, joined.root_pem))
        file.save(state)
        return await resume(settings, clock, state, file)
    except BaseException:
        file.wipe()
        raise


async def resume(settings: Settings, clock: Clock, state: MemberState, file: StateFile) -> Member:
    """Go on with a membership from what is on disk."""
    listen = address_room.parse(state.listen_addr, 2377)
    addresses = Addresses(listen, state.advertise_addr, state.data_path_addr)
    member = Member(settings, clock, state, addresses, file)
    await member.start()
    return member
