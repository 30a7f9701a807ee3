# SPDX-License-Identifier: Apache-2.0
"""Generic resources: who gets which, and what happens when a node has less of them."""

from __future__ import annotations

from typing import Any

import pytest
from laws.builders import node, spec
from laws.world import World

from queenright.decide import generic
from queenright.model.objects import GenericResource, Task
from queenright.model.states import TaskState
from queenright.store.load import NodeLoad


def named(*names: str, kind: str = "gpu") -> tuple[GenericResource, ...]:
    return tuple(GenericResource(kind=kind, name=name) for name in names)


def number(count: int, kind: str = "gpu") -> tuple[GenericResource, ...]:
    return (GenericResource(kind=kind, value=count),)


def wants(count: int, kind: str = "gpu", **other: int) -> dict[str, Any]:
    kinds = {kind: count, **other}
    asked = [{"DiscreteResourceSpec": {"Kind": kind, "Value": value}} for kind, value in kinds.items()]
    return {"Resources": {"Reservations": {"GenericResources": asked}}}


def held(world: World, name: str = "web") -> dict[int, tuple[str, list[str | int]]]:
    """By slot: the node, and the names or numbers that the running task has there."""
    return {
        task.slot: (task.node_id, [one.name or one.value for one in task.assigned_generic])
        for task in world.running(name)
    }


def waiting(world: World, name: str = "web") -> list[Task]:
    return [task for task in world.tasks(name) if task.state == TaskState.PENDING]


def test_tasks_get_the_first_names_that_are_free() -> None:
    world = World(node("h1", generic_resources=named("a", "b", "c", "d")))
    world.create(spec("web", 2, task=wants(2)))
    world.settle()
    assert held(world) == {1: ("h1", ["a", "b"]), 2: ("h1", ["c", "d"])}


def test_a_node_that_counts_gives_numbers() -> None:
    world = World(node("h1", generic_resources=number(5)))
    world.create(spec("web", 3, task=wants(2)))
    world.settle()
    assert held(world) == {1: ("h1", [2]), 2: ("h1", [2])}
    assert [task.status.err for task in waiting(world)] == ["no suitable node (insufficient resources on 1 node)"]


def test_names_are_free_again_when_their_task_has_ended() -> None:
    world = World(node("h1", generic_resources=named("a", "b")))
    world.create(spec("web", 2, task=wants(1)))
    world.settle()
    world.create(spec("late", 1, task=wants(1)))
    world.settle()
    assert held(world, "late") == {}
    world.update(spec("web", 1, task=wants(1)))
    world.settle()
    assert held(world, "late") == {1: ("h1", ["b"])}


def test_a_replacement_gets_its_own_and_does_not_keep_what_its_forerunner_had() -> None:
    world = World(node("h1", generic_resources=named("a")), node("h2", generic_resources=named("x")))
    world.create(spec("web", 1, task=wants(1)))
    world.settle()
    world.set_node("h1", availability="drain")
    world.settle()
    assert held(world) == {1: ("h2", ["x"])}


def test_a_kind_that_no_node_has_is_missing_on_all_and_the_reason_names_it() -> None:
    world = World(node("h1"), node("h2", generic_resources=named("a")))
    world.create(spec("web", 1, task=wants(1, fpga=1)))
    world.settle()
    [task] = waiting(world)
    assert task.status.err == "no suitable node (insufficient resources on 2 nodes)"


def test_a_task_whose_name_is_gone_from_the_node_is_replaced_elsewhere() -> None:
    world = World(node("h1", generic_resources=named("a", "b")), node("h2", generic_resources=named("x", "y")))
    world.create(spec("web", 3, task=wants(1)))
    world.settle()
    assert held(world) == {1: ("h1", ["a"]), 2: ("h2", ["x"]), 3: ("h1", ["b"])}
    world.describe("h1", generic_resources=named("b"))
    world.advance(10)
    assert held(world) == {1: ("h2", ["y"]), 2: ("h2", ["x"]), 3: ("h1", ["b"])}
    assert world.tasks("web")[0].status.err == "assigned node no longer has the resources that are reserved"


def test_fewer_of_a_number_take_the_newest_tasks_off_the_node() -> None:
    world = World(node("h1", generic_resources=number(3)))
    world.create(spec("web", 3, task=wants(1)))
    world.settle()
    world.describe("h1", generic_resources=number(2))
    world.advance(10)
    assert sorted(held(world)) == [1, 2]


@pytest.mark.parametrize(
    ("asked", "has", "taken", "short"),
    [
        (number(1), named("a"), {}, None),
        (number(2), named("a"), {}, ("gpu", 2, 1)),
        (number(1), named("a"), {("gpu", "a"): 1}, ("gpu", 1, 0)),
        (number(2), number(3), {("gpu", ""): 1}, None),
        (number(3), number(3), {("gpu", ""): 1}, ("gpu", 3, 2)),
        ((*number(1), *number(1)), named("a"), {}, ("gpu", 2, 1)),
        ((*number(1), *number(1, "fpga")), named("a"), {}, ("fpga", 1, 0)),
        (number(1), number(0), {("gpu", ""): 5}, ("gpu", 1, 0)),
    ],
)
def test_what_is_short(asked: Any, has: Any, taken: Any, short: tuple[str, int, int] | None) -> None:
    assert generic.short(asked, node("h1", generic_resources=has), NodeLoad(generic=taken)) == short
