# SPDX-License-Identifier: Apache-2.0
"""How far each service of a stack is: waiting, underway, there, or failed and why.

A service is there when it has converged and all its tasks have run for the monitor time of its updates: what starts
well and ends a moment later was never there. One that is new fails when a task of it has failed for the third time, or
is not tried again; one that was there fails with its update.
"""

from __future__ import annotations

import dataclasses
import enum

from queenright.decide import awaiting, defaults, restart, slots, trial
from queenright.decide.base import SECOND, Now
from queenright.decide.convergence import FAILED, PAUSED, ROLLED_BACK, Convergence, convergence
from queenright.decide.stack_revision import wanted_spec
from queenright.lib.clockface import span
from queenright.model.objects import Service, Task
from queenright.model.stack import COMPLETED, STARTED, Stack, StackService
from queenright.model.states import TaskState, UpdateState
from queenright.store.store import Store

TRIES = 3  # of a task of a new service, until it is said to have failed
MOMENT = SECOND // 1000
"""So long after it was written nothing is said of an object: what follows from the write has to come about first."""


class Stage(enum.Enum):
    """Where a service of a stack is."""

    WAITS = enum.auto()
    UNDERWAY = enum.auto()
    THERE = enum.auto()
    FAILED = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """``until``: the wall time at which that changes by itself, 0 if it does not. ``runs``: all its tasks do, which is
    enough for who awaits that it is started. ``why``: what failed; ``reasons``: what is missing yet.
    """

    declared: StackService
    service: Service | None
    stage: Stage
    runs: bool = False
    until: int = 0
    why: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.declared.spec.name or ""


def parts(view: Store, stack: Stack, now: Now) -> list[Part]:
    """All services of the revision in force, in its order."""
    return [part(view, stack, one, now) for one in stack.revision.services]


def unmet(stack: Stack, one: Part, others: dict[str, Part]) -> tuple[str, ...]:
    """The services for which one that waits has still to wait. What is no part of the stack is not waited for."""
    if one.service is None:
        return ()
    conditions = awaiting.conditions(stack, one.declared)
    return tuple(
        name
        for name in one.service.awaits
        if name in conditions and name in others and not _met(others[name], conditions[name])
    )


def named(view: Store, name: str) -> Service | None:
    return next(iter(view.services.by("name", name.lower())), None)


def _met(one: Part, condition: str) -> bool:
    if condition == STARTED:
        return one.runs or one.stage is Stage.THERE
    if condition == COMPLETED and one.service is not None and not defaults.is_job(one.service.spec):
        return one.stage is Stage.THERE and not one.runs
    return one.stage is Stage.THERE


def part(view: Store, stack: Stack, declared: StackService, now: Now) -> Part:
    """How far one service is."""
    service = named(view, declared.spec.name or "")
    if service is None:
        reason = f"service {declared.spec.name} is not there"
        return _late(Part(declared, None, Stage.UNDERWAY, reasons=(reason,)), stack, stack.status.started_at, now)
    if service.awaits:
        return Part(declared, service, Stage.WAITS, reasons=awaiting.reasons(view, service))
    fresh = Part(declared, service, Stage.UNDERWAY)
    if 0 <= now.wall - service.updated_at < MOMENT:
        return dataclasses.replace(fresh, until=service.updated_at + MOMENT)
    found = convergence(view, service, now)
    why = _failure(view, declared, service, found, now)
    if why:
        return dataclasses.replace(fresh, stage=Stage.FAILED, why=why, reasons=found.reasons)
    own = found.state == ROLLED_BACK
    if not (found.converged or own):
        runs = found.running == found.desired and not defaults.is_job(service.spec)
        late = dataclasses.replace(fresh, runs=runs, reasons=found.reasons)
        return _late(late, stack, service.updated_at, now)
    runs = _any_runs(view, service)
    passes = _passes(view, service)
    if passes > now.wall:
        text = f"service {service.name} runs and is watched for a moment"
        return dataclasses.replace(fresh, runs=runs, until=passes, reasons=(text,))
    return dataclasses.replace(fresh, stage=Stage.THERE, runs=runs)


def _late(one: Part, stack: Stack, since: int, now: Now) -> Part:
    """The part with the time that it is given; failed if that is over."""
    if not stack.timeout:
        return one
    deadline = max(stack.status.started_at, since) + stack.timeout
    if deadline > now.wall:
        return dataclasses.replace(one, until=deadline)
    why = f"not there within {span(stack.timeout)}" + (f": {one.reasons[0]}" if one.reasons else "")
    return dataclasses.replace(one, stage=Stage.FAILED, why=why)


def _failure(view: Store, declared: StackService, service: Service, found: Convergence, now: Now) -> str:
    """Why the service will not become what it shall be; nothing if it still may."""
    status = service.update_status
    if found.state == PAUSED:
        return found.update_message
    if found.state == FAILED:
        return found.reasons[0] if found.reasons else "the job failed"
    if status is None:
        return "" if found.converged else _flails(view, service, now)
    went_back = status.state in (UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_COMPLETED)
    if went_back and service.previous_spec is None:
        same = defaults.same_service(wanted_spec(view, declared, service), service.spec)
        return "" if same else found.update_message
    return ""


def _flails(view: Store, service: Service, now: Now) -> str:
    """A task of a service without an update that failed too often; jobs judge for themselves."""
    rollout = defaults.rollout(service)
    if defaults.is_job(service.spec) or rollout.failure_action == "continue":
        return ""
    for slot in slots.of_service(view, service.id).values():
        for task in slot.tasks:
            if task.spec_version != service.spec_version or not trial.failed(task, rollout.monitor):
                continue
            last = task is slot.newest
            if task.attempt >= TRIES - 1 or (last and restart.refusal(view, service, slot, task, now) is not None):
                return _told(view, task)
    return ""


def _told(view: Store, task: Task) -> str:
    node = view.nodes.get(task.node_id)
    where = f" on node {node.hostname or node.id}" if node is not None else ""
    detail = task.status.err or task.status.message
    times = f", {task.attempt + 1} times in a row" if task.attempt else ""
    return f"task {task.service_name}.{task.slot or task.node_id}{where} {task.state.text}{times}: {detail}"


def _any_runs(view: Store, service: Service) -> bool:
    """Whether it is something that goes on, and not a thing done."""
    tasks = view.tasks.by("service", service.id)
    return any(task.wanted and task.state == TaskState.RUNNING for task in tasks)


def _passes(view: Store, service: Service) -> int:
    """The wall time at which the last of its running tasks has passed its trial."""
    monitor = defaults.rollout(service).monitor
    if defaults.is_job(service.spec):
        return 0
    wanted = (task for task in view.tasks.by("service", service.id) if task.wanted)
    return max((at for task in wanted if (at := trial.passed_at(task, monitor)) is not None), default=0)
