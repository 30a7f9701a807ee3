# SPDX-License-Identifier: Apache-2.0
"""Rolls stacks out in order, notices how that ends, and takes a stack back as a whole.

All objects of a stack are there from its first write on; what this decides is when a service that awaits others may go
(``Service.awaits``), and whether the whole has come to its end. If a service fails, the revision before is put in force
first, as one write that says why, and then service after service is brought back to it until all equal it: a new
leader goes on from wherever that was cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from queenright.decide import stack_parts
from queenright.decide.base import Decision, Dirty, Now, earliest
from queenright.decide.stack_progress import MOMENT, Part, Stage, named, part, parts, unmet
from queenright.decide.stack_revision import former, restoration
from queenright.model.changes import Change, Update
from queenright.model.stack import Leftover, Revision, Stack, StackService, StackState, StackStatus
from queenright.store.store import Store

ROLLBACK = "rollback"  # what to do on failure, and the source of a revision that is put in force again


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at stacks that are rolled out or taken back, if something of them was touched or their time has come."""
    changes: list[Change] = []
    wakes: list[float | None] = []
    active = [one for one in view.stacks.by("active", True) if not one.removing]
    for stack in sorted(active, key=lambda one: (one.created_at, one.id)):
        touched = _touched(view, stack, dirty)
        if touched is not None and not touched:
            continue
        until = _underway(view, stack, touched, now) if touched is not None else None
        if until is None:
            made, until = _steer(view, stack, now, ids)
            changes.extend(made)
        wakes.append(now.wake_at(until) if until else None)
    return Decision(tuple(changes), earliest(wakes), partial=not _all(dirty))


def _all(dirty: Dirty) -> bool:
    return bool(dirty.everything or dirty.due or dirty.nodes)


def _touched(view: Store, stack: Stack, dirty: Dirty) -> dict[str, StackService] | None:
    """The services of the stack of which something was touched, by id; None if the whole has to be looked at."""
    if _all(dirty) or stack.id in dirty.stacks or any(key not in view.services for key in dirty.services):
        return None
    declared = ((named(view, one.spec.name or ""), one) for one in stack.revision.services)
    own = {held.id: one for held, one in declared if held is not None}
    if stack.status.state == StackState.ROLLBACK_STARTED and (dirty.networks or not dirty.services.isdisjoint(own)):
        return None
    owners = {task.service_id for key in dirty.tasks if (task := view.tasks.get(key)) is not None}
    return {key: one for key, one in own.items() if key in dirty.services or key in owners}


def _underway(view: Store, stack: Stack, touched: dict[str, StackService], now: Now) -> int | None:
    """When to look again if all services that were touched are still on their way, so that nothing follows from it: the
    tasks of one service may be many, and each of them reports. None if something may follow.
    """
    found = [part(view, stack, one, now) for one in touched.values()]
    if any(one.runs or one.stage in (Stage.FAILED, Stage.THERE) for one in found):
        return None
    return min((one.until for one in found if one.until), default=0)


def _steer(view: Store, stack: Stack, now: Now, ids: Callable[[], str]) -> tuple[Sequence[Change], int]:
    """Changes, and the wall time at which to look again (0: when something changes)."""
    back = stack.status.state == StackState.ROLLBACK_STARTED
    if back:
        missing = restoration(view, stack, stack.revision, now, ids, _because(stack))
        if missing.obstacle:
            return [*missing.changes, _ended(stack, StackState.ROLLBACK_PAUSED, missing.obstacle, now)], 0
        if missing.changes:
            return missing.changes, now.wall + MOMENT
        if 0 <= now.wall - stack.status.started_at < MOMENT:
            return (), stack.status.started_at + MOMENT
    found = parts(view, stack, now)
    failed = next((one for one in found if one.stage is Stage.FAILED), None)
    if failed is not None:
        return _fail(view, stack, failed, now, ids)
    lifted = list(_lifted(stack, found))
    if lifted:
        return lifted, now.wall + MOMENT
    if all(one.stage is Stage.THERE for one in found):
        state = StackState.ROLLBACK_COMPLETED if back else StackState.COMPLETED
        return [_ended(stack, state, "", now)], 0
    return (), min((one.until for one in found if one.until), default=0)


