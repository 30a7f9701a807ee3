# SPDX-License-Identifier: Apache-2.0
"""Replaces tasks that ended or lost their node, and starts the replacements when their time has come.

A replacement is born READY: it is placed and prepared while the restart delay passes and the old task stops, and is
told to run then. It is created before the old task is told to stop, so that a leader who dies in between leaves a slot
with two tasks and a clear successor, not an empty one. All that a new leader needs stands in the tasks themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from queenright.decide import cause, defaults, slots, tasks, trial
from queenright.decide.base import SECOND, Decision, Dirty, Now, earliest
from queenright.decide.revision import placement_fits
from queenright.decide.standing_spec import in_force
from queenright.model.changes import Change, Update
from queenright.model.objects import Service, Task
from queenright.model.states import TaskState, UpdateState
from queenright.spec.cluster import PAUSE
from queenright.store.store import Store


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Replace what ended, then promote what has waited long enough."""
    changes: list[Change] = []
    wakes: list[float | None] = []
    for task in _ended(view, dirty):
        held = view.services.get(task.service_id)
        service = in_force(held) if held is not None else None
        if service is None or _left_to_others(view, service, task):
            continue
        if _must_wait(view, task, now):
            wakes.append(now.wake_at(task.not_before))
        else:
            changes.extend(_replace(view, service, task, now, ids))
    for task in view.tasks.by("waiting", True):
        if not task.state.terminal and not slots.on_leaving_node(view, task):
            promotion, wake = _promote(view, task, now)
            changes.extend(promotion)
            wakes.append(wake)
    return Decision(tuple(changes), earliest(wakes))


def refusal(view: Store, service: Service, slot: slots.Slot, task: Task, now: Now) -> str | None:
    """Why an ended task of the slot gets no replacement; None if it does."""
    policy = defaults.restart(task.spec)
    status = service.update_status
    if status is not None and status.state.paused and task.spec_version == service.spec_version:
        if trial.failed(task, defaults.rollout(service).monitor):
            return "not restarted while the update is paused"
    if policy.condition == "none":
        return "not restarted: the restart condition is none"
    if policy.condition == "on-failure" and task.state == TaskState.COMPLETE:
        return "not restarted: it completed, and the restart condition is on-failure"
    if policy.max_attempts and _attempts(slot, task, policy.window, now) >= policy.max_attempts:
        return f"not restarted: the limit of {policy.max_attempts} restarts is reached"
    return None


def _attempts(slot: slots.Slot, task: Task, window: int, now: Now) -> int:
    """Restarts of this revision in the slot that count: all, or those of the window before the task's end."""
    if not window:
        return task.attempt
    end = trial.ended_at(task, now.wall)
    return sum(
        1
        for other in slot.tasks
        if other.spec_version == task.spec_version
        and other.job_iteration == task.job_iteration
        and other.attempt
        and end - window <= other.created_at <= end
    )


def _ended(view: Store, dirty: Dirty) -> list[Task]:
    """Wanted tasks that have ended or must leave their node, among those touched; oldest first."""
    found: Iterable[Task]
    if dirty.everything:
        found = view.tasks
    else:
        touched = {key: task for key in dirty.tasks if (task := view.tasks.get(key)) is not None}
        for node_id in dirty.nodes:
            if slots.leaving(view.nodes.get(node_id)):
                touched.update((task.id, task) for task in view.tasks.by("node", node_id))
        touched.update((task.id, task) for task in view.tasks.by("waiting", True))
        found = touched.values()
    ended = [task for task in found if task.wanted and (task.state.terminal or slots.on_leaving_node(view, task))]
    return sorted(ended, key=lambda task: (task.created_at, task.service_id, task.slot, task.node_id, task.id))


def _left_to_others(view: Store, service: Service, task: Task) -> bool:
    """Where a global service or job no longer belongs, its own decider stops the tasks; so it does with what an earlier
    iteration of a job left behind.
    """
    if task.job_iteration != service.job_iteration:
        return True
    if not defaults.on_each_node(service.spec):
        return False
    node = view.nodes.get(task.node_id)
    return node is None or slots.leaving(node) or not placement_fits(node, service.spec.task)


