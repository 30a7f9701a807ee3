# SPDX-License-Identifier: Apache-2.0
"""Why a task is made, in the few words that are kept with it: ``h2 silent 12:01:07 -> down 12:01:13 -> restart any``.

What led to a task is gone soon after it: nodes come back, histories are reaped, policies are changed. So the deciders
write it down when they make the task. All times in it are times that are stored; times of day are UTC.
"""

from __future__ import annotations

from queenright.decide import defaults, slots
from queenright.lib.clockface import of_day, span
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, UpdateState
from queenright.spec.cluster import DRAIN
from queenright.store.store import Store

MOST = 120  # characters of an error


def wanted(service: Service) -> str:
    """A slot that had to be filled: the service is new, or has more slots than before."""
    if service.job_iteration > 1:
        return f"job begun again {of_day(service.last_execution)}"
    if service.updated_at <= service.created_at:
        return f"{'job' if service.job_iteration else 'service'} created {of_day(service.created_at)}"
    status, before = service.update_status, service.previous_spec
    if status is not None and status.state == UpdateState.ROLLBACK_STARTED:
        return renewed(service)
    if defaults.on_each_node(service.spec) or defaults.is_job(service.spec):
        return f"service updated {of_day(service.updated_at)}"
    now, earlier = defaults.replicas(service.spec), defaults.replicas(before) if before is not None else 0
    if before is not None and earlier < now:
        return f"scaled from {earlier} to {now} {of_day(service.updated_at)}"
    return f"slot empty, {now} wanted"


def on_node(service: Service, node: Node, before: Task | None) -> str:
    """A node that had to have a task of a service that runs on each node."""
    if before is not None:
        return f"{_name(node)} takes tasks again"
    if node.created_at > service.created_at:
        return f"{_name(node)} joined {of_day(node.created_at)}"
    return wanted(service)


def renewed(service: Service) -> str:
    """A slot that is brought to another revision."""
    status = service.update_status
    began = f" {of_day(status.started_at)}" if status is not None and status.started_at else ""
    back = status is not None and status.state == UpdateState.ROLLBACK_STARTED
    return f"{'rollback' if back else 'update'} to revision {service.spec_version}{began}"


def restarted(view: Store, task: Task, not_before: int, ended: int) -> str:
    """A task in the place of one that ended, or that has to leave its node."""
    policy = defaults.restart(task.spec)
    delay = f" after {span(not_before - ended)}" if not_before > ended else ""
    reason = _left(view, task) if slots.on_leaving_node(view, task) and not task.state.terminal else _ended(view, task)
    return f"{reason} -> restart {policy.condition}{delay}"


def _left(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    if node is None:
        return f"node {task.node_id} removed"
    if node.status.state == NodeState.DOWN:
        down = f"down {of_day(node.status.since)}" if node.status.since else "down"
        silent = node.status.silent_since
        return f"{_name(node)} silent {of_day(silent)} -> {down}" if silent else f"{_name(node)} {down}"
    assert node.availability == DRAIN
    return f"{_name(node)} drained {of_day(node.updated_at)}"


def _ended(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    where = _name(node) if node is not None else task.node_id
    status = task.status
    at = f" {of_day(status.applied_at)}" if status.applied_at else ""
    on = f" on {where}" if where else ""
    said = f" ({status.err[:MOST]})" if status.err else ""
    return f"{task.state.text}{on}{at}{said}"


def _name(node: Node) -> str:
    return node.hostname or node.id
