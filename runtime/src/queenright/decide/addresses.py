# SPDX-License-Identifier: Apache-2.0
"""Gives services, nodes and tasks their addresses in networks, and services the numbers of their ports.

A service has a virtual address in each of its networks (unless it is reached by names alone), a task one in each, and
a node one for what it balances: in the networks of its tasks, and in the ingress network while any service publishes a
port on all nodes. Tasks that need addresses are born NEW and wait for a node (PENDING) once they have all of them.
Where there are none, network and tasks say so; who waits has his turn when something is freed, the oldest first.

What an object gives up is free for those that come after it in the answer, so that an answer cut anywhere leaves no
address with two holders. Those that give something up come first.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from queenright.decide import ports, subnets
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.room_in_network import Room
from queenright.decide.standing_spec import reached_by
from queenright.decide.tasks import PENDING_MESSAGE
from queenright.lib.records import changed
from queenright.model.changes import Change, Create, Update
from queenright.model.objects import Attachment, Network, Node, Service, Task
from queenright.model.states import TaskState
from queenright.spec import network as specs
from queenright.spec.network import NetworkSpec
from queenright.spec.service import TaskSpec
from queenright.store.store import Store
from queenright.store.tables import INGRESS, targets

MOST = 1000  # objects that are given addresses in one go: the event loop must not be held for long
Key = tuple[str, ...]  # networks that a task needs, as in the index of new tasks


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at touched services, at all that wait for something, and at networks with nodes that have too much or too
    little.

    When that is very much, it is done in portions: the answer asks to be asked again at once.
    """
    if not _concerned(view, dirty):
        return Decision()
    turn = _Turn(view, dirty, now)
    turn.make_ingress(ids)
    turn.free_nodes()
    turn.serve_services()
    turn.seat_nodes()
    turn.serve_tasks()
    if not turn.spent:
        turn.tell()
    return Decision(tuple(turn.changes), now.mono if turn.spent else None)


def _concerned(view: Store, dirty: Dirty) -> bool:
    """Whether there is any network, or need of one: a swarm without pays nothing."""
    if len(view.networks) or any(True for _ in view.uneven_networks()) or any(True for _ in view.tasks.keys("new")):
        return True
    if view.services.count("lacking", True) or view.services.count("ingress", True):
        return True
    touched = view.services if dirty.everything else (view.services.get(key) for key in dirty.services)
    return any(one is not None and (one.vips or one.ports) for one in touched)


