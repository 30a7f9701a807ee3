# SPDX-License-Identifier: Apache-2.0
"""What agents are told, and what is no news to them."""

from __future__ import annotations

import dataclasses

from laws.builders import node, spec
from laws.world import World

from queenright.decide.assignments import assignments, changes
from queenright.decide.base import Dirty
from queenright.decide.orchestrate import mark
from queenright.model.changes import Update
from queenright.model.states import TaskState
from queenright.store.store import Event


def running() -> World:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 4))
    world.settle()
    return world


def test_a_node_is_told_of_its_own_tasks_only() -> None:
    world = running()
    assert {task.slot for task in assignments(world.store, "h1").values()} == {1, 3}
    assert assignments(world.store, "nowhere") == {}


def test_a_part_of_the_assignments_can_be_asked_for() -> None:
    world = running()
    mine, others = assignments(world.store, "h1"), assignments(world.store, "h2")
    one = next(iter(mine))
    assert assignments(world.store, "h1", [one, *others, "nothing"]) == {one: mine[one]}


def test_a_task_that_is_not_assigned_yet_is_nobodys() -> None:
    world = World(node("h1", cpus=0))
    world.create(spec("agent", None, task={"Resources": {"Reservations": {"NanoCPUs": 10**9}}}))
    world.settle()
    assert [task.state for task in world.tasks("agent")] == [TaskState.PENDING]
    assert assignments(world.store, "h1") == {}


def test_tasks_that_ended_are_told_until_their_record_is_deleted() -> None:
    world = running()
    first = assignments(world.store, "h1")
    world.end(next(iter(first.values())), 1)
    world.settle()
    assert set(first) < set(assignments(world.store, "h1"))
    world.remove("web")
    world.settle()
    assert changes(first, assignments(world.store, "h1")) == ([], list(first))


def test_a_status_is_no_news() -> None:
    world = running()
    before = assignments(world.store, "h1")
    key = next(iter(before))
    held = world.store.task(key)
    world.do(Update(dataclasses.replace(held, status=dataclasses.replace(held.status, message="still there"))))
    after = assignments(world.store, "h1")
    assert after[key] != before[key]
    assert changes(before, after) == ([], [])


def test_an_order_to_stop_is_news() -> None:
    world = running()
    world.silence("h1")
    before = assignments(world.store, "h1")
    world.update(spec("web", 1))
    world.settle()
    updates, removes = changes(before, assignments(world.store, "h1"))
    assert [task.desired_state for task in updates] == [TaskState.REMOVE]
    assert removes == []


def test_progress_of_a_task_concerns_its_slot_and_not_its_whole_service() -> None:
    held = running().tasks("web")[0]
    dirty = Dirty()
    mark(dirty, Event(held, dataclasses.replace(held, status=dataclasses.replace(held.status, message="x"))))
    assert (dirty.tasks, dirty.services, dirty.nodes) == ({held.id}, set(), set())
    mark(dirty, Event(held, dataclasses.replace(held, desired_state=TaskState.SHUTDOWN)))
    assert dirty.services == {"web"}
    dirty = Dirty()
    mark(dirty, Event(held, None))
    assert (dirty.tasks, dirty.services) == ({held.id}, {"web"})


def test_a_change_of_the_swarms_options_concerns_everything() -> None:
    dirty = Dirty()
    cluster = running().store.cluster
    mark(dirty, Event(cluster, cluster))
    assert dirty.everything
