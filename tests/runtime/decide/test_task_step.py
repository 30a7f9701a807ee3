# SPDX-License-Identifier: Apache-2.0
"""All pairs: whatever is wanted, said and seen, there is a step, it is the right one, and it leads to an end."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from queenright.decide.task_step import (
    GONE,
    OUT_OF_MEMORY,
    STOPPING,
    UNHEALTHY,
    Action,
    Health,
    Kind,
    Phase,
    Seen,
    Step,
    Trouble,
    next_step,
)
from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import Port

S = TaskState
DESIRED = (S.READY, S.RUNNING, S.COMPLETE, S.SHUTDOWN, S.REMOVE)
STATES = tuple(S)
SEEN = tuple(
    Seen(phase=phase, container_id="c" if phase >= Phase.CREATED else "", exit_code=code, health=health)
    for phase in Phase
    for code in ((0, 1) if phase == Phase.EXITED else (0,))
    for health in (Health if phase == Phase.RUNNING else (Health.NONE,))
)
TROUBLES = (None, *(Trouble(kind, "it broke") for kind in Kind))
ALL = list(itertools.product(DESIRED, STATES, SEEN, TROUBLES))
AT = 77


def step(desired: S, state: S, seen: Seen, trouble: Trouble | None = None, **status: object) -> Step:
    return next_step(desired, TaskStatus(state=state, **status), seen, trouble, AT)  # type: ignore[arg-type]


def reported(step: Step) -> TaskStatus:
    assert step.action == Action.REPORT and step.status is not None
    return step.status


def test_every_combination_has_a_step_and_only_a_report_has_a_status() -> None:
    for desired, state, seen, trouble in ALL:
        found = step(desired, state, seen, trouble)
        assert (found.status is not None) == (found.action == Action.REPORT)


def test_a_state_never_goes_back_and_an_ended_task_never_changes() -> None:
    for desired, state, seen, trouble in ALL:
        found = step(desired, state, seen, trouble)
        if found.status is not None:
            assert not state.terminal
            assert found.status.state >= state
            assert found.status != TaskStatus(state=state, at=AT), (
                "a report that says nothing new would be made for ever"
            )
            assert found.status.at == AT


def test_nothing_is_begun_for_a_task_that_shall_end() -> None:
    for desired, state, seen, trouble in ALL:
        if desired >= S.SHUTDOWN or state.terminal:
            assert step(desired, state, seen, trouble).action not in (
                Action.PULL,
                Action.CREATE,
                Action.START,
                Action.WATCH,
                Action.AWAIT,
            )


def test_a_container_is_started_only_when_that_is_wanted_and_was_said() -> None:
    for desired, state, seen, trouble in ALL:
        if step(desired, state, seen, trouble).action == Action.START:
            assert S.RUNNING <= desired < S.SHUTDOWN
            assert state == S.STARTING and seen.phase == Phase.CREATED


def test_a_running_container_of_an_ended_task_is_stopped_and_nothing_else_is() -> None:
    for desired, state, seen in itertools.product(DESIRED, STATES, SEEN):
        if state.terminal:
            expected = {Phase.UNKNOWN: Action.LOOK, Phase.RUNNING: Action.STOP}.get(seen.phase, Action.DONE)
            assert step(desired, state, seen).action == expected


def test_shutdown_looks_stops_and_then_says_so() -> None:
    for desired, state, seen in itertools.product((S.SHUTDOWN, S.REMOVE), STATES, SEEN):
        if not state.terminal:
            found = step(desired, state, seen)
            expected = {Phase.UNKNOWN: Action.LOOK, Phase.RUNNING: Action.STOP}.get(seen.phase, Action.REPORT)
            assert found.action == expected
            if found.status is not None:
                assert (found.status.state, found.status.message) == (S.SHUTDOWN, "shutdown")


def job_step(desired: S, seen: Seen, trouble: Trouble | None = None, **status: object) -> Step:
    """The next step of a job's task that was running."""
    return next_step(desired, TaskStatus(state=S.RUNNING, **status), seen, trouble, AT, job=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("desired", [S.SHUTDOWN, S.REMOVE])
def test_a_job_that_was_finished_before_it_was_told_to_stop_is_complete(desired: S) -> None:
    done = Seen(phase=Phase.EXITED, container_id="c")
    found = reported(job_step(desired, done, message="started"))
    assert (found.state, found.message, found.exit_code) == (S.COMPLETE, "finished", 0)
    failed = dataclasses.replace(done, exit_code=3)
    assert reported(job_step(desired, failed, message="started")).state == S.SHUTDOWN
    assert reported(step(desired, S.RUNNING, done, message="started")).state == S.SHUTDOWN, "no job"


@pytest.mark.parametrize("desired", [S.SHUTDOWN, S.REMOVE])
def test_a_job_that_is_stopped_says_so_first_and_is_not_complete_however_its_container_ends(desired: S) -> None:
    running = Seen(phase=Phase.RUNNING, container_id="c")
    said = reported(job_step(desired, running, message="started", err="slow"))
    assert (said.state, said.message, said.err) == (S.RUNNING, STOPPING, "slow")
    assert job_step(desired, running, message=STOPPING).action == Action.STOP
    assert reported(job_step(desired, Seen(phase=Phase.EXITED), message=STOPPING)).state == S.SHUTDOWN
    assert job_step(desired, Seen(), message=STOPPING).action == Action.LOOK


def test_every_step_of_a_job_leads_on() -> None:
    for desired, state, seen, trouble in ALL:
        for message in ("started", STOPPING):
            status = TaskStatus(state=state, message=message)
            found = next_step(desired, status, seen, trouble, AT, job=True)
            if found.status is not None:
                assert found.status.state >= state
                assert dataclasses.replace(found.status, at=0) != status


def test_nobody_who_has_not_looked_begins_or_ends_anything() -> None:
    for desired, state in itertools.product(DESIRED, STATES):
        found = step(desired, state, Seen())
        if state < S.PREPARING and desired < S.SHUTDOWN:
            assert reported(found).state > state
        else:
            assert found.action == Action.LOOK


def test_a_lost_engine_ends_no_task() -> None:
    for desired, state, seen in itertools.product(DESIRED, STATES, SEEN):
        assert step(desired, state, seen, Trouble(Kind.LOST, "gone")).action == Action.RECONNECT


def test_a_temporary_trouble_is_said_once_and_then_tried_again() -> None:
    for desired, state, seen in itertools.product(DESIRED, STATES, SEEN):
        trouble = Trouble(Kind.TEMPORARY, "busy")
        found = step(desired, state, seen, trouble)
        if found.status is not None:
            assert (found.status.state, found.status.err) == (state, "busy")
            found = step(desired, state, seen, trouble, err="busy")
        assert found.action == Action.RETRY


@pytest.mark.parametrize("state", [S.ACCEPTED, S.PREPARING, S.READY])
def test_a_fatal_trouble_before_the_start_rejects(state: S) -> None:
    status = reported(step(S.RUNNING, state, Seen(phase=Phase.ABSENT), Trouble(Kind.FATAL, "no such image")))
    assert (status.state, status.err) == (S.REJECTED, "no such image")


@pytest.mark.parametrize("state", [S.STARTING, S.RUNNING])
def test_a_fatal_trouble_from_the_start_on_is_a_failure(state: S) -> None:
    seen = Seen(phase=Phase.CREATED, container_id="c")
    status = reported(step(S.RUNNING, state, seen, Trouble(Kind.FATAL, "no such program")))
    assert (status.state, status.err, status.container_id) == (S.FAILED, "no such program", "c")


def test_a_fatal_trouble_of_a_task_that_shall_end_does_not_matter() -> None:
    trouble = Trouble(Kind.FATAL, "no such image")
    assert reported(step(S.SHUTDOWN, S.PREPARING, Seen(phase=Phase.ABSENT), trouble)).state == S.SHUTDOWN


HAPPY = [
    (S.ASSIGNED, Phase.ABSENT, Action.REPORT, S.ACCEPTED, "accepted"),
    (S.ACCEPTED, Phase.ABSENT, Action.REPORT, S.PREPARING, "preparing"),
    (S.PREPARING, Phase.ABSENT, Action.PULL, None, ""),
    (S.PREPARING, Phase.IMAGE, Action.CREATE, None, ""),
    (S.PREPARING, Phase.CREATED, Action.REPORT, S.READY, "prepared"),
    (S.READY, Phase.CREATED, Action.REPORT, S.STARTING, "starting"),
    (S.STARTING, Phase.CREATED, Action.START, None, ""),
    (S.STARTING, Phase.RUNNING, Action.REPORT, S.RUNNING, "started"),
    (S.RUNNING, Phase.RUNNING, Action.WATCH, None, ""),
    (S.RUNNING, Phase.EXITED, Action.REPORT, S.COMPLETE, "finished"),
]


@pytest.mark.parametrize(("state", "phase", "action", "then", "message"), HAPPY)
def test_the_way_up_is_the_one_that_is_documented(
    state: S, phase: Phase, action: Action, then: S | None, message: str
) -> None:
    for desired in (S.RUNNING, S.COMPLETE):
        found = step(desired, state, Seen(phase=phase, container_id="c"))
        assert found.action == action
        if then is not None:
            assert (reported(found).state, reported(found).message) == (then, message)


def test_a_prepared_task_waits_until_it_shall_run() -> None:
    assert step(S.READY, S.READY, Seen(phase=Phase.CREATED, container_id="c")).action == Action.AWAIT


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.IMAGE])
def test_a_prepared_container_that_is_gone_is_made_again_without_going_back(phase: Phase) -> None:
    expected = Action.PULL if phase == Phase.ABSENT else Action.CREATE
    for desired in (S.READY, S.RUNNING):
        assert step(desired, S.READY, Seen(phase=phase)).action == expected


