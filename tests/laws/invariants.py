# SPDX-License-Identifier: Apache-2.0
"""What must hold after each single change, whoever made it."""

from __future__ import annotations

from collections import Counter

from laws import addresses
from laws.broken import Broken
from queenright.decide.standing_spec import reached_by
from queenright.model.objects import Node, Service, Task
from queenright.model.states import TaskState
from queenright.store.store import Event, Store


def check(view: Store, event: Event) -> None:
    """Check the change itself, and what it touched."""
    before, after = event.before, event.after
    if isinstance(before, Task) and isinstance(after, Task):
        _check_step(before, after)
    if isinstance(after, (Task, Node, Service)):
        addresses.check(view, before, after)
    if isinstance(after, Task):
        _check_slot(view, after)
        _check_job(view, after)
        _check_ports(view, after)
        if isinstance(before, Task) and before.state < TaskState.ASSIGNED <= after.state:
            _check_room(view, after)
    if isinstance(before, Task) and after is None:
        _check_removal(view, before)


def _check_step(before: Task, after: Task) -> None:
    if after.state < before.state:
        raise Broken(f"task {after.id} went back from {before.state.text} to {after.state.text}")
    if after.desired_state < before.desired_state:
        raise Broken(f"task {after.id} is wanted {after.desired_state.text} after {before.desired_state.text}")
    if before.node_id and before.node_id != after.node_id:
        raise Broken(f"task {after.id} moved from node {before.node_id} to {after.node_id}")
    fixed = (
        "service_id",
        "slot",
        "spec",
        "endpoint",
        "spec_version",
        "replaces",
        "attempt",
        "not_before",
        "job_iteration",
    )
    for field in fixed:
        if getattr(before, field) != getattr(after, field):
            raise Broken(f"{field} of task {after.id} changed")


def _check_slot(view: Store, task: Task) -> None:
    service = view.services.get(task.service_id)
    if service is None or _may_double(service):
        return
    key = "slot" if task.slot else "place"
    started = [
        other.id
        for other in view.tasks.by(key, (task.service_id, task.slot or task.node_id))
        if other.desired_state in (TaskState.RUNNING, TaskState.COMPLETE)
        and TaskState.STARTING <= other.state <= TaskState.RUNNING
        and other.slot == task.slot
    ]
    if len(started) > 1:
        raise Broken(f"slot {task.slot or task.node_id} of {service.name} has {len(started)} started tasks: {started}")


def _check_job(view: Store, task: Task) -> None:
    """No more tasks of a job run than may, and none where the iteration is done already."""
    service = view.services.get(task.service_id)
    if service is None or not task.job_iteration or task.job_iteration != service.job_iteration:
        return
    if task.slot and task.slot > (service.spec.mode.total_completions or 0):
        raise Broken(f"task {task.id} is one more than job {service.name} shall have")
    if not task.wanted or not task.slot:
        return
    tasks = [one for one in view.tasks.by("service", service.id) if one.job_iteration == service.job_iteration]
    if task.attempt == 0 and any(one.slot == task.slot and one.state == TaskState.COMPLETE for one in tasks):
        raise Broken(f"task {task.id} repeats what job {service.name} has done")
    live = {one.slot for one in tasks if one.wanted}
    if len(live) > (service.spec.mode.max_concurrent or 0):
        raise Broken(f"job {service.name} works in {len(live)} slots at a time: {sorted(live)}")


def _may_double(service: Service) -> bool:
    spec = reached_by(service).spec
    configs = (spec.update_config, spec.rollback_config)
    return any(config is not None and config.order == "start-first" for config in configs)


def _check_ports(view: Store, task: Task) -> None:
    if not task.node_id or not task.host_ports:
        return
    held: Counter[tuple[str, int]] = Counter()
    for other in view.tasks.by("node", task.node_id):
        if TaskState.ASSIGNED <= other.state <= TaskState.RUNNING:
            held.update(other.host_ports)
    doubled = [port for port, count in held.items() if count > 1]
    if doubled:
        raise Broken(f"host ports {doubled} of node {task.node_id} are held more than once")


def _check_room(view: Store, task: Task) -> None:
    node = view.nodes.get(task.node_id)
    reserved = task.spec.resources.reservations
    if node is None or reserved is None:
        return
    load = view.load(task.node_id)
    if reserved.cpus and load.cpus > node.description.nano_cpus:
        raise Broken(f"node {node.id} was given more tasks than it has CPUs")
    if reserved.memory and load.memory > node.description.memory_bytes:
        raise Broken(f"node {node.id} was given more tasks than it has memory")
    has: Counter[tuple[str, str]] = Counter()
    for one in node.description.generic_resources:
        has[one.kind, one.name] += 1 if one.name else one.value
    for one in task.assigned_generic:
        if load.generic.get((one.kind, one.name), 0) > has[one.kind, one.name]:
            raise Broken(f"node {node.id} gave more {one.kind} {one.name} than it has")


def _check_removal(view: Store, task: Task) -> None:
    alive = TaskState.ASSIGNED <= task.state <= TaskState.RUNNING
    if alive and task.node_id in view.nodes:
        raise Broken(f"task {task.id} was deleted while node {task.node_id} may still run it")


def check_aggregates(view: Store) -> None:
    """The kept loads and indexes equal what a walk over all tasks gives."""
    fresh = Store()
    fresh.restore(view.index, view.freeze()())
    for node in view.nodes:
        kept, counted = view.load(node.id), fresh.load(node.id)
        for field in ("active", "cpus", "memory", "services", "ports", "generic"):
            if getattr(kept, field) != getattr(counted, field):
                raise Broken(f"{field} of node {node.id}: kept {getattr(kept, field)}, is {getattr(counted, field)}")
    _check_usage(view, fresh)
    for index in ("service", "slot", "place", "node", "new", "pending", "waiting"):
        if _index(view, index) != _index(fresh, index):
            raise Broken(f"index {index} of tasks is wrong")


def _check_usage(view: Store, fresh: Store) -> None:
    networks = {one.network_id for row in (*view.tasks, *view.nodes) for one in row.attachments}
    networks |= {one.network_id for service in view.services for one in service.vips}
    for network_id in (*networks, *view.networks.ids()):
        kept, counted = view.addresses(network_id), fresh.addresses(network_id)
        for field in ("held", "counts", "seats", "nodes", "idle", "missing", "services", "unplaced"):
            if getattr(kept, field) != getattr(counted, field):
                raise Broken(f"{field} of network {network_id}: {getattr(kept, field)} for {getattr(counted, field)}")
    for name in ("uneven_networks", "failing_networks"):
        if set(getattr(view, name)()) != set(getattr(fresh, name)()):
            raise Broken(f"{name}: kept {set(getattr(view, name)())}, is {set(getattr(fresh, name)())}")


def _index(view: Store, name: str) -> dict[object, set[str]]:
    return {key: {task.id for task in view.tasks.by(name, key)} for key in view.tasks.keys(name)}
