# SPDX-License-Identifier: Apache-2.0
"""``/tasks``: the lists that clients poll."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any
from urllib.parse import quote

from runtime.api.kit import Api
from runtime.manager.kit import START, World, service_spec

from queenright.edge.http.api import render
from queenright.edge.http.api.json_cache import ENTRY, SPARE, JsonCache
from queenright.manager.views import list_tasks
from queenright.model.objects import TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import Port


async def ids(api: Api, filters: object) -> set[str]:
    found = await api.get("/tasks?filters=" + quote(json.dumps(filters)))
    return {one["ID"] for one in found}


async def test_a_running_task_looks_as_docker_shows_it() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service(Labels={"tier": "front"})
    task = world.task(
        web,
        1,
        node,
        status=TaskStatus(
            state=TaskState.RUNNING,
            at=START + 1,
            message="started",
            container_id="c0ffee",
            pid=42,
            ports=(Port(target_port=80, published_port=8080, protocol="tcp", mode="host"),),
        ),
    )
    found = await Api.manager(world).get(f"/tasks/{task.id}")
    assert found == {
        "ID": task.id,
        "Version": {"Index": task.version},
        "CreatedAt": "2023-11-14T22:13:20.000000000Z",
        "UpdatedAt": "2023-11-14T22:13:20.000000000Z",
        "Labels": {},
        "Spec": {
            "ContainerSpec": {"Image": "busybox:1", "Init": False, "DNSConfig": {}, "Isolation": "default"},
            "Resources": {"Limits": {}, "Reservations": {}},
            "Placement": {},
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "ServiceID": web.id,
        "Slot": 1,
        "NodeID": node.id,
        "Status": {
            "Timestamp": "2023-11-14T22:13:20.000000001Z",
            "State": "running",
            "Message": "started",
            "ContainerStatus": {"ContainerID": "c0ffee", "PID": 42, "ExitCode": 0},
            "PortStatus": {
                "Ports": [{"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp", "PublishMode": "host"}]
            },
        },
        "DesiredState": "running",
    }
    assert await Api.manager(world).get("/tasks") == [found]


async def test_a_pending_task_says_why_and_leaves_out_what_it_has_not() -> None:
    world = World.make()
    web = await world.service()
    err = "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    task = world.task(web, 1, status=TaskStatus(state=TaskState.PENDING, message="pending task scheduling", err=err))
    found = await Api.manager(world).get(f"/tasks/{task.id}")
    assert "NodeID" not in found
    assert found["Status"] == {
        "Timestamp": "2023-11-14T22:13:20.000000000Z",
        "State": "pending",
        "Message": "pending task scheduling",
        "Err": err,
        "PortStatus": {},
    }


async def test_a_failed_task_shows_its_exit_code() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    status = TaskStatus(state=TaskState.FAILED, err="task: non-zero exit (3)", container_id="c", exit_code=3)
    task = world.task(web, 1, node, status=status, desired_state=TaskState.SHUTDOWN)
    found = await Api.manager(world).get(f"/tasks/{task.id}")
    assert found["Status"]["ContainerStatus"] == {"ContainerID": "c", "PID": 0, "ExitCode": 3}
    assert found["DesiredState"] == "shutdown"


async def test_tasks_are_filtered_by_what_clients_ask() -> None:
    world = World.make()
    api = Api.manager(world)
    one, two = world.worker("one"), world.worker("two")
    web = await world.service("web", Labels={"com.docker.stack.namespace": "shop"})
    db = await world.service("db")
    a = world.task(web, 1, one)
    b = world.task(web, 2, two, desired_state=TaskState.SHUTDOWN)
    c = world.task(db, 1, one)
    assert await ids(api, {}) == {a.id, b.id, c.id}
    assert await ids(api, {"service": ["web"]}) == {a.id, b.id}
    assert await ids(api, {"service": {web.id: True}}) == {a.id, b.id}
    assert await ids(api, {"service": [web.id[:6]], "node": ["one"]}) == {a.id}
    assert await ids(api, {"node": {"one": True, two.id: True}}) == {a.id, b.id, c.id}
    assert await ids(api, {"desired-state": ["running"]}) == {a.id, c.id}
    assert await ids(api, {"desired-state": {"running": True, "shutdown": True}}) == {a.id, b.id, c.id}
    assert await ids(api, {"label": ["com.docker.stack.namespace=shop"]}) == {a.id, b.id}
    assert await ids(api, {"label": ["com.docker.stack.namespace"]}) == {a.id, b.id}
    assert await ids(api, {"label": ["com.docker.stack.namespace=other"]}) == set()
    assert await ids(api, {"name": ["web.1"]}) == {a.id}
    assert await ids(api, {"name": ["web"]}) == {a.id, b.id}
    assert await ids(api, {"id": [a.id]}) == {a.id}
    assert await ids(api, {"id": [a.id[:10], c.id]}) == {a.id, c.id}
    assert await ids(api, {"id": ["nosuch"]}) == set()
    assert await ids(api, {"runtime": ["container"]}) == {a.id, b.id, c.id}
    assert await ids(api, {"runtime": ["plugin"]}) == set()


async def test_a_filter_by_something_that_is_not_there_says_so() -> None:
    api = Api.manager(World.make())

    async def error(filters: dict[str, Any]) -> tuple[int, str]:
        return await api.error("GET", "/tasks?filters=" + quote(json.dumps(filters)))

    assert await error({"service": ["nosuch"]}) == (404, "service nosuch not found")
    assert await error({"node": ["nosuch"]}) == (404, "node nosuch not found")
    assert await error({"desired-state": ["flying"]}) == (400, "Invalid filter 'desired-state=flying'")
    assert await error({"colour": ["blue"]}) == (400, "Invalid filter 'colour'")


async def test_up_to_date_means_what_would_not_be_replaced() -> None:
    world = World.make()
    api = Api.manager(world)
    node = world.worker("one")
    web = await world.service()
    old = world.task(web, 1, node)
    await world.control.services.update("web", web.version, service_spec(Mode={"Replicated": {"Replicas": 2}}))
    assert await ids(api, {"service": ["web"], "_up-to-date": ["true"]}) == {old.id}
    web = world.get_service("web")
    await world.control.services.update("web", web.version, service_spec(container={"Image": "busybox:2"}))
    new = world.task(world.get_service("web"), 2, node)
    assert await ids(api, {"service": {"web": True}, "_up-to-date": {"true": True}}) == {new.id}
    assert await ids(api, {"service": ["web"]}) == {old.id, new.id}


async def test_a_question_about_one_service_does_not_walk_the_others(monkeypatch: Any) -> None:
    world = World.make()
    web, many = await world.service("web"), await world.service("many", Labels={"a": "b"})
    task = world.task(web, 1)
    for slot in range(1, 300):
        world.task(many, slot)
    asked: list[str] = []
    real = type(task).name.fget
    monkeypatch.setattr(type(task), "name", property(lambda self: asked.append(self.id) or real(self)))
    assert [one.id for one in list_tasks(world.store, {"service": ["web"], "name": ["web.1"]})] == [task.id]
    assert [one.id for one in list_tasks(world.store, {"id": [task.id], "name": ["web"]})] == [task.id]
    assert asked == [task.id, task.id]


async def test_a_task_is_encoded_once_for_each_of_its_versions() -> None:
    world = World.make()
    web = await world.service()
    task = world.task(web)
    cache = JsonCache(render.task)
    first = cache.text(task)
    assert cache.text(task) is first
    moved = world.put(dataclasses.replace(task, desired_state=TaskState.SHUTDOWN))
    assert b'"DesiredState":"shutdown"' in cache.text(moved)
    assert len(cache) == 1


async def test_the_cache_forgets_tasks_that_are_gone() -> None:
    world = World.make()
    web = await world.service()
    task = world.task(web)
    cache = JsonCache(render.task)
    for number in range(SPARE + 10):
        cache.text(dataclasses.replace(task, id=f"{number:025d}"))
    cache.text(task)
    cache.forget_but(len(world.store.tasks), world.store.tasks.ids())
    assert len(cache) == 1


async def test_a_cache_that_is_full_takes_nothing_more_until_something_is_gone() -> None:
    world = World.make()
    web = await world.service()
    task = world.task(web)
    one = len(JsonCache(render.task).text(task)) + ENTRY
    cache = JsonCache(render.task, most=10 * one)
    others = [dataclasses.replace(task, id=f"{number:025d}") for number in range(100)]
    texts = [cache.text(other) for other in others]
    assert len(cache) == 10
    assert [cache.text(other) for other in others] == texts, "what is not kept is encoded again"
    cache.forget_but(100, {other.id for other in others})
    assert len(cache) == 10
    cache.forget_but(90, {other.id for other in others[10:]})
    assert len(cache) == 0
    assert cache.text(others[50]) is cache.text(others[50])


async def test_a_version_that_came_takes_the_room_of_the_one_before() -> None:
    world = World.make()
    web = await world.service()
    task = world.task(web)
    cache = JsonCache(render.task, most=len(JsonCache(render.task).text(task)) + ENTRY + 10)
    for at in range(50):
        moved = dataclasses.replace(task, updated_at=at)
        assert cache.text(moved) is cache.text(moved)
    assert len(cache) == 1


async def test_others_have_their_turn_before_the_first_part_of_a_list() -> None:
    world = World.make()
    web = await world.service()
    for slot in range(1, 40):
        world.task(web, slot)
    api = Api.manager(world)
    turns, over = 0, False

    async def others() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await api.get("/tasks")
    over = True
    await beside
    assert turns >= 2


async def test_a_long_list_comes_in_parts_and_is_still_one_list() -> None:
    world = World.make()
    api = Api.manager(world)
    web = await world.service()
    expected = {world.task(web, slot).id for slot in range(1, 600)}
    found = await api.get("/tasks")
    assert {one["ID"] for one in found} == expected
