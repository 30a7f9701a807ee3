# SPDX-License-Identifier: Apache-2.0
"""Tables of frozen objects with the indexes that deciders and the API ask by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from queenright.model.objects import (
    Attachment,
    Certificate,
    Cluster,
    Config,
    Network,
    Node,
    Object,
    Registry,
    Secret,
    Service,
    Stack,
    Task,
    Ticket,
)
from queenright.model.states import TaskState
from queenright.spec.network import PREDEFINED
from queenright.spec.service import EndpointSpec, Port, ServiceSpec, TaskSpec

T = TypeVar("T", Cluster, Node, Service, Task, Ticket, Secret, Config, Registry, Network, Certificate, Stack)
_EMPTY: Mapping[str, object] = {}
INGRESS = ""  # stands for the id of the ingress network, whatever that is
HEAD = 2  # letters of an id by which rows are found for people's abbreviations


class Table(Generic[T]):
    """Objects by id. Each index maps a key to the (insertion-ordered) objects that have it."""

    def __init__(self, indexes: dict[str, Callable[[T], Iterable[object]]]) -> None:
        self._rows: dict[str, T] = {}
        self._heads: dict[str, dict[str, None]] = {}  # ids by their first letters
        self._readers: dict[str, Callable[[T], Iterable[object]]] = indexes
        self._indexes: dict[str, dict[object, dict[str, T]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows.values())

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def get(self, key: str) -> T | None:
        return self._rows.get(key)

    def ids(self) -> Iterable[str]:
        return self._rows.keys()

    def by(self, index: str, key: object) -> tuple[T, ...]:
        """The objects with that key, in the order in which they got it; cost follows their number."""
        return tuple(self._indexes[index].get(key, {}).values())

    def count(self, index: str, key: object) -> int:
        return len(self._indexes[index].get(key, _EMPTY))

    def keys(self, index: str) -> Iterable[object]:
        return self._indexes[index].keys()

    def keys_of(self, index: str, row: T) -> Iterable[object]:
        """The keys that a row has, or would have, in an index."""
        return self._readers[index](row)

    def with_prefix(self, prefix: str) -> list[T]:
        """Objects whose id begins so, by id. Cost follows how many share the first two letters."""
        head = prefix[:HEAD]
        if len(head) < HEAD:
            heads = sorted(key for key in self._heads if key.startswith(head))
        else:
            heads = [head] if head in self._heads else []
        return [self._rows[key] for one in heads for key in sorted(self._heads[one]) if key.startswith(prefix)]

    def ordered(self) -> Iterator[T]:
        """What is here now, by id. A portion is put in order whenever the one before it is used up."""
        rows, portions = dict(self._rows), [tuple(self._heads[head]) for head in sorted(self._heads)]
        return (rows[key] for portion in portions for key in sorted(portion))

    def put(self, row: T) -> None:
        before = self._rows.get(row.id)
        self._rows[row.id] = row
        if before is None:
            self._heads.setdefault(row.id[:HEAD], {})[row.id] = None
        for name, reader in self._readers.items():
            index, new = self._indexes[name], reader(row)
            if before is not None:
                old = reader(before)
                if old == new:  # as a rule
                    for key in new:
                        index[key][row.id] = row
                    continue
                new = tuple(new)
                for key in tuple(old):
                    if key not in new:
                        self._forget(index, key, row.id)
            for key in new:
                index.setdefault(key, {})[row.id] = row

    def pop(self, key: str) -> T | None:
        row = self._rows.pop(key, None)
        if row is not None:
            head = self._heads[key[:HEAD]]
            del head[key]
            if not head:
                del self._heads[key[:HEAD]]
            for name, reader in self._readers.items():
                for entry in reader(row):
                    self._forget(self._indexes[name], entry, key)
        return row

    def copy(self) -> dict[str, T]:
        """A shallow copy: one loop step even for 100,000 objects."""
        return dict(self._rows)

    def take_over(self, other: Table[T]) -> list[dict[Any, Any]]:
        """Hold what ``other`` holds from now on; gives the containers of what was here. ``other`` is not to be used any
        more. Whoever holds this table sees the new content."""
        gone: list[dict[Any, Any]] = [self._rows, self._heads, *self._indexes.values()]
        self._rows, self._heads, self._indexes = other._rows, other._heads, other._indexes
        return gone

    @staticmethod
    def _forget(index: dict[object, dict[str, T]], key: object, row_id: str) -> None:
        rows = index.get(key)
        if rows is not None:
            rows.pop(row_id, None)
            if not rows:
                del index[key]


def secret_ids(spec: TaskSpec) -> tuple[str, ...]:
    """The secrets that a task's containers read, each once."""
    references = spec.container.secrets
    return tuple({reference.secret_id or "": None for reference in references}) if references else ()


