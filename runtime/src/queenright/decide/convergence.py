# SPDX-License-Identifier: Apache-2.0
"""Whether a service is as it was asked to be, and if not, what keeps it: a predicate for those who wait."""

from __future__ import annotations

import dataclasses

from queenright.decide import awaiting, defaults, global_service, restart, slots
from queenright.decide.base import Now
from queenright.decide.jobs import Standing, standing
from queenright.decide.revision import Revision
from queenright.model.objects import Node, Service, Task
from queenright.model.states import NodeState, TaskState, UpdateState
from queenright.spec.cluster import ACTIVE
from queenright.store.store import Store

CONVERGED = "converged"
PROGRESSING = "progressing"
PAUSED = "paused"
FAILED = "failed"
ROLLED_BACK = "rolled_back"


@dataclasses.dataclass(frozen=True, slots=True)
class Convergence:
    """``state``: converged, progressing, paused, rolled_back (an update failed and the revision before it is back) or
    failed (a job that will not complete).

    ``running`` counts slots whose task of the present revision runs, or ran to its end; ``desired`` those that shall.
    Of a job it counts what has completed.
    ``reasons`` say what is missing, what matters most first.
    """

    state: str
    running: int
    desired: int
    update_state: str = ""
    update_message: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def converged(self) -> bool:
        return self.state == CONVERGED


def convergence(view: Store, service: Service, now: Now) -> Convergence:
    """Where the service stands. One that awaits others is on its way, whatever runs of it."""
    found = _found(view, service, now)
    if not service.awaits:
        return found
    return dataclasses.replace(found, state=PROGRESSING, reasons=awaiting.reasons(view, service))


def _found(view: Store, service: Service, now: Now) -> Convergence:
    if defaults.is_job(service.spec):
        return _job(view, service, now)
    revision = Revision(view, service)
    places = _places(view, service)
    missing: list[tuple[int, str]] = []
    running = 0
    for slot in places:
        found = _missing(view, service, revision, slot, now)
        if found is None:
            running += 1
        else:
            missing.append(found)
    status = service.update_status
    message = status.message if status is not None else ""
    reasons = [text for _, text in sorted(missing, key=lambda item: item[0])]
    if status is not None and (status.state.paused or _went_back(service)):
        reasons.insert(0, message)
    desired = len(places) if defaults.is_global(service.spec) else defaults.replicas(service.spec)
    return Convergence(
        state=_state(service, running == len(places) == desired),
        running=running,
        desired=desired,
        update_state=str(status.state) if status is not None else "",
        update_message=message,
        reasons=tuple(reasons),
    )


def _state(service: Service, complete: bool) -> str:
    status = service.update_status
    if status is not None and status.state.paused:
        return PAUSED
    if not complete or (status is not None and status.state.active):
        return PROGRESSING
    return ROLLED_BACK if _went_back(service) else CONVERGED


def _went_back(service: Service) -> bool:
    """Whether a failed update was taken back: a rollback that was asked for keeps the specification it left."""
    status = service.update_status
    return status is not None and status.state == UpdateState.ROLLBACK_COMPLETED and service.previous_spec is None


def _job(view: Store, service: Service, now: Now) -> Convergence:
    """How far the job's present iteration is."""
    places = _job_places(view, service)
    total = len(places) if defaults.on_each_node(service.spec) else defaults.completions(service.spec)
    stands = [(slot, standing(view, service, slot, now)) for slot in places]
    done = sum(1 for _, stand in stands if stand is Standing.DONE)
    spent = [slot for slot, stand in stands if stand is Standing.SPENT]
    live = [slot for slot, stand in stands if stand is Standing.LIVE]
    left = total - done - len(spent) - len(live)
    reasons = [_given_up(view, service, slot, now) for slot in spent]
    reasons += [_at_work(view, service, slot) for slot in live]
    if left:
        most = defaults.max_concurrent(service.spec)
        turn = "" if defaults.on_each_node(service.spec) else f": no more than {most} run at a time"
        reasons.append(f"{left} of {total} tasks wait for their turn{turn}")
    state = CONVERGED if done == total else PROGRESSING if live or left else FAILED
    return Convergence(state=state, running=done, desired=total, reasons=tuple(reasons))


