# SPDX-License-Identifier: Apache-2.0
"""The frozen objects of the replicated state. Field names equal those of ``proto/objects.proto``.

Times are nanoseconds since the epoch, UTC, by the manager that proposed (0: never). ``version`` is the log index of the
entry that last wrote the object
(0: not stored yet); ``created_at`` and ``updated_at`` are set when the entry is applied.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import ClassVar

from queenright.model.data import Config, Registry, Secret
from queenright.model.stack import Stack
from queenright.model.states import NodeState, TaskState, UpdateState
from queenright.model.trust import Certificate, FormerRoot, RootRotation
from queenright.spec.cluster import ACTIVE, WORKER, NodeSpec, SwarmSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import EndpointSpec, GenericResource, Port, ServiceSpec, TaskSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The swarm itself; there is one. ``id`` is also the organisation in every certificate.

    ``root_key`` is of what signs certificates: the root, or the first of the ``intermediates`` below it. It is empty
    where an authority outside signs. ``unlock_key`` is empty while managers are not locked.
    """

    kind: ClassVar[str] = "cluster"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: SwarmSpec = SwarmSpec()
    root_certificate: str = ""
    root_key: str = ""
    worker_token: str = ""
    manager_token: str = ""
    default_addr_pool: tuple[str, ...] = ("10.0.0.0/8",)
    subnet_size: int = 24
    data_path_port: int = 4789
    feature_level: int = 0
    intermediates: str = ""
    root_rotation: RootRotation | None = None
    former_roots: tuple[FormerRoot, ...] = ()
    unlock_key: str = ""

    def __repr__(self) -> str:
        return f"Cluster(id={self.id!r}, version={self.version})"  # keys and tokens stay out of logs and tracebacks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescription:
    """What a node's agent says of its machine. CPUs in 1e-9 of a CPU, memory in bytes."""

    hostname: str = ""
    architecture: str = ""
    os: str = ""
    nano_cpus: int = 0
    memory_bytes: int = 0
    engine_version: str = ""
    engine_labels: dict[str, str] = dataclasses.field(default_factory=dict)
    plugins: tuple[str, ...] = ()  # "Network/overlay"
    trust_root: str = ""
    issuer_subject: str = ""  # base64 of the DER name
    issuer_public_key: str = ""  # base64 of the DER key
    runtime_version: str = ""
    generic_resources: tuple[GenericResource, ...] = ()
    prefixes: tuple[str, ...] = ()  # that it routes by itself: "192.168.1.0/24"
    mtu: int = 0  # of the way to the other nodes
    mesh: str = ""  # what balances there: "nftables", "ipvs", or nothing, and then why
    mesh_error: str = ""
    data_addr: str = ""  # where it takes the packets of the networks' tunnels, if not at its own address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What a node is found to be, ``since`` when; ``silent_since``: when it was last heard, if it is no longer."""

    state: NodeState = NodeState.UNKNOWN
    message: str = ""
    addr: str = ""
    since: int = 0
    silent_since: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Addresses in a network, with the length of its prefix: "10.0.1.5/24", "fd00::5/64"."""

    network_id: str
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A member. ``spec.role`` is the wish, ``role`` what its certificate and calls count as.

    ``attachments`` are its own addresses, one for each network that it balances connections in.
    """

    kind: ClassVar[str] = "node"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: NodeSpec = NodeSpec()
    role: str = WORKER
    membership: str = "accepted"
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    manager_addr: str = ""  # "host:port" of a manager's control port, else empty
    serial: str = ""  # of the certificate in use, hexadecimal
    previous_serial: str = ""
    attachments: tuple[Attachment, ...] = ()
    renew_for: str = ""  # the issuer's public key that its next certificate shall be signed with; empty: as it is

    @property
    def availability(self) -> str:
        return self.spec.availability or ACTIVE

    @property
    def hostname(self) -> str:
        return self.description.hostname

    @property
    def takes_tasks(self) -> bool:
        """Ready and active: new tasks may be given to it."""
        return self.status.state == NodeState.READY and self.availability == ACTIVE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStatus:
    state: UpdateState
    started_at: int = 0
    completed_at: int = 0
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service.

    ``spec_version`` grows by one with each accepted change of ``spec``; tasks carry the one they were made from. Of a
    job, ``job_iteration`` grows with each update, and ``last_execution`` is when the present one began. ``ports`` are
    those of its spec with the numbers that were chosen, ``vips`` its virtual addresses, one in each network.
    """

    kind: ClassVar[str] = "service"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: ServiceSpec
    spec_version: int = 1
    previous_spec: ServiceSpec | None = None
    previous_spec_version: int = 0
    update_status: UpdateStatus | None = None
    registry_auth: str = dataclasses.field(default="", repr=False)
    previous_registry_auth: str = dataclasses.field(default="", repr=False)
    job_iteration: int = 0
    last_execution: int = 0
    ports: tuple[Port, ...] = ()
    vips: tuple[Attachment, ...] = ()
    following: tuple[str, ...] = ()  # ids of later versions of secrets and configs that were named by their family
    awaits: tuple[str, ...] = ()  # full names of services: until these are ready its tasks stay as they are
    changed_by: str = ""  # who wrote its specification last, in words

    @property
    def name(self) -> str:
        return self.spec.name or ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """What is known of a task.

    ``at`` is the reporter's clock, ``applied_at`` the leader's; ``running_since`` is the leader's time of the first
    RUNNING.
    """

    state: TaskState = TaskState.NEW
    at: int = 0
    applied_at: int = 0
    running_since: int = 0
    message: str = ""
    err: str = ""
    container_id: str = ""
    pid: int = 0
    exit_code: int | None = None
    ports: tuple[Port, ...] = ()  # host-mode ports as published


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a service's container on one node; never given to another node, never run twice.

    A replacement is born with ``desired_state`` READY: it is prepared, and started once ``not_before`` has passed and
    the task ``replaces`` has stopped.
    ``attempt`` counts replacements in the slot since the slot's first task of this ``spec_version``.
    ``cause`` says in words why it was made, ``refused`` which nodes were passed over when it was placed.
    ``attachments`` are its addresses; a task that shall have some is NEW until it has them.
    """

    kind: ClassVar[str] = "task"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    service_id: str
    service_name: str = ""
    service_labels: dict[str, str] = dataclasses.field(default_factory=dict)
    slot: int = 0
    node_id: str = ""
    spec: TaskSpec
    endpoint: EndpointSpec = EndpointSpec()
    spec_version: int = 1
    desired_state: TaskState = TaskState.RUNNING
    status: TaskStatus = TaskStatus()
    not_before: int = 0
    replaces: str = ""
    attempt: int = 0
    job_iteration: int = 0
    assigned_generic: tuple[GenericResource, ...] = ()
    cause: str = ""
    refused: str = ""
    attachments: tuple[Attachment, ...] = ()

    @property
    def name(self) -> str:
        """``web.1.<id>``, or ``web.<node id>.<id>`` for a global service."""
        return f"{self.service_name}.{self.slot or self.node_id}.{self.id}"

    @property
    def state(self) -> TaskState:
        return self.status.state

    @property
    def wanted(self) -> bool:
        """Whether it shall still run (now or soon); a task of a job until it has completed."""
        return self.desired_state <= TaskState.RUNNING or (
            self.desired_state == TaskState.COMPLETE and self.state != TaskState.COMPLETE
        )

    @property
    def goal(self) -> TaskState:
        """What it is told to become once it may start: RUNNING, or COMPLETE for a task of a job."""
        return TaskState.COMPLETE if self.job_iteration else TaskState.RUNNING

    @property
    def active(self) -> bool:
        """Whether it counts for placement: wanted, or wanted to complete."""
        return self.desired_state <= TaskState.COMPLETE

    @property
    def holds_resources(self) -> bool:
        """Whether its node still holds reservations for it."""
        return self.status.state <= TaskState.RUNNING

    @property
    def host_ports(self) -> tuple[tuple[str, int], ...]:
        """(protocol, port) pairs that it takes on its node."""
        return tuple(
            (port.protocol or "tcp", port.published_port)
            for port in self.endpoint.ports
            if port.mode == "host" and port.published_port
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A one-time leave to join, bound to the joiner's key. Only the digest of its secret is stored."""

    kind: ClassVar[str] = "ticket"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    secret_digest: str = ""
    key_digest: str = ""
    role: str = WORKER
    availability: str = ACTIVE
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    expires_at: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet of a network: "10.0.1.0/24". ``gateway`` and ``dns`` are the same addresses on every node (without a
    prefix); all others are handed out, out of ``ip_range`` if there is one.
    """

    subnet: str
    gateway: str
    ip_range: str = ""

    @property
    def dns(self) -> str:
        """The address of the names' service: the subnet's first that is not the gateway."""
        hosts = ipaddress.ip_network(self.subnet).hosts()
        return next(text for text in map(str, hosts) if text != self.gateway)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An overlay network. ``subnets``: that of IPv4, then that of IPv6 if it has one; ``vni``: its number on the wire.

    ``error`` says what it lacks.
    """

    kind: ClassVar[str] = "network"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: NetworkSpec = NetworkSpec()
    vni: int = 0
    subnets: tuple[Subnet, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        return self.spec.name or ""

    @property
    def ingress(self) -> bool:
        """Whether it carries the ports that services publish on all nodes."""
        return bool(self.spec.ingress)


Object = Cluster | Node | Service | Task | Ticket | Secret | Config | Registry | Network | Certificate | Stack
CLASSES: dict[str, type[Object]] = {
    cls.kind: cls
    for cls in (Cluster, Node, Service, Task, Ticket, Secret, Config, Registry, Network, Certificate, Stack)
}

__all__ = [
    "CLASSES",
    "Attachment",
    "Certificate",
    "Cluster",
    "Config",
    "FormerRoot",
    "GenericResource",
    "Network",
    "Node",
    "NodeDescription",
    "NodeStatus",
    "Object",
    "Registry",
    "RootRotation",
    "Secret",
    "Service",
    "Stack",
    "Subnet",
    "Task",
    "TaskStatus",
    "Ticket",
    "UpdateStatus",
]
