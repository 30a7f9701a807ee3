# SPDX-License-Identifier: Apache-2.0
"""Jobs as the docker CLI reads them."""

from __future__ import annotations

import dataclasses
from typing import Any

from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.model.objects import Service, Task, TaskStatus
from queenright.model.states import TaskState

JOB = {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}}


async def made(world: World, mode: dict[str, Any] = JOB) -> tuple[Api, Service]:
    api = Api.manager(world)
    status, answer = await api.call("POST", "/services/create", service_json(Mode=mode))
    assert status == 201, answer
    return api, world.store.service(answer["ID"])


def ran(world: World, job: Service, slot: int, state: TaskState, node_id: str = "") -> Task:
    """A task of the job's present iteration."""
    task = world.task(job, slot, status=TaskStatus(state=state))
    desired, iteration = TaskState.COMPLETE, job.job_iteration
    put: Task = world.put(
        dataclasses.replace(task, desired_state=desired, job_iteration=iteration, node_id=node_id or task.node_id)
    )
    return put


async def put_again(api: Api, world: World, job: Service, **more: Any) -> Service:
    held = world.store.service(job.id)
    path = f"/services/{job.id}/update?version={held.version}"
    status, answer = await api.call("POST", path, service_json(Mode=JOB, **more))
    assert status == 200, answer
    return world.store.service(job.id)


async def test_a_job_shows_its_mode_and_that_it_has_run_once() -> None:
    api, job = await made(World.make())
    shown = await api.get(f"/services/{job.id}")
    assert shown["Spec"]["Mode"] == JOB
    assert shown["JobStatus"] == {"JobIteration": {}, "LastExecution": "2023-11-14T22:13:20.000000000Z"}
    assert "UpdateStatus" not in shown


async def test_no_configuration_of_updates_is_filled_into_a_job() -> None:
    api, job = await made(World.make())
    shown = await api.get(f"/services/{job.id}?insertDefaults=true")
    assert shown["Spec"]["TaskTemplate"]["RestartPolicy"]["Condition"] == "any"
    assert "UpdateConfig" not in shown["Spec"] and "RollbackConfig" not in shown["Spec"]
    status, answer = await api.call(
        "POST", f"/services/{job.id}/update?version={shown['Version']['Index']}", shown["Spec"]
    )
    assert status == 200, answer


async def test_each_update_counts_one_more_run_also_one_that_says_the_same() -> None:
    world = World.make()
    api, job = await made(world)
    world.clock.move(1)
    again = await put_again(api, world, job)
    assert (again.job_iteration, again.spec_version) == (2, 1)
    shown = await api.get(f"/services/{job.id}")
    assert shown["JobStatus"] == {"JobIteration": {"Index": 1}, "LastExecution": "2023-11-14T22:13:21.000000000Z"}
    assert (await put_again(api, world, job, Labels={"a": "b"})).job_iteration == 3


async def test_a_rollback_runs_the_job_before_again() -> None:
    world = World.make()
    api, job = await made(world)
    changed = await put_again(api, world, job, Labels={"a": "b"})
    status, _ = await api.call("POST", f"/services/{job.id}/update?version={changed.version}&rollback=previous", {})
    back = world.store.service(job.id)
    assert status == 200 and (back.job_iteration, back.spec.labels, back.update_status) == (3, {}, None)


async def test_the_slots_are_those_that_the_cli_counts_through() -> None:
    world = World.make()
    api, job = await made(world)
    tasks = [ran(world, job, slot, TaskState.COMPLETE) for slot in (1, 2, 3)]
    shown = await api.get("/tasks")
    assert sorted(one.get("Slot", 0) for one in shown) == [0, 1, 2]
    assert all(one["JobIteration"] == {} and one["DesiredState"] == "complete" for one in shown)
    assert [task.name.split(".")[1] for task in tasks] == ["1", "2", "3"]


async def test_what_runs_and_what_has_completed_is_counted_for_the_last_run_only() -> None:
    world = World.make()
    api, job = await made(world)
    ran(world, job, 1, TaskState.COMPLETE)
    job = await put_again(api, world, job)
    ran(world, job, 1, TaskState.COMPLETE)
    ran(world, job, 2, TaskState.COMPLETE)
    ran(world, job, 3, TaskState.RUNNING)
    [shown] = await api.get("/services?status=true")
    assert shown["ServiceStatus"] == {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 2}


async def test_a_global_job_is_wanted_where_it_has_not_completed_yet() -> None:
    world = World.make()
    api, job = await made(world, {"GlobalJob": {}})
    for number, state in enumerate((TaskState.COMPLETE, TaskState.RUNNING, TaskState.PREPARING)):
        ran(world, job, 0, state, world.worker(f"w{number}").id)
    [shown] = await api.get("/services?status=true")
    assert shown["Spec"]["Mode"] == {"GlobalJob": {}}
    assert shown["ServiceStatus"] == {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 1}


async def test_jobs_are_found_by_their_mode() -> None:
    world = World.make()
    api, job = await made(world)
    found = await api.get('/services?filters={"mode":["replicated-job"]}')
    assert [one["ID"] for one in found] == [job.id]
    assert await api.get('/services?filters={"mode":["global-job","replicated"]}') == []


async def test_a_mode_cannot_become_a_job_afterwards() -> None:
    world = World.make()
    api, job = await made(world)
    path = f"/services/{job.id}/update?version={job.version}"
    status, message = await api.error("POST", path, service_json(Mode={"Replicated": {"Replicas": 1}}))
    assert status == 501 and "service mode change is not allowed" in message
