# SPDX-License-Identifier: Apache-2.0
"""What the tests of the use cases share: a store behind a proposer without a log, clocks and dice that can be told."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from queenright.manager.authority import Authority
from queenright.manager.conflict import ConflictError
from queenright.manager.context import Context
from queenright.manager.control import Control
from queenright.manager.founding import found, settings_of
from queenright.manager.ports import InitOptions, IssuedCertificate, RootCA
from queenright.model import features
from queenright.model.changes import Batch, Change, Create, Update
from queenright.model.errors import InvalidArgument
from queenright.model.ids import IdSource
from queenright.model.objects import Node, NodeDescription, NodeStatus, Object, Service, Task, TaskStatus
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import NodeSpec
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store
from queenright.wire import codec

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
DEADLINE = 60.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = START
        self.mono_at = 1000.0

    def wall(self) -> int:
        return self.at

    def mono(self) -> float:
        return self.mono_at

    def move(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)
        self.mono_at += seconds


class Proposer:
    """Applies batches to the store, each through the codec, as a log would. ``before``: run ahead of the next one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.is_leader = True
        self.batches: list[tuple[Change, ...]] = []
        self.before: list[Callable[[], None]] = []

    async def propose(self, changes: Sequence[Change]) -> int:
        if self.before:
            self.before.pop(0)()
        await asyncio.sleep(0)
        self.put(*changes)
        self.batches.append(tuple(changes))
        return self.store.index

    def put(self, *changes: Change) -> None:
        batch = codec.decode_batch(codec.encode_batch(Batch(self.clock.wall(), tuple(changes))))
        conflict = self.store.apply(self.store.index + 1, batch)
        if conflict is not None:
            raise ConflictError(conflict)

    async def barrier(self) -> int:
        return self.store.index


@dataclasses.dataclass(frozen=True)
class Seat:
    """A member of the group."""

    id: str
    addr: str = ""
    voter: bool = True


class Group:
    """Fulfils ``manager.ports.Consensus``: a raft group on paper, told who answers and what goes wrong.

    ``away``: members that do not answer; ``errors``: what a call on a node raises; ``calls``: what was asked for.
    """

    def __init__(self, node_id: str, addr: str = "") -> None:
        self.node_id = node_id
        self.seats = {node_id: Seat(node_id, addr)}
        self.is_leader = True
        self.term = 1
        self.leader_id: str | None = node_id
        self.has_quorum = True
        self.epoch = 0
        self.away: set[str] = set()
        self.errors: dict[str, BaseException] = {}
        self.calls: list[tuple[str, ...]] = []
        self.shown: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    def members(self) -> tuple[Seat, ...]:
        return tuple(sorted(self.seats.values(), key=lambda seat: seat.id))

    def connected(self, member_id: str) -> bool:
        return member_id == self.node_id or (member_id in self.seats and member_id not in self.away)

    def levels(self) -> dict[str, int]:
        return {key: self.shown.get(key, features.LEVEL) for key in self.seats}

    async def barrier(self) -> int:
        return 0

    async def add_member(self, member_id: str, addr: str) -> None:
        self.seats.setdefault(member_id, Seat(member_id, addr, voter=False))
        await self._called("add", member_id, addr)
        self.seats[member_id] = Seat(member_id, addr)

    async def remove_member(self, member_id: str) -> None:
        await self._called("remove", member_id)
        del self.seats[member_id]

    async def move_member(self, member_id: str, addr: str) -> None:
        await self._called("move", member_id, addr)
        self.seats[member_id] = dataclasses.replace(self.seats[member_id], addr=addr)

    async def transfer_leadership(self) -> None:
        await self._called("transfer", self.node_id)
        self.is_leader = False
        self.leader_id = next(key for key in sorted(self.seats) if key != self.node_id and key not in self.away)

    async def _called(self, what: str, member_id: str, *more: str) -> None:
        self.calls.append((what, member_id, *more))
        await self.gate.wait()
        await asyncio.sleep(0)
        if member_id in self.errors:
            raise self.errors[member_id]


class Certificates:
    """A CA that writes on paper: requests are ``key:<name>``, certificates say what they were asked to say."""

    def __init__(self) -> None:
        self.issued: list[dict[str, Any]] = []
        self.roots = 0

    def make_root(self, now: int, algorithm: str = "p256") -> RootCA:
        self.roots += 1
        number = self.roots if self.roots > 1 else ""
        return RootCA(f"-----ROOT{number}-----\n", f"-----KEY{number}-----\n")

    def read_root(self, certificates: str, key: str, now: int) -> RootCA:
        if not certificates.startswith("-----ROOT"):
            raise InvalidArgument("the certificate cannot be read")
        return RootCA(certificates, key)

    def cross_sign(self, old: RootCA, new: RootCA) -> str:
        return f"{new.certificate.strip()} by {old.certificate}"

    def root_request(self, new: RootCA) -> str:
        return f"request {new.certificate}"

    def check_cross_signed(self, cross_signed: str, old: str, new: str) -> None:
        if cross_signed != f"{new.strip()} by {old}":
            raise InvalidArgument("what was signed is not the new root below the present one")

    def issuer(self, root: RootCA) -> tuple[str, str]:
        return f"subject of {root.certificate}", f"key of {root.certificate}"

    def issue(
        self, root: RootCA, csr: bytes, *, node_id: str, role: str, cluster_id: str, validity: int, now: int
    ) -> IssuedCertificate:
        if not csr.startswith(b"key:"):
            raise InvalidArgument("the certificate request is damaged")
        self.issued.append({"node_id": node_id, "role": role, "cluster_id": cluster_id, "validity": validity})
        return IssuedCertificate(f"CERT {node_id} {role}\n", f"{len(self.issued):x}", now + validity)

    def key_digest(self, csr: bytes) -> str:
        if not csr.startswith(b"key:"):
            raise InvalidArgument("the certificate request is damaged")
        return key_digest(csr[4:].decode())

    def root_digest(self, certificate: str) -> str:
        return "sha256:" + hashlib.sha256(certificate.encode()).hexdigest()


