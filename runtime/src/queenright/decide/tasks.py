# SPDX-License-Identifier: Apache-2.0
"""How tasks are made from a service and told to stop: the one place for both."""

from __future__ import annotations

import dataclasses

from queenright.decide.base import Now
from queenright.model.changes import Create, Update
from queenright.model.objects import Service, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import EndpointSpec, TaskSpec
from queenright.store.tables import targets

PENDING_MESSAGE = "pending task scheduling"
NEW_MESSAGE = "waiting for addresses"


def new_task(
    service: Service,
    *,
    task_id: str,
    now: Now,
    slot: int = 0,
    node_id: str = "",
    desired: TaskState | None = None,
    replaces: Task | None = None,
    not_before: int = 0,
    restart: bool = False,
    cause: str = "",
) -> Create:
    """A task of the service's present revision, waiting to be given addresses or a node.

    It is to be started at once (a job's: run to its end) unless ``desired`` says otherwise.
    With ``node_id`` it is for that node only (a global service). ``replaces`` is the task before it in its slot;
    ``restart`` counts it as a further attempt at the same revision. ``cause``: why, in words (see ``cause``).
    """
    again = restart and replaces is not None and replaces.spec_version == service.spec_version
    goal = TaskState.COMPLETE if service.job_iteration else TaskState.RUNNING
    return Create(
        Task(
            id=task_id,
            created_at=now.wall,
            service_id=service.id,
            service_name=service.name,
            service_labels=dict(service.spec.labels),
            slot=slot,
            node_id=node_id,
            spec=service.spec.task,
            endpoint=service.spec.endpoint,
            spec_version=service.spec_version,
            job_iteration=service.job_iteration,
            desired_state=goal if desired is None else desired,
            status=_born(service.spec.task, service.spec.endpoint, now),
            not_before=not_before,
            replaces=replaces.id if replaces is not None else "",
            attempt=replaces.attempt + 1 if again and replaces is not None else 0,
            cause=cause,
        )
    )


def same_again(old: Task, *, task_id: str, now: Now, desired: TaskState, not_before: int, cause: str = "") -> Create:
    """A replacement of the old task's own revision."""
    return Create(
        dataclasses.replace(
            old,
            id=task_id,
            version=0,
            created_at=now.wall,
            updated_at=0,
            node_id="" if old.slot else old.node_id,
            desired_state=desired,
            status=_born(old.spec, old.endpoint, now),
            not_before=not_before,
            replaces=old.id,
            attempt=old.attempt + 1,
            assigned_generic=(),
            attachments=(),
            cause=cause,
            refused="",
        )
    )


def stop(task: Task, desired: TaskState, now: Now) -> Update:
    """Tell a task to stop (SHUTDOWN keeps it as history, REMOVE does not).

    One that was never given to a node has nobody to report its end: it has ended with this.
    """
    changed = dataclasses.replace(task, desired_state=max(task.desired_state, desired))
    if task.state < TaskState.ASSIGNED:
        changed = dataclasses.replace(
            changed, status=ended(task.status, TaskState.SHUTDOWN, now, "stopped before it was assigned to a node")
        )
    return Update(changed)


def ended(status: TaskStatus, state: TaskState, now: Now, message: str, err: str = "") -> TaskStatus:
    """A status by the manager's word instead of the agent's."""
    return dataclasses.replace(status, state=state, at=now.wall, applied_at=now.wall, message=message, err=err)


def _born(spec: TaskSpec, endpoint: EndpointSpec, now: Now) -> TaskStatus:
    """A task in networks waits for its addresses first, any other for a node."""
    state, message = (TaskState.NEW, NEW_MESSAGE) if targets(spec, endpoint) else (TaskState.PENDING, PENDING_MESSAGE)
    return TaskStatus(state=state, at=now.wall, applied_at=now.wall, message=message)
