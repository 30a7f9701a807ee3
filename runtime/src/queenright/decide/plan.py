# SPDX-License-Identifier: Apache-2.0
"""What nodes carry as a decision in the making leaves them."""

from __future__ import annotations

from queenright.decide import generic
from queenright.model.objects import GenericResource, Node, Task
from queenright.model.states import TaskState
from queenright.store.load import NodeLoad
from queenright.store.store import Store


class Plan:
    """The loads of nodes, with what has been placed so far."""

    def __init__(self, view: Store) -> None:
        self.view = view
        self._loads: dict[str, NodeLoad] = {}
        self._leaving: dict[tuple[str, str], int] = {}
        self._placed: dict[str, set[str]] = {}

    def load(self, node_id: str) -> NodeLoad:
        changed = self._loads.get(node_id)
        return changed if changed is not None else self.view.load(node_id)

    def discount(self, task: Task) -> None:
        """The task still runs but is about to be replaced (start-first): it does not count for the ranking."""
        if task.active and not task.state.terminal and task.state >= TaskState.ASSIGNED:
            for key in ((task.node_id, task.service_id), (task.node_id, "")):
                self._leaving[key] = self._leaving.get(key, 0) + 1

    def of_service(self, node_id: str, service_id: str) -> int:
        """How many tasks of the service on the node will stay."""
        held = self.load(node_id).services.get(service_id, 0)
        return held - self._leaving.get((node_id, service_id), 0) if self._leaving else held

    def active(self, node_id: str) -> int:
        """How many tasks on the node will stay."""
        return self.load(node_id).active - (self._leaving.get((node_id, ""), 0) if self._leaving else 0)

    def touched(self, service_id: str) -> set[str]:
        """The nodes that may carry tasks of the service, or on which some have failed."""
        held = {task.node_id for task in self.view.tasks.by("service", service_id) if task.node_id}
        return held.union(self.view.failing(service_id), self._placed.get(service_id, ()))

    def take(self, task: Task, node: Node) -> tuple[GenericResource, ...]:
        """Count one more task on the node; gives the generic resources that it gets there."""
        load = self._loads.get(node.id)
        if load is None:
            load = self._loads[node.id] = self.view.load(node.id).copy()
        self._placed.setdefault(task.service_id, set()).add(node.id)
        load.active += 1
        load.services[task.service_id] = load.services.get(task.service_id, 0) + 1
        for port in task.host_ports:
            load.ports[port] = load.ports.get(port, 0) + 1
        reserved = task.spec.resources.reservations
        if reserved is None:
            return ()
        load.cpus += reserved.cpus or 0
        load.memory += reserved.memory or 0
        given = generic.claim(task, node, load)
        generic.take(given, load.generic)
        return given

    def without(self, task: Task) -> NodeLoad:
        """The load of the task's node as it would be without the task."""
        load = self.load(task.node_id).copy()
        reserved = task.spec.resources.reservations
        if reserved is not None:
            load.cpus -= reserved.cpus or 0
            load.memory -= reserved.memory or 0
        if task.active:
            load.services[task.service_id] = load.services.get(task.service_id, 0) - 1
        for port in task.host_ports:
            load.ports[port] = load.ports.get(port, 0) - 1
        for one in task.assigned_generic:
            load.generic[one.kind, one.name] -= 1 if one.name else one.value
        return load
