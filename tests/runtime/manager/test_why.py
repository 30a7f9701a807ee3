# SPDX-License-Identifier: Apache-2.0
"""Explanations of tasks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import START, World

from queenright.manager.why import explain_locally, find_task
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import TaskStatus, UpdateStatus
from queenright.model.states import NodeState, TaskState, UpdateState

SECOND = 1_000_000_000


def why(world: World, ref: str, local: dict[str, Any] | None = None) -> dict[str, Any]:
    return world.control.why.explain(ref, lambda task_id: local)


def words(world: World, ref: str) -> str:
    return " ".join(why(world, ref)["explanation"])


async def test_a_pending_task_is_explained_filter_by_filter_and_node_by_node() -> None:
    world = World.make()
    world.worker("one", labels={"zone": "a"})
    web = await world.service(task={"Placement": {"Constraints": ["node.labels.zone==b"]}})
    err = "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    task = world.task(web, 1, status=TaskStatus(state=TaskState.PENDING, err=err))
    found = why(world, task.id)
    assert found["task"]["id"] == task.id
    assert found["service"] == {"id": web.id, "name": "web"}
    assert found["node"] is None
    assert (found["state"], found["desired_state"], found["err"]) == ("pending", "running", err)
    assert err in found["explanation"][0]
    verdicts = {one["name"]: one["verdicts"] for one in found["filters"]}
    assert verdicts["ready"] == {"one": None, "queen": None}
    assert verdicts["constraints"]["one"] == "constraint node.labels.zone == b is not met"
    assert "agent" not in found


async def test_a_task_without_addresses_says_what_it_waits_for() -> None:
    world = World.make()
    web = await world.service()
    new = world.task(web, 1, status=TaskStatus(state=TaskState.NEW))
    assert "It waits for addresses: they are not given yet." in words(world, new.id)
    full = world.task(web, 2, status=TaskStatus(state=TaskState.NEW, err="network net is full"))
    assert "It waits for addresses: network net is full." in words(world, full.id)


async def test_nodes_of_one_name_are_told_apart() -> None:
    world = World.make()
    ids = {world.worker("one").id, world.worker("one").id}
    task = world.task(await world.service())
    verdicts = why(world, task.id)["filters"][0]["verdicts"]
    assert set(verdicts) == {"queen", *(f"one ({key})" for key in ids)}


async def test_a_task_is_found_by_id_name_prefix_slot_or_service() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    running = world.task(web, 1, node)
    world.clock.move(1)
    waiting = world.task(web, 2)
    for ref in (running.id, running.name, running.id[:9], "web.1", "WEB.1"):
        assert find_task(world.store, ref).id == running.id, ref
    assert find_task(world.store, "web.2").id == waiting.id
    assert find_task(world.store, "web").id == waiting.id
    everywhere = await world.service("all", Mode={"Global": {}})
    there = world.task(everywhere, 0, node)
    for ref in ("all.one", f"all.{node.id}"):
        assert find_task(world.store, ref).id == there.id, ref


async def test_of_a_slot_the_task_that_counts_now_is_explained() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    world.task(web, 1, node, state=TaskState.FAILED, desired_state=TaskState.SHUTDOWN)
    world.clock.move(1)
    new = world.task(web, 1, node)
    assert find_task(world.store, "web.1").id == new.id


async def test_what_is_not_there_is_not_found() -> None:
    world = World.make()
    await world.service()
    for ref in ("nosuch", "web", "web.7", "nosuch.1"):
        with pytest.raises(NotFound, match=ref):
            find_task(world.store, ref)


async def test_an_ambiguous_prefix_is_said_to_be_one() -> None:
    world = World.make()
    web = await world.service()
    for number in range(2):
        world.put(dataclasses.replace(world.task(web, 1), id=f"zz{number:023d}", version=0))
    with pytest.raises(InvalidArgument, match="ambiguous"):
        find_task(world.store, "zz")


async def test_the_history_of_the_slot_comes_newest_first() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    failed = [
        world.task(
            web,
            1,
            node,
            status=TaskStatus(state=TaskState.FAILED, err="task: non-zero exit (3)", exit_code=3),
            desired_state=TaskState.SHUTDOWN,
        )
        for _ in range(2)
        if world.clock.move(1) is None
    ]
    world.clock.move(1)
    now = world.task(web, 1, node)
    found = why(world, now.id)
    assert [one["id"] for one in found["history"]] == [now.id, failed[1].id, failed[0].id]
    assert found["history"][1]["exit_code"] == 3
    assert "2 tasks of this slot have failed; the last one said: task: non-zero exit (3)." in found["explanation"]


async def test_a_replacement_says_what_it_waits_for() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    old = world.task(web, 1, node, desired_state=TaskState.SHUTDOWN)
    new = world.task(
        web,
        1,
        node,
        state=TaskState.READY,
        desired_state=TaskState.READY,
        not_before=START + 5 * SECOND,
        replaces=old.id,
    )
    text = words(world, new.id)
    assert "starts in 5.0 s: the restart policy delays the start" in text
    assert f"It starts when the task before it, {old.id}, has stopped (now running)." in text
    assert "It shall stop (desired state shutdown) and has not stopped yet." in words(world, old.id)


async def test_a_node_that_is_down_or_drained_or_gone_is_named() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    task = world.task(web, 1, node)
    assert words(world, task.id) == "It runs on its node."
    down = world.describe(node.id, "one", NodeState.DOWN)
    assert "Its node one is down" in words(world, task.id)
    world.put(dataclasses.replace(down, spec=dataclasses.replace(down.spec, availability="drain")))
    assert "The availability of its node one is drain." in words(world, task.id)
    lost = world.put(dataclasses.replace(task, node_id="gone"))
    assert "Its node gone was removed from the swarm." in words(world, lost.id)


async def test_an_ended_task_says_how_and_a_paused_update_is_mentioned() -> None:
    world = World.make()
    node = world.worker("one")
    web = await world.service()
    status = TaskStatus(state=TaskState.FAILED, err="task: non-zero exit (3)", exit_code=3)
    task = world.task(web, 1, node, status=status, desired_state=TaskState.SHUTDOWN)
    world.put(dataclasses.replace(web, update_status=UpdateStatus(state=UpdateState.PAUSED, message="m")))
    found = why(world, task.id)
    assert found["explanation"] == [
        "It has ended: failed, exit code 3 (task: non-zero exit (3)).",
        "The service's update is paused: m.",
    ]
    assert found["filters"] == []


async def test_what_the_agent_of_this_host_knows_is_added() -> None:
    world = World.make()
    task = world.task(await world.service())
    seen = {"state": "preparing", "trouble": "the registry does not answer", "container": {"health": "starting"}}
    found = why(world, task.id, seen)
    assert found["agent"] == seen
    assert found["explanation"][-2:] == [
        "The agent of this node has trouble with it: the registry does not answer.",
        "Its container's health is starting.",
    ]


def test_a_worker_s_answer_has_the_same_shape() -> None:
    seen = {"state": "running", "desired_state": "running", "message": "started", "err": ""}
    found = explain_locally("t" * 25, "n" * 25, seen)
    assert found["explanation"][0] == "It is running on this node: started."
    assert (found["history"], found["filters"], found["agent"]) == ([], [], seen)