def config_ids(spec: TaskSpec) -> tuple[str, ...]:
    """The configs that a task's containers read, each once."""
    references = spec.container.configs
    return tuple({reference.config_id or "": None for reference in references}) if references else ()


def network_ids(spec: TaskSpec) -> tuple[str, ...]:
    """The networks of the swarm that a task's containers are in by their specification, each once."""
    if not spec.networks:
        return ()
    return tuple({one.target or "": None for one in spec.networks if one.target not in PREDEFINED})


def publishes(spec: ServiceSpec) -> bool:
    """Whether it has a port that all nodes answer at, so that its tasks are in the ingress network."""
    return on_all_nodes(spec.endpoint)


def on_all_nodes(endpoint: EndpointSpec) -> bool:
    """Whether all nodes answer at a port of it."""
    return any(port.mode != "host" for port in endpoint.ports)


def targets(spec: TaskSpec, endpoint: EndpointSpec) -> tuple[str, ...]:
    """The networks that tasks need addresses in: ids, and at the end INGRESS if all nodes answer at a port."""
    named = network_ids(spec)
    return (*named, INGRESS) if endpoint.ports and on_all_nodes(endpoint) else named


def _with_addresses(spec: TaskSpec | None, attachments: tuple[Attachment, ...]) -> tuple[object, ...]:
    named = network_ids(spec) if spec is not None else ()
    if not attachments:
        return named
    return tuple(dict.fromkeys((*named, *(one.network_id for one in attachments))))


def _task_names(task: Task) -> Iterable[object]:
    return (task.name.lower(),)


def _pending(task: Task) -> Iterable[object]:
    waits = TaskState.NEW < task.status.state < TaskState.ASSIGNED
    return (True,) if waits and task.desired_state <= TaskState.COMPLETE else ()


def _new(task: Task) -> Iterable[object]:
    if task.status.state > TaskState.NEW or task.desired_state > TaskState.COMPLETE:
        return ()
    return (targets(task.spec, task.endpoint),)


def _waiting(task: Task) -> Iterable[object]:
    return (True,) if task.desired_state == TaskState.READY else ()


def tasks() -> Table[Task]:
    """Indexes: service, slot (service, slot), place (service, node), node, new (of tasks that wait
    for addresses: the networks that they need), pending (True: they wait for a node), waiting (True: prepared, not
    to be started yet), name, label (key, value), secret and config (ids that it refers to), network (ids of those that
    it names or has an address in).
    """
    return Table(
        {
            "service": lambda task: (task.service_id,),
            "slot": lambda task: ((task.service_id, task.slot),),
            "place": lambda task: ((task.service_id, task.node_id),),
            "node": lambda task: (task.node_id,) if task.node_id else (),
            "new": _new,
            "pending": _pending,
            "waiting": _waiting,
            "name": _task_names,
            "label": lambda task: task.service_labels.items(),
            "secret": lambda task: secret_ids(task.spec),
            "config": lambda task: config_ids(task.spec),
            "network": lambda task: _with_addresses(task.spec, task.attachments),
        }
    )


def _standing(service: Service) -> ServiceSpec:
    """What its tasks go by: while it waits for other services the specification before, if there is one."""
    return service.spec if not service.awaits or service.previous_spec is None else service.previous_spec


def _service_networks(service: Service) -> Iterable[object]:
    named = _with_addresses(service.spec.task, service.vips)
    if not service.awaits:
        return named
    return tuple(dict.fromkeys((*named, *network_ids(_standing(service).task))))


def _rolling(service: Service) -> Iterable[object]:
    return (True,) if service.update_status is not None and service.update_status.state.active else ()


def published(port: Port) -> tuple[tuple[str, int], ...]:
    """The (protocol, port) that it takes outside; nothing if one is to be chosen."""
    return ((port.protocol or "tcp", port.published_port),) if port.published_port else ()


def held_ports(service: Service) -> tuple[Port, ...]:
    """The ports that the service has: those that its specification names, and those that were chosen for the ones that
    it leaves open. What an earlier specification had is free at once.
    """
    asked = service.spec.endpoint.ports
    if not service.ports:
        return asked
    left_open = {same_port(port) for port in asked if not port.published_port and port.mode != "host"}
    return (*asked, *(port for port in service.ports if same_port(port) in left_open))


def same_port(port: Port) -> tuple[object, ...]:
    """What makes it the same port, whatever its number outside is."""
    return port.name or "", port.protocol or "tcp", port.target_port, port.mode == "host"


def _ports(service: Service) -> Iterable[object]:
    ports = held_ports(service)
    return {key: None for port in ports for key in published(port)} if ports else ()


def _lacking(service: Service) -> Iterable[object]:
    spec = _standing(service)
    needed = targets(spec.task, spec.endpoint)
    if not needed:
        return ()
    published = needed[-1] == INGRESS
    if published and (len(service.ports) != len(spec.endpoint.ports) or not all(map(_chosen, service.ports))):
        return (True,)
    return (True,) if spec.endpoint.mode != "dnsrr" and len(service.vips) < len(needed) else ()


