# SPDX-License-Identifier: Apache-2.0
"""Lists as clients ask for them: which nodes, services and tasks the filters of a call mean.

Filters: name -> values; values of one name are alternatives (labels: all must hold), names must all match. Candidates
come from the store's narrowest index, so that a question about one service costs what that service has.

Lists are made as they are read. What was looked at and does not fit is None in them, so that whoever reads knows that
time goes by, and can pause.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from queenright.decide.revision import Revision
from queenright.manager.ports import Consensus, GroupMember
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import MANAGER, WORKER
from queenright.spec.service import REPLICATED
from queenright.store.store import Store
from queenright.store.tables import HEAD, Table

T = TypeVar("T", Node, Service, Task)

Filters = Mapping[str, Sequence[str]]

NODE_FILTERS = ("id", "label", "node.label", "membership", "name", "role")
SERVICE_FILTERS = ("id", "label", "mode", "name", "runtime")
TASK_FILTERS = ("id", "label", "name", "node", "service", "desired-state", "_up-to-date", "runtime")

_ROLES = {WORKER, MANAGER}
_MEMBERSHIPS = {"pending", "accepted"}
_STATES = {state.text: state for state in TaskState}


@dataclasses.dataclass(frozen=True, slots=True)
class ManagerStatus:
    """What is known of a manager as a member of the group. ``reachability``: reachable or unreachable, as the manager
    that is asked finds it; ``addr`` is ``host:port``.
    """

    leader: bool
    reachability: str
    addr: str


def manager_status(node: Node, consensus: Consensus | None) -> ManagerStatus | None:
    """The node as a manager; None for one that is none (yet, or any more). ``consensus`` None: it is the only one."""
    if consensus is None:
        return _sole(node) if node.role == MANAGER else None
    seat = next((member for member in consensus.members() if member.id == node.id), None)
    return None if seat is None else _seated(seat, node, consensus)


def manager_statuses(store: Store, consensus: Consensus | None) -> dict[str, ManagerStatus]:
    """All managers, by node id."""
    if consensus is None:
        return {node.id: _sole(node) for node in store.nodes.by("role", MANAGER)}
    return {seat.id: _seated(seat, store.nodes.get(seat.id), consensus) for seat in consensus.members()}


def _sole(node: Node) -> ManagerStatus:
    reachable = node.status.state in (NodeState.READY, NodeState.UNKNOWN)
    return ManagerStatus(reachable, _reachability(reachable), node.manager_addr)


def _seated(seat: GroupMember, node: Node | None, consensus: Consensus) -> ManagerStatus:
    leads = seat.id == consensus.leader_id
    heard = leads or consensus.connected(seat.id)
    addr = node.manager_addr if node is not None else ""
    return ManagerStatus(leads, _reachability(heard), addr or seat.addr)


def manager_count(store: Store, consensus: Consensus | None) -> int:
    """How many managers the swarm has."""
    return store.nodes.count("role", MANAGER) if consensus is None else len(consensus.members())


def _reachability(reachable: bool) -> str:
    return "reachable" if reachable else "unreachable"


def list_nodes(store: Store, filters: Filters) -> Iterator[Node | None]:
    """Nodes by id. ``label`` means the engine's labels, ``node.label`` the swarm's."""
    roles = _known(filters, "role", _ROLES, "Invalid role filter: '{}'")
    memberships = _known(filters, "membership", _MEMBERSHIPS, "Invalid membership filter: '{}'")
    engine, own = _labels(filters, "label"), _labels(filters, "node.label")

    def fits(node: Node) -> bool:
        return (
            _begins(filters, "id", node.id)
            and _begins(filters, "name", node.hostname)
            and (not roles or node.role in roles)
            and (not memberships or node.membership in memberships)
            and _labelled(node.description.engine_labels, engine)
            and _labelled(node.spec.labels, own)
        )

    found = _abbreviated(store.nodes, filters)
    candidates = store.nodes.ordered() if found is None else found
    return (node if fits(node) else None for node in candidates)


def list_services(store: Store, filters: Filters) -> Iterator[Service | None]:
    """Services by id; ``id`` and ``name`` mean prefixes."""
    labels, modes = _labels(filters, "label"), set(filters.get("mode", ()))
    runtimes = set(filters.get("runtime", ()))

    def fits(service: Service) -> bool:
        return (
            _begins(filters, "id", service.id)
            and _begins(filters, "name", service.name)
            and (not modes or (service.spec.mode.kind or REPLICATED) in modes)
            and (not runtimes or "container" in runtimes)
            and _labelled(service.spec.labels, labels)
        )

    candidates: Iterable[Service] | None = _abbreviated(store.services, filters)
    if candidates is None and _exact(labels):
        candidates = sorted(store.services.by("label", _exact(labels)), key=lambda service: service.id)
    if candidates is None:
        candidates = store.services.ordered()
    return (service if fits(service) else None for service in candidates)


def list_tasks(store: Store, filters: Filters) -> Iterator[Task | None]:
    """Tasks in the order of their making; what they are is fixed now, the rest of the work is done as they are taken.

    ``service`` and ``node`` take names, ids and prefixes (raises NotFound); ``label`` means the service's labels.
    """
    services = {store.service(ref).id for ref in filters.get("service", ())}
    nodes = {store.node(ref).id for ref in filters.get("node", ())}
    states = {_state(text) for text in filters.get("desired-state", ()) if text}
    labels, runtimes = _labels(filters, "label"), set(filters.get("runtime", ()))
    revisions = _Revisions(store) if "_up-to-date" in filters else None

    def fits(task: Task) -> bool:
        return (
            (not services or task.service_id in services)
            and (not nodes or task.node_id in nodes)
            and (not states or task.desired_state in states)
            and (not runtimes or "container" in runtimes)
            and _begins(filters, "id", task.id)
            and ("name" not in filters or _begins(filters, "name", task.name))
            and _labelled(task.service_labels, labels)
            and (revisions is None or revisions.hold(task))
        )

    candidates = _candidates(store, services, nodes, labels, filters)
    return (task if fits(task) else None for task in candidates)


def _candidates(
    store: Store, services: set[str], nodes: set[str], labels: Mapping[str, str], filters: Filters
) -> Sequence[Task]:
    """The shortest list that an index gives and that holds all tasks that fit."""
    found: list[Callable[[], Iterable[Task]]] = []
    if services:
        found.append(lambda: (task for key in services for task in store.tasks.by("service", key)))
    if nodes:
        found.append(lambda: (task for key in nodes for task in store.tasks.by("node", key)))
    exact = _exact(labels)
    if exact:
        found.append(lambda: store.tasks.by("label", exact))
    named = _abbreviated(store.tasks, filters)
    if named is not None:
        found.append(lambda: named)
    if not found:
        return tuple(store.tasks)
    return min((tuple(make()) for make in found), key=len)


def _abbreviated(table: Table[T], filters: Filters) -> list[T] | None:
    """By the beginnings of ids that are asked for, if they are: the rows that have one of them, by id."""
    prefixes = filters.get("id")
    if not prefixes or any(len(prefix) < HEAD for prefix in prefixes):
        return None
    found: dict[str, T] = {}
    for prefix in prefixes:
        row = table.get(prefix)
        for one in (row,) if row is not None else table.with_prefix(prefix):
            found[one.id] = one
    return [found[key] for key in sorted(found)]


class _Revisions:
    """The present revisions of the services that the tasks of one answer belong to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Revision | None] = {}

    def hold(self, task: Task) -> bool:
        """Whether the task is of its service's present revision."""
        if task.service_id not in self._known:
            service = self._store.services.get(task.service_id)
            self._known[task.service_id] = Revision(self._store, service) if service is not None else None
        revision = self._known[task.service_id]
        return revision is not None and revision.clean(task)


def _state(text: str) -> TaskState:
    found = _STATES.get(text.lower())
    if found is None:
        raise InvalidArgument(f"Invalid filter 'desired-state={text}'", plain=True)
    return found


def _known(filters: Filters, name: str, known: set[str], text: str) -> set[str]:
    values = {value.lower() for value in filters.get(name, ()) if value}
    for value in sorted(values - known):
        raise InvalidArgument(text.format(value), plain=True)
    return values


def _labels(filters: Filters, name: str) -> dict[str, str]:
    """``key`` asks for the key, ``key=value`` for the value too."""
    return {key: value for key, _, value in (text.partition("=") for text in filters.get(name, ()))}


def _labelled(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and (not value or labels[key] == value) for key, value in wanted.items())


def _exact(labels: Mapping[str, str]) -> tuple[str, str] | None:
    return next(((key, value) for key, value in labels.items() if value), None)


def _begins(filters: Filters, name: str, text: str) -> bool:
    prefixes = filters.get(name)
    return not prefixes or text.startswith(tuple(prefixes))
