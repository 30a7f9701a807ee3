# SPDX-License-Identifier: Apache-2.0
"""Where the tasks of one revision go: nodes ranked by load, spread over the values of labels.

The next task goes to the node with the fewest recent failures of the revision (once it has five), then the fewest tasks
of the service, then the fewest tasks, then the lowest id. With preferences the labels' values come first: at each
level the branch with the fewest tasks of the service is taken.

Revisions that ask for the same share a :class:`Pool`: the nodes that can take such tasks, in heaps by what they carry.
Only the few nodes that a service is on, or where it failed, rank otherwise for it, so a :class:`_Turn` keeps those
apart. Thus nodes are looked at once for each kind of request, and then one by one as tasks are placed.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from queenright.decide import filters
from queenright.decide.plan import Plan
from queenright.model import constraints
from queenright.model.objects import GenericResource, Node, Task

FAULTY_AFTER = 5

Path = tuple[str, ...]  # values of the labels over which tasks are spread, first to last
Ready = tuple[int, str, Node]  # (tasks, id, node)
Ranked = tuple[int, int, int, str, Node]  # (failures, tasks of the service, tasks, id, node)
FEW = 16  # nodes; among so few each is asked
KINDS = 200  # of requests whose nodes are remembered until a node changes
NAMED = 4  # nodes; so many that are refused for the same reason are named


class Given(NamedTuple):
    """A node for a task, the generic resources that it gets there, and in words which nodes were passed over."""

    node: Node
    generic: tuple[GenericResource, ...]
    refused: str = ""


def faults(plan: Plan, task: Task, node: Node, now: int) -> int:
    """How often tasks of the revision have failed on the node of late; 0 as long as that is not often enough to make
    other nodes come first.
    """
    failures = plan.load(node.id).recent_failures(task.service_id, task.spec_version, now)
    return failures if failures >= FAULTY_AFTER else 0


class Pools:
    """All nodes, for one decision; ``now`` in wall nanoseconds. Whatever else it places is in ``plan`` before."""

    def __init__(self, plan: Plan, now: int) -> None:
        self._plan = plan
        self._now = now
        self._nodes = tuple(plan.view.nodes)
        self._active = {node.id: plan.active(node.id) for node in self._nodes}
        # In order, so each part of it is a heap.
        self._ranked: list[Ready] = sorted((self._active[node.id], node.id, node) for node in self._nodes)
        self._pools: dict[Hashable, Pool] = {}

    def place(self, sample: Task, count: int) -> list[Given]:
        """Nodes for up to ``count`` tasks like ``sample``, in order, and what each task gets there.

        They are counted in the plan. There are fewer if no node can take one more.
        """
        asked = filters.request(sample)
        turn = _Turn(self._pool(sample, asked), sample, asked, self._plan, self._active, self._now)
        placed: list[Given] = []
        while len(placed) < count:
            refused = self._refused(sample, asked)
            given = turn.next()
            if given is None:
                break
            placed.append(given._replace(refused=refused) if refused else given)
        turn.end()
        return placed

    def _pool(self, sample: Task, asked: filters.Request) -> Pool:
        descriptors = _descriptors(sample)
        key = (asked.of("node", "room").key, descriptors)
        pool = self._pools.get(key)
        if pool is None:
            fitting = self._fitting(sample, asked)[0]
            pool = self._pools[key] = Pool(self._ranked, fitting, descriptors, self._paths(descriptors))
        return pool

    def _paths(self, descriptors: Path) -> dict[str, Path]:
        """The branch of each node; none if tasks are not spread over labels."""
        if not descriptors:
            return {}
        known = self._plan.view.of_nodes
        paths: dict[str, Path] | None = known.get(("paths", descriptors))
        if paths is None:
            paths = {
                node.id: tuple(constraints.label_value(node, name) or "" for name in descriptors)
                for node in self._nodes
            }
            known["paths", descriptors] = paths
        return paths

    def _fitting(self, sample: Task, asked: filters.Request) -> tuple[dict[str, Node], str]:
        """The nodes that are what the task asks for, and why the others are not; room is looked for when a node's turn
        comes.
        """
        steady = asked.of("node")
        known = self._plan.view.of_nodes
        found: tuple[dict[str, Node], str] | None = known.get(("fit", steady.key))
        if found is None:
            none, fit = self._plan.load(""), {}
            refused: dict[str, list[Node]] = {}
            for node in self._nodes:
                refusal = filters.first_refusal(steady.filters, sample, node, none)
                if refusal is None:
                    fit[node.id] = node
                else:
                    refused.setdefault(refusal[1].brief, []).append(node)
            if len(known) >= KINDS:
                known.clear()
            found = known["fit", steady.key] = (fit, _told(refused))
        return found

    def _refused(self, sample: Task, asked: filters.Request) -> str:
        """The nodes that cannot take the task, as they are now. Among many, only those that are not what it asks for:
        to ask all of them once more for each task would be too much.
        """
        if len(self._nodes) > FEW:
            return self._fitting(sample, asked)[1]
        refused: dict[str, list[Node]] = {}
        for node in self._nodes:
            refusal = filters.first_refusal(asked.filters, sample, node, self._plan.load(node.id))
            failures = faults(self._plan, sample, node, self._now)
            brief = refusal[1].brief if refusal is not None else f"{failures} failures" if failures else ""
            if brief:
                refused.setdefault(brief, []).append(node)
        return _told(refused)


class Pool:
    """Nodes for one kind of request, in a heap for each path, by the tasks that they carry.

    Numbers in the heaps may be too low by now, never too high: they are put right when a node comes to the top.
    """

    def __init__(
        self, ranked: Sequence[Ready], members: Mapping[str, Node], descriptors: Path, paths: Mapping[str, Path]
    ) -> None:
        self.depth = len(descriptors)
        self.members = members
        self.heaps: dict[Path, list[Ready]] = {}
        self.branches: dict[Path, dict[str, None]] = {(): {}}
        self._paths = paths
        own = list(ranked) if len(members) == len(ranked) else [one for one in ranked if one[1] in members]
        if not descriptors:
            self.heaps[()] = own
            return
        for one in own:
            self.heaps.setdefault(paths[one[1]], []).append(one)
        for path in self.heaps:
            for depth, value in enumerate(path):
                self.branches.setdefault(path[:depth], {})[value] = None

    def path(self, node: Node) -> Path:
        return self._paths.get(node.id, ())


class _Turn:
    """One revision's turn at a pool.

    The nodes that it takes, or that its service is on, are put aside until the end.
    """

    def __init__(
        self, pool: Pool, sample: Task, asked: filters.Request, plan: Plan, active: dict[str, int], now: int
    ) -> None:
        self._room = asked.of("room").filters
        self._own_limits = asked.of("room", "service").filters
        self._pool, self._sample, self._plan, self._active, self._now = pool, sample, plan, active, now
        self._aside: list[Node] = []
        self._own: dict[Path, list[Ranked]] = {}
        self._held: dict[Path, int] = {}
        self._forks: dict[Path, list[tuple[int, str]]] = {}
        self._known = {key for key in plan.touched(sample.service_id) if key in pool.members}
        for key in self._known:
            node = pool.members[key]
            path = pool.path(node)
            ranked = self._rank(node)
            self._own.setdefault(path, []).append(ranked)
            for depth in range(1, len(path) + 1):
                self._held[path[:depth]] = self._held.get(path[:depth], 0) + ranked[1]
        for heap in self._own.values():
            heapq.heapify(heap)

    def next(self) -> Given | None:
        """The node for the next task, which is counted there; None if no node can take one more."""
        return self._below(())

    def end(self) -> None:
        """Give the pool back what was put aside."""
        for node in self._aside:
            heapq.heappush(self._pool.heaps[self._pool.path(node)], (self._active[node.id], node.id, node))

    def _below(self, path: Path) -> Given | None:
        """From the emptiest branch that can take one more."""
        if len(path) == self._pool.depth:
            return self._leaf(path)
        heap = self._forks.get(path)
        if heap is None:
            heap = [(self._held.get((*path, value), 0), value) for value in self._pool.branches.get(path, ())]
            heapq.heapify(heap)
            self._forks[path] = heap
        while heap:
            held, value = heap[0]
            given = self._below((*path, value))
            if given is not None:
                heapq.heapreplace(heap, (held + 1, value))
                return given
            heapq.heappop(heap)
        return None

    def _leaf(self, path: Path) -> Given | None:
        shared, own = self._pool.heaps[path], self._own.setdefault(path, [])
        while True:
            self._settle(shared)
            if own and (not shared or own[0][:4] < (0, 0, *shared[0][:2])):
                node = own[0][4]
                if filters.first_refusal(self._own_limits, self._sample, node, self._plan.load(node.id)) is None:
                    given = self._take(node)
                    heapq.heapreplace(own, self._rank(node))
                    return Given(node, given)
                heapq.heappop(own)
            elif shared:
                node = heapq.heappop(shared)[2]
                # Room gets no more while a decision is made: who has none is out of the pool.
                if not self._room or self._has_room(node):
                    given = self._take(node)
                    self._known.add(node.id)
                    self._aside.append(node)
                    heapq.heappush(own, self._rank(node))
                    return Given(node, given)
            else:
                return None

    def _settle(self, shared: list[Ready]) -> None:
        """Bring a node to the top of the heap whose number is right and that is none of the service's own."""
        while shared:
            number, key, node = shared[0]
            if key in self._known:
                heapq.heappop(shared)
                self._aside.append(node)
            elif number != self._active[key]:
                heapq.heapreplace(shared, (self._active[key], key, node))
            else:
                return

    def _has_room(self, node: Node) -> bool:
        return filters.first_refusal(self._room, self._sample, node, self._plan.load(node.id)) is None

    def _take(self, node: Node) -> tuple[GenericResource, ...]:
        self._active[node.id] += 1
        return self._plan.take(self._sample, node)

    def _rank(self, node: Node) -> Ranked:
        """Nodes with lower ranks are taken first."""
        of_service = self._plan.of_service(node.id, self._sample.service_id)
        failures = faults(self._plan, self._sample, node, self._now)
        return failures, of_service, self._active[node.id], node.id, node


def _told(refused: Mapping[str, Sequence[Node]]) -> str:
    """``h1, h3: no memory; 12 nodes: drained``, the nodes by id."""
    parts = []
    for brief, nodes in sorted(refused.items()):
        names = [node.hostname or node.id for node in sorted(nodes, key=lambda node: node.id)]
        parts.append(f"{', '.join(names) if len(names) <= NAMED else f'{len(names)} nodes'}: {brief}")
    return "; ".join(parts)


def _descriptors(task: Task) -> Path:
    """The labels to spread over, first to last; descriptors that name no label are ignored."""
    preferences = task.spec.placement.preferences if task.spec.placement is not None else ()
    named = [preference.spread.descriptor or "" for preference in preferences]
    return tuple(name for name in named if name.lower().startswith(("node.labels.", "engine.labels.")))
