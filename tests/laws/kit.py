# SPDX-License-Identifier: Apache-2.0
"""The five laws, asked of any decider in any state of a store.

*settled*: what it answers, once applied, leaves it nothing to say. *cut-safe*: after any first part of its answer it
comes to the same end. *no invariant broken at any prefix*. *deterministic*: the same question has the same answer.
*incremental = full*: what changed is all it has to be told.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

from laws import invariants
from laws.builders import counter
from queenright.decide.base import Decision, Dirty, Now, next_wake
from queenright.decide.orchestrate import Decider, mark
from queenright.model.changes import Batch, Change
from queenright.store.store import Event, Store

MOST_CUTS = 8
MOST_ROUNDS = 50
ROUNDING = 1e-6  # seconds: a time of waking is a sum of binary fractions


class Lawless(AssertionError):  # noqa: N818 - a law, not an error of the program
    """A decider broke a law."""


def clone(view: Store) -> Store:
    """A store with the same objects, and the same memory of failures (a snapshot keeps those of stored tasks only)
    and of what was given last.
    """
    copied = Store()
    copied.restore(view.index, view.freeze()())
    copied._loads = copy.deepcopy(view._loads)
    copied._addressing = copy.deepcopy(view._addressing)
    return copied


def apply(view: Store, changes: Iterable[Change], at: int) -> list[Event]:
    """Apply changes one by one, as if each were an entry of its own; invariants are checked after each."""
    events: list[Event] = []
    with view.watch() as subscription:
        for change in changes:
            conflict = view.apply(view.index + 1, Batch(at=at, changes=(change,)))
            if conflict is not None:
                raise Lawless(f"{conflict.kind} {conflict.id}: {conflict.reason}")
            for commit in subscription.drain():
                for event in commit.events:
                    invariants.check(view, event)
                    events.append(event)
    return events


def apply_whole(view: Store, changes: Iterable[Change], at: int) -> list[Event]:
    """Apply changes as one entry."""
    with view.watch() as subscription:
        conflict = view.apply(view.index + 1, Batch(at=at, changes=tuple(changes)))
        if conflict is not None:
            raise Lawless(f"{conflict.kind} {conflict.id}: {conflict.reason}")
        return [event for commit in subscription.drain() for event in commit.events]


def check(name: str, decide: Decider, view: Store, dirty: Dirty, now: Now, held: float = math.inf) -> None:
    """Hold one question to all five laws; the store itself is left alone. ``held``: when the decider wants to be asked
    by its earlier answers.
    """
    answer = _ask(decide, view, dirty, now)
    if _ask(decide, view, dirty, now) != answer:
        raise Lawless(f"{name} is not deterministic")
    _check_full(name, decide, view, dirty, now, answer, held)
    whole = clone(view)
    events = apply(whole, answer.changes, now.wall)
    again = _ask(decide, whole, _after(dirty, events), now, start="z")
    if again.changes:
        raise Lawless(f"{name} is not settled: {_texts(answer.changes)} is followed by {_texts(again.changes)}")
    for cut in _cuts(len(answer.changes)):
        _check_cut(name, decide, view, dirty, now, answer.changes[:cut], whole)


def _check_full(name: str, decide: Decider, view: Store, dirty: Dirty, now: Now, answer: Decision, held: float) -> None:
    full = _ask(decide, view, Dirty(everything=True), now)
    if full.changes != answer.changes:
        raise Lawless(f"{name}, told of {dirty}, says {_texts(answer.changes)}; of all: {_texts(full.changes)}")
    late = next_wake(held, answer) > next_wake(held, full) + ROUNDING
    if late if answer.partial else full.wake_at != answer.wake_at:
        raise Lawless(f"{name}, told of {dirty}, wakes at {answer.wake_at}; of all: {full.wake_at}")


def _check_cut(
    name: str, decide: Decider, view: Store, dirty: Dirty, now: Now, part: Iterable[Change], whole: Store
) -> None:
    cut = clone(view)
    part = tuple(part)
    touched = _after(dirty, apply(cut, part, now.wall))
    for round_number in range(MOST_ROUNDS):
        answer = _ask(decide, cut, touched, now, start=f"c{round_number}")
        if not answer.changes:
            break
        touched = _after(Dirty(), apply(cut, answer.changes, now.wall))
    else:
        raise Lawless(f"{name} does not settle after the cut {_texts(part)}")
    if picture(cut) != picture(whole):
        missing, extra = picture(whole) - picture(cut), picture(cut) - picture(whole)
        raise Lawless(f"{name}, cut after {_texts(part)}, ends without {missing} and with {extra}")


def picture(view: Store) -> set[tuple[object, ...]]:
    """What matters of a store, without ids of tasks and versions."""
    found: list[tuple[object, ...]] = [
        (
            *(task.service_id, task.slot, task.node_id, task.spec_version, task.desired_state, task.state),
            *(task.attempt, task.not_before, bool(task.replaces), task.status.message, task.status.err),
            *(task.job_iteration, task.assigned_generic, task.cause, task.refused, task.attachments),
        )
        for task in view.tasks
    ]
    found += [("node", node.id, node.status, node.spec.availability, node.attachments) for node in view.nodes]
    found += [
        ("service", each.name, each.spec_version, each.job_iteration, each.update_status, each.ports, each.vips)
        for each in view.services
    ]
    found += [("awaits", each.name, each.awaits) for each in view.services]
    found += [("network", each.name, each.subnets, each.vni, each.error) for each in view.networks]
    found += [
        (
            "stack",
            each.name,
            each.status,
            each.revision.number,
            each.revision.message,
            len(each.leftovers),
            each.removing,
        )
        for each in view.stacks
    ]
    found += [("ticket", ticket.id) for ticket in view.tickets]
    return {(*item, found.count(item)) for item in found}


def _ask(decide: Decider, view: Store, dirty: Dirty, now: Now, start: str = "n") -> Decision:
    return decide(view, copy.deepcopy(dirty), now, counter(start))


def _after(dirty: Dirty, events: Iterable[Event]) -> Dirty:
    touched = copy.deepcopy(dirty)
    for event in events:
        mark(touched, event)
    return touched


def _cuts(count: int) -> Iterable[int]:
    if count <= MOST_CUTS:
        return range(1, count)
    step = count / MOST_CUTS
    return sorted({1, count - 1, *(int(step * part) for part in range(1, MOST_CUTS))})


def _texts(changes: Iterable[Change]) -> str:
    return "; ".join(_text(change) for change in changes) or "nothing"


def _text(change: Change) -> str:
    target = getattr(change, "object", change)
    kind = type(change).__name__
    fields = {
        key: str(getattr(target, key))
        for key in ("slot", "node_id", "desired_state", "state", "spec_version", "update_status")
        if hasattr(target, key)
    }
    return f"{kind} {target.kind} {target.id} {fields}"