class _Turn:
    """One answer in the making. ``spent``: it holds as much as one may."""

    def __init__(self, view: Store, dirty: Dirty, now: Now) -> None:
        self._view, self._dirty, self._now = view, dirty, now
        self.changes: list[Change] = []
        self.spent = False
        self._rooms: dict[str, Room] = {}
        self._ingress: Network | None = view.ingress
        self._made: Network | None = None
        self._no_ingress = "there is no ingress network"
        self._short: dict[str, None] = {}  # networks that refused somebody
        self._gains: dict[str, list[tuple[str, bool]]] = {}  # node id -> (network id, whether tasks need it there)
        self._keys: list[Key] = sorted(key for key in view.tasks.keys("new") if isinstance(key, tuple))

    # -- networks

    def make_ingress(self, ids: Callable[[], str]) -> None:
        """The ingress network, if a service needs it and there is none."""
        view = self._view
        if self._ingress is not None or not view.services.count("ingress", True):
            return
        if view.networks.count("name", specs.INGRESS):
            self._no_ingress = f"there is no ingress network, and another one has the name {specs.INGRESS}"
            return
        found = subnets.of_both_families(view)
        if isinstance(found, str):
            self._no_ingress = f"network {specs.INGRESS} cannot be made: {found}"
            return
        spec = NetworkSpec(name=specs.INGRESS, driver=specs.OVERLAY, ingress=True, ipv6=True)
        self._made = Network(id=ids(), spec=spec, vni=subnets.vni(view.networks), subnets=found)
        self._ingress = self._made
        self.changes.append(Create(self._made))

    def _network(self, target: str) -> Network | None:
        return self._ingress if target == INGRESS else self._view.networks.get(target)

    def _room(self, network: Network) -> Room:
        room = self._rooms.get(network.id)
        if room is None:
            usage = self._view.addresses(network.id)
            room = self._rooms[network.id] = Room(network, usage, len(self._view.nodes))
        return room

    # -- nodes

    def free_nodes(self) -> None:
        """Find out which nodes have an address of their own too many, or too few; and take back the ones too many."""
        losses: dict[str, set[str]] = {}
        waiting, wanted = self._demand()
        for network_id in sorted(self._view.uneven_networks()):
            for node_id in self._idle(network_id, waiting[network_id], wanted[network_id]):
                losses.setdefault(node_id, set()).add(network_id)
            for node_id in sorted(self._view.addresses(network_id).missing):
                self._gains.setdefault(node_id, []).append((network_id, True))
        self._spread_ingress()
        for node_id in sorted(losses):
            node = self._view.nodes.get(node_id)
            if node is not None:
                self._write_node(node, losses[node_id])

    def seat_nodes(self) -> None:
        """Give nodes the addresses that they need."""
        for node_id in sorted(self._gains):
            node = self._view.nodes.get(node_id)
            if node is not None:
                self._write_node(node, set())

    def _demand(self) -> tuple[Counter[str], Counter[str]]:
        """How many tasks wait for addresses in each network, and how many objects in all."""
        tasks: Counter[str] = Counter()
        for key in self._keys:
            for target in key:
                network = self._network(target)
                if network is not None:
                    tasks[network.id] += self._view.tasks.count("new", key)
        wanted = tasks.copy()
        for service in self._view.services.by("lacking", True):
            held = {one.network_id for one in service.vips}
            found = (self._network(target) for target in _targets_of(service))
            wanted.update(network.id for network in found if network is not None and network.id not in held)
        return tasks, wanted

    def _idle(self, network_id: str, waiting: int, wanted: int) -> list[str]:
        """Nodes whose address is taken back. While tasks of the network wait for a node, one that had some keeps its
        own, because they may well return there; unless addresses are scarce.
        """
        usage, network = self._view.addresses(network_id), self._view.networks.get(network_id)
        if network is None:
            return sorted(usage.idle)
        if network.ingress:
            needed = usage.nodes or waiting or usage.unplaced or self._view.services.count("ingress", True)
            return [] if needed else sorted(usage.seats)
        if usage.unplaced + waiting and self._room(network).holds(wanted + len(usage.missing)):
            return []
        return sorted(usage.idle)

    def _spread_ingress(self) -> None:
        """Every node has an address in the ingress network, while a service publishes a port there."""
        network = self._ingress
        if network is None or not self._view.services.count("ingress", True):
            return
        usage = self._view.addresses(network.id)
        if len(usage.seats) >= len(self._view.nodes):
            return
        for node in self._view.nodes:
            if node.id not in usage.seats and node.id not in usage.missing:
                self._gains.setdefault(node.id, []).append((network.id, False))

    def _write_node(self, node: Node, lost: set[str]) -> None:
        kept = tuple(one for one in node.attachments if one.network_id not in lost)
        gained = list(self._gained(self._gains.pop(node.id, ())))
        if gained or lost:
            if len(self.changes) >= MOST:
                self.spent = True
                return
            self.changes.append(Update(changed(node, attachments=(*kept, *gained))))
        for one in node.attachments:
            network = self._view.networks.get(one.network_id) if one.network_id in lost else None
            if network is not None:
                self._room(network).give_back((one,), seat=True)

    def _gained(self, wanted: Iterable[tuple[str, bool]]) -> Iterator[Attachment]:
        for network_id, needed in wanted:
            network = self._made if self._made is not None and self._made.id == network_id else None
            network = network or self._view.networks.get(network_id)
            if network is None:
                continue
            found = self._room(network).for_node(needed)
            if found is not None:
                yield found
            else:
                self._short[network_id] = None

    # -- services

    def serve_services(self) -> None:
        """Virtual addresses and ports of touched services, and of those that lack some; who gives one up first."""
        found: dict[str, Service] = {}
        if self._dirty.everything:
            found.update((service.id, service) for service in self._view.services)
        else:
            touched = (self._view.services.get(key) for key in self._dirty.services)
            found.update((service.id, service) for service in touched if service is not None)
            found.update((service.id, service) for service in self._view.services.by("lacking", True))
        relevant = [one for one in found.values() if one.vips or one.ports or _targets_of(one)]
        given: set[ports.Number] = set()
        for service in sorted(relevant, key=lambda one: (not self._gives_up(one), one.created_at, one.id)):
            numbers = ports.published(self._view, reached_by(service), given)
            given.update((port.protocol or "tcp", port.published_port or 0) for port in numbers)
            vips = self._vips(service)
            if (vips, numbers) != (service.vips, service.ports):
                self.changes.append(Update(changed(service, vips=vips, ports=numbers)))

    def _gives_up(self, service: Service) -> bool:
        wanted = {network.id for target in _virtual(service) if (network := self._network(target)) is not None}
        return any(one.network_id not in wanted for one in service.vips)

    def _vips(self, service: Service) -> tuple[Attachment, ...]:
        """Those that it has and still needs, and new ones for what it lacks, in the order of its networks."""
        held = {one.network_id: one for one in service.vips}
        made: list[Attachment] = []
        for target in _virtual(service):
            network = self._network(target)
            if network is None:
                continue
            aliases = _aliases(reached_by(service).spec.task, target)
            present = held.pop(network.id, None)
            if present is not None:
                made.append(present if present.aliases == aliases else changed(present, aliases=aliases))
                continue
            found = self._room(network).for_service(aliases)
            if found is not None:
                made.append(found)
            else:
                self._short[network.id] = None
        for network_id, one in held.items():
            gone = self._view.networks.get(network_id)
            if gone is not None:
                self._room(gone).give_back((one,))
        return tuple(made)

    # -- tasks

    def serve_tasks(self) -> None:
        """Addresses for the tasks that wait for them, oldest first, as far as they go."""
        self._open = {key for key in self._keys if not self._trouble(key)}
        queues = [
            [(task.created_at, task, key) for task in self._view.tasks.by("new", key)] for key in sorted(self._open)
        ]
        self._given: set[str] = set()
        left = set(self._open)  # what is full stays full: nothing is given back here
        for _, task, key in heapq.merge(*queues, key=itemgetter(0)):
            if key not in left:
                continue
            if self._trouble(key):
                left.discard(key)
                if not left:
                    return
                continue
            if len(self.changes) >= MOST:
                self.spent = True
                return
            found = (self._network(target) for target in key)
            rooms = [(self._room(network), _aliases(task.spec, network.id)) for network in found if network is not None]
            self._give(task, tuple(room.for_task(aliases) for room, aliases in rooms))

    def _give(self, task: Task, attachments: tuple[Attachment, ...]) -> None:
        wall = self._now.wall
        status = changed(
            task.status, state=TaskState.PENDING, at=wall, applied_at=wall, message=PENDING_MESSAGE, err=""
        )
        self.changes.append(Update(changed(task, attachments=attachments, status=status)))
        self._given.add(task.id)

    def _trouble(self, key: Key) -> str:
        """Why a further task cannot have addresses in these networks; nothing if it can."""
        for target in key:
            network = self._network(target)
            if network is None:
                return self._no_ingress if target == INGRESS else f"network {target} does not exist"
            if not self._room(network).holds(1):
                return self._room(network).error
        return ""

    # -- what is not to be had

    def tell(self) -> None:
        """Write into networks and tasks what they lack."""
        troubles = {key: text for key in self._keys if (text := self._trouble(key)) and self._left(key)}
        for key in troubles:
            for target in key:
                network = self._network(target)
                if network is not None and not self._room(network).holds(1):
                    self._short[network.id] = None
        told = self._tell_networks()
        touched = self._touched() if troubles else {}
        for key, text in troubles.items():
            anew = key in self._open or self._dirty.everything or self._dirty.due or self._ingress_missing(key)
            anew = anew or any(network.id in told for target in key if (network := self._network(target)) is not None)
            for task in self._view.tasks.by("new", key) if anew else touched.get(key, ()):
                if task.id not in self._given and task.status.err != text:
                    if len(self.changes) >= MOST:
                        self.spent = True
                        return
                    self.changes.append(Update(changed(task, status=self._refused(task, text))))

    def _refused(self, task: Task, text: str) -> object:
        return changed(task.status, at=self._now.wall, applied_at=self._now.wall, err=text)

    def _left(self, key: Key) -> bool:
        if key not in self._open:
            return True
        return any(task.id not in self._given for task in self._view.tasks.by("new", key))

    def _ingress_missing(self, key: Key) -> bool:
        return self._ingress is None and INGRESS in key

    def _touched(self) -> dict[Key, list[Task]]:
        found: dict[Key, list[Task]] = {}
        for task_id in sorted(self._dirty.tasks):
            task = self._view.tasks.get(task_id)
            if task is not None and task.state == TaskState.NEW:
                found.setdefault(targets(task.spec, task.endpoint), []).append(task)
        return found

    def _tell_networks(self) -> set[str]:
        """Set or clear the errors of networks; gives the ids of those whose error changed now or of late."""
        told = set(self._dirty.networks)
        for network_id in sorted({*self._short, *self._view.failing_networks()}):
            network = self._view.networks.get(network_id)
            if network is None:
                continue
            error = self._room(network).error if network_id in self._short else ""
            if network.error != error:
                self.changes.append(Update(changed(network, error=error)))
                told.add(network_id)
        return told


def _targets_of(service: Service) -> Key:
    spec = reached_by(service).spec
    return targets(spec.task, spec.endpoint)


def _virtual(service: Service) -> Key:
    """The networks in which the service has a virtual address."""
    return () if reached_by(service).spec.endpoint.mode == "dnsrr" else _targets_of(service)


def _aliases(spec: TaskSpec, network_id: str) -> tuple[str, ...]:
    """Further names in the network."""
    return tuple(alias for one in spec.networks if one.target == network_id for alias in one.aliases)