def _because(stack: Stack) -> str:
    """Why its services go back, in their own words."""
    return f"service {stack.status.failed} failed"


def _lifted(stack: Stack, found: Sequence[Part]) -> Iterator[Change]:
    """Services for which all that they await has come about, at the same time."""
    by_name = {one.name: one for one in found}
    for one in found:
        if one.service is not None and one.stage is Stage.WAITS and not unmet(stack, one, by_name):
            yield Update(dataclasses.replace(one.service, awaits=()))


def _ended(stack: Stack, state: StackState, message: str, now: Now) -> Update:
    """The stack with its roll-out at an end. The reason why it was taken back stays."""
    held = stack.status
    words = {
        StackState.COMPLETED: "all services are there",
        StackState.ROLLBACK_COMPLETED: f"rollback completed ({held.message})",
        StackState.ROLLBACK_PAUSED: f"rollback paused: {message} ({held.message})",
    }.get(state, message)
    return Update(dataclasses.replace(stack, status=_status(held, state, words, now)))


def _status(held: StackStatus, state: StackState, message: str, now: Now) -> StackStatus:
    done = state in (StackState.COMPLETED, StackState.ROLLBACK_COMPLETED)
    return dataclasses.replace(held, state=state, message=message, completed_at=now.wall if done else 0)


def _fail(view: Store, stack: Stack, culprit: Part, now: Now, ids: Callable[[], str]) -> tuple[Sequence[Change], int]:
    """A service failed: go back, or stop and say why."""
    why = f"service {culprit.name}: {culprit.why}"
    if stack.status.state == StackState.ROLLBACK_STARTED:
        return [_ended(stack, StackState.ROLLBACK_PAUSED, why, now)], 0
    target = former(stack) if stack.on_failure == ROLLBACK else None
    if target is None:
        first = "" if stack.on_failure != ROLLBACK else "; there is no revision before to go back to"
        return [_paused(stack, culprit.name, why + first, now)], 0
    later = _taken_back(view, stack, target, culprit.name, why, now)
    back = restoration(view, later, later.revision, now, ids, _because(later))
    if back.obstacle:
        return [_paused(stack, culprit.name, f"{why}; it cannot be taken back: {back.obstacle}", now)], 0
    return [Update(later), *back.changes], now.wall + MOMENT


def _paused(stack: Stack, name: str, why: str, now: Now) -> Update:
    status = dataclasses.replace(_status(stack.status, StackState.PAUSED, why, now), failed=name)
    return Update(dataclasses.replace(stack, status=status, revision=dataclasses.replace(stack.revision, failure=why)))


def _taken_back(view: Store, stack: Stack, target: Revision, name: str, why: str, now: Now) -> Stack:
    """The stack with the former revision in force, as a new one; the one that failed is kept with the reason."""
    left = dataclasses.replace(stack.revision, failure=why)
    message = f"revision {left.number} taken back to revision {target.number}: {why}"
    number = max(one.number for one in (stack.revision, *stack.history)) + 1
    again = dataclasses.replace(
        target,
        number=number,
        at=now.wall,
        actor="",
        user="",
        playbook="",
        git_revision="",
        message=message,
        source=ROLLBACK,
        failure="",
    )
    later = dataclasses.replace(
        stack,
        revision=again,
        history=(left, *stack.history)[: max(1, stack.keep)],
        status=StackStatus(state=StackState.ROLLBACK_STARTED, started_at=now.wall, message=message, failed=name),
    )
    return dataclasses.replace(later, leftovers=_leftovers(view, later, left))


def _leftovers(view: Store, stack: Stack, left: Revision) -> tuple[Leftover, ...]:
    """What the revision in force does not need, of what was left over before or came with the one that failed."""
    names = {("network", one.name) for one in left.networks} | {(one.kind, one.name) for one in left.data}
    found = stack_parts.leftovers(view, stack, stack.revision)
    return tuple(
        one
        for one in found
        if one in stack.leftovers or (one.kind, getattr(view.get(one.kind, one.id), "name", "")) in names
    )
