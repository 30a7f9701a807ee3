# SPDX-License-Identifier: Apache-2.0
"""Gives pending tasks a node, or says in their status why there is none.

Tasks made for one node (global services) come first and are only checked. The others are taken revision by revision,
oldest first: what holds for one task of a revision holds for all, so thousands cost little more than one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from queenright.decide import filters
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.placement import Candidates, Plan
from queenright.model.changes import Change, Update
from queenright.model.objects import Node, Task
from queenright.model.states import TaskState
from queenright.store.load import NodeLoad
from queenright.store.store import Store

ASSIGNED = "scheduler assigned task to node"
CONFIRMED = "scheduler confirmed task can run on preassigned node"


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Place what is pending, if anything that matters for it was touched."""
    if not view.tasks.count("pending", True) or not _matters(view, dirty):
        return Decision()
    plan = Plan(view)
    changes: list[Change] = []
    left: list[Task] = []
    groups: dict[tuple[str, int], list[Task]] = {}
    for task in view.tasks.by("pending", True):
        if not task.node_id:
            groups.setdefault((task.service_id, task.spec_version), []).append(task)
        elif _why_not_there(view, task, plan) is None:
            plan.take(task, task.node_id)
            changes.append(_assign(task, task.node_id, CONFIRMED, now))
        else:
            left.append(task)
    for service_id in {task.service_id for group in groups.values() for task in group if _displaces(view, task)}:
        _discount(view, service_id, plan)
    nodes = sorted(view.nodes, key=lambda node: node.id)
    for group in groups.values():
        candidates = Candidates(nodes, group[0], plan, now.wall)
        placed = [(task, node) for task in group if (node := candidates.next()) is not None]
        changes.extend(_assign(task, node.id, ASSIGNED, now) for task, node in placed)
        left.extend(group[len(placed) :])
    return Decision((*changes, *_refuse_all(view, left, nodes, plan, now)))


def explain(view: Store, task: Task, now: Now) -> list[tuple[str, dict[str, str | None]]]:
    """Each filter that concerns the task with its verdict on each node (None: fits), as things stand now.

    What the task itself holds on its node counts as free.
    """
    plan = Plan(view)
    held = task.node_id if not task.state.terminal and task.state >= TaskState.ASSIGNED else ""
    verdicts = []
    for one in filters.concerning(task):
        verdicts.append(
            (
                one.name,
                {
                    node.id: one.check(task, node, _without(plan, task) if node.id == held else plan.load(node.id))
                    for node in sorted(view.nodes, key=lambda node: node.id)
                },
            )
        )
    return verdicts


def _matters(view: Store, dirty: Dirty) -> bool:
    """Whether a node changed, a task is new, or one took or left room: only that changes where pending tasks fit."""
    if dirty.everything or dirty.nodes:
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


def _why_not_there(view: Store, task: Task, plan: Plan) -> str | None:
    """Why a task made for its node cannot run there; None if it can."""
    node = view.nodes.get(task.node_id)
    if node is None:
        return filters.Ready().explain(1)
    refused = filters.first_refusal(filters.concerning(task), task, node, plan.load(node.id))
    return refused[0].explain(1) if refused is not None else None


def _refuse_all(view: Store, left: list[Task], nodes: list[Node], plan: Plan, now: Now) -> list[Change]:
    """Say why, once all that fits is placed: the reasons are those of the cluster as it will be."""
    errors: dict[tuple[str, int], str] = {}
    changes: list[Change] = []
    for task in left:
        if task.node_id:
            changes.extend(_refuse(task, _why_not_there(view, task, plan) or "", now))
            continue
        revision = (task.service_id, task.spec_version)
        if revision not in errors:
            errors[revision] = _no_node(nodes, task, plan)
        changes.extend(_refuse(task, errors[revision], now))
    return changes


def _no_node(nodes: list[Node], task: Task, plan: Plan) -> str:
    chosen = filters.concerning(task)
    refusals = (filters.first_refusal(chosen, task, node, plan.load(node.id)) for node in nodes)
    text = filters.summary(refusal[0] for refusal in refusals if refusal is not None)
    return f"no suitable node ({text})" if text else "no suitable node"


def _assign(task: Task, node_id: str, message: str, now: Now) -> Change:
    status = dataclasses.replace(
        task.status, state=TaskState.ASSIGNED, at=now.wall, applied_at=now.wall, message=message, err=""
    )
    return Update(dataclasses.replace(task, node_id=node_id, status=status))


def _refuse(task: Task, err: str, now: Now) -> list[Change]:
    if task.status.err == err and task.state == TaskState.PENDING:
        return []
    status = dataclasses.replace(task.status, state=TaskState.PENDING, at=now.wall, applied_at=now.wall, err=err)
    return [Update(dataclasses.replace(task, status=status))]


def _without(plan: Plan, task: Task) -> NodeLoad:
    """The load of the task's node as it would be without the task."""
    held = plan.load(task.node_id)
    reserved = task.spec.resources.reservations
    services, ports = dict(held.services), dict(held.ports)
    if task.active:
        services[task.service_id] = services.get(task.service_id, 0) - 1
    for port in task.host_ports:
        ports[port] = ports.get(port, 0) - 1
    return dataclasses.replace(
        held,
        cpus=held.cpus - ((reserved.cpus or 0) if reserved is not None else 0),
        memory=held.memory - ((reserved.memory or 0) if reserved is not None else 0),
        services=services,
        ports=ports,
    )