def _job_places(view: Store, service: Service) -> list[slots.Slot]:
    """Slots of a job that have had a task; the nodes of a global job, with or without one."""
    if not defaults.on_each_node(service.spec):
        most = defaults.completions(service.spec)
        return [slot for slot in slots.of_service(view, service.id).values() if 0 < slot.number <= most]
    return _node_places(view, service)


def _given_up(view: Store, service: Service, slot: slots.Slot, now: Now) -> str:
    last = next(task for task in reversed(slot.tasks) if task.job_iteration == service.job_iteration)
    detail = last.status.err or last.status.message or last.state.text
    return f"{_title(view, last)}: {last.state.text}: {detail}; {restart.refusal(view, service, slot, last, now)}"


def _at_work(view: Store, service: Service, slot: slots.Slot) -> str:
    task = next(one for one in reversed(slot.wanted) if one.job_iteration == service.job_iteration)
    return _underway(slot, task, _title(view, task))[1]


def _title(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    name = f"task {task.service_name}.{task.slot or task.node_id}"
    return f"{name} on node {_hostname(node)}" if node is not None else name


def _places(view: Store, service: Service) -> list[slots.Slot]:
    """The slots that shall run, empty ones included."""
    if not defaults.is_global(service.spec):
        count = defaults.replicas(service.spec)
        held = [slot for slot in slots.of_service(view, service.id).values() if slot.newest is not None]
        numbered = {slot.number for slot in held}
        free = (number for number in range(1, count + len(held) + 1) if number not in numbered)
        empty = [slots.Slot(next(free), "", ()) for _ in range(count - len(held))]
        return sorted([*held, *empty], key=lambda slot: slot.number)
    return _node_places(view, service)


def _node_places(view: Store, service: Service) -> list[slots.Slot]:
    """The nodes that a global service or job belongs on."""
    found = []
    for node in view.nodes:
        slot = slots.at(view, service.id, 0, node.id)
        takes = node.availability == ACTIVE and node.status.state == NodeState.READY
        if global_service.belongs(service, node) and (takes or slot.wanted):
            found.append(slot)
    return found


def _missing(view: Store, service: Service, revision: Revision, slot: slots.Slot, now: Now) -> tuple[int, str] | None:
    """What keeps a slot from being as it should, with its rank; None if nothing does."""
    if any(
        task.state == TaskState.RUNNING and revision.clean(task) and not slots.gone(view.nodes.get(task.node_id))
        for task in slot.wanted
    ):
        return None
    newest = slot.wanted[-1] if slot.wanted else slot.newest
    name = f"task {service.name}.{slot.number or slot.node_id}"
    if newest is None:
        return 4, f"{name}: not made yet"
    node = view.nodes.get(newest.node_id)
    where = f"{name} on node {_hostname(node)}" if node is not None else name
    if not revision.clean(newest):
        return 3, f"{where}: not updated yet"
    if not newest.wanted or newest.state.terminal:
        refused = restart.refusal(view, service, slot, newest, now)
        if newest.state == TaskState.COMPLETE and refused is not None:
            return None
        detail = newest.status.err or newest.status.message or newest.state.text
        return 0, f"{where}: {newest.state.text}: {detail}" + (f"; {refused}" if refused else "")
    return _underway(slot, newest, where)


def _underway(slot: slots.Slot, task: Task, where: str) -> tuple[int, str]:
    if task.status.err:
        return 1, f"{where}: {task.status.err}{_before(slot, task)}"
    if task.desired_state == TaskState.READY:
        return 2, f"{where}: waits to be started{_before(slot, task)}"
    return 2, f"{where}: {task.state.text}: {task.status.message}"


def _before(slot: slots.Slot, task: Task) -> str:
    """How the task before it ended, if it failed: the more telling half of a restart loop."""
    for other in reversed(slot.tasks):
        if other.id == task.replaces and other.state in (TaskState.FAILED, TaskState.REJECTED):
            return f"; the task before it {other.state.text}: {other.status.err or other.status.message}"
    return ""


def _hostname(node: Node) -> str:
    return node.hostname or node.id
