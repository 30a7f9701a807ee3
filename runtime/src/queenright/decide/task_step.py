# SPDX-License-Identifier: Apache-2.0
"""What an agent does next with one of its tasks: a pure function of what is wanted, what was reported and what is seen.

The runner performs the step, notes what it then sees and asks again. A state only grows. Killing the daemon between
any two steps is safe: the next question starts with a LOOK at the engine.
"""

from __future__ import annotations

import dataclasses
import enum

from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import Port

UNHEALTHY = "dockerexec: unhealthy container"
OUT_OF_MEMORY = "out of memory"
GONE = "task: the container is gone: it was removed by someone else"
STOPPING = "stopping"
RETRY_AFTER = 1.0  # seconds


class Phase(enum.IntEnum):
    """Where a task's container is. It only moves down this list, except that UNKNOWN may be found out to be any."""

    UNKNOWN = 0  # nobody has looked since the daemon or the engine came back
    ABSENT = 1
    IMAGE = 2  # no container, but its image is there
    CREATED = 3
    RUNNING = 4
    EXITED = 5


class Health(enum.StrEnum):
    """What the engine's probe says. NONE: there is no probe."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a task's container. ``exit_code`` counts once EXITED; ``ports`` are host ports as bound."""

    phase: Phase = Phase.UNKNOWN
    container_id: str = ""
    pid: int = 0
    exit_code: int = 0
    health: Health = Health.NONE
    out_of_memory: bool = False
    ports: tuple[Port, ...] = ()


class Kind(enum.Enum):
    """Kinds of trouble. LOST: the engine did not answer, so what it did is not known."""

    LOST = "lost"
    TEMPORARY = "temporary"
    FATAL = "fatal"


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """What came of the last step if it did not succeed."""

    kind: Kind
    text: str


class Action(enum.Enum):
    """What the runner performs."""

    REPORT = "report"  # take over ``Step.status``, then ask again
    LOOK = "look"
    PULL = "pull"
    CREATE = "create"
    AWAIT = "await"  # until the assignment changes
    START = "start"
    WATCH = "watch"  # until the container or the assignment changes
    DRAIN = "drain"  # until no node sends it connections any more, or its time for that is over
    STOP = "stop"
    RETRY = "retry"  # after RETRY_AFTER, forget the trouble
    RECONNECT = "reconnect"  # after a growing delay, forget the trouble and what was seen
    DONE = "done"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    action: Action
    status: TaskStatus | None = None  # with REPORT only


def next_step(
    desired: TaskState,
    status: TaskStatus,
    seen: Seen,
    trouble: Trouble | None,
    at: int,
    *,
    drained: bool = True,
    job: bool = False,
) -> Step:
    """The next step of a task. ``at`` (nanoseconds since the epoch) stamps a new status; ``drained``: it gets no
    connections, or was given the time to get no more; ``job``: it is to complete.
    """
    if trouble is not None:
        step = _after_trouble(desired, status, seen, trouble, at)
        if step is not None:
            return step
    if status.state.terminal:
        return _after_the_end(seen)
    if desired >= TaskState.SHUTDOWN:
        return _towards_shutdown(status, seen, at, drained=drained, job=job)
    if status.state < TaskState.ACCEPTED:
        return _report(status, at, state=TaskState.ACCEPTED, message="accepted")
    if status.state < TaskState.PREPARING:
        return _report(status, at, state=TaskState.PREPARING, message="preparing")
    if seen.phase == Phase.UNKNOWN:
        return Step(Action.LOOK)
    if seen.phase == Phase.EXITED:
        return _ended(status, seen, at)
    if status.state < TaskState.STARTING:
        return _towards_start(desired, status, seen, at)
    if seen.phase == Phase.RUNNING:
        return _alive(status, seen, at)
    if seen.phase == Phase.CREATED and status.state == TaskState.STARTING:
        return Step(Action.START if desired >= TaskState.RUNNING else Action.AWAIT)
    return _report(status, at, state=TaskState.FAILED, err=GONE)


def _report(status: TaskStatus, at: int, **changes: object) -> Step:
    changes.setdefault("err", "")
    return Step(Action.REPORT, dataclasses.replace(status, at=at, **changes))  # type: ignore[arg-type]


