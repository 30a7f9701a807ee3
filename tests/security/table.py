# SPDX-License-Identifier: Apache-2.0
"""Each row of the table of calls, tried by each kind of caller that has no right to it, over real mutual TLS.

The requests are such that they would do something: they name an open session and a task of another node. What arrives
behind the gate is counted: none may.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from runtime.grpc.kit import CLUSTER, MANAGER, WORKER, Clock, Identity, Proposer
from runtime.grpc.members import Behind, Log, numbered, until

from queenright.app.certificates import PeerReader
from queenright.edge.grpc import options
from queenright.edge.grpc.authorize import TABLE, Authorizer
from queenright.edge.grpc.authorize import WORKER as WORKER_ROLE
from queenright.edge.grpc.server import ControlServer
from queenright.edge.pki.authority import IssuedCertificate, LocalSigner, Root, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.manager.dispatch import Dispatcher, Session
from queenright.manager.logs import LogBroker
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.identity import Role
from queenright.model.ids import new_id
from queenright.model.objects import Cluster, Node, NodeDescription, Task
from queenright.spec.container import ContainerSpec
from queenright.spec.service import TaskSpec
from queenright.store.store import Store
from queenright.wire.gen import control_pb2, dispatcher_pb2, logs_pb2
from queenright.wire.raft import encode_envelope

PATIENCE = 60.0
HOUR = datetime.timedelta(hours=1)
NOW = datetime.datetime.now(datetime.UTC)
ANOTHER = new_id(b"\x05" * 17)  # a swarm, and nodes that come and go
THIRD, GONE, DEMOTED, REVOKED, FORMER = (new_id(bytes([number]) * 17) for number in range(21, 26))
DENIED = "PERMISSION_DENIED"
HANDSHAKE = "UNAVAILABLE"
RAFT = "/queenright.v1.Raft/"
EXCHANGE = RAFT + "Exchange"


class Made(Identity):
    """A member's key and certificate, issued at any time for any life."""

    def __init__(self, root: Root, node_id: str, role: Role, *, cluster_id: str = CLUSTER, ago: int = 0) -> None:
        """``ago``: hours since it was issued for two hours; it begins an hour before that."""
        self.key = make_key()
        now = datetime.datetime.now(datetime.UTC) - ago * HOUR
        subject = Subject(node_id, cluster_id, role)
        self.issued: IssuedCertificate = LocalSigner(root).issue(
            make_csr(self.key), subject, now=now, validity=2 * HOUR
        )
        self.root = root


class Odd(Made):
    """A certificate of the right root that is no node's: of the kind that an outside authority may issue by mistake."""

    def __init__(self, root: Root, unit: str, name: str) -> None:
        super().__init__(root, WORKER, "manager")
        issued = x509.load_pem_x509_certificate(self.issued.chain_pem)
        key = serialization.load_pem_private_key(root.key_pem, None)
        oid = x509.NameOID
        subject = [(oid.ORGANIZATION_NAME, CLUSTER), (oid.ORGANIZATIONAL_UNIT_NAME, unit), (oid.COMMON_NAME, name)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*each) for each in subject]))
            .issuer_name(issued.issuer)
            .public_key(issued.public_key())
            .serial_number(issued.serial_number)
            .not_valid_before(issued.not_valid_before_utc)
            .not_valid_after(issued.not_valid_after_utc)
        )
        for extension in issued.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        odd = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
        self.issued = dataclasses.replace(self.issued, chain_pem=odd)


