# SPDX-License-Identifier: Apache-2.0
"""Keeps a replicated service at its number of slots: fills the lowest free numbers, empties the ones too many.

Restarts inside a slot are ``restart``'s, new revisions ``update``'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from queenright.decide import cause, defaults, restart, slots, tasks
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.standing_spec import in_force
from queenright.model.changes import Change
from queenright.model.objects import Service
from queenright.model.states import TaskState, UpdateState
from queenright.spec.service import REPLICATED
from queenright.store.store import Store


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Bring each touched service to its number of live slots."""
    changes: list[Change] = []
    for service in slots.dirty_services(view, dirty.services, dirty.everything, REPLICATED):
        standing = in_force(service)
        if standing is not None:
            changes.extend(_reconcile(view, standing, now, ids))
    return Decision(tuple(changes))


def is_live(view: Store, service: Service, slot: slots.Slot, now: Now) -> bool:
    """Whether the slot counts: it has a wanted task, or its last one has ended for good by its restart policy.

    While a service is rolled back, what the bad revision left behind does not count: its slots are filled at once.
    """
    if slot.wanted:
        return True
    newest = slot.newest
    if newest is None:
        return False
    status = service.update_status
    if status is not None and status.state == UpdateState.ROLLBACK_STARTED:
        if defaults.is_dirty(service, newest):
            return False
    return restart.refusal(view, service, slot, newest, now) is not None


def victims_last(live: Sequence[slots.Slot]) -> list[slots.Slot]:
    """Live slots in the order in which they are kept: the tail goes first.

    Unassigned and doubled slots go first, then those of the most crowded nodes; among equals those that do not run,
    then the highest numbers.
    """
    ordered = sorted(live, key=lambda slot: (not slot.running, slot.number))
    seen: dict[str, int] = {}
    ranks: dict[int, int] = {}
    for slot in ordered:
        wanted = slot.wanted
        if len(wanted) == 1 and wanted[0].node_id:
            ranks[slot.number] = seen.get(wanted[0].node_id, 0)
            seen[wanted[0].node_id] = ranks[slot.number] + 1
    return sorted(ordered, key=lambda slot: ranks.get(slot.number, len(ordered)))


def _reconcile(view: Store, service: Service, now: Now, ids: Callable[[], str]) -> list[Change]:
    present = [slot for slot in slots.of_service(view, service.id).values() if slot.number]
    live = [slot for slot in present if is_live(view, service, slot, now)]
    wanted = defaults.replicas(service.spec)
    kept = victims_last(live)[:wanted] if len(live) > wanted else live
    numbers = {slot.number for slot in kept}
    free = (number for number in itertools.count(1) if number not in numbers)
    filled = list(itertools.islice(free, wanted - len(kept)))
    changes: list[Change] = [_fill(view, service, number, now, ids) for number in filled]
    numbers.update(filled)
    for slot in present:
        if slot.number not in numbers:
            changes.extend(
                tasks.stop(task, TaskState.REMOVE, now) for task in slot.tasks if task.desired_state < TaskState.REMOVE
            )
    return changes


def _fill(view: Store, service: Service, number: int, now: Now, ids: Callable[[], str]) -> Change:
    """A first task for the slot; if one is still stopping there, it is prepared and started after that."""
    slot = slots.at(view, service.id, number)
    newest = slot.newest
    stopping = newest is not None and not slots.stopped(view, newest)
    return tasks.new_task(
        service,
        task_id=ids(),
        now=now,
        slot=number,
        desired=TaskState.READY if stopping else TaskState.RUNNING,
        replaces=newest,
        cause=cause.wanted(service),
    )
