# SPDX-License-Identifier: Apache-2.0
"""Takes tasks off a node that changed so that it may not, or cannot, hold them any more.

A victim is REJECTED; the restart decider replaces it elsewhere. The newest tasks go first, so the same node change has
the same victims every time. Tasks whose service wants another placement by now are the rolling update's to move.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from queenright.decide import generic, tasks, trial
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.revision import placement_fits
from queenright.decide.standing_spec import reached_by
from queenright.model.changes import Change, Update
from queenright.model.objects import Node, Task
from queenright.model.states import TaskState
from queenright.spec.cluster import ACTIVE
from queenright.store.store import Store

UNMET = "assigned node no longer meets constraints"
SHORT = "assigned node no longer has the resources that are reserved"


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Check what each touched active node holds against its constraints, then against what the node has."""
    keys = view.nodes.ids() if dirty.everything else dirty.nodes
    changes: list[Change] = []
    for key in sorted(keys):
        node = view.nodes.get(key)
        if node is not None and node.availability == ACTIVE:
            changes.extend(_check(view, node, now))
    return Decision(tuple(changes))


def _check(view: Store, node: Node, now: Now) -> list[Change]:
    held = [
        task
        for task in view.tasks.by("node", node.id)
        if TaskState.ASSIGNED <= task.state <= TaskState.RUNNING and task.active
    ]
    load = view.load(node.id)
    short = load.cpus > node.description.nano_cpus or load.memory > node.description.memory_bytes
    cpus, memory = node.description.nano_cpus, node.description.memory_bytes
    taken: dict[tuple[str, str], int] = {}
    changes: list[Change] = []
    for task in sorted(held, key=lambda task: (task.created_at, task.id)):
        if not placement_fits(node, task.spec) and not _moving(view, task):
            changes.append(_reject(task, UNMET, now))
            continue
        reserved = task.spec.resources.reservations
        if reserved is None:
            continue
        over = short and ((reserved.cpus or 0) > cpus or (reserved.memory or 0) > memory)
        if over or generic.lacks(task.assigned_generic, node, taken):
            changes.append(_reject(task, SHORT, now))
            continue
        cpus -= reserved.cpus or 0
        memory -= reserved.memory or 0
        generic.take(task.assigned_generic, taken)
    return changes


def _moving(view: Store, task: Task) -> bool:
    """Whether the service wants another placement than the task was made with."""
    service = view.services.get(task.service_id)
    return service is not None and reached_by(service).spec.task.placement != task.spec.placement


def _reject(task: Task, err: str, now: Now) -> Change:
    status = tasks.ended(task.status, TaskState.REJECTED, now, trial.REFUSED_BY_PLACEMENT, err)
    return Update(dataclasses.replace(task, status=status))
