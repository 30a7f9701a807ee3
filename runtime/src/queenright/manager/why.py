# SPDX-License-Identifier: Apache-2.0
"""Why a task is where it is, or is nowhere: what is stored, what each scheduling filter says, and sentences on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from queenright.decide import schedule, slots
from queenright.decide.base import SECOND, Now
from queenright.decide.narrate import waiting_for
from queenright.manager import chain
from queenright.manager.context import Context
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import ACTIVE
from queenright.store.store import Store

Local = Callable[[str], dict[str, Any] | None]


class Why:
    """Explains tasks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def explain(self, ref: str, local: Local) -> dict[str, Any]:
        """The answer of ``GET /queenright/v1/why/{ref}``.

        ``ref``: a task's id, name or unique prefix, ``web.1`` for the newest task of that slot, or a service's name for
        the task of it that needs explaining most. ``local`` is asked what the agent of this host knows of it.
        Raises NotFound.
        """
        store = self._context.store
        task = find_task(store, ref)
        now = Now(self._context.clock.wall(), self._context.clock.mono())
        service, node = store.services.get(task.service_id), store.nodes.get(task.node_id)
        document: dict[str, Any] = {
            "task": {"id": task.id, "name": task.name, "slot": task.slot},
            "service": {"id": task.service_id, "name": task.service_name},
            "node": {"id": task.node_id, "hostname": _host(store, task.node_id)} if task.node_id else None,
            "state": task.state.text,
            "desired_state": task.desired_state.text,
            "message": task.status.message,
            "err": task.status.err,
            "chain": chain.document(store, task, now),
            "history": history(store, task),
            "explanation": sentences(store, task, service, node, now),
            "filters": verdicts(store, task, now),
        }
        seen = local(task.id)
        if seen is not None:
            document["agent"] = seen
            document["explanation"].extend(_about_agent(seen))
        return document


def explain_locally(task_id: str, node_id: str, seen: dict[str, Any]) -> dict[str, Any]:
    """The same shape from what the agent of a worker knows; what only managers know is empty."""
    status = f"It is {seen.get('state', 'unknown')} on this node"
    reason = seen.get("err") or seen.get("message")
    return {
        "task": {"id": task_id, "name": task_id, "slot": 0},
        "service": None,
        "node": {"id": node_id, "hostname": ""},
        "state": seen.get("state", ""),
        "desired_state": seen.get("desired_state", ""),
        "message": seen.get("message", ""),
        "err": seen.get("err", ""),
        "chain": {"text": "", "steps": []},
        "history": [],
        "explanation": [
            f"{status}: {reason}." if reason else f"{status}.",
            *_about_agent(seen),
            "This node knows its own tasks only; a manager knows the rest.",
        ],
        "filters": [],
        "agent": seen,
    }


def find_task(store: Store, ref: str) -> Task:
    """The task that a person means by ``ref``. Raises NotFound, or InvalidArgument if several are meant."""
    try:
        return store.task(ref)
    except (NotFound, InvalidArgument) as error:
        name, _, slot = ref.rpartition(".")
        services = store.services.by("name", (name or ref).lower()) or store.services.by("name", ref.lower())
        if not services:
            raise error from None
        tasks = store.tasks.by("service", services[0].id)
        if name and services[0].name.lower() == name.lower():
            tasks = tuple(task for task in tasks if slot in (str(task.slot), task.node_id, _host(store, task.node_id)))
        if not tasks:
            raise NotFound(f"task {ref} not found: service {services[0].name} has no such task", plain=True) from None
        return max(tasks, key=_need)


def verdicts(store: Store, task: Task, now: Now) -> list[dict[str, Any]]:
    """What each filter that concerns the task says of each node now; None fits. Nothing for a task of the past."""
    if not task.active:
        return []
    names = [node.hostname for node in store.nodes]

    def title(node_id: str) -> str:
        host = _host(store, node_id)
        return f"{host} ({node_id})" if names.count(host) > 1 else host

    return [
        {"name": name, "verdicts": {title(node_id): reason for node_id, reason in by_node.items()}}
        for name, by_node in schedule.explain(store, task, now)
    ]


def _need(task: Task) -> tuple[bool, bool, int, int]:
    """What needs explaining most: a task that is wanted and does not run, else a wanted one, else the newest."""
    return (task.wanted and task.state != TaskState.RUNNING, task.wanted, task.created_at, task.version)