@pytest.mark.parametrize("state", [S.STARTING, S.RUNNING])
def test_a_started_container_that_is_gone_is_a_failure_and_is_never_made_again(state: S) -> None:
    status = reported(step(S.RUNNING, state, Seen(phase=Phase.ABSENT)))
    assert (status.state, status.err) == (S.FAILED, GONE)


@pytest.mark.parametrize("state", [S.PREPARING, S.READY, S.STARTING, S.RUNNING])
def test_an_exit_counts_whenever_it_is_found(state: S) -> None:
    seen = Seen(phase=Phase.EXITED, container_id="c", exit_code=5)
    for desired in (S.READY, S.RUNNING):
        status = reported(step(desired, state, seen))
        assert (status.state, status.err, status.exit_code) == (S.FAILED, "task: non-zero exit (5)", 5)


def test_a_container_found_running_is_said_to_start_before_it_runs() -> None:
    seen = Seen(phase=Phase.RUNNING, container_id="c")
    assert reported(step(S.READY, S.PREPARING, seen)).state == S.STARTING
    assert reported(step(S.RUNNING, S.STARTING, seen)).state == S.RUNNING


def test_while_the_probe_has_not_answered_the_task_is_starting() -> None:
    seen = Seen(phase=Phase.RUNNING, container_id="c", health=Health.STARTING)
    assert step(S.RUNNING, S.STARTING, seen).action == Action.WATCH
    healthy = dataclasses.replace(seen, health=Health.HEALTHY)
    assert reported(step(S.RUNNING, S.STARTING, healthy)).state == S.RUNNING


