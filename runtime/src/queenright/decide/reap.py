# SPDX-License-Identifier: Apache-2.0
"""Deletes what nobody needs any more: tasks of removed services and slots, history beyond its limit, old tickets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from queenright.decide import defaults, slots, tasks
from queenright.decide.base import Decision, Dirty, Now, earliest
from queenright.model.changes import Change, Delete
from queenright.model.objects import Service, Task
from queenright.model.states import TaskState
from queenright.store.store import Store


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at the touched slots and services; tickets are few and looked at each time."""
    changes: list[Change] = []
    places: set[tuple[str, int, str]] = set()
    for task in sorted(_touched(view, dirty), key=lambda task: (task.created_at, task.id)):
        if task.service_id in view.services:
            places.add((task.service_id, task.slot, "" if task.slot else task.node_id))
        else:
            changes.extend(_orphaned(view, task, now))
    for place in sorted(places):
        service = view.services.get(place[0])
        if service is not None:
            changes.extend(_slot(view, service, slots.at(view, *place)))
    changes.extend(Delete("ticket", ticket.id) for ticket in view.tickets if ticket.expires_at <= now.wall)
    waits = (now.wake_at(ticket.expires_at) for ticket in view.tickets if ticket.expires_at > now.wall)
    return Decision(tuple(changes), earliest(waits))


def _touched(view: Store, dirty: Dirty) -> Iterable[Task]:
    """Touched tasks, those of services that are gone and those of nodes that are gone."""
    if dirty.everything:
        return view.tasks
    found = {key: task for key in dirty.tasks if (task := view.tasks.get(key)) is not None}
    for service_id in dirty.services:
        if service_id not in view.services:
            found.update((task.id, task) for task in view.tasks.by("service", service_id))
    for node_id in dirty.nodes:
        if node_id not in view.nodes:
            found.update((task.id, task) for task in view.tasks.by("node", node_id))
    return found.values()


def _removable(view: Store, task: Task) -> bool:
    """Whether a task on its way out is gone from its node, or never got to one, or the node itself is no more."""
    if task.state < TaskState.ASSIGNED or task.state.terminal:
        return True
    return task.node_id not in view.nodes


def _orphaned(view: Store, task: Task, now: Now) -> list[Change]:
    """A task without a service stops, and is deleted once it has."""
    if _removable(view, task):
        return [Delete("task", task.id, task.version)]
    return [] if task.desired_state >= TaskState.REMOVE else [tasks.stop(task, TaskState.REMOVE, now)]


def _slot(view: Store, service: Service, slot: slots.Slot) -> list[Change]:
    removed = [task for task in slot.tasks if task.desired_state >= TaskState.REMOVE and _removable(view, task)]
    excess = _excess(view, service, [task for task in slot.tasks if task.desired_state < TaskState.REMOVE])
    return [Delete("task", task.id, task.version) for task in (*removed, *excess)]


def _excess(view: Store, service: Service, kept: list[Task]) -> list[Task]:
    """The oldest ended tasks beyond the limit. The newest of a slot always stays: it tells why the slot is as it is.

    A task that an update in progress judges by (its first in the slot) stays too, what completed in a job's present
    iteration, and as many as are needed to count the attempts of a restart window.
    """
    limit = defaults.history_limit(view.cluster)
    if limit < 0:
        return []
    policy = defaults.restart(service.spec.task)
    if policy.max_attempts:
        limit = max(limit, policy.max_attempts + 1)
    rolling = service.update_status is not None and service.update_status.state.active
    old = [
        task
        for task in kept[:-1]
        if task.state.terminal
        and not task.wanted
        and not (rolling and task.spec_version == service.spec_version and not task.attempt)
        and not (task.state == TaskState.COMPLETE and 0 < task.job_iteration == service.job_iteration)
    ]
    return old[: max(0, len(kept) - limit)]
