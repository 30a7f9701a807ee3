# SPDX-License-Identifier: Apache-2.0
"""The chain of causes is told from its beginning, with the times at which things happened."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import GIB, node, spec
from laws.world import Behaviour, World

from queenright.manager import chain
from queenright.model.changes import Create
from queenright.model.objects import Task


def task(world: World, slot: int = 1, name: str = "web") -> Task:
    """The newest task of a slot."""
    return [one for one in world.tasks(name) if one.slot == slot][-1]


def line(world: World, slot: int = 1, name: str = "web") -> str:
    return chain.line(world.store, task(world, slot, name))


def steps(world: World, of: Task) -> list[str]:
    return [step.text for step in chain.steps(world.store, of, world.now)]


def reserving(memory: int) -> dict[str, Any]:
    return {"Resources": {"Reservations": {"MemoryBytes": memory}}}


def test_a_first_task_was_made_because_its_service_was() -> None:
    world = World(node("h1"))
    world.create(spec("web", 1))
    world.settle()
    assert line(world) == "service created 22:13:20 -> h1"
    assert steps(world, task(world)) == ["service created 22:13:20 -> h1", "runs"]


def test_a_node_that_fell_silent_leads_to_the_node_that_took_over_and_past_the_one_that_could_not() -> None:
    world = World(node("h1"), node("h2"), node("h3", memory=GIB))
    world.create(spec("web", 2, task=reserving(2 * GIB)))
    world.settle()
    assert {one.node_id for one in world.running("web")} == {"h1", "h2"}
    slot = next(one.slot for one in world.running("web") if one.node_id == "h2")
    world.advance(10)
    world.silence("h2")
    world.advance(30)
    told = line(world, slot)
    silent, down, rest = told.split(" -> ", 2)
    assert silent.startswith("h2 silent 22:13:") and down.startswith("down 22:13:") and silent[-8:] < down[-8:]
    assert rest == "restart any -> h1; h3: no memory"
    assert steps(world, task(world, slot))[0] == "service created 22:13:20 -> h2; h3: no memory"


def test_a_task_that_failed_leads_to_its_replacement_and_the_delay_is_told() -> None:
    world = World(node("h1"))
    world.behaviours["app:1"] = Behaviour(lives=3, code=137)
    world.create(spec("web", 1, task={"RestartPolicy": {"Condition": "on-failure", "Delay": 90 * 10**9}}))
    world.advance(4)
    assert line(world) == ("failed on h1 22:13:23 (task: non-zero exit (137)) -> restart on-failure after 1m30s -> h1")
    first, second = world.tasks("web")
    assert steps(world, second)[-1] == "shall start: the restart delay is over"
    assert steps(world, first)[-2:] == [
        "failed: task: non-zero exit (137)",
        f"{second.id} in its place: {line(world)}",
    ]


def test_a_drained_node_is_the_cause() -> None:
    world = World(node("h1"), node("h2", availability="pause"))
    world.create(spec("web", 1))
    world.advance(60)
    world.set_node("h2", availability="active")
    world.set_node("h1", availability="drain")
    world.settle()
    assert line(world) == "h1 drained 22:14:20 -> restart any -> h2"


def test_scaling_and_updates_are_causes() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 1))
    world.advance(1)
    world.update(spec("web", 2))
    world.advance(1)
    assert line(world, 2) == "scaled from 1 to 2 22:13:21 -> h2"
    world.update(spec("web", 2, "app:2"))
    world.advance(30)
    assert line(world, 1).startswith("update to revision 3 22:13:22 -> ")


def test_a_task_that_fits_nowhere_says_so_at_the_end_of_its_chain() -> None:
    world = World(node("h1"))
    world.create(spec("web", 1, task=reserving(100 * GIB)))
    world.settle()
    assert line(world) == (
        "service created 22:13:20 -> no node yet: no suitable node (insufficient resources on 1 node)"
    )


def test_a_node_that_joins_is_why_a_global_service_is_there() -> None:
    world = World(node("h1"))
    world.create(spec("web", None))
    world.advance(5)
    world.do(Create(node("h2")))
    world.beat("h2")
    world.settle()
    [there] = [one for one in world.tasks("web") if one.node_id == "h2"]
    assert chain.line(world.store, there) == "h2 joined 22:13:25 -> h2"


def test_trouble_of_the_node_on_which_it_runs_is_told_last() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", None, task={"RestartPolicy": {"Condition": "none"}}))
    world.settle()
    world.silence("h2")
    world.advance(40)
    [there] = [one for one in world.tasks("web") if one.node_id == "h2"]
    assert steps(world, there)[-2:] == ["h2 silent", "h2 down: heartbeat failure"]


@pytest.mark.parametrize("cause", ["", "service created 22:13:20"])
def test_a_task_of_an_earlier_release_has_no_cause_and_is_told_all_the_same(cause: str) -> None:
    world = World(node("h1"))
    world.create(spec("web", 1))
    world.settle()
    held = dataclasses.replace(task(world), cause=cause)
    assert chain.line(world.store, held) == f"{cause or 'made 22:13:20'} -> h1"


def test_the_document_has_times_for_machines() -> None:
    world = World(node("h1"))
    world.create(spec("web", 1))
    world.settle()
    found = chain.document(world.store, task(world), world.now)
    assert found["text"] == "service created 22:13:20 -> h1"
    assert found["steps"][1] == {"at": world.wall, "task": task(world).id, "text": "runs"}
