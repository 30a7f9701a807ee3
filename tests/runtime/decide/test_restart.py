# SPDX-License-Identifier: Apache-2.0
"""Ended tasks are replaced as their policy says; replacements start when they may."""

from __future__ import annotations

import pytest
from laws.builders import SECOND, node, spec
from laws.world import Behaviour, World

from queenright.model.objects import Task
from queenright.model.states import TaskState


def three(**swarm: object) -> World:
    return World(node("h1"), node("h2"), node("h3"), **swarm)


def policy(**fields: object) -> dict[str, object]:
    return {"RestartPolicy": fields}


def history(world: World, slot: int = 1) -> list[Task]:
    return [task for task in world.tasks("web") if task.slot == slot]


def test_a_failed_task_is_replaced_in_its_slot_after_the_delay() -> None:
    world = three()
    world.create(spec("web", 2))
    world.settle()
    failed = history(world)[0]
    world.end(failed, 137)
    world.settle()
    old, new = history(world)
    assert (old.desired_state, old.state) == (TaskState.SHUTDOWN, TaskState.FAILED)
    assert (new.desired_state, new.replaces, new.attempt) == (TaskState.READY, failed.id, 1)
    assert new.state == TaskState.READY, "it is placed and prepared while it waits"
    world.advance(4.9)
    assert history(world)[1].desired_state == TaskState.READY
    world.advance(0.2)
    assert history(world)[1].state == TaskState.RUNNING


def test_a_completed_task_is_replaced_when_the_condition_is_any() -> None:
    world = three()
    world.create(spec("web", 1))
    world.settle()
    world.end(history(world)[0], 0)
    world.advance(6)
    assert [task.state for task in history(world)] == [TaskState.COMPLETE, TaskState.RUNNING]


@pytest.mark.parametrize(
    ("condition", "code", "replaced"),
    [("any", 0, True), ("any", 1, True), ("on-failure", 0, False), ("on-failure", 1, True), ("none", 1, False)],
)
def test_the_condition_decides_which_ends_are_answered(condition: str, code: int, replaced: bool) -> None:
    world = three()
    world.create(spec("web", 1, task=policy(Condition=condition)))
    world.settle()
    world.end(history(world)[0], code)
    world.advance(30)
    assert len(history(world)) == (2 if replaced else 1)
    assert history(world)[0].desired_state == TaskState.SHUTDOWN


def test_the_delay_is_the_policys() -> None:
    world = three()
    world.create(spec("web", 1, task=policy(Delay=60 * SECOND)))
    world.settle()
    world.end(history(world)[0], 1)
    world.advance(59)
    assert world.running("web") == []
    world.advance(1)
    assert len(world.running("web")) == 1


def test_there_is_no_delay_when_the_node_is_down() -> None:
    world = three()
    world.create(spec("web", 3))
    world.settle()
    world.silence("h2")
    world.advance(14)
    assert len(world.running("web")) == 3, "nobody knows yet"
    world.advance(2)
    running = world.running("web")
    assert len(running) == 3
    assert {task.node_id for task in running} == {"h1", "h3"}


def test_a_drained_nodes_tasks_move_at_once_and_start_when_the_old_ones_have_stopped() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(stops=3)
    world.create(spec("web", 3))
    world.settle()
    world.set_node("h2", availability="drain")
    world.advance(2)
    old, new = history(world, 2)
    assert (old.state, new.state, new.desired_state) == (TaskState.RUNNING, TaskState.READY, TaskState.READY)
    world.advance(2)
    assert {task.node_id for task in world.running("web")} == {"h1", "h3"}
    assert len(world.running("web")) == 3


def test_a_replacement_waits_no_longer_than_the_grace_and_ten_seconds_for_a_task_that_never_stops() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(stops=10_000)
    world.create(spec("web", 1, task={"ContainerSpec": {"Image": "app:1", "StopGracePeriod": 90 * SECOND}}))
    world.settle()
    world.set_node("h1", availability="drain")
    world.advance(99)
    assert [task for task in world.running("web") if task.desired_state == TaskState.RUNNING] == []
    world.advance(2)
    assert [task.node_id for task in world.running("web")] == ["h2"]


