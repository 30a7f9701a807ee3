# SPDX-License-Identifier: Apache-2.0
"""What is written down with a task about why it was made, and which nodes were passed over."""

from __future__ import annotations

import pytest
from laws.builders import GIB, job, node, spec
from laws.world import Behaviour, World

from queenright.model.objects import Task


def newest(world: World, slot: int = 1, name: str = "web") -> Task:
    return [one for one in world.tasks(name) if one.slot == slot][-1]


def test_each_kind_of_change_of_a_service_has_its_own_words() -> None:
    world = World(node("h1"))
    world.create(spec("web", 1))
    world.settle()
    assert newest(world).cause == "service created 22:13:20"
    world.advance(1)
    world.update(spec("web", 3))
    world.settle()
    assert {newest(world, slot).cause for slot in (2, 3)} == {"scaled from 1 to 3 22:13:21"}
    world.advance(1)
    world.update(spec("web", 3, "app:2"))
    world.advance(60)
    assert newest(world).cause == "update to revision 3 22:13:22"
    world.rollback("web")
    world.advance(60)
    assert newest(world).cause.startswith("rollback to revision 4 22:14:")


def test_a_job_that_is_run_again_says_so() -> None:
    world = World(node("h1"))
    world.behaviours["app:1"] = Behaviour(lives=1, code=0)
    world.create(job("sum", 2))
    world.advance(5)
    assert newest(world, 1, "sum").cause == "job created 22:13:20"
    world.update(job("sum", 2, task={"ForceUpdate": 1}))
    world.advance(5)
    assert newest(world, 2, "sum").cause == "job begun again 22:13:25"


def test_a_long_error_is_cut() -> None:
    world = World(node("h1"))
    world.behaviours["app:1"] = Behaviour(pull="no such image " + "x" * 500)
    world.create(spec("web", 1))
    world.advance(6)
    assert "rejected on h1 22:13:20 (no such image xx" in newest(world).cause
    assert len(newest(world).cause) < 200


def test_among_few_nodes_each_that_was_passed_over_is_named_with_its_reason() -> None:
    world = World(node("h1", availability="drain"), node("h2", memory=GIB), node("h3"), node("h4", memory=GIB))
    world.create(spec("web", 1, task={"Resources": {"Reservations": {"MemoryBytes": 2 * GIB}}}))
    world.settle()
    assert (newest(world).node_id, newest(world).refused) == ("h3", "h1: drained; h2, h4: no memory")


def test_among_many_nodes_only_those_are_counted_that_are_not_what_was_asked_for() -> None:
    members = [node(f"h{number:02}", labels={"disk": "ssd" if number == 19 else "hdd"}) for number in range(20)]
    world = World(*members, node("h20", availability="pause"), laws=False)
    world.create(spec("web", 1, task={"Placement": {"Constraints": ["node.labels.disk == ssd"]}}))
    world.settle()
    assert newest(world).refused == "19 nodes: not node.labels.disk == ssd; h20: paused"


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_nothing_of_the_task_before_is_taken_over_by_its_successor(order: str) -> None:
    world = World(node("h1"), node("h2", availability="pause"))
    world.create(spec("web", 1, UpdateConfig={"Order": order, "Monitor": 0}))
    world.settle()
    assert newest(world).refused == "h2: paused"
    world.set_node("h2", availability="active")
    world.settle()
    world.update(spec("web", 1, "app:2", UpdateConfig={"Order": order, "Monitor": 0}))
    world.advance(20)
    assert (newest(world).refused, newest(world).cause) == ("", "update to revision 2 22:13:20")
