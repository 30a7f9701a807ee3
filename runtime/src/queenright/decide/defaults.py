# SPDX-License-Identifier: Apache-2.0
"""What holds where a specification is silent: the one place for orchestration's default values.

Deciders ask here for effective values; the API's ``insertDefaults`` shows the same ones. Durations in nanoseconds.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from queenright.decide.base import SECOND
from queenright.decide.meaning import Memory, plainest, same_endpoint
from queenright.model.objects import Cluster, Service, Task
from queenright.model.states import UpdateState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import (
    GLOBAL,
    GLOBAL_JOB,
    RestartPolicy,
    RollbackConfig,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from queenright.spec.service import MONITOR as GATE_MONITOR

C = TypeVar("C", UpdateConfig, RollbackConfig)

RESTART_CONDITION = "any"
RESTART_DELAY = 5 * SECOND
PARALLELISM = 1
MONITOR = 5 * SECOND
FAILURE_ACTION = "pause"
ORDER = "stop-first"
UPDATE_TIMEOUT = 15 * 60 * SECOND
STOP_GRACE = 10 * SECOND
HISTORY_LIMIT = 5
HEARTBEAT_PERIOD = 5 * SECOND
# A replacement starts at the latest this long after it was made, or the old task's grace and a little more.
STOP_WAIT = 60 * SECOND
STOP_WAIT_AFTER_GRACE = 10 * SECOND


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """An effective restart policy. ``max_attempts`` and ``window`` 0: no limit."""

    condition: str
    delay: int
    max_attempts: int
    window: int


@dataclasses.dataclass(frozen=True, slots=True)
class Rollout:
    """An effective update or rollback configuration. ``parallelism`` 0: all at once.

    ``gated``: the next batch waits until all of the last one have run for ``monitor``, and not only until they run.
    ``timeout``: a new task that does not run after that time has failed; 0 is never.
    """

    parallelism: int
    delay: int
    failure_action: str
    monitor: int
    max_failure_ratio: float
    start_first: bool
    gated: bool = False
    timeout: int = 0


def restart(spec: TaskSpec) -> Restart:
    policy = spec.restart_policy or RestartPolicy()
    return Restart(
        condition=policy.condition or RESTART_CONDITION,
        delay=_or(policy.delay, RESTART_DELAY),
        max_attempts=policy.max_attempts or 0,
        window=policy.window or 0,
    )


def rollout(service: Service) -> Rollout:
    """How the service's present change is rolled out: by its rollback configuration while it is rolled back."""
    status = service.update_status
    back = status is not None and status.state in (UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED)
    config: UpdateConfig | RollbackConfig = (
        (service.spec.rollback_config or RollbackConfig()) if back else (service.spec.update_config or UpdateConfig())
    )
    return Rollout(
        parallelism=_or(config.parallelism, PARALLELISM),
        delay=config.delay or 0,
        failure_action=config.failure_action or FAILURE_ACTION,
        monitor=_or(config.monitor, MONITOR),
        max_failure_ratio=config.max_failure_ratio or 0.0,
        start_first=(config.order or ORDER) == "start-first",
        gated=config.gate == GATE_MONITOR,
        timeout=_or(config.timeout, UPDATE_TIMEOUT),
    )


def is_global(spec: ServiceSpec) -> bool:
    return spec.mode.kind == GLOBAL


def on_each_node(spec: ServiceSpec) -> bool:
    """Whether it has one task on each node that it belongs on: a global service or job."""
    return spec.mode.kind in (GLOBAL, GLOBAL_JOB)


def is_job(spec: ServiceSpec) -> bool:
    return spec.mode.is_job


def max_concurrent(spec: ServiceSpec) -> int:
    """Tasks of a replicated job that run at the same time at most."""
    return _or(spec.mode.max_concurrent, 1)


def completions(spec: ServiceSpec) -> int:
    """Tasks of a replicated job that shall complete."""
    return _or(spec.mode.total_completions, max_concurrent(spec))


def replicas(spec: ServiceSpec) -> int:
    """Tasks wanted of a replicated service."""
    return _or(spec.mode.replicas, 1)


def stop_grace(spec: TaskSpec) -> int:
    return _or(spec.container.stop_grace_period, STOP_GRACE)


def stop_wait(spec: TaskSpec) -> int:
    """The longest time a replacement waits for the task before it to stop."""
    return max(STOP_WAIT, stop_grace(spec) + STOP_WAIT_AFTER_GRACE)


def history_limit(cluster: Cluster | None) -> int:
    """Tasks kept per slot, the running one included; negative keeps all."""
    return _or(cluster.spec.orchestration.task_history_limit if cluster else None, HISTORY_LIMIT)


def heartbeat_period(cluster: Cluster | None) -> int:
    return _or(cluster.spec.dispatcher.heartbeat_period if cluster else None, HEARTBEAT_PERIOD)


def task_with_defaults(spec: TaskSpec) -> TaskSpec:
    """The specification with what applies where it is silent; two that are equal in this form mean the same."""
    policy = restart(spec)
    container: ContainerSpec = dataclasses.replace(spec.container, stop_grace_period=stop_grace(spec))
    given = RestartPolicy(
        condition=policy.condition, delay=policy.delay, max_attempts=policy.max_attempts, window=policy.window
    )
    return dataclasses.replace(spec, container=container, restart_policy=given)


def with_defaults(spec: ServiceSpec) -> ServiceSpec:
    """What ``insertDefaults`` shows: restart policy, grace, update and rollback configuration filled in."""
    task = task_with_defaults(spec.task)
    if is_job(spec):  # a job has no update to configure, and one shown could not be sent back
        return dataclasses.replace(spec, task=task)
    update = _filled(spec.update_config or UpdateConfig())
    rollback = _filled(spec.rollback_config or RollbackConfig())
    return dataclasses.replace(spec, task=task, update_config=update, rollback_config=rollback)


def same_meaning(one: TaskSpec, other: TaskSpec) -> bool:
    """Whether two specifications ask for the same containers, however they are written."""
    return _MEMORY.same(one, other)


def same_service(one: ServiceSpec, other: ServiceSpec) -> bool:
    """Whether two specifications of a service are one, however they are written."""
    return one == other or plainest(with_defaults(one)) == plainest(with_defaults(other))


def is_dirty(service: Service, task: Task) -> bool:
    """Whether the task is of another revision than the service's present one (see also ``revision``)."""
    if task.spec_version == service.spec_version:
        return False
    return not (same_endpoint(task.endpoint, service.spec.endpoint) and same_meaning(task.spec, service.spec.task))


def _compare(one: TaskSpec, other: TaskSpec) -> bool:
    return one == other or _plainest(one) == _plainest(other)


_MEMORY = Memory(_compare)


def _plainest(spec: TaskSpec) -> TaskSpec:
    return plainest(task_with_defaults(spec))


def _filled(config: C) -> C:
    return dataclasses.replace(
        config,
        parallelism=_or(config.parallelism, PARALLELISM),
        delay=config.delay or 0,
        failure_action=config.failure_action or FAILURE_ACTION,
        monitor=_or(config.monitor, MONITOR),
        max_failure_ratio=config.max_failure_ratio or 0.0,
        order=config.order or ORDER,
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