@pytest.mark.parametrize("state", [S.STARTING, S.RUNNING])
@pytest.mark.parametrize("code", [0, 137])
def test_an_unhealthy_container_is_noted_stopped_and_failed(state: S, code: int) -> None:
    seen = Seen(phase=Phase.RUNNING, container_id="c", health=Health.UNHEALTHY)
    noted = reported(step(S.RUNNING, state, seen))
    assert (noted.state, noted.err) == (state, UNHEALTHY)
    assert step(S.RUNNING, state, seen, err=UNHEALTHY).action == Action.STOP
    busy = Trouble(Kind.TEMPORARY, "busy")
    assert step(S.RUNNING, state, seen, busy, err=UNHEALTHY).action == Action.RETRY, "the note must outlive a trouble"
    ended = Seen(phase=Phase.EXITED, container_id="c", exit_code=code)
    status = reported(step(S.RUNNING, state, ended, err=UNHEALTHY))
    assert (status.state, status.err) == (S.FAILED, f"task: non-zero exit ({code}): {UNHEALTHY}")


def test_an_end_for_want_of_memory_is_named() -> None:
    seen = Seen(phase=Phase.EXITED, exit_code=137, out_of_memory=True)
    assert reported(step(S.RUNNING, S.RUNNING, seen)).err == f"task: non-zero exit (137): {OUT_OF_MEMORY}"


def test_what_is_known_of_a_container_stays_in_the_status() -> None:
    ports = (Port(target_port=80, published_port=8080, mode="host"),)
    known = {"container_id": "c", "pid": 7, "ports": ports}
    for seen in (Seen(phase=Phase.EXITED), Seen(phase=Phase.EXITED, container_id="c")):
        for desired in (S.RUNNING, S.SHUTDOWN):
            status = reported(step(desired, S.RUNNING, seen, **known))
            assert (status.container_id, status.pid, status.ports) == ("c", 7, ports)


PERFORMED = {
    Action.LOOK: Phase.ABSENT,
    Action.PULL: Phase.IMAGE,
    Action.CREATE: Phase.CREATED,
    Action.START: Phase.RUNNING,
    Action.STOP: Phase.EXITED,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("desired", DESIRED)
def test_from_anywhere_a_task_comes_to_rest_in_a_few_steps(desired: S, trouble: Trouble | None) -> None:
    for state, seen in itertools.product(STATES, SEEN):
        status, now, left = TaskStatus(state=state), seen, trouble
        for _ in range(20):
            found = next_step(desired, status, now, left, AT)
            if found.action in (Action.DONE, Action.WATCH, Action.AWAIT):
                break
            if found.status is not None:
                status = found.status
                left = None if left is not None and left.kind == Kind.FATAL else left
            elif found.action in (Action.RETRY, Action.RECONNECT):
                left = None
                now = Seen() if found.action == Action.RECONNECT else now
            else:
                now = Seen(phase=PERFORMED[found.action], container_id="c")
        else:
            pytest.fail(f"{desired!r} {state!r} {seen} goes round in circles, last {found}")
        if desired >= S.SHUTDOWN:
            assert status.state.terminal and now.phase != Phase.RUNNING