def history(store: Store, task: Task) -> list[dict[str, Any]]:
    """The tasks of the same slot (or, for a global service, on the same node), newest first."""
    return [
        {
            "id": one.id,
            "state": one.state.text,
            "desired_state": one.desired_state.text,
            "node": _host(store, one.node_id),
            "message": one.status.message,
            "err": one.status.err,
            "exit_code": one.status.exit_code,
            "cause": one.cause,
            "refused": one.refused,
            "created_at": one.created_at,
            "at": one.status.applied_at or one.status.at,
        }
        for one in reversed(slots.of_task(store, task).tasks)
    ]


def sentences(store: Store, task: Task, service: Service | None, node: Node | None, now: Now) -> list[str]:
    """Why the task is as it is, in words, most important first."""
    out = []
    if service is None:
        out.append("Its service was removed: the task is stopped and then forgotten.")
    if task.state.terminal:
        out.append(_ended(task))
    elif not task.wanted:
        out.append(f"It shall stop (desired state {task.desired_state.text}) and has not stopped yet.")
    elif task.state == TaskState.NEW:
        out.append(f"It waits for addresses: {task.status.err or 'they are not given yet'}.")
    elif not task.node_id or task.state < TaskState.ASSIGNED:
        out.append(f"It waits for a node: {task.status.err or 'it was not scheduled yet'}.")
    else:
        out.extend(_waiting(store, task, now))
    out.extend(_about_node(task, node))
    if service is not None:
        out.extend(_about_service(store, task, service, now))
    return out


def _ended(task: Task) -> str:
    code = f", exit code {task.status.exit_code}" if task.status.exit_code is not None else ""
    reason = task.status.err or task.status.message
    return f"It has ended: {task.state.text}{code}{f' ({reason})' if reason else ''}."


def _waiting(store: Store, task: Task, now: Now) -> list[str]:
    out = []
    if task.desired_state == TaskState.READY:
        before = store.tasks.get(task.replaces)
        if task.not_before > now.wall:
            out.append(
                f"It is prepared and starts in {(task.not_before - now.wall) / SECOND:.1f} s: the restart policy "
                "delays the start."
            )
        if before is not None and not before.state.terminal:
            out.append(f"It starts when the task before it, {before.id}, has stopped (now {before.state.text}).")
    if not out:
        doing = "runs" if task.state == TaskState.RUNNING else f"is {task.state.text}"
        detail = f": {task.status.message}" if task.status.message else ""
        out.append(f"It {doing} on its node{detail}.")
    if task.status.err:
        out.append(f"Last error: {task.status.err}.")
    return out


def _about_node(task: Task, node: Node | None) -> list[str]:
    if not task.node_id:
        return []
    if node is None:
        return [f"Its node {task.node_id} was removed from the swarm."]
    out = []
    name = node_title(node)
    if node.status.state != NodeState.READY:
        detail = f" ({node.status.message})" if node.status.message else ""
        out.append(f"Its node {name} is {node.status.state.value}{detail}: what it says of the task may be old.")
    if node.availability != ACTIVE:
        out.append(f"The availability of its node {name} is {node.availability}.")
    return out


def _about_service(store: Store, task: Task, service: Service, now: Now) -> list[str]:
    out = []
    status = service.update_status
    if status is not None and (status.state.active or status.state.paused):
        detail = "".join(f": {text}" for text in (status.message, waiting_for(store, service, now)) if text)
        out.append(f"The service's update is {status.state.value.replace('_', ' ')}{detail}.")
    failures = [one for one in slots.of_task(store, task).tasks if one.state in (TaskState.FAILED, TaskState.REJECTED)]
    if len(failures) > 1:
        last = failures[-1].status.err or failures[-1].status.message
        out.append(f"{len(failures)} tasks of this slot have failed; the last one said: {last}.")
    return out


def node_title(node: Node) -> str:
    """A node as people know it."""
    return node.hostname or node.id


def _about_agent(seen: dict[str, Any]) -> list[str]:
    out = [f"The agent of this node has trouble with it: {seen['trouble']}."] if seen.get("trouble") else []
    health = (seen.get("container") or {}).get("health")
    if health in ("starting", "unhealthy"):
        out.append(f"Its container's health is {health}.")
    return out


def _host(store: Store, node_id: str) -> str:
    node = store.nodes.get(node_id)
    return node_title(node) if node is not None else node_id