def _chosen(port: Port) -> bool:
    """Whether its number is known, or for each node to choose."""
    return bool(port.published_port) or port.mode == "host"


def services() -> Table[Service]:
    """Indexes: name (lower case), label (key, value), mode (kind of the mode), rolling (True: being updated), port
    (protocol, published port, also one that was chosen), secret and config (ids that its specification refers to),
    network (ids of those that it names or has a virtual address in), ingress (True: all nodes answer at a port of it),
    lacking (True: a port or a virtual address has still to be chosen).
    """
    return Table(
        {
            "name": lambda service: (service.name.lower(),),
            "label": lambda service: service.spec.labels.items(),
            "mode": lambda service: (service.spec.mode.kind or "replicated",),
            "rolling": _rolling,
            "port": _ports,
            "secret": lambda service: secret_ids(service.spec.task),
            "config": lambda service: config_ids(service.spec.task),
            "network": _service_networks,
            "ingress": lambda service: (True,) if publishes(_standing(service)) else (),
            "lacking": _lacking,
        }
    )


def nodes() -> Table[Node]:
    """Indexes: hostname (lower case), role, state, network (ids of those that it has an address in)."""
    return Table(
        {
            "hostname": lambda node: (node.hostname.lower(),),
            "role": lambda node: (node.role,),
            "state": lambda node: (node.status.state,),
            "network": lambda node: _with_addresses(None, node.attachments),
        }
    )


def clusters() -> Table[Cluster]:
    return Table({})


def tickets() -> Table[Ticket]:
    return Table({"secret": lambda ticket: (ticket.secret_digest,)})


def secrets() -> Table[Secret]:
    """Indexes: name (lower case), label (key, value)."""
    return Table(
        {"name": lambda secret: (secret.name.lower(),), "label": lambda secret: secret.spec.labels.items()},
    )


def configs() -> Table[Config]:
    """Indexes: name (lower case), label (key, value)."""
    return Table(
        {"name": lambda config: (config.name.lower(),), "label": lambda config: config.spec.labels.items()},
    )


def registries() -> Table[Registry]:
    """Indexes: name (the server, lower case)."""
    return Table({"name": lambda registry: (registry.name.lower(),)})


def networks() -> Table[Network]:
    """Indexes: name (lower case), label (key, value), ingress (True), vni."""
    return Table(
        {
            "name": lambda network: (network.name.lower(),),
            "label": lambda network: network.spec.labels.items(),
            "ingress": lambda network: (True,) if network.ingress else (),
            "vni": lambda network: (network.vni,),
        }
    )


def certificates() -> Table[Certificate]:
    """Indexes: node."""
    return Table({"node": lambda certificate: (certificate.node_id,)})


def stacks() -> Table[Stack]:
    """Indexes: name (lower case), active (True: being rolled out, taken back or away), leftover (True: something of it
    is still to be removed), secret and config (ids of versions that a kept revision uses).
    """
    return Table(
        {
            "name": lambda stack: (stack.name.lower(),),
            "active": lambda stack: (True,) if stack.status.state.active or stack.removing else (),
            "leftover": lambda stack: (True,) if stack.leftovers else (),
            "secret": lambda stack: _kept(stack, "secret"),
            "config": lambda stack: _kept(stack, "config"),
        }
    )


def _kept(stack: Stack, kind: str) -> Iterable[object]:
    revisions = (stack.revision, *stack.history)
    return {one.id: None for each in revisions for one in each.data if one.kind == kind and one.id}


AnyTable = (
    Table[Cluster]
    | Table[Node]
    | Table[Service]
    | Table[Task]
    | Table[Ticket]
    | Table[Secret]
    | Table[Config]
    | Table[Registry]
    | Table[Network]
    | Table[Certificate]
    | Table[Stack]
)


def all_tables() -> dict[str, AnyTable]:
    """Empty tables by kind of object."""
    return {
        "cluster": clusters(),
        "node": nodes(),
        "service": services(),
        "task": tasks(),
        "ticket": tickets(),
        "secret": secrets(),
        "config": configs(),
        "registry": registries(),
        "network": networks(),
        "certificate": certificates(),
        "stack": stacks(),
    }


__all__ = [
    "INGRESS",
    "AnyTable",
    "Object",
    "Table",
    "all_tables",
    "certificates",
    "clusters",
    "config_ids",
    "configs",
    "held_ports",
    "network_ids",
    "networks",
    "nodes",
    "on_all_nodes",
    "published",
    "publishes",
    "registries",
    "same_port",
    "secret_ids",
    "secrets",
    "services",
    "stacks",
    "targets",
    "tasks",
    "tickets",
]
