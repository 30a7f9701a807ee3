# SPDX-License-Identifier: Apache-2.0
"""The chain of causes that ends in a task: what happened to those before it in its place, and what became of it.

Each task carries why it was made and which nodes were passed over when it was placed; states carry their times. This
puts them together, so that the whole story can be told long after nodes are back and histories have moved on.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from queenright.decide import slots
from queenright.decide.base import Now
from queenright.lib.clockface import of_day
from queenright.model.objects import Node, Task
from queenright.model.states import NodeState, TaskState
from queenright.store.store import Store

MOST = 6  # tasks of one place, the newest ones


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, to or because of a task. ``at``: wall nanoseconds, 0 where it is not known."""

    at: int
    task_id: str
    text: str


def line(store: Store, task: Task) -> str:
    """The chain of one task: ``h2 silent 12:01:07 -> down 12:01:13 -> restart any -> h4; h3: no memory``."""
    begun = task.cause or f"made {of_day(task.created_at)}"
    if task.state < TaskState.ASSIGNED:
        return f"{begun} -> no node yet" + (f": {task.status.err}" if task.status.err else "")
    if not task.node_id:
        return begun
    # What the chain begins with need not be said again at its end.
    passed = [part for part in task.refused.split("; ") if part and part.partition(":")[0] != begun.partition(" ")[0]]
    return "; ".join((f"{begun} -> {_host(store, task.node_id)}", *passed))


def steps(store: Store, task: Task, now: Now) -> list[Step]:
    """What happened in the task's place up to it, and to it since; oldest first."""
    told: list[Step] = []
    for one in _before(store, task):
        told.append(Step(one.created_at, one.id, line(store, one)))
        told.extend(_life(one))
    told.extend(_outlook(store, task, now))
    after = next((one for one in slots.of_task(store, task).tasks if one.replaces == task.id), None)
    if after is not None:
        told.append(Step(after.created_at, after.id, f"{after.id} in its place: {line(store, after)}"))
    return told


def document(store: Store, task: Task, now: Now) -> dict[str, Any]:
    """The chain for ``GET /queenright/v1/why/{ref}``: ``text`` in one line, and ``steps`` with their times."""
    return {
        "text": line(store, task),
        "steps": [{"at": step.at, "task": step.task_id, "text": step.text} for step in steps(store, task, now)],
    }


def _before(store: Store, task: Task) -> list[Task]:
    """The task and those that it came after, oldest first, as far as they are remembered."""
    found = [task]
    while len(found) < MOST and found[-1].replaces and (before := store.tasks.get(found[-1].replaces)) is not None:
        found.append(before)
    return found[::-1]


def _life(task: Task) -> list[Step]:
    """When it ran and how it ended."""
    status = task.status
    told = []
    if status.running_since:
        told.append(Step(status.running_since, task.id, "runs"))
    if task.state.terminal:
        said = status.err or status.message
        told.append(Step(status.applied_at, task.id, task.state.text + (f": {said}" if said else "")))
    return told


def _outlook(store: Store, task: Task, now: Now) -> list[Step]:
    """What is under way with a task that has not ended: its node is in trouble, or its start waits."""
    if task.state.terminal:
        return []
    node = store.nodes.get(task.node_id)
    told = _trouble(task, node) if node is not None and node.status.state != NodeState.READY else []
    if task.desired_state == TaskState.READY and task.not_before > now.wall:
        told.append(Step(task.not_before, task.id, "shall start: the restart delay is over"))
    return told


def _trouble(task: Task, node: Node) -> list[Step]:
    name, status = node.hostname or node.id, node.status
    told = [Step(status.silent_since, task.id, f"{name} silent")] if status.silent_since else []
    message = f": {status.message}" if status.message else ""
    return [*told, Step(status.since, task.id, f"{name} {status.state}{message}")]


def _host(store: Store, node_id: str) -> str:
    node = store.nodes.get(node_id)
    return (node.hostname if node is not None else "") or node_id