def test_attempts_are_limited_per_revision() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(lives=1)
    world.create(spec("web", 1, task=policy(MaxAttempts=2)))
    world.advance(60)
    assert [task.attempt for task in history(world)] == [0, 1, 2]
    assert {task.state for task in history(world)} == {TaskState.FAILED}
    world.advance(600)
    assert len(history(world)) == 3


def test_attempts_outside_the_window_do_not_count() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(lives=30)
    world.create(spec("web", 1, task=policy(MaxAttempts=2, Window=40 * SECOND, Delay=0)))
    world.advance(300)
    assert world.running("web"), "one restart in forty seconds is less than two"
    assert max(task.attempt for task in history(world)) > 2


def test_attempts_inside_the_window_do_count() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(lives=10)
    world.create(spec("web", 1, task=policy(MaxAttempts=2, Window=40 * SECOND, Delay=0)))
    world.advance(300)
    assert world.running("web") == []
    assert len(history(world)) == 3


def test_a_task_that_cannot_even_be_prepared_is_not_tried_in_a_tight_loop() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(pull="No such image: app:1")
    world.create(spec("web", 1))
    world.settle()
    assert len(history(world)) == 2, "the first, and one that failed before its delay was over"
    world.advance(4)
    assert len(history(world)) == 2
    world.advance(2)
    assert len(history(world)) == 3
    world.advance(15)
    assert len(history(world)) == 5, "history is bounded"
    assert history(world)[-1].attempt == 5, "one try in each delay"


def test_a_replacement_of_a_replacement_still_waits_for_the_first_task() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(stops=20)
    world.create(spec("web", 1, task=policy(Delay=SECOND)))
    world.settle()
    world.set_node("h1", availability="drain")
    world.settle()
    waiting = history(world)[1]
    world.report(waiting, TaskState.REJECTED, err="no space left on device")
    world.advance(10)
    assert [task.state for task in history(world)] == [TaskState.RUNNING, TaskState.REJECTED, TaskState.READY]
    world.advance(12)
    assert history(world)[-1].state == TaskState.RUNNING


def test_a_new_leader_goes_on_waiting_where_the_old_one_stopped() -> None:
    world = three()
    world.create(spec("web", 1))
    world.settle()
    world.end(history(world)[0], 1)
    world.advance(3)
    world.change_leader()
    world.advance(1)
    assert world.running("web") == []
    world.advance(1)
    assert len(world.running("web")) == 1


def test_a_clock_that_goes_back_does_not_keep_a_task_waiting_for_hours() -> None:
    world = three()
    world.create(spec("web", 1))
    world.settle()
    world.end(history(world)[0], 1)
    world.settle()
    world.wall -= 3600 * SECOND
    world.advance(5)
    assert len(world.running("web")) == 1


def test_a_slot_gets_one_successor_though_the_clock_has_gone_back() -> None:
    world = three()  # its laws cut each answer: after the first change the successor is there and is older
    world.create(spec("web", 1))
    world.settle()
    world.turn_back(5)
    world.end(history(world)[0], 1)
    world.advance(10)
    assert len(world.running("web")) == 1 and len(history(world)) == 2


def test_a_node_that_comes_back_stops_its_old_task() -> None:
    world = three()
    world.create(spec("web", 3))
    world.settle()
    world.silence("h2")
    world.advance(20)
    world.beat("h2")
    world.settle()
    old, new = history(world, 2)
    assert (old.state, new.state) == (TaskState.SHUTDOWN, TaskState.RUNNING)


def test_a_replacement_goes_to_another_node_when_its_own_is_lost_before_it_starts() -> None:
    world = three()
    world.create(spec("web", 1, task=policy(Delay=100 * SECOND)))
    world.settle()
    world.end(history(world)[0], 1)
    world.settle()
    waiting = history(world)[-1]
    world.silence(waiting.node_id)
    world.advance(20)
    moved = history(world)[-1]
    assert moved.node_id != waiting.node_id
    assert moved.not_before == waiting.not_before, "its delay goes on"
    assert moved.desired_state == TaskState.READY