def _must_wait(view: Store, task: Task, now: Now) -> bool:
    """A replacement that failed before its own time has come waits for that time, so that nothing spins."""
    return task.state.terminal and not slots.on_leaving_node(view, task) and not _due(task, now)


def _due(task: Task, now: Now) -> bool:
    """Whether the task's delay is over. A clock that went back behind its birth ends the delay too."""
    return task.not_before <= now.wall or now.wall < task.created_at


def _replace(view: Store, service: Service, task: Task, now: Now, ids: Callable[[], str]) -> list[Change]:
    slot = slots.of_task(view, task)
    place = slot.tasks.index(task)
    stop = tasks.stop(task, TaskState.SHUTDOWN, now)
    # A clock that went back puts the successor before the task that it replaces.
    succeeded = any(other.wanted and (at > place or other.replaces == task.id) for at, other in enumerate(slot.tasks))
    if succeeded or _paused_node(view, service, task) or refusal(view, service, slot, task, now) is not None:
        return [stop]
    own = task.spec_version != service.spec_version and _keeps_revisions(service)
    not_before = task.not_before if not _due(task, now) else 0
    if not slots.on_leaving_node(view, task) and (own or not defaults.is_dirty(service, task)):
        # A task that failed while it was prepared counts as ended when its own time had come: one try in each delay.
        ended = max(trial.ended_at(task, now.wall), min(task.not_before, now.wall))
        not_before = ended + defaults.restart(task.spec).delay
    why = cause.restarted(view, task, not_before, trial.ended_at(task, now.wall))
    stopping = [other for other in slot.tasks if other is task or not other.wanted]
    at_once = not_before <= now.wall and all(slots.stopped(view, other) for other in stopping)
    desired = task.goal if at_once else TaskState.READY
    if own:
        again = tasks.same_again(task, task_id=ids(), now=now, desired=desired, not_before=not_before, cause=why)
        return [again, stop]
    replacement = tasks.new_task(
        service,
        task_id=ids(),
        now=now,
        slot=task.slot,
        node_id="" if task.slot else task.node_id,
        desired=desired,
        replaces=task,
        not_before=not_before,
        restart=True,
        cause=why,
    )
    return [replacement, stop]


def _keeps_revisions(service: Service) -> bool:
    """Whether tasks of the revision before an update are healed with that revision: while the update is paused or waits
    for other services, and while it is under way, since a new revision that is not proven yet goes nowhere but into its
    batch.
    """
    status = service.update_status
    if service.awaits:
        return True
    return status is not None and (status.state.paused or status.state == UpdateState.UPDATING)


def _paused_node(view: Store, service: Service, task: Task) -> bool:
    """A paused node gets no new tasks: those of a global service wait there until it is active again."""
    node = view.nodes.get(task.node_id)
    return defaults.on_each_node(service.spec) and node is not None and node.availability == PAUSE


def _promote(view: Store, task: Task, now: Now) -> tuple[list[Change], float | None]:
    """Tell a waiting task to run, or say when to look again. What another of its slot has done meanwhile is not done
    again.
    """
    if _done_already(view, task):
        return [tasks.stop(task, TaskState.SHUTDOWN, now)], None
    if not _due(task, now):
        return [], now.wake_at(task.not_before)
    before = [
        other
        for other in slots.of_task(view, task).tasks
        if other.id != task.id and (not other.wanted or other.id == task.replaces) and not slots.stopped(view, other)
    ]
    if any(other.wanted for other in before):
        return [], None  # it was not told to stop yet: whoever made the replacement still has to
    latest = task.created_at + max((defaults.stop_wait(other.spec) for other in before), default=0)
    if before and task.created_at <= now.wall < latest:
        return [], now.mono + (latest - now.wall) / SECOND
    return [Update(dataclasses.replace(task, desired_state=task.goal))], None


def _done_already(view: Store, task: Task) -> bool:
    """Whether the task's part of a job has completed: an earlier one ended well while its node was out of sight."""
    return bool(task.job_iteration) and any(
        other.job_iteration == task.job_iteration and other.state == TaskState.COMPLETE
        for other in slots.of_task(view, task).tasks
    )
