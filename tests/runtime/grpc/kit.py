# SPDX-License-Identifier: Apache-2.0
"""A control port over a real store, with certificates of a real CA."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence

from queenright.app.certificates import PeerReader, nanoseconds
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.client import GrpcConnector, GrpcLink
from queenright.edge.grpc.server import ControlServer
from queenright.edge.pki.authority import IssuedCertificate, LocalSigner, Root, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.manager.conflict import ConflictError
from queenright.manager.dispatch import Dispatcher
from queenright.model.changes import Batch, Change, Create
from queenright.model.identity import Role
from queenright.model.ids import new_id
from queenright.model.objects import Cluster, Node
from queenright.store.store import Store

CLUSTER, MANAGER, WORKER, OTHER = (new_id(bytes([number]) * 17) for number in range(1, 5))


class Clock:
    def __init__(self) -> None:
        self.ahead = 0

    def wall(self) -> int:
        return nanoseconds(datetime.datetime.now(datetime.UTC)) + self.ahead

    def mono(self) -> float:
        return self.wall() / 1e9


class Proposer:
    is_leader = True

    def __init__(self, store: Store) -> None:
        self.store = store

    async def propose(self, changes: Sequence[Change]) -> int:
        conflict = self.store.apply(self.store.index + 1, Batch(1, tuple(changes)))
        if conflict is not None:
            raise ConflictError(conflict)
        return self.store.index

    async def barrier(self) -> int:
        return self.store.index


class Identity:
    """A key and the certificate issued for it."""

    def __init__(self, root: Root, node_id: str, role: Role, cluster_id: str = CLUSTER) -> None:
        self.key = make_key()
        now = datetime.datetime.now(datetime.UTC)
        self.issued: IssuedCertificate = LocalSigner(root).issue(
            make_csr(self.key), Subject(node_id, cluster_id, role), now=now, validity=datetime.timedelta(hours=1)
        )
        self.root = root

    def for_grpc(self) -> tuple[bytes, bytes, bytes]:
        return self.key, self.issued.chain_pem, self.root.certificate_pem


class Port:
    """A manager's control port on loopback."""

    def __init__(self) -> None:
        self.root = create_root(datetime.datetime.now(datetime.UTC))
        self.store, self.clock = Store(), Clock()
        self.proposer = Proposer(self.store)
        self.manager = Identity(self.root, MANAGER, "manager")
        self.worker = Identity(self.root, WORKER, "worker")
        self.write(
            Create(Cluster(id=CLUSTER, root_certificate="PEM")),
            Create(Node(id=MANAGER, role="manager", serial=self.manager.issued.serial, manager_addr="m:2377")),
            Create(Node(id=WORKER, role="worker", serial=self.worker.issued.serial)),
        )
        counter = itertools.count()
        self.dispatcher = Dispatcher(self.store, self.proposer, self.clock, lambda: f"id{next(counter)}")
        authorizer = Authorizer(self.store, CLUSTER, self.clock, PeerReader())
        self.server = ControlServer(self.dispatcher, authorizer, self.manager.for_grpc)
        self.port = 0

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None

    async def start(self) -> None:
        self.dispatcher.start()
        self.port = await self.server.start("127.0.0.1", 0)

    async def stop(self) -> None:
        await self.dispatcher.stop()
        await self.server.stop(0.1)

    def link(self, identity: Identity | None = None, server: str = MANAGER) -> GrpcLink:
        return GrpcConnector((identity or self.worker).for_grpc).connect(server, f"127.0.0.1:{self.port}")
