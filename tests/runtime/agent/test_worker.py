# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import dataclasses
import sqlite3

import pytest
from runtime.agent.kit import Node, make_task, until

from queenright.agent.ports import TaskError, TemporaryError
from queenright.decide.task_step import GONE, UNHEALTHY, Health, Phase, Seen
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.wire.messages import AssignmentSet


def wanting(task: Task, desired: TaskState) -> Task:
    return dataclasses.replace(task, desired_state=desired)


async def test_a_task_goes_from_assigned_to_running_with_each_step_said(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    status = await node.reaches(TaskState.RUNNING)
    assert (status.message, status.err) == ("started", "")
    assert (status.container_id, status.pid) == ("c-t1", 4711)
    assert node.engine.calls[:5] == ["found", "sweep", "pull", "create", "start"]


async def test_a_program_that_ends_well_is_complete(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    node.engine.exit("c-t1", 0)
    status = await node.reaches(TaskState.COMPLETE)
    assert (status.message, status.exit_code, status.err) == ("finished", 0, "")


async def test_a_program_that_fails_is_reported_with_its_exit_code(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    node.engine.exit("c-t1", 3)
    status = await node.reaches(TaskState.FAILED)
    assert (status.err, status.exit_code) == ("task: non-zero exit (3)", 3)


async def test_a_desired_ready_task_is_prepared_and_started_only_when_asked(node: Node) -> None:
    task = make_task(desired=TaskState.READY)
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.READY)
    assert "start" not in node.engine.calls
    await node.worker.apply_incremental([wanting(task, TaskState.RUNNING)], [])
    await node.reaches(TaskState.RUNNING)


async def test_shutdown_stops_with_the_specs_signal_and_grace_and_keeps_the_container(node: Node) -> None:
    task = make_task(stop_signal="SIGUSR1", stop_grace_period=2_500_000_000)
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    status = await node.reaches(TaskState.SHUTDOWN)
    assert status.message == "shutdown"
    assert node.engine.stops == [("c-t1", "SIGUSR1", 2.5)]
    assert node.engine.containers["c-t1"].phase == Phase.EXITED


async def test_without_a_grace_period_ten_seconds_are_given(node: Node) -> None:
    task = make_task()
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.REMOVE)], [])
    await node.reaches(TaskState.SHUTDOWN)
    assert node.engine.stops == [("c-t1", "", 10.0)]


async def test_shutdown_while_pulling_does_not_wait_for_the_pull(node: Node) -> None:
    node.engine.hold["pull"] = asyncio.Event()
    task = make_task()
    await node.worker.apply_complete([task])
    await until(lambda: "pull" in node.engine.calls)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    await node.reaches(TaskState.SHUTDOWN)
    assert "create" not in node.engine.calls


async def test_a_create_under_way_is_awaited_before_the_shutdown(node: Node) -> None:
    node.engine.hold["create"] = asyncio.Event()
    task = make_task()
    await node.worker.apply_complete([task])
    await until(lambda: "create" in node.engine.calls)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    node.engine.hold["create"].set()
    await node.reaches(TaskState.SHUTDOWN)
    assert node.engine.containers["c-t1"].phase == Phase.CREATED


async def test_a_removed_task_leaves_no_container_and_no_record(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    await node.worker.apply_incremental([], ["t1"])
    await until(lambda: not node.engine.containers and node.worker.counts() == (0, 0))
    await node.restart()
    assert node.worker.statuses() == []


async def test_a_task_absent_from_a_complete_set_is_removed(node: Node) -> None:
    await node.worker.apply_complete([make_task("t1"), make_task("t2")])
    await node.reaches(TaskState.RUNNING, "t1")
    await node.reaches(TaskState.RUNNING, "t2")
    await node.worker.apply_complete([make_task("t2")])
    await until(lambda: list(node.engine.containers) == ["c-t2"])
    assert node.status("t2").state == TaskState.RUNNING


async def test_what_cannot_be_prepared_is_rejected_with_the_reason(node: Node) -> None:
    node.engine.faults["pull"] = [TaskError("No such image: app:1")]
    node.worker.take_data(AssignmentSet(True, "", "1"))
    await node.worker.apply_complete([make_task()])
    status = await node.reaches(TaskState.REJECTED)
    assert (status.message, status.err) == ("preparing", "No such image: app:1")


async def test_what_cannot_be_started_has_failed(node: Node) -> None:
    node.engine.faults["start"] = [TaskError("exec: no such file")]
    await node.worker.apply_complete([make_task()])
    status = await node.reaches(TaskState.FAILED)
    assert (status.message, status.err, status.container_id) == ("starting", "exec: no such file", "c-t1")


async def test_a_temporary_fault_is_said_and_tried_again(node: Node) -> None:
    node.engine.faults["create"] = [TemporaryError("busy")]
    await node.worker.apply_complete([make_task()])
    await until(lambda: node.status().err == "busy")
    assert node.status().state == TaskState.PREPARING
    status = await node.reaches(TaskState.RUNNING)
    assert status.err == ""


async def test_an_unexpected_error_does_not_abandon_the_task(node: Node) -> None:
    node.engine.faults["create"] = [ZeroDivisionError("oops")]  # type: ignore[list-item]
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)


