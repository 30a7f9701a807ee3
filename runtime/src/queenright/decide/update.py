# SPDX-License-Identifier: Apache-2.0
"""Steers rolling updates and rollbacks: a pure function of the service, its slots and the time.

At most ``parallelism`` slots are busy (see ``progress``); when one is not any more the next dirty slot follows, those
that do not run first. A new task that ends during its trial, or does not run in time, is a failure: when the share of
failed slots exceeds what is borne, the update pauses, goes back or goes on, as configured. Nothing is remembered
between two questions, so a new leader goes on where the old one stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterable, Sequence

from queenright.decide import cause, defaults, ports, slots, tasks, trial
from queenright.decide.base import Decision, Dirty, Now, earliest
from queenright.decide.progress import Progress, Stage, progress
from queenright.decide.revision import Revision
from queenright.decide.standing_spec import in_force
from queenright.lib.clockface import span
from queenright.model.changes import Change, Update
from queenright.model.objects import Service, Task, UpdateStatus
from queenright.model.states import TaskState, UpdateState
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import network_ids

ROLLED_BACK = "update rolled back"


def decide(view: Store, dirty: Dirty, now: Now, ids: Callable[[], str]) -> Decision:
    """Look at touched services, at those that are updated and had a task touched, and at those with old tasks on a
    touched node. All that are updated are looked at when a node was touched, and when the time of one of them has come.
    """
    changes: list[Change] = []
    wakes: list[float | None] = []
    for service in _touched(view, dirty):
        made, wake = _steer(view, service, now, ids)
        changes.extend(made)
        wakes.append(wake)
    return Decision(tuple(changes), earliest(wakes), partial=not _all_rolling(dirty))


def _all_rolling(dirty: Dirty) -> bool:
    return bool(dirty.everything or dirty.due or dirty.nodes)


def _touched(view: Store, dirty: Dirty) -> list[Service]:
    if dirty.everything:
        found = {service.id: service for service in view.services}
    else:
        keys = set(dirty.services)
        for node_id in dirty.nodes:
            for task in view.tasks.by("node", node_id):
                service = view.services.get(task.service_id)
                if service is not None and task.wanted and task.spec_version != service.spec_version:
                    keys.add(service.id)
        owners = {held.service_id for key in dirty.tasks if (held := view.tasks.get(key)) is not None}
        keys.update(key for key in owners if (waits := view.services.get(key)) is not None and waits.awaits)
        found = {key: service for key in keys if (service := view.services.get(key)) is not None}
        rolling = view.services.by("rolling", True)
        if rolling and not _all_rolling(dirty):
            rolling = tuple(service for service in rolling if service.id in owners)
        found.update((service.id, service) for service in rolling)
    rolled = (service for service in found.values() if not defaults.is_job(service.spec))
    return sorted(rolled, key=lambda service: (service.created_at, service.id))


def _steer(view: Store, service: Service, now: Now, ids: Callable[[], str]) -> tuple[Sequence[Change], float | None]:
    held = service
    if service.awaits:
        return _stand(view, service, now), None
    service = _not_ahead(service, now)
    states = progress(view, service, now)
    status = service.update_status
    active = status is not None and status.state.active
    dirty = any(each.stage is Stage.DIRTY for each in states)
    if (status is not None and status.state.paused) or not (active or dirty):
        return _finish(view, service, states, now), None
    if not active:
        service = _begun(service, now)
        states = progress(view, service, now)
    judged = _judge(view, service, states, now)
    if judged.update_status is not None and judged.update_status.state.paused:
        return [Update(judged), *_finish(view, judged, states, now)], None
    if judged is not service:  # it goes back: the same slots, seen from the revision before
        service = judged
        states = progress(view, service, now)
    if all(each.stage in (Stage.DONE, Stage.FAILED) for each in states):
        return [Update(_completed(service, states, now)), *_finish(view, service, states, now)], None
    first = [Update(service)] if service is not held else []
    superfluous = _finish(view, service, states, now)
    stopped = {change.object.id for change in superfluous}
    return [
        *first,
        *superfluous,
        *_advance(states, service, stopped, now, ids),
    ], earliest(now.wake_at(each.until) for each in states if each.until > now.wall)


def _stand(view: Store, service: Service, now: Now) -> Sequence[Change]:
    """One that awaits others stands still; a slot that was about to be renewed is left with one task."""
    standing = in_force(service)
    return _finish(view, standing, progress(view, standing, now), now) if standing is not None else []


def _not_ahead(service: Service, now: Now) -> Service:
    """An update whose start lies in the future, since it was begun by a leader whose clock was ahead, starts now: what
    is made from now on belongs to it, and so does what that leader made.
    """
    status = service.update_status
    if status is None or not status.state.active or status.started_at <= now.wall:
        return service
    return dataclasses.replace(service, update_status=dataclasses.replace(status, started_at=now.wall))


def _begun(service: Service, now: Now) -> Service:
    """A finished update that finds work again (a node's labels changed) begins anew, from now."""
    begun = min(service.updated_at, now.wall) if service.update_status is None else now.wall
    status = UpdateStatus(state=UpdateState.UPDATING, started_at=begun, message="update in progress")
    return dataclasses.replace(service, update_status=status)


def _finish(view: Store, service: Service, states: Iterable[Progress], now: Now) -> list[Update]:
    """Leave each slot with the one task that it shall have."""
    revision = Revision(view, service)
    return [
        tasks.stop(task, TaskState.SHUTDOWN, now)
        for each in states
        if len(each.slot.tasks) > 1
        for task in _superfluous(view, each.slot.wanted, revision)
    ]


def _superfluous(view: Store, wanted: Sequence[Task], revision: Revision) -> list[Task]:
    """Old tasks whose successor runs (start-first) or was made to follow them (stop-first).

    Of several old ones (a later change came while one was about to follow the other) the one that runs stays.
    """
    clean = [task for task in wanted if revision.clean(task)]
    if clean:
        runs = any(task.state == TaskState.RUNNING for task in clean)
        follows = {task.replaces for task in clean if task.desired_state == TaskState.READY and not task.attempt}
        return [task for task in wanted if not revision.clean(task) and (runs or task.id in follows)]
    runs_well = [task for task in wanted if task.state == TaskState.RUNNING and not slots.on_leaving_node(view, task)]
    kept = (runs_well or wanted)[-1:]
    return [task for task in wanted if task not in kept]


def _advance(
    states: Sequence[Progress], service: Service, stopped: Container[str], now: Now, ids: Callable[[], str]
) -> list[Change]:
    """Renew as many dirty slots as parallelism leaves room for; those that do not run come first.

    Tasks whose ids are in ``stopped`` are told to stop in any case.
    """
    rollout = defaults.rollout(service)
    dirty = [each.slot for each in states if each.stage is Stage.DIRTY]
    room = len(dirty) if rollout.parallelism <= 0 else max(0, rollout.parallelism - _taken(states, rollout))
    changes: list[Change] = []
    for slot in sorted(dirty, key=lambda slot: slot.running)[:room]:
        old = [task for task in slot.wanted if task.id not in stopped]
        changes.extend(_renew(slot, old, service, rollout.start_first, now, ids))
    return changes


def _taken(states: Sequence[Progress], rollout: defaults.Rollout) -> int:
    """How many places of the present batch are taken.

    Where batches are gated by the monitor time, that is all that were renewed since the oldest one that is still busy:
    the next batch begins when the whole of this one has passed. Else each slot makes room for the next by itself.
    """
    busy = [each for each in states if each.busy]
    if not busy or not rollout.gated:
        return len(busy)
    began = min(each.began for each in busy)
    return sum(1 for each in states if each.busy or (each.new and each.began >= began))


def _renew(
    slot: slots.Slot, old: Sequence[Task], service: Service, start_first: bool, now: Now, ids: Callable[[], str]
) -> list[Change]:
    """A new task for the slot. A new one that has to wait names the old task for which it waits."""
    renewed = tasks.new_task(
        service,
        task_id=ids(),
        now=now,
        slot=slot.number,
        node_id=slot.node_id,
        desired=TaskState.RUNNING if start_first and slot.running else TaskState.READY,
        replaces=old[-1] if old else slot.newest,
        cause=cause.renewed(service),
    )
    if start_first and slot.running:
        return [renewed]
    stops = [tasks.stop(task, TaskState.SHUTDOWN, now) for task in old]
    return [*stops[:-1], renewed, *stops[-1:]]


def _judge(view: Store, service: Service, states: Sequence[Progress], now: Now) -> Service:
    """The service paused or taken back if more slots failed than is borne, else itself."""
    rollout = defaults.rollout(service)
    failed = [each for each in states if each.stage is Stage.FAILED]
    total = sum(1 for each in states if each.new or each.stage is Stage.DIRTY)
    if not failed or rollout.failure_action == "continue" or len(failed) <= rollout.max_failure_ratio * total:
        return service
    culprit = failed[0].task
    assert culprit is not None and service.update_status is not None
    back = service.update_status.state == UpdateState.ROLLBACK_STARTED
    reason = _reason(view, culprit, rollout)
    lost = _lost(view, service) if rollout.failure_action == "rollback" and not back else ""
    if lost:
        reason += f"; it cannot be rolled back: {lost}"
    if rollout.failure_action == "rollback" and not back and not lost and service.previous_spec is not None:
        return _rolled_back(service, f"{ROLLED_BACK} {reason}", now)
    state = UpdateState.ROLLBACK_PAUSED if back else UpdateState.PAUSED
    word = "rollback" if back else "update"
    status = dataclasses.replace(service.update_status, state=state, message=f"{word} paused {reason}")
    return dataclasses.replace(service, update_status=status)


def _lost(view: Store, service: Service) -> str:
    """What the specification before needs and cannot have any more, in words; nothing if all of it is there."""
    spec = service.previous_spec
    if spec is None:
        return ""
    missing = _missing(view, spec)
    return f"{missing} does not exist any more" if missing else ports.clash(view, spec, service.id)


def _missing(view: Store, spec: ServiceSpec) -> str:
    """A network, secret or config that the specification refers to and that is gone."""
    for network_id in network_ids(spec.task):
        if network_id not in view.networks:
            return f"network {network_id}"
    for secret in spec.task.container.secrets:
        if (secret.secret_id or "") not in view.secrets:
            return f"secret {secret.secret_name or secret.secret_id}"
    for config in spec.task.container.configs:
        if (config.config_id or "") not in view.configs:
            return f"config {config.config_name or config.config_id}"
    return ""


def _reason(view: Store, task: Task, rollout: defaults.Rollout) -> str:
    """What went wrong, after ``update paused``."""
    if trial.failed(task, rollout.monitor):
        return f"due to failure or early termination of task {task.id}{_why(view, task)}"
    return f"because task {task.id} did not run within {span(rollout.timeout)}{_why(view, task)}"


def _why(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    where = f" on node {node.hostname or node.id}" if node is not None else ""
    what = task.status.err or task.status.message or task.state.text
    return f" ({task.service_name}.{task.slot or task.node_id}{where}: {what})"


def _rolled_back(service: Service, message: str, now: Now) -> Service:
    """The service with its previous specification in force again, and none to go back to."""
    assert service.previous_spec is not None
    return dataclasses.replace(
        service,
        spec=service.previous_spec,
        spec_version=max(service.spec_version, service.previous_spec_version) + 1,
        previous_spec=None,
        previous_spec_version=0,
        registry_auth=service.previous_registry_auth,
        previous_registry_auth="",
        update_status=UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=now.wall, message=message),
    )


def _rollback_message(status: UpdateStatus) -> str:
    """The reason stays: whoever looks later wants to know why the old revision runs."""
    by_itself = status.message.startswith(ROLLED_BACK)
    return f"rollback completed ({status.message})" if by_itself else "rollback completed"


def _borne(states: Sequence[Progress]) -> str:
    failed = sum(1 for each in states if each.stage is Stage.FAILED)
    return f"; {failed} of {sum(1 for each in states if each.new)} new tasks failed, which is borne" if failed else ""


def _completed(service: Service, states: Sequence[Progress], now: Now) -> Service:
    status = service.update_status
    assert status is not None
    back = status.state == UpdateState.ROLLBACK_STARTED
    done = dataclasses.replace(
        status,
        state=UpdateState.ROLLBACK_COMPLETED if back else UpdateState.COMPLETED,
        completed_at=now.wall,
        message=(_rollback_message(status) if back else "update completed") + _borne(states),
    )
    return dataclasses.replace(service, update_status=done)
