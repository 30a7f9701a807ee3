# SPDX-License-Identifier: Apache-2.0
"""Global services: one task on each node that they belong on."""

from __future__ import annotations

import pytest
from laws.builders import node, spec
from laws.world import Behaviour, World

from queenright.model.changes import Create
from queenright.model.states import NodeState, TaskState


def world(**api: object) -> World:
    made = World(node("h1"), node("h2"), node("h3", labels={"gpu": "yes"}))
    made.create(spec("agent", None, **api))
    made.settle()
    return made


def where(made: World) -> list[str]:
    return sorted(task.node_id for task in made.running("agent"))


def test_each_node_gets_one_task_without_a_slot_number() -> None:
    made = world()
    assert where(made) == ["h1", "h2", "h3"]
    [first] = [task for task in made.tasks("agent") if task.node_id == "h1"]
    assert (first.slot, first.name) == (0, f"agent.h1.{first.id}")


def test_a_node_that_joins_gets_one() -> None:
    made = world()
    made.do(Create(node("h4")))
    made.beat("h4")
    made.settle()
    assert where(made) == ["h1", "h2", "h3", "h4"]


def test_only_nodes_that_meet_the_constraints_get_one() -> None:
    made = world(task={"Placement": {"Constraints": ["node.labels.gpu == yes"]}})
    assert where(made) == ["h3"]
    made.set_node("h1", labels={"gpu": "yes"})
    made.set_node("h3", labels={})
    made.settle()
    assert where(made) == ["h1"]
    gone = next(task for task in made.tasks("agent") if task.node_id == "h3")
    assert (gone.desired_state, gone.state) == (TaskState.SHUTDOWN, TaskState.SHUTDOWN)


def test_a_drained_node_loses_its_task_and_gets_one_again_when_it_is_active() -> None:
    made = world()
    made.set_node("h2", availability="drain")
    made.advance(20)
    assert where(made) == ["h1", "h3"]
    assert len(made.tasks("agent")) == 3, "no other node gets a second one"
    made.set_node("h2", availability="active")
    made.settle()
    assert where(made) == ["h1", "h2", "h3"]


def test_a_node_that_is_down_and_comes_back_stops_the_old_task_before_it_starts_the_new_one() -> None:
    made = world()
    made.behaviours["app:1"] = Behaviour(stops=4)
    made.silence("h2")
    made.advance(20)
    assert where(made) == ["h1", "h3"]
    made.beat("h2")
    made.advance(1)
    assert where(made) == ["h1", "h3"]
    made.advance(5)
    assert where(made) == ["h1", "h2", "h3"]


def test_a_paused_node_keeps_its_task_but_gets_none() -> None:
    made = world()
    made.set_node("h2", availability="pause")
    made.do(Create(node("h4", availability="pause")))
    made.settle()
    assert where(made) == ["h1", "h2", "h3"]


def test_a_task_that_fails_on_a_paused_node_waits_until_the_node_is_active() -> None:
    made = world()
    made.set_node("h2", availability="pause")
    made.end(next(task for task in made.running("agent") if task.node_id == "h2"), 1)
    made.advance(60)
    assert where(made) == ["h1", "h3"]
    made.set_node("h2", availability="active")
    made.settle()
    assert where(made) == ["h1", "h2", "h3"]


def test_a_failed_task_is_replaced_on_its_own_node_after_the_delay() -> None:
    made = world()
    made.end(next(task for task in made.running("agent") if task.node_id == "h2"), 1)
    made.advance(4)
    assert where(made) == ["h1", "h3"]
    made.advance(2)
    assert where(made) == ["h1", "h2", "h3"]


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, True)])
def test_a_task_that_finished_for_good_is_not_made_again(code: int, again: bool) -> None:
    made = world(task={"RestartPolicy": {"Condition": "on-failure"}})
    made.end(next(task for task in made.running("agent") if task.node_id == "h2"), code)
    made.advance(30)
    assert ("h2" in where(made)) == again
    made.set_node("h2", labels={"some": "thing"})
    made.advance(5)
    assert ("h2" in where(made)) == again


def test_removing_a_node_takes_its_task_records_along() -> None:
    made = world()
    made.set_node("h2", availability="drain")
    made.settle()
    made.remove_node("h2")
    made.settle()
    assert {task.node_id for task in made.tasks("agent")} == {"h1", "h3"}


def test_removing_the_service_removes_all_its_tasks() -> None:
    made = world()
    made.remove("agent")
    made.advance(1)
    assert len(made.store.tasks) == 0


def test_a_node_that_has_not_reported_yet_gets_its_task_when_it_has() -> None:
    made = world()
    made.do(Create(node("h4", state=NodeState.UNKNOWN)))
    made.settle()
    assert len(made.tasks("agent")) == 3
    made.beat("h4")
    made.settle()
    assert where(made) == ["h1", "h2", "h3", "h4"]
