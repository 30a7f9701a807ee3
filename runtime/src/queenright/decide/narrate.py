# SPDX-License-Identifier: Apache-2.0
"""What an update waits for, in words: how far it is, which tasks hold it up and how long that may last."""

from __future__ import annotations

from collections.abc import Sequence

from queenright.decide import defaults, slots
from queenright.decide.base import Now
from queenright.decide.progress import Progress, Stage, progress
from queenright.lib.clockface import of_day
from queenright.model.objects import Service, Task
from queenright.model.states import TaskState
from queenright.store.store import Store

MOST_NAMED = 3


def waiting_for(view: Store, service: Service, now: Now) -> str:
    """A sentence without its full stop; empty for a service that is not being updated and not paused in it."""
    status = service.update_status
    if status is None or not (status.state.active or status.state.paused):
        return ""
    states = progress(view, service, now)
    renewed = [each for each in states if each.new]
    taking_part = len(renewed) + sum(1 for each in states if each.stage is Stage.DIRTY)
    if not taking_part:
        return ""
    running = sum(1 for each in renewed if each.task is not None and each.task.state == TaskState.RUNNING)
    if status.state.paused:
        return _paused(states, taking_part)
    parts = [f"{running} of {taking_part} tasks updated", *_held_up(view, service, states, now)]
    failed = sum(1 for each in states if each.stage is Stage.FAILED)
    if failed:
        parts.append(f"{failed} failed, which is borne")
    return "; ".join(parts)


def clock(wall: int) -> str:
    """A time of the day (UTC) for people."""
    return f"{of_day(wall)} UTC"


def _paused(states: Sequence[Progress], taking_part: int) -> str:
    left = sum(1 for each in states if each.stage is Stage.DIRTY)
    if not left:
        return "no task of the revision before is left; update the service again to go on, or roll it back"
    return (
        f"{left} of {taking_part} tasks were left as they are; update the service again to go on, or roll it back to "
        "return"
    )


def _held_up(view: Store, service: Service, states: Sequence[Progress], now: Now) -> list[str]:
    """What the next batch waits for; once there is none, what the end waits for."""
    rollout = defaults.rollout(service)
    on_trial = [each for each in states if each.stage is Stage.TRIAL and each.task is not None]
    starting = [each for each in on_trial if each.task is not None and each.task.state != TaskState.RUNNING]
    parts = []
    if starting:
        parts.append(f"waits for {_named(view, starting, doing=True)}")
        if starting[0].until:
            parts[-1] += f", until {clock(starting[0].until)} at most"
    more = any(each.stage is Stage.DIRTY for each in states)
    watched = [each for each in on_trial if each not in starting]
    resting = [_rested(each, rollout) for each in states if each.busy and each not in starting]
    if watched and (rollout.gated or not more):
        last = max(_passes(each, rollout) for each in watched)
        parts.append(f"watches {_named(view, watched)} until {clock(last)}")
    elif more and resting and not starting:
        parts.append(f"the next follows at {clock(min(resting))}, after the delay")
    return parts


def _passes(each: Progress, rollout: defaults.Rollout) -> int:
    """When the trial of a slot whose task runs is over."""
    assert each.task is not None
    status = each.task.status
    return (status.running_since or status.applied_at) + rollout.monitor


def _rested(each: Progress, rollout: defaults.Rollout) -> int:
    """When the delay after a slot that runs, or has failed, is over."""
    if each.stage is Stage.FAILED:
        return each.until
    return _passes(each, rollout) - rollout.monitor + rollout.delay


def _named(view: Store, states: Sequence[Progress], doing: bool = False) -> str:
    tasks = [each.task for each in states[:MOST_NAMED] if each.task is not None]
    names = [_title(view, task) + (f" ({_doing(view, task)})" if doing else "") for task in tasks]
    more = len(states) - len(names)
    if more > 0:
        names.append(f"{more} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _title(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    name = f"{task.service_name}.{task.slot or task.node_id}"
    return f"{name} on node {node.hostname or node.id}" if node is not None and task.slot else name


def _doing(view: Store, task: Task) -> str:
    """What a task that does not run yet is about."""
    if task.state < TaskState.ASSIGNED:
        return task.status.err or ("it has no address yet" if task.state == TaskState.NEW else "it has no node yet")
    before = view.tasks.get(task.replaces)
    if task.desired_state == TaskState.READY and before is not None and not slots.stopped(view, before):
        return f"starts when the task before it, now {before.state.text}, has stopped"
    detail = task.status.err or task.status.message
    return task.state.text + (f": {detail}" if detail and detail != task.state.text else "")
