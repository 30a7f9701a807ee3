# SPDX-License-Identifier: Apache-2.0
"""Slots of replicated services: filled from below, emptied by Swarm's choice of victims."""

from __future__ import annotations

from laws.builders import node, service, spec, task
from laws.world import Behaviour, World

from queenright.decide.replicated import victims_last
from queenright.decide.slots import Slot
from queenright.model.states import TaskState


def slots_of(world: World, name: str = "web") -> list[int]:
    return sorted(task.slot for task in world.tasks(name) if task.wanted)


def three() -> World:
    return World(node("h1"), node("h2"), node("h3"))


def test_a_new_service_fills_its_slots_from_one() -> None:
    world = three()
    world.create(spec("web", 4))
    world.settle()
    assert slots_of(world) == [1, 2, 3, 4]
    assert all(task.state == TaskState.RUNNING for task in world.tasks("web"))


def test_new_tasks_are_pending_and_carry_what_they_were_made_from() -> None:
    world = World()
    world.create(spec("web", 1, Labels={"tier": "front"}))
    world.settle()
    [made] = world.tasks("web")
    assert (made.state, made.status.message) == (TaskState.PENDING, "pending task scheduling")
    assert (made.service_name, made.service_labels, made.spec.container.image) == ("web", {"tier": "front"}, "app:1")
    assert made.name == f"web.1.{made.id}"


def test_scaling_up_keeps_the_tasks_that_are_there() -> None:
    world = three()
    world.create(spec("web", 2))
    world.settle()
    before = {task.id for task in world.tasks("web")}
    world.update(spec("web", 5))
    world.settle()
    assert before < {task.id for task in world.running("web")}
    assert slots_of(world) == [1, 2, 3, 4, 5]


def test_scaling_down_takes_the_highest_slots_of_the_most_crowded_nodes() -> None:
    world = three()
    world.create(spec("web", 5))  # h1: 1 and 4, h2: 2 and 5, h3: 3
    world.settle()
    world.update(spec("web", 3))
    world.settle()
    assert slots_of(world) == [1, 2, 3]
    assert {task.slot for task in world.tasks("web")} == {1, 2, 3}, "removed tasks leave no history"


def test_scaling_to_nothing_and_back_starts_at_slot_one_again() -> None:
    world = three()
    world.create(spec("web", 3))
    world.settle()
    world.update(spec("web", 0))
    world.settle()
    assert world.tasks("web") == []
    world.update(spec("web", 2))
    world.settle()
    assert slots_of(world) == [1, 2]


def test_a_slot_that_is_free_below_is_used_first() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 3))  # h1: 1 and 3, h2: 2
    world.settle()
    world.set_node("h1", availability="pause")
    first = next(task for task in world.tasks("web") if task.slot == 1)
    world.end(first, 1)
    world.settle()  # slot 1 waits for its restart and does not run: it goes before the running ones
    world.update(spec("web", 2))
    world.advance(10)
    gone = {1, 2, 3} - set(slots_of(world))
    world.update(spec("web", 3))
    world.settle()
    assert gone and slots_of(world) == [1, 2, 3]


def test_a_slot_taken_again_starts_after_its_old_task_has_stopped() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(stops=3)
    world.create(spec("web", 2))
    world.settle()
    world.update(spec("web", 1))
    world.settle()
    world.update(spec("web", 2))
    world.advance(1)
    assert len(world.running("web")) == 1 or len({task.slot for task in world.running("web")}) == 2
    world.advance(5)
    assert slots_of(world) == [1, 2]
    assert len(world.running("web")) == 2


def test_unassigned_and_waiting_slots_are_removed_first_then_crowded_nodes() -> None:
    web = service("web", 3)

    def slot(number: int, node_id: str, state: TaskState = TaskState.RUNNING) -> Slot:
        return Slot(number, "", (task(web, f"t{number}", number, node_id=node_id, state=state),))

    live = [slot(1, "", TaskState.PENDING), slot(2, "a"), slot(3, "a"), slot(4, "b"), slot(5, "b", TaskState.READY)]
    assert [each.number for each in victims_last(live)] == [2, 4, 3, 5, 1]


def test_a_slot_with_two_tasks_is_removed_before_settled_ones() -> None:
    web = service("web", 2)
    doubled = Slot(1, "", (task(web, "a", 1, node_id="h1"), task(web, "b", 1, node_id="h2")))
    single = Slot(2, "", (task(web, "c", 2, node_id="h1"),))
    assert [each.number for each in victims_last([doubled, single])] == [2, 1]


def test_removing_a_service_stops_its_tasks_and_then_deletes_them() -> None:
    world = three()
    world.behaviours["app:1"] = Behaviour(stops=4)
    world.create(spec("web", 3))
    world.settle()
    world.remove("web")
    world.settle()
    assert {task.desired_state for task in world.store.tasks} == {TaskState.REMOVE}
    world.advance(5)
    assert len(world.store.tasks) == 0


def test_labels_of_the_service_can_change_without_a_restart() -> None:
    world = three()
    world.create(spec("web", 3))
    world.settle()
    before = {task.id for task in world.running("web")}
    world.update(spec("web", 3, Labels={"a": "b"}))
    world.advance(10)
    assert {task.id for task in world.running("web")} == before
    assert world.service("web").update_status is None


def test_finished_tasks_are_not_made_again() -> None:
    world = three()
    world.behaviours["once:1"] = Behaviour(lives=2, code=0)
    world.create(spec("job", 2, "once:1", task={"RestartPolicy": {"Condition": "on-failure"}}))
    world.advance(30)
    assert [(task.slot, task.state) for task in world.tasks("job")] == [
        (1, TaskState.COMPLETE),
        (2, TaskState.COMPLETE),
    ]


def test_the_number_of_replicas_is_one_if_nothing_is_said() -> None:
    world = three()
    world.create(service("web").spec)
    world.settle()
    assert slots_of(world) == [1]