class Site:
    """A leading manager's control port with every service, over a store with nodes of all kinds."""

    def __init__(self) -> None:
        self.root = create_root(datetime.datetime.now(datetime.UTC))
        self.store, self.clock, self.log, self.behind = Store(), Clock(), Log(), Behind()
        self.log.has_quorum = True
        self.manager = Made(self.root, MANAGER, "manager")
        self.worker = Made(self.root, WORKER, "worker")
        self.third = Made(self.root, THIRD, "worker")
        self.demoted = Made(self.root, DEMOTED, "manager")
        self.revoked = Made(self.root, REVOKED, "manager")
        self.former = Made(self.root, FORMER, "manager")
        self.revocations = {self.revoked.issued.serial}
        self.write(
            Create(Cluster(id=CLUSTER, root_certificate="PEM")),
            *(
                Create(Node(id=node_id, role=role, serial=serial))
                for node_id, role, serial in (
                    (MANAGER, "manager", self.manager.issued.serial),
                    (WORKER, "worker", self.worker.issued.serial),
                    (THIRD, "worker", self.third.issued.serial),
                    (DEMOTED, "worker", self.demoted.issued.serial),
                    (REVOKED, "manager", self.revoked.issued.serial),
                    (FORMER, "manager", "77"),
                )
            ),
        )
        self.write(
            Create(Task(id="theirs", node_id=THIRD, service_id="s", spec=TaskSpec(container=ContainerSpec(image="x"))))
        )
        self.proposer = Proposer(self.store)
        counter = itertools.count()
        self.dispatcher = Dispatcher(self.store, self.proposer, self.clock, lambda: f"id{next(counter)}")
        self.broker = LogBroker(self.store, self.clock, lambda: f"log{next(counter)}")
        self.seen: list[Any] = []
        self.server = ControlServer(
            self.dispatcher,
            Authorizer(self.store, CLUSTER, self.clock, PeerReader(), self.revocations.__contains__),
            self.manager.for_grpc,
            raft=self.log,
            forwarding=self.behind,
            admitting=self.behind,
            renewing=self.behind,
            logs=self.broker,
            confirm=self.proposer.barrier,
            seen=self.seen.append,
        )
        self.port = 0
        self.session: Session | None = None  # of the third node
        self.own: Session | None = None  # of the worker

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None

    async def start(self) -> None:
        self.dispatcher.start()
        self.broker.start()
        self.port = await self.server.start("127.0.0.1", 0)
        await self.open_sessions()

    async def open_sessions(self) -> None:
        self.session = await self.dispatcher.open(THIRD, NodeDescription(hostname="third"), "")
        self.own = await self.dispatcher.open(WORKER, NodeDescription(hostname="worker"), "")

    async def stop(self) -> None:
        await self.dispatcher.stop()
        await self.broker.stop()
        await self.server.stop(0.1)

    def arrived(self) -> tuple[int, ...]:
        """What came through to the use cases that others stand behind."""
        return len(self.behind.calls), len(self.behind.renewals), len(self.log.received), len(self.log.snapshots)

    @contextlib.asynccontextmanager
    async def channel(self, caller: Identity | None) -> AsyncIterator[grpc.aio.Channel]:
        key, chain = (caller.key, caller.issued.chain_pem) if caller is not None else (None, None)
        credentials = grpc.ssl_channel_credentials(self.root.certificate_pem, key, chain)
        named = options.client(MANAGER)
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=named) as channel:
            yield channel


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made = Site()
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


