# SPDX-License-Identifier: Apache-2.0
"""The places of a service: numbered slots, or nodes for a global one; each with its tasks, oldest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from operator import itemgetter

from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import DRAIN
from queenright.store.store import Store


@dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    """``number`` is 0 and ``node_id`` set for a global service, else the other way round. Tasks oldest first."""

    number: int
    node_id: str
    tasks: tuple[Task, ...]

    @property
    def wanted(self) -> tuple[Task, ...]:
        """Tasks that shall run, now or soon."""
        return tuple(task for task in self.tasks if task.wanted)

    @property
    def newest(self) -> Task | None:
        """The last task that is not on its way out of the history."""
        return next((task for task in reversed(self.tasks) if task.desired_state < TaskState.REMOVE), None)

    @property
    def running(self) -> bool:
        return any(task.wanted and task.state == TaskState.RUNNING for task in self.tasks)


def of_service(view: Store, service_id: str) -> dict[tuple[int, str], Slot]:
    """All slots that have tasks, in order of number and node id."""
    groups: dict[tuple[int, str], list[Task]] = {}
    for task in view.tasks.by("service", service_id):
        groups.setdefault(_key(task), []).append(task)
    return {key: Slot(key[0], key[1], tuple(held)) for key, held in sorted(groups.items(), key=itemgetter(0))}


def of_task(view: Store, task: Task) -> Slot:
    """The slot of a task."""
    return at(view, task.service_id, *_key(task))


def at(view: Store, service_id: str, number: int, node_id: str = "") -> Slot:
    """One slot, perhaps empty. Its cost is that of its own tasks."""
    if number:
        return Slot(number, "", view.tasks.by("slot", (service_id, number)))
    found = view.tasks.by("place", (service_id, node_id))
    return Slot(0, node_id, tuple(task for task in found if not task.slot))


def gone(node: Node | None) -> bool:
    """Whether nothing runs there any more, as far as anyone can know."""
    return node is None or node.status.state == NodeState.DOWN


def leaving(node: Node | None) -> bool:
    """Whether tasks have to leave the node: it is gone or drained."""
    return node is None or node.status.state == NodeState.DOWN or node.availability == DRAIN


def stopped(view: Store, task: Task) -> bool:
    """Whether nothing of the task runs any more: it has ended, was never given to a node, or its node is gone."""
    if task.state.terminal or task.state < TaskState.ASSIGNED:
        return True
    return gone(view.nodes.get(task.node_id))


def on_leaving_node(view: Store, task: Task) -> bool:
    """Whether the task was given to a node that it has to leave."""
    return bool(task.node_id) and leaving(view.nodes.get(task.node_id))


def dirty_services(view: Store, touched: Iterable[str], everything: bool, mode: str) -> list[Service]:
    """The services of one mode to look at, oldest first."""
    if everything:
        return sorted(view.services.by("mode", mode), key=lambda service: (service.created_at, service.id))
    found = (view.services.get(service_id) for service_id in touched)
    chosen = [service for service in found if service is not None and (service.spec.mode.kind or "replicated") == mode]
    return sorted(chosen, key=lambda service: (service.created_at, service.id))


def _key(task: Task) -> tuple[int, str]:
    return (task.slot, "") if task.slot else (0, task.node_id)
