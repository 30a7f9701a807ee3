# SPDX-License-Identifier: Apache-2.0
"""What is deleted, what is kept, and that nothing stays for ever."""

from __future__ import annotations

import pytest
from laws.builders import SECOND, counter, node, spec, task
from laws.world import Behaviour, World

from queenright.decide import reap
from queenright.decide.base import Dirty
from queenright.model.changes import Create, Delete
from queenright.model.objects import Ticket
from queenright.model.states import TaskState


def crashing(limit: int | None = None, **policy: object) -> World:
    swarm = {} if limit is None else {"Orchestration": {"TaskHistoryRetentionLimit": limit}}
    world = World(node("h1"), node("h2"), **swarm)
    world.behaviours["app:1"] = Behaviour(lives=1)
    world.create(spec("web", 1, task={"RestartPolicy": {"Delay": SECOND, **policy}}))
    world.advance(60)
    return world


@pytest.mark.parametrize(("limit", "kept"), [(None, 5), (3, 3), (1, 1), (0, 1), (-1, 31)])
def test_each_slot_keeps_as_many_tasks_as_the_limit_says_the_present_one_included(limit: int, kept: int) -> None:
    world = crashing(limit)
    assert kept <= len(world.tasks("web")) <= kept + 1


def test_a_limited_number_of_attempts_keeps_enough_to_count_them() -> None:
    world = crashing(1, MaxAttempts=7)
    assert len(world.tasks("web")) == 8


def test_the_last_task_of_a_finished_slot_stays_whatever_the_limit() -> None:
    world = World(node("h1"), Orchestration={"TaskHistoryRetentionLimit": 0})
    world.behaviours["once:1"] = Behaviour(lives=1, code=0)
    world.create(spec("job", 1, "once:1", task={"RestartPolicy": {"Condition": "none"}}))
    world.advance(60)
    assert [each.state for each in world.tasks("job")] == [TaskState.COMPLETE]


def test_a_task_that_still_stops_is_not_deleted() -> None:
    world = World(node("h1"), Orchestration={"TaskHistoryRetentionLimit": 1})
    world.behaviours["app:1"] = Behaviour(stops=30)
    world.create(spec("web", 1))
    world.settle()
    world.update(spec("web", 1, "app:2"))
    world.advance(20)
    assert [each.state for each in world.tasks("web")] == [TaskState.RUNNING, TaskState.READY]
    world.advance(20)
    assert [each.state for each in world.tasks("web")] == [TaskState.RUNNING]


def test_a_removed_task_of_a_lost_node_goes_when_the_node_is_removed() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.silence("h2")
    world.advance(20)
    world.remove("web")
    world.advance(60)
    assert {each.node_id for each in world.store.tasks} == {"h2"}, "the node may come back and has to be told"
    world.remove_node("h2")
    world.settle()
    assert len(world.store.tasks) == 0


def test_a_removed_task_of_a_lost_node_goes_after_a_day_at_the_latest() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.silence("h2")
    world.advance(20)
    world.remove("web")
    world.advance(25 * 3600)
    assert len(world.store.tasks) == 0


def test_a_task_whose_service_and_node_are_unknown_is_deleted() -> None:
    world = World(node("h1"))
    web = world.create(spec("web", 0))
    world.do(Create(task(web, "lost", node_id="nowhere", state=TaskState.RUNNING)))
    world.do(Delete("service", "web"))
    world.settle()
    assert len(world.store.tasks) == 0


def test_expired_tickets_are_deleted_when_their_time_has_come() -> None:
    world = World(node("h1"))
    world.do(Create(Ticket(id="a", expires_at=world.wall + 10 * SECOND)))
    world.do(Create(Ticket(id="b", expires_at=world.wall + 600 * SECOND)))
    decision = reap.decide(world.store, Dirty(everything=True), world.now, counter())
    assert (decision.changes, decision.wake_at) == ((), world.mono + 10)
    world.wall += 10 * SECOND
    decision = reap.decide(world.store, Dirty(everything=True), world.now, counter())
    assert decision.changes == (Delete("ticket", "a"),)


def test_what_an_update_judges_by_is_kept_until_it_is_over() -> None:
    world = World(node("h1"), node("h2"), Orchestration={"TaskHistoryRetentionLimit": 1})
    world.behaviours["app:2"] = Behaviour(lives=2)
    config = {"UpdateConfig": {"MaxFailureRatio": 0.5, "Delay": 20 * SECOND}}
    world.create(spec("web", 4, **config))
    world.settle()
    restarts = {"task": {"RestartPolicy": {"Delay": 0}}}
    world.update(spec("web", 4, "app:2", **config, **restarts))
    world.advance(19)
    first = [each for each in world.tasks("web") if each.slot == 1 and each.spec_version == 2 and not each.attempt]
    assert len(first) == 1 and first[0].state == TaskState.FAILED