def requests(session_id: str, task_id: str = "theirs") -> dict[str, bytes]:
    """A request for each method that would do something."""
    dispatcher, logs = "/queenright.v1.Dispatcher/", "/queenright.v1.Logs/"
    update = dispatcher_pb2.TaskStatusUpdate(task_id=task_id)
    made = {
        dispatcher + "Session": dispatcher_pb2.SessionRequest(addr="10.0.0.9"),
        dispatcher + "Heartbeat": dispatcher_pb2.HeartbeatRequest(session_id=session_id),
        dispatcher + "Assignments": dispatcher_pb2.AssignmentsRequest(session_id=session_id),
        dispatcher + "UpdateTaskStatus": dispatcher_pb2.UpdateTaskStatusRequest(
            session_id=session_id, updates=[update]
        ),
        dispatcher + "Restarting": dispatcher_pb2.RestartingRequest(session_id=session_id),
        dispatcher + "Networks": dispatcher_pb2.NetworksRequest(session_id=session_id),
        dispatcher + "NetworksApplied": dispatcher_pb2.NetworksAppliedRequest(session_id=session_id, applied="x"),
        "/queenright.v1.Control/Forward": control_pb2.ForwardRequest(method="GET", path="/nodes", request_id="r"),
        "/queenright.v1.Control/Admit": control_pb2.AdmitRequest(body=b"{}", source="10.0.0.9"),
        "/queenright.v1.Certificates/Renew": control_pb2.RenewRequest(csr=b"csr", control_addr="10.0.0.9:2377"),
        logs + "Subscriptions": logs_pb2.LogSubscriptionsRequest(session_id=session_id),
        logs + "Publish": logs_pb2.LogPublication(session_id=session_id, subscription_id="s", task_id=task_id),
        logs + "Read": logs_pb2.LogReadRequest(task_ids=[task_id]),
    }
    found = {method: message.SerializeToString() for method, message in made.items()}
    return found | {EXCHANGE: encode_envelope(numbered(1)), RAFT + "InstallSnapshot": b"\x0a\x00"}


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One refusal that is expected, and what came."""

    caller: str
    method: str
    code: str
    words: str
    got: tuple[str, str]

    @property
    def holds(self) -> bool:
        return self.got[0] == self.code and self.words in self.got[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of caller: who, what it is told, and for which methods that is expected (None: all)."""

    name: str
    caller: Identity | None
    code: str
    words: str
    methods: Callable[[str], bool] = lambda method: True
    ahead: datetime.timedelta = datetime.timedelta()  # of the manager's clock


def for_managers_only(method: str) -> bool:
    return WORKER_ROLE not in TABLE[method].roles


def kinds(site: Site) -> Iterator[Kind]:
    root, only = site.root, for_managers_only
    foreign = create_root(datetime.datetime.now(datetime.UTC))
    yield Kind("no certificate", None, HANDSHAKE, "")
    for role in ("worker", "manager"):
        node_id = WORKER if role == "worker" else MANAGER
        held = site.worker if role == "worker" else site.manager
        gone = Made(root, GONE, role)  # type: ignore[arg-type]
        words = "was removed from swarm"
        yield Kind(
            f"removed {role}", gone, DENIED, words, (lambda m: not only(m)) if role == "worker" else lambda m: True
        )
        made = [
            ("of another root", Made(foreign, node_id, role), HANDSHAKE, ""),  # type: ignore[arg-type]
            ("of another swarm", Made(root, node_id, role, cluster_id=ANOTHER), DENIED, "of another swarm"),  # type: ignore[arg-type]
            ("expired long ago", Made(root, node_id, role, ago=100), HANDSHAKE, ""),  # type: ignore[arg-type]
            ("not valid yet at all", Made(root, node_id, role, ago=-100), HANDSHAKE, ""),  # type: ignore[arg-type]
        ]
        for name, caller, code, words in made:
            yield Kind(f"{role} {name}", caller, code, words)
        yield Kind(f"{role} expired here", held, DENIED, "has expired", ahead=3 * HOUR)
        yield Kind(f"{role} not valid yet here", held, DENIED, "not valid yet", ahead=-3 * HOUR)
        other = Made(root, node_id, role)  # type: ignore[arg-type]
        yield Kind(
            f"{role} with a serial never recorded",
            other,
            DENIED,
            "no longer in use",
            (lambda m: not only(m)) if role == "worker" else lambda m: True,
        )
    role_words = "unauthorized peer role: worker"
    yield Kind("worker", site.worker, DENIED, role_words, only)
    yield Kind("worker whose node the store calls a manager", Made(root, MANAGER, "worker"), DENIED, role_words, only)
    yield Kind("demoted manager", site.demoted, DENIED, role_words, only)
    yield Kind("manager with a worn-out serial", site.former, DENIED, "no longer in use")
    yield Kind("manager with a revoked serial", site.revoked, DENIED, "was revoked")
    yield Kind("no node: a unit that is no role", Odd(root, "swarm-root", WORKER), DENIED, "not of a node")
    yield Kind("no node: a name that is no id", Odd(root, "swarm-manager", "swarm-ca"), DENIED, "not of a node")


