# SPDX-License-Identifier: Apache-2.0
"""A new task's trial: it passes when it has run for the monitor time, and fails when it ends before that."""

from __future__ import annotations

from queenright.decide import defaults
from queenright.model.objects import Task
from queenright.model.states import TaskState

REFUSED_BY_PLACEMENT = "task rejected by constraint enforcer"
_OWN_ENDS = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


def failed(task: Task, monitor: int) -> bool:
    """Whether the task ended by itself before it had run for ``monitor`` nanoseconds.

    A task that was stopped, or whose node went away, did not fail; nor did one that finished as its policy allows.
    """
    if task.state not in _OWN_ENDS or task.status.message == REFUSED_BY_PLACEMENT or finished(task):
        return False
    since = task.status.running_since
    return not since or task.status.applied_at - since < monitor


def finished(task: Task) -> bool:
    """Whether the task did what it was for: it completed and shall not run again for that."""
    return task.state == TaskState.COMPLETE and defaults.restart(task.spec).condition != "any"


def passed_at(task: Task, monitor: int) -> int | None:
    """The wall time at which a running task has passed, or will have; None for one that does not run."""
    if task.state != TaskState.RUNNING:
        return None
    return (task.status.running_since or task.status.applied_at) + monitor


def ended_at(task: Task, now: int) -> int:
    """When the task ended, by the leader's clock; ``now`` if it has not, or if the clock went back since."""
    if task.state.terminal and task.status.applied_at:
        return min(task.status.applied_at, now)
    if not task.wanted and task.updated_at:
        return min(task.updated_at, now)
    return now
