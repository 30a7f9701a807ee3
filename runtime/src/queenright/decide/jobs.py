# SPDX-License-Identifier: Apache-2.0
"""Runs jobs: tasks that shall run to their end, a number of them or one on each node, once for each iteration.

An iteration begins with each change of the service. What the one before still runs is told to go, and its successors
start when it has. A slot (or a node) of an iteration is done with its first completed task. Failures are ``restart``'s,
which gives up where the restart policy says so.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable

from queenright.decide import cause, defaults, restart, slots, tasks
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.global_service import belongs
from queenright.decide.standing_spec import in_force
from queenright.model.changes import Change
from queenright.model.objects import Service, Task
from queenright.model.states import TaskState
from queenright.spec.service import GLOBAL_JOB, REPLICATED_JOB
from queenright.store.store import Store


class Standing(enum.Enum):
    """Where a slot is in the present iteration."""

    OPEN = enum.auto()  # it has no task yet, or one that was taken from it
    LIVE = enum.auto()  # a task runs, or will
    DONE = enum.auto()  # a task completed
    SPENT = enum.auto()  # the last task failed, and the restart policy allows no other


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at touched services, at those whose tasks completed, and at global jobs on touched nodes."""
    changes: list[Change] = []
    completed = (view.tasks.get(key) for key in dirty.tasks)
    touched = {
        task.service_id
        for task in completed
        if task is not None and task.job_iteration and task.state == TaskState.COMPLETE
    }
    for service in slots.dirty_services(view, dirty.services | touched, dirty.everything, REPLICATED_JOB):
        present = in_force(service)
        if present is not None:
            changes.extend(_replicated(view, present, now, ids))
    whole = {service.id for service in slots.dirty_services(view, dirty.services, dirty.everything, GLOBAL_JOB)}
    for service in slots.dirty_services(view, (), True, GLOBAL_JOB):
        places: Iterable[str] = dirty.nodes
        if service.id in whole:
            places = {task.node_id for task in view.tasks.by("service", service.id)}.union(view.nodes.ids())
        present = in_force(service)
        if present is None:
            continue
        for node_id in sorted(places):
            changes.extend(_place(view, present, node_id, now, ids))
    return Decision(tuple(changes))


def standing(view: Store, service: Service, slot: slots.Slot, now: Now) -> Standing:
    """Where the slot is in the service's present iteration."""
    present = [task for task in slot.tasks if task.job_iteration == service.job_iteration]
    if any(task.wanted for task in present):
        return Standing.LIVE
    if any(task.state == TaskState.COMPLETE for task in present):
        return Standing.DONE
    last = next((task for task in reversed(present) if task.desired_state < TaskState.REMOVE), None)
    if last is None or restart.refusal(view, service, slot, last, now) is None:
        return Standing.OPEN
    return Standing.SPENT


def _replicated(view: Store, service: Service, now: Now, ids: Callable[[], str]) -> list[Change]:
    """As many tasks at a time as may be, in the lowest slots that are open, until each slot is done.

    One walk over the tasks, for a job may have ten thousand of them and is looked at whenever one completes.
    """
    total, at_once = defaults.completions(service.spec), defaults.max_concurrent(service.spec)
    leaving: list[Task] = []
    live: set[int] = set()
    done: set[int] = set()
    ended: set[int] = set()
    for task in view.tasks.by("service", service.id):
        if task.slot > total or (task.job_iteration != service.job_iteration and task.wanted):
            leaving.append(task)
        elif task.job_iteration == service.job_iteration:
            (live if task.wanted else done if task.state == TaskState.COMPLETE else ended).add(task.slot)
    spent = {
        number
        for number in ended - live - done
        if standing(view, service, slots.at(view, service.id, number), now) is Standing.SPENT
    }
    taken = live | done | spent
    free = (number for number in range(1, total + 1) if number not in taken)
    chosen = itertools.islice(free, max(0, at_once - len(live)))
    first = [_first(view, service, slots.at(view, service.id, number), now, ids) for number in chosen]
    return [*_gone(sorted(leaving, key=lambda task: (task.slot, task.created_at, task.id)), now), *first]


def _place(view: Store, service: Service, node_id: str, now: Now, ids: Callable[[], str]) -> list[Change]:
    """One task on a node that the job belongs on; a node that joins later gets one too."""
    slot = slots.at(view, service.id, 0, node_id)
    node = view.nodes.get(node_id)
    if node is None:
        return _gone(slot.tasks, now)
    changes = _gone(_stale(service, slot), now)
    if not belongs(service, node):
        present = (task for task in slot.wanted if task.job_iteration == service.job_iteration)
        return [*changes, *(tasks.stop(task, TaskState.SHUTDOWN, now) for task in present)]
    if node.takes_tasks and standing(view, service, slot, now) is Standing.OPEN:
        changes.append(_first(view, service, slot, now, ids))
    return changes


def _stale(service: Service, slot: slots.Slot) -> list[Task]:
    """What an earlier iteration still runs there."""
    return [task for task in slot.wanted if task.job_iteration != service.job_iteration]


def _gone(leaving: Iterable[Task], now: Now) -> list[Change]:
    return [tasks.stop(task, TaskState.REMOVE, now) for task in leaving if task.desired_state < TaskState.REMOVE]


def _first(view: Store, service: Service, slot: slots.Slot, now: Now, ids: Callable[[], str]) -> Change:
    """A task for the slot; if an earlier one is still stopping there, it is prepared and started after that."""
    waits = any(not slots.stopped(view, task) for task in slot.tasks)
    return tasks.new_task(
        service,
        task_id=ids(),
        now=now,
        slot=slot.number,
        node_id=slot.node_id,
        desired=TaskState.READY if waits else None,
        replaces=slot.tasks[-1] if slot.tasks else None,
        cause=cause.wanted(service),
    )