def _after_trouble(desired: TaskState, status: TaskStatus, seen: Seen, trouble: Trouble, at: int) -> Step | None:
    if trouble.kind == Kind.LOST:
        return Step(Action.RECONNECT)
    ending = desired >= TaskState.SHUTDOWN or status.state.terminal
    idle = seen.phase not in (Phase.RUNNING, Phase.UNKNOWN)
    if trouble.kind == Kind.FATAL and ending and idle and not status.state.terminal:
        return None  # whatever failed on the way up is no longer wanted
    if trouble.kind == Kind.FATAL and not ending:
        state = TaskState.REJECTED if status.state < TaskState.STARTING else TaskState.FAILED
        return _report(status, at, state=state, err=trouble.text, container_id=seen.container_id or status.container_id)
    if status.err not in (trouble.text, UNHEALTHY) and not ending:
        return _report(status, at, err=trouble.text)
    return Step(Action.RETRY)


def _after_the_end(seen: Seen) -> Step:
    """An ended task's container may still run: the manager ended the task, or someone started it again."""
    if seen.phase == Phase.UNKNOWN:
        return Step(Action.LOOK)
    return Step(Action.STOP if seen.phase == Phase.RUNNING else Action.DONE)


def _towards_shutdown(status: TaskStatus, seen: Seen, at: int, *, drained: bool, job: bool) -> Step:
    """What a job had finished before anybody stopped it is finished: its managers may have given its node up meanwhile.
    That it is stopped is written down first, lest a restart of the daemon takes that for the end of the work.
    """
    if seen.phase == Phase.UNKNOWN:
        return Step(Action.LOOK)
    if seen.phase == Phase.RUNNING:
        if job and status.message != STOPPING:
            return _report(status, at, message=STOPPING, err=status.err, **_facts(status, seen))
        return Step(Action.STOP if drained else Action.DRAIN)
    if job and seen.phase == Phase.EXITED and not seen.exit_code and status.message != STOPPING:
        return _ended(status, seen, at)
    facts = _facts(status, seen)
    if seen.phase == Phase.EXITED:
        facts["exit_code"] = seen.exit_code
    return _report(status, at, state=TaskState.SHUTDOWN, message="shutdown", **facts)


def _towards_start(desired: TaskState, status: TaskStatus, seen: Seen, at: int) -> Step:
    if seen.phase == Phase.ABSENT:
        return Step(Action.PULL)
    if seen.phase == Phase.IMAGE:
        return Step(Action.CREATE)
    if seen.phase == Phase.CREATED and status.state < TaskState.READY:
        return _report(status, at, state=TaskState.READY, message="prepared", container_id=seen.container_id)
    if seen.phase == Phase.CREATED and desired < TaskState.RUNNING:
        return Step(Action.AWAIT)
    return _report(status, at, state=TaskState.STARTING, message="starting", container_id=seen.container_id)


def _alive(status: TaskStatus, seen: Seen, at: int) -> Step:
    """The container runs. That it is unhealthy is written down first, so that a restart of the daemon remembers it."""
    if status.err == UNHEALTHY:
        return Step(Action.STOP)
    if seen.health == Health.UNHEALTHY:
        return _report(status, at, err=UNHEALTHY, **_facts(status, seen))
    if status.state < TaskState.RUNNING and seen.health != Health.STARTING:
        return _report(status, at, state=TaskState.RUNNING, message="started", **_facts(status, seen))
    return Step(Action.WATCH)


def _ended(status: TaskStatus, seen: Seen, at: int) -> Step:
    facts = _facts(status, seen) | {"exit_code": seen.exit_code}
    cause = ""
    if status.err == UNHEALTHY or seen.health == Health.UNHEALTHY:
        cause = UNHEALTHY
    elif seen.out_of_memory and seen.exit_code:
        cause = OUT_OF_MEMORY
    if not seen.exit_code and not cause:
        return _report(status, at, state=TaskState.COMPLETE, message="finished", **facts)
    err = f"task: non-zero exit ({seen.exit_code})" + (f": {cause}" if cause else "")
    return _report(status, at, state=TaskState.FAILED, err=err, **facts)


def _facts(status: TaskStatus, seen: Seen) -> dict[str, object]:
    """What a status says of the container; what is no longer seen stays as it was."""
    return {
        "container_id": seen.container_id or status.container_id,
        "pid": seen.pid or status.pid,
        "ports": seen.ports or status.ports,
    }
