# SPDX-License-Identifier: Apache-2.0
"""Keeps one task of a global service on each node that it belongs on.

A node that is drained, down or no longer fits stops its task; a paused one keeps it and gets no new one; a removed one
takes it along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from queenright.decide import cause, restart, slots, tasks
from queenright.decide.base import Decision, Dirty, Now
from queenright.decide.revision import placement_fits
from queenright.decide.standing_spec import in_force
from queenright.model.changes import Change
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import ACTIVE
from queenright.spec.service import GLOBAL
from queenright.store.store import Store

_OWN_ENDS = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at each (service, node) touched: all nodes of a touched service, all global services on a touched node."""
    changes: list[Change] = []
    touched = {service.id for service in slots.dirty_services(view, dirty.services, dirty.everything, GLOBAL)}
    for service in slots.dirty_services(view, (), True, GLOBAL):
        standing = in_force(service)
        if service.id in touched:
            held = {task.node_id for task in view.tasks.by("service", service.id)}
            places: Iterable[str] = held.union(view.nodes.ids())
        else:
            places = dirty.nodes
        if standing is None:
            continue
        for node_id in sorted(places):
            changes.extend(_place(view, standing, node_id, now, ids))
    return Decision(tuple(changes))


def belongs(service: Service, node: Node) -> bool:
    """Whether the service wants a task on the node (which may be paused: then it keeps one but gets none)."""
    return not slots.leaving(node) and placement_fits(node, service.spec.task)


def done(view: Store, service: Service, slot: slots.Slot, now: Now) -> bool:
    """Whether the last task there ended by itself and its policy gives it no successor."""
    newest = slot.newest
    if newest is None or newest.state not in _OWN_ENDS:
        return False
    return restart.refusal(view, service, slot, newest, now) is not None


def _place(view: Store, service: Service, node_id: str, now: Now, ids: Callable[[], str]) -> list[Change]:
    slot = slots.at(view, service.id, 0, node_id)
    node = view.nodes.get(node_id)
    if node is None:
        return [tasks.stop(task, TaskState.REMOVE, now) for task in slot.tasks if task.desired_state < TaskState.REMOVE]
    if not belongs(service, node):
        return [tasks.stop(task, TaskState.SHUTDOWN, now) for task in slot.wanted]
    if slot.wanted or node.availability != ACTIVE or node.status.state != NodeState.READY:
        return []
    if done(view, service, slot, now):
        return []
    newest = slot.newest
    return [_first(view, service, node, slot.tasks, newest, now, ids)]


def _first(
    view: Store,
    service: Service,
    node: Node,
    present: Iterable[Task],
    newest: Task | None,
    now: Now,
    ids: Callable[[], str],
) -> Change:
    """A task for the node; if an earlier one is still stopping there, it is started after that."""
    stopping = any(not slots.stopped(view, task) for task in present)
    return tasks.new_task(
        service,
        task_id=ids(),
        now=now,
        node_id=node.id,
        desired=TaskState.READY if stopping else TaskState.RUNNING,
        replaces=newest,
        cause=cause.on_node(service, node, newest),
    )
