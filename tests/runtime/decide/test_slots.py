# SPDX-License-Identifier: Apache-2.0
"""Tasks of a slot are in the order of their making, whatever a leader's clock said."""

from __future__ import annotations

from laws.builders import SECOND, node, spec
from laws.world import World

from queenright.decide import slots
from queenright.model.states import TaskState

HOUR = 3600 * SECOND


def failed_twice_with_a_clock_that_went_back(mode: int | None) -> tuple[World, list[str]]:
    """A service whose task failed under a leader and again under one whose clock is an hour behind; its tasks' ids in
    the order of their making.
    """
    world = World(node("h1"), laws=True)
    world.create(spec("web", mode))
    world.settle()
    made = [task.id for task in world.tasks("web")]
    for _ in range(2):
        world.end(next(task for task in world.tasks("web") if task.id == made[-1]), 1)
        world.settle()
        world.advance(10)
        made += [task.id for task in world.tasks("web") if task.id not in made]
        world.wall -= HOUR
    return world, made


def test_the_newest_of_a_numbered_slot_is_the_one_made_last() -> None:
    world, made = failed_twice_with_a_clock_that_went_back(1)
    slot = slots.at(world.store, "web", 1)
    assert [task.id for task in slot.tasks] == made and len(made) == 3
    assert slot.newest is not None and slot.newest.state == TaskState.RUNNING
    assert slots.of_service(world.store, "web") == {(1, ""): slot}


def test_the_newest_on_a_node_is_the_one_made_last() -> None:
    world, made = failed_twice_with_a_clock_that_went_back(None)
    slot = slots.at(world.store, "web", 0, "h1")
    assert [task.id for task in slot.tasks] == made and len(made) == 3
    assert slot.newest is not None and slot.newest.state == TaskState.RUNNING


def test_the_history_that_goes_first_is_the_oldest() -> None:
    world, made = failed_twice_with_a_clock_that_went_back(1)
    for _ in range(5):
        world.end(next(task for task in world.tasks("web") if task.id == made[-1]), 1)
        world.settle()
        world.advance(10)
        made += [task.id for task in world.tasks("web") if task.id not in made]
    assert [task.id for task in slots.at(world.store, "web", 1).tasks] == made[-5:]
