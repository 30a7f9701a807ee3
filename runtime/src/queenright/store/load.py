# SPDX-License-Identifier: Apache-2.0
"""What each node carries, kept as tasks come and go, so that placing a task costs nothing that grows with the
cluster.
"""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Task
from queenright.model.states import TaskState

FAILURE_WINDOW = (
    300 * 1_000_000_000
)  # a node is faulty for a service revision by what happened in the last five minutes


@dataclasses.dataclass(slots=True)
class NodeLoad:
    """Aggregates of one node. Only the store writes it.

    ``active`` tasks are those wanted; ``services`` counts them per service id. Reservations (1e-9 CPU, bytes) are held
    until a task has ended.
    ``ports`` counts the holders of each (protocol, host port), ``generic`` what is held of each (kind, name) of generic
    resources, or of (kind, "") where they have no names. ``failures`` keeps leader times per (service id, spec
    version).
    """

    active: int = 0
    cpus: int = 0
    memory: int = 0
    services: dict[str, int] = dataclasses.field(default_factory=dict)
    ports: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    generic: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    failures: dict[tuple[str, int], tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def recent_failures(self, service_id: str, spec_version: int, now: int) -> int:
        """Failures of that service revision here within the window before ``now`` (wall nanoseconds)."""
        return sum(1 for at in self.failures.get((service_id, spec_version), ()) if now - at < FAILURE_WINDOW)

    def copy(self) -> NodeLoad:
        """One that may be written; failures are shared."""
        counts = (self.services.copy(), self.ports.copy(), self.generic.copy())
        return NodeLoad(self.active, self.cpus, self.memory, *counts, self.failures)


class Loads:
    """NodeLoad by node id, moved by task changes."""

    def __init__(self) -> None:
        self._by_node: dict[str, NodeLoad] = {}
        self._failing: dict[str, set[str]] = {}
        self._none = NodeLoad()

    def of(self, node_id: str) -> NodeLoad:
        """The node's load; an empty one for a node without tasks. Not to be written by the caller."""
        return self._by_node.get(node_id, self._none)

    def failing(self, service_id: str) -> frozenset[str]:
        """The nodes that remember failures of the service."""
        return frozenset(self._failing.get(service_id, ()))

    def moved(self, before: Task | None, after: Task | None) -> None:
        """One task changed (None: did not exist, or no longer does)."""
        if before is not None and _placed(before):
            self._add(before, -1)
        if after is not None and _placed(after):
            self._add(after, 1)
            self._note_failure(before, after)

    def _add(self, task: Task, sign: int) -> None:
        load = self._by_node.setdefault(task.node_id, NodeLoad())
        if task.active and not task.state.terminal:
            load.active += sign
            _count(load.services, task.service_id, sign)
        if task.holds_resources:
            reserved = task.spec.resources.reservations
            if reserved is not None:
                load.cpus += sign * (reserved.cpus or 0)
                load.memory += sign * (reserved.memory or 0)
            for port in task.host_ports:
                _count(load.ports, port, sign)
            for one in task.assigned_generic:
                _count(load.generic, (one.kind, one.name), sign * (1 if one.name else one.value))

    def _note_failure(self, before: Task | None, after: Task) -> None:
        failed = (TaskState.FAILED, TaskState.REJECTED)
        if after.state in failed and (before is None or before.state not in failed):
            key = (after.service_id, after.spec_version)
            load = self._by_node[after.node_id]
            at = after.status.applied_at
            kept = tuple(time for time in load.failures.get(key, ()) if at - time < FAILURE_WINDOW)
            old = [one for one, times in load.failures.items() if one[0] == key[0] and at - times[-1] >= FAILURE_WINDOW]
            for one in old:  # a service that is updated day after day leaves nothing of its earlier revisions
                del load.failures[one]
            load.failures[key] = (*kept[-63:], at)
            self._failing.setdefault(after.service_id, set()).add(after.node_id)

    def take_over(self, other: Loads) -> dict[str, NodeLoad]:
        """Hold what ``other`` holds from now on; gives what was here."""
        gone, self._by_node = self._by_node, other._by_node
        self._failing = other._failing
        return gone

    def forget_service(self, service_id: str) -> None:
        """A deleted service leaves no failures behind."""
        for node_id in self._failing.pop(service_id, ()):
            load = self._by_node.get(node_id)
            if load is not None:
                load.failures = {key: times for key, times in load.failures.items() if key[0] != service_id}

    def forget_node(self, node_id: str) -> None:
        """A deleted node's failures are forgotten; what tasks still hold there goes with the tasks."""
        load = self._by_node.get(node_id)
        if load is not None:
            for service_id in {key[0] for key in load.failures}:
                self._failing.get(service_id, set()).discard(node_id)
            load.failures.clear()
            if not (load.active or load.cpus or load.memory or load.ports):
                del self._by_node[node_id]


def _placed(task: Task) -> bool:
    """Whether the scheduler gave the task its node. One born for a node (global) holds nothing there before that."""
    return bool(task.node_id) and task.state >= TaskState.ASSIGNED


def _count(
    counts: dict[str, int] | dict[tuple[str, int], int] | dict[tuple[str, str], int], key: object, sign: int
) -> None:
    table: dict[object, int] = counts  # type: ignore[assignment]
    number = table.get(key, 0) + sign
    if number:
        table[key] = number
    else:
        table.pop(key, None)