def key_digest(name: str) -> str:
    """The digest of the key of the request ``key:<name>``."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def dice() -> Callable[[int], bytes]:
    """Bytes that look random and are the same in each run."""
    state = [0]

    def roll(count: int) -> bytes:
        state[0] += 1
        return hashlib.shake_256(str(state[0]).encode()).digest(count)

    return roll


@dataclasses.dataclass
class World:
    """A manager without log, loop and network: a founded swarm, its use cases, and hands to change things with."""

    store: Store
    clock: Clock
    proposer: Proposer
    certificates: Certificates
    context: Context
    control: Control
    manager_id: str
    group: Group

    @classmethod
    def make(cls, options: InitOptions | None = None) -> World:
        store, clock, certificates = Store(), Clock(), Certificates()
        proposer = Proposer(store, clock)
        ids = IdSource(dice())
        founding = found(
            settings_of(options or InitOptions()),
            certificates=certificates,
            ids=ids,
            csr=b"key:manager",
            control_addr="192.0.2.1:2377",
            now=clock.wall(),
        )
        proposer.put(*founding.changes)
        group = Group(founding.node.id, "192.0.2.1:2377")
        context = Context(store, proposer, clock, ids, group)
        control = Control(context, Authority(context, certificates))
        world = cls(store, clock, proposer, certificates, context, control, founding.node.id, group)
        world.describe(founding.node.id, "queen")
        return world

    def put(self, value: Object) -> Any:
        """Create or update an object behind everybody's back; gives it as stored."""
        known = self.store.get(value.kind, value.id)
        if known is None:
            self.proposer.put(Create(value))
        else:
            self.proposer.put(Update(dataclasses.replace(value, version=known.version)))
        return self.store.get(value.kind, value.id)

    def describe(self, node_id: str, hostname: str, state: NodeState = NodeState.READY) -> Node:
        """What a node's agent would have said."""
        node = self.store.nodes.get(node_id)
        assert node is not None
        described: Node = self.put(
            dataclasses.replace(
                node,
                description=NodeDescription(
                    hostname=hostname,
                    architecture="x86_64",
                    os="linux",
                    nano_cpus=4 * SECOND,
                    memory_bytes=8 << 30,
                    engine_version="20.10.24",
                    plugins=("Network/overlay", "Volume/local"),
                    trust_root="-----ROOT-----\n",
                    issuer_subject="c3ViamVjdA==",
                    issuer_public_key="a2V5",
                ),
                status=NodeStatus(state=state, addr="192.0.2.9"),
            )
        )
        return described

    def worker(self, hostname: str, state: NodeState = NodeState.READY, **spec: Any) -> Node:
        """Another node."""
        node = self.put(Node(id=self.context.ids(), spec=NodeSpec(role="worker", availability="active", **spec)))
        return self.describe(node.id, hostname, state)

    def manager(self, hostname: str, state: NodeState = NodeState.READY, *, seated: bool = True) -> Node:
        """Another manager; with a seat and a vote in the group unless told otherwise."""
        node = self.worker(hostname, state)
        addr = f"{hostname}:2377"
        spec = dataclasses.replace(node.spec, role="manager")
        made: Node = self.put(dataclasses.replace(node, spec=spec, role="manager", manager_addr=addr))
        if seated:
            self.group.seats[made.id] = Seat(made.id, addr)
        return made

    async def service(self, name: str = "web", **more: Any) -> Service:
        """A service made by the use case."""
        key = await self.control.services.create(service_spec(name, **more))
        return self.get_service(key)

    def get_service(self, ref: str) -> Service:
        return self.store.service(ref)

    def task(self, service: Service, slot: int = 1, node: Node | None = None, **more: Any) -> Task:
        """A task of the service; running on ``node`` unless ``state`` says otherwise."""
        state = more.pop("state", TaskState.RUNNING if node is not None else TaskState.PENDING)
        status = more.pop(
            "status",
            TaskStatus(
                state=state, at=self.clock.wall(), applied_at=self.clock.wall(), running_since=self.clock.wall()
            ),
        )
        values: dict[str, Any] = {
            "service_name": service.name,
            "service_labels": dict(service.spec.labels),
            "spec": service.spec.task,
            "endpoint": service.spec.endpoint,
            "spec_version": service.spec_version,
            "node_id": node.id if node is not None else "",
        }
        values.update(more)
        task: Task = self.put(Task(id=self.context.ids(), service_id=service.id, slot=slot, status=status, **values))
        return task


def service_json(name: str = "web", **more: Any) -> dict[str, Any]:
    """A service spec in Engine JSON. ``container``: more of the ContainerSpec; ``task``: of the TaskTemplate."""
    container = {"Image": "busybox:1", **more.pop("container", {})}
    return {"Name": name, "TaskTemplate": {"ContainerSpec": container, **more.pop("task", {})}, **more}


def service_spec(name: str = "web", **more: Any) -> ServiceSpec:
    return decode(ServiceSpec, service_json(name, **more))
