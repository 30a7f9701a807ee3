# SPDX-License-Identifier: Apache-2.0
"""The manager half of a member: log, store, loop, dispatcher, control port and join listener, joined together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from queenright.app import world
from queenright.app.addressing import Addresses
from queenright.app.certificates import Credentials, PeerReader, PkiMaker
from queenright.app.logbook import Logbook
from queenright.app.state import StateError
from queenright.decide import nodes as liveness
from queenright.decide.orchestrate import DECIDERS, Decider
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.server import ControlServer, ServerError
from queenright.edge.http.join_server import JoinServer
from queenright.edge.raft import RaftError, RaftLog
from queenright.lib.tasks import Background
from queenright.manager.authority import Authority
from queenright.manager.context import Context
from queenright.manager.control import Control
from queenright.manager.dispatch import Dispatcher
from queenright.manager.ports import Clock
from queenright.manager.proposer import LogProposer, StoreMachine
from queenright.manager.reconcile import Reconciler
from queenright.model.changes import Change
from queenright.store.store import Store

log = logging.getLogger(__name__)


class Managing:
    """Runs from :meth:`start` to :meth:`stop`. ``on_fatal`` is told once when the log cannot be written any more."""

    def __init__(
        self,
        directory: Path,
        node_id: str,
        cluster_id: str,
        addresses: Addresses,
        credentials: Credentials,
        clock: Clock,
        *,
        snapshot_entries: int,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._directory = directory
        self._cluster_id = cluster_id
        self._addresses = addresses
        self._clock = clock
        self.store = Store()
        self._log = RaftLog(
            directory, node_id, StoreMachine(self.store), snapshot_every=snapshot_entries, on_fatal=on_fatal
        )
        self.proposer = LogProposer(Logbook(self._log), clock)
        self._context = Context(self.store, self.proposer, clock, world.ids)
        self._authority = Authority(self._context, PkiMaker())
        self.dispatcher = Dispatcher(self.store, self.proposer, clock, world.ids, on_beat=self._on_beat)
        self._reconciler = Reconciler(self.store, self.proposer, clock, world.ids, self._deciders())
        authorizer = Authorizer(self.store, cluster_id, clock, PeerReader())
        self._control_server = ControlServer(self.dispatcher, authorizer, credentials.for_grpc)
        context = credentials.tls_context()
        self._join_server = JoinServer(
            self._authority, context=lambda: context, root_pem=credentials.root_pem, clock=clock.mono
        )
        self._background = Background(on_failure=lambda name, error: on_fatal(error))
        self.control = Control(self._context, self._authority)

    async def start(self, founding: Sequence[Change] = ()) -> None:
        """Bring the log up, write the founding entry of a new swarm, open the ports, begin to decide.

        Raises StateError (the log cannot be used) or OSError (a port or the disk refuses); then nothing runs.
        """
        try:
            await self._log.start()
        except RaftError as error:
            raise StateError(str(error)) from error
        try:
            if founding:
                await self.proposer.propose(founding)
            await self.proposer.barrier()
            self._require_swarm()
            await self._open_ports()
        except BaseException:
            await self.stop()
            raise
        self.dispatcher.start()
        self._background.start(self._reconciler.run(), "reconcile")

    def _require_swarm(self) -> None:
        """A log that is there but holds another swarm, or none, must not become a new one by and by."""
        cluster = self.store.cluster
        if cluster is None or cluster.id != self._cluster_id:
            held = "nothing" if cluster is None else f"swarm {cluster.id}"
            raise StateError(
                f"the log in {self._directory} holds {held} instead of swarm {self._cluster_id}: restore the state "
                "directory from a backup, or leave with force"
            )

    async def _open_ports(self) -> None:
        listen = self._addresses.listen
        try:
            await self._control_server.start(listen.host, listen.port)
        except ServerError as error:
            raise OSError(str(error)) from error
        await self._join_server.start(listen.host, listen.port + 1)

    async def stop(self) -> None:
        """Refuse new calls, end sessions, drain the log. Every write that was answered is on disk."""
        await self._join_server.stop(0.2)
        await self.dispatcher.stop()
        await self._control_server.stop(0.5)
        await self._background.stop()
        await self._log.stop()

    @property
    def failure(self) -> str | None:
        """Why the log cannot be written, if so."""
        return self._log.failure

    def peers(self) -> tuple[tuple[str, str], ...]:
        """The managers as (node id, address)."""
        return tuple((node.id, node.manager_addr) for node in self.store.nodes.by("role", "manager"))

    def _deciders(self) -> list[tuple[str, Decider]]:
        """Liveness first: what becomes of a dead node's tasks is decided in the same round."""
        return [("nodes", liveness.decider(self.dispatcher.beats, self._clock.mono())), *DECIDERS]

    def _on_beat(self) -> None:
        self._reconciler.poke()
