# SPDX-License-Identifier: Apache-2.0
"""A membership: a worker's, or a manager's who is also a worker."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

from queenright.app import sealing, world
from queenright.app.addressing import Addresses, host_of
from queenright.app.certificates import Credentials
from queenright.app.changing import Changing, Roots
from queenright.app.homecoming import WayHome
from queenright.app.locking import Locking, Sealed
from queenright.app.managing import Managing
from queenright.app.relaying import ToLeader
from queenright.app.settings import Settings
from queenright.app.state import MemberState, StateError, StateFile
from queenright.app.working import Working
from queenright.edge.grpc.ports import Forwarding
from queenright.edge.pki.keystore import KeyStore
from queenright.edge.raft.force import force_new_cluster
from queenright.lib.tasks import Background
from queenright.manager import texts
from queenright.manager.ports import Clock, LocalState
from queenright.model.changes import Change
from queenright.model.errors import Unavailable
from queenright.spec.cluster import MANAGER, WORKER
from queenright.wire.messages import SessionNews

log = logging.getLogger(__name__)

MISMATCH = "this host is a manager, but its certificate is a worker's: waiting for word from the other managers"


def at(state: MemberState, addresses: Addresses) -> MemberState:
    """The membership, reached there."""
    return dataclasses.replace(
        state,
        listen_addr=str(addresses.listen),
        advertise_addr=addresses.advertise,
        data_path_addr=addresses.data_path,
    )


def forced(state: MemberState, addresses: Addresses) -> MemberState:
    """The membership of a manager that shall be the only one from its next start on."""
    managers = ((state.node_id, addresses.advertise),)
    return dataclasses.replace(at(state, addresses), managers=managers, forcing=True)


class Member:
    """Runs from :meth:`start` to :meth:`stop` or :meth:`leave`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        state: MemberState,
        addresses: Addresses,
        file: StateFile,
        gateway: Forwarding,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.state = state
        self._addresses = addresses
        self._file = file
        self._gateway = gateway
        self._seen_addr = ""  # where a manager sees this node, if it advertises no address
        self._error = ""
        self._here: dict[str, str] = {}  # this node's own manager half is reached without the network
        if state.role != MANAGER:
            file.clear_lock()  # a demotion that was cut short; what is left is in clear
        keys = KeyStore(settings.state_dir / "certificates", sealing.lock_of(file, state.node_id))
        self._credentials = Credentials(keys)
        tasks_sealer = sealing.for_tasks(file, state.node_id)
        self._managing: Managing | None = None
        self._working = Working(
            settings.state_dir / "tasks.db",
            settings.docker_socket,
            settings.data_root,
            state.cluster_id,
            state.managers,
            tasks_sealer,
            self._credentials,
            clock,
            prefer_local=settings.prefer_local_images,
            here=self._here,
            addr=host_of(state.advertise_addr),
            data_addr=state.data_path_addr,
            on_news=self._on_news,
            on_removed=self._on_removed,
            on_failure=lambda name, error: self._failed(error),
        )
        self._changing = Changing(self, self._credentials, self._working.renew, clock, world.dice)
        self._locking = Locking(
            sealing.lock_of(file, state.node_id),
            keys,
            Sealed(tasks_sealer, self._working.reseal),
            acted=lambda: self.state.lock_version,
            act=lambda version: self._save(dataclasses.replace(self.state, lock_version=version)),
            renew=self._changing.renew_soon,
            dice=world.dice,
            on_failure=lambda name, error: self._failed(error),
        )
        self._way_home = WayHome(
            self._credentials,
            clock,
            world.dice,
            managers=lambda: [addr for _, addr in self.state.managers],
            in_session=lambda: bool(self._working.state.session_id) or self._working.state.removed,
            certified=self._came_home,
        )
        self._background = Background(lambda name, error: self._failed(error))
        self._turn = asyncio.Lock()  # the manager half is started and stopped by one at a time

    # -- life

    async def start(self, changes: tuple[Change, ...] = ()) -> None:
        """``changes``: the first entry of a new swarm."""
        if self.state.role != MANAGER:
            self._file.clear_log()  # a demotion that was cut short
        elif self._credentials.identity.role == MANAGER:
            await self._start_managing(changes)
        else:
            self._changing.problem = MISMATCH
        try:
            await self._working.start()
        except BaseException:
            await self._stop_managing()
            raise
        self._background.start(self._changing.run(), "changing")
        self._background.start(self._way_home.run(), "way-home")

    async def stop(self, *, restarting: bool) -> None:
        """End the daemon's part; containers stay."""
        await self._background.stop()
        await self._working.stop(restarting=restarting)
        await self._stop_managing()

    async def leave(self) -> None:
        """End the membership; its containers go, and so does a manager's log (the caller wipes the files)."""
        await self._background.stop()
        await self._working.leave()
        if self._managing is not None:
            await self._managing.resign()
        await self._stop_managing()

    def require_may_leave(self, force: bool) -> None:
        """A manager leaves only with force: the swarm may lose its quorum, or all of its state."""
        if self.state.role == MANAGER and not force:
            reachable, total = (1, 1) if self._managing is None else self._managing.reachable()
            leads = self._managing is not None and self._managing.leader() is not None
            raise Unavailable(texts.manager_leaves(reachable, total, leads=leads), plain=True)

    # -- the manager half

    @property
    def managing(self) -> bool:
        return self._managing is not None

    async def _start_managing(self, changes: tuple[Change, ...] = ()) -> None:
        """All of it or nothing. Raises StateError, OSError or Refusal."""
        state, directory = self.state, self._file.log_directory
        if state.fresh:
            self._file.clear_log()  # nobody was told of anything in it
        elif not changes and not (directory / "log").exists():
            raise StateError(
                f"the log of this manager is missing in {directory}: restore the state directory from a backup, or "
                "leave with force and join again"
            )
        sealer = sealing.for_log(self._file, state.node_id)
        if state.forcing:
            await asyncio.to_thread(force_new_cluster, directory, state.node_id, state.advertise_addr, sealer=sealer)
        managing = Managing(
            directory,
            self._addresses,
            self._credentials,
            self._clock,
            founding=bool(changes),
            snapshot_entries=self._settings.snapshot_entries,
            docker_socket=self._settings.docker_socket,
            gateway=self._gateway,
            sealer=sealer,
            on_fatal=self._failed,
        )
        try:
            await managing.open(changes)
            if state.forcing:
                await managing.be_sole_manager()
            if state.fresh or state.forcing:
                self._save(dataclasses.replace(state, fresh=False, forcing=False))
            await managing.serve()
        except BaseException:
            await managing.stop()
            raise
        self._managing = managing
        self._locking.start(managing.store, Sealed(sealer, managing.reseal))
        self._here[state.node_id] = self._addresses.local

    async def _stop_managing(self) -> None:
        managing, self._managing = self._managing, None
        self._here.clear()
        await self._locking.stop()
        if managing is not None:
            await managing.stop()

    async def begin_managing(self, version: int) -> None:
        """See ``changing.Hands``."""
        async with self._turn:
            if self.state.role != MANAGER:
                self._save(dataclasses.replace(self.state, role=MANAGER, fresh=True, role_version=version))
            if self._managing is None:
                await self._start_managing()
                log.info("this node is a manager now")

    async def end_managing(self, version: int) -> None:
        """See ``changing.Hands``."""
        async with self._turn:
            await self._stop_managing()
            self._locking.open_up()
            self._save(dataclasses.replace(self.state, role=WORKER, fresh=False, forcing=False, role_version=version))
            self._file.clear_log()
            self._locking.discard()
            log.info("this node is a worker now")

    def renew_soon(self) -> None:
        """The key of the certificate is known to others: have another one as soon as it can be had."""
        self._changing.renew_soon()

    @property
    def control_addr(self) -> str:
        """See ``changing.Hands``."""
        return self._addresses.advertise or str(self._addresses.listen)

    async def _came_home(self) -> None:
        self._changing.certified()
        await self.certificate_changed()

    async def roots_changed(self) -> None:
        """See ``changing.Hands``."""
        self._working.session.roots_changed()
        if self._managing is not None:
            await self._managing.certificate_changed()

    async def certificate_changed(self) -> None:
        """See ``changing.Hands``."""
        self._working.session.certificate_changed()
        if self._managing is not None:
            await self._managing.certificate_changed()

    async def force_new_cluster(self, addresses: Addresses) -> None:
        """Make this manager the only one, with all that it knows; it leads when this returns. Goes on at the next start
        if it is cut short. Raises StateError, OSError or Refusal; then it may be asked for again.
        """
        state = forced(self.state, addresses)
        async with self._turn:
            self._save(state)
            self._addresses = addresses
            try:
                await self._stop_managing()
                await self._start_managing()
            except BaseException as error:
                self._error = f"a new cluster was not forced yet: {error}"
                raise
            self._error = ""

    async def caught_up(self) -> None:
        """Return when this manager has a voice in the group and knows the swarm; at once on a worker."""
        if self._managing is not None:
            await self._managing.caught_up()

    def progress(self) -> str:
        """What a new manager still waits for."""
        return self._managing.progress() if self._managing is not None else self._changing.problem

    # -- what is asked of it

    def control(self) -> Any:
        """The manager's use cases, or the Engine's words for having none."""
        if self._managing is None or self._managing.failure:
            raise texts.not_a_manager(self.local_state())
        return self._managing.control

    def to_leader(self) -> ToLeader:
        """The way to the manager that leads; the Engine's words on a worker."""
        if self._managing is None:
            raise texts.not_a_manager(self.local_state())
        return self._managing.to_leader

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        return self._working.worker.explain(task_ref)

    def local_state(self) -> LocalState:
        session, managing = self._working.state, self._managing
        failure = self._error or (managing.failure if managing is not None else None)
        problem = self._locking.problem or self._changing.problem
        error = failure or problem or (session.error if not session.session_id else "")
        running, total = self._working.worker.counts()
        state = LocalState(
            state="error" if failure or session.removed else "active",
            role=self.state.role,
            node_id=self.state.node_id,
            node_addr=host_of(self.state.advertise_addr) or self._seen_addr,
            cluster_id=self.state.cluster_id,
            error=error,
            managers=self.state.managers,
            ready=bool(session.session_id) and not failure,
            tasks_running=running,
            tasks_total=total,
            clock_skew=session.skew,
        )
        return state if managing is None else managing.describe(state)

    # -- what happens

    def _on_news(self, news: SessionNews) -> None:
        """Remember the managers, and where this one is, for the next start; be what the swarm says."""
        self._seen_addr = news.node.status.addr
        managers = news.managers or self.state.managers
        advertise = self.state.advertise_addr or news.node.manager_addr
        told = dataclasses.replace(self.state, managers=managers, advertise_addr=advertise)
        if told != self.state:
            self._addresses = dataclasses.replace(self._addresses, advertise=advertise)
            if self._managing is not None:
                self._managing.is_at(advertise)
            try:
                self._save(told)
            except OSError as error:  # no reason to end a session; the next news tries again
                self.state = told
                log.warning("what is known of the managers cannot be written to %s: %s", self._file.path, error)
        path = tuple(step.encode("ascii", "replace") for step in news.root_path)
        self._changing.heard(news.node, Roots(news.root_certificate.encode("ascii", "replace"), path))

    def _on_removed(self) -> None:
        """The swarm knows this node no more: a manager half would only knock at closed doors."""
        log.error("this node was removed from the swarm: leave with force, then join again")
        self._background.start(self._end_removed(), "removed")

    async def _end_removed(self) -> None:
        async with self._turn:
            await self._stop_managing()

    def _save(self, state: MemberState) -> None:
        """Durable first, then in force. Raises OSError."""
        self._file.save(state)
        self.state = state

    def _failed(self, error: BaseException) -> None:
        """Something that everything stands on broke: say so in the status, answer nothing wrong."""
        self._error = self._error or f"{type(error).__name__}: {error}"
        log.critical("the membership failed: %s", self._error)
