# SPDX-License-Identifier: Apache-2.0
"""How far each slot of a service is in a rolling update, read off its tasks.

A slot is *dirty* while its tasks are of another revision, *on trial* from the making of its new task until that has run
for the monitor time, *failed* if it ended before that, else *done*. Until the delay after the start (or the failure) of
its new task is over, it is also *resting*: the next slot has to wait.
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
    """A slot's stage. ``until``: wall time at which that changes by itself, 0 if it does not. ``new``: of this update.

    ``resting``: it passed (or failed), but the delay before the next slot is not over.
    """

    slot: slots.Slot
    stage: Stage
    until: int = 0
    new: bool = False
    resting: bool = False
    culprit: Task | None = None


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
    if first is not None and trial.failed(first, rollout.monitor):
        rest = first.status.applied_at + rollout.delay
        return Progress(slot, Stage.FAILED, rest, new=True, resting=now.wall < rest, culprit=first)
    new = first is not None
    current = clean[-1] if clean else newest
    assert current is not None
    if not clean:  # it ended by itself, after its trial or as it should, and has no successor
        return Progress(slot, Stage.DONE, new=new)
    passed = trial.passed_at(current, rollout.monitor)
    if not new and (passed is not None or not _doubled(slot, revision)):
        return Progress(slot, Stage.DONE)
    if passed is None or passed > now.wall:
        return Progress(slot, Stage.TRIAL, passed or 0, new=new)
    rest = passed - rollout.monitor + max(rollout.monitor, rollout.delay)
    return Progress(slot, Stage.DONE, rest, new=new, resting=now.wall < rest)


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
