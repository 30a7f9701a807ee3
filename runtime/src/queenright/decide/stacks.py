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
from queenright.decide.stack_progress import MOMENT, Part, Stage, named, parts, unmet
from queenright.decide.stack_revision import former, restoration
from queenright.model.changes import Change, Update
from queenright.model.stack import Leftover, Revision, Stack, StackState, StackStatus
from queenright.store.store import Store

ROLLBACK = "rollback"  # what to do on failure, and the source of a revision that is put in force again


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at stacks that are rolled out or taken back, if something of them was touched or their time has come."""
    changes: list[Change] = []
    wakes: list[float | None] = []
    for stack in _touched(view, dirty):
        made, until = _steer(view, stack, now, ids)
        changes.extend(made)
        wakes.append(now.wake_at(until) if until else None)
    return Decision(tuple(changes), earliest(wakes), partial=not _all(dirty))


def _all(dirty: Dirty) -> bool:
    return bool(dirty.everything or dirty.due or dirty.nodes)


def _touched(view: Store, dirty: Dirty) -> list[Stack]:
    active = [one for one in view.stacks.by("active", True) if not one.removing]
    if active and not _all(dirty):
        owners = {task.service_id for key in dirty.tasks if (task := view.tasks.get(key)) is not None}
        concerned = dirty.services | owners
        active = [one for one in active if one.id in dirty.stacks or _has(view, one, concerned)]
    return sorted(active, key=lambda stack: (stack.created_at, stack.id))


def _has(view: Store, stack: Stack, services: set[str]) -> bool:
    """Whether one of the services is of the stack; one that is gone may have been."""
    if any(key not in view.services for key in services):
        return True
    found = (named(view, part.spec.name or "") for part in stack.revision.services)
    return any(one is not None and one.id in services for one in found)


def _steer(view: Store, stack: Stack, now: Now, ids: Callable[[], str]) -> tuple[Sequence[Change], int]:
    """Changes, and the wall time at which to look again (0: when something changes)."""
    back = stack.status.state == StackState.ROLLBACK_STARTED
    if back:
        missing = restoration(view, stack, stack.revision, now, ids, stack.status.message)
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


def _lifted(stack: Stack, found: Sequence[Part]) -> Iterator[Change]:
    """Services for which all that they await has come about, at the same time."""
    by_name = {one.name: one for one in found}
    for part in found:
        if part.service is not None and part.stage is Stage.WAITS and not unmet(stack, part, by_name):
            yield Update(dataclasses.replace(part.service, awaits=()))


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


def _fail(view: Store, stack: Stack, part: Part, now: Now, ids: Callable[[], str]) -> tuple[Sequence[Change], int]:
    """A service failed: go back, or stop and say why."""
    why = f"service {part.name}: {part.why}"
    if stack.status.state == StackState.ROLLBACK_STARTED:
        return [_ended(stack, StackState.ROLLBACK_PAUSED, why, now)], 0
    target = former(stack) if stack.on_failure == ROLLBACK else None
    if target is None:
        first = "" if stack.on_failure != ROLLBACK else "; there is no revision before to go back to"
        return [_paused(stack, part.name, why + first, now)], 0
    later = _taken_back(view, stack, target, part.name, why, now)
    back = restoration(view, later, later.revision, now, ids, later.status.message)
    if back.obstacle:
        return [_paused(stack, part.name, f"{why}; it cannot be taken back: {back.obstacle}", now)], 0
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