async def outcome(channel: grpc.aio.Channel, method: str, request: bytes) -> tuple[str, str]:
    """(status name, details) of a call; of a stream, of its first message."""
    call = channel.stream_stream(method)(timeout=PATIENCE)
    try:
        await call.write(request)
        await call.done_writing()
        if await call.read() is not grpc.aio.EOF:
            return "OK", ""
        code = await call.code()
        return code.name, await call.details() or ""
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    except asyncio.InvalidStateError:
        return (await call.code()).name, await call.details() or ""
    finally:
        call.cancel()


async def refusals(site: Site) -> AsyncIterator[Check]:
    """All callers who may not, at all methods."""
    assert site.session is not None
    asked = requests(site.session.id)
    assert asked.keys() == TABLE.keys()
    for kind in kinds(site):
        site.clock.ahead = int(kind.ahead.total_seconds()) * 10**9
        async with site.channel(kind.caller) as channel:
            for method in filter(kind.methods, TABLE):
                got = await outcome(channel, method, asked[method])
                yield Check(kind.name, method, kind.code, kind.words, got)
        site.clock.ahead = 0


async def trespasses(site: Site) -> AsyncIterator[Check]:
    """A worker with a session of its own that reaches for what is another node's."""
    await site.open_sessions()  # the clock may have been ahead for long
    assert site.session is not None and site.own is not None
    owned = [method for method, row in TABLE.items() if "session_id" in row.rule.covers]
    async with site.channel(site.worker) as channel:
        for name, session_id in (("another's session", site.session.id), ("no session", ""), ("a made-up one", "id9")):
            for method in owned:
                got = await outcome(channel, method, requests(session_id)[method])
                told = ("INVALID_ARGUMENT", "session invalid")
                if not session_id and "subscription_id" in TABLE[method].rule.covers:  # its later messages name none
                    told = (DENIED, "is not on this node")
                yield Check(name, method, *told, got)
        for method in [method for method, row in TABLE.items() if "task_id" in row.rule.covers & {"task_id"}]:
            if for_managers_only(method):
                continue
            got = await outcome(channel, method, requests(site.own.id)[method])
            yield Check("another's task", method, DENIED, "is not on this node", got)


async def held(
    site: Site, caller: Identity, method: str, request: bytes
) -> tuple[asyncio.Task[tuple[str, str]], grpc.aio.Channel]:
    """A call under way that goes on until it is ended, and its channel."""
    credentials = grpc.ssl_channel_credentials(site.root.certificate_pem, caller.key, caller.issued.chain_pem)
    named = (("grpc.ssl_target_name_override", MANAGER),)
    channel = grpc.aio.secure_channel(f"127.0.0.1:{site.port}", credentials, options=named)
    call = channel.stream_stream(method)()
    await call.write(request)

    async def end() -> tuple[str, str]:
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError:
            pass
        return (await call.code()).name, await call.details() or ""

    return asyncio.create_task(end()), channel


async def cut_seconds(site: Site, change: str) -> float:
    """From the commit that removes or demotes a manager until the last of its calls under way has ended."""
    assert change in ("removed", "demoted")
    calls = [await held(site, site.manager, EXCHANGE, requests("")[EXCHANGE]) for _ in range(5)]
    await until(lambda: site.server.live.of(MANAGER) == len(calls))
    node = site.store.nodes.get(MANAGER)
    assert node is not None
    began = time.monotonic()
    site.write(Delete("node", MANAGER) if change == "removed" else Update(dataclasses.replace(node, role=WORKER_ROLE)))
    ends = await asyncio.gather(*(ended for ended, _ in calls))
    took = time.monotonic() - began
    assert {code for code, _ in ends} == {DENIED}
    for _, channel in calls:
        await channel.close()
    return took
