# SPDX-License-Identifier: Apache-2.0
"""How far each slot of a service is in a rolling update, read off its tasks.

A slot is *dirty* while its tasks are of another revision, *on trial* from the making of its new task until that has run
for the monitor time, *failed* if it ended before that or does not run in time, else *done*. It is *busy* as long as it
keeps the next slot waiting: until its new task runs (with gate ``monitor`` until it has passed its trial) and the delay
after that is over.
"""

from __future__ import annotations

import dataclasses
import enum

from queenright.decide import defaults, slots, trial
from queenright.decide.base import Now
from queenright.decide.global_service import belongs
from queenright.decide.revision import Revision
from queenright.model.objects import Service, Task
from queenright.spec.cluster import PAUSE
from queenright.store.store import Store


class Stage(enum.Enum):
    """Where a slot is in an update."""

    DIRTY = enum.auto()
    TRIAL = enum.auto()
    FAILED = enum.auto()
    DONE = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """A slot's stage. ``until``: wall time at which that, or ``busy``, changes by itself; 0 if it does not.

    ``new``: its task was made by this update, at ``began``. ``task`` is the one that counts now: of a failed slot the
    culprit.
    """

    slot: slots.Slot
    stage: Stage
    until: int = 0
    new: bool = False
    busy: bool = False
    began: int = 0
    task: Task | None = None


def progress(view: Store, service: Service, now: Now) -> list[Progress]:
    """The stage of each slot that takes part, in order of number (or node id)."""
    revision = Revision(view, service)
    rollout = defaults.rollout(service)
    started = _started_at(service)
    return [
        _stage(slot, service, revision, rollout, started, now)
        for slot in slots.of_service(view, service.id).values()
        if slot.newest is not None and _takes_part(view, service, slot)
    ]


def _started_at(service: Service) -> int:
    """Tasks made from then on belong to the update: its start, or for one that begins now the last change."""
    status = service.update_status
    if status is None:
        return service.updated_at
    return status.started_at


def _takes_part(view: Store, service: Service, slot: slots.Slot) -> bool:
    """Slots of a replicated service do; of a global one those on nodes that it belongs on and that are not paused."""
    if slot.number:
        return True
    node = view.nodes.get(slot.node_id)
    return node is not None and belongs(service, node) and node.availability != PAUSE


def _stage(
    slot: slots.Slot, service: Service, revision: Revision, rollout: defaults.Rollout, started: int, now: Now
) -> Progress:
    clean = [task for task in slot.wanted if revision.clean(task)]
    newest = slot.newest
    if not clean and (newest is None or not revision.clean(newest)):
        return Progress(slot, Stage.DIRTY)
    first = _first_of(slot, service, started)
    seen = Progress(slot, Stage.DONE, new=first is not None, began=first.created_at if first is not None else 0)
    if first is not None and trial.failed(first, rollout.monitor):
        return _failed(seen, first, first.status.applied_at, rollout, now)
    if not clean:  # it ended by itself, after its trial or as it should, and has no successor
        return seen
    current = clean[-1]
    passed = trial.passed_at(current, rollout.monitor)
    if not seen.new and (passed is not None or not _doubled(slot, revision)):
        return seen
    if passed is None:
        return _underway(seen, current, rollout, now)
    return _running(seen, current, passed, rollout, now)


def _failed(seen: Progress, culprit: Task, at: int, rollout: defaults.Rollout, now: Now) -> Progress:
    rest = at + rollout.delay
    return dataclasses.replace(seen, stage=Stage.FAILED, until=rest, busy=now.wall < rest, task=culprit)


def _underway(seen: Progress, task: Task, rollout: defaults.Rollout, now: Now) -> Progress:
    """A new task that does not run yet; it has until the update's timeout."""
    deadline = max(task.created_at, task.not_before) + rollout.timeout
    if rollout.timeout and deadline <= now.wall:
        return _failed(seen, task, deadline, rollout, now)
    until = deadline if rollout.timeout else 0
    return dataclasses.replace(seen, stage=Stage.TRIAL, until=until, busy=True, task=task)


def _running(seen: Progress, task: Task, passed: int, rollout: defaults.Rollout, now: Now) -> Progress:
    """A new task that runs: it makes room for the next slot at one time, and has passed its trial at another."""
    room = passed - rollout.monitor + max(rollout.delay, rollout.monitor if rollout.gated else 0)
    until = min((time for time in (room, passed) if time > now.wall), default=0)
    stage = Stage.TRIAL if passed > now.wall else Stage.DONE
    return dataclasses.replace(seen, stage=stage, until=until, busy=now.wall < room, task=task)


def _first_of(slot: slots.Slot, service: Service, started: int) -> Task | None:
    """The task with which the update (not a restart after it) renewed the slot, if it did."""
    return next(
        (
            task
            for task in reversed(slot.tasks)
            if task.spec_version == service.spec_version
            and not task.attempt
            and task.replaces
            and task.created_at >= started
        ),
        None,
    )


def _doubled(slot: slots.Slot, revision: Revision) -> bool:
    return any(not revision.clean(task) for task in slot.wanted)
