# SPDX-License-Identifier: Apache-2.0
"""Where the tasks of one revision go: candidates ranked by load, spread over the values of labels.

The next task goes to the node with the fewest recent failures of the revision (once it has five), then the fewest tasks
of the service, then the fewest tasks, then the lowest id. With preferences the labels' values come first: at each
level the branch with the fewest tasks of the service is taken.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Sequence

from queenright.decide import filters
from queenright.model import constraints
from queenright.model.objects import Node, Task
from queenright.model.states import TaskState
from queenright.store.load import NodeLoad
from queenright.store.store import Store

FAULTY_AFTER = 5


class Plan:
    """The loads of nodes as a decision in the making leaves them."""

    def __init__(self, view: Store) -> None:
        self._view = view
        self._loads: dict[str, NodeLoad] = {}
        self._leaving: dict[tuple[str, str], int] = {}

    def load(self, node_id: str) -> NodeLoad:
        changed = self._loads.get(node_id)
        return changed if changed is not None else self._view.load(node_id)

    def discount(self, task: Task) -> None:
        """The task still runs but is about to be replaced (start-first): it does not count for the ranking."""
        if task.active and not task.state.terminal and task.state >= TaskState.ASSIGNED:
            for key in ((task.node_id, task.service_id), (task.node_id, "")):
                self._leaving[key] = self._leaving.get(key, 0) + 1

    def counts(self, node_id: str, service_id: str) -> tuple[int, int]:
        """(tasks of the service, all tasks) on the node that will stay."""
        load = self.load(node_id)
        of_service = load.services.get(service_id, 0) - self._leaving.get((node_id, service_id), 0)
        return of_service, load.active - self._leaving.get((node_id, ""), 0)

    def take(self, task: Task, node_id: str) -> None:
        """Count one more task on the node."""
        load = self._loads.get(node_id)
        if load is None:
            held = self._view.load(node_id)
            load = dataclasses.replace(held, services=dict(held.services), ports=dict(held.ports))
            self._loads[node_id] = load
        load.active += 1
        load.services[task.service_id] = load.services.get(task.service_id, 0) + 1
        reserved = task.spec.resources.reservations
        if reserved is not None:
            load.cpus += reserved.cpus or 0
            load.memory += reserved.memory or 0
        for port in task.host_ports:
            load.ports[port] = load.ports.get(port, 0) + 1


class Candidates:
    """The nodes that may take tasks of one revision, ready to be asked for the best one again and again.

    ``sample`` is any task of the revision: all of them ask for the same.
    """

    def __init__(self, nodes: Iterable[Node], sample: Task, plan: Plan, now: int) -> None:
        chosen = filters.concerning(sample)
        self._changing = tuple(one for one in chosen if not one.steady)
        self._plan = plan
        self._sample = sample
        self._now = now
        steady = tuple(one for one in chosen if one.steady)
        able = [node for node in nodes if filters.first_refusal(steady, sample, node, plan.load(node.id)) is None]
        self._root = self._branch(able, _descriptors(sample))

    def next(self) -> Node | None:
        """The node for the next task, which is counted there; None if no node can take one more."""
        return self._root.next(self)

    def rank(self, node: Node) -> tuple[int, int, int, str]:
        """Nodes with lower ranks are taken first."""
        load = self._plan.load(node.id)
        failures = load.recent_failures(self._sample.service_id, self._sample.spec_version, self._now)
        faulty = failures if failures >= FAULTY_AFTER else 0
        return faulty, *self._plan.counts(node.id, self._sample.service_id), node.id

    def fits(self, node: Node) -> bool:
        load = self._plan.load(node.id)
        return filters.first_refusal(self._changing, self._sample, node, load) is None

    def take(self, node: Node) -> None:
        self._plan.take(self._sample, node.id)

    def _branch(self, nodes: Sequence[Node], descriptors: Sequence[str]) -> _Leaf | _Fork:
        if not descriptors:
            return _Leaf(self, nodes)
        values: dict[str, list[Node]] = {}
        for node in nodes:
            values.setdefault(constraints.label_value(node, descriptors[0]) or "", []).append(node)
        service_id = self._sample.service_id
        branches = [
            (sum(self._plan.counts(node.id, service_id)[0] for node in members), value, members)
            for value, members in values.items()
        ]
        return _Fork([(held, value, self._branch(members, descriptors[1:])) for held, value, members in branches])


class _Leaf:
    """Nodes in a heap by rank. A node that is full stays full, so it is dropped."""

    def __init__(self, candidates: Candidates, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._heap = [candidates.rank(node) for node in self._nodes.values()]
        heapq.heapify(self._heap)

    def next(self, candidates: Candidates) -> Node | None:
        while self._heap:
            node = self._nodes[self._heap[0][3]]
            if candidates.fits(node):
                candidates.take(node)
                heapq.heapreplace(self._heap, candidates.rank(node))
                return node
            heapq.heappop(self._heap)
        return None


class _Fork:
    """Branches in a heap by the number of the service's tasks in them, then by the label's value."""

    def __init__(self, branches: Iterable[tuple[int, str, _Leaf | _Fork]]) -> None:
        self._below = {value: branch for _, value, branch in branches}
        self._heap = [(held, value) for held, value, _ in branches]
        heapq.heapify(self._heap)

    def next(self, candidates: Candidates) -> Node | None:
        while self._heap:
            held, value = self._heap[0]
            node = self._below[value].next(candidates)
            if node is not None:
                heapq.heapreplace(self._heap, (held + 1, value))
                return node
            heapq.heappop(self._heap)
        return None


def _descriptors(task: Task) -> list[str]:
    """The labels to spread over, first to last; descriptors that name no label are ignored."""
    preferences = task.spec.placement.preferences if task.spec.placement is not None else ()
    named = [preference.spread.descriptor or "" for preference in preferences]
    return [name for name in named if name.lower().startswith(("node.labels.", "engine.labels."))]
