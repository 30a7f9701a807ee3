# SPDX-License-Identifier: Apache-2.0
"""What a node's agent has to know: its tasks from their assignment until their records are deleted, and of secrets,
configs and credentials just what those of them need that have not ended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from queenright.model.objects import Task
from queenright.model.states import TaskState
from queenright.store.store import Store
from queenright.store.tables import config_ids, secret_ids


def assignments(view: Store, node_id: str, among: Iterable[str] | None = None) -> dict[str, Task]:
    """The node's tasks by id, those to be stopped and those that have ended included; with ``among`` only of these
    ids, at the cost of their number.
    """
    if among is None:
        tasks: Iterable[Task] = view.tasks.by("node", node_id)
    else:
        tasks = [task for key in among if (task := view.tasks.get(key)) is not None and task.node_id == node_id]
    return {task.id: task for task in tasks if task.state >= TaskState.ASSIGNED}


def changes(before: Mapping[str, Task], after: Mapping[str, Task]) -> tuple[list[Task], list[str]]:
    """(tasks to send, ids that are gone). What the agent itself reported is no news to it."""
    updates = [task for key, task in after.items() if key not in before or _news(before[key], task)]
    return updates, [key for key in before if key not in after]


def secrets_of(task: Task) -> frozenset[str]:
    """Ids of the secrets that a node holds for a task: none once it has ended."""
    return frozenset(filter(None, secret_ids(task.spec))) if task.holds_resources else frozenset()


def configs_of(task: Task) -> frozenset[str]:
    """As :func:`secrets_of`, of configs."""
    return frozenset(filter(None, config_ids(task.spec))) if task.holds_resources else frozenset()


def _news(known: Task, task: Task) -> bool:
    if known is task or known.version == task.version:
        return False
    same = dataclasses.replace(known, status=task.status, version=task.version, updated_at=task.updated_at)
    return same != task
