# SPDX-License-Identifier: Apache-2.0
"""The agent half of a member: executor, task database, worker and the session with a manager, joined together."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from queenright import __version__
from queenright.agent.data import NodeData
from queenright.agent.database import DatabaseError, TaskDatabase
from queenright.agent.dataplane import Dataplane
from queenright.agent.link import LinkError
from queenright.agent.logs import LogPublisher
from queenright.agent.ports import ExecutorError, Found, Sealer
from queenright.agent.remotes import Remotes
from queenright.agent.reporter import Reporter
from queenright.agent.session import SessionLoop, SessionState
from queenright.agent.worker import Worker
from queenright.app import mesh, world
from queenright.app.certificates import Credentials
from queenright.app.state import StateError
from queenright.edge.docker.executor import DockerExecutor
from queenright.edge.docker.logs import DockerLogs
from queenright.edge.grpc.client import GrpcConnector, GrpcLink
from queenright.edge.kernel import underlay
from queenright.edge.pki.describe import issuer_info
from queenright.lib.backoff import Backoff
from queenright.lib.tasks import Background
from queenright.manager.ports import Clock
from queenright.model.objects import NodeDescription
from queenright.wire import codec
from queenright.wire.messages import SessionNews

log = logging.getLogger(__name__)

LEAVE_SECONDS = 60.0
GIVE_UP_GRACE = 10.0  # seconds for a container of a membership that is given up


class _Connector:
    """Reaches the managers where they say they are, and those of ``here`` (node id -> address, as it then is) there:
    a manager need not be able to reach itself at the address it has for others.
    """

    def __init__(self, certificates: Credentials, here: Mapping[str, str]) -> None:
        self._connector = GrpcConnector(certificates.for_grpc)
        self._here = here

    def connect(self, node_id: str, addr: str) -> GrpcLink:
        return self._connector.connect(node_id, self._here.get(node_id, addr))


class Working:
    """Runs from :meth:`start` to :meth:`stop`; containers outlive it."""

    def __init__(
        self,
        database: Path,
        docker_socket: Path,
        data_root: Path,
        cluster_id: str,
        managers: tuple[tuple[str, str], ...],
        sealer: Sealer,
        credentials: Credentials,
        clock: Clock,
        *,
        prefer_local: bool,
        here: Mapping[str, str],
        addr: str,
        data_addr: str,
        on_news: Callable[[SessionNews], None],
        on_removed: Callable[[], None],
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._credentials = credentials
        self._data_addr = data_addr
        self._described: NodeDescription | None = None
        data = NodeData()
        self._executor = DockerExecutor(
            cluster_id,
            wall=clock.wall,
            supplies=data,
            data_root=data_root,
            socket=str(docker_socket),
            prefer_local=prefer_local,
        )
        self._database = database_file = TaskDatabase(
            database, sealer, encode=codec.encode_task, decode=codec.decode_task
        )
        self.worker = Worker(self._executor, database_file, Reporter(world.dice), clock, data)
        self.dataplane = Dataplane(
            cluster_id,
            credentials.identity.node_id,
            database_file,
            lambda names: mesh.load(names, self._executor.networks, self.worker.nameservers),
            self.worker.uses,
        )
        self.worker.mesh = self.dataplane
        self._remotes = Remotes(managers, world.dice)
        self._connector = _Connector(credentials, here)
        self.session = SessionLoop(
            self._remotes,
            self._connector,
            self.worker,
            self._describe,
            addr=addr,
            dice=world.dice,
            wall=clock.wall,
            on_news=on_news,
            beside=(
                LogPublisher(DockerLogs(str(docker_socket)), self.worker, self._connector, clock).run,
                self.dataplane.follow,
            ),
        )
        self._on_removed = on_removed
        self._background = Background(on_failure)

    async def renew(self, csr_pem: bytes, control_addr: str) -> bytes:
        """A certificate chain (PEM) for another key, of the manager that holds the session. Raises LinkError."""
        held = self.session.state.manager
        place = next((manager for manager in self._remotes if manager[1] == held), None)
        if place is None:
            raise LinkError("Unavailable", "no manager holds a session with this node now")
        link = self._connector.connect(*place)
        try:
            chain, _ = await link.renew(csr_pem, control_addr)
        finally:
            await link.close()
        return chain

    async def reseal(self) -> None:
        """Seal anew what is remembered of tasks, with the newest key. Raises OSError if that is not possible now."""
        try:
            await self._database.reseal()
        except DatabaseError as error:
            raise OSError(str(error)) from error

    async def start(self) -> None:
        """Raises StateError where the remembered tasks cannot be read; then nothing runs."""
        self._executor.open()
        try:
            await self.worker.start()
        except BaseException as error:
            await self._executor.close()
            if isinstance(error, DatabaseError):
                raise StateError(str(error)) from error
            raise
        self._background.start(self._hold_sessions(), "session")

    async def _hold_sessions(self) -> None:
        await self.session.run()
        self._on_removed()

    async def stop(self, *, restarting: bool) -> None:
        """``restarting``: the manager is told that this node is back in a moment."""
        if restarting:
            await self.session.restarting()
        await self._background.stop()
        await self.worker.stop()
        await self._executor.close()

    async def leave(self) -> None:
        """Stop and remove every container of this membership."""
        await self._background.stop()
        left = await self.worker.remove_all(LEAVE_SECONDS)
        if left:
            log.error("containers of %d tasks are still there", len(left), extra={"tasks": left})
        await self.dataplane.leave()
        await self.worker.stop()
        await self._executor.close()

    @property
    def state(self) -> SessionState:
        return self.session.state

    async def _describe(self) -> NodeDescription:
        """What managers are told of this machine. An engine that never answered is waited for: without it there is
        nothing to offer. One that was lost later is described as it was.
        """
        backoff = Backoff(world.dice, first=0.2)
        while True:
            try:
                described = await self._executor.describe()
            except ExecutorError as error:
                if self._described is not None:
                    return self._described
                log.warning("the Docker Engine cannot be asked: %s", error)
                await asyncio.sleep(0.1 + backoff.next())
            else:
                break
        subject, key = issuer_info(self._credentials.chain_pem(), self._credentials.root_pem())
        self._described = dataclasses.replace(
            described,
            trust_root=self._credentials.root_pem().decode("ascii"),
            issuer_subject=subject,
            issuer_public_key=key,
            runtime_version=__version__,
            data_addr=self._data_addr,
            prefixes=underlay.prefixes(),
            mtu=underlay.mtu(),
        )
        probe = self.dataplane.probe
        if probe is not None:
            found = dataclasses.replace(self._described, mesh=probe.mesh, mesh_error=probe.error)
            self._described = dataclasses.replace(found, mtu=probe.mtu or found.mtu)
        return self._described


async def remove_containers(docker_socket: Path, data_root: Path, cluster_id: str, clock: Clock) -> None:
    """End and remove every container and network of a membership that cannot go on; what resists is logged."""
    executor = DockerExecutor(
        cluster_id, wall=clock.wall, supplies=NodeData(), data_root=data_root, socket=str(docker_socket)
    )

    async def remove(item: Found) -> None:
        if item.running:
            await executor.stop(item.container_id, "", GIVE_UP_GRACE)
        await executor.remove(item.container_id, item.task_id)

    executor.open()
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            found = await executor.found()
            ends = await asyncio.gather(*(remove(item) for item in found), return_exceptions=True)
            for item, error in zip(found, ends, strict=True):
                if error is not None:
                    log.error("container %s is still there: %s", item.container_id[:12], error)
            await executor.sweep(())
            await executor.networks.sweep(())
    except (ExecutorError, TimeoutError) as error:
        log.error("containers of the swarm that was left may still be there: %s", error)
    finally:
        await executor.close()
        await mesh.clear(cluster_id)
