# SPDX-License-Identifier: Apache-2.0
"""Managers on loopback that reach each other over mutual TLS; their logs note what comes in."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import time
from collections.abc import AsyncIterator, Callable

from queenright.app.certificates import PeerReader
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.peers import GrpcPeers
from queenright.edge.grpc.ports import RaftReceiver
from queenright.edge.grpc.server import ControlServer
from queenright.edge.pki.authority import Root, create_root
from queenright.manager.dispatch import Dispatcher
from queenright.model.changes import Batch, Change, Create, Update
from queenright.model.errors import Refusal
from queenright.model.ids import new_id
from queenright.model.objects import Cluster, Node
from queenright.store.store import Store
from queenright.wire.messages import ForwardAnswer, ForwardCall
from queenright.wire.raft import AppendEntries, Entry, Envelope, Message, SnapshotHead

from .kit import CLUSTER, Clock, Identity, Proposer

PATIENCE = 60.0
A, B, C = (new_id(bytes([number]) * 17) for number in range(11, 14))


async def until(condition: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """Wait for a condition, with a deadline that a slow machine keeps."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        await asyncio.sleep(0.005)


class Log:
    """A ``RaftReceiver`` that notes what it gets. ``refusals``: sender -> text."""

    def __init__(self) -> None:
        self.has_quorum = False
        self.refusals: dict[str, str] = {}
        self.epoch = 0
        self.received: list[tuple[str, Envelope]] = []
        self.snapshots: list[tuple[str, SnapshotHead, bytes]] = []
        self.snapshot_error: Exception | None = None

    def refusal(self, sender_id: str, epoch: int) -> str | None:
        if epoch != self.epoch:
            return f"epoch {epoch} is not epoch {self.epoch}"
        return self.refusals.get(sender_id)

    def receive(self, sender_id: str, envelope: Envelope) -> None:
        self.received.append((sender_id, envelope))

    async def receive_snapshot(self, sender_id: str, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> None:
        data = b""
        async for chunk in chunks:
            data += chunk
            if self.snapshot_error is not None:
                raise self.snapshot_error
        self.snapshots.append((sender_id, head, data))

    def messages(self) -> list[Message]:
        return [message for _, envelope in self.received for message in envelope.messages]

    def numbers(self) -> list[int]:
        """Commit indexes of the entries' messages: the tests number them so."""
        return [message.commit_index for message in self.messages() if isinstance(message, AppendEntries)]


class Behind:
    """The use cases for other managers. ``error`` is raised by all."""

    def __init__(self) -> None:
        self.error: Refusal | None = None
        self.calls: list[ForwardCall] = []
        self.hold: asyncio.Event | None = None
        self.renewals: list[tuple[str, bytes, str, str]] = []

    async def _enter(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        self.calls.append(call)
        await self._enter()
        return ForwardAnswer(201, {"Api-Version": "1.41"}, call.body[::-1], 77)

    async def admit(self, body: bytes, source: str) -> bytes:
        await self._enter()
        return body + source.encode()

    async def renew(
        self, node_id: str, csr_pem: bytes, control_addr: str = "", *, serial: str = ""
    ) -> tuple[bytes, str]:
        self.renewals.append((node_id, csr_pem, control_addr, serial))
        await self._enter()
        return b"CHAIN", "manager"


class Member:
    """A manager: its control port, its way to the others."""

    def __init__(self, root: Root, node_id: str) -> None:
        self.root, self.node_id = root, node_id
        self.identity = Identity(root, node_id, "manager")
        self.log, self.behind, self.clock, self.store = Log(), Behind(), Clock(), Store()
        self.raft: RaftReceiver = self.log
        self.refused: list[tuple[str, str]] = []
        self.epochs: list[tuple[str, int]] = []
        self.asked = 0  # how often the certificates were asked for by the way out
        self.peers = self.make_peers()
        self.proposer = Proposer(self.store)
        self.dispatcher = Dispatcher(self.store, self.proposer, self.clock, iter(map(str, range(10**6))).__next__)
        self.leader: tuple[str, str] | None = None
        self.confirm_error: Refusal | None = None
        self.server: ControlServer | None = None
        self.port = 0

    def _certificates(self) -> tuple[bytes, bytes, bytes]:
        self.asked += 1
        return self.identity.for_grpc()

    def _served_certificates(self) -> tuple[bytes, bytes, bytes]:
        return self.identity.for_grpc()

    def make_peers(self, addr: str = "") -> GrpcPeers:
        return GrpcPeers(
            self._certificates,
            dice=lambda: 0.5,
            addr=addr,
            on_refused=lambda member_id, text: self.refused.append((member_id, text)),
            on_epoch=lambda member_id, epoch: self.epochs.append((member_id, epoch)),
        )

    @property
    def addr(self) -> str:
        return f"127.0.0.1:{self.port}"

    def know(self, *nodes: tuple[str, str, str]) -> None:
        """Have the swarm in the store, with nodes as (id, role, serial)."""
        if self.store.cluster is None:
            self.write(Create(Cluster(id=CLUSTER, root_certificate="PEM")))
        self.write(*(Create(Node(id=node_id, role=role, serial=serial)) for node_id, role, serial in nodes))

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None

    def change_node(self, node_id: str, **values: str) -> None:
        node = self.store.nodes.get(node_id)
        assert node is not None
        self.write(Update(dataclasses.replace(node, **values)))

    async def confirm(self) -> int:
        if self.confirm_error is not None:
            raise self.confirm_error
        return self.store.index

    async def listen(self) -> None:
        self.server = ControlServer(
            self.dispatcher,
            Authorizer(self.store, CLUSTER, self.clock, PeerReader()),
            self._served_certificates,
            raft=self.raft,
            heard=self.peers.heard,
            forwarding=self.behind,
            admitting=self.behind,
            renewing=self.behind,
            leader=lambda: self.leader,
            confirm=self.confirm,
        )
        self.port = await self.server.start("127.0.0.1", self.port)

    async def deaf(self) -> None:
        """Close the port."""
        if self.server is not None:
            await self.server.stop(0)
            self.server = None

    async def stop(self) -> None:
        await self.peers.close()
        await self.deaf()

    def send(self, to: Member, *numbers: int, fill: int = 0) -> None:
        for number in numbers:
            self.peers.send(to.node_id, numbered(number, fill))


def numbered(number: int, fill: int = 0, epoch: int = 0) -> Envelope:
    entries = (Entry(b"\0" + bytes(fill), 1, 1),) if fill else ()
    return Envelope(epoch, 1, (AppendEntries(1, number, 0, 0, entries),))


async def pair() -> AsyncIterator[tuple[Member, Member]]:
    """Two managers; the first one reaches the second one."""
    root = create_root(datetime.datetime.now(datetime.UTC))
    a, b = Member(root, A), Member(root, B)
    for member in (a, b):
        await member.listen()
    a.peers.reach({B: b.addr})
    try:
        yield a, b
    finally:
        await a.stop()
        await b.stop()
