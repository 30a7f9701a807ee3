# SPDX-License-Identifier: Apache-2.0
"""Gives pending tasks a node, or says in their status why there is none.

Tasks made for one node (global services) come first and are only checked. The others are taken revision by revision,
oldest first: what holds for one task holds for all that ask for the same, so thousands cost little more than one.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator

from queenright.decide import filters
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.placement import Given, Pools, faults
from queenright.decide.plan import Plan
from queenright.decide.refusal import Refusal
from queenright.lib.records import changed
from queenright.model.changes import Change, Update
from queenright.model.objects import Node, Task
from queenright.model.states import TaskState
from queenright.store.store import Store

MOST = 1000  # tasks that are placed or refused in one go: the event loop must not be held for long
ASSIGNED = "scheduler assigned task to node"
OFTEN = "failures of this revision in five minutes: other nodes come first"
CONFIRMED = "scheduler confirmed task can run on preassigned node"


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Place what is pending, if anything that matters for it was touched.

    When that is very much, it is done in portions: the answer asks to be asked again at once.
    """
    if not view.tasks.count("pending", True) or not _matters(view, dirty):
        return Decision()
    plan = Plan(view)
    changes: list[Change] = []
    left: list[Task] = []
    groups: dict[tuple[str, int], list[Task]] = {}
    for task in _waiting(view):
        if not task.node_id:
            groups.setdefault((task.service_id, task.spec_version), []).append(task)
            continue
        if len(changes) >= MOST:
            return Decision(tuple(changes), now.mono)
        node = view.nodes.get(task.node_id)
        if node is not None and _refusal(task, node, plan) is None:
            changes.append(_assign(task, Given(node, plan.take(task, node)), CONFIRMED, now))
        else:
            left.append(task)
    for service_id in {task.service_id for group in groups.values() for task in group if _displaces(view, task)}:
        _discount(view, service_id, plan)
    pools = Pools(plan, now.wall)
    for group in groups.values():
        allowed = MOST - len(changes)
        placed = pools.place(group[0], min(len(group), allowed))
        changes.extend(_assign(task, given, ASSIGNED, now) for task, given in zip(group, placed, strict=False))
        if len(changes) >= MOST:
            return Decision(tuple(changes), now.mono)
        left.extend(group[len(placed) :])
    allowed = MOST - len(changes)
    refused = _refuse_all(view, left, plan, now)
    changes.extend(itertools.islice(refused, allowed))
    return Decision(tuple(changes), now.mono if next(refused, None) is not None else None)


def explain(view: Store, task: Task, now: Now) -> list[tuple[str, dict[str, str | None]]]:
    """Each filter that concerns the task with its verdict on each node (None: fits), as things stand now.

    What the task itself holds on its node counts as free. Where a node is avoided because the revision keeps failing
    there, that comes last, as ``failures``.
    """
    plan = Plan(view)
    held = task.node_id if not task.state.terminal and task.state >= TaskState.ASSIGNED else ""
    verdicts = []
    for one in filters.request(task).filters:
        found: dict[str, str | None] = {}
        for node in sorted(view.nodes, key=lambda node: node.id):
            refusal = one.check(task, node, plan.without(task) if node.id == held else plan.load(node.id))
            found[node.id] = refusal.text if refusal is not None else None
        verdicts.append((one.name, found))
    failures = {node.id: faults(plan, task, node, now.wall) for node in view.nodes}
    if any(failures.values()):
        verdicts.append(("failures", {key: f"{count} {OFTEN}" if count else None for key, count in failures.items()}))
    return verdicts


def _waiting(view: Store) -> Iterable[Task]:
    """What is pending, oldest first. The index has it in the order in which it began to wait; that is another one where
    tasks wait for addresses before, and a new leader's index would not know it.
    """
    waiting = view.tasks.by("pending", True)
    return sorted(waiting, key=_age) if len(view.networks) else waiting


def _age(task: Task) -> tuple[int, str, int, str, str]:
    return task.created_at, task.service_id, task.slot, task.node_id, task.id


def _matters(view: Store, dirty: Dirty) -> bool:
    """Whether a node changed, a task is new, or one took or left room: only that changes where pending tasks fit. And
    whatever was touched, the rest of what was too much at once has its turn.
    """
    if dirty.everything or dirty.nodes or dirty.due:
        return True
    for key in dirty.tasks:
        task = view.tasks.get(key)
        if task is None or task.state <= TaskState.ASSIGNED or task.state.terminal or not task.active:
            return True
    return False


def _displaces(view: Store, task: Task) -> Task | None:
    """The running task whose place this one takes once it runs (start-first), if it is of that kind."""
    before = view.tasks.get(task.replaces)
    return before if before is not None and task.wanted and before.wanted else None


def _discount(view: Store, service_id: str, plan: Plan) -> None:
    """Tasks of the service that are about to go do not count: else it would leave the nodes that it is on."""
    for task in view.tasks.by("service", service_id):
        before = _displaces(view, task)
        if before is not None:
            plan.discount(before)


def _refusal(task: Task, node: Node, plan: Plan) -> tuple[filters.Filter, Refusal] | None:
    """Why the node cannot take the task; None if it can."""
    return filters.first_refusal(filters.request(task).filters, task, node, plan.load(node.id))


def _refuse_all(view: Store, left: list[Task], plan: Plan, now: Now) -> Iterator[Change]:
    """Say why, once all that fits is placed: the reasons are those of the cluster as it will be."""
    errors: dict[Hashable, str] = {}
    revisions: dict[tuple[str, int], str] = {}
    for task in left:
        if task.node_id:
            yield from _refuse(task, _not_there(view, task, plan), now)
            continue
        revision = (task.service_id, task.spec_version)
        if revision not in revisions:
            asked = filters.request(task)
            if asked.key not in errors:
                errors[asked.key] = _no_node(view, task, asked, plan)
            revisions[revision] = errors[asked.key]
        yield from _refuse(task, revisions[revision], now)


def _not_there(view: Store, task: Task, plan: Plan) -> str:
    """Why a task made for its node cannot run there."""
    node = view.nodes.get(task.node_id)
    refused = _refusal(task, node, plan) if node is not None else None
    return refused[0].explain(1) if refused is not None else filters.PIPELINE[0].explain(1)


def _no_node(view: Store, task: Task, asked: filters.Request, plan: Plan) -> str:
    refusals = (filters.first_refusal(asked.filters, task, node, plan.load(node.id)) for node in view.nodes)
    text = filters.summary(refusal[0] for refusal in refusals if refusal is not None)
    return f"no suitable node ({text})" if text else "no suitable node"


def _assign(task: Task, given: Given, message: str, now: Now) -> Change:
    status = changed(task.status, state=TaskState.ASSIGNED, at=now.wall, applied_at=now.wall, message=message, err="")
    node_id, generic, refused = given.node.id, given.generic, given.refused
    return Update(changed(task, node_id=node_id, status=status, assigned_generic=generic, refused=refused))


def _refuse(task: Task, err: str, now: Now) -> list[Change]:
    if task.status.err == err and task.state == TaskState.PENDING:
        return []
    status = dataclasses.replace(task.status, state=TaskState.PENDING, at=now.wall, applied_at=now.wall, err=err)
    return [Update(dataclasses.replace(task, status=status))]