async def test_with_a_probe_a_task_is_starting_until_healthy(node: Node) -> None:
    node.engine.probed = True
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.STARTING)
    node.engine.set("c-t1", health=Health.HEALTHY)
    await node.reaches(TaskState.RUNNING)


@pytest.mark.parametrize("before", [Health.STARTING, Health.HEALTHY])
async def test_an_unhealthy_container_is_stopped_and_the_task_fails(node: Node, before: Health) -> None:
    node.engine.probed = True
    await node.worker.apply_complete([make_task()])
    await until(lambda: "c-t1" in node.engine.containers and node.engine.containers["c-t1"].phase == Phase.RUNNING)
    node.engine.set("c-t1", health=before)
    if before == Health.HEALTHY:
        await node.reaches(TaskState.RUNNING)
    node.engine.set("c-t1", health=Health.UNHEALTHY)
    status = await node.reaches(TaskState.FAILED)
    assert status.err == f"task: non-zero exit (0): {UNHEALTHY}"
    assert len(node.engine.stops) == 1


async def test_after_a_restart_running_containers_are_adopted_and_not_touched(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    node.engine.calls.clear()
    node.reports.clear()
    await node.restart()
    await until(lambda: node.reported().state == TaskState.RUNNING and "changed" in node.engine.calls)
    assert set(node.engine.calls) == {"found", "sweep", "look", "changed"}
    node.engine.exit("c-t1", 1)
    await node.reaches(TaskState.FAILED)


async def test_an_exit_that_was_missed_is_reported_after_the_restart(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    await node.stop()
    node.engine.exit("c-t1", 42)
    await node.start()
    status = await node.reaches(TaskState.FAILED)
    assert (status.exit_code, status.err) == (42, "task: non-zero exit (42)")


async def test_an_unhealthy_container_is_remembered_over_a_restart(node: Node) -> None:
    node.engine.probed = True
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.STARTING)
    node.engine.hold["stop"] = asyncio.Event()
    node.engine.set("c-t1", health=Health.UNHEALTHY)
    await until(lambda: "stop" in node.engine.calls)
    await node.stop()
    node.engine.exit("c-t1", 0)
    await node.start()
    status = await node.reaches(TaskState.FAILED)
    assert status.err == f"task: non-zero exit (0): {UNHEALTHY}"


async def test_a_container_created_just_before_a_crash_is_used_and_not_made_twice(node: Node) -> None:
    node.engine.containers["c-t1"] = Seen(phase=Phase.CREATED, container_id="c-t1")
    node.engine.tasks["c-t1"] = "t1"
    await node.restart()
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    assert "create" not in node.engine.calls


async def test_a_container_started_just_before_a_crash_is_not_started_twice(node: Node) -> None:
    await node.worker.apply_complete([make_task(desired=TaskState.READY)])
    await node.reaches(TaskState.READY)
    await node.stop()
    node.engine.set("c-t1", phase=Phase.RUNNING, pid=5)
    await node.start()
    status = await node.reaches(TaskState.RUNNING)
    assert status.pid == 5
    assert "start" not in node.engine.calls


async def test_a_running_container_without_a_record_is_adopted_when_its_task_is_assigned(node: Node) -> None:
    node.engine.containers["c-t1"] = Seen(phase=Phase.RUNNING, container_id="c-t1", pid=9)
    node.engine.tasks["c-t1"] = "t1"
    await node.restart()
    task = dataclasses.replace(make_task(), status=TaskStatus(state=TaskState.RUNNING, container_id="c-t1"))
    await node.worker.apply_complete([task])
    await until(lambda: "changed" in node.engine.calls)
    assert "create" not in node.engine.calls and "stop" not in node.engine.calls
    assert node.status().state == TaskState.RUNNING


async def test_strays_are_left_alone_until_a_complete_set_says_that_they_are_strays(node: Node) -> None:
    node.engine.containers["c-old"] = Seen(phase=Phase.RUNNING, container_id="c-old")
    node.engine.tasks["c-old"] = "old"
    await node.restart()
    await until(lambda: node.engine.calls.count("found") == 2)
    await node.worker.apply_incremental([make_task()], [])
    await node.reaches(TaskState.RUNNING)
    assert "c-old" in node.engine.containers
    await node.worker.apply_complete([make_task()])
    await until(lambda: list(node.engine.containers) == ["c-t1"])
    assert node.engine.stops == [("c-old", "", 10.0)]


async def test_a_container_that_someone_else_removed_fails_its_task(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    node.engine.destroy("c-t1")
    status = await node.reaches(TaskState.FAILED)
    assert status.err == GONE


async def test_a_prepared_container_that_is_gone_is_made_again(node: Node) -> None:
    task = make_task(desired=TaskState.READY)
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.READY)
    await node.stop()
    node.engine.destroy("c-t1")
    await node.start()
    await node.worker.apply_complete([wanting(task, TaskState.RUNNING)])
    await node.reaches(TaskState.RUNNING)


async def test_a_lost_engine_is_waited_for_and_nothing_fails(node: Node) -> None:
    node.engine.down = True
    await node.worker.apply_complete([make_task()])
    await until(lambda: node.engine.calls.count("look") >= 2)
    assert node.status().state == TaskState.PREPARING
    node.engine.down = False
    await node.reaches(TaskState.RUNNING)


async def test_a_start_whose_answer_was_lost_is_looked_at_and_not_repeated(node: Node) -> None:
    original = node.engine.start

    async def start_and_lose(task: Task, container_id: str) -> Seen:
        await original(task, container_id)
        node.engine.start = original  # type: ignore[method-assign]
        node.engine.down = True
        return await original(task, container_id)

    node.engine.start = start_and_lose  # type: ignore[method-assign]
    await node.worker.apply_complete([make_task()])
    await until(lambda: node.engine.down)
    node.engine.down = False
    await node.reaches(TaskState.RUNNING)
    assert node.engine.calls.count("start") == 2


async def test_with_the_engine_down_at_the_start_tasks_wait_for_it(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    await node.stop()
    node.engine.down = True
    await node.start()
    await until(lambda: node.worker.engine_error != "")
    await node.worker.apply_complete([make_task("t1"), make_task("t2")])
    assert node.status("t1").state == TaskState.RUNNING
    node.engine.down = False
    await node.reaches(TaskState.RUNNING, "t2")
    assert node.worker.engine_error == ""
    assert node.engine.calls.count("start") == 2


async def test_a_task_removed_while_the_engine_is_down_is_removed_once_it_is_back(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    node.engine.down = True
    await node.worker.apply_complete([])
    await until(lambda: "stop" in node.engine.calls)
    node.engine.down = False
    await until(lambda: not node.engine.containers)


async def test_a_removal_cut_by_a_restart_does_not_start_the_task_again(node: Node) -> None:
    await node.worker.apply_complete([make_task(desired=TaskState.READY)])
    await node.reaches(TaskState.READY)
    node.engine.hold["remove"] = asyncio.Event()
    await node.worker.apply_complete([])
    await until(lambda: "remove" in node.engine.calls)
    await node.restart()
    await node.reaches(TaskState.SHUTDOWN)
    node.engine.hold["remove"].set()
    await node.worker.apply_complete([])
    await until(lambda: not node.engine.containers)
    assert "start" not in node.engine.calls


async def test_a_task_that_a_manager_ended_is_stopped_though_its_container_runs(node: Node) -> None:
    node.engine.containers["c-t1"] = Seen(phase=Phase.RUNNING, container_id="c-t1")
    node.engine.tasks["c-t1"] = "t1"
    await node.restart()
    orphaned = dataclasses.replace(make_task(desired=TaskState.SHUTDOWN), status=TaskStatus(state=TaskState.ORPHANED))
    await node.worker.apply_complete([orphaned])
    await until(lambda: node.engine.containers["c-t1"].phase == Phase.EXITED)
    assert node.status().state == TaskState.ORPHANED


async def test_a_desired_state_never_goes_back(node: Node) -> None:
    task = make_task()
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.RUNNING)
    await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
    await node.worker.apply_incremental([task], [])
    await node.reaches(TaskState.SHUTDOWN)


async def test_a_new_session_is_told_every_status_again(node: Node) -> None:
    await node.worker.apply_complete([make_task("t1"), make_task("t2")])
    await node.reaches(TaskState.RUNNING, "t1")
    await node.reaches(TaskState.RUNNING, "t2")
    node.worker.disconnected()
    node.engine.exit("c-t2", 1)
    await until(lambda: node.status("t2").state == TaskState.FAILED)
    node.reports.clear()
    node.worker.connected(node._send)
    await node.reaches(TaskState.RUNNING, "t1")
    await node.reaches(TaskState.FAILED, "t2")


async def test_leaving_removes_every_container_of_the_cluster(node: Node) -> None:
    node.engine.containers["c-old"] = Seen(phase=Phase.RUNNING, container_id="c-old")
    node.engine.tasks["c-old"] = "old"
    await node.restart()
    await node.worker.apply_incremental([make_task("t1"), make_task("t2")], [])
    await node.reaches(TaskState.RUNNING, "t1")
    assert await node.worker.remove_all(60) == []
    assert node.engine.containers == {}


async def test_leaving_with_the_engine_down_names_what_is_left(node: Node) -> None:
    await node.worker.apply_incremental([make_task()], [])
    await node.reaches(TaskState.RUNNING)
    node.engine.down = True
    assert await node.worker.remove_all(0.1) == ["t1"]


async def test_counts_and_explanations_say_what_is_going_on(node: Node) -> None:
    node.engine.hold["pull"] = asyncio.Event()
    await node.worker.apply_complete([make_task("t1")])
    await until(lambda: node.status("t1").state == TaskState.PREPARING)
    assert node.worker.counts() == (0, 1)
    explained = node.worker.explain("t1")
    assert explained is not None
    assert (explained["state"], explained["container"]["seen"]) == ("preparing", "absent")
    assert node.worker.explain("other") is None
    node.engine.hold["pull"].set()
    await node.reaches(TaskState.RUNNING)
    assert node.worker.counts() == (1, 1)


async def test_a_second_complete_set_that_says_the_same_writes_nothing(node: Node) -> None:
    await node.worker.apply_complete([make_task()])
    await node.reaches(TaskState.RUNNING)
    before = _changes(node)
    told = dataclasses.replace(make_task(), version=9, status=node.status())
    await node.worker.apply_complete([told])
    assert _changes(node) == before


def _changes(node: Node) -> list[tuple[str, bytes]]:
    with sqlite3.connect(node.path) as connection:
        return connection.execute("SELECT id, assigned FROM tasks").fetchall()


@pytest.mark.parametrize("memory", ["kept", "lost"])
@pytest.mark.parametrize("cut", range(1, 9))
async def test_a_daemon_killed_at_any_call_starts_each_container_once_and_leaves_none(
    node: Node, cut: int, memory: str
) -> None:
    task = make_task()
    await node.worker.apply_complete([task])
    await _killed_at(node, cut, memory)
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.RUNNING)
    shut = dataclasses.replace(task, desired_state=TaskState.SHUTDOWN, status=node.status())
    node.engine.calls.clear()
    await node.worker.apply_complete([shut])
    await _killed_at(node, cut, memory)
    await node.worker.apply_complete([shut])
    await until(lambda: node.status().state.terminal)
    assert node.engine.now("c-t1").phase == Phase.EXITED
    node.engine.calls.clear()
    await node.worker.apply_complete([])
    await _killed_at(node, cut, memory)
    await node.worker.apply_complete([])
    await until(lambda: not node.engine.containers and not node.worker.statuses())
    assert node.engine.started == ["c-t1"]


async def _killed_at(node: Node, cut: int, memory: str) -> None:
    """End the worker as soon as the engine was called so many times, or when it has come to rest."""
    for _ in range(200):
        if len(node.engine.calls) >= cut:
            break
        await asyncio.sleep(0)
    await node.stop()
    if memory == "lost":
        for path in node.path.parent.glob("tasks.db*"):
            path.unlink()
    await node.start()


@pytest.mark.parametrize(("stopped", "ends"), [(False, TaskState.COMPLETE), (True, TaskState.SHUTDOWN)])
async def test_a_job_that_ended_well_while_nobody_looked_is_complete_unless_it_was_being_stopped(
    node: Node, stopped: bool, ends: TaskState
) -> None:
    task = dataclasses.replace(make_task(desired=TaskState.COMPLETE), job_iteration=1)
    await node.worker.apply_complete([task])
    await node.reaches(TaskState.RUNNING)
    if stopped:
        node.engine.hold["stop"] = asyncio.Event()
        await node.worker.apply_incremental([wanting(task, TaskState.SHUTDOWN)], [])
        await until(lambda: "stop" in node.engine.calls)
        assert (node.status().state, node.status().message) == (TaskState.RUNNING, "stopping")
    await node.stop()
    node.engine.hold.clear()
    node.engine.exit("c-t1", 0)
    await node.start()
    await node.worker.apply_complete([wanting(task, TaskState.SHUTDOWN)])
    await node.reaches(ends)
